//! A ban as two words of a record: `until : 40 | reason : 8` and `since : 40 | origin : 6 | flags : 2`.
//!
//! Used by the ledger only.
#![forbid(unsafe_code)]

use super::slot::{Meta, Slot, Word};
use crate::engine::facts::{Ban, Origin};
use crate::engine::verdict::Reason;

/// Made in shadow mode.
pub(super) const SHADOW: u64 = 1;
/// On evidence that cannot be forged.
pub(super) const VALIDATED: u64 = 2;

/// The second word of a ban.
pub(super) fn pack_origin(ban: &Ban) -> u64 {
    let flags = (u64::from(ban.shadow) * SHADOW) | (u64::from(ban.validated) * VALIDATED);
    ban.since << 8 | u64::from(ban.origin as u8) << 2 | flags
}

/// A ban from its two words.
pub(super) fn unpack_ban(slot: &Slot, meta: Meta) -> Ban {
    let ban = slot.payload(meta, Word::Ban);
    let origin = slot.payload(meta, Word::BanOrigin);
    Ban {
        since: origin >> 8,
        until: ban >> 8,
        reason: Reason::from_number(ban as u8),
        origin: Origin::from_number((origin & 0xff) as u8 >> 2),
        shadow: origin & SHADOW != 0,
        validated: origin & VALIDATED != 0,
    }
}
