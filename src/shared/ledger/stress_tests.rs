//! Many processes at once in one ledger, and a checker: no ban lost, no wrong source banned, nothing
//! counted twice or not at all, no whitelist entry pushed out.
//!
//! And many threads: the same work, where ThreadSanitizer can follow it.
//!
//! Each process owns sources that it alone changes, so that it knows what has to be true of them;
//! all of them share the buckets, the agent's sweep, and sources that everybody strikes.

use super::tests::{at, key, ledger};
use super::*;
use crate::engine::verdict::Reason;
use crate::shared::forks::{Body, in_processes, in_threads};
use crate::shared::region::Region;
use crate::shared::statistics::{Count, Statistics};

const PROCESSES: u32 = 4;
/// Sources that a process owns.
const OWN: u32 = 16;
const STEPS: u32 = 40_000;
const SWEEPS: u32 = 400;
/// Sources that all processes strike, each so often: less than a quarter of a window can hold.
const SHARED: u32 = 16;
const STRIKES_EACH: u32 = 50;
/// All bans and entries hold longer than the test; time stands still.
const NOW_MS: u64 = 1000;
const UNTIL: u64 = 900_000;

/// What is true of a source. The owner keeps it where the checker reads it in the end.
const NOTHING: u64 = 0;
const BANNED: u64 = 1;
const WHITELISTED: u64 = 2;

fn owned(process: u32, number: u32) -> u32 {
    process * OWN + number
}

fn shared(number: u32) -> u32 {
    1_000_000 + number
}

/// A ban that says of whom it is.
fn ban_of(number: u32) -> Ban {
    Ban {
        since: u64::from(number) % 997 + 1,
        until: UNTIL,
        reason: Reason::AUTH,
        validated: true,
        ..Ban::default()
    }
}

/// A process with its sources, as it is forked.
#[derive(Clone, Copy)]
struct Owner {
    process: u32,
    ledger: Ledger,
    truth: &'static [AtomicU64],
    statistics: Statistics,
    /// How many processes have done their work, or failed.
    done: &'static AtomicU64,
}

/// Counts a process as done, however it ends.
struct Done(&'static AtomicU64);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Owner {
    fn work(self) {
        let _done = Done(self.done);
        let mut random = self.process + 1;
        for step in 0..STEPS {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mine = owned(self.process, random >> 8 & (OWN - 1));
            self.change(mine, random >> 20 & 7);
            self.check(mine);
            let other = owned(random >> 24 & (PROCESSES - 1), random >> 14 & (OWN - 1));
            self.has_no_foreign_ban(other);
            if step < STRIKES_EACH * SHARED {
                self.ledger
                    .strike(key(shared(step % SHARED)), None, 1, at(NOW_MS));
                let process = self.process as usize;
                self.statistics.add(process, Count::Strikes, 1);
            }
        }
    }

    /// One order about a source of its own.
    fn change(&self, number: u32, order: u32) {
        let (key, now) = (key(number), at(NOW_MS));
        let truth = match order {
            0..=2 => {
                self.ledger.ban(key, now, ban_of(number), true).unwrap();
                BANNED
            }
            3 => {
                let done = self.ledger.whitelist(key, now, UNTIL, Origin::Script);
                if done.is_err() {
                    return;
                }
                self.ledger.unban(key, now, 1);
                self.statistics
                    .add(self.process as usize, Count::WhitelistHits, 1);
                WHITELISTED
            }
            4 => {
                // Never less than banned in between: a strike changes another word.
                self.ledger.strike(key, None, 1, now);
                return;
            }
            _ => {
                self.ledger.unban(key, now, 1);
                self.ledger.unwhitelist(key, now);
                NOTHING
            }
        };
        if truth == BANNED {
            self.ledger.unwhitelist(key, now);
        }
        self.truth[number as usize].store(truth, Relaxed);
    }

    /// What the ledger says is what its owner did.
    fn check(&self, number: u32) {
        let now = at(NOW_MS);
        let standing = self.ledger.standing(key(number), now);
        let truth = self.truth[number as usize].load(Relaxed);
        let found = (standing.banned(now, false), standing.whitelisted(now));
        assert_eq!(found, (truth == BANNED, truth == WHITELISTED), "{number}");
    }

    /// Whatever its owner is doing just now, its ban is its own.
    fn has_no_foreign_ban(&self, number: u32) {
        let standing = self.ledger.standing(key(number), at(NOW_MS));
        if standing.ban.until > NOW_MS {
            assert_eq!(standing.ban.until, UNTIL, "{number}");
        }
        let bystander = self.ledger.standing(key(2_000_000 + number), at(NOW_MS));
        assert_eq!(bystander, Standing::default());
    }
}

#[test]
fn nothing_is_lost_and_nobody_wrong_is_banned_when_all_work_at_once() {
    work(in_processes);
}

#[test]
fn nothing_is_lost_between_threads() {
    work(in_threads);
}

fn work(at_once: fn(Vec<Body>)) {
    let ledger = ledger(512);
    let mut region = Region::new(Statistics::WORDS + 1024).unwrap();
    let statistics = Statistics::new(region.take(Statistics::WORDS));
    let truth = region.take((PROCESSES * OWN) as usize);
    let done = &region.take(1)[0];
    let mut bodies: Vec<Body> = Vec::new();
    for process in 0..PROCESSES {
        let owner = Owner {
            process,
            ledger,
            truth,
            statistics,
            done,
        };
        bodies.push(Box::new(move || owner.work()));
    }
    // Without the sweep the share of the whitelist is soon used up: only it counts who has left.
    bodies.push(Box::new(move || {
        while done.load(Relaxed) < u64::from(PROCESSES) {
            ledger.for_agent().sweep(at(NOW_MS));
        }
    }));
    at_once(bodies);

    let now = at(NOW_MS);
    ledger.sweep(now);
    let is = |wanted| truth.iter().filter(|it| it.load(Relaxed) == wanted).count() as u64;
    for number in 0..PROCESSES * OWN {
        let standing = ledger.standing(key(number), now);
        let truth = truth[number as usize].load(Relaxed);
        assert_eq!(standing.banned(now, false), truth == BANNED, "{number}");
        assert_eq!(standing.whitelisted(now), truth == WHITELISTED, "{number}");
        if truth == BANNED {
            assert_eq!(standing.ban, ban_of(number), "the ban of another");
        }
    }
    assert!(is(BANNED) > 0 && statistics.sum(Count::WhitelistHits) > 0);
    let census = ledger.census();
    assert_eq!(
        (census.bans(), census.whitelisted()),
        (is(BANNED), is(WHITELISTED))
    );
    assert_eq!(census.evictions(), 0, "there is room for all");
    for number in 0..SHARED {
        let strikes = ledger.standing(key(shared(number)), now).strikes;
        assert_eq!(strikes, PROCESSES * STRIKES_EACH, "every strike, once");
    }
    let counted = u64::from(PROCESSES * STRIKES_EACH * SHARED);
    assert_eq!(statistics.sum(Count::Strikes), counted);
}

/// Offenders without end in a ledger far too small, while entries are made, renewed and removed.
#[test]
fn in_a_full_ledger_no_whitelist_entry_is_pushed_out() {
    push(in_processes);
}

#[test]
fn nor_is_one_between_threads() {
    push(in_threads);
}

fn push(at_once: fn(Vec<Body>)) {
    const ENTRIES: u32 = 16;
    let ledger = ledger(256);
    let mut bodies: Vec<Body> = Vec::new();
    for process in 0..3 {
        bodies.push(Box::new(move || {
            for step in 0..STEPS {
                let number = 10_000 + process * STEPS + step;
                let _ = ledger.ban(key(number), at(NOW_MS), ban_of(number), false);
                ledger.strike(key(number + 500_000), Some(7), 1, at(NOW_MS));
            }
        }));
    }
    bodies.push(Box::new(move || {
        let now = at(NOW_MS);
        for step in 0..STEPS {
            let mine = key(step % ENTRIES);
            // Removed ones count until the next sweep: no more than the share has room for.
            if step % 2048 == 0 {
                ledger.unwhitelist(mine, now);
            }
            // In a bucket full of entries there may be no room, but not here.
            ledger
                .whitelist(mine, now, UNTIL, Origin::Operator)
                .unwrap();
            for number in 0..ENTRIES.min(step + 1) {
                assert!(
                    ledger.standing(key(number), now).whitelisted(now),
                    "{number}"
                );
            }
        }
    }));
    bodies.push(Box::new(move || {
        for _ in 0..SWEEPS {
            ledger.for_agent().sweep(at(NOW_MS));
        }
    }));
    at_once(bodies);
    assert!(ledger.census().evictions() > 1000, "it was full");
    for number in 0..ENTRIES {
        assert!(
            ledger
                .standing(key(number), at(NOW_MS))
                .whitelisted(at(NOW_MS))
        );
    }
}
