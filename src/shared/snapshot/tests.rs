//! Tests of the snapshot: what is published is what is read, by many processes, also while writers
//! are being killed.

use super::*;
use crate::cidr::{Prefix, PrefixMap, PrefixMapBuilder};
use crate::engine::facts::{FOREVER, Now, Origin};
use crate::engine::verdict::Reason;
use crate::shared::forks::{Forks, leave};
use crate::shared::ledger::Maker;
use crate::shared::region::Region;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

fn snapshot(words: usize) -> Snapshot {
    Snapshot::new(Region::new(words).unwrap().take(words))
}

fn list(snapshot: Snapshot, section: Section) -> Result<Vec<u64>, Unread> {
    snapshot.read(&[section], |view| {
        let words = view.words(section).unwrap_or_default();
        words.iter().map(|word| word.load(Relaxed)).collect()
    })
}

fn network(prefix: &str, until: u64) -> Network {
    Network {
        prefix: prefix.parse().unwrap(),
        since: 7,
        until,
        reason: Reason::MANUAL,
        origin: Origin::Operator,
        maker: Maker::default(),
        shadow: false,
        pending: false,
    }
}

fn publish(snapshot: Snapshot, networks: &[Network]) {
    let sorted: BTreeMap<Prefix, Network> = networks.iter().map(|n| (n.prefix, *n)).collect();
    let mut writer = snapshot.writer();
    let words = network_words(sorted.values());
    writer.set(Section::Bans, Some(words)).unwrap();
    writer.publish();
}

fn banned(snapshot: Snapshot, address: &str, now_ms: u64) -> Option<String> {
    let now = Now::from_ns(now_ms * 1_000_000);
    let address: IpAddr = address.parse().unwrap();
    let found = snapshot.read(&[Section::Bans], |view| {
        let networks = view.networks(Section::Bans)?;
        networks.find(address, |network| network.holds(now, false))
    });
    found.unwrap().map(|network| network.prefix.to_string())
}

#[test]
fn never_published_is_a_state_of_its_own() {
    let snapshot = snapshot(Snapshot::words(1));
    assert_eq!(snapshot.generation(), 0);
    assert!(!snapshot.holds(Section::Bans));
    assert_eq!(list(snapshot, Section::Bans), Err(Unread::Absent));
    snapshot.writer().publish();
    assert_eq!(snapshot.generation(), 1);
    assert_eq!(list(snapshot, Section::Bans), Err(Unread::Absent));
}

#[test]
fn an_empty_list_is_published_all_the_same() {
    let snapshot = snapshot(Snapshot::words(1));
    let mut writer = snapshot.writer();
    let empty = prefix_words(&PrefixMap::default());
    writer.set(Section::Listed, Some(empty)).unwrap();
    writer.publish();
    assert!(snapshot.holds(Section::Listed));
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let found = snapshot.read(&[Section::Listed], |view| {
        view.prefixes(Section::Listed)
            .map(|table| table.get(address))
    });
    assert_eq!(found, Ok(Some(None)));
    writer.set(Section::Listed, None).unwrap();
    writer.publish();
    assert!(!snapshot.holds(Section::Listed));
}

#[test]
fn a_list_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let snapshot = snapshot(Snapshot::words(1));
    let mut writer = snapshot.writer();
    writer.set(Section::Feeds, Some(vec![1; 60_000])).unwrap();
    let error = writer.set(Section::Bans, Some(vec![2; 6000])).unwrap_err();
    let expected = "banned networks: the list needs 47 KB and 43 KB are left for it; \
                    snapshot_size is too small (half of it holds one version of all lists)";
    assert_eq!(error.to_string(), expected);
    assert_eq!(snapshot.used(), 0, "nothing is published");
    writer.publish();
    assert_eq!(snapshot.used(), 60_000);
    assert_eq!(list(snapshot, Section::Feeds).unwrap().len(), 60_000);
    assert_eq!(list(snapshot, Section::Bans), Err(Unread::Absent));
    writer.set(Section::Feeds, None).unwrap();
    writer.set(Section::Bans, Some(vec![2; 6000])).unwrap();
    writer.publish();
    assert_eq!(list(snapshot, Section::Bans).unwrap(), vec![2; 6000]);
    assert_eq!(snapshot.used(), 6000);
}

#[test]
fn a_successor_goes_on_from_what_is_published() {
    let snapshot = snapshot(Snapshot::words(1));
    let mut writer = snapshot.writer();
    writer.set(Section::Extensions, Some(vec![5; 3])).unwrap();
    writer.publish();
    writer.set(Section::Extensions, Some(vec![6; 9])).unwrap(); // dies before it publishes
    let mut successor = snapshot.writer();
    assert_eq!(successor.words(Section::Extensions), [5; 3]);
    successor.set(Section::Bans, Some(vec![1])).unwrap();
    successor.publish();
    assert_eq!(list(snapshot, Section::Extensions), Ok(vec![5; 3]));
    assert_eq!(snapshot.generation(), 2);
}

#[test]
fn the_longest_network_that_holds_is_found() {
    let snapshot = snapshot(Snapshot::words(1));
    let shadow = Network {
        shadow: true,
        ..network("10.1.2.0/24", FOREVER)
    };
    let narrow = network("10.1.2.128/25", 1000);
    let outer = [network("10.0.0.0/8", 3000), network("10.1.0.0/16", 2000)];
    let others = [network("::/19", FOREVER), network("2001:db8::1", 1000)];
    publish(snapshot, &[&outer[..], &[shadow, narrow], &others].concat());
    for (address, now_ms, expected) in [
        ("10.1.2.129", 0, Some("10.1.2.128/25")),
        ("10.1.2.129", 1000, Some("10.1.0.0/16")),
        ("10.1.2.129", 2000, Some("10.0.0.0/8")),
        ("10.1.2.129", 3000, None),
        ("10.1.2.1", 0, Some("10.1.0.0/16")),
        ("10.2.0.1", 0, Some("10.0.0.0/8")),
        ("11.0.0.1", 0, None),
        ("2001:db8::1", 0, Some("2001:db8::1")),
        ("2001:db8::2", 0, None),
        ("::5", 0, Some("::/19")),
        ("2001:db8::1", 1000, None),
    ] {
        let found = banned(snapshot, address, now_ms);
        assert_eq!(found.as_deref(), expected, "{address} at {now_ms}");
    }
}

#[test]
fn rows_survive_the_words() {
    let snapshot = snapshot(Snapshot::words(1));
    let shadow = Network {
        reason: Reason::word(3),
        origin: Origin::Script,
        maker: Maker { node: 7, count: 3 },
        shadow: true,
        ..network("2001:db8::/32", FOREVER)
    };
    let gone = Network::removed("10.9.0.0/16".parse().unwrap(), 5, Origin::Redis);
    let networks = [network("10.0.0.0/8", 123_456_789), gone, shadow];
    publish(snapshot, &networks);
    assert_eq!(
        banned(snapshot, "10.9.0.1", 6).as_deref(),
        Some("10.0.0.0/8")
    );
    let read = snapshot.read(&[Section::Bans], |view| {
        let networks = view.networks(Section::Bans)?;
        Some(networks.iter().collect::<Vec<_>>())
    });
    assert_eq!(read, Ok(Some(networks.to_vec())));
}

/// Prefixes that nest, of both families.
fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    let prefix = (any::<bool>(), any::<u128>(), 0u8..=128, 0u32..128);
    let prefix = prefix.prop_filter_map("mapped", |(v4, bits, length, near)| {
        let address: IpAddr = match v4 {
            true => ((0xc000_0000 ^ (bits >> near) as u32).to_be_bytes()).into(),
            false => ((0x2001 << 112 ^ bits >> near).to_be_bytes()).into(),
        };
        Prefix::new(address, if v4 { length % 33 } else { length }).ok()
    });
    prop::collection::vec(prefix, 0..60)
}

fn addresses(prefixes: &[Prefix]) -> impl Iterator<Item = IpAddr> {
    let first = prefixes.iter().map(|prefix| prefix.first_address());
    first.flat_map(|address| match address {
        IpAddr::V4(v4) => [0, 1, u32::MAX]
            .map(|more| IpAddr::from(u32::from(v4).wrapping_add(more).to_be_bytes())),
        IpAddr::V6(v6) => [0, 1, u128::MAX]
            .map(|more| IpAddr::from(u128::from(v6).wrapping_add(more).to_be_bytes())),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against the definition: of all that hold around the address, the longest.
    #[test]
    fn networks_agree_with_linear_longest_match(
        prefixes in prefixes(),
        ends in prop::collection::vec(0u64..4, 60),
        now_ms in 0u64..4,
    ) {
        let snapshot = snapshot(Snapshot::words(1));
        let networks: Vec<Network> = prefixes.iter().zip(&ends)
            .map(|(prefix, until)| network(&prefix.to_string(), *until))
            .collect();
        let last: BTreeMap<Prefix, Network> = networks.iter().map(|n| (n.prefix, *n)).collect();
        publish(snapshot, &networks);
        for address in addresses(&prefixes) {
            let around = last.values().filter(|n| n.until > now_ms && n.prefix.contains(address));
            let longest = around.max_by_key(|n| n.prefix.length()).map(|n| n.prefix.to_string());
            prop_assert_eq!(banned(snapshot, &address.to_string(), now_ms), longest);
        }
    }

    #[test]
    fn prefixes_answer_in_shared_memory_as_on_the_heap(prefixes in prefixes()) {
        let snapshot = snapshot(Snapshot::words(1));
        let mut builder = PrefixMapBuilder::new();
        for (value, prefix) in (1..).zip(&prefixes) {
            builder.insert(*prefix, NonZeroU32::new(value).unwrap());
        }
        let map = builder.build();
        let mut writer = snapshot.writer();
        writer.set(Section::Feeds, Some(prefix_words(&map))).unwrap();
        writer.publish();
        for address in addresses(&prefixes) {
            let found = snapshot.read(&[Section::Feeds], |view| {
                view.prefixes(Section::Feeds).and_then(|table| table.get(address))
            });
            prop_assert_eq!(found, Ok(map.get(address)));
        }
    }

    /// Lists that grow, shrink, come and go are read as they were set, whatever lay there before.
    #[test]
    fn what_was_set_is_what_is_read(
        changes in prop::collection::vec((0usize..6, prop::option::of(0usize..40), any::<bool>()), 1..60),
    ) {
        let snapshot = snapshot(HEAD + 2 * (SECTIONS_MAX + 6 * 40));
        let mut writer = snapshot.writer();
        let mut expected: [Option<Vec<u64>>; 6] = Default::default();
        for (step, (section, length, restart)) in (1..).zip(changes) {
            let words = length.map(|length| vec![step; length]);
            expected[section].clone_from(&words);
            writer.set(Section::ALL[section], words).unwrap();
            writer.publish();
            for (section, words) in Section::ALL.into_iter().zip(&expected) {
                prop_assert_eq!(list(snapshot, section).ok(), words.clone());
            }
            if restart {
                writer = snapshot.writer();
            }
        }
    }

    /// A reader may look at words that are being rewritten.
    #[test]
    fn garbage_is_read_without_a_panic(
        words in prop::collection::vec(prop_oneof![0u64..9, any::<u64>()], 0..80),
        address: u128,
    ) {
        let snapshot = snapshot(Snapshot::words(1));
        let mut writer = snapshot.writer();
        for section in Section::ALL {
            writer.set(section, Some(words.clone())).unwrap();
        }
        writer.publish();
        for address in [address, address | 0xffff << 32].map(|bits| IpAddr::from(bits.to_be_bytes())) {
            let read = snapshot.read(&[Section::Bans], |view| {
                let found = view.networks(Section::Bans).map(|networks| {
                    networks.iter().count() + usize::from(networks.find(address, |_| false).is_some())
                });
                let _any = view.prefixes(Section::Feeds).and_then(|table| table.get(address));
                found.unwrap_or(0) <= words.len()
            });
            prop_assert_eq!(read, Ok(true));
        }
    }
}

/// The reader's check in a child: both lists whole, of one publication, and never an older one.
fn read_until_killed(snapshot: Snapshot) {
    let mut newest = 0;
    loop {
        let read = snapshot.read(&[Section::Listed, Section::Bans], |view| {
            let listed = view.words(Section::Listed).unwrap_or_default();
            let bans = view.words(Section::Bans).unwrap_or_default();
            let mut all = listed.iter().chain(bans).map(|word| word.load(Relaxed));
            let first = all.next().unwrap_or(0);
            let length = 1 + first as usize % 50;
            let whole =
                listed.len() == length && bans.len() == 2 * length && all.all(|w| w == first);
            (whole, first)
        });
        match read {
            Ok((true, value)) if value >= newest => newest = value,
            Ok(_) => leave(1),
            Err(Unread::Absent) => leave(2),
            Err(Unread::Busy) => {}
        }
    }
}

fn write_until_killed(snapshot: Snapshot) {
    let mut writer = snapshot.writer();
    let mut value = writer.words(Section::Bans).first().copied().unwrap_or(0);
    loop {
        value += 1;
        let length = 1 + value as usize % 50;
        writer
            .set(Section::Listed, Some(vec![value; length]))
            .unwrap();
        writer
            .set(Section::Bans, Some(vec![value; 2 * length]))
            .unwrap();
        writer.publish();
    }
}

#[test]
fn readers_see_whole_lists_while_writers_are_killed() {
    let snapshot = snapshot(HEAD + 2 * (SECTIONS_MAX + 150));
    let mut writer = snapshot.writer();
    writer.set(Section::Listed, Some(vec![50; 1])).unwrap();
    writer.set(Section::Bans, Some(vec![50; 2])).unwrap();
    writer.publish();
    let mut forks = Forks::default();
    forks.start(move || write_until_killed(snapshot));
    for _ in 0..2 {
        forks.start(move || read_until_killed(snapshot));
    }
    for round in 0..200 {
        assert_eq!(forks.killed_after_us(0, 200 + 37 * (round % 40)), None);
        forks.restart(0);
    }
    let generation = snapshot.generation();
    assert!(generation > 200, "writers came to write: {generation}");
    for reader in 1..=2 {
        assert_eq!(
            forks.killed_after_us(reader, 0),
            None,
            "a reader saw a torn list"
        );
    }
}
