//! What the agent alone writes, while threads read it; and what all write at once. In threads, because
//! ThreadSanitizer follows no memory from one process to another (`make sanitize`): the forked tests of
//! each table say that it is right, these give the sanitizer something to look at.
//!
//! Each reader checks that what it reads is whole: everything in it is of one writing.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use super::evidence::{Deed, Evidence};
use super::feeds::{FeedState, FeedStates};
use super::forks::{Body, in_threads};
use super::hosts::{Host, Hosts};
use super::ledger::{Key, Maker};
use super::names::{Name, Names};
use super::notes::{Note, Notes};
use super::region::Region;
use super::snapshot::{Network, Section, Snapshot, Unread, network_words};
use super::statistics::{Count, Statistics};
use super::status::Status;
use super::words::Words;
use crate::engine::facts::{FOREVER, Now, Origin};
use crate::engine::verdict::Reason;
use crate::source::Source;

/// Times that something is written, and that each reader looks.
const STEPS: u64 = 2000;
const READERS: usize = 3;

/// One writes the numbers 1 to [`STEPS`], the others read.
fn one_writes(write: impl Fn(u64) + Send + 'static, read: impl Fn() + Send + Copy + 'static) {
    let mut bodies: Vec<Body> = vec![Box::new(move || (1..=STEPS).for_each(&write))];
    for _ in 0..READERS {
        bodies.push(Box::new(move || (0..STEPS).for_each(|_| read())));
    }
    in_threads(bodies);
}

fn key(number: u32) -> Key {
    let address = IpAddr::V4(Ipv4Addr::from(number));
    Key {
        source: Source::new(address, 64),
        hash: u64::from(number),
    }
}

/// A text that shows when a part of it is of another number.
fn text(number: u64, length: usize) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    letter.to_string().repeat(length)
}

fn is_whole(text: &str) -> bool {
    text.bytes().all(|letter| letter == text.as_bytes()[0])
}

#[test]
fn lines_of_the_agent_are_read_whole() {
    let words = Notes::WORDS + Hosts::WORDS + FeedStates::WORDS + Names::WORDS;
    let mut region = Region::new(words + 64).unwrap();
    let notes = Notes::new(region.take(Notes::WORDS));
    let hosts = Hosts::new(region.take(Hosts::WORDS));
    let feeds = FeedStates::new(region.take(FeedStates::WORDS));
    let names = Names::new(region.take(Names::WORDS));
    let host = |number: u64| Host {
        address: Ipv4Addr::from(number as u32).into(),
        names: text(number, 200),
    };
    let write = move |number| {
        notes.write(Note::Redis, &text(number, 100));
        hosts.write(key(7), &host(number));
        feeds.write(3, &feed(number));
        names.write([name(number), name(number + 1)].iter());
    };
    let read = move || {
        assert!(is_whole(&notes.read(Note::Redis)));
        if let Some(read) = hosts.read(key(7)) {
            let IpAddr::V4(address) = read.address else {
                panic!("{read:?}")
            };
            assert_eq!(read, host(u32::from(address).into()));
        }
        let read = feeds.read(3);
        assert!(read == FeedState::default() || read == feed(read.entries));
        for read in names.read() {
            assert_eq!(read, name(read.resolved));
        }
    };
    one_writes(write, read);
    assert_eq!(hosts.read(key(7)), Some(host(STEPS)));
    assert_eq!(feeds.read(3), feed(STEPS));
    assert_eq!(names.read(), [name(STEPS), name(STEPS + 1)]);
}

fn feed(number: u64) -> FeedState {
    FeedState {
        entries: number,
        skipped: number,
        loaded: number,
        next: number,
        failures: number,
        problem: text(number, 300),
        reasons: text(number + 1, 300),
    }
}

fn name(number: u64) -> Name {
    Name {
        name: text(number, 60),
        addresses: vec![Ipv4Addr::from(number as u32).into(); 5],
        resolved: number,
        problem: String::new(),
    }
}

#[test]
fn evidence_is_read_whole() {
    let evidence = Evidence::new(Region::new(Evidence::WORDS).unwrap().take(Evidence::WORDS));
    let deed = |at: u64| Deed {
        at,
        reason: Reason::AUTH,
        weight: 3,
        method: 6,
        user: text(at, 30),
        agent: text(at, 50),
    };
    let read = move || {
        let deeds = evidence.read(key(7));
        let newest = deeds.first().map_or(0, |deed| deed.at);
        let expected: Vec<Deed> = (1..=newest).rev().take(5).map(deed).collect();
        assert_eq!(deeds, expected);
    };
    one_writes(move |at| evidence.write(key(7), &deed(at), |_| 0), read);
    assert_eq!(evidence.read(key(7))[0], deed(STEPS));
}

#[test]
fn lists_are_read_whole() {
    let words = Snapshot::words(1);
    let snapshot = Snapshot::new(Region::new(words).unwrap().take(words));
    let network = |number: u64, net: u8| Network {
        prefix: format!("10.{net}.0.0/16").parse().unwrap(),
        since: number,
        until: FOREVER,
        reason: Reason::MANUAL,
        origin: Origin::Operator,
        maker: Maker::default(),
        shadow: false,
        pending: false,
    };
    let write = move |number: u64| {
        let networks: Vec<Network> = (0..1 + number as u8 % 20)
            .map(|net| network(number, net))
            .collect();
        let mut writer = snapshot.writer();
        let words = network_words(networks.iter());
        writer.set(Section::Bans, Some(words)).unwrap();
        writer.publish();
    };
    let read = move || {
        let read = snapshot.read(&[Section::Bans], |view| {
            let networks = view.networks(Section::Bans)?;
            let found = networks.find(IpAddr::from([10, 0, 1, 2]), |_| true);
            Some((networks.iter().collect::<Vec<_>>(), found))
        });
        match read {
            Ok(Some((networks, found))) => {
                let number = networks[0].since;
                assert_eq!(networks.len(), usize::from(1 + number as u8 % 20));
                assert!(networks.iter().all(|network| network.since == number));
                assert_eq!(found, Some(network(number, 0)));
            }
            Ok(None) => panic!("half a list"),
            Err(Unread::Absent | Unread::Busy) => {}
        }
    };
    one_writes(write, read);
    assert_eq!(snapshot.generation(), STEPS);
}

#[test]
fn words_are_kept_once_and_numbers_add_up() {
    let mut region = Region::new(Words::WORDS + Statistics::WORDS + Status::WORDS + 64).unwrap();
    let words = Words::new(region.take(Words::WORDS));
    let statistics = Statistics::new(region.take(Statistics::WORDS));
    let status = Status::new(region.take(Status::WORDS));
    let work = move |process: usize| {
        for step in 0..STEPS {
            let word = format!("reason {}", step % 50);
            let number = words.number(word.as_bytes());
            // Another may be writing the same word down in this instant.
            if let Some(number) = number {
                assert_eq!(words.text(number), word);
            }
            // The last row is that of all processes beyond it.
            statistics.add(process, Count::Allowed, 1);
            statistics.add(9999, Count::Denied, 1);
            status.beat(Now::from_ns(step));
            status.set_under_way(step, Now::from_ns(step));
            status.take_under_way(step, Now::from_ns(step), 1);
        }
    };
    let bodies = (0..4).map(|process| Box::new(move || work(process)) as Body);
    in_threads(bodies.collect());
    assert_eq!(statistics.sum(Count::Allowed), 4 * STEPS);
    assert_eq!(statistics.sum(Count::Denied), 4 * STEPS);
}
