//! The ceiling of a source of its own: that of a whitelist entry, or of trust.
//!
//! Charged by workers in the source's record, which they have read anyway.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Key, Ledger, TRIES, mutes};
use crate::engine::facts::Now;
use crate::gcra::{Charge, Quota};

impl Ledger {
    /// Charges one request to the source's own ceiling; whether it is within. A source without a
    /// record, as in a whitelisted network, gets one for as long as it owes something; where the
    /// ledger has no room for that, it is within.
    pub fn charge_ceiling(&self, key: Key, quota: &Quota, now: Now) -> bool {
        for _ in 0..TRIES {
            let Ok((slot, meta)) = self.find_or_insert(key, None, Class::Strikes, now) else {
                return true;
            };
            let update = slot.update(meta, Word::Ceiling, |stored| {
                match quota.charge(stored, now.ticks()) {
                    Charge::Within(time) => Some(mutes::with_time(stored, time)),
                    Charge::Over => None,
                }
            });
            match update {
                Update::Done(_) => return true,
                Update::Kept(_) => return false,
                Update::Lost => {}
            }
        }
        true
    }

    /// How much of its ceiling a source has used. Changes nothing.
    pub fn ceiling_level(&self, key: Key, quota: &Quota, now: Now) -> u32 {
        let mut level = 0;
        self.each(key, None, |slot, meta| {
            level = level.max(quota.level(slot.payload(meta, Word::Ceiling), now.ticks()));
        });
        level
    }
}
