//! What this node changed and the fleet does not know yet: marks in the record itself, so that an
//! event that was dropped, a dead agent or a long outage loses nothing.
//!
//! Marked by whoever changes a record, written to Redis and cleared by the agent. The payload is
//! `time of the change : 40 | in hand : 1 | aspects : 7`. The agent takes a record in hand before
//! it reads the state that it writes, and a later change takes it out again, so a mark is only
//! cleared when what was written is what still holds.
#![forbid(unsafe_code)]

use super::slot::{Update, Word};
use super::{Key, Ledger};
use crate::engine::facts::Now;
use crate::source::Source;

const IN_HAND: u64 = 0x80;
const ASPECTS: u64 = 0x7f;

/// What of a record changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Aspect {
    /// The ban: it holds, or it was lifted.
    Ban = 1,
    /// The whitelist entry: it holds, or it was removed.
    Whitelist = 2,
    /// The cool-down after a revocation.
    Cooldown = 4,
}

/// Changes that wait for the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    aspects: u64,
    /// Ledger time of the last of them.
    pub since: u64,
}

impl Pending {
    /// Whether this aspect is among them.
    pub fn has(&self, aspect: Aspect) -> bool {
        self.aspects & aspect as u64 != 0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.aspects == 0
    }

    fn from_payload(payload: u64) -> Pending {
        Pending {
            aspects: payload & ASPECTS,
            since: payload >> 8,
        }
    }
}

impl Ledger {
    /// Marks a change of a record that exists.
    pub fn mark(&self, key: Key, aspect: Aspect, now: Now) {
        self.change(key, Word::Pending, |old| {
            Some(now.ms() << 8 | old & ASPECTS | aspect as u64)
        });
    }

    /// What waits for the fleet. Changes nothing.
    pub fn pending(&self, key: Key) -> Pending {
        let payload = self
            .find(key, None)
            .map_or(0, |(slot, meta)| slot.payload(meta, Word::Pending));
        Pending::from_payload(payload)
    }

    /// Takes what is pending in hand: to be called before the state is read that is going to be
    /// written.
    pub fn take_pending(&self, key: Key) -> Pending {
        let mut taken = Pending::default();
        self.change(key, Word::Pending, |old| {
            taken = Pending::from_payload(old);
            (old & ASPECTS != 0).then_some(old | IN_HAND)
        });
        taken
    }

    /// What was in hand has been written: clears the marks, unless something changed meanwhile.
    pub fn settle(&self, key: Key) {
        self.change(key, Word::Pending, |old| (old & IN_HAND != 0).then_some(0));
    }

    /// The addresses with something pending.
    pub fn all_pending(self) -> impl Iterator<Item = Source> {
        (0..self.capacity()).filter_map(move |place| {
            if self.tag(place) == 0 {
                return None;
            }
            let slot = self.slot(place);
            let (meta, bits, user) = slot.key()?;
            let waits = user.is_none() && slot.payload(meta, Word::Pending) & ASPECTS != 0;
            waits.then(|| Source::from_parts(bits, meta.length()))
        })
    }

    /// Changes a word of the first record of an address, if it has one.
    pub(super) fn change(&self, key: Key, word: Word, mut change: impl FnMut(u64) -> Option<u64>) {
        for _ in 0..super::TRIES {
            let Some((slot, meta)) = self.find(key, None) else {
                return;
            };
            if slot.update(meta, word, &mut change) != Update::Lost {
                return;
            }
        }
    }
}
