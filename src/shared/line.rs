//! A few bytes that one process writes and any other reads: all of the old ones or all of the new.
//!
//! Used for what the agent tells operators. The first word is a version, odd while the bytes are
//! being written; a reader that meets that looks again a few times and then sees nothing. The bytes
//! are filled up with zeros.
#![forbid(unsafe_code)]

use super::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

const TRIES: usize = 16;

/// A line in the region. Cheap to make: it is only a place.
#[derive(Clone, Copy)]
pub struct Line {
    words: &'static [AtomicU64],
}

impl Line {
    /// Words that a line of `bytes` bytes takes.
    pub const fn words(bytes: usize) -> usize {
        1 + bytes.div_ceil(8)
    }

    /// The line in these words.
    pub fn new(words: &'static [AtomicU64]) -> Line {
        Line { words }
    }

    /// The line with this number among those of `bytes` bytes that lie one after the other.
    pub fn of(words: &'static [AtomicU64], bytes: usize, number: usize) -> Line {
        let length = Line::words(bytes);
        Line::new(&words[number * length..][..length])
    }

    /// Writes; only one process may. What does not fit is cut.
    pub fn write(&self, bytes: &[u8]) {
        let [version, words @ ..] = self.words else {
            return;
        };
        // A writer that died in the middle left an odd version: the next even one is above it.
        let writing = version.load(Relaxed) | 1;
        version.store(writing, Relaxed);
        fence(Release);
        let mut rest = bytes;
        for word in words {
            let (head, tail) = rest.split_at(rest.len().min(8));
            let mut eight = [0; 8];
            eight[..head.len()].copy_from_slice(head);
            word.store(u64::from_le_bytes(eight), Relaxed);
            rest = tail;
        }
        version.store(writing.wrapping_add(1), Release);
    }

    /// Reads everything, with the zeros; empty if it was never written, or is again and again.
    pub fn read(&self) -> Vec<u8> {
        let [version, words @ ..] = self.words else {
            return Vec::new();
        };
        for _ in 0..TRIES {
            let before = version.load(Acquire);
            if before == 0 {
                return Vec::new();
            }
            let bytes: Vec<u8> = words
                .iter()
                .flat_map(|word| word.load(Relaxed).to_le_bytes())
                .collect();
            fence(Acquire);
            if before & 1 == 0 && version.load(Relaxed) == before {
                return bytes;
            }
        }
        Vec::new()
    }
}

/// A text without the zeros behind it.
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    #[test]
    fn bytes_are_kept_cut_and_filled_up() {
        let words = Region::new(64).unwrap().take(64);
        let (first, second) = (Line::of(words, 20, 0), Line::of(words, 20, 1));
        assert!(first.read().is_empty());
        first.write(b"abc");
        second.write(&[7; 99]);
        assert_eq!(first.read()[..4], *b"abc\0");
        assert_eq!(second.read(), [7; 24]);
        first.write(b"");
        assert_eq!(
            (text(&first.read()), first.read().len()),
            (String::new(), 24)
        );
    }

    #[test]
    fn a_half_written_line_is_not_shown_and_heals() {
        let words = Region::new(64).unwrap().take(64);
        let line = Line::of(words, 20, 0);
        line.write(b"before");
        words[0].fetch_or(1, Relaxed);
        assert!(line.read().is_empty());
        line.write(b"after");
        assert_eq!(text(&line.read()), "after");
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::shared::exploration::explore;

    /// A model with fewer executions than this has explored nothing.
    const EXECUTIONS_MIN: usize = 30;

    /// Whoever reads while another writes sees one of the two lines, or none.
    #[test]
    fn model_a_line_is_never_torn() {
        explore(3, EXECUTIONS_MIN, || {
            let words: Vec<AtomicU64> = (0..3).map(|_| AtomicU64::new(0)).collect();
            let line = Line::new(Box::leak(words.into_boxed_slice()));
            line.write(&[1; 16]);
            let writer = loom::thread::spawn(move || line.write(&[2; 16]));
            let read = line.read();
            assert!(
                read.is_empty() || read == [1; 16] || read == [2; 16],
                "{read:?}"
            );
            writer.join().unwrap();
            assert_eq!(line.read(), [2; 16]);
        });
    }
}
