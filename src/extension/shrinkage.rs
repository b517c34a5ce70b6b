//! Whether lists of extensions are whole: one that is suddenly less than half of what it was is no
//! list to judge customers by, nor is one that grows by the second. Somebody has emptied it, or it is
//! just being filled.
//!
//! Asked by the agent whenever it has read lists, before it publishes them. What it was is the most
//! that a list held within a day or two, so that a list cannot be drained in small steps either.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// For so long at least, and twice as long at most, it is remembered how large a list was.
const MEMORY_MS: u64 = 24 * 3600 * 1000;
/// A list in Redis that grows by a tenth and by so many names within the time is being filled, and
/// is until it has not for as long.
pub const FILLING_MS: u64 = 30_000;
const FILLING_NAMES: u32 = 50;
/// Bytes of a record before its domain, and behind it.
const RECORD: (usize, usize) = (4, 12);

/// Where a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `extension_file`.
    File,
    /// `extension_redis_key`.
    Redis,
}

impl Origin {
    /// The parameter.
    pub fn word(self) -> &'static str {
        match self {
            Origin::File => "extension_file",
            Origin::Redis => "extension_redis_key",
        }
    }
}

/// A list that is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// Where it comes from.
    pub origin: Origin,
    /// For which domain; empty for all.
    pub domain: Vec<u8>,
    /// How many names it has.
    pub names: usize,
    /// How many it had.
    pub were: usize,
}

/// A list that is just being filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    /// For which domain; empty for all.
    pub domain: Vec<u8>,
    /// How many names it has so far.
    pub names: usize,
}

/// How large all lists are and were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    turned_ms: u64,
    lists: BTreeMap<Place, Size>,
}

/// A list's origin and domain.
type Place = (Origin, Vec<u8>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    shrunk: bool,
    names: u32,
    /// The most within this day, and within the one before.
    most: [u32; 2],
    growth: Growth,
}

/// How a list grows. The next agent begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Growth {
    /// What it was measured by, and since when.
    base: u32,
    since_ms: u64,
    /// Until when it is taken as being filled.
    until_ms: u64,
}

impl Size {
    fn were(&self) -> u32 {
        self.most[0].max(self.most[1])
    }

    /// It shrinks below a half, and is whole again from nine tenths on: a list that is being filled
    /// lacks half of the customers when it is half full.
    fn take(&mut self, names: u32) {
        let (now, were) = (u64::from(names), u64::from(self.were()));
        self.shrunk = match self.shrunk {
            true => 10 * now < 9 * were,
            false => 2 * now < were,
        };
        self.names = names;
        if !self.shrunk {
            self.most[0] = self.most[0].max(names);
        }
    }

    /// Whether it grows beyond what it was, and too fast to be customers that sign up. Asked before
    /// it is taken.
    fn grow(&mut self, names: u32, now_ms: u64) {
        let (were, growth) = (self.were(), &mut self.growth);
        if were == 0 {
            growth.base = names; // all that is known of it
            growth.since_ms = now_ms;
        } else if now_ms.saturating_sub(growth.since_ms) > FILLING_MS {
            growth.base = were;
            growth.since_ms = now_ms;
        }
        let fast = (growth.base / 10).max(FILLING_NAMES);
        if names.saturating_sub(growth.base) >= fast {
            growth.until_ms = now_ms + FILLING_MS;
        }
    }

    /// A day is over. What is not whole is measured by the same as before.
    fn turn(&mut self) {
        if !self.shrunk {
            self.most = [self.names, self.most[0]];
        }
    }
}

impl Sizes {
    /// Nothing is known.
    pub fn new() -> Sizes {
        Sizes::default()
    }

    /// The lists of `origin` have these many names now, by domain; all others have none. If that is
    /// `confirmed`, it is what they are to have.
    pub fn take<'a>(
        &mut self,
        now_ms: u64,
        origin: Origin,
        sizes: impl Iterator<Item = (&'a [u8], usize)>,
        confirmed: bool,
    ) {
        if now_ms.saturating_sub(self.turned_ms) >= MEMORY_MS {
            self.turned_ms = now_ms;
            self.lists.values_mut().for_each(Size::turn);
        }
        if confirmed {
            self.lists.retain(|(of, _), _| *of != origin);
        }
        let mut now: BTreeMap<&[u8], u32> = sizes.map(|(domain, n)| (domain, n as u32)).collect();
        for ((_, domain), size) in self.lists.iter_mut().filter(|((of, _), _)| *of == origin) {
            let names = now.remove(&**domain).unwrap_or(0);
            if origin == Origin::Redis {
                size.grow(names, now_ms);
            }
            size.take(names);
        }
        for (domain, names) in now {
            let size = self.lists.entry((origin, domain.to_vec())).or_default();
            size.grow(names, now_ms);
            size.take(names);
        }
    }

    /// The lists that are not to be trusted.
    pub fn shrunk(&self) -> impl Iterator<Item = Shrunk> {
        let shrunk = self.lists.iter().filter(|(_, size)| size.shrunk);
        shrunk.map(|((origin, domain), size)| Shrunk {
            origin: *origin,
            domain: domain.clone(),
            names: size.names as usize,
            were: size.were() as usize,
        })
    }

    /// The lists that are just being filled.
    pub fn filling(&self, now_ms: u64) -> impl Iterator<Item = Filling> {
        let fills = move |size: &Size| size.growth.until_ms > now_ms && !size.shrunk;
        let filling = self.lists.iter().filter(move |(_, size)| fills(size));
        filling.map(|((_, domain), size)| Filling {
            domain: domain.clone(),
            names: size.names as usize,
        })
    }

    /// How many lists are remembered.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// As words, to keep them where the next agent finds them.
    pub fn words(&self) -> Vec<u64> {
        let mut bytes = self.turned_ms.to_le_bytes().to_vec();
        for ((origin, domain), size) in &self.lists {
            bytes.extend([1 + u8::from(*origin == Origin::Redis), size.shrunk.into()]);
            bytes.extend((domain.len() as u16).to_le_bytes());
            bytes.extend_from_slice(domain);
            for number in [size.names, size.most[0], size.most[1]] {
                bytes.extend(number.to_le_bytes());
            }
        }
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        words.collect()
    }

    /// From those words; as much of them as makes sense.
    pub fn from_words(words: &[u64]) -> Sizes {
        let mut sizes = Sizes::new();
        let Some((turned_ms, rest)) = words.split_first() else {
            return sizes;
        };
        sizes.turned_ms = *turned_ms;
        let bytes: Vec<u8> = rest.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut rest = &*bytes;
        while let Some((place, size, behind)) = record(rest) {
            sizes.lists.insert(place, size);
            rest = behind;
        }
        sizes
    }
}

/// The first record, and what is behind it.
fn record(bytes: &[u8]) -> Option<(Place, Size, &[u8])> {
    let (head, rest) = bytes.split_at_checked(RECORD.0)?;
    let origin = match head[0] {
        1 => Origin::File,
        2 => Origin::Redis,
        _ => return None,
    };
    let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
    let (domain, rest) = rest.split_at_checked(length)?;
    let (numbers, rest) = rest.split_at_checked(RECORD.1)?;
    let numbers = numbers.as_chunks::<4>().0;
    let [names, recent, before] = [0, 1, 2].map(|index| u32::from_le_bytes(numbers[index]));
    let size = Size {
        shrunk: head[1] == 1,
        names,
        most: [recent, before],
        growth: Growth::default(),
    };
    Some(((origin, domain.to_vec()), size, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The domains that are not whole after these sizes, one after the other.
    fn shrunk(sizes: &mut Sizes, day: u64, lists: &[(&str, usize)], confirmed: bool) -> String {
        let lists = lists.iter().map(|(domain, n)| (domain.as_bytes(), *n));
        sizes.take(day * MEMORY_MS, Origin::Redis, lists, confirmed);
        let shown = sizes.shrunk().map(|shrunk| {
            let domain = String::from_utf8(shrunk.domain).unwrap();
            format!("{domain} {}/{}", shrunk.names, shrunk.were)
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn less_than_half_is_shrunk_until_nearly_all_are_back() {
        let sizes = &mut Sizes::new();
        for (names, expected) in [
            (1000, ""),
            (500, ""),
            (499, "a 499/1000"),
            (0, "a 0/1000"),
            (899, "a 899/1000"),
            (900, ""),
            (1100, ""),
            (550, ""),
            (549, "a 549/1100"),
        ] {
            assert_eq!(
                shrunk(sizes, 0, &[("a", names)], false),
                expected,
                "{names}"
            );
        }
    }

    #[test]
    fn a_list_that_vanishes_is_remembered_and_the_others_are_whole() {
        let sizes = &mut Sizes::new();
        assert_eq!(shrunk(sizes, 0, &[("", 3), ("a", 5), ("b", 1)], false), "");
        assert_eq!(shrunk(sizes, 0, &[("a", 5)], false), " 0/3, b 0/1");
        assert_eq!(shrunk(sizes, 9, &[("a", 5)], false), " 0/3, b 0/1");
        sizes.take(0, Origin::File, [(&b"a"[..], 9)].into_iter(), true);
        assert_eq!(shrunk(sizes, 9, &[("a", 5), ("", 3)], false), "b 0/1");
        assert_eq!(shrunk(sizes, 9, &[("a", 1), ("", 3)], true), "");
        assert_eq!(sizes.len(), 3, "the file's list, and two of Redis");
    }

    #[test]
    fn draining_in_steps_is_sudden_too_and_shrinking_over_days_is_not() {
        let sizes = &mut Sizes::new();
        for names in [1000, 800, 600] {
            assert_eq!(shrunk(sizes, 0, &[("a", names)], false), "");
        }
        assert_eq!(shrunk(sizes, 0, &[("a", 400)], false), "a 400/1000");
        let sizes = &mut Sizes::new();
        for (day, names) in [(0, 1000), (1, 700), (2, 600), (3, 450), (4, 330)] {
            assert_eq!(shrunk(sizes, day, &[("a", names)], false), "", "{day}");
        }
        assert_eq!(shrunk(sizes, 90, &[("a", 150)], false), "a 150/450");
    }

    #[test]
    fn a_list_that_grows_by_the_second_is_being_filled() {
        let sizes = &mut Sizes::new();
        let mut filling = |second: u64, names: usize| {
            let lists = [(&b"a"[..], names)].into_iter();
            sizes.take(second * 1000, Origin::Redis, lists, false);
            sizes.filling(second * 1000).count() == 1
        };
        for (second, names, expected) in [
            (1, 1000, false),
            (2, 1099, false),
            (3, 1100, true),
            (20, 1101, true),
            (40, 1102, true),
            (75, 1150, false),
            (76, 1200, false),
            (77, 1300, true),
            (80, 5000, true),
            (109, 5001, true),
            (150, 5002, false),
            // What comes back is no more than what was there.
            (151, 10, false),
            (152, 5000, false),
        ] {
            assert_eq!(filling(second, names), expected, "{second}: {names}");
        }
        let few = &mut Sizes::new();
        for names in [3, 40, 52] {
            few.take(0, Origin::Redis, [(&b""[..], names)].into_iter(), false);
            assert_eq!(few.filling(0).count(), 0, "{names}");
            few.take(0, Origin::File, [(&b""[..], 10 * names)].into_iter(), false);
            assert_eq!(few.filling(0).count(), 0, "a file is read as a whole");
        }
    }

    #[test]
    fn the_next_agent_knows_them() {
        let sizes = &mut Sizes::new();
        shrunk(
            sizes,
            2,
            &[("", 7), ("a.example", 1_000_000), ("b", 1)],
            false,
        );
        shrunk(sizes, 2, &[("", 7), ("b", 1)], false);
        sizes.take(0, Origin::File, [(&b""[..], 1)].into_iter(), false);
        let next = Sizes::from_words(&sizes.words());
        assert_eq!(next.words(), sizes.words());
        assert!(next.shrunk().eq(sizes.shrunk()) && next.len() == 4);
        assert_eq!(Sizes::from_words(&Sizes::new().words()), Sizes::new());
    }

    proptest! {
        #[test]
        fn any_words_are_read(words in prop::collection::vec(any::<u64>(), 0..40)) {
            prop_assert!(Sizes::from_words(&words).len() <= 20);
        }
    }
}
