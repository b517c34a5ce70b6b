//! The writing side of the snapshot: the agent's own copy of all lists, and their publication.
//!
//! Used by the agent only. What does not fit is refused before anything is touched.
#![forbid(unsafe_code)]

use std::fmt;

use super::{PRESENT_BITS, Relaxed, Release, SECTIONS_MAX, Section, Snapshot, View, fence};

/// A list that does not fit; the one before it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    section: Section,
    words: usize,
    free: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobytes = |words: usize| words.div_ceil(128);
        write!(
            f,
            "{}: the list needs {} KB and {} KB are left for it; snapshot_size is too small \
             (half of it holds one version of all lists)",
            self.section.word(),
            kilobytes(self.words),
            self.free / 128
        )
    }
}

impl std::error::Error for TooLarge {}

impl TooLarge {
    /// The share of the list, above 0 and at most 1, for which there is no room.
    pub fn excess(&self) -> f64 {
        1.0 - self.free as f64 / self.words.max(1) as f64
    }
}

/// One list, and which of its versions this is.
#[derive(Clone, Debug, Default)]
struct List {
    words: Option<Vec<u64>>,
    version: u64,
}

/// Where a version of a list lies in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    version: u64,
    start: usize,
    length: usize,
}

/// The one writer.
pub struct Writer {
    snapshot: Snapshot,
    lists: [List; Section::ALL.len()],
    /// What this writer has put into each arena; nothing is known of what an earlier one left.
    written: [[Option<Place>; Section::ALL.len()]; 2],
    generation: u64,
}

impl Writer {
    /// Goes on from what an earlier writer published.
    pub(super) fn new(snapshot: Snapshot) -> Writer {
        let head = snapshot.head.load(super::Acquire);
        let view = snapshot.view(head);
        Writer {
            snapshot,
            lists: Section::ALL.map(|section| List {
                words: copy(&view, section),
                version: 0,
            }),
            written: Default::default(),
            generation: head >> PRESENT_BITS,
        }
    }

    /// Replaces a list for the next publication; `None` takes it away.
    ///
    /// # Errors
    /// [`TooLarge`]; the list then stays as it was.
    pub fn set(&mut self, section: Section, words: Option<Vec<u64>>) -> Result<(), TooLarge> {
        let length = words.as_ref().map_or(0, Vec::len);
        let others = Section::ALL.into_iter().filter(|other| *other != section);
        let used: usize = others.map(|other| self.words(other).len()).sum();
        let free = self.snapshot.capacity().saturating_sub(used);
        if length > free {
            return Err(TooLarge {
                section,
                words: length,
                free,
            });
        }
        let list = &mut self.lists[section as usize];
        list.words = words;
        list.version += 1;
        Ok(())
    }

    /// The words of a list as they will be published, or are.
    pub fn words(&self, section: Section) -> &[u64] {
        self.lists[section as usize].words.as_deref().unwrap_or(&[])
    }

    /// Publishes all lists at once.
    pub fn publish(&mut self) {
        let next = self.generation + 1;
        let side = usize::from(next & 1 == 1);
        let arena = self.snapshot.arena(next);
        // Who reads a word stored below also sees the head as it is now, which says that this
        // arena does not hold any more.
        fence(Release);
        let mut start = SECTIONS_MAX;
        let mut present = 0;
        for section in Section::ALL {
            let index = section as usize;
            let list = &self.lists[index];
            let Some(words) = &list.words else {
                continue;
            };
            let place = Place {
                version: list.version,
                start,
                length: words.len(),
            };
            if self.written[side][index] != Some(place) {
                for (to, from) in arena[start..].iter().zip(words) {
                    to.store(*from, Relaxed);
                }
                arena[index].store((start as u64) << 32 | words.len() as u64, Relaxed);
                forget_behind(&mut self.written[side], start, words.len());
                self.written[side][index] = Some(place);
            }
            present |= section.bit();
            start += words.len();
        }
        self.generation = next;
        let head = next << PRESENT_BITS | present;
        self.snapshot.head.store(head, Release);
    }
}

/// Lists whose place is written over have to be written again.
fn forget_behind(written: &mut [Option<Place>], start: usize, length: usize) {
    for written in written {
        let _gone = written
            .take_if(|place| place.start < start + length && start < place.start + place.length);
    }
}

fn copy(view: &View<'_>, section: Section) -> Option<Vec<u64>> {
    let words = view.words(section)?;
    Some(words.iter().map(|word| word.load(Relaxed)).collect())
}
