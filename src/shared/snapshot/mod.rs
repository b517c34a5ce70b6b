//! The snapshot: lists of any length that every process reads and only the agent writes, such as
//! the prefixes of bans and whitelist entries.
//!
//! Two arenas and a head word, `generation : 48 | sections present : 16`. The generation's lowest
//! bit says which arena holds. The agent fills the other one from its own copy and then moves the
//! head on, so readers see all of the old lists or all of the new; a reader that was overtaken
//! looks again, a few times, and then takes the safe answer. A writer that is killed leaves the
//! arena that holds untouched. Generation 0 means that nothing was ever published.
//!
//! Called by SIP workers for each request, where it costs one relaxed load as long as no list is
//! published; readers allocate nothing and never wait.
#![forbid(unsafe_code)]

mod networks;
mod prefixes;
mod writer;

pub use networks::{Network, Networks, network_words};
pub use prefixes::{WordTable, Words, prefix_words};
pub use writer::{TooLarge, Writer};

use super::sync::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

/// The kinds of lists. In an arena they lie in this order: what changes seldom comes first, so that
/// a change behind it need not copy it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `whitelist` and `whitelist_file` after a reload: prefixes ([`WordTable`]). Without it the
    /// copy of the start counts; with it, even an empty one, that copy does not.
    Listed = 0,
    /// Prefixes from feeds ([`WordTable`]); a value names feed and line.
    Feeds = 1,
    /// The names of extensions, all lists together ([`crate::extension::NameTable`]). Without it those of the start
    /// count; with it, even an empty one, they do not.
    Extensions = 2,
    /// How large their lists are and were ([`crate::extension::shrinkage::Sizes`]): only for the
    /// next agent.
    ExtensionSizes = 3,
    /// The addresses that the names in the static whitelist have ([`WordTable`]).
    Named = 4,
    /// Whitelist entries of networks ([`Networks`]).
    Whitelist = 5,
    /// Bans of networks ([`Networks`]).
    Bans = 6,
}

impl Section {
    /// All of them, in the order of an arena.
    pub const ALL: [Section; 7] = [
        Section::Listed,
        Section::Feeds,
        Section::Extensions,
        Section::ExtensionSizes,
        Section::Named,
        Section::Whitelist,
        Section::Bans,
    ];

    /// The name that operators read.
    pub fn word(self) -> &'static str {
        match self {
            Section::Listed => "whitelist_file",
            Section::Feeds => "feeds",
            Section::Extensions => "extensions",
            Section::ExtensionSizes => "sizes of lists of extensions",
            Section::Named => "addresses of names",
            Section::Whitelist => "whitelisted networks",
            Section::Bans => "banned networks",
        }
    }

    fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// Sections in an arena at most: bits of the head word, and words of an arena's directory.
const SECTIONS_MAX: usize = 16;
const _: () = assert!(Section::ALL.len() <= SECTIONS_MAX);
const PRESENT_BITS: u32 = 16;
const PRESENT: u64 = (1 << PRESENT_BITS) - 1;
/// Words before the arenas: the head has a cache line of its own.
const HEAD: usize = 8;
/// How often a reader that was overtaken looks again.
const TRIES: usize = 4;

/// Why a read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// None of the wanted sections is published.
    Absent,
    /// The lists changed each time that they were read. The caller takes the safe answer.
    Busy,
}

/// The lists in the region. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Snapshot {
    head: &'static AtomicU64,
    arenas: [&'static [AtomicU64]; 2],
}

impl Snapshot {
    /// Words of the region for `megabytes` (2^20 bytes) of lists: both arenas together, so that
    /// the lists of one publication may fill half of them.
    pub fn words(megabytes: usize) -> usize {
        HEAD + (megabytes << 17)
    }

    /// Over zeroed words of the region.
    ///
    /// # Panics
    /// When there is no room for the arenas' directories: whoever sized it was wrong.
    pub fn new(words: &'static [AtomicU64]) -> Snapshot {
        let (head, arenas) = words.split_at(HEAD);
        assert!(
            arenas.len() >= 2 * SECTIONS_MAX,
            "a snapshot needs two arenas"
        );
        let (first, second) = arenas.split_at(arenas.len() / 2);
        Snapshot {
            head: &head[0],
            arenas: [first, second],
        }
    }

    /// Whether this section is published, though maybe without entries.
    #[inline]
    pub fn holds(&self, section: Section) -> bool {
        self.head.load(Relaxed) & section.bit() != 0
    }

    /// How often lists were published; 0 is never.
    pub fn generation(&self) -> u64 {
        self.head.load(Relaxed) >> PRESENT_BITS
    }

    /// Words that the lists of one publication may take.
    pub fn capacity(&self) -> usize {
        self.arenas[0].len() - SECTIONS_MAX
    }

    /// Words that those of this publication take; 0 also when they changed too often to tell.
    pub fn used(&self) -> usize {
        let length = |view: &View<'_>| {
            let lists = Section::ALL.iter().filter_map(|list| view.words(*list));
            lists.map(<[_]>::len).sum()
        };
        self.read(&Section::ALL, length).unwrap_or(0)
    }

    /// Looks something up in lists that belong together. `look` may be called more than once, and
    /// on words that are just being rewritten: it must take any content, and end. Only an answer
    /// from one whole publication is returned.
    ///
    /// # Errors
    /// [`Unread`]. It is `Absent`, after a single load, if none of the `wanted` is published.
    #[inline]
    pub fn read<T>(&self, wanted: &[Section], look: impl Fn(&View<'_>) -> T) -> Result<T, Unread> {
        let wanted = wanted.iter().fold(0, |bits, section| bits | section.bit());
        let mut head = self.head.load(Relaxed);
        for _ in 0..TRIES {
            if head & wanted == 0 {
                return Err(Unread::Absent);
            }
            fence(Acquire); // pairs with the head's store: the words below are those it published
            let answer = look(&self.view(head));
            // Pairs with the writer's fence: who read a word of a later publication sees here
            // that the head has moved on.
            fence(Acquire);
            let now = self.head.load(Relaxed);
            if now == head {
                return Ok(answer);
            }
            head = now;
        }
        Err(Unread::Busy)
    }

    /// The writer, which goes on from what is published: for the agent alone, one at a time.
    pub fn writer(self) -> Writer {
        Writer::new(self)
    }

    fn view(&self, head: u64) -> View<'static> {
        View {
            arena: self.arena(head >> PRESENT_BITS),
            present: head & PRESENT,
        }
    }

    fn arena(&self, generation: u64) -> &'static [AtomicU64] {
        self.arenas[usize::from(generation & 1 == 1)]
    }
}

/// The lists of one publication, as long as [`Snapshot::read`] runs.
#[derive(Clone, Copy)]
pub struct View<'a> {
    arena: &'a [AtomicU64],
    present: u64,
}

impl<'a> View<'a> {
    /// The words of a section; `None` if it is not published.
    #[inline]
    pub fn words(&self, section: Section) -> Option<&'a [AtomicU64]> {
        if self.present & section.bit() == 0 {
            return None;
        }
        let place = self.arena[section as usize].load(Relaxed);
        let (start, length) = ((place >> 32) as usize, place as u32 as usize);
        self.arena.get(start..start.checked_add(length)?)
    }

    /// A section as one column of words.
    #[inline]
    pub fn column(&self, section: Section) -> Option<Words<'a>> {
        self.words(section).map(Words)
    }

    /// A section of prefixes.
    #[inline]
    pub fn prefixes(&self, section: Section) -> Option<WordTable<'a>> {
        prefixes::table(self.words(section)?)
    }

    /// A section of networks.
    #[inline]
    pub fn networks(&self, section: Section) -> Option<Networks<'a>> {
        Networks::of(self.words(section)?)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
