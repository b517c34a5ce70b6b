//! Lists as they are found in the world, and as an attacker would write them.

use super::*;
use crate::cidr::Prefix;
use proptest::prelude::*;
use std::net::IpAddr;

fn guard() -> Guard {
    Guard::new(&["198.51.100.1".parse().unwrap()])
}

/// The entries as `prefix@line`, how many lines were skipped, and the first reason.
fn outcome(format: &str, text: &str) -> Result<(String, u64, String), String> {
    let format = Format::parse(format).expect("a format");
    let reading = read(&format, text.as_bytes(), &guard(), 7)?;
    let entries = reading.entries.iter();
    let shown: Vec<String> = entries
        .map(|entry| format!("{}@{}", entry.prefix, entry.line))
        .collect();
    let first = reading.reasons.first().cloned().unwrap_or_default();
    Ok((shown.join(" "), reading.skipped, first))
}

fn entries(format: &str, text: &str) -> String {
    outcome(format, text).expect("a list").0
}

#[test]
fn lists_are_read_as_they_are_published() {
    for (text, expected) in [
        ("", ""),
        ("# nothing\n\n; at all\n", ""),
        ("192.0.2.1\n192.0.2.0/24\n", "192.0.2.0/24@2 192.0.2.1@1"),
        (
            "\u{feff}192.0.2.1\r\n192.0.2.2\r\n",
            "192.0.2.1@1 192.0.2.2@2",
        ),
        (
            "192.0.2.0/24 ; SBL1\n 192.0.3.1\t12\tx\n",
            "192.0.2.0/24@1 192.0.3.1@2",
        ),
        (
            "192.0.2.1,2026-01-01\n192.0.2.2#x",
            "192.0.2.1@1 192.0.2.2@2",
        ),
        ("192.0.2.77/24\n192.0.2.0/24\n", "192.0.2.0/24@1"),
        (
            "2001:DB8::/32\n[2001:db8::1]\n::ffff:192.0.2.1\n",
            "192.0.2.1@3 2001:db8::/32@1 2001:db8::1@2",
        ),
    ] {
        assert_eq!(entries("list", text), expected, "{text:?}");
    }
}

#[test]
fn what_makes_no_sense_is_skipped_and_said() {
    let text = "192.0.2.1\nfoo\n10.0.0.1\n0.0.0.0/0\n198.51.100.1\n";
    let format = Format::List;
    let reading = read(&format, text.as_bytes(), &guard(), 7).unwrap();
    assert_eq!((reading.entries.len(), reading.skipped), (1, 4));
    assert_eq!(
        reading.reasons,
        [
            "line 2: \"foo\" is not an address or a prefix",
            "line 3: \"10.0.0.1\" is private",
            "line 4: \"0.0.0.0/0\" is shorter than /8, the shortest that is taken from a feed",
        ]
    );
}

#[test]
fn columns_are_read() {
    for (format, text, expected) in [
        (
            "csv:2",
            "date,ip,x\n1,192.0.2.1,2\n2,192.0.2.2,3\n",
            "192.0.2.1@2 192.0.2.2@3",
        ),
        (
            "csv:1",
            "192.0.2.1;a,b\n192.0.2.2;c\n",
            "192.0.2.1@1 192.0.2.2@2",
        ),
        ("csv:3", "\"a, b\",c,\"192.0.2.1\"\n", "192.0.2.1@1"),
        ("csv:2", "# from,to\na\t192.0.2.1\n", "192.0.2.1@2"),
    ] {
        let shown = outcome(format, text).map(|(entries, ..)| entries);
        assert_eq!(shown.as_deref(), Ok(expected), "{text:?}");
    }
    let (_, skipped, first) = outcome("csv:2", "ip,x\na,192.0.2.1\nb\n").unwrap();
    assert_eq!((skipped, &*first), (1, "line 3:  has no column 2"));
}

#[test]
fn json_is_read_along_its_pointer() {
    let two = "192.0.2.1@1 192.0.2.2@2";
    for (format, text, expected) in [
        ("json:/", r#"["192.0.2.1", "192.0.2.2"]"#, two),
        (
            "json:/a/b",
            r#"{"a": {"b": ["192.0.2.1", "192.0.2.2"]}}"#,
            two,
        ),
        (
            "json:/*/ip",
            r#"[{"ip": "192.0.2.1"}, {"v6": "::1"}, {"ip": "192.0.2.2"}]"#,
            two,
        ),
        (
            "json:/a/1/ip",
            r#"{"a": [0, {"ip": "192.0.2.1"}]}"#,
            "192.0.2.1@1",
        ),
        (
            "json:/a/*",
            r#"{"a": {"x": "192.0.2.1", "y": "192.0.2.2"}}"#,
            two,
        ),
        ("json:/a/*/ip", r#"{"a": []}"#, ""),
    ] {
        assert_eq!(entries(format, text), expected, "{text}");
    }
    let (_, skipped, first) = outcome("json:/", r#"["192.0.2.1", {"ip": 1}, 7]"#).unwrap();
    assert_eq!(skipped, 2);
    assert!(
        first.ends_with("is an object: name its member, as /*/ip"),
        "{first}"
    );
}

#[test]
fn what_is_no_list_is_refused_as_a_whole() {
    let deep = "[".repeat(100_000);
    for (format, text, expected) in [
        (
            "list",
            "\n <!DOCTYPE html><p>192.0.2.1",
            "it is a page of HTML, not a list",
        ),
        ("json:/", "<html>", "it is a page of HTML, not a list"),
        (
            "list",
            "error\nnone",
            "it has no valid entry; line 1: \"error\" is not",
        ),
        (
            "list",
            "10.0.0.1\n127.0.0.1",
            "it has no valid entry; line 1: \"10.0.0.1\" is private",
        ),
        ("json:/a", "{\"b\": []}", "it has nothing at /a"),
        (
            "json:/a/*/ip",
            "{\"a\": [{\"x\": 1}]}",
            "it has nothing at /a/*/ip",
        ),
        ("json:/", "{\"a\": 1", "it is not JSON: "),
        ("json:/", &deep, "it is not JSON: "),
    ] {
        let error = outcome(format, text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let large = vec![b'#'; BYTES_MAX + 1];
    let error = read(&Format::List, &large, &guard(), 7).unwrap_err();
    assert_eq!(error, "it is larger than 64 MiB");
}

#[test]
fn a_list_may_shrink_so_far() {
    assert_eq!(shrunk(100, 50, 50), None);
    assert_eq!(
        shrunk(100, 49, 50).as_deref(),
        Some("it has shrunk from 100 to 49 entries, by more than max_shrink=50")
    );
    assert_eq!(shrunk(0, 1, 50), None);
    assert_eq!(shrunk(0, 0, 50).as_deref(), Some("it is empty"));
    assert_eq!((shrunk(9, 0, 100), shrunk(9, 9, 0)), (None, None));
    assert!(shrunk(9, 8, 0).is_some());
}

#[test]
fn pages_of_apiban_are_read() {
    let read = |status, text: &str| Answer::read(status, text.as_bytes(), &guard(), 7);
    let page = read(200, r#"{"ipaddress":["192.0.2.1","10.0.0.1"],"ID":"987"}"#);
    let Answer::Page(reading, id) = page else {
        panic!("{page:?}");
    };
    assert_eq!(
        (reading.entries.len(), reading.skipped, &*id),
        (1, 1, "987")
    );
    let end = read(400, r#"{"ipaddress":["no new bans"],"ID":"none"}"#);
    assert_eq!(end, Answer::End);
    for (status, text, expected) in [
        (
            429,
            r#"{"ipaddress":"rate limit exceeded","ID":"unauthorized"}"#,
            "HTTP status 429: rate limit exceeded, unauthorized",
        ),
        (
            403,
            r#"{"ipaddress":"none","ID":"unauthorized"}"#,
            "HTTP status 403: none, unauthorized",
        ),
        (500, "<html>", "HTTP status 500, and no JSON"),
        (
            200,
            r#"{"ipaddress":["192.0.2.1"],"ID":"none"}"#,
            "an answer without a usable ID",
        ),
        (
            200,
            r#"{"ipaddress":["192.0.2.1"],"ID":"../x"}"#,
            "an answer without a usable ID",
        ),
        (
            200,
            r#"{"ipaddress":["x"],"ID":"9"}"#,
            "it has no valid entry; entry 1: \"x\" is not an address or a prefix",
        ),
    ] {
        assert_eq!(read(status, text), Answer::Refused(expected.into()));
    }
}

fn list(feed: usize, strictness: u8, entries: &[Entry]) -> List<'_> {
    List {
        feed,
        strictness,
        entries,
    }
}

fn named(prefixes: &[(&str, u32)]) -> Vec<Entry> {
    let entry = |&(text, line): &(&str, u32)| Entry {
        prefix: text.parse().unwrap(),
        line,
        seen: 7,
    };
    prefixes.iter().map(entry).collect()
}

#[test]
fn the_longest_prefix_names_feed_and_line_and_no_milder_feed_hides_it() {
    let strict = named(&[
        ("192.0.2.0/24", 1),
        ("2001:db8::/32", 2),
        ("172.0.0.0/8", 3),
    ]);
    let other = named(&[("192.0.2.0/25", 4), ("192.0.2.0/24", 5)]);
    let mild = named(&[("192.0.2.1", 6), ("198.51.0.0/16", 7), ("2001:db8::1", 8)]);
    let lists = [list(0, 2, &strict), list(1, 2, &other), list(2, 0, &mild)];
    let map = merge(&lists, &guard());
    for (address, expected) in [
        ("192.0.2.1", Some((1, 4))),
        ("192.0.2.200", Some((0, 1))),
        ("198.51.7.7", Some((2, 7))),
        ("198.51.100.1", None),
        ("2001:db8::1", Some((0, 2))),
        ("172.15.0.1", Some((0, 3))),
        ("172.16.0.1", None),
        ("8.8.8.8", None),
    ] {
        let value = map.get(address.parse().unwrap());
        let place = value.and_then(Place::of);
        assert_eq!(
            place.map(|place| (place.feed, place.line)),
            expected,
            "{address}"
        );
    }
}

#[test]
fn a_copy_is_read_back_and_a_damaged_one_is_not() {
    let copy = Copy {
        origin: "https://example.com/list".into(),
        etag: "\"abc\"".into(),
        modified: "x\ny".into(),
        cursor: "987".into(),
        entries: named(&[("192.0.2.0/24", 3), ("2001:db8::1", 9)]),
    };
    let bytes = copy.write();
    let read = Copy::read(&bytes, &guard()).unwrap();
    let modified = String::new();
    assert_eq!(read, Copy { modified, ..copy });
    let text = String::from_utf8(bytes).unwrap();
    for damaged in [
        text.replace("# sec feed", "#"),
        text.replace("2001:db8::1 9 7\n", "2001:db8::1 9"),
        text.replace("192.0.2.0/24", "10.0.0.0/24"),
        text.replace(" 9 7", " 9 x"),
    ] {
        assert!(
            Copy::read(damaged.as_bytes(), &guard()).is_err(),
            "{damaged}"
        );
    }
}

/// Pieces from which lists are put together that look nearly right.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes()).to_string()),
        any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes()).to_string()),
        (0u8..140).prop_map(|length| format!("/{length}")),
        "[\\[\\]{}\",:;#/ \t\r\n*<>a.0-9-]{0,6}",
        any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn no_list_panics_and_no_entry_is_guarded(
        pieces in prop::collection::vec(piece(), 0..40),
        format in prop::sample::select(vec!["list", "csv:1", "csv:2", "json:/", "json:/*/ip"]),
    ) {
        let text = pieces.concat();
        let format = Format::parse(format).unwrap();
        let guard = guard();
        if let Ok(reading) = read(&format, text.as_bytes(), &guard, 7) {
            prop_assert!(reading.entries.iter().all(|e| guard.refuses(e.prefix).is_none()));
            prop_assert!(reading.reasons.len() <= REASONS_MAX);
            prop_assert!(reading.entries.is_sorted_by(|a, b| a.prefix < b.prefix));
            let shown = reading.reasons.concat();
            prop_assert!(!shown.contains(char::is_control));
        }
        let _ = Answer::read(200, text.as_bytes(), &guard, 7);
        let _ = Copy::read(text.as_bytes(), &guard);
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in ["list", "csv:2", "json:/*"] {
            let format = Format::parse(format).unwrap();
            let _ = read(&format, &bytes, &guard(), 7);
        }
    }

    /// What is recovered from a map, merged again, is that map.
    #[test]
    fn a_map_is_recovered(
        bits in prop::collection::vec((any::<u32>(), 8u8..33, any::<u8>(), 0u8..3), 0..60),
        probes in prop::collection::vec(any::<u32>(), 40),
    ) {
        let mut lists: [Vec<Entry>; 3] = Default::default();
        let mut addresses: Vec<u32> = probes;
        for (line, &(bits, length, near, feed)) in (1..).zip(&bits) {
            let bits = 0xc600_0000 | bits >> (near % 24 + 8);
            addresses.extend([bits, bits.wrapping_sub(1), bits.wrapping_add(1)]);
            let prefix = Prefix::new(IpAddr::from(bits.to_be_bytes()), length).unwrap();
            lists[usize::from(feed)].push(Entry { prefix, line, seen: 7 });
        }
        let merged = |lists: &[Vec<Entry>; 3]| {
            let lists: Vec<List> = lists.iter().enumerate()
                .map(|(feed, entries)| list(feed, feed as u8, entries)).collect();
            merge(&lists, &guard())
        };
        let before = merged(&lists);
        let again = [0, 1, 2].map(|feed| recover(&before.table(), feed, 7));
        let after = merged(&again);
        for bits in addresses {
            let address = IpAddr::from(bits.to_be_bytes());
            prop_assert_eq!(before.get(address), after.get(address), "{}", address);
        }
    }
}
