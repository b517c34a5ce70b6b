//! The measure of similarity: 200 · LCS / (length + length) in percent, rounded half to even,
//! where LCS is the length of the longest common subsequence, counted in code points.
//!
//! It is the ratio of the indel distance (insertions and deletions alone), computed in integers:
//! exact at every length. The LCS is bit-parallel (Hyyrö, 2004): one word operation for each
//! code point of the other name. Called for the few names that an index could not exclude.
#![forbid(unsafe_code)]

use super::name::{NAME_MAX, Name};

/// How alike two names are, in percent. For the workers' look-ups see `NameTable::resembles`.
pub fn similarity(left: &Name, right: &Name) -> u32 {
    let pattern = Pattern::new(left);
    let common = right.points().iter().fold(Pattern::START, |state, &point| {
        Pattern::step(state, pattern.places(point))
    });
    percent(
        pattern.common(common),
        left.points().len() + right.points().len(),
    )
}

/// The measure, from the LCS and the sum of both lengths.
fn percent(common: usize, sum: usize) -> u32 {
    if sum == 0 {
        return 100;
    }
    let (whole, rest) = (200 * common / sum, 200 * common % sum);
    let half_even = match (2 * rest).cmp(&sum) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + whole % 2,
        std::cmp::Ordering::Greater => whole + 1,
    };
    half_even as u32
}

/// The least LCS with which two names of that many code points together reach `threshold`
/// percent: a half is rounded up only to an even number.
#[inline]
pub(super) fn needed(threshold: u32, sum: usize) -> usize {
    let bound = (2 * threshold as usize).saturating_sub(1) * sum;
    if threshold.is_multiple_of(2) {
        bound.div_ceil(400)
    } else {
        bound / 400 + 1
    }
}

/// Slots for the code points beyond ASCII; twice as many as a name can have.
const SLOTS: usize = 2 * NAME_MAX;

/// A name prepared for being compared: for each code point the places where it stands.
pub(super) struct Pattern {
    ascii: [u64; 128],
    /// Hashed by the low bits, the next free slot being taken; 0 places mean that it is free.
    wide: [(u32, u64); SLOTS],
    mask: u64,
}

impl Pattern {
    /// The state before the first code point.
    pub const START: u64 = !0;

    pub fn new(name: &Name) -> Pattern {
        let mut pattern = Pattern {
            ascii: [0; 128],
            wide: [(0, 0); SLOTS],
            mask: u64::MAX >> (NAME_MAX - name.points().len()),
        };
        for (place, &point) in name.points().iter().enumerate() {
            *pattern.slot(point) |= 1 << place;
        }
        pattern
    }

    /// Where `point` stands.
    #[inline]
    pub fn places(&self, point: u32) -> u64 {
        match self.ascii.get(point as usize) {
            Some(&places) => places,
            None => self.wide[self.wide_slot(point)].1,
        }
    }

    /// The state after one more code point of the other name, that stands in `places`.
    #[inline]
    pub fn step(state: u64, places: u64) -> u64 {
        let shared = state & places;
        state.wrapping_add(shared) | (state - shared)
    }

    /// The length of the longest common subsequence, from the state at the end.
    #[inline]
    pub fn common(&self, state: u64) -> usize {
        (!state & self.mask).count_ones() as usize
    }

    fn slot(&mut self, point: u32) -> &mut u64 {
        if point < 128 {
            return &mut self.ascii[point as usize];
        }
        let slot = self.wide_slot(point);
        let (owner, places) = &mut self.wide[slot];
        *owner = point;
        places
    }

    /// The slot of a code point, or the free one where it would be. At least half are free.
    fn wide_slot(&self, point: u32) -> usize {
        let mut slot = point as usize % SLOTS;
        while self.wide[slot].1 != 0 && self.wide[slot].0 != point {
            slot = (slot + 1) % SLOTS;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rapidfuzz::distance::indel;

    fn of(left: &str, right: &str) -> u32 {
        let name = |text: &str| Name::read(text.as_bytes()).unwrap();
        similarity(&name(left), &name(right))
    }

    #[test]
    fn known_pairs() {
        for (left, right, expected) in [
            ("1001", "1010", 75),
            ("7001", "7010", 75),
            ("7001", "701", 86),
            ("7001", "70011", 89),
            ("7001", "8001", 75),
            ("john.smith", "jonh.smith", 90),
            ("john.smith", "johnsmith", 95),
            ("john.smith", "jsmith", 75),
            ("reception", "recepcion", 89),
            ("sales", "sale", 89),
            ("maria", "mario", 80),
            ("100", "1000", 86),
            ("abcd", "dcba", 25),
            ("admin", "andrea", 36),
            ("pbx-lobby", "pbxlobby", 94),
            ("ab", "ba", 50),
            ("alice", "bob", 0),
            // Folded first; otherwise it would be 67.
            ("Ana", "ana", 100),
            // Code points, not bytes: two of three, not two of four.
            ("no\u{eb}", "noe", 67),
            ("\u{65e5}\u{672c}", "\u{65e5}\u{672c}", 100),
        ] {
            assert_eq!(of(left, right), expected, "{left} {right}");
            assert_eq!(of(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn a_half_goes_to_the_even_number() {
        assert_eq!(percent(5, 16), 62); // 62.5
        assert_eq!(percent(7, 16), 88); // 87.5
        assert_eq!(of("abcd", "abxyz"), 44);
        assert_eq!(of("aaab", "aaaa"), 75);
        assert_eq!((percent(0, 0), percent(0, 7), percent(4, 8)), (100, 0, 100));
    }

    #[test]
    fn the_needed_length_is_the_least_that_reaches_the_threshold() {
        for threshold in 1..=100 {
            for sum in 2..=2 * NAME_MAX {
                let needed = needed(threshold, sum);
                let reaches = |common| percent(common, sum) >= threshold;
                assert!(reaches(needed), "{threshold} {sum}");
                assert!(needed == 0 || !reaches(needed - 1), "{threshold} {sum}");
            }
        }
    }

    #[test]
    fn many_different_code_points_stay_apart() {
        let wide = |first: u32| -> String {
            let points = (0..NAME_MAX as u32).map(|index| first + index * SLOTS as u32);
            points.map(|point| char::from_u32(point).unwrap()).collect()
        };
        assert_eq!(of(&wide(0x3400), &wide(0x3400)), 100);
        assert_eq!(of(&wide(0x3400), &wide(0x3401)), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_another_implementation(
            left in "[abcé日]{1,40}",
            right in "[abcé日x]{1,64}",
        ) {
            let common = indel::similarity(left.chars(), right.chars()) / 2;
            let sum = left.chars().count() + right.chars().count();
            prop_assert_eq!(of(&left, &right), percent(common, sum));
            let normalized = indel::normalized_similarity(left.chars(), right.chars());
            prop_assert!((f64::from(of(&left, &right)) - 100.0 * normalized).abs() <= 0.5 + 1e-9);
        }
    }
}
