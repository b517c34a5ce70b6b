//! The agent's round through the ledger: takes out what holds no more, counts what does, and
//! puts right what a dead agent left half done.
//!
//! Called by the agent only, one at a time. It never frees what another process is changing.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{State, Word};
use super::{Ledger, Update, denials, guesses, lookup, strikes};
use crate::engine::facts::Now;
use crate::engine::lookup::LookUp;

/// Counts of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    bans: u64,
    whitelisted: u64,
    trusted: u64,
    records: u64,
}

impl Ledger {
    /// One round through all records.
    pub fn sweep(&self, now: Now) {
        let mut counts = Counts::default();
        for place in 0..self.capacity() {
            if self.tag(place) != 0 {
                self.sweep_place(place, now, &mut counts);
            }
        }
        let Counts {
            bans,
            whitelisted,
            trusted,
            records,
        } = counts;
        self.census.store(bans, whitelisted, trusted, records);
    }

    fn sweep_place(&self, place: usize, now: Now, counts: &mut Counts) {
        let slot = self.slot(place);
        let meta = slot.meta();
        if !meta.is(State::Live) {
            return;
        }
        let class = || self.worth(&slot, meta, now).0;
        let dead = || class() == Class::Dead;
        if dead() && slot.retire(meta, meta.with(State::Clearing), dead) {
            self.set_tag(place, 0);
            slot.release(meta);
            return;
        }
        counts.records += u64::from(class() > Class::Denied);
        let holds = |word| u64::from(slot.payload(meta, word) >> 8 > now.ms());
        counts.bans += holds(Word::Ban) * u64::from(!meta.is_user()); // a user's is a mute
        counts.whitelisted += holds(Word::Whitelist);
        counts.trusted += holds(Word::Trust);
        self.clear_faded(&slot, meta, now);
    }

    /// What has faded is cleared, because the numbers of its quarter or hour wrap; with the strikes
    /// goes the memory of who was tried.
    fn clear_faded(&self, slot: &super::Slot, meta: super::Meta, now: Now) {
        let faded = |counts| {
            (counts != 0 && strikes::total(counts, now.ms(), self.strike_window_ms) == 0)
                .then_some(0)
        };
        slot.update(meta, Word::Guesses, |guesses| {
            (guesses != 0 && guesses::is_faded(guesses, now)).then_some(0)
        });
        slot.update(meta, Word::Denials, |old| denials::faded(old, now));
        slot.update(meta, Word::Forgeable, faded);
        let cleared = slot.update(meta, Word::Strikes, faded);
        if matches!(cleared, Update::Done(_)) && !meta.is_user() {
            slot.update(meta, Word::UsersOrUserLow, |_| Some(0));
        }
    }

    /// Puts right what an agent left that died in the middle: to be called by its successor before
    /// anything else. Records that workers hold are not touched.
    pub fn recover(&self) {
        for place in 0..self.capacity() {
            let slot = self.slot(place);
            let meta = slot.meta();
            if meta.is(State::Retiring) {
                slot.shift(meta, meta.with(State::Live));
            } else if meta.is(State::Clearing) || meta.is(State::ClaimedByAgent) {
                self.set_tag(place, 0);
                slot.release(meta);
            }
        }
    }

    /// Lifts all shadow bans and holds: shadow mode is over. Returns how many there were.
    pub fn drop_shadow_bans(&self, now: Now) -> usize {
        let mut dropped = 0;
        for place in 0..self.capacity() {
            let slot = self.slot(place);
            let Some((meta, _, _)) = slot.key() else {
                continue;
            };
            if matches!(lookup::known(&slot, meta, now), LookUp::Held(hold) if hold.shadow) {
                lookup::release(&slot, meta);
            }
            if slot.payload(meta, Word::BanOrigin) & super::SHADOW == 0 {
                continue;
            }
            let lifted = slot.update(meta, Word::Ban, |old| (old != 0).then_some(0));
            dropped += usize::from(matches!(lifted, Update::Done(old) if old >> 8 > now.ms()));
        }
        dropped
    }
}
