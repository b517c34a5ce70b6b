//! Guesses at extensions, in one payload: which near misses of the running hour were forgiven, and
//! the last guess that was struck, so that its retransmissions are not.
//!
//! `hour : 6 | bitmap of users : 26 | transaction : 16`. A user that is tried again is no new near
//! miss: a phone with a mistyped extension asks every minute. Users are told apart by their place in
//! the bitmap, so that now and then one near miss too many is forgiven. Used by workers.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Key, Ledger, TRIES};
use crate::engine::facts::Now;

const HOUR_MS: u64 = 3_600_000;
const HOUR_SHIFT: u32 = 42;
const USERS_SHIFT: u32 = 16;
const USERS: u32 = HOUR_SHIFT - USERS_SHIFT;
const TRANSACTION: u64 = (1 << USERS_SHIFT) - 1;

fn hour(now_ms: u64) -> u64 {
    (now_ms / HOUR_MS) & 0x3f
}

/// Of an earlier hour, or of nothing.
pub(super) fn is_faded(payload: u64, now: Now) -> bool {
    payload == 0 || payload >> HOUR_SHIFT != hour(now.ms())
}

/// What still counts, with the number of the running hour.
fn current(payload: u64, now: Now) -> u64 {
    match is_faded(payload, now) {
        true => hour(now.ms()) << HOUR_SHIFT,
        false => payload,
    }
}

/// How many different near misses were forgiven in this hour.
pub(super) fn forgiven(payload: u64, now: Now) -> u32 {
    match is_faded(payload, now) {
        true => 0,
        false => (payload >> USERS_SHIFT & ((1 << USERS) - 1)).count_ones(),
    }
}

impl Ledger {
    /// Whether a near miss of a user is forgiven: it was before in this hour, or fewer than `most`
    /// others were.
    pub fn forgive(&self, key: Key, user: u128, most: u32, now: Now) -> bool {
        let place = 1 << (USERS_SHIFT + (user % u128::from(USERS)) as u32);
        let mut known = false;
        self.note_guess(key, now, |payload| {
            known = payload & place != 0;
            (!known && forgiven(payload, now) < most).then_some(payload | place)
        }) || known
    }

    /// Whether this is another guess than the one that was struck last.
    pub fn is_new_guess(&self, key: Key, transaction: u128, now: Now) -> bool {
        // 0 is what a fresh record has.
        let transaction = (transaction as u64 & TRANSACTION).max(1);
        self.note_guess(key, now, |payload| {
            let known = payload & TRANSACTION == transaction;
            (!known).then_some(payload & !TRANSACTION | transaction)
        })
    }

    /// Changes the word. Whether it was to be changed; without room for it, it was.
    fn note_guess(&self, key: Key, now: Now, mut change: impl FnMut(u64) -> Option<u64>) -> bool {
        for _ in 0..TRIES {
            let Ok((slot, meta)) = self.find_or_insert(key, None, Class::Strikes, now) else {
                break;
            };
            match slot.update(meta, Word::Guesses, |old| change(current(old, now))) {
                Update::Done(_) => return true,
                Update::Kept(_) => return false,
                Update::Lost => {}
            }
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::{at, key, ledger};
    use super::*;

    #[test]
    fn so_many_different_near_misses_are_forgiven_in_an_hour() {
        let ledger = ledger(64);
        let user = |number: u128| number;
        for round in 0..3 {
            for number in 0..5 {
                let forgiven = ledger.forgive(key(1), user(number), 5, at(round * 60_000));
                assert!(forgiven, "user {number} in minute {round}");
            }
        }
        assert!(!ledger.forgive(key(1), user(5), 5, at(180_000)));
        assert!(!ledger.forgive(key(1), user(5), 5, at(240_000)), "again");
        assert!(ledger.forgive(key(1), user(4), 5, at(240_000)), "as before");
        assert!(
            ledger.forgive(key(2), user(5), 5, at(240_000)),
            "another source"
        );
        assert_eq!(ledger.standing(key(1), at(240_000)).near_misses, 5);
        assert!(
            ledger.forgive(key(1), user(5), 5, at(HOUR_MS)),
            "the next hour"
        );
        assert_eq!(ledger.standing(key(1), at(HOUR_MS)).near_misses, 1);
        assert!(!ledger.forgive(key(3), user(1), 0, at(0)));
    }

    #[test]
    fn a_retransmission_is_no_new_guess() {
        let ledger = ledger(64);
        assert!(ledger.is_new_guess(key(1), 7, at(0)));
        assert!(!ledger.is_new_guess(key(1), 7, at(500)));
        assert!(ledger.is_new_guess(key(1), 8, at(600)));
        assert!(ledger.is_new_guess(key(2), 8, at(600)));
        assert!(ledger.is_new_guess(key(1), 1 << 16, at(700)));
        assert!(!ledger.is_new_guess(key(1), 1 << 16, at(700)));
        assert!(ledger.forgive(key(1), 7, 1, at(800)));
        assert!(!ledger.is_new_guess(key(1), 1 << 16, at(900)));
    }

    #[test]
    fn what_was_forgiven_is_remembered_as_long_as_it_counts() {
        let ledger = ledger(64);
        assert!(ledger.forgive(key(1), 1, 1, at(0)));
        ledger.sweep(at(HOUR_MS - 1));
        assert!(!ledger.forgive(key(1), 2, 1, at(HOUR_MS - 1)));
        ledger.sweep(at(2 * HOUR_MS));
        assert_eq!(ledger.census().records(), 0);
        assert!(ledger.forgive(key(1), 1, 1, at(64 * HOUR_MS)));
        assert!(ledger.forgive(key(1), 2, 2, at(64 * HOUR_MS)));
    }

    #[test]
    fn the_number_of_an_hour_that_wraps_is_cleared_before() {
        let ledger = ledger(64);
        assert!(ledger.forgive(key(1), 1, 1, at(0)));
        ledger
            .whitelist(
                key(1),
                at(0),
                1 << 39,
                crate::engine::facts::Origin::Operator,
            )
            .unwrap();
        ledger.sweep(at(2 * HOUR_MS));
        assert!(ledger.forgive(key(1), 2, 1, at(64 * HOUR_MS)));
    }
}
