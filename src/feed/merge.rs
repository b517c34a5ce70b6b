//! All feeds in one map: the value of a prefix says which feed names it, and where.
//!
//! Called by the agent in a thread of its own, whenever a list changes. Within one strictness the
//! longest prefix wins; a milder feed never hides a stricter one, so that a feed on trial
//! (`action=shadow`) lets nobody through whom another feed refuses.
#![forbid(unsafe_code)]

use std::cmp::Reverse;
use std::num::NonZeroU32;

use super::{Entry, FEEDS_MAX, Guard};
use crate::cidr::{Column, Prefix, PrefixMap, PrefixMapBuilder, PrefixTable, prefixes};

/// Bits of a value that are the line; the rest is the feed, counted from 1.
const LINE_BITS: u32 = 28;
const LINE_MAX: u32 = (1 << LINE_BITS) - 1;
const _: () = assert!(FEEDS_MAX < 1 << (u32::BITS - LINE_BITS));
/// Longest line number: no list has more bytes.
const _: () = assert!(super::BYTES_MAX <= LINE_MAX as usize);

/// Where an address is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The feed, by its number in the configuration.
    pub feed: usize,
    /// The line, or the element of a JSON document.
    pub line: u32,
}

impl Place {
    /// As a value of the map.
    pub fn value(self) -> NonZeroU32 {
        let feed = (self.feed.min(FEEDS_MAX - 1) + 1) as u32;
        let value = feed << LINE_BITS | self.line.min(LINE_MAX);
        NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
    }

    /// From a value of the map; `None` if it is not one.
    #[inline]
    pub fn of(value: NonZeroU32) -> Option<Place> {
        let feed = (value.get() >> LINE_BITS) as usize;
        Some(Place {
            feed: feed.checked_sub(1)?,
            line: value.get() & LINE_MAX,
        })
    }
}

/// A feed's entries.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// The feed, by its number in the configuration.
    pub feed: usize,
    /// How strict it is: of two that name the same address the stricter one speaks.
    pub strictness: u8,
    /// What it names.
    pub entries: &'a [Entry],
}

/// Puts feeds together; inside them, what the guard never lets through stays free.
pub fn merge(lists: &[List<'_>], guard: &Guard) -> PrefixMap {
    let mut all = Vec::with_capacity(lists.iter().map(|list| list.entries.len()).sum());
    for list in lists {
        let feed = list.feed;
        let place = |entry: &Entry| {
            let line = entry.line;
            (entry.prefix, list.strictness, Place { feed, line })
        };
        all.extend(list.entries.iter().map(place));
    }
    // Outer prefixes first; of equals the strictest, and of these the first feed, comes last.
    all.sort_by_key(|&(prefix, strictness, place)| {
        let (bits, length) = (prefix.source().bits(), prefix.source().length());
        let family = prefix.is_ipv4();
        (family, bits, length, strictness, Reverse(place.feed))
    });
    let mut builder = PrefixMapBuilder::new();
    let mut open: Vec<(Prefix, u8)> = Vec::new();
    for (prefix, strictness, place) in all {
        while open
            .pop_if(|(outer, _)| !outer.contains_prefix(prefix))
            .is_some()
        {}
        if open.last().is_some_and(|&(_, outer)| outer > strictness) {
            continue;
        }
        open.push((prefix, strictness));
        builder.insert(prefix, place.value());
    }
    guard.never().for_each(|prefix| builder.exclude(prefix));
    builder.build()
}

/// The entries of one feed in a map that was merged earlier, as far as they still show there.
pub fn recover<D: Column<u32>, Q: Column<u64>>(
    table: &PrefixTable<D, Q>,
    feed: usize,
    seen: u32,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    table.segments(|run, value| {
        if let Some(place) = Place::of(value).filter(|place| place.feed == feed) {
            let line = place.line;
            let entry = |prefix| Entry { prefix, line, seen };
            entries.extend(prefixes(run).into_iter().map(entry));
        }
    });
    entries
}
