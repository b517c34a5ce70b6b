//! Offences added to what is known of an address and of its users, and what a success takes back.
//!
//! Called by whoever judges an offence. What the words mean that it changes: `strikes`, `users`.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Meta, Slot, Update, Word};
use super::{Full, Key, Ledger, TRIES, strikes, users};
use crate::engine::facts::{Now, Standing};

impl Ledger {
    /// Adds an offence, of a user if one is named. What is known of the source afterwards.
    pub fn strike(&self, key: Key, user: Option<u128>, weight: u8, now: Now) -> Standing {
        let add = |old| Some(strikes::add(old, now.ms(), self.strike_window_ms, weight));
        for _ in 0..TRIES {
            let Ok((slot, meta)) = self.find_or_insert(key, None, Class::Strikes, now) else {
                break;
            };
            if self.change_strikes(&slot, meta, now, user, add) == Update::Lost {
                continue;
            }
            if let Some(user) = user
                && let Ok((slot, meta)) = self.find_or_insert(key, Some(user), Class::Strikes, now)
            {
                slot.update(meta, Word::Strikes, add);
            }
            break;
        }
        self.standing(key, now)
    }

    /// Adds to those strikes that could be forged; how many they are. A weight of 0 only looks.
    pub fn count_forgeable(&self, key: Key, weight: u8, now: Now) -> u32 {
        let (at, window, mut total) = (now.ms(), self.strike_window_ms, 0);
        self.change(key, Word::Forgeable, |old| {
            let counts = strikes::add(old, at, window, weight);
            total = strikes::total(counts, at, window);
            (weight > 0).then_some(counts)
        });
        total
    }

    /// Changes the strikes of an address, and adds a user to those that failed. Who failed in an
    /// earlier window is forgotten.
    fn change_strikes(
        &self,
        slot: &Slot,
        meta: Meta,
        now: Now,
        user: Option<u128>,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Update {
        let update = slot.update(meta, Word::Strikes, change);
        if let Update::Done(before) = update {
            let goes_on = strikes::same_window(before, now.ms(), self.strike_window_ms);
            slot.update(meta, Word::UsersOrUserLow, |old| {
                let known = if goes_on { old } else { 0 };
                let users = user.map_or(known, |user| users::add(known, user));
                (users != old).then_some(users)
            });
        }
        update
    }

    /// A user proved its password: trust until `until`, and that user's own failures are forgotten;
    /// those of others, and how many were tried, stay.
    ///
    /// # Errors
    /// [`Full`].
    pub fn succeed(&self, key: Key, user: u128, now: Now, until: u64) -> Result<(), Full> {
        let mut own = 0;
        self.each(&key, Some(user), |slot, meta| {
            if let Update::Done(old) = slot.update(meta, Word::Strikes, |_| Some(0)) {
                own = old;
            }
        });
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, None, Class::Trusted, now)?;
            if slot.update(meta, Word::Trust, |_| Some(until << 8)) == Update::Lost {
                continue;
            }
            let (at, window) = (now.ms(), self.strike_window_ms);
            self.change_strikes(&slot, meta, now, None, |old| {
                (own != 0).then(|| strikes::subtract(old, own, at, window))
            });
            return Ok(());
        }
        Err(Full)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Mute;
    use super::super::tests::{at, key, ledger};

    #[test]
    fn who_failed_in_an_earlier_window_is_no_part_of_a_scan() {
        let ledger = ledger(64);
        let minute = |n: u64| at(n * 60_000);
        // One phone fails all day, and once in an hour somebody else mistypes.
        for n in 0..24 * 60 {
            let user = match n % 60 {
                30 => 1000 + n,
                _ => 1,
            };
            let standing = ledger.strike(key(1), Some(u128::from(user)), 1, minute(n));
            assert!(
                standing.users <= 2,
                "{} users in minute {n}",
                standing.users
            );
            ledger.sweep(minute(n));
        }
        // A scanner is quicker.
        for user in 0..10u64 {
            let hash = user * 0x9e37_79b9;
            ledger.strike(key(1), Some(u128::from(hash)), 1, minute(1500));
        }
        assert!(ledger.standing(key(1), minute(1500)).users >= 8);
    }

    #[test]
    fn forged_strikes_are_counted_apart_and_forgotten_with_the_rest() {
        let ledger = ledger(64);
        for _ in 0..3 {
            ledger.strike(key(1), None, 3, at(1));
        }
        assert_eq!(ledger.count_forgeable(key(1), 3, at(1)), 3);
        assert_eq!(ledger.count_forgeable(key(1), 3, at(1)), 6);
        assert_eq!(ledger.count_forgeable(key(1), 0, at(1)), 6);
        assert_eq!(ledger.standing(key(1), at(1)).strikes, 9);
        assert_eq!(ledger.count_forgeable(key(1), 0, at(3_000_000)), 0);
        ledger.unban(key(1), at(2), 3);
        assert_eq!(ledger.count_forgeable(key(1), 0, at(2)), 0);
    }

    #[test]
    fn an_address_where_somebody_is_muted_is_kept_as_long_as_the_mute() {
        let ledger = ledger(16);
        let mute = Mute {
            until: 7_200_000,
            shadow: false,
        };
        ledger.strike(key(1), Some(7), 1, at(1));
        ledger.mute(key(1), 7, at(1), mute).unwrap();
        // The strikes have faded, and the bucket fills with others'.
        let later = at(3_600_000);
        ledger.sweep(later);
        for number in 2..40 {
            ledger.strike(key(number), None, 1, later);
        }
        assert!(ledger.standing(key(1), later).mutes);
        assert!(ledger.muted(key(1), 7, later, false));
        // When it is over, both may go.
        ledger.sweep(at(7_400_000));
        assert!(!ledger.standing(key(1), at(7_400_000)).mutes);
    }
}
