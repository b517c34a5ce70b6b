//! Whether lists of extensions are whole: one that is suddenly less than half of what it was is no
//! list to judge customers by. Somebody has emptied it, or it is just being filled again.
//!
//! Asked by the agent whenever it has read lists, before it publishes them. What it was is the most
//! that a list held within a day or two, so that a list cannot be drained in small steps either.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// For so long at least, and twice as long at most, it is remembered how large a list was.
const MEMORY_MS: u64 = 24 * 3600 * 1000;
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
            size.take(now.remove(&**domain).unwrap_or(0));
        }
        for (domain, names) in now {
            let size = self.lists.entry((origin, domain.to_vec())).or_default();
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
        assert_eq!(Sizes::from_words(&sizes.words()), *sizes);
        assert_eq!(Sizes::from_words(&Sizes::new().words()), Sizes::new());
    }

    proptest! {
        #[test]
        fn any_words_are_read(words in prop::collection::vec(any::<u64>(), 0..40)) {
            prop_assert!(Sizes::from_words(&words).len() <= 20);
        }
    }
}
