//! What this process has decided about the message at hand: a request is counted once, and
//! `$sec(…)` can be asked later.
//!
//! Used by `check.rs` in SIP workers; private to the process. A process of Kamailio runs the script in one
//! thread, so nothing here is ever written by two; atomics say so to the compiler at no cost, where a
//! thread's own variable costs two calls for each check.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::engine::verdict::{Reason, Verdict};
use crate::kamailio::Message;
use crate::shared::ledger::Key;
use crate::source::{Address, Source};

/// A decision of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The address that was asked about.
    pub address: Address,
    /// Its source.
    pub key: Key,
    /// What the script was answered.
    pub code: i32,
    /// The verdict, whatever the mode made of it.
    pub verdict: Verdict,
    /// The rule that spoke.
    pub reason: Reason,
}

/// Addresses that one message may be checked for and is remembered with.
const ADDRESSES: usize = 4;

/// The message that was last checked.
static MESSAGE: AtomicU64 = AtomicU64::new(0);
/// The decisions about it in a ring.
static DECISIONS: [Place; ADDRESSES] = [const { Place::empty() }; ADDRESSES];
/// Where the next one goes.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Where a [`Last`] is kept: its four small numbers in one word, of which 0 is none; source, hash, address.
struct Place([AtomicU64; 6]);

impl Place {
    const fn empty() -> Place {
        Place([const { AtomicU64::new(0) }; 6])
    }

    #[inline]
    fn write(&self, last: &Last) {
        let Last { address, key, .. } = last;
        let (source, address) = (key.source.bits(), address.bits());
        let small = u64::from_le_bytes([
            last.code as u8,
            last.verdict as u8,
            last.reason.number(),
            key.source.length(),
            1,
            0,
            0,
            0,
        ]);
        let words = [
            small,
            (source >> 64) as u64,
            source as u64,
            key.hash,
            (address >> 64) as u64,
            address as u64,
        ];
        for (place, word) in self.0.iter().zip(words) {
            place.store(word, Relaxed);
        }
    }

    fn read(&self) -> Option<Last> {
        let words = self.0.each_ref().map(|word| word.load(Relaxed));
        let [code, verdict, reason, length, 1, ..] = words[0].to_le_bytes() else {
            return None;
        };
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        Some(Last {
            address: Address::from_bits(wide(words[4], words[5])),
            key: Key {
                source: Source::from_parts(wide(words[1], words[2]), length),
                hash: words[3],
            },
            code: i32::from(code.cast_signed()),
            verdict: Verdict::from_code(verdict.cast_signed())?,
            reason: Reason::from_number(reason),
        })
    }

    /// What the script was answered, if it is about this source.
    #[inline]
    fn answer(&self, source: Source) -> Option<i32> {
        let [small, high, low] = [0, 1, 2].map(|word: usize| self.0[word].load(Relaxed));
        let [code, _, _, length, 1, ..] = small.to_le_bytes() else {
            return None;
        };
        let same = u128::from(high) << 64 | u128::from(low) == source.bits();
        (same && length == source.length()).then(|| i32::from(code.cast_signed()))
    }
}

/// A message in a word; 0 is none.
#[inline]
fn number(message: &Message<'_>) -> u64 {
    let (id, process) = message.key();
    u64::from(id) << 32 | u64::from(process.cast_unsigned())
}

/// Remembers a decision about a message.
#[inline]
pub fn remember(message: &Message<'_>, last: &Last) {
    remember_of(number(message), last);
}

#[inline]
fn remember_of(message: u64, last: &Last) {
    if MESSAGE.load(Relaxed) != message {
        MESSAGE.store(message, Relaxed);
        for place in &DECISIONS {
            place.0[0].store(0, Relaxed);
        }
    }
    let next = NEXT.load(Relaxed) % ADDRESSES;
    DECISIONS[next].write(last);
    NEXT.store(next + 1, Relaxed);
}

/// What this message was answered about a source.
#[inline]
pub fn answer(message: &Message<'_>, key: Key) -> Option<i32> {
    if MESSAGE.load(Relaxed) != number(message) {
        return None;
    }
    let mut answers = DECISIONS.iter().map(|place| place.answer(key.source));
    answers.find_map(|answer| answer)
}

/// Forgets the message.
#[cfg(feature = "bench")]
pub fn forget() {
    MESSAGE.store(0, Relaxed);
}

/// The newest decision about a message.
pub fn newest(message: &Message<'_>) -> Option<Last> {
    let newest = (NEXT.load(Relaxed) + ADDRESSES - 1) % ADDRESSES;
    let same = MESSAGE.load(Relaxed) == number(message);
    DECISIONS[newest].read().filter(|_| same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(address: &str, verdict: Verdict) -> Last {
        let address = Address::from(address.parse::<std::net::IpAddr>().unwrap());
        Last {
            address,
            key: Key {
                source: Source::of(address, 64),
                hash: 0x0123_4567_89ab_cdef,
            },
            code: if verdict.denies() { 1 } else { verdict.code() },
            verdict,
            reason: Reason::AUTH,
        }
    }

    #[test]
    fn what_was_decided_is_read_back() {
        for address in ["192.0.2.1", "0.0.0.0", "2001:db8::9:1", "::"] {
            for verdict in [Verdict::AllowSpared, Verdict::DenyContent] {
                let place = Place::empty();
                let known = last(address, verdict);
                place.write(&known);
                assert_eq!(place.read(), Some(known));
                assert_eq!(place.answer(known.key.source), Some(known.code));
                let other = Source::of(Address::v4(7), 64);
                assert_eq!(place.answer(other), None);
            }
        }
    }

    #[test]
    fn an_empty_place_knows_nobody() {
        assert_eq!(Place::empty().read(), None);
        assert_eq!(Place::empty().answer(Source::from_parts(0, 0)), None);
    }
}
