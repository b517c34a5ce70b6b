//! The agent: whatever happens to it, calls go on, nothing is lost, and it is there again.
#![forbid(unsafe_code)]

mod host;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use host::{
    Callers, Client, Config, Kamailio, Redis, isolate, listed, verdict, wait_for_verdict,
    wait_until,
};
use nix::sys::signal::Signal;

const URL: &str = "redis://127.0.0.1:6379";
const OFFENDER: &str = "198.51.100.7";

/// Bans an address and waits for the line that only the agent writes.
fn ban(server: &Kamailio, address: &str) {
    let banned = server.kamcmd(&["sec.ban", address, "600"]);
    banned.expect("it bans");
    wait_until("the line in the log", || {
        server.log().contains(&format!("sec: ban {address} "))
    });
}

#[test]
fn what_operators_send_to_all_processes_ends_no_agent() {
    isolate();
    let server = Kamailio::start(Config::new());
    let agent = server.agent();
    let signals = [
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
    ];
    for (number, signal) in (1..).zip(signals) {
        server.signal(agent, signal);
        ban(&server, &format!("198.51.100.{number}"));
        assert_eq!(server.agent(), agent, "{signal}");
    }
    assert_eq!(verdict("198.51.100.5"), -1);
    assert_eq!(server.status("agent_restarts"), "0");
    server.signal(agent, Signal::SIGTERM);
    wait_until("another agent", || server.agent() != agent);
    ban(&server, OFFENDER);
}

/// Has Kamailio log at this level from now on.
fn set_level(server: &Kamailio, level: &str) {
    let set = server.kamcmd(&["cfg.set_now_int", "core", "debug", level]);
    set.expect("the level can be set");
}

/// Bans one address after the other until the agent has a line for it, or none. The network that is
/// banned afterwards shows how far it has come.
fn ban_until_shown(server: &Kamailio, net: u8, shown: bool) {
    let mut number = 0_u8;
    wait_until("the agent to know the level", || {
        number += 1;
        let (address, network) = (
            format!("198.51.{net}.{number}"),
            format!("10.{net}.{number}.0/24"),
        );
        for offender in [&address, &network] {
            let banned = server.kamcmd(&["sec.ban", offender, "600"]);
            banned.expect("it bans");
        }
        wait_until("the network", || {
            listed(server, "sec.bans").contains(&network)
        });
        server.log().contains(&format!("sec: ban {address} ")) == shown
    });
}

#[test]
fn the_level_of_the_log_is_followed_at_run_time() {
    isolate();
    let config = Config::new().extra("loadmodule \"cfg_rpc.so\"\ndebug=0");
    let server = Kamailio::start(config);
    ban_until_shown(&server, 1, false);
    assert!(!server.log().contains("sec: ban "), "{}", server.log());
    set_level(&server, "1");
    ban_until_shown(&server, 2, true);
    set_level(&server, "0");
    ban_until_shown(&server, 3, false);
    // A new agent knows it from its first line on.
    set_level(&server, "1");
    ban_until_shown(&server, 4, true);
    let agent = server.agent();
    server.signal(agent, Signal::SIGKILL);
    wait_until("another agent", || server.agent() != agent);
    ban(&server, OFFENDER);
}

#[test]
fn what_only_shadow_mode_did_does_not_wait_for_redis() {
    isolate();
    let redis = Redis::start();
    let config = Config::new().param("redis_url", URL);
    let server = Kamailio::start(config.param("mode", "shadow"));
    wait_until("the link", || server.stat("redis_up") == 1);
    for number in 1..=20 {
        ban(&server, &format!("198.51.100.{number}"));
    }
    let added = server.kamcmd(&["sec.whitelist_add", "203.0.113.1", "600"]);
    added.expect("it adds");
    wait_until("the entry alone to wait", || {
        server.status("redis_unwritten") == "1"
    });
    server
        .kamcmd(&["sec.mode", "enforce"])
        .expect("it enforces");
    wait_until("the entry in Redis", || {
        redis.get("white_list:203.0.113.1").is_some()
    });
    assert!(redis.run::<Vec<String>>("KEYS ban:*").is_empty());
}

#[test]
fn more_bans_than_the_ledger_holds_leave_their_last_ones_in_redis() {
    isolate();
    let config = Config::new().param("redis_url", URL);
    let server = Kamailio::start(config.param("ledger_size", 1024));
    let mut script = Client::udp("192.0.2.200");
    for number in 0..4000 {
        let offender = format!("10.0.{}.{}", number >> 8, number & 255);
        // A whole bucket may be full of bans that count for more.
        script.call("sec_ban", &[&offender, "600"]);
    }
    let held = listed(&server, "sec.bans");
    assert!((500..=1024).contains(&held.len()), "{}", held.len());
    let redis = Redis::start();
    let bans = || {
        let keys = redis.run::<Vec<String>>("KEYS ban:*").into_iter();
        let addresses = keys.filter_map(|key| Some(key.strip_prefix("ban:")?.to_owned()));
        addresses.collect::<BTreeSet<_>>()
    };
    wait_until("all of them in Redis", || bans() == held);
    wait_until("nothing to wait", || {
        server.status("redis_unwritten") == "0"
    });
}

/// With everything that the agent has a task for.
fn with_all_tasks(directory: &Path) -> Config {
    let feed = directory.join("feed");
    fs::write(&feed, "203.0.113.66\n").expect("the feed can be written");
    let feed = format!("name=test;url=file://{}", feed.display());
    let export = directory.join("export").display().to_string();
    Config::new()
        .panicking()
        .param("redis_url", URL)
        .param("rdns_trusted", "trusted.example.com")
        // Nobody answers there.
        .param("resolver", "127.0.0.1")
        .param("whitelist", "friend.example.com")
        .param("feed", &*feed)
        .param("feed_export", &*export)
        .param("nft_set", "table=inet filter;v4=none;v6=none6")
}

/// Bans and entries of all kinds; all of them, once Redis has them.
fn fill(server: &Kamailio) -> [BTreeSet<String>; 2] {
    let orders = [
        ["sec.ban", OFFENDER, "600"],
        ["sec.ban", "2001:db8:9::1", "600"],
        ["sec.ban", "10.7.0.0/24", "600"],
        ["sec.whitelist_add", "198.51.100.8", "600"],
        ["sec.whitelist_add", "10.8.0.0/24", "600"],
    ];
    for order in orders {
        server.kamcmd(&order).expect("it obeys");
    }
    wait_for_verdict("203.0.113.66", -5);
    let all = || ["sec.bans", "sec.whitelist"].map(|command| listed(server, command));
    wait_until("all of them", || all().map(|list| list.len()) == [3, 2]);
    wait_until("Redis to know them", || {
        server.stat("redis_up") == 1 && server.status("redis_unwritten") == "0"
    });
    all()
}

/// Has the agent panic there: nobody notices, nothing is lost, and there is another one.
fn survives_a_panic_in(task: &str) {
    isolate();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let redis = Redis::start();
    let server = Kamailio::start(with_all_tasks(directory.path()));
    let before = fill(&server);
    let callers = Callers::start();
    let agent = server.agent();
    let told = server.kamcmd(&["sec.test_panic", task]);
    told.expect("it is told");
    // Whether it dies before that or after: Redis has to know.
    let meanwhile = "198.51.100.9";
    let banned = server.kamcmd(&["sec.ban", meanwhile, "600"]);
    banned.expect("it bans");
    wait_until("the end of the agent", || {
        server.log().contains("it is started again in 1 s")
    });
    callers.wait_for_answers();
    wait_until("another agent", || server.agent() != agent);
    wait_until("the ban in Redis", || {
        redis.get(&format!("ban:{meanwhile}")).is_some()
    });
    ban(&server, "198.51.100.10");
    callers.wait_for_answers();
    callers.stop();
    let mut bans = listed(&server, "sec.bans");
    assert!(bans.remove(meanwhile) && bans.remove("198.51.100.10"));
    assert_eq!([bans, listed(&server, "sec.whitelist")], before, "{task}");
    for (source, code) in [(OFFENDER, -1), ("10.7.0.9", -1), ("10.8.0.9", 2)] {
        assert_eq!(verdict(source), code, "{source}, {task}");
    }
    assert_eq!(verdict("203.0.113.66"), -5, "{task}");
    assert_eq!(server.status("agent_restarts"), "1", "{task}");
    let log = server.log();
    let what = format!("on purpose, in {task}");
    assert_eq!(log.matches(&what).count(), 1, "{log}");
}

#[test]
fn a_panic_in_the_agents_loop_is_survived() {
    for task in ["tick", "events"] {
        survives_a_panic_in(task);
    }
}

#[test]
fn a_panic_in_what_talks_to_others_is_survived() {
    for task in ["link", "rdns", "names", "feeds", "firewall"] {
        survives_a_panic_in(task);
    }
}

#[test]
fn a_panic_in_what_keeps_lists_is_survived() {
    for task in ["networks", "reload", "evidence", "extensions", "export"] {
        survives_a_panic_in(task);
    }
}
