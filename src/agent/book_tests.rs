//! The book of networks: rows that end, that wait for the fleet, that find no room.

use super::*;
use crate::engine::facts::{FOREVER, Origin};
use crate::engine::verdict::Reason;
use crate::shared::ledger::Maker;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn network(text: &str, until: u64) -> Network {
    Network {
        prefix: prefix(text),
        since: 1,
        until,
        reason: Reason::MANUAL,
        origin: Origin::Operator,
        maker: Maker::default(),
        shadow: false,
        pending: false,
    }
}

fn pending(text: &str, until: u64) -> Network {
    Network {
        pending: true,
        ..network(text, until)
    }
}

fn at(ms: u64) -> Now {
    Now::from_ns(ms * 1_000_000)
}

fn empty() -> Book {
    Book::new(Vec::new())
}

#[test]
fn what_ends_is_taken_out_on_time() {
    let published = vec![network("10.0.0.0/8", 50), network("10.1.0.0/16", FOREVER)];
    let mut book = Book::new(published);
    assert_eq!((book.ends(), book.changed()), (50, false));
    book.insert(network("10.2.0.0/16", 30));
    assert_eq!((book.ends(), book.changed()), (30, true));
    assert!(book.words().is_some());
    book.published();
    book.expire(at(29));
    assert!(!book.changed());
    book.expire(at(30));
    assert_eq!((book.ends(), book.changed()), (50, true));
    book.expire(at(50));
    assert_eq!(book.ends(), FOREVER);
    assert!(book.remove(prefix("10.1.0.0/16")).is_some());
    assert_eq!(book.words(), None);
}

#[test]
fn a_network_is_in_it_once_and_removed_exactly() {
    let mut book = empty();
    book.insert(network("10.0.0.0/8", 50));
    book.insert(network("10.0.0.0/8", 90));
    assert_eq!(book.remove(prefix("10.0.0.0/9")), None);
    let removed = book.remove(prefix("10.0.0.0/8")).unwrap();
    assert_eq!(removed.until, 90);
    assert_eq!(book.remove(prefix("10.0.0.0/8")), None);
}

#[test]
fn what_the_fleet_does_not_know_stays_until_it_does() {
    let gone = Network::removed(prefix("10.1.0.0/16"), 20, Origin::Operator);
    let mut book = Book::new(vec![pending("10.0.0.0/8", 50), gone]);
    assert_eq!((book.unwritten(), book.ends()), (2, 50));
    book.expire(at(60));
    assert_eq!((book.unwritten(), book.ends()), (2, u64::MAX));
    let rows = book.pending(9);
    assert_eq!(rows, [pending("10.0.0.0/8", 50), gone]);
    // It changed while it was written.
    book.insert(pending("10.0.0.0/8", 90));
    rows.iter().for_each(|row| book.settle(row, at(60)));
    assert_eq!(book.pending(9), [pending("10.0.0.0/8", 90)]);
    assert_eq!(book.get(gone.prefix), None);
    book.settle(&pending("10.0.0.0/8", 90), at(60));
    assert_eq!(
        book.get(prefix("10.0.0.0/8")),
        Some(&network("10.0.0.0/8", 90))
    );
    assert_eq!((book.unwritten(), book.ends()), (0, 90));
}

#[test]
fn what_lies_inside_is_found_in_its_own_family() {
    let mut book = empty();
    let all = [
        "::/20",
        "::5",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "10.2.0.0/16",
        "1::/32",
    ];
    all.iter().for_each(|text| book.insert(network(text, 9)));
    let inside = |text| {
        let found = book.inside(prefix(text)).into_iter();
        found
            .map(|network| network.prefix.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(inside("10.1.0.0/16"), ["10.1.0.0/16", "10.1.2.0/24"]);
    assert_eq!(inside("10.1.2.0/23"), ["10.1.2.0/24"]);
    assert_eq!(inside("::/15"), ["::/20", "::5", "1::/32"]);
    assert!(inside("10.3.0.0/16").is_empty());
}

#[test]
fn without_room_what_came_last_is_left_out() {
    let mut book = Book::new(vec![network("10.0.0.0/8", 50)]);
    book.insert(network("10.0.0.0/8", 60));
    for third in 0..10 {
        book.insert(pending(&format!("10.1.{third}.0/24"), 50));
    }
    assert_eq!(book.leave_out(0.25), 3);
    assert_eq!((book.iter().count(), book.unwritten()), (8, 7));
    assert_eq!(book.get(prefix("10.1.7.0/24")), None);
    assert_eq!(book.leave_out(1.0), 7);
    assert_eq!(book.leave_out(1.0), 0, "what was published stays");
    assert_eq!(book.get(prefix("10.0.0.0/8")).unwrap().until, 60);
}
