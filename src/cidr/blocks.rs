//! Blocks: prefixes of which no two overlap, with gaps taken out, as firewalls and list files want
//! them.
//!
//! Called by the agent when it hands bans on, never during a look-up. Knows addresses and nothing
//! of bans; what belongs to a prefix goes with each of its pieces.
#![forbid(unsafe_code)]

use super::prefix::{Prefix, is_mapped};
use crate::source::Source;

/// Addresses in a row: the first and the last one, as 128 bits, IPv4 mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The first.
    pub first: u128,
    /// The last, which is in it.
    pub last: u128,
}

impl From<Prefix> for Run {
    fn from(prefix: Prefix) -> Run {
        Run {
            first: prefix.first(),
            last: prefix.last(),
        }
    }
}

/// A prefix, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<T> {
    /// The prefix.
    pub prefix: Prefix,
    /// What goes with it.
    pub value: T,
}

/// The outermost of some prefixes: no address is in two. Of equal ones the one with the greatest
/// value stays. IPv6 before IPv4, each in the order of its addresses.
pub fn outermost<T: Copy + Ord>(mut blocks: Vec<Block<T>>) -> Vec<Block<T>> {
    // Families apart: in 128 bits the IPv4 addresses lie among those of IPv6.
    blocks.sort_unstable_by(|one, other| {
        let place = |block: &Block<T>| (block.prefix.is_ipv4(), block.prefix);
        let by_place = place(one).cmp(&place(other));
        by_place.then(other.value.cmp(&one.value))
    });
    let mut outermost: Vec<Block<T>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let around = outermost.last();
        if around.is_none_or(|around| !around.prefix.contains_prefix(block.prefix)) {
            outermost.push(block);
        }
    }
    outermost
}

/// What is left of a prefix without the addresses in `gaps`, which may overlap, and may lie
/// outside of it or be of the other family.
pub fn without(prefix: Prefix, mut gaps: Vec<Run>) -> Vec<Prefix> {
    let whole = Run::from(prefix);
    gaps.retain(|gap| {
        is_mapped(gap.first) == prefix.is_ipv4()
            && gap.first <= whole.last
            && gap.last >= whole.first
    });
    gaps.sort_unstable();
    let mut pieces = Vec::new();
    let mut next = Some(whole.first);
    for gap in gaps {
        let Some(first) = next else { break };
        if let Some(before) = gap.first.checked_sub(1).filter(|last| *last >= first) {
            pieces.extend(prefixes(Run {
                first,
                last: before,
            }));
        }
        next = gap.last.checked_add(1).map(|behind| behind.max(first));
    }
    if let Some(first) = next.filter(|first| *first <= whole.last) {
        let last = whole.last;
        pieces.extend(prefixes(Run { first, last }));
    }
    pieces
}

/// The fewest prefixes that are exactly these addresses.
pub fn prefixes(run: Run) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    let mut first = run.first;
    loop {
        // As many addresses as the first one's place allows, and no more than there are.
        let aligned = first.trailing_zeros();
        let left = (run.last - first).checked_add(1);
        let host_bits = left.map_or(128, u128::ilog2).min(aligned);
        let length = (128 - host_bits) as u8;
        prefixes.extend(Prefix::of(Source::from_parts(first, length)));
        let size = 1u128.checked_shl(host_bits);
        match size.and_then(|size| first.checked_add(size)) {
            Some(next) if next <= run.last => first = next,
            _ => return prefixes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn pieces(whole: &str, gaps: &[&str]) -> Vec<String> {
        let gaps = gaps.iter().map(|gap| Run::from(prefix(gap))).collect();
        let pieces = without(prefix(whole), gaps);
        pieces.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn gaps_are_taken_out() {
        let nothing: [&str; 0] = [];
        for (whole, gaps, left) in [
            ("10.0.0.0/16", &nothing[..], &["10.0.0.0/16"][..]),
            ("10.0.0.0/16", &["10.0.0.0/8"], &nothing),
            ("10.0.0.0/16", &["10.0.0.0/16"], &nothing),
            ("10.0.0.1", &["10.0.0.1"], &nothing),
            ("10.0.0.1", &["10.0.0.2", "10.0.0.0"], &["10.0.0.1"]),
            ("10.0.0.0/24", &["10.0.0.128/25"], &["10.0.0.0/25"]),
            ("10.0.0.0/30", &["10.0.0.1"], &["10.0.0.0", "10.0.0.2/31"]),
            ("10.0.0.0/30", &["10.0.0.2", "10.0.0.0/31"], &["10.0.0.3"]),
            (
                "255.255.255.252/30",
                &["255.255.255.255"],
                &["255.255.255.252/31", "255.255.255.254"],
            ),
            (
                "2001:db8::/64",
                &["2001:db8::8000:0:0:0/65"],
                &["2001:db8::/65"],
            ),
        ] {
            assert_eq!(pieces(whole, gaps), left, "{whole} without {gaps:?}");
        }
    }

    #[test]
    fn the_families_do_not_touch_each_other() {
        // In 128 bits the IPv4 addresses lie in it.
        assert_eq!(pieces("::/32", &["10.0.0.1"]), ["::/32"]);
        assert_eq!(pieces("10.0.0.1", &["::/32"]), ["10.0.0.1"]);
        let block = |text: &str| Block {
            prefix: prefix(text),
            value: 1,
        };
        assert_eq!(outermost(vec![block("::/32"), block("10.0.0.1")]).len(), 2);
        assert_eq!(pieces("::/0", &[]), ["::/0"]);
    }

    #[test]
    fn the_outermost_stay_and_of_equals_the_greatest() {
        let blocks = [
            ("10.0.0.1", 9),
            ("10.0.0.0/24", 1),
            ("10.0.0.0/16", 2),
            ("10.0.0.0/16", 3),
            ("10.1.0.0/16", 1),
            ("2001:db8::1", 1),
        ];
        let blocks = blocks.map(|(text, value)| Block {
            prefix: prefix(text),
            value,
        });
        let left = outermost(blocks.to_vec());
        let shown: Vec<(String, i32)> = left
            .iter()
            .map(|block| (block.prefix.to_string(), block.value))
            .collect();
        let expected = [("2001:db8::1", 1), ("10.0.0.0/16", 3), ("10.1.0.0/16", 1)];
        assert_eq!(
            shown,
            expected.map(|(text, value)| (text.to_owned(), value))
        );
    }

    proptest! {
        /// Every address of a small network is in exactly one piece, or in a gap.
        #[test]
        fn pieces_and_gaps_are_the_whole(gaps in proptest::collection::vec((0u32..300, 26u8..=32), 0..12)) {
            let whole = prefix("10.0.0.0/24");
            let gap = |(place, length): (u32, u8)| {
                let address = std::net::Ipv4Addr::from(0x0a00_0000 + place);
                Prefix::new(address.into(), length).unwrap()
            };
            let gaps: Vec<Prefix> = gaps.into_iter().map(gap).collect();
            let pieces = without(whole, gaps.iter().copied().map(Run::from).collect());
            for last in 0..=255u8 {
                let address = [10, 0, 0, last].into();
                let times = pieces.iter().filter(|piece| piece.contains(address)).count();
                let free = gaps.iter().any(|gap| gap.contains(address));
                prop_assert_eq!(times, usize::from(!free), "{}", address);
            }
        }
    }
}
