//! Muted users: the same user at the same address, cut off without its neighbours.
//!
//! Set by workers that judge a failed authentication, looked up for requests from addresses where
//! somebody is muted. The user's own record holds the end; the address' record says in twelve
//! spare bits, as a minute that wraps every 68 hours, until when looking is worth it.
#![forbid(unsafe_code)]

use super::ban::SHADOW;
use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Full, Key, Ledger, TRIES, strikes};
use crate::engine::facts::Now;
use crate::gcra::TIME_BITS;

const TIME: u64 = (1 << TIME_BITS) - 1;
const MINUTES: u64 = 1 << 12;
/// The longest mute, in minutes: what is further ahead is a minute that has passed.
const AHEAD_MAX: u64 = 25 * 60;

fn minute(ms: u64) -> u64 {
    ms / 60_000 % MINUTES
}

/// The payload of a ceiling with another arrival time.
pub(super) fn with_time(payload: u64, time: u64) -> u64 {
    payload & !TIME | time & TIME
}

/// Whether somebody may be muted at the address with this ceiling.
pub(super) fn possible(payload: u64, now: Now) -> bool {
    let end = payload >> TIME_BITS;
    end != 0 && end.wrapping_sub(minute(now.ms())) % MINUTES <= AHEAD_MAX
}

/// A mute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mute {
    /// When it ends, in ledger time.
    pub until: u64,
    /// Made in shadow mode: it denies nothing.
    pub shadow: bool,
}

impl Ledger {
    /// Mutes a user at an address. In shadow mode one that holds stays as it is.
    ///
    /// # Errors
    /// [`Full`].
    pub fn mute(&self, key: Key, user: u128, now: Now, mute: Mute) -> Result<(), Full> {
        let Mute { until, shadow } = mute;
        if shadow && self.muted(key, user, now, false) {
            return Ok(());
        }
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, Some(user), Class::Ban, now)?;
            slot.update(meta, Word::BanOrigin, |_| Some(u64::from(shadow) * SHADOW));
            if slot.update(meta, Word::Ban, |_| Some(until << 8)) == Update::Lost {
                continue;
            }
            // One minute more, because minutes are whole; 0 stands for "never".
            let end = minute(until + 60_000).max(1);
            self.change(key, Word::Ceiling, |old| {
                Some(old & TIME | end << TIME_BITS)
            });
            return Ok(());
        }
        Err(Full)
    }

    /// Whether a user is muted at an address. A mute made in shadow mode holds in that mode only.
    pub fn muted(&self, key: Key, user: u128, now: Now, shadow: bool) -> bool {
        let mut muted = false;
        self.each(&key, Some(user), |slot, meta| {
            let holds = slot.payload(meta, Word::Ban) >> 8 > now.ms();
            muted |= holds && (shadow || slot.payload(meta, Word::BanOrigin) & SHADOW == 0);
        });
        muted
    }

    /// Weighted offences of a user at an address.
    pub fn user_strikes(&self, key: Key, user: u128, now: Now) -> u32 {
        let mut total = 0;
        self.each(&key, Some(user), |slot, meta| {
            let counts = slot.payload(meta, Word::Strikes);
            total += strikes::total(counts, now.ms(), self.strike_window_ms);
        });
        total
    }
}
