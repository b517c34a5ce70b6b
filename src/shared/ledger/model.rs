//! Loom models of the ledger's protocol: every interleaving of a few steps of two processes.
//! Run by `make loom`. Each model is one promise of the ledger.

use super::slot::State;
use super::*;
use crate::engine::facts::Now;
use crate::engine::verdict::Reason;
use crate::shared::exploration::explore;
use std::net::{IpAddr, Ipv4Addr};

const EARLY: u64 = 1_000_000;

fn leak(words: usize) -> &'static [AtomicU64] {
    let words: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    Box::leak(words.into_boxed_slice())
}

/// A ledger of `ways` records, all in one bucket.
fn ledger(ways: usize) -> Ledger {
    let census = Census::new(leak(Census::WORDS));
    let (tags, words) = (leak(1), leak(ways * WORDS));
    Ledger {
        tags,
        words,
        beside: leak(ways * BESIDE),
        census,
        strike_window_ms: 600_000,
        ways,
        bucket_mask: 0,
        agent: false,
    }
}

fn key(last: u8) -> Key {
    let source = Source::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), 64);
    Key {
        source,
        hash: u64::from(last) << 16,
    }
}

fn at(ms: u64) -> Now {
    Now::from_ns(ms * 1_000_000)
}

fn ban(until: u64) -> Ban {
    Ban {
        until,
        reason: Reason::MANUAL,
        validated: true,
        ..Ban::default()
    }
}

/// A model with fewer executions than this has explored nothing.
const EXECUTIONS_MIN: usize = 5;

/// A strike on a record that the agent is just retiring is not lost.
#[test]
fn model_a_change_survives_the_sweep() {
    explore(2, EXECUTIONS_MIN, || {
        let ledger = ledger(2);
        ledger.ban(key(1), at(1), ban(10), false).unwrap();
        let sweeper = loom::thread::spawn(move || ledger.for_agent().sweep(at(EARLY)));
        let standing = ledger.strike(key(1), None, 1, at(EARLY));
        assert_eq!(standing.strikes, 1);
        sweeper.join().unwrap();
        assert_eq!(ledger.standing(key(1), at(EARLY)).strikes, 1);
    });
}

/// A ban never lands on the address that took over the record meanwhile.
#[test]
fn model_a_late_ban_never_hits_the_next_owner() {
    explore(2, EXECUTIONS_MIN, || {
        let ledger = ledger(1);
        let Ok((slot, meta)) = ledger.find_or_insert(key(1), None, Class::Ban, at(1)) else {
            panic!("an empty ledger has room")
        };
        let late = loom::thread::spawn(move || {
            slot.update(meta, Word::Ban, |_| Some(EARLY << 8));
        });
        ledger
            .find_or_insert(key(2), None, Class::Strikes, at(1))
            .ok();
        assert!(
            !ledger.standing(key(2), at(1)).banned(at(1), false),
            "it was never banned"
        );
        late.join().unwrap();
        assert!(!ledger.standing(key(2), at(1)).banned(at(1), false));
    });
}

/// Two processes that insert the same address at once lose neither's strike.
#[test]
fn model_two_insertions_of_one_address_count_both() {
    explore(2, EXECUTIONS_MIN, || {
        let ledger = ledger(2);
        let other = loom::thread::spawn(move || {
            ledger.strike(key(1), None, 1, at(1));
        });
        ledger.strike(key(1), None, 1, at(1));
        other.join().unwrap();
        assert_eq!(ledger.standing(key(1), at(1)).strikes, 2);
    });
}

/// A reader beside an insertion sees the ban of the right address or none.
#[test]
fn model_a_reader_sees_whole_keys() {
    explore(2, EXECUTIONS_MIN, || {
        let ledger = ledger(1);
        ledger.ban(key(1), at(1), ban(10), false).unwrap();
        let writer = loom::thread::spawn(move || ledger.ban(key(2), at(50), ban(EARLY), false));
        let standing = ledger.standing(key(1), at(50));
        assert!(
            !standing.banned(at(50), false),
            "that of 192.0.2.1 has ended"
        );
        writer.join().unwrap().unwrap();
        assert!(ledger.standing(key(2), at(50)).banned(at(50), false));
    });
}

/// A ban that a worker makes in a record that a dead agent was retiring survives the recovery by
/// its successor.
#[test]
fn model_recovery_leaves_workers_records_alone() {
    explore(2, EXECUTIONS_MIN, || {
        let ledger = ledger(1);
        ledger.ban(key(1), at(1), ban(10), false).unwrap();
        let (slot, live) = ledger.find(key(1), None).expect("it was just made");
        assert!(
            slot.shift(live, live.with(State::Retiring)),
            "as the agent left it"
        );
        let successor = loom::thread::spawn(move || ledger.for_agent().recover());
        ledger.ban(key(1), at(50), ban(EARLY), false).unwrap();
        successor.join().unwrap();
        assert!(ledger.standing(key(1), at(50)).banned(at(50), false));
    });
}
