//! What happened, as numbers: a row of counters for each process, so that no two SIP workers
//! write to one cache line; the sum is what an operator sees.
//!
//! Every process counts in its own row; whoever answers a question adds them up.
#![forbid(unsafe_code)]

use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::feed::FEEDS_MAX;

/// One counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Count {
    /// Requests that `sec_check` let through.
    Allowed,
    /// Requests that it refused.
    Denied,
    /// Bans made.
    Bans,
    /// Bans lifted before their end.
    Unbans,
    /// Whitelist entries revoked.
    Revocations,
    /// Weight of the offences reported.
    Strikes,
    /// Requests let through because of a whitelist.
    WhitelistHits,
    /// Requests from addresses that a feed lists.
    FeedHits,
    /// Live words or records that had to give way: a table is too small.
    Evictions,
    /// Events that the agent never saw.
    EventsDropped,
    /// Calls that could not do what they were asked to.
    Errors,
    /// Panics caught at the border.
    Panics,
    /// Requests that shadow mode, or a shadow limit, would have refused.
    ShadowDenied,
    /// Addresses whose names were looked up.
    RdnsLookups,
    /// Offenders that were not banned for their names.
    RdnsSpared,
}

/// Counters in a row: six cache lines.
const ROW: usize = 48;
/// Where the counters of feeds begin.
const FEEDS: usize = 32;
const _: () = assert!(FEEDS + FEEDS_MAX <= ROW);
/// Processes with a row of their own; further ones share the last.
const ROWS: usize = 512;

/// The table of counters.
#[derive(Clone, Copy)]
pub struct Statistics {
    words: &'static [AtomicU64],
}

impl Statistics {
    /// Words that the region must hold.
    pub const WORDS: usize = ROW * ROWS;

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Statistics {
        Statistics { words }
    }

    /// Adds `number` to a counter of the process that Kamailio numbers `process`.
    #[inline]
    pub fn add(&self, process: usize, count: Count, number: u64) {
        self.add_at(process, count as usize, number);
    }

    /// Adds a hit to a feed, for that process.
    pub fn add_hit(&self, process: usize, feed: usize) {
        self.add_at(process, FEEDS + feed.min(FEEDS_MAX - 1), 1);
    }

    #[inline]
    fn add_at(&self, process: usize, column: usize, number: u64) {
        let row = process.min(ROWS - 1);
        let word = &self.words[row * ROW + column];
        if row < ROWS - 1 {
            // A row has one writer, so no other addition can come in between.
            word.store(word.load(Relaxed).wrapping_add(number), Relaxed);
        } else {
            word.fetch_add(number, Relaxed);
        }
    }

    /// The sum over all processes.
    pub fn sum(&self, count: Count) -> u64 {
        self.sum_at(count as usize)
    }

    /// The hits of a feed over all processes.
    pub fn hits(&self, feed: usize) -> u64 {
        self.sum_at(FEEDS + feed.min(FEEDS_MAX - 1))
    }

    fn sum_at(&self, column: usize) -> u64 {
        let column = self.words.iter().skip(column).step_by(ROW);
        column.fold(0, |sum, word| sum.wrapping_add(word.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    #[test]
    fn all_processes_are_summed_up() {
        let mut region = Region::new(Statistics::WORDS).unwrap();
        let statistics = Statistics::new(region.take(Statistics::WORDS));
        for process in [0, 1, 7, 510, 511, 9999] {
            statistics.add(process, Count::Allowed, 1);
            statistics.add(process, Count::ShadowDenied, 2);
            statistics.add_hit(process, 0);
            statistics.add_hit(process, FEEDS_MAX - 1);
        }
        assert_eq!(statistics.sum(Count::Allowed), 6);
        assert_eq!(statistics.sum(Count::ShadowDenied), 12);
        assert_eq!(statistics.sum(Count::Bans), 0);
        assert_eq!([0, 1, FEEDS_MAX - 1].map(|n| statistics.hits(n)), [6, 0, 6]);
    }
}
