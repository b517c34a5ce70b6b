//! What a node counts, and what there is of everything.
//!
//! Counted by every process in a row of its own; added up where an operator asks.

use std::sync::atomic::Ordering::Relaxed;

use super::Node;
use crate::shared::snapshot::Section;
use crate::shared::statistics::Count;

impl Node {
    /// Bans that hold: of sources, as the last sweep counted them, and of networks.
    pub fn active_bans(&self) -> u64 {
        self.ledger.census().bans() + self.lists.count(Section::Bans, self.now())
    }

    /// Whitelist entries that hold, counted in the same way.
    pub fn active_whitelist(&self) -> u64 {
        let networks = self.lists.count(Section::Whitelist, self.now());
        self.ledger.census().whitelisted() + networks
    }

    /// Live entries that gave way to others: in the tables of rates and of `sec_count`, and in the
    /// ledger.
    pub fn evictions(&self) -> u64 {
        self.counted(Count::Evictions) + self.ledger.census().evictions()
    }

    /// The number of this process.
    #[inline]
    fn process(&self) -> usize {
        usize::try_from(self.process.load(Relaxed)).unwrap_or(0)
    }

    /// Counts for this process.
    #[inline]
    pub fn count(&self, count: Count, number: u64) {
        self.statistics.add(self.process(), count, number);
    }

    /// Counts a request from an address that a feed lists, for that feed.
    pub fn count_hit(&self, feed: usize) {
        let process = self.process();
        self.statistics.add_hit(process, feed);
    }

    /// The hits of a feed, in all processes.
    pub fn hits(&self, feed: usize) -> u64 {
        self.statistics.hits(feed)
    }

    /// What all processes have counted.
    pub fn counted(&self, count: Count) -> u64 {
        self.statistics.sum(count)
    }

    /// Requests decided.
    pub fn checks(&self) -> u64 {
        self.counted(Count::Allowed) + self.counted(Count::Denied)
    }
}
