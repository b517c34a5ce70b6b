//! Bags of letters: how often each letter or digit stands in a name, and boxes around many bags.
//!
//! The distance of two bags is never more than the indel distance of their names, so whatever is
//! too far by its bag need not be looked at. 32 counters of a byte in four words, and eight of
//! them are compared at once: that needs no instructions of a certain processor, and works as well
//! on words that were read as atomics.
#![forbid(unsafe_code)]

use super::name::Name;
use crate::cidr::Column;

/// Counters in a bag: a to z, digits by their rest after division by five, everything else.
pub(super) const KINDS: usize = 32;
/// Words that a bag takes in a column.
pub(super) const BAG_WORDS: usize = KINDS / 8;
/// Words that a box takes: its low and its high corner.
pub(super) const BOX_WORDS: usize = 2 * BAG_WORDS;

/// The highest bit of each counter. A counter never reaches it: a name has
/// [`super::name::NAME_MAX`] code points at most.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// Every other counter.
const EVEN_BYTES: u64 = 0x00ff_00ff_00ff_00ff;

/// How often each kind of code point stands in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bag([u64; BAG_WORDS]);

impl Bag {
    pub fn of(name: &Name) -> Bag {
        let mut bag = Bag([0; BAG_WORDS]);
        for &point in name.points() {
            let kind = match point {
                0x61..=0x7a => point - 0x61,
                0x30..=0x39 => 26 + (point - 0x30) % 5,
                _ => 31,
            };
            bag.0[kind as usize / 8] += 1 << (kind % 8 * 8);
        }
        bag
    }

    /// The bag in a column from `row` on.
    #[inline]
    pub fn at(words: &impl Column<u64>, row: usize) -> Option<Bag> {
        Some(Bag([
            words.at(row)?,
            words.at(row + 1)?,
            words.at(row + 2)?,
            words.at(row + 3)?,
        ]))
    }

    /// The words in which a column keeps it.
    pub fn words(&self) -> [u64; BAG_WORDS] {
        self.0
    }

    /// How often one kind occurs.
    pub fn count(&self, kind: usize) -> u8 {
        (self.0[kind / 8] >> (kind % 8 * 8)) as u8
    }

    /// Code points that one bag has and the other has not.
    #[inline]
    pub fn distance(&self, other: &Bag) -> usize {
        self.distance_to_box(other, other)
    }

    /// The least distance to any bag between two corners.
    #[inline]
    pub fn distance_to_box(&self, low: &Bag, high: &Bag) -> usize {
        let mut pairs = 0;
        for index in 0..BAG_WORDS {
            let own = self.0[index];
            let outside = excess(low.0[index], own) | excess(own, high.0[index]);
            pairs += (outside & EVEN_BYTES) + (outside >> 8 & EVEN_BYTES);
        }
        (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize
    }

    /// The corners of the smallest box around bags.
    pub fn corners<'a>(bags: impl Iterator<Item = &'a Bag>) -> (Bag, Bag) {
        let mut low = Bag([0x7f7f_7f7f_7f7f_7f7f; BAG_WORDS]);
        let mut high = Bag([0; BAG_WORDS]);
        for bag in bags {
            for index in 0..BAG_WORDS {
                low.0[index] -= excess(low.0[index], bag.0[index]);
                high.0[index] += excess(bag.0[index], high.0[index]);
            }
        }
        (low, high)
    }
}

/// Of eight counters, by how much each is greater than the other one, or 0.
#[inline]
fn excess(greater: u64, less: u64) -> u64 {
    let difference = (greater | HIGH_BITS).wrapping_sub(less);
    let not_less = difference & HIGH_BITS;
    difference & (not_less - (not_less >> 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bag(text: &str) -> Bag {
        Bag::of(&Name::read(text.as_bytes()).unwrap())
    }

    fn distance_one_by_one(a: &Bag, b: &Bag) -> usize {
        let apart = |kind| usize::from(a.count(kind).abs_diff(b.count(kind)));
        (0..KINDS).map(apart).sum()
    }

    #[test]
    fn letters_are_counted() {
        let bag = bag("Zaza.0055\u{e9}");
        assert_eq!([0, 25, 26, 31].map(|kind| bag.count(kind)), [2, 2, 4, 2]);
        assert_eq!((0..KINDS).map(|kind| bag.count(kind)).sum::<u8>(), 10);
    }

    proptest! {
        #[test]
        fn eight_at_once_is_one_by_one(texts in prop::collection::vec("[a-z0-9.]{1,64}", 2..9)) {
            let bags: Vec<Bag> = texts.iter().map(|text| bag(text)).collect();
            let (first, others) = bags.split_first().unwrap();
            for other in others {
                prop_assert_eq!(first.distance(other), distance_one_by_one(first, other));
            }
            let (low, high) = Bag::corners(others.iter());
            let nearest = (0..KINDS).map(|kind| {
                let own = first.count(kind);
                usize::from(own.clamp(low.count(kind), high.count(kind)).abs_diff(own))
            });
            prop_assert_eq!(first.distance_to_box(&low, &high), nearest.sum::<usize>());
            for bag in others {
                prop_assert_eq!(bag.distance_to_box(&low, &high), 0);
            }
        }

        #[test]
        fn garbage_never_panics(words in prop::array::uniform12(any::<u64>())) {
            let bags = [0, 4, 8].map(|row| Bag::at(&&words[..], row).unwrap());
            let _ = bags[0].distance_to_box(&bags[1], &bags[2]);
        }
    }
}
