//! The rate table: one word per source and limit, found by a keyed hash, checked and charged in
//! one step, bounded, with nothing to free.
//!
//! Called by SIP workers for each request and by the agent that sweeps it. A word is
//! `limit index : 2 | tag : 26 | arrival time : 36` (see [`crate::gcra`]); a set is one cache line
//! of eight words, two for three or four limits. The tag and the set come from a hash whose key
//! an attacker does not know. In a full set the smallest debt, relative to its own window, gives
//! way: one-packet sources fight each other and the busy ones stay.
//!
//! `Relaxed` is enough everywhere: a word carries all of its meaning and publishes nothing else.
#![forbid(unsafe_code)]

use super::region::{LINE, fetch_ahead};
use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::engine::facts::Now;
use crate::gcra::{Charge, Quota, TIME_BITS};

const TAG_BITS: u32 = 26;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// A word that keeps changing under us is charged by others as well: after so many tries we
/// count it as charged.
const TRIES: u32 = 8;

/// How one event went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Within the limit.
    pub within: bool,
    /// A live word of another source had to give way: the table is too small.
    pub evicted: bool,
}

/// A table over words of the region.
#[derive(Clone, Copy)]
pub struct Rates {
    words: &'static [AtomicU64],
    /// By limit index: what a stored debt is weighed against when one has to give way.
    scale: &'static [Quota],
    /// Words in a set: a power of two of cache lines.
    ways: usize,
    /// The number of sets less one. A division at each charge would cost more than the charge.
    set_mask: usize,
}

impl Rates {
    /// How many words a table for `sources` sources and `limits` limits takes: twice what is
    /// needed when full, rounded up to a power of two of sets.
    pub fn words(sources: usize, limits: usize) -> usize {
        let wanted = 2 * sources.max(1) * limits.max(1);
        wanted.next_power_of_two().max(Self::ways(limits))
    }

    fn ways(limits: usize) -> usize {
        if limits > 2 { 2 * LINE } else { LINE }
    }

    /// A table over `words`, which [`Rates::words`] has counted, for limits that are weighed by
    /// `scale`: the quotas themselves, or one that is wider than all of them.
    pub fn new(words: &'static [AtomicU64], scale: &'static [Quota]) -> Rates {
        assert!(
            words.len().is_power_of_two(),
            "a table is a power of two of words"
        );
        let ways = Self::ways(scale.len());
        Rates {
            words,
            scale,
            ways,
            set_mask: words.len() / ways - 1,
        }
    }

    /// Charges one event to limit `index`, which is `quota`, of the source with this hash.
    #[inline]
    pub fn charge(&self, quota: &Quota, index: usize, hash: u64, now: Now) -> Charged {
        let (set, mark) = self.place(hash, index);
        let ticks = now.ticks();
        for _ in 0..TRIES {
            let Some((slot, word)) = find(set, mark) else {
                match self.insert(set, mark, quota, ticks) {
                    Some(charged) => return charged,
                    None => continue,
                }
            };
            let Charge::Within(time) = quota.charge(word, ticks) else {
                return Charged {
                    within: false,
                    evicted: false,
                };
            };
            if slot
                .compare_exchange_weak(word, mark | time, Relaxed, Relaxed)
                .is_ok()
            {
                break;
            }
        }
        Charged {
            within: true,
            evicted: false,
        }
    }

    /// Has the line of a hash fetched, which the first charge will read.
    #[inline]
    pub fn fetch_ahead(&self, hash: u64) {
        if let Some(word) = self.place(hash, 0).0.first() {
            fetch_ahead(word);
        }
    }

    /// How many events of limit `index` the source is charged with now. Changes nothing.
    pub fn level(&self, quota: &Quota, index: usize, hash: u64, now: Now) -> u32 {
        let (set, mark) = self.place(hash, index);
        find(set, mark).map_or(0, |(_, word)| quota.level(word, now.ticks()))
    }

    /// Whether one more event of limit `index` would be within. Changes nothing.
    pub fn within(&self, quota: &Quota, index: usize, hash: u64, now: Now) -> bool {
        let (set, mark) = self.place(hash, index);
        find(set, mark).is_none_or(|(_, word)| quota.charge(word, now.ticks()) != Charge::Over)
    }

    /// Forgets what the source owes to limit `index`.
    pub fn forget(&self, index: usize, hash: u64) {
        let (set, mark) = self.place(hash, index);
        if let Some((slot, word)) = find(set, mark) {
            // If it changed meanwhile, a new event came in and counts.
            let _ = slot.compare_exchange(word, 0, Relaxed, Relaxed);
        }
    }

    /// Clears the expired words among `count` words from `start`, and returns how many sources
    /// the first limit knows among them, and where to go on (0 at the end). To be called often enough that each word is seen once
    /// a day, because stored times wrap.
    pub fn sweep(&self, start: usize, count: usize, now: Now) -> (usize, usize) {
        let end = start.saturating_add(count).min(self.words.len());
        let mut live = 0;
        for slot in self.words.get(start..end).unwrap_or_default() {
            let word = slot.load(Relaxed);
            if word == 0 {
                continue;
            }
            if self.weigh(word, now.ticks()) > 0 {
                live += usize::from(word >> (TAG_BITS + TIME_BITS) == 0);
            } else {
                let _ = slot.compare_exchange(word, 0, Relaxed, Relaxed);
            }
        }
        (live, if end == self.words.len() { 0 } else { end })
    }

    /// The set and the mark (index and tag, in place) of a hash.
    #[inline]
    fn place(&self, hash: u64, index: usize) -> (&'static [AtomicU64], u64) {
        let set = hash as usize & self.set_mask;
        let tag = hash >> (64 - TAG_BITS);
        let mark = (index as u64) << (TAG_BITS + TIME_BITS) | tag << TIME_BITS;
        (&self.words[set * self.ways..][..self.ways], mark)
    }

    /// Takes the word that can best be spared. `None` if another process was faster.
    #[cold]
    fn insert(&self, set: &[AtomicU64], mark: u64, quota: &Quota, ticks: u64) -> Option<Charged> {
        let mut victim: Option<(&AtomicU64, u64, u64)> = None;
        for slot in set {
            let word = slot.load(Relaxed);
            let weight = self.weigh(word, ticks);
            if victim.is_none_or(|(_, _, least)| weight < least) {
                victim = Some((slot, word, weight));
                if weight == 0 {
                    break;
                }
            }
        }
        let (slot, word, weight) = victim?;
        let Charge::Within(time) = quota.charge(ticks, ticks) else {
            return None;
        };
        slot.compare_exchange(word, mark | time, Relaxed, Relaxed)
            .ok()?;
        Some(Charged {
            within: true,
            evicted: weight > 0,
        })
    }

    /// The debt of a word relative to the window of its own limit; 0 is expired or empty.
    fn weigh(&self, word: u64, ticks: u64) -> u64 {
        let index = (word >> (TAG_BITS + TIME_BITS)) as usize;
        match self.scale.get(index) {
            Some(quota) if word != 0 && quota.debt(word, ticks) > 0 => {
                quota.relative_debt(word, ticks).max(1)
            }
            _ => 0,
        }
    }
}

/// The word with this mark. An empty word matches no mark but that of limit 0 and tag 0, and
/// there its time 0 means what emptiness means.
#[inline]
fn find(set: &[AtomicU64], mark: u64) -> Option<(&AtomicU64, u64)> {
    for slot in set {
        let word = slot.load(Relaxed);
        if word & !TIME_MASK == mark && word != 0 {
            return Some((slot, word));
        }
    }
    None
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
