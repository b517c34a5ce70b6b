//! Lists of names, collected and indexed once, then only read.
//!
//! Built while Kamailio starts (`extension_file`) and by the agent, which fills a snapshot, in memory
//! of its own; 100,000 names take well under a second. Bad entries are the caller's to report.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::bag::{Bag, KINDS};
use super::name::{Name, NameError};
use super::table::{FAN, GROUP_WORDS, HEADER, NameTable, PROBES_MAX, SET_WORDS, place};

/// Most words that a list may take: its offsets have 32 bits.
const WORDS_MAX: usize = u32::MAX as usize;

/// A list that owns its words. Without names it holds no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    words: Vec<u64>,
}

impl Names {
    /// To look up in.
    #[inline]
    pub fn table(&self) -> NameTable<&[u64]> {
        NameTable::new(&self.words)
    }

    /// The words, to copy them elsewhere.
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}

/// Collects names for [`Names`].
#[derive(Clone, Debug, Default)]
pub struct NamesBuilder {
    /// By domain, in lower case; that of all domains is empty.
    sets: BTreeMap<Vec<u8>, Vec<Entry>>,
    own_only: bool,
}

/// Length in code points, whether it is wide, and the folded name: names of one length and kind
/// are neighbours, shorter ones first.
type Entry = (usize, bool, Box<str>);

impl NamesBuilder {
    /// Without names.
    pub fn new() -> NamesBuilder {
        NamesBuilder::default()
    }

    /// Adds the name of an extension in `domain`, or in all of them if that is empty. A name that
    /// is there already is no second one.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn insert(&mut self, domain: &[u8], name: &[u8]) -> Result<(), NameError> {
        let name = Name::read(name)?;
        let folded: String = name.chars().collect();
        let entry = (name.points().len(), name.is_wide(), folded.into());
        let set = self.sets.entry(domain.to_ascii_lowercase()).or_default();
        set.push(entry);
        Ok(())
    }

    /// Adds all names of another one.
    pub fn extend(&mut self, other: &NamesBuilder) {
        for (domain, names) in &other.sets {
            let set = self.sets.entry(domain.clone()).or_default();
            set.extend_from_slice(names);
        }
    }

    /// Takes the names of a domain out, or of all domains if it is empty, and has nobody judged
    /// there any more.
    pub fn suspend(&mut self, domain: &[u8]) {
        self.sets.insert(domain.to_ascii_lowercase(), Vec::new());
    }

    /// Has nobody judged in domains that have no names of their own, even by those of all domains.
    pub fn judge_own_only(&mut self) {
        self.own_only = true;
    }

    /// Whether no name was added.
    pub fn is_empty(&self) -> bool {
        self.sets.values().all(Vec::is_empty)
    }

    /// Counts each name once, however often it was added.
    pub fn settle(&mut self) {
        for names in self.sets.values_mut() {
            names.sort_unstable();
            names.dedup();
        }
    }

    /// The domains that have names, and how many; those of all domains under the empty one. They are
    /// right once it is settled.
    pub fn sizes(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let sizes = self.sets.iter().map(|(domain, set)| (&**domain, set.len()));
        sizes.filter(|(_, names)| *names > 0)
    }

    /// Indexes: n log n in the number of names.
    ///
    /// # Panics
    /// With more names than 32-bit offsets reach, some hundred million.
    pub fn build(mut self) -> Names {
        self.settle();
        let count = self.sets.values().map(Vec::len).sum();
        let mut index = Index::new(self.sets.len(), count);
        index.words[0] |= u64::from(self.own_only) << 63;
        for (number, (domain, names)) in self.sets.iter().enumerate() {
            let groups: Vec<&[Entry]> = names.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
            let mut group_at = index.begin_set(number, domain, groups.len());
            for names in groups {
                index.write_group(group_at, names);
                group_at += GROUP_WORDS;
            }
        }
        index.write_slots();
        assert!(
            index.words.len() <= WORDS_MAX,
            "too many names for one list"
        );
        match self.sets.len() {
            0 if !self.own_only => Names::default(),
            _ => Names { words: index.words },
        }
    }
}

/// The words in the making.
struct Index {
    words: Vec<u64>,
    /// Where names want their slots, and what goes there.
    places: Vec<(usize, u64)>,
}

impl Index {
    fn new(sets: usize, names: usize) -> Index {
        let mut words = vec![0; HEADER + sets * SET_WORDS];
        words[0] = halves(sets, names);
        Index {
            words,
            places: Vec::with_capacity(names),
        }
    }

    /// Writes down a set, and makes room for its groups: there.
    fn begin_set(&mut self, number: usize, domain: &[u8], groups: usize) -> usize {
        let at = HEADER + number * SET_WORDS;
        self.words[at] = halves(domain.len(), self.words.len());
        self.words.extend(domain.chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        }));
        let groups_at = self.words.len();
        self.words[at + 1] = halves(groups, groups_at);
        self.words.resize(groups_at + groups * GROUP_WORDS, 0);
        groups_at
    }

    fn write_group(&mut self, group_at: usize, names: &[Entry]) {
        let (length, wide, _) = names[0];
        let mut rows: Vec<Row> = names.iter().map(|(_, _, name)| Row::of(name)).collect();
        split(&mut rows);
        let texts_at = self.words.len();
        for row in &rows {
            let place = (
                place(group_at, &row.name()),
                halves(group_at, self.words.len()),
            );
            self.places.push(place);
            self.words.extend(row.name().words());
        }
        let bags_at = self.words.len();
        for row in &rows {
            self.words.extend(row.bag.words());
        }
        let boxes_at = self.words.len();
        for rows in rows.chunks(FAN * FAN).chain(rows.chunks(FAN)) {
            let (low, high) = Bag::corners(rows.iter().map(|row| &row.bag));
            self.words
                .extend([low.words(), high.words()].as_flattened());
        }
        let group = &mut self.words[group_at..group_at + GROUP_WORDS];
        group[0] = halves(usize::from(wide) << 8 | length, names.len());
        group[1] = halves(texts_at, bags_at);
        group[2] = halves(0, boxes_at);
    }

    /// Half of the slots are free, or more if that leaves some name too far from its own.
    fn write_slots(&mut self) {
        let mut count = (2 * self.places.len()).next_power_of_two();
        let slots = loop {
            match slots(&self.places, count) {
                Some(slots) => break slots,
                None => count *= 2,
            }
        };
        self.words[1] = halves(count, self.words.len());
        self.words.extend(slots);
    }
}

fn slots(places: &[(usize, u64)], count: usize) -> Option<Vec<u64>> {
    let mut slots = vec![0; count];
    for &(hash, what) in places {
        let mut probes = (0..PROBES_MAX).map(|probe| hash.wrapping_add(probe) & (count - 1));
        let free = probes.find(|&slot| slots[slot] == 0)?;
        slots[free] = what;
    }
    Some(slots)
}

/// A name in a group, on its way to its place.
struct Row<'a> {
    bag: Bag,
    text: &'a str,
}

impl Row<'_> {
    fn of(text: &str) -> Row<'_> {
        let bag = Bag::of(&folded(text));
        Row { bag, text }
    }

    fn name(&self) -> Name {
        folded(self.text)
    }
}

fn folded(text: &str) -> Name {
    Name::fold(text).expect("a folded name is a name")
}

/// Orders names so that neighbours have bags alike: halved where they differ most, down to leaves,
/// which are all full but the last.
fn split(rows: &mut [Row<'_>]) {
    if rows.len() <= FAN {
        return;
    }
    let unit = if rows.len() > FAN * FAN {
        FAN * FAN
    } else {
        FAN
    };
    let middle = (rows.len() / 2)
        .next_multiple_of(unit)
        .min((rows.len() - 1) / unit * unit);
    let kind = widest(rows);
    rows.select_nth_unstable_by_key(middle, |row| row.bag.count(kind));
    let (left, right) = rows.split_at_mut(middle);
    split(left);
    split(right);
}

/// The kind of letter whose counts vary most.
fn widest(rows: &[Row<'_>]) -> usize {
    let mut sums = [(0u64, 0u64); KINDS];
    for row in rows {
        for (kind, (sum, squares)) in sums.iter_mut().enumerate() {
            let count = u64::from(row.bag.count(kind));
            *sum += count;
            *squares += count * count;
        }
    }
    let spread = |&(sum, squares): &(u64, u64)| rows.len() as u64 * squares - sum * sum;
    let widest = (0..KINDS).max_by_key(|&kind| spread(&sums[kind]));
    widest.unwrap_or_default()
}

fn halves(high: usize, low: usize) -> u64 {
    (high as u64) << 32 | low as u64 & 0xffff_ffff
}
