//! Where the ban and the whitelist entry of an address come from: for the lists of operators.
//!
//! Written where those are made, read by commands only. Payload: `since : 32 | count : 8 | node : 8`:
//! the second, in ledger time, in which the entry was made here; the how manieth ban of the address the
//! fleet says it is, and the node that made it.
#![forbid(unsafe_code)]

use super::slot::Word;
use super::{Key, Ledger};
use crate::engine::facts::{Now, Origin};

/// A node's part in a ban that the fleet knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// The number of the node that made it (see `Node::node_name`); 0 is this node itself.
    pub node: u8,
    /// The how manieth ban of that address it is, as that node counts; 0 if it does not say.
    pub count: u8,
}

/// Where the ban and the whitelist entry of an address come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Who made the ban.
    pub maker: Maker,
    /// Who added the whitelist entry.
    pub whitelisted_by: Origin,
    /// When it was added, or this node learned of it: ledger time.
    pub whitelisted_since: u64,
}

/// The payload with a ban by `maker`; `None` if that is what it says.
pub(super) fn made_by(payload: u64, maker: Maker) -> Option<u64> {
    let told = u64::from(maker.count) << 8 | u64::from(maker.node);
    (payload & 0xffff != told).then_some(payload & !0xffff | told)
}

/// The payload with an entry that begins now.
pub(super) fn since(payload: u64, now: Now) -> Option<u64> {
    Some((now.ms() / 1000) << 16 | payload & 0xffff)
}

impl Ledger {
    /// Where what holds for an address comes from. Of no meaning where nothing holds.
    pub fn provenance(&self, key: Key) -> Provenance {
        let payload = |word| {
            self.find(key, None)
                .map_or(0, |(slot, meta)| slot.payload(meta, word))
        };
        let known = payload(Word::Provenance);
        Provenance {
            maker: Maker {
                node: known as u8,
                count: (known >> 8) as u8,
            },
            whitelisted_by: Origin::from_number(payload(Word::Whitelist) as u8),
            whitelisted_since: (known >> 16) * 1000,
        }
    }
}
