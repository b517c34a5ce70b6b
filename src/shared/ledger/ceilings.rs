//! The ceiling of a source of its own: that of a whitelist entry, or of trust.
//!
//! Charged by workers in the source's record, which they have read anyway.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Key, Ledger, Record, TRIES, mutes};
use crate::engine::facts::Now;
use crate::gcra::{Charge, Quota};

impl Ledger {
    /// Charges one request to the source's own ceiling, in `record` if it was found there; whether it
    /// is within. A source without a
    /// record, as in a whitelisted network, gets one for as long as it owes something; where the
    /// ledger has no room for that, it is within.
    pub fn charge_ceiling(
        &self,
        (key, mut record): (Key, Option<Record>),
        quota: &Quota,
        now: Now,
    ) -> bool {
        for _ in 0..TRIES {
            let found = match record.take() {
                Some(Record(slot, meta)) => Ok((slot, meta)),
                None => self.find_or_insert(key, None, Class::Strikes, now),
            };
            let Ok((slot, meta)) = found else {
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
        self.each(&key, None, |slot, meta| {
            level = level.max(quota.level(slot.payload(meta, Word::Ceiling), now.ticks()));
        });
        level
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::{at, key, ledger};
    use super::*;
    use crate::engine::facts::{FOREVER, Origin};

    #[test]
    fn a_ceiling_is_exact_and_its_own() {
        let ledger = ledger(64);
        let quota = Quota::new(5, 2).unwrap();
        ledger
            .whitelist(key(1), at(1), FOREVER, Origin::Script)
            .unwrap();
        let passed = (0..9)
            .filter(|_| ledger.charge_ceiling((key(1), None), &quota, at(1)))
            .count();
        assert_eq!(
            (passed, ledger.ceiling_level(key(1), &quota, at(1))),
            (5, 5)
        );
        assert!(ledger.charge_ceiling((key(1), None), &quota, at(2001)));
    }

    #[test]
    fn renewing_an_entry_gives_no_fresh_allowance() {
        let ledger = ledger(64);
        let quota = Quota::new(5, 2).unwrap();
        ledger.mirror_whitelist(key(1), at(1), 50_000).unwrap();
        assert_eq!(
            (0..9)
                .filter(|_| ledger.charge_ceiling((key(1), None), &quota, at(1)))
                .count(),
            5
        );
        ledger.mirror_whitelist(key(1), at(1), 90_000).unwrap();
        assert!(!ledger.charge_ceiling((key(1), None), &quota, at(1)));
        assert_eq!(ledger.standing(key(1), at(1)).whitelisted_until, 90_000);
    }

    #[test]
    fn a_source_of_a_whitelisted_network_has_a_ceiling_and_a_record_while_it_needs_one() {
        let ledger = ledger(64);
        let quota = Quota::new(3, 2).unwrap();
        let charge = |ms| ledger.charge_ceiling((key(1), None), &quota, at(ms));
        assert_eq!([charge(1), charge(1), charge(1)], [true; 3]);
        ledger.sweep(at(10));
        assert!(!charge(10), "the sweep left the ceiling alone");
        assert_eq!(ledger.entries(0, at(10)).count(), 1);
        ledger.sweep(at(3000));
        assert_eq!(ledger.entries(0, at(3000)).count(), 0);
        assert!(charge(3000));
    }

    #[test]
    fn a_revocation_without_an_entry_of_its_own_counts_once() {
        let ledger = ledger(64);
        let quota = Quota::new(3, 2).unwrap();
        ledger.charge_ceiling((key(1), None), &quota, at(1));
        assert!(ledger.revoke(key(1), at(1), 5000));
        assert!(!ledger.revoke(key(1), at(2), 9000));
        assert_eq!(ledger.standing(key(1), at(2)).cooldown_until, 5000);
        assert!(ledger.revoke(key(1), at(5000), 9000));
    }

    #[test]
    fn a_user_is_muted_for_a_time_and_its_neighbours_are_not() {
        let ledger = ledger(64);
        let (anna, bob) = (11 << 80, 22 << 80);
        ledger.strike(key(1), Some(anna), 1, at(1));
        assert!(!ledger.standing(key(1), at(1)).mutes);
        let mute = |until, shadow| super::super::Mute { until, shadow };
        ledger
            .mute(key(1), anna, at(1), mute(300_001, false))
            .unwrap();
        assert!(ledger.standing(key(1), at(299_000)).mutes);
        assert!(
            ledger.muted(key(1), anna, at(300_000), false)
                && !ledger.muted(key(1), anna, at(300_001), false)
        );
        assert!(
            !ledger.muted(key(1), bob, at(2), false) && !ledger.muted(key(2), anna, at(2), false)
        );
        assert!(!ledger.standing(key(1), at(500_000)).mutes);
        assert_eq!(ledger.user_strikes(key(1), anna, at(2)), 1);
        let quota = Quota::new(5, 2).unwrap();
        assert!(ledger.charge_ceiling((key(1), None), &quota, at(2)));
        assert!(
            ledger.standing(key(1), at(3)).mutes,
            "the ceiling keeps what is above it"
        );
        ledger.unban(key(1), at(4), 5);
        assert!(
            !ledger.muted(key(1), anna, at(5), false),
            "an unban frees the users, too"
        );
    }
}
