//! The map of prefixes: collected, flattened and indexed once, then only read.
//!
//! Built while Kamailio reads its configuration (the static whitelist) and by whoever fills a
//! snapshot; 100,000 prefixes take about ten milliseconds. It never changes after it is built.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::prefix::Prefix;
use super::segments::{Range, flatten};
use super::table::{INDEX_BITS_MAX, PrefixTable, v4_part, v6_part};
use crate::source::Address;

/// Fewer segments than this are searched without an index: they fit a few cache lines.
const INDEXED_FROM: usize = 64;

/// A map that owns its columns. Without entries it holds no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixMap {
    v4_index: Vec<u32>,
    v4_starts: Vec<u32>,
    v4_values: Vec<u32>,
    v6_index: Vec<u32>,
    v6_starts: Vec<u64>,
    v6_starts_low: Vec<u64>,
    v6_values: Vec<u32>,
}

impl PrefixMap {
    /// A map of prefixes that are just in or out: every value is 1.
    pub fn set_of<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> PrefixMap {
        let mut builder = PrefixMapBuilder::new();
        for &prefix in prefixes {
            builder.insert(prefix, NonZeroU32::MIN);
        }
        builder.build()
    }

    /// The value of the longest prefix around `address`; a mapped IPv4 address is IPv4.
    #[inline]
    pub fn get(&self, address: IpAddr) -> Option<NonZeroU32> {
        self.value_of(address.into())
    }

    /// The same of an address as a number, as a request has it.
    #[inline]
    pub fn value_of(&self, address: Address) -> Option<NonZeroU32> {
        self.table().value_of(address)
    }

    /// Whether no prefix is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.v4_starts.is_empty() && self.v6_starts.is_empty()
    }

    /// The columns, to look up in or to copy elsewhere.
    #[inline]
    pub fn table(&self) -> PrefixTable<&[u32], &[u64]> {
        PrefixTable {
            v4_index: &self.v4_index,
            v4_starts: &self.v4_starts,
            v4_values: &self.v4_values,
            v6_index: &self.v6_index,
            v6_starts: &self.v6_starts,
            v6_starts_low: &self.v6_starts_low,
            v6_values: &self.v6_values,
        }
    }
}

/// Collects prefixes for a [`PrefixMap`].
#[derive(Clone, Debug, Default)]
pub struct PrefixMapBuilder {
    v4: Vec<Range>,
    v6: Vec<Range>,
}

impl PrefixMapBuilder {
    /// Without prefixes.
    pub fn new() -> PrefixMapBuilder {
        PrefixMapBuilder::default()
    }

    /// Adds a prefix; a later one of the same prefix replaces it.
    pub fn insert(&mut self, prefix: Prefix, value: NonZeroU32) {
        self.put(prefix, value.get());
    }

    /// Nothing holds in this prefix, whatever shorter prefixes around it say.
    pub fn exclude(&mut self, prefix: Prefix) {
        self.put(prefix, 0);
    }

    fn put(&mut self, prefix: Prefix, value: u32) {
        let (first, last) = (prefix.first(), prefix.last());
        if prefix.is_ipv4() {
            let low = |bits: u128| u128::from(bits as u32);
            self.v4.push((low(first), low(last), value));
        } else {
            self.v6.push((first, last, value));
        }
    }

    /// Flattens and indexes: n log n in the number of prefixes.
    pub fn build(self) -> PrefixMap {
        let v4 = flatten(self.v4, u128::from(u32::MAX));
        let v6 = flatten(self.v6, u128::MAX);
        let v4_starts: Vec<u32> = v4.iter().map(|&(start, _)| start as u32).collect();
        let v6_starts: Vec<u64> = v6.iter().map(|&(start, _)| (start >> 64) as u64).collect();
        PrefixMap {
            v4_index: index(&v4_starts, v4_part),
            v4_starts,
            v4_values: v4.iter().map(|&(_, value)| value).collect(),
            v6_index: index(&v6_starts, v6_part),
            v6_starts,
            v6_starts_low: v6.iter().map(|&(start, _)| start as u64).collect(),
            v6_values: v6.iter().map(|&(_, value)| value).collect(),
        }
    }
}

/// The first-level index: about as many parts as there are segments, so that it never costs more
/// memory than they do and the segments of a part stay few.
fn index<T: Copy>(starts: &[T], part: impl Fn(T, u32) -> usize) -> Vec<u32> {
    if starts.len() < INDEXED_FROM {
        return Vec::new();
    }
    let index_bits = starts.len().ilog2().min(INDEX_BITS_MAX);
    let parts = 1usize << index_bits;
    let mut index = Vec::with_capacity(parts + 1);
    for (row, &start) in starts.iter().enumerate() {
        let first_of = part(start, index_bits) + 1;
        if index.len() < first_of {
            index.resize(first_of, row as u32);
        }
    }
    index.resize(parts + 1, starts.len() as u32);
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cidr::Column;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    fn map(entries: &[(Prefix, u32)]) -> PrefixMap {
        let mut builder = PrefixMapBuilder::new();
        for &(prefix, value) in entries {
            builder.insert(prefix, NonZeroU32::new(value).unwrap());
        }
        builder.build()
    }

    fn value(map: &PrefixMap, address: &str) -> Option<u32> {
        map.get(address.parse().unwrap()).map(NonZeroU32::get)
    }

    /// The definition: the longest of all prefixes around the address, of equals the last.
    fn linear(entries: &[(Prefix, u32)], address: IpAddr) -> Option<NonZeroU32> {
        let around = entries
            .iter()
            .filter(|(prefix, _)| prefix.contains(address));
        let longest = around.max_by_key(|(prefix, _)| prefix.length());
        longest.and_then(|&(_, value)| NonZeroU32::new(value))
    }

    #[test]
    fn the_longest_prefix_wins() {
        let entries: Vec<(Prefix, u32)> = [
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3", 3),
            ("255.255.255.0/24", 4),
            ("2001:db8::/32", 5),
            ("2001:db8::1", 6),
            ("::/0", 7),
        ]
        .map(|(text, value)| (text.parse().unwrap(), value))
        .to_vec();
        let map = map(&entries);
        for (address, expected) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some(1)),
            ("10.1.2.2", Some(2)),
            ("10.1.2.3", Some(3)),
            ("::ffff:10.1.2.3", Some(3)),
            ("10.1.2.4", Some(2)),
            ("10.255.255.255", Some(1)),
            ("11.0.0.0", None),
            ("255.255.255.255", Some(4)),
            ("0.0.0.0", None),
            ("2001:db8::", Some(5)),
            ("2001:db8::1", Some(6)),
            ("2001:db8::2", Some(5)),
            ("2001:db9::", Some(7)),
            ("::", Some(7)),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some(7)),
        ] {
            assert_eq!(value(&map, address), expected, "{address}");
        }
    }

    #[test]
    fn an_empty_map_costs_and_finds_nothing() {
        let map = map(&[]);
        assert!(map.is_empty());
        assert_eq!(map, PrefixMap::default());
        assert_eq!(value(&map, "192.0.2.1"), None);
        assert_eq!(value(&map, "::1"), None);
    }

    #[test]
    fn a_prefix_is_covered_when_entries_leave_no_gap() {
        let entries = ["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"];
        let entries = entries.map(|text| (text.parse().unwrap(), 1));
        let map = map(&entries);
        for (text, covered) in [
            ("10.0.0.0/8", true),
            ("10.7.0.0/16", true),
            ("10.0.0.0/7", false),
            ("11.0.0.0/8", false),
            ("2001:db8:1::/48", true),
            ("2001::/16", false),
        ] {
            let prefix = text.parse().unwrap();
            assert_eq!(map.table().covers(prefix), covered, "{text}");
        }
    }

    #[test]
    fn what_lies_in_a_prefix_is_found_in_runs() {
        let entries = ["10.0.0.0/9", "10.128.0.0/10", "10.255.0.1", "2001:db8::/32"];
        let entries = entries.map(|text| (text.parse().unwrap(), 1));
        let map = map(&entries);
        for (text, runs) in [
            ("9.0.0.0/8", &[][..]),
            ("10.0.0.1", &["10.0.0.1-10.0.0.1"]),
            (
                "8.0.0.0/5",
                &["10.0.0.0-10.191.255.255", "10.255.0.1-10.255.0.1"],
            ),
            ("10.160.0.0/11", &["10.160.0.0-10.191.255.255"]),
            ("255.0.0.0/8", &[]),
            ("2001:db8:1::/128", &["2001:db8:1::-2001:db8:1::"]),
            ("2001:db9::/32", &[]),
        ] {
            let found = map.table().runs_in(text.parse().unwrap());
            let shown = |bits| address(false, bits).to_canonical();
            let found: Vec<String> = found
                .iter()
                .map(|run| format!("{}-{}", shown(run.first), shown(run.last)))
                .collect();
            assert_eq!(found, runs, "{text}");
        }
    }

    #[test]
    fn the_last_of_equal_prefixes_counts() {
        let prefix = "192.0.2.0/24".parse().unwrap();
        assert_eq!(
            value(&map(&[(prefix, 1), (prefix, 2)]), "192.0.2.9"),
            Some(2)
        );
    }

    /// Shared memory that another process may be writing is read through atomics.
    struct Shared<'a, A>(&'a [A]);

    macro_rules! column_of_atomics {
        ($($atomic:ty, $value:ty);*) => {$(
            impl Column<$value> for Shared<'_, $atomic> {
                fn rows(&self) -> usize {
                    self.0.len()
                }
                fn at(&self, row: usize) -> Option<$value> {
                    Some(self.0.get(row)?.load(Ordering::Relaxed))
                }
            }
        )*};
    }
    column_of_atomics!(AtomicU32, u32; AtomicU64, u64);

    #[test]
    fn columns_of_atomics_serve_as_well() {
        let starts = [1 << 8, 2 << 8].map(AtomicU32::new);
        let values = [7, 0].map(AtomicU32::new);
        let table = PrefixTable {
            v4_index: Shared(&[] as &[AtomicU32]),
            v4_starts: Shared(&starts),
            v4_values: Shared(&values),
            v6_index: Shared(&[]),
            v6_starts: Shared(&[] as &[AtomicU64]),
            v6_starts_low: Shared(&[]),
            v6_values: Shared(&[]),
        };
        assert_eq!(table.get("0.0.1.9".parse().unwrap()), NonZeroU32::new(7));
        assert_eq!(table.get("0.0.2.0".parse().unwrap()), None);
        assert_eq!(table.get("::1".parse().unwrap()), None);
    }

    fn address(v4: bool, bits: u128) -> IpAddr {
        match v4 {
            true => IpAddr::from((bits as u32).to_be_bytes()),
            false => IpAddr::from(bits.to_be_bytes()),
        }
    }

    /// Prefixes that nest: few distinct leading bits, all lengths; the index begins to matter.
    fn entries() -> impl Strategy<Value = Vec<(Prefix, u32)>> {
        let entry = (any::<bool>(), any::<u128>(), 0u8..=128, 0u32..128, 1u32..5);
        let entry = entry.prop_filter_map("a mapped prefix", |(v4, bits, length, near, value)| {
            let length = if v4 { length % 33 } else { length };
            let base = if v4 { 0xc000_0000 } else { 0x2001 << 112 };
            let prefix = Prefix::new(address(v4, base ^ (bits >> near)), length);
            Some((prefix.ok()?, value))
        });
        prop::collection::vec(entry, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn agrees_with_linear_longest_match(
            entries in entries(),
            probes in prop::collection::vec((any::<bool>(), any::<u128>()), 20),
        ) {
            let map = map(&entries);
            let borders = entries.iter().flat_map(|(prefix, _)| {
                let (first, last) = (prefix.first(), prefix.last());
                [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
                    .map(|bits| address(false, bits).to_canonical())
            });
            for probe in borders.chain(probes.iter().map(|&(v4, bits)| address(v4, bits))) {
                prop_assert_eq!(map.get(probe), linear(&entries, probe), "{}", probe);
            }
        }

        /// A reader may see columns half rewritten.
        #[test]
        fn garbage_never_panics(
            values in prop::collection::vec(any::<u32>(), 0..20),
            words in prop::collection::vec(any::<u32>(), 0..70),
            starts in prop::collection::vec(0u32..40, 0..20),
            longs in prop::collection::vec(any::<u64>(), 0..20),
            bits: u128,
        ) {
            let table = PrefixTable {
                v4_index: &words[..],
                v4_starts: &starts[..],
                v4_values: &values[..],
                v6_index: &starts[..],
                v6_starts: &longs[..],
                v6_starts_low: &[][..],
                v6_values: &values[..],
            };
            for v4 in [true, false] {
                let found = table.get(address(v4, bits));
                prop_assert!(found.is_none_or(|value| values.contains(&value.get())));
                let prefix = Prefix::new(address(v4, bits), 8);
                let runs = prefix.map(|prefix| table.runs_in(prefix).len());
                prop_assert!(runs.unwrap_or_default() <= starts.len() + longs.len());
            }
        }
    }
}
