//! How the feeds are, for whoever asks `sec.feeds`: how many entries, since when, and what was wrong.
//!
//! Written by the agent alone, a line for each feed; read by RPC processes. SIP workers read the
//! entries from the snapshot.
#![forbid(unsafe_code)]

use super::line::{Line, text};
use super::sync::AtomicU64;
use crate::feed::FEEDS_MAX;

/// Longest text in bytes.
const TEXT_MAX: usize = 400;
const NUMBERS: usize = 5;
const BYTES: usize = 8 * NUMBERS + 2 * TEXT_MAX;

/// A feed, as it is now. Times are seconds since 1970; 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Addresses and prefixes that count.
    pub entries: u64,
    /// Lines of the last list that were none.
    pub skipped: u64,
    /// When the list was last loaded, or found unchanged.
    pub loaded: u64,
    /// When it is looked for again.
    pub next: u64,
    /// Attempts in a row that have failed.
    pub failures: u64,
    /// Why the last one has; empty if all is well.
    pub problem: String,
    /// The first of the skipped lines.
    pub reasons: String,
}

/// The table.
#[derive(Clone, Copy)]
pub struct FeedStates {
    words: &'static [AtomicU64],
}

impl FeedStates {
    /// Words that the region must hold.
    pub const WORDS: usize = FEEDS_MAX * Line::words(BYTES);

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> FeedStates {
        FeedStates { words }
    }

    /// Writes how a feed is; only the agent may.
    pub fn write(&self, feed: usize, state: &FeedState) {
        if feed < FEEDS_MAX {
            Line::of(self.words, BYTES, feed).write(&encode(state));
        }
    }

    /// How a feed is; nothing is known of one that was never written.
    pub fn read(&self, feed: usize) -> FeedState {
        if feed >= FEEDS_MAX {
            return FeedState::default();
        }
        decode(&Line::of(self.words, BYTES, feed).read()).unwrap_or_default()
    }
}

fn encode(state: &FeedState) -> Vec<u8> {
    let numbers = [
        state.entries,
        state.skipped,
        state.loaded,
        state.next,
        state.failures,
    ];
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
    for part in [&state.problem, &state.reasons] {
        let end = bytes.len() + TEXT_MAX;
        let length = part.floor_char_boundary(TEXT_MAX);
        bytes.extend_from_slice(&part.as_bytes()[..length]);
        bytes.resize(end, 0);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<FeedState> {
    let (numbers, texts) = bytes.split_at_checked(8 * NUMBERS)?;
    let (problem, reasons) = texts.split_at_checked(TEXT_MAX)?;
    let numbers = numbers.as_chunks().0;
    let number = |place: usize| Some(u64::from_le_bytes(*numbers.get(place)?));
    Some(FeedState {
        entries: number(0)?,
        skipped: number(1)?,
        loaded: number(2)?,
        next: number(3)?,
        failures: number(4)?,
        problem: text(problem),
        reasons: text(reasons.get(..TEXT_MAX)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    #[test]
    fn states_are_kept_apart_and_long_texts_cut() {
        let words = Region::new(FeedStates::WORDS)
            .unwrap()
            .take(FeedStates::WORDS);
        let states = FeedStates::new(words);
        assert_eq!(states.read(0), FeedState::default());
        let state = FeedState {
            entries: 1,
            skipped: 2,
            loaded: 3,
            next: 4,
            failures: 5,
            problem: "no answer".into(),
            reasons: "é".repeat(300),
        };
        states.write(FEEDS_MAX - 1, &state);
        states.write(FEEDS_MAX, &state);
        let reasons = "é".repeat(200);
        assert_eq!(states.read(FEEDS_MAX - 1), FeedState { reasons, ..state });
        assert_eq!(states.read(FEEDS_MAX - 2), FeedState::default());
        assert_eq!(states.read(FEEDS_MAX), FeedState::default());
    }
}
