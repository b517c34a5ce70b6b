//! The trials of `make soak` in their short form: faults and floods, and what has to come of them.
#![forbid(unsafe_code)]

mod host;

#[path = "../examples/soak/trials/mod.rs"]
mod trials;

use trials::{Extent, SERIES, TRIALS};

const SHORT: Extent = Extent {
    sources: 1 << 20,
    bans: 20_000,
    offenders: 2_000,
    messages: 12_000,
    kills: 2,
    seconds: 5,
};

/// Runs the one trial in which these words are done.
fn run(words: &str) {
    let mut found = TRIALS.iter().filter(|trial| trial.done.contains(words));
    let trial = found.next().expect("there is such a trial");
    assert!(found.next().is_none(), "`{words}` names two trials");
    println!("{}: {}", trial.done, (trial.run)(&SHORT));
}

#[test]
fn an_agent_that_is_killed_is_replaced_and_nothing_is_lost() {
    run("killed -9, again");
}

#[test]
fn an_agent_that_is_stopped_delays_nobody() {
    run("SIGSTOP");
}

#[test]
fn an_agent_without_memory_is_replaced() {
    run("RLIMIT_AS");
}

#[test]
fn a_worker_killed_in_a_flood_wedges_nobody() {
    run("a worker killed");
}

#[test]
fn the_server_ends_whatever_hangs() {
    run("SIGTERM");
}

#[test]
fn a_restart_forgets_nothing() {
    run("a restart");
}

#[test]
fn forged_sources_push_nobody_out() {
    run("IPv4 /8");
}

#[test]
fn forged_ipv6_sources_push_nobody_out() {
    run("IPv6 /64s");
}

#[test]
fn forged_offenders_push_only_each_other_out() {
    run("than the ledger holds");
}

#[test]
fn forged_packets_at_all_workers_push_nobody_out() {
    run("datagrams at four workers");
}

#[test]
fn more_bans_than_the_pipe_holds_all_reach_redis() {
    run("as many bans");
}

#[test]
fn bans_that_redis_does_not_take_cost_no_memory() {
    run("while Redis is away");
}

#[test]
fn bans_of_shadow_mode_cost_no_memory() {
    run("the same in shadow mode");
}

#[test]
fn networks_are_caught_as_networks() {
    run("200 hosts");
}

#[test]
fn a_silent_name_server_frees_no_offender() {
    run("that is silent");
}

#[test]
fn a_slow_name_server_frees_no_offender() {
    run("20 ms");
}

#[test]
fn a_crowd_of_offenders_hides_no_trusted_host() {
    run("name server that answers");
}

#[test]
fn whatever_is_wrong_with_redis_customers_are_served_and_the_fleet_agrees() {
    let [redis] = &SERIES;
    let rows = (redis.run)(&SHORT);
    for row in &rows {
        println!("{}: {}", row.done, row.seen);
    }
    assert_eq!(
        rows[0].done, "Redis: nothing wrong",
        "the one to compare with"
    );
}

#[test]
fn hostile_messages_cost_no_memory() {
    run("malformed messages");
}

#[test]
fn nothing_grows() {
    run("a million sources");
}
