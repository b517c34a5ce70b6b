//! Tests of the ledger: life of each state, who gives way, and many processes at once.

use super::*;
use crate::engine::verdict::Reason;
use crate::shared::forks::Forks;
use crate::shared::hash::Keys;
use crate::shared::region::Region;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn ledger(records: usize) -> Ledger {
    let size = Ledger::size(records);
    let mut region = Region::new(size.tags + size.words + 64).unwrap();
    let census = Census::new(region.take(Census::WORDS));
    Ledger::new(region.take(size.tags), region.take(size.words), census, 600)
}

pub(super) fn key(number: u32) -> Key {
    let source = Source::new(IpAddr::V4(Ipv4Addr::from(number)), 64);
    Key {
        source,
        hash: Keys::from_seed(&[1; 32]).source(source),
    }
}

pub(super) fn at(ms: u64) -> Now {
    Now::from_ns(ms * 1_000_000)
}

fn ban(until: u64) -> Ban {
    Ban {
        since: 1,
        until,
        reason: Reason::AUTH,
        validated: true,
        ..Ban::default()
    }
}

#[test]
fn a_ban_holds_until_its_end_for_its_address_only() {
    let ledger = ledger(64);
    assert_eq!(ledger.ban(key(1), at(1), ban(5000), false), Ok(true));
    let standing = ledger.standing(key(1), at(4999));
    assert!(standing.banned(at(4999), false));
    assert_eq!((standing.ban.reason, standing.ban.since), (Reason::AUTH, 1));
    assert!(!ledger.standing(key(1), at(5000)).banned(at(5000), false));
    assert_eq!(ledger.standing(key(2), at(1)), Standing::default());
}

#[test]
fn a_second_ban_changes_nothing_unless_an_operator_says_so() {
    let ledger = ledger(64);
    ledger.ban(key(1), at(1), ban(5000), false).unwrap();
    assert_eq!(ledger.ban(key(1), at(2), ban(9000), false), Ok(false));
    assert_eq!(ledger.standing(key(1), at(2)).ban.until, 5000);
    assert_eq!(ledger.ban(key(1), at(2), ban(3000), true), Ok(true));
    assert_eq!(ledger.standing(key(1), at(2)).ban.until, 3000);
}

#[test]
fn a_real_ban_replaces_a_shadow_ban() {
    let ledger = ledger(64);
    let shadow = Ban {
        shadow: true,
        ..ban(5000)
    };
    ledger.ban(key(1), at(1), shadow, false).unwrap();
    assert_eq!(ledger.ban(key(1), at(1), ban(4000), false), Ok(true));
    assert!(ledger.standing(key(1), at(1)).banned(at(1), false));
    ledger.ban(key(2), at(1), shadow, false).unwrap();
    assert_eq!(ledger.drop_shadow_bans(at(1)), 1);
    assert!(!ledger.standing(key(2), at(1)).banned(at(1), true));
}

#[test]
fn an_unban_lifts_everything_and_begins_the_grace() {
    let ledger = ledger(64);
    ledger.strike(key(1), Some(7), 5, at(1));
    ledger.ban(key(1), at(1), ban(5000), false).unwrap();
    ledger.remember(key(1), at(1), 5000, 86_400_000);
    assert_eq!(ledger.standing(key(1), at(1)).repeats, 1);
    assert!(ledger.unban(key(1), at(2), 62_000));
    let standing = ledger.standing(key(1), at(3));
    assert_eq!(
        (standing.strikes, standing.repeats, standing.users),
        (0, 0, 0)
    );
    assert!(!standing.banned(at(3), false) && standing.graced(at(3)));
    assert!(
        !ledger.unban(key(1), at(4), 62_000),
        "nothing is left to lift"
    );
    assert!(!ledger.unban(key(9), at(4), 62_000), "an unknown address");
    ledger.succeed(key(1), 7, at(5), 100).unwrap();
    assert_eq!(ledger.standing(key(1), at(5)).strikes, 0);
}

#[test]
fn repeats_are_remembered_for_their_time() {
    let ledger = ledger(64);
    ledger.ban(key(1), at(1), ban(1000), false).unwrap();
    for _ in 0..3 {
        ledger.remember(key(1), at(1), 1000, 5000);
    }
    assert_eq!(ledger.standing(key(1), at(5999)).repeats, 3);
    assert_eq!(ledger.standing(key(1), at(6000)).repeats, 0);
}

#[test]
fn a_success_clears_that_users_failures_only() {
    let ledger = ledger(64);
    let (anna, bob) = (1 << 90 | 11, 2 << 90 | 22);
    for _ in 0..4 {
        ledger.strike(key(1), Some(anna), 1, at(1));
    }
    let standing = ledger.strike(key(1), Some(bob), 3, at(1));
    assert_eq!((standing.strikes, standing.users), (7, 2));
    ledger.succeed(key(1), anna, at(2), 9000).unwrap();
    let standing = ledger.standing(key(1), at(3));
    assert_eq!((standing.strikes, standing.users), (3, 2));
    assert!(standing.trusted(at(3)) && !standing.trusted(at(9000)));
}

#[test]
fn whitelist_entries_live_end_and_are_revoked() {
    let ledger = ledger(64);
    ledger
        .whitelist(key(1), at(1), 5000, Origin::Operator)
        .unwrap();
    assert!(ledger.standing(key(1), at(4999)).whitelisted(at(4999)));
    assert!(!ledger.standing(key(1), at(5000)).whitelisted(at(5000)));
    ledger
        .whitelist(key(1), at(1), FOREVER, Origin::Operator)
        .unwrap();
    assert!(ledger.revoke(key(1), at(2), 9000));
    let standing = ledger.standing(key(1), at(2));
    assert!(!standing.whitelisted(at(2)) && standing.cooling(at(2)));
    assert!(!ledger.revoke(key(1), at(2), 9000), "once");
    assert!(!ledger.unwhitelist(key(1), at(2)));
}

#[test]
fn in_a_full_ledger_the_least_valuable_gives_way() {
    let ledger = ledger(16);
    ledger
        .whitelist(key(1), at(1), FOREVER, Origin::Operator)
        .unwrap();
    ledger.succeed(key(2), 9, at(1), 900_000).unwrap();
    ledger.ban(key(3), at(1), ban(900_000), false).unwrap();
    ledger.remember(key(3), at(1), 900_000, 1);
    ledger.remember(key(3), at(1), 900_000, 1);
    for number in 100..400 {
        let forgeable = Ban {
            validated: false,
            ..ban(300_000)
        };
        ledger.ban(key(number), at(1), forgeable, false).unwrap();
        ledger.strike(key(1000 + number), None, 1, at(1));
    }
    assert!(ledger.standing(key(1), at(2)).whitelisted(at(2)));
    assert!(ledger.standing(key(2), at(2)).trusted(at(2)));
    assert!(ledger.standing(key(3), at(2)).banned(at(2), false));
    assert!(ledger.census().evictions() > 500);
}

#[test]
fn the_whitelist_has_a_share_and_refuses_beyond_it() {
    let ledger = ledger(64);
    let added = (0..64)
        .filter(|number| {
            ledger
                .whitelist(key(*number), at(1), FOREVER, Origin::Script)
                .is_ok()
        })
        .count();
    assert_eq!(added, 16, "a quarter of the ledger");
    assert_eq!(
        ledger.whitelist(key(99), at(1), FOREVER, Origin::Script),
        Err(Full)
    );
    ledger.unwhitelist(key(0), at(1));
    ledger.sweep(at(2));
    assert_eq!(
        ledger.whitelist(key(99), at(2), FOREVER, Origin::Script),
        Ok(())
    );
}

#[test]
fn a_sweep_frees_what_has_ended_and_counts_the_rest() {
    let ledger = ledger(256);
    for number in 0..50 {
        ledger
            .ban(
                key(number),
                at(1),
                ban(if number < 20 { 10 } else { 90_000 }),
                false,
            )
            .unwrap();
    }
    ledger.sweep(at(100));
    let census = ledger.census();
    assert_eq!((census.bans(), census.records()), (30, 30));
    let listed: Vec<_> = ledger
        .entries(0, at(100))
        .map(|(_, source, _)| source)
        .collect();
    assert_eq!(listed.len(), 30);
    assert!(listed.contains(&key(49).source) && !listed.contains(&key(0).source));
    ledger.sweep(at(90_000));
    assert_eq!(ledger.entries(0, at(90_000)).count(), 0);
}

/// Several processes ban even addresses, strike odd ones and sweep, in a ledger far too small; some
/// are killed at random instants. No odd address is ever banned, and nobody gets stuck.
#[test]
fn killed_processes_leave_no_wrong_ban_and_nobody_stuck() {
    let ledger = ledger(64);
    let mut forks = Forks::default();
    for worker in 0..4u32 {
        forks.start(move || {
            let mut number = worker;
            for step in 1u64.. {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (address, now) = (number >> 16 & 0x3ff, at(step / 64));
                if worker == 3 && step % 512 == 0 {
                    ledger.for_agent().sweep(now);
                } else if address % 2 == 0 {
                    let _ = ledger.ban(key(address), now, ban(now.ms() + 3), false);
                } else {
                    ledger.strike(key(address), None, 1, now);
                }
                if address % 2 == 1 && ledger.standing(key(address), now).ban.until != 0 {
                    crate::shared::forks::leave(3);
                }
            }
        });
    }
    for round in 0..60 {
        let index = round % 4;
        assert_eq!(
            forks.killed_after_us(index, 300 + 97 * round as u64),
            None,
            "a wrong ban"
        );
        forks.restart(index);
        if index == 3 {
            ledger.for_agent().recover();
        }
    }
    forks.stop();
    ledger.recover();
    // A killed claimant leaves at most its own record unusable.
    let usable = (0..1000)
        .filter(|n| ledger.ban(key(n * 2), at(9), ban(10), true).is_ok())
        .count();
    assert!(usable > 0);
}

#[test]
fn what_changes_while_it_is_written_stays_pending() {
    let ledger = ledger(64);
    ledger.ban(key(1), at(1), ban(5000), false).unwrap();
    assert!(ledger.pending(key(1)).is_empty());
    ledger.mark(key(1), Aspect::Ban, at(1));
    assert_eq!(ledger.all_pending().collect::<Vec<_>>(), [key(1).source]);
    let taken = ledger.take_pending(key(1));
    assert!(taken.has(Aspect::Ban) && !taken.has(Aspect::Whitelist) && taken.since == 1);
    ledger.mark(key(1), Aspect::Whitelist, at(1));
    ledger.settle(key(1));
    assert!(
        ledger.pending(key(1)).has(Aspect::Ban),
        "written, but changed meanwhile"
    );
    ledger.take_pending(key(1));
    ledger.settle(key(1));
    assert!(ledger.pending(key(1)).is_empty());
    assert_eq!(ledger.all_pending().count(), 0);
}

#[test]
fn a_lifted_ban_is_kept_until_the_fleet_knows() {
    let ledger = ledger(64);
    ledger.ban(key(1), at(1), ban(5000), false).unwrap();
    ledger.unban(key(1), at(2), 3);
    ledger.mark(key(1), Aspect::Ban, at(2));
    ledger.sweep(at(9000));
    assert!(ledger.pending(key(1)).has(Aspect::Ban));
    ledger.take_pending(key(1));
    ledger.settle(key(1));
    ledger.sweep(at(9000));
    assert_eq!(ledger.entries(0, at(9000)).count(), 0);
}

#[test]
fn the_fleet_is_followed_but_for_what_is_pending() {
    let ledger = ledger(64);
    let fleet = Ban {
        origin: Origin::Redis,
        ..ban(90_000)
    };
    let maker = Maker { node: 7, count: 3 };
    let mirror = |ban, ms| ledger.mirror_ban(key(1), at(ms), ban, maker);
    assert_eq!(mirror(fleet, 1), Ok(Mirrored::New));
    assert_eq!(ledger.provenance(key(1)).maker, maker);
    let again = Ban {
        until: 90_300,
        ..fleet
    };
    assert_eq!(mirror(again, 1), Ok(Mirrored::Same));
    ledger.unban(key(1), at(2), 3);
    ledger.mark(key(1), Aspect::Ban, at(2));
    mirror(fleet, 2).unwrap();
    assert!(
        !ledger.standing(key(1), at(2)).banned(at(2), false),
        "our unban goes first"
    );

    assert_eq!(
        ledger.mirror_whitelist(key(2), at(5900), 50_000),
        Ok(Mirrored::New)
    );
    assert_eq!(
        ledger.provenance(key(2)),
        Provenance {
            maker: Maker::default(),
            whitelisted_by: Origin::Redis,
            whitelisted_since: 5000,
        }
    );
    assert_eq!(
        ledger.mirror_cooldown(key(2), at(1), 60_000),
        Ok(Mirrored::New)
    );
    let standing = ledger.standing(key(2), at(1));
    assert!(standing.cooling(at(1)) && !standing.whitelisted(at(1)));
    ledger.end_cooldown(key(2));
    assert!(!ledger.standing(key(2), at(1)).cooling(at(1)));
}
