//! What the last sweep counted, and what has happened since: the numbers behind `active_bans`,
//! `active_whitelist` and the whitelist's share of the ledger.
//!
//! Written by the agent's sweep and by whoever adds an entry; read by every process.
#![forbid(unsafe_code)]

use crate::shared::sync::{AtomicU64, Ordering::Relaxed};

/// Counters in shared memory.
#[derive(Clone, Copy)]
pub struct Census {
    words: &'static [AtomicU64],
}

impl Census {
    /// Words that the region must hold.
    pub const WORDS: usize = 8;

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Census {
        Census { words }
    }

    /// Bans that hold, shadow bans included.
    pub fn bans(&self) -> u64 {
        self.words[0].load(Relaxed)
    }

    /// Whitelist entries that hold.
    pub fn whitelisted(&self) -> u64 {
        self.words[1].load(Relaxed)
    }

    /// Trusted sources.
    pub fn trusted(&self) -> u64 {
        self.words[2].load(Relaxed)
    }

    /// Records in use.
    pub fn records(&self) -> u64 {
        self.words[3].load(Relaxed)
    }

    /// Records that had to give way to others.
    pub fn evictions(&self) -> u64 {
        self.words[4].load(Relaxed)
    }

    pub(super) fn store(&self, bans: u64, whitelisted: u64, trusted: u64, records: u64) {
        for (word, value) in self.words.iter().zip([bans, whitelisted, trusted, records]) {
            word.store(value, Relaxed);
        }
    }

    pub(super) fn whitelist_grew(&self) {
        self.words[1].fetch_add(1, Relaxed);
    }

    pub(super) fn evicted(&self) {
        self.words[4].fetch_add(1, Relaxed);
    }
}
