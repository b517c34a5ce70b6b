//! A prefix map as words: what the agent publishes, and the columns that readers look up in.
//!
//! Two words of row counts, then the columns of [`PrefixMap`] one after the other, those of 32 bits
//! two to a word, lower half first.
#![forbid(unsafe_code)]

use super::{AtomicU64, Relaxed};
use crate::cidr::{Column, PrefixMap, PrefixTable};

/// A prefix map to look up in where it lies.
pub type WordTable<'a> = PrefixTable<Halves<'a>, Words<'a>>;

/// The words of a section of prefixes.
pub fn prefix_words(map: &PrefixMap) -> Vec<u64> {
    let table = map.table();
    let pair = |low: usize, high: usize| low as u64 | (high as u64) << 32;
    let mut words = vec![
        pair(table.v4_index.len(), table.v4_starts.len()),
        pair(table.v6_index.len(), table.v6_starts.len()),
    ];
    for column in [
        table.v4_index,
        table.v4_starts,
        table.v4_values,
        table.v6_index,
        table.v6_values,
    ] {
        let pairs = column.chunks(2).map(|rows| {
            let [low, high] = [0, 1].map(|row| u64::from(rows.get(row).copied().unwrap_or(0)));
            low | high << 32
        });
        words.extend(pairs);
    }
    words.extend_from_slice(table.v6_starts);
    words.extend_from_slice(table.v6_starts_low);
    words
}

/// The columns in a section's words; `None` if they are not all there.
#[inline]
pub(super) fn table(words: &[AtomicU64]) -> Option<WordTable<'_>> {
    let ([v4, v6], mut rest) = words.split_first_chunk()?;
    let (v4, v6) = (v4.load(Relaxed), v6.load(Relaxed));
    let (v4_index, v4_rows) = (v4 as u32 as usize, (v4 >> 32) as usize);
    let (v6_index, v6_rows) = (v6 as u32 as usize, (v6 >> 32) as usize);
    let mut halves = |rows: usize| {
        let (words, behind) = rest.split_at_checked(rows.div_ceil(2))?;
        rest = behind;
        Some(Halves { words, rows })
    };
    let (v4_index, v4_starts, v4_values) = (halves(v4_index)?, halves(v4_rows)?, halves(v4_rows)?);
    let (v6_index, v6_values) = (halves(v6_index)?, halves(v6_rows)?);
    let (v6_starts, rest) = rest.split_at_checked(v6_rows)?;
    let (v6_starts_low, _) = rest.split_at_checked(v6_rows)?;
    Some(PrefixTable {
        v4_index,
        v4_starts,
        v4_values,
        v6_index,
        v6_starts: Words(v6_starts),
        v6_starts_low: Words(v6_starts_low),
        v6_values,
    })
}

/// Rows of 64 bits.
#[derive(Clone, Copy)]
pub struct Words<'a>(pub(super) &'a [AtomicU64]);

impl Column<u64> for Words<'_> {
    #[inline]
    fn rows(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn at(&self, row: usize) -> Option<u64> {
        Some(self.0.get(row)?.load(Relaxed))
    }
}

/// Rows of 32 bits.
#[derive(Clone, Copy)]
pub struct Halves<'a> {
    words: &'a [AtomicU64],
    rows: usize,
}

impl Column<u32> for Halves<'_> {
    #[inline]
    fn rows(&self) -> usize {
        self.rows
    }

    #[inline]
    fn at(&self, row: usize) -> Option<u32> {
        let word = self.words.get(row / 2)?.load(Relaxed);
        Some((word >> (32 * (row % 2))) as u32)
    }
}
