//! Short texts that the agent leaves for whoever answers `sec.status`: what is wrong with the link,
//! which keys make no sense.
//!
//! Written by the agent alone, read by RPC processes; each is a line of its own (see `line`).
#![forbid(unsafe_code)]

use super::line::{self, Line};
use super::sync::AtomicU64;

/// Longest text in bytes; a longer one is cut.
pub const NOTE_MAX: usize = 160;
const NOTES: usize = 16;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Why the link to Redis is down.
    Redis,
    /// The first keys that make no sense, by number below [`Note::GARBAGE_MAX`].
    Garbage(usize),
    /// What came of the last reload of `whitelist_file`.
    WhitelistFile,
    /// Why nobody is judged by extensions, in one domain or in all.
    Extensions,
    /// What came of the last reload of `extension_file`.
    ExtensionFile,
    /// What came of the last reading of `extension_redis_key`.
    ExtensionSets,
    /// Why statsd gets no metrics.
    Statsd,
    /// Why Graphite gets none.
    Graphite,
    /// Why the file of bans is not written.
    Export,
    /// Why the sets of the firewall get no bans.
    NftSet,
}

impl Note {
    /// Keys that are remembered by name.
    pub const GARBAGE_MAX: usize = 4;

    fn index(self) -> usize {
        match self {
            Note::Redis => 0,
            Note::Garbage(number) => 1 + number.min(Note::GARBAGE_MAX - 1),
            Note::WhitelistFile => 1 + Note::GARBAGE_MAX,
            Note::Statsd => 2 + Note::GARBAGE_MAX,
            Note::Graphite => 3 + Note::GARBAGE_MAX,
            Note::Export => 4 + Note::GARBAGE_MAX,
            Note::NftSet => 5 + Note::GARBAGE_MAX,
            Note::Extensions => 6 + Note::GARBAGE_MAX,
            Note::ExtensionFile => 7 + Note::GARBAGE_MAX,
            Note::ExtensionSets => 8 + Note::GARBAGE_MAX,
        }
    }
}

/// The texts.
#[derive(Clone, Copy)]
pub struct Notes {
    words: &'static [AtomicU64],
}

impl Notes {
    /// Words that the region must hold.
    pub const WORDS: usize = NOTES * Line::words(NOTE_MAX);

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Notes {
        Notes { words }
    }

    fn line(&self, note: Note) -> Line {
        Line::of(self.words, NOTE_MAX, note.index())
    }

    /// Writes a text; only the agent may. An empty one removes it.
    pub fn write(&self, note: Note, text: &str) {
        let length = text.floor_char_boundary(NOTE_MAX);
        self.line(note).write(&text.as_bytes()[..length]);
    }

    /// Reads a text; empty when there is none.
    pub fn read(&self, note: Note) -> String {
        line::text(&self.line(note).read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    #[test]
    fn texts_are_kept_apart_cut_and_removed() {
        let notes = Notes::new(Region::new(Notes::WORDS).unwrap().take(Notes::WORDS));
        assert_eq!(notes.read(Note::Redis), "");
        notes.write(Note::Redis, "connection refused");
        notes.write(Note::Garbage(0), &"é".repeat(200));
        assert_eq!(notes.read(Note::Redis), "connection refused");
        assert_eq!(notes.read(Note::Garbage(0)), "é".repeat(80));
        notes.write(Note::Redis, "");
        assert_eq!(notes.read(Note::Redis), "");
    }
}
