//! Tests of the rate table: exactness, eviction, sweeping, and forked processes.

use super::*;
use crate::shared::forks::{Body, Forks, in_processes, in_threads};
use crate::shared::hash::Keys;
use crate::shared::region::Region;
use crate::source::Source;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

fn quota(limit: u64, window: u64) -> Quota {
    Quota::new(limit, window).unwrap()
}

fn table(sources: usize, quotas: &[Quota]) -> Rates {
    let words = Rates::words(sources, quotas.len());
    let mut region = Region::new(words).unwrap();
    Rates::new(region.take(words), kept(quotas))
}

/// Quotas for as long as the process lives, where a leak checker sees that they are kept.
fn kept(quotas: &[Quota]) -> &'static [Quota] {
    static KEPT: Mutex<Vec<&'static [Quota]>> = Mutex::new(Vec::new());
    let quotas: &'static [Quota] = quotas.to_vec().leak();
    KEPT.lock().unwrap().push(quotas);
    quotas
}

fn hash(number: u32) -> u64 {
    let address = IpAddr::V4(Ipv4Addr::from(number));
    Keys::from_seed(&[1; 32]).source(Source::new(address, 64))
}

fn at(ms: u64) -> Now {
    Now::from_ns(ms * 1_000_000)
}

#[test]
fn exactly_the_limit_passes_and_others_are_untouched() {
    let quotas = [quota(30, 2)];
    let rates = table(1024, &quotas);
    let passed = (0..40)
        .filter(|_| rates.charge(&quotas[0], 0, hash(1), at(9)).within)
        .count();
    assert_eq!(passed, 30);
    assert_eq!(rates.level(&quotas[0], 0, hash(1), at(9)), 30);
    assert!(rates.charge(&quotas[0], 0, hash(2), at(9)).within);
    assert!(rates.charge(&quotas[0], 0, hash(1), at(2009)).within);
}

#[test]
fn four_limits_of_one_source_are_counted_apart() {
    let quotas = [quota(1, 2), quota(2, 2), quota(3, 300), quota(4, 86_400)];
    let rates = table(64, &quotas);
    for (index, quota) in quotas.iter().enumerate() {
        let passed = (0..9)
            .filter(|_| rates.charge(quota, index, hash(5), at(1)).within)
            .count();
        assert_eq!(passed, index + 1);
    }
}

#[test]
fn a_question_changes_nothing() {
    let quotas = [quota(2, 2)];
    let rates = table(64, &quotas);
    for _ in 0..9 {
        assert!(rates.within(&quotas[0], 0, hash(1), at(1)));
        assert_eq!(rates.level(&quotas[0], 0, hash(1), at(1)), 0);
    }
    rates.charge(&quotas[0], 0, hash(1), at(1));
    rates.charge(&quotas[0], 0, hash(1), at(1));
    assert!(!rates.within(&quotas[0], 0, hash(1), at(1)));
    rates.forget(0, hash(1));
    assert!(rates.within(&quotas[0], 0, hash(1), at(1)));
}

#[test]
fn in_a_full_table_the_smallest_relative_debt_gives_way() {
    // One set of eight words; the long window's debt is larger in ticks, smaller in its window.
    let quotas = [quota(4, 2), quota(100, 300)];
    let rates = table(2, &quotas);
    for _ in 0..4 {
        rates.charge(&quotas[0], 0, hash(1), at(1));
    }
    let mut evicted = 0;
    for number in 10..40 {
        evicted += usize::from(rates.charge(&quotas[1], 1, hash(number), at(1)).evicted);
    }
    assert!(evicted > 0, "thirty sources do not fit eight words");
    assert_eq!(
        rates.level(&quotas[0], 0, hash(1), at(1)),
        4,
        "the abuser is still known"
    );
}

#[test]
fn a_sweep_clears_the_expired_and_counts_the_live() {
    let quotas = [quota(10, 2)];
    let rates = table(512, &quotas);
    for number in 0..100 {
        rates.charge(&quotas[0], 0, hash(number), at(1));
    }
    let mut start = 0;
    let mut live = 0;
    loop {
        let (found, next) = rates.sweep(start, 100, at(2));
        live += found;
        start = next;
        if start == 0 {
            break;
        }
    }
    assert_eq!(live, 100);
    assert_eq!(rates.sweep(0, usize::MAX, at(5000)), (0, 0));
    assert!(rates.words.iter().all(|word| word.load(Relaxed) == 0));
}

/// A spoofed flood of a million sources beside a hundred abusers and honest phones: memory stays,
/// every abuser is held to its limit, and nobody honest is denied.
#[test]
fn a_spoofed_flood_neither_frees_abusers_nor_hurts_the_honest() {
    let quotas = [quota(20, 2)];
    let rates = table(1 << 14, &quotas);
    let mut abused = 0;
    for step in 0..200u32 {
        let now = at(u64::from(step) * 50);
        for number in 0..5_000 {
            rates.charge(&quotas[0], 0, hash(1_000_000 + step * 5_000 + number), now);
        }
        for number in 0..100 {
            for _ in 0..3 {
                abused += usize::from(rates.charge(&quotas[0], 0, hash(number), now).within);
            }
        }
        if step % 4 == 0 {
            for number in 500..600 {
                assert!(
                    rates.charge(&quotas[0], 0, hash(number), now).within,
                    "an honest phone"
                );
            }
        }
    }
    let each = abused as f64 / 100.0;
    assert!(
        each < 140.0,
        "an abuser got {each} of 600 requests through, 120 are due"
    );
}

/// Processes killed in the middle of charging leave a table that still counts exactly.
#[test]
fn killed_processes_leave_the_table_exact() {
    let quotas = [quota(30, 2)];
    let rates = table(256, &quotas);
    let mut forks = Forks::default();
    for _ in 0..3 {
        forks.start(move || {
            loop {
                for number in 0..64 {
                    rates.charge(&quotas[0], 0, hash(number), at(7));
                }
            }
        });
    }
    for round in 0..60 {
        assert_eq!(forks.killed_after_us(round % 3, 200), None);
        forks.restart(round % 3);
    }
    forks.stop();
    let passed = (0..40)
        .filter(|_| rates.charge(&quotas[0], 0, hash(999), at(7)).within)
        .count();
    assert_eq!(passed, 30);
    assert!((0..64).all(|number| rates.level(&quotas[0], 0, hash(number), at(7)) <= 30));
}

/// Four processes charge one source at once: together they get exactly the limit.
#[test]
fn processes_share_one_limit() {
    share(in_processes);
}

#[test]
fn threads_share_one_limit() {
    share(in_threads);
}

fn share(at_once: fn(Vec<Body>)) {
    let quotas = [quota(30, 2)];
    let rates = table(256, &quotas);
    let mut region = Region::new(8).unwrap();
    let passed = &region.take(1)[0];
    let body = move || {
        for _ in 0..40 {
            if rates.charge(&quotas[0], 0, hash(1), at(7)).within {
                passed.fetch_add(1, Relaxed);
            }
        }
    };
    at_once((0..4).map(|_| Box::new(body) as Body).collect());
    // At the first instant each process may have made a word of its own, with one request in it.
    let passed = passed.load(Relaxed);
    assert!((30..=33).contains(&passed), "{passed} passed");
}
