//! Words that are kept once each, so that a ledger record can name one in a byte and every process
//! can read it: reasons given to `sec_ban` and `sec_strike`, and the names of the fleet's nodes.
//!
//! Written by whichever process meets a new word, read by all. Bounded: when the table is full, or
//! while another process is just writing the same word, it is [`OTHER`].
#![forbid(unsafe_code)]

use super::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Words that can be told apart.
const ENTRIES: usize = 200;
/// What stands for a word that was not kept.
pub const OTHER: &str = "other";
/// Longest word in bytes; a longer one is cut.
pub const WORD_MAX: usize = 48;
const CELL: usize = 1 + WORD_MAX / 8;

const CLAIMED: u64 = 1;
const READY: u64 = 2;

/// The table of words.
#[derive(Clone, Copy)]
pub struct Words {
    cells: &'static [AtomicU64],
}

impl Words {
    /// Words of memory that the region must hold.
    pub const WORDS: usize = ENTRIES * CELL;

    /// Over zeroed words of the region.
    pub fn new(cells: &'static [AtomicU64]) -> Words {
        Words { cells }
    }

    /// The number that stands for `text`: cut to [`WORD_MAX`] bytes, with anything but printable
    /// ASCII replaced by `?`, because it goes into logs and keys. `None`: it is not kept.
    pub fn number(&self, text: &[u8]) -> Option<u8> {
        let text = clean(text);
        for (index, cell) in self.cells.chunks_exact(CELL).enumerate() {
            let index = index as u8;
            if cell[0].load(Acquire) == 0
                && cell[0]
                    .compare_exchange(0, CLAIMED, Acquire, Relaxed)
                    .is_ok()
            {
                for (word, bytes) in cell[1..].iter().zip(text.chunks_exact(8)) {
                    word.store(
                        u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
                        Relaxed,
                    );
                }
                cell[0].store(READY, Release);
                return Some(index);
            }
            if cell[0].load(Acquire) == READY && read(cell) == text {
                return Some(index);
            }
        }
        None
    }

    /// The text of a word by its number.
    pub fn text(&self, number: u8) -> String {
        match self.cells.chunks_exact(CELL).nth(usize::from(number)) {
            Some(cell) if cell[0].load(Acquire) == READY => {
                let text = read(cell);
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(WORD_MAX);
                String::from_utf8_lossy(&text[..end]).into_owned()
            }
            _ => OTHER.into(),
        }
    }
}

fn read(cell: &[AtomicU64]) -> [u8; WORD_MAX] {
    let mut text = [0; WORD_MAX];
    for (bytes, word) in text.chunks_exact_mut(8).zip(&cell[1..]) {
        bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
    }
    text
}

fn clean(text: &[u8]) -> [u8; WORD_MAX] {
    let mut cleaned = [0; WORD_MAX];
    for (to, from) in cleaned.iter_mut().zip(text) {
        *to = if from.is_ascii_graphic() || *from == b' ' {
            *from
        } else {
            b'?'
        };
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    fn words() -> Words {
        Words::new(Region::new(Words::WORDS).unwrap().take(Words::WORDS))
    }

    fn kept(words: &Words, text: &[u8]) -> String {
        words.text(words.number(text).unwrap())
    }

    #[test]
    fn a_word_is_kept_once_and_read_back() {
        let words = words();
        let scanner = words.number(b"scanner");
        assert_eq!(words.number(b"scanner"), scanner);
        assert_ne!(words.number(b"scanners"), scanner);
        assert_eq!(kept(&words, b"scanner"), "scanner");
        assert_eq!(words.text(99), "other");
    }

    #[test]
    fn hostile_words_are_cleaned_and_cut() {
        let words = words();
        assert_eq!(kept(&words, b"a\r\nb\xff"), "a??b?");
        assert_eq!(kept(&words, &[b'x'; 100]), "x".repeat(WORD_MAX));
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let words = words();
        for number in 0..ENTRIES {
            let word = format!("w{number}");
            assert_eq!(kept(&words, word.as_bytes()), word);
        }
        assert_eq!(words.number(b"one more"), None);
        assert_eq!(kept(&words, b"w7"), "w7");
    }
}
