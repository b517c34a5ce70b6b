//! Judgements, and the index against every name looked at one by one.

use super::*;
use crate::cidr::Column;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

fn names(list: &[(&str, &str)]) -> Names {
    let mut builder = NamesBuilder::new();
    for (domain, name) in list {
        builder.insert(domain.as_bytes(), name.as_bytes()).unwrap();
    }
    builder.build()
}

fn masks(list: &[&str]) -> Vec<Mask> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn users_are_judged() {
    let masks = masks(&["7XXX"]);
    let names = names(&[
        ("", "john.smith"),
        ("", "reception"),
        ("", "112"),
        ("", "Zoë"),
    ]);
    let both = Extensions {
        masks: &masks,
        names: names.table(),
    };
    for (user, expected) in [
        ("john.smith", Judgement::Known),
        ("JOHN%2Esmith", Judgement::Known),
        ("zo%C3%8B", Judgement::Known),
        ("112", Judgement::Known),
        ("7001", Judgement::Match),
        ("701", Judgement::Near),
        ("140", Judgement::Far),
        ("111", Judgement::Far),
        ("jonh.smith", Judgement::Near),
        ("jsmith", Judgement::Far),
        ("admin", Judgement::Far),
        ("%ff", Judgement::Far),
        ("\u{0}", Judgement::Far),
        ("", Judgement::Nothing),
    ] {
        let judged = both.judge(user.as_bytes(), b"example.com", 80);
        assert_eq!(judged, expected, "{user}");
    }
    assert_eq!(both.judge(&[b'x'; 9000], b"", 80), Judgement::Far);
    assert_eq!(both.judge(b"jsmith", b"", 75), Judgement::Near);
}

#[test]
fn what_is_missing_does_not_judge() {
    let masks = masks(&["7XXX"]);
    let empty = NamesBuilder::new().build();
    assert_eq!(empty, Names::default());
    let nothing = Extensions {
        masks: &[],
        names: empty.table(),
    };
    for user in [&b"7001"[..], b"admin", b"\xff", &[b'x'; 500], b""] {
        assert_eq!(nothing.judge(user, b"", 80), Judgement::Nothing);
    }
    let plan = Extensions {
        masks: &masks,
        ..nothing
    };
    assert_eq!(plan.judge(b"admin", b"", 80), Judgement::Nothing);
    assert_eq!(plan.judge(b"140", b"", 80), Judgement::Far);
    let names = names(&[("", "7001"), ("", "7002")]);
    let list = Extensions {
        masks: &[],
        names: names.table(),
    };
    assert_eq!(list.judge(b"7001", b"", 80), Judgement::Known);
    assert_eq!(list.judge(b"701", b"", 80), Judgement::Near);
    assert_eq!(list.judge(b"8001", b"", 80), Judgement::Far);
}

#[test]
fn a_suspended_list_judges_nobody() {
    let masks = masks(&["7XXX"]);
    let mut builder = NamesBuilder::new();
    for (domain, name) in [("a.example", "alice"), ("b.example", "bob"), ("", "112")] {
        builder.insert(domain.as_bytes(), name.as_bytes()).unwrap();
    }
    let judge = |builder: &NamesBuilder, user: &str, domain: &str| {
        let (masks, names) = (&*masks, builder.clone().build());
        let names = names.table();
        Extensions { masks, names }.judge(user.as_bytes(), domain.as_bytes(), 80)
    };
    assert_eq!(judge(&builder, "140", "a.example"), Judgement::Far);
    builder.suspend(b"A.example");
    for user in ["140", "admin", "alice", "112", "%ff"] {
        assert_eq!(judge(&builder, user, "a.example"), Judgement::Nothing);
    }
    assert_eq!(judge(&builder, "140", "b.example"), Judgement::Far);
    assert_eq!(judge(&builder, "140", "c.example"), Judgement::Far);
    let mut own_only = builder.clone();
    own_only.judge_own_only();
    assert_eq!(judge(&own_only, "140", "b.example"), Judgement::Far);
    assert_eq!(judge(&own_only, "112", "b.example"), Judgement::Known);
    assert_eq!(judge(&own_only, "bobb", "b.example"), Judgement::Near);
    for (user, domain) in [("140", "c.example"), ("admin", "c.example"), ("140", "")] {
        assert_eq!(judge(&own_only, user, domain), Judgement::Nothing, "{user}");
    }
    builder.suspend(b"");
    for domain in ["a.example", "b.example", "c.example", ""] {
        assert_eq!(judge(&builder, "140", domain), Judgement::Nothing);
    }
    let mut empty = NamesBuilder::new();
    empty.suspend(b"");
    assert!(empty.is_empty());
    assert_eq!(judge(&empty, "140", "a.example"), Judgement::Nothing);
    assert_eq!(empty.build().table().len(), 0);
}

#[test]
fn names_are_counted_by_domain_and_once() {
    let mut first = NamesBuilder::new();
    for (domain, name) in [("", "7001"), ("A", "x"), ("a", "X"), ("a", "y")] {
        first.insert(domain.as_bytes(), name.as_bytes()).unwrap();
    }
    let mut second = NamesBuilder::new();
    second.insert(b"", b"7002").unwrap();
    second.insert(b"", b"7001").unwrap();
    second.suspend(b"gone");
    first.extend(&second);
    first.settle();
    let sizes: Vec<_> = first.sizes().collect();
    assert_eq!(sizes, [(&b""[..], 2), (b"a", 2)]);
    assert_eq!(first.build().table().len(), 4);
}

#[test]
fn domains_have_lists_of_their_own() {
    let names = names(&[
        ("a.example", "alice"),
        ("B.example", "bob"),
        ("", "operator"),
    ]);
    let extensions = Extensions {
        masks: &[],
        names: names.table(),
    };
    for (user, domain, expected) in [
        ("alice", "A.Example", Judgement::Known),
        ("alice", "b.example", Judgement::Far),
        ("bob", "b.example", Judgement::Known),
        ("bobb", "b.example", Judgement::Near),
        ("operator", "b.example", Judgement::Known),
        ("operator", "c.example", Judgement::Known),
        ("operattor", "", Judgement::Near),
        ("alice", "a.example.com", Judgement::Far),
    ] {
        let judged = extensions.judge(user.as_bytes(), domain.as_bytes(), 80);
        assert_eq!(judged, expected, "{user}@{domain}");
    }
    assert_eq!(names.table().len(), 3);
    let names = self::names(&[("a.example", "alice")]);
    let extensions = Extensions {
        names: names.table(),
        ..extensions
    };
    assert_eq!(
        extensions.judge(b"bob", b"b.example", 80),
        Judgement::Nothing
    );
}

#[test]
fn a_name_is_listed_once() {
    let names = names(&[("", "ana"), ("", "Ana"), ("", "an%61"), ("x", "ana")]);
    assert_eq!(names.table().len(), 2);
    assert!(!names.table().is_empty());
}

#[test]
fn a_name_of_every_length_is_found() {
    let list: Vec<String> = (1..=NAME_MAX).map(|length| "a".repeat(length)).collect();
    let pairs: Vec<(&str, &str)> = list.iter().map(|name| ("", &**name)).collect();
    let names = names(&pairs);
    for name in &list {
        assert!(is_listed(&names, name), "{name}");
    }
    assert!(!is_listed(&names, "aaab"));
}

fn is_listed(names: &Names, name: &str) -> bool {
    let (table, name) = (names.table(), Name::read(name.as_bytes()).unwrap());
    let lists = table.lists(b"");
    lists.is_some_and(|lists| table.contains(lists, &name))
}

fn resembles(names: &Names, name: &str, threshold: u32) -> bool {
    let (table, name) = (names.table(), Name::read(name.as_bytes()).unwrap());
    let lists = table.lists(b"");
    lists.is_some_and(|lists| table.resembles(lists, &name, threshold))
}

/// Names that look like each other, so that both answers come often.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,6}\\.[abc]{1,8}",
        "[1-9][0-9]{2,5}",
        "[a-eé日-月]{1,12}",
        "(sales|support|reception|admin)[-_.]?[0-9]{0,2}",
        "[a-z]{50,64}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_index_answers_as_brute_force_does(
        list in prop::collection::vec(name(), 1..700),
        probes in prop::collection::vec(name(), 40),
        threshold in 1u32..=100,
        cut in 0usize..9,
    ) {
        let pairs: Vec<(&str, &str)> = list.iter().map(|name| ("", &**name)).collect();
        let names = names(&pairs);
        let read = |name: &str| Name::read(name.as_bytes()).unwrap();
        let folded: Vec<Name> = list.iter().map(|name| read(name)).collect();
        let slips = list.iter().take(40).map(|name| {
            let mut slip: Vec<char> = name.chars().collect();
            slip.remove(cut % slip.len());
            slip.into_iter().chain(['x']).take(NAME_MAX).collect::<String>()
        });
        for probe in probes.iter().cloned().chain(slips).chain(list.iter().take(20).cloned()) {
            let name = read(&probe);
            let equal = folded.iter().any(|listed| listed.points() == name.points());
            prop_assert_eq!(is_listed(&names, &probe), equal, "{}", &probe);
            for threshold in [threshold, 80] {
                let alike = folded.iter().any(|listed| similarity(listed, &name) >= threshold);
                prop_assert_eq!(resembles(&names, &probe, threshold), alike, "{} {}", &probe, threshold);
            }
        }
    }

    /// A reader may see words half rewritten.
    #[test]
    fn garbage_never_panics(
        list in prop::collection::vec(name(), 1..60),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 0..20),
        small in prop::collection::vec((any::<prop::sample::Index>(), 0u64..400), 0..20),
        probe in name(),
        cut: prop::sample::Index,
    ) {
        let pairs: Vec<(&str, &str)> = list.iter().map(|name| ("", &**name)).collect();
        let mut words = names(&pairs).words().to_vec();
        for (place, word) in changes.iter().chain(&small) {
            let at = place.index(words.len().min(60));
            words[at] = *word;
        }
        words.truncate(cut.index(words.len()) + 1);
        let extensions = Extensions { masks: &[], names: NameTable::new(&words[..]) };
        let _ = extensions.judge(probe.as_bytes(), b"a", 60);
    }
}

/// Shared memory that another process may be writing is read through atomics.
struct Shared<'a>(&'a [AtomicU64]);

impl Column<u64> for Shared<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }
    fn at(&self, row: usize) -> Option<u64> {
        Some(self.0.get(row)?.load(Ordering::Relaxed))
    }
}

#[test]
fn a_column_of_atomics_serves_as_well() {
    let names = names(&[("", "alice"), ("", "bob")]);
    let words: Vec<AtomicU64> = names.words().iter().copied().map(AtomicU64::new).collect();
    let extensions = Extensions {
        masks: &[],
        names: NameTable::new(Shared(&words)),
    };
    assert_eq!(extensions.judge(b"alice", b"", 80), Judgement::Known);
    assert_eq!(extensions.judge(b"alic", b"", 80), Judgement::Near);
    assert_eq!(extensions.judge(b"carol", b"", 80), Judgement::Far);
}
