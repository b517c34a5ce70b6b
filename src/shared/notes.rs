//! Short texts that the agent leaves for whoever answers `sec.status`: what is wrong with the link,
//! which keys make no sense.
//!
//! Written by the agent alone, read by RPC processes. A reader that meets a text being written
//! tries again a few times and then shows none.
#![forbid(unsafe_code)]

use super::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// Longest text in bytes; a longer one is cut.
pub const NOTE_MAX: usize = 160;
const CELL: usize = 1 + NOTE_MAX / 8;
const NOTES: usize = 8;
const TRIES: usize = 16;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Why the link to Redis is down.
    Redis,
    /// The first keys that make no sense, by number below [`Note::GARBAGE_MAX`].
    Garbage(usize),
    /// What came of the last reload of `whitelist_file`.
    WhitelistFile,
}

impl Note {
    /// Keys that are remembered by name.
    pub const GARBAGE_MAX: usize = 4;

    fn index(self) -> usize {
        match self {
            Note::Redis => 0,
            Note::Garbage(number) => 1 + number.min(Note::GARBAGE_MAX - 1),
            Note::WhitelistFile => 1 + Note::GARBAGE_MAX,
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
    pub const WORDS: usize = NOTES * CELL;

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Notes {
        Notes { words }
    }

    fn cell(&self, note: Note) -> &'static [AtomicU64] {
        &self.words[note.index() * CELL..][..CELL]
    }

    /// Writes a text; only the agent may. An empty one removes it.
    pub fn write(&self, note: Note, text: &str) {
        let cell = self.cell(note);
        let mut bytes = [0; NOTE_MAX];
        let length = text.floor_char_boundary(NOTE_MAX);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        // An agent that died in the middle left an odd version: the next even one is above it.
        let version = cell[0].load(Relaxed) | 1;
        cell[0].store(version, Relaxed);
        fence(Release);
        for (word, eight) in cell[1..].iter().zip(bytes.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*eight), Relaxed);
        }
        cell[0].store(version.wrapping_add(1), Release);
    }

    /// Reads a text; empty when there is none.
    pub fn read(&self, note: Note) -> String {
        let cell = self.cell(note);
        for _ in 0..TRIES {
            let version = cell[0].load(Acquire);
            let bytes: Vec<u8> = cell[1..]
                .iter()
                .flat_map(|word| word.load(Relaxed).to_le_bytes())
                .collect();
            fence(Acquire);
            if version & 1 == 0 && cell[0].load(Relaxed) == version {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NOTE_MAX);
                return String::from_utf8_lossy(&bytes[..end]).into_owned();
            }
        }
        String::new()
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

    #[test]
    fn a_half_written_text_is_not_shown_and_heals() {
        let words = Region::new(Notes::WORDS).unwrap().take(Notes::WORDS);
        let notes = Notes::new(words);
        notes.write(Note::Redis, "before");
        words[0].fetch_or(1, Relaxed);
        assert_eq!(notes.read(Note::Redis), "");
        notes.write(Note::Redis, "after");
        assert_eq!(notes.read(Note::Redis), "after");
    }
}
