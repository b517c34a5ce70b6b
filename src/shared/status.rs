//! What all processes must agree on and the agent reports: the mode, and signs of the agent's life.
//!
//! `mode` is read by every worker for each request and written by `sec.mode`.
#![forbid(unsafe_code)]

use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::engine::facts::Now;

/// A few words of the region.
#[derive(Clone, Copy)]
pub struct Status {
    words: &'static [AtomicU64],
}

impl Status {
    /// Words that the region must hold.
    pub const WORDS: usize = 16;
    const SHADOW: usize = 0;
    const PULSE: usize = 1;
    const AGENT_PID: usize = 2;
    const AGENT_STARTS: usize = 3;
    const SOURCES: usize = 4;
    const LINK_UP: usize = 5;
    const LINKS: usize = 6;
    const LOADED: usize = 7;
    const CONTACT: usize = 8;
    const KEYS: usize = 9;
    const GARBAGE: usize = 10;
    const UNWRITTEN: usize = 11;
    const UNDER_WAY: usize = 12;
    const LOG: usize = 13;
    const STATE_SPARED: usize = 14;
    /// Bits of a hash in the word of what is under way; the rest is a time.
    const ABOUT_BITS: u32 = 24;
    const ABOUT: u64 = (1 << Self::ABOUT_BITS) - 1;

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Status {
        Status { words }
    }

    /// Whether decisions take no effect.
    #[inline]
    pub fn shadow(&self) -> bool {
        self.words[Self::SHADOW].load(Relaxed) != 0
    }

    /// Switches shadow mode on or off; what it was.
    pub fn set_shadow(&self, shadow: bool) -> bool {
        self.words[Self::SHADOW].swap(u64::from(shadow), Relaxed) != 0
    }

    /// The agent has begun to work.
    pub fn agent_started(&self, pid: i32) {
        self.words[Self::AGENT_PID].store(u64::from(pid.unsigned_abs()), Relaxed);
        self.words[Self::AGENT_STARTS].fetch_add(1, Relaxed);
    }

    /// The agent is at work.
    pub fn beat(&self, now: Now) {
        self.words[Self::PULSE].store(now.ms().max(1), Relaxed);
    }

    /// The agent has ended.
    pub fn agent_ended(&self) {
        self.words[Self::PULSE].store(0, Relaxed);
    }

    /// Level and facility of the log, as the supervisor follows them for the agent.
    pub fn set_log(&self, level: i32, facility: i32) {
        let (level, facility) = (level.cast_unsigned(), facility.cast_unsigned());
        let word = u64::from(level) << 32 | u64::from(facility);
        self.words[Self::LOG].store(word, Relaxed);
    }

    /// Level and facility of the log.
    pub fn log(&self) -> (i32, i32) {
        let word = self.words[Self::LOG].load(Relaxed);
        let half = |word: u64| (word as u32).cast_signed();
        (half(word >> 32), half(word))
    }

    /// The agent was given an order whose effect will show; what it is about, as a hash.
    pub fn set_under_way(&self, about: u64, now: Now) {
        let word = now.ms() << Self::ABOUT_BITS | about & Self::ABOUT;
        self.words[Self::UNDER_WAY].store(word, Relaxed);
    }

    /// Takes that note back. Whether the last such order was about this, and not longer ago.
    pub fn take_under_way(&self, about: u64, now: Now, ms_max: u64) -> bool {
        let word = self.words[Self::UNDER_WAY].swap(0, Relaxed);
        let age = now.ms().saturating_sub(word >> Self::ABOUT_BITS);
        word != 0 && word & Self::ABOUT == about & Self::ABOUT && age <= ms_max
    }

    /// The last sign of life; 0 if the agent gave none yet, or has ended.
    pub fn agent_beat(&self) -> u64 {
        self.words[Self::PULSE].load(Relaxed)
    }

    /// Milliseconds since the agent was last seen at work; `None` if it never was, or
    /// has ended.
    pub fn agent_silence_ms(&self, now: Now) -> Option<u64> {
        match self.words[Self::PULSE].load(Relaxed) {
            0 => None,
            pulse => Some(now.ms().saturating_sub(pulse)),
        }
    }

    /// Process id of the agent that started last.
    pub fn agent_pid(&self) -> u64 {
        self.words[Self::AGENT_PID].load(Relaxed)
    }

    /// How often an agent has started.
    pub fn agent_starts(&self) -> u64 {
        self.words[Self::AGENT_STARTS].load(Relaxed)
    }

    /// Sources with a live rate, as the last sweep counted them.
    pub fn sources(&self) -> u64 {
        self.words[Self::SOURCES].load(Relaxed)
    }

    /// What a sweep counted.
    pub fn set_sources(&self, sources: u64) {
        self.words[Self::SOURCES].store(sources, Relaxed);
    }

    /// The link to Redis came up; whether it is up.
    pub fn set_link(&self, up: bool) {
        self.words[Self::LINK_UP].store(u64::from(up), Relaxed);
        if up {
            self.words[Self::LINKS].fetch_add(1, Relaxed);
        }
    }

    /// Whether the link to Redis is up.
    pub fn link_up(&self) -> bool {
        self.words[Self::LINK_UP].load(Relaxed) != 0
    }

    /// How often the link came up again after it was lost.
    pub fn reconnects(&self) -> u64 {
        self.words[Self::LINKS].load(Relaxed).saturating_sub(1)
    }

    /// All keys have been read once since the start.
    pub fn set_loaded(&self) {
        self.words[Self::LOADED].store(1, Relaxed);
    }

    /// Whether all keys have been read once.
    #[inline]
    pub fn loaded(&self) -> bool {
        self.words[Self::LOADED].load(Relaxed) != 0
    }

    /// What is in the place of the state file could neither be read nor be set aside: no agent may
    /// write over it.
    pub fn spare_state_file(&self) {
        self.words[Self::STATE_SPARED].store(1, Relaxed);
    }

    /// Whether no agent may write the state file.
    pub fn state_file_spared(&self) -> bool {
        self.words[Self::STATE_SPARED].load(Relaxed) != 0
    }

    /// Redis answered: what is known of it is as old as that.
    pub fn contact(&self, now: Now) {
        self.words[Self::CONTACT].store(now.ms().max(1), Relaxed);
    }

    /// Milliseconds since Redis last answered; `None` if it never did.
    pub fn replica_age_ms(&self, now: Now) -> Option<u64> {
        match self.words[Self::CONTACT].load(Relaxed) {
            0 => None,
            contact => Some(now.ms().saturating_sub(contact)),
        }
    }

    /// Keys that the last full reading found, those that made no sense among them, and local
    /// changes that wait to be written.
    pub fn set_replica(&self, keys: u64, garbage: u64, unwritten: u64) {
        self.words[Self::KEYS].store(keys, Relaxed);
        self.words[Self::GARBAGE].store(garbage, Relaxed);
        self.words[Self::UNWRITTEN].store(unwritten, Relaxed);
    }

    /// Keys that the last full reading found.
    pub fn keys(&self) -> u64 {
        self.words[Self::KEYS].load(Relaxed)
    }

    /// Keys that make no sense.
    pub fn garbage(&self) -> u64 {
        self.words[Self::GARBAGE].load(Relaxed)
    }

    /// Local changes that wait to be written.
    pub fn unwritten(&self) -> u64 {
        self.words[Self::UNWRITTEN].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    #[test]
    fn the_settings_of_the_log_keep_their_sign() {
        let status = Status::new(Region::new(Status::WORDS).unwrap().take(Status::WORDS));
        for settings in [(-5, 24), (3, -1), (0, 0)] {
            status.set_log(settings.0, settings.1);
            assert_eq!(status.log(), settings);
        }
    }

    #[test]
    fn an_order_under_way_is_taken_back_once_and_soon() {
        let status = Status::new(Region::new(Status::WORDS).unwrap().take(Status::WORDS));
        let at = |ms: u64| Now::from_ns(ms * 1_000_000);
        assert!(!status.take_under_way(7, at(0), 100));
        status.set_under_way(7, at(0));
        assert!(status.take_under_way(7, at(100), 100));
        assert!(!status.take_under_way(7, at(100), 100));
        status.set_under_way(7, at(5));
        assert!(!status.take_under_way(8, at(6), 100));
        status.set_under_way(7, at(5));
        assert!(!status.take_under_way(7, at(106), 100));
    }
}
