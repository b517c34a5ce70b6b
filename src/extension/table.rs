//! The look-up: names in one flat column of words, wherever it lies.
//!
//! Called by SIP workers, on memory of their own ([`super::Names`]) or on words in shared memory.
//! It never allocates and never panics. Two questions: is this name listed (one probe of a hash
//! table), and does it resemble a listed one (boxes around letter bags exclude nearly all names,
//! the bit-parallel LCS decides about the rest)? Both answers are exact.
//!
//! The words, all offsets in words from the first:
//!
//! | part | content |
//! |---|---|
//! | header | `own domains only : 1, sets : 31, names : 32` · `slots : 32, their offset : 32` |
//! | sets, in the order of their domains | `bytes of the domain : 32, its offset : 32` · `groups : 32, their offset : 32` |
//! | groups of a set: names of one length, shorter ones first | `length : 8, wide : 1`, `names : 32` · `texts' offset : 32, bags' offset : 32` · `boxes' offset : 32` |
//! | texts | eight ASCII letters a word, or two code points (wide) |
//! | bags | see `bag`; a leaf is sixteen neighbours, a branch sixteen leaves |
//! | boxes | of the branches, then of the leaves |
//! | slots | `group's offset : 32, text's offset : 32`; 0 is free |
#![forbid(unsafe_code)]

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use super::bag::{BAG_WORDS, BOX_WORDS, Bag};
use super::name::{NAME_MAX, Name, per_word};
use super::similarity::{Pattern, needed};
use crate::cidr::Column;

/// Words of the header.
pub(super) const HEADER: usize = 2;
/// Words of a set.
pub(super) const SET_WORDS: usize = 2;
/// Words of a group.
pub(super) const GROUP_WORDS: usize = 3;
/// Bags in a leaf, and leaves in a branch.
pub(super) const FAN: usize = 16;
/// The number of sets in its half word, beside the mark of `own domains only`.
const SETS: usize = (1 << 31) - 1;
/// A name lies at most so many slots behind its own; the builder sees to that.
pub(super) const PROBES_MAX: usize = 64;
/// Most groups of a set: one for each length, and for each length of wide names.
const GROUPS_MAX: usize = 2 * NAME_MAX;

/// The columns of a list of names. They may hold anything, as memory does that a writer is just
/// changing: the answer is then meaningless, but it comes, in bounded time and without a panic.
#[derive(Clone, Copy, Debug)]
pub struct NameTable<Q> {
    words: Q,
}

/// The names that count for one domain: its own, and those of all domains.
#[derive(Clone, Copy, Debug)]
pub struct Lists {
    sets: [Option<Set>; 2],
    /// It has none of its own, though only such are to be judged.
    others_only: bool,
}

impl Lists {
    /// Whether nobody is to be judged there: one of the sets was emptied on purpose, or its own is
    /// missing.
    pub fn is_suspended(&self) -> bool {
        self.others_only || self.sets.iter().flatten().any(|set| set.groups == 0)
    }
}

/// Where the groups of a set are. Without groups it says that nobody is to be judged by it.
#[derive(Clone, Copy, Debug)]
struct Set {
    groups: usize,
    groups_at: usize,
}

/// Names of one length.
#[derive(Clone, Copy, Debug)]
struct Group {
    at: usize,
    length: usize,
    wide: bool,
    names: usize,
    texts_at: usize,
    bags_at: usize,
    boxes_at: usize,
}

/// A name that is looked for, prepared.
struct Query<'a> {
    length: usize,
    bag: &'a Bag,
    pattern: &'a Pattern,
    threshold: u32,
}

impl<Q: Column<u64>> NameTable<Q> {
    /// Over the words of [`super::Names::words`], or over none.
    pub fn new(words: Q) -> NameTable<Q> {
        NameTable { words }
    }

    /// How many names are in it, those of all domains together.
    pub fn len(&self) -> usize {
        self.halves(0).map_or(0, |(_, names)| names)
    }

    /// Whether no name is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nobody is to be judged anywhere.
    pub fn is_suspended(&self) -> bool {
        self.set(b"").is_some_and(|set| set.groups == 0)
    }

    /// The names that count for `domain`, which is compared without case; `None` if there are
    /// none.
    pub fn lists(&self, domain: &[u8]) -> Option<Lists> {
        let everyone = self.set(b"");
        let own = match domain {
            b"" => None,
            domain => self.set(domain),
        };
        let own_only = self.halves(0).is_some_and(|(sets, _)| sets >> 31 == 1);
        let lists = Lists {
            sets: [own, everyone],
            others_only: own_only && own.is_none(),
        };
        let any = lists.others_only || lists.sets.iter().any(Option::is_some);
        any.then_some(lists)
    }

    /// Whether exactly this name is listed.
    pub fn contains(&self, lists: Lists, name: &Name) -> bool {
        let sets = lists.sets.into_iter().flatten();
        let groups = sets.filter_map(|set| self.group_of(set, name));
        let mut found = groups.map(|group| self.holds(group, name));
        found.any(|held| held == Some(true))
    }

    /// Whether a listed name is at least `threshold` percent like this one.
    pub fn resembles(&self, lists: Lists, name: &Name, threshold: u32) -> bool {
        let query = Query {
            length: name.points().len(),
            bag: &Bag::of(name),
            pattern: &Pattern::new(name),
            threshold,
        };
        let mut sets = lists.sets.into_iter().flatten();
        sets.any(|set| self.set_resembles(set, &query) == Some(true))
    }

    /// The upper and the lower half of a word.
    fn halves(&self, row: usize) -> Option<(usize, usize)> {
        let word = self.words.at(row)?;
        Some(((word >> 32) as usize, word as u32 as usize))
    }

    fn set(&self, domain: &[u8]) -> Option<Set> {
        let (mut from, mut to) = (0, self.halves(0)?.0 & SETS);
        while from < to {
            let middle = from + (to - from) / 2;
            let at = HEADER + middle * SET_WORDS;
            match self.compare_domain(at, domain)? {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => {
                    let (groups, groups_at) = self.halves(at + 1)?;
                    let groups = groups.min(GROUPS_MAX);
                    return Some(Set { groups, groups_at });
                }
            }
        }
        None
    }

    /// How the domain of the set in row `at` compares with `domain`.
    fn compare_domain(&self, at: usize, domain: &[u8]) -> Option<std::cmp::Ordering> {
        let (length, text_at) = self.halves(at)?;
        for (index, wanted) in domain.iter().take(length).enumerate() {
            let word = self.words.at(text_at + index / 8)?;
            let byte = word.to_le_bytes()[index % 8];
            match byte.cmp(&wanted.to_ascii_lowercase()) {
                std::cmp::Ordering::Equal => {}
                unequal => return Some(unequal),
            }
        }
        Some(length.cmp(&domain.len()))
    }

    fn group(&self, at: usize) -> Option<Group> {
        let (kind, names) = self.halves(at)?;
        let (texts_at, bags_at) = self.halves(at + 1)?;
        let (_, boxes_at) = self.halves(at + 2)?;
        Some(Group {
            at,
            length: (kind & 0xff).min(NAME_MAX),
            wide: kind >> 8 & 1 == 1,
            names,
            texts_at,
            bags_at,
            boxes_at,
        })
    }

    fn nth_group(&self, set: Set, index: usize) -> Option<Group> {
        self.group(set.groups_at + index * GROUP_WORDS)
    }

    /// The group in which a name would be.
    fn group_of(&self, set: Set, name: &Name) -> Option<Group> {
        let wanted = (name.points().len(), name.is_wide());
        let mut groups = (0..set.groups).map_while(|index| self.nth_group(set, index));
        groups.find(|group| (group.length, group.wide) == wanted)
    }

    /// Whether a group holds exactly this name.
    fn holds(&self, group: Group, name: &Name) -> Option<bool> {
        let (slots, slots_at) = self.halves(1)?;
        let start = place(group.at, name);
        for probe in 0..PROBES_MAX {
            let slot = start.wrapping_add(probe) & slots.checked_sub(1)?;
            let (owner, text_at) = self.halves(slots_at + slot)?;
            if owner == 0 {
                return Some(false);
            }
            let mut words = name.words().enumerate();
            let equal = |(index, word)| self.words.at(text_at + index) == Some(word);
            if owner == group.at && words.all(equal) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Goes through the lengths, nearest first, until they are too far for any name of theirs.
    fn set_resembles(&self, set: Set, query: &Query<'_>) -> Option<bool> {
        let length = |index| Some(self.nth_group(set, index)?.length);
        let mut above = 0;
        while above < set.groups && length(above)? < query.length {
            above += 1;
        }
        let mut below = above;
        loop {
            let lower = below.checked_sub(1).and_then(length);
            let upper = (above < set.groups).then(|| length(above)).flatten();
            let down = match (lower, upper) {
                (None, None) => return Some(false),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(lower), Some(upper)) => {
                    query.length.abs_diff(lower) < upper.abs_diff(query.length)
                }
            };
            let index = if down { below - 1 } else { above };
            let group = self.nth_group(set, index)?;
            match (query.allowance(group.length), down) {
                (Some(allowance), _) if self.group_resembles(group, query, allowance)? => {
                    return Some(true);
                }
                (Some(_), true) => below -= 1,
                (Some(_), false) => above += 1,
                // Whatever is farther in this direction is no better.
                (None, true) => below = 0,
                (None, false) => above = set.groups,
            }
        }
    }

    fn group_resembles(&self, group: Group, query: &Query<'_>, allowance: usize) -> Option<bool> {
        let leaves = group.names.div_ceil(FAN);
        let branches = leaves.div_ceil(FAN);
        for branch in 0..branches {
            if self.distance_to_box(group, branch, query)? > allowance {
                continue;
            }
            let first = branch * FAN;
            for leaf in first..leaves.min(first + FAN) {
                if self.distance_to_box(group, branches + leaf, query)? <= allowance
                    && self.leaf_resembles(group, leaf, query, allowance)?
                {
                    return Some(true);
                }
            }
        }
        Some(false)
    }

    #[inline]
    fn distance_to_box(&self, group: Group, index: usize, query: &Query<'_>) -> Option<usize> {
        let at = group.boxes_at + index * BOX_WORDS;
        let low = Bag::at(&self.words, at)?;
        let high = Bag::at(&self.words, at + BAG_WORDS)?;
        Some(query.bag.distance_to_box(&low, &high))
    }

    fn leaf_resembles(
        &self,
        group: Group,
        leaf: usize,
        query: &Query<'_>,
        allowance: usize,
    ) -> Option<bool> {
        let needed = (query.length + group.length).saturating_sub(allowance) / 2;
        let first = leaf * FAN;
        for row in first..group.names.min(first + FAN) {
            let bag = Bag::at(&self.words, group.bags_at + row * BAG_WORDS)?;
            if query.bag.distance(&bag) <= allowance
                && self.common(group, row, query.pattern)? >= needed
            {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The LCS of a listed name and the one that is looked for.
    fn common(&self, group: Group, row: usize, pattern: &Pattern) -> Option<usize> {
        let per_word = per_word(group.wide);
        let bits = 64 / per_word;
        let start = group.texts_at + row * group.length.div_ceil(per_word);
        let mut state = Pattern::START;
        let mut left = group.length;
        let mut row = start;
        while left > 0 {
            let mut word = self.words.at(row)?;
            for _ in 0..left.min(per_word) {
                let point = (word & (u64::MAX >> (64 - bits))) as u32;
                state = Pattern::step(state, pattern.places(point));
                word >>= bits;
            }
            left = left.saturating_sub(per_word);
            row += 1;
        }
        Some(pattern.common(state))
    }
}

impl Query<'_> {
    /// The most insertions and deletions that may lie between the name and a listed one of
    /// `length`; `None` if no name of that length can be near.
    fn allowance(&self, length: usize) -> Option<usize> {
        let sum = self.length + length;
        let needed = needed(self.threshold, sum);
        (needed <= self.length.min(length)).then(|| sum - 2 * needed)
    }
}

/// Where the hash table has a name of the group at `group_at`, unless others were there before.
/// The key is no secret: nobody but the operator decides what is in the table.
pub(super) fn place(group_at: usize, name: &Name) -> usize {
    let mut hasher = SipHasher13::new();
    hasher.write_usize(group_at);
    name.words().for_each(|word| hasher.write_u64(word));
    hasher.finish() as usize
}
