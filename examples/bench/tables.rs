//! The rules and the tables by themselves, in this process: what a decision costs without any table,
//! and what a look-up costs in memory of the tables' size, beside the floor: one read of a random
//! cache line in a mapping as large.
//!
//! Each step depends on the one before, so that the processor cannot do two at once.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use sec::config::Config;
use sec::engine::decide::{self, decide};
use sec::engine::facts::{Ban, FOREVER, Facts, Now, Standing};
use sec::engine::policy::{Limit, Policy, method_bit};
use sec::gcra::{Charge, Quota};
use sec::shared::hash::Keys;
use sec::shared::rates::Rates;
use sec::shared::region::{LINE, Region};
use sec::source::Source;

use super::report::Row;

const RULES: &str = "Rules, by themselves";
const TABLES: &str = "Tables, by themselves";
const ROUNDS: usize = 7;
const STEPS: usize = 1_000_000;
/// Sources, as powers of two.
const SIZES: [(u32, &str); 3] = [(10, "1k"), (20, "1M"), (22, "4M")];

pub fn measure() -> Vec<Row> {
    let keys = Keys::from_seed(&[7; 32]);
    let mut rows = decisions();
    rows.push(row(TABLES, "a keyed hash of an address", |state| {
        keys.source(source(state))
    }));
    for (bits, sources) in SIZES {
        let words = Rates::words(1 << bits, 1);
        let mut region = Region::new(2 * words).expect("there is memory");
        let plain = region.take(words);
        let name = format!("floor: a random cache line of the table's size, {sources} sources");
        rows.push(row(TABLES, &name, |state| {
            let line = mix(state) as usize & (words / LINE - 1);
            plain[line * LINE].load(Relaxed)
        }));
        let quota = Quota::new(4_000_000_000, 86_400).expect("it is a quota");
        let scale: &'static [Quota] = vec![quota].leak();
        let rates = Rates::new(region.take(words), scale);
        let mut ms = 1;
        let mut charge = |state: u64| {
            ms += 1;
            let (key, now) = (
                keys.source(source(state & ((1 << bits) - 1))),
                Now::from_ns(ms << 10),
            );
            let charged = rates.charge(&quota, 0, key, now);
            // The verdict alone can be guessed ahead; what the word holds cannot.
            u64::from(charged.within) + u64::from(rates.level(&quota, 0, key, now))
        };
        for number in 0..1_u64 << bits {
            charge(number);
        }
        rows.push(row(
            TABLES,
            &format!("hash, charge and level, {sources} sources"),
            charge,
        ));
    }
    rows
}

/// One source's counters, out of any table: what is left is the cost of the rules themselves.
struct OneWord(u64, Now);

impl OneWord {
    fn charge_quota(&mut self, quota: &Quota) -> bool {
        let Charge::Within(time) = quota.charge(self.0, self.1.ticks()) else {
            return false;
        };
        self.0 = time;
        true
    }
}

impl decide::Rates for OneWord {
    fn charge(&mut self, _index: usize, limit: &Limit) -> bool {
        self.charge_quota(&limit.quota)
    }

    fn within(&mut self, _index: usize, limit: &Limit) -> bool {
        limit.quota.charge(self.0, self.1.ticks()) != Charge::Over
    }

    fn charge_ceiling(&mut self, quota: &Quota) -> bool {
        self.charge_quota(quota)
    }
}

/// The default rules on sources of each kind, their requests far enough apart to be within.
fn decisions() -> Vec<Row> {
    let policy: &Policy = &Config::default().policy();
    let unknown = Standing::default();
    let banned = Standing {
        ban: Ban {
            until: FOREVER,
            ..Ban::default()
        },
        ..unknown
    };
    let entry = Standing {
        whitelisted_until: FOREVER,
        ..unknown
    };
    let kinds = [
        ("an unknown source", unknown),
        ("a banned source", banned),
        ("a source with a whitelist entry", entry),
    ];
    let decision = |(kind, standing): (&str, Standing)| {
        let mut word = OneWord(0, Now::from_ns(1));
        let mut ms = 0;
        row(RULES, &format!("decide, {kind}"), move |state| {
            ms += 1000;
            word.1 = Now::from_ns(ms * 1_000_000);
            let facts = Facts {
                now: word.1,
                source: source(state),
                own: false,
                listed: false,
                validated: false,
                method: method_bit(b"OPTIONS").unwrap_or(0),
                shadow: false,
                muted: false,
                scanner: false,
                feed: None,
                loading: false,
            };
            let (facts, standing) = (black_box(&facts), black_box(&standing));
            decide(policy, facts, standing, &mut word).verdict.code() as u64
        })
    };
    kinds.into_iter().map(decision).collect()
}

/// Nanoseconds of a step, which takes what the one before made of the state.
fn row(part: &str, name: &str, mut step: impl FnMut(u64) -> u64) -> Row {
    let mut rounds = Vec::new();
    let mut state = 1_u64;
    // The first round warms up what can be warm.
    for _ in 0..=ROUNDS {
        let start = Instant::now();
        for _ in 0..STEPS {
            state = mix(state.wrapping_add(step(state)));
        }
        rounds.push(start.elapsed().as_nanos() as f64 / STEPS as f64);
    }
    black_box(state);
    rounds.remove(0);
    Row::new(part, name, "ns", rounds)
}

/// Steele's and Vigna's splitmix64: the next place to look at.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn source(number: u64) -> Source {
    Source::new(IpAddr::V4(Ipv4Addr::from(number as u32)), 64)
}
