//! Floods: forged sources by the million, bans by the thousand, networks that send as one.
//!
//! Sources by the million are a loop in the script: what counts is what the tables make of them.

use std::time::Instant;

use super::footprint::Footprint;
use super::{Extent, Trial};
use crate::host::{Client, Config, Kamailio, Redis, Request, SERVER, isolate, process, wait_until};

/// Sources that one request of the flood stands for.
const CHUNK: u32 = 1 << 16;
/// Addresses of each kind that must be remembered whatever comes.
const KEPT: u32 = 50;
/// What a process may grow by: the allocator's own fragments.
pub(super) const MOST_KB: i64 = 1024;

/// Addresses that a small ledger holds, far more than those, and as many as the pipe holds.
const LEDGER: i64 = 16_384;
const WARM: u32 = 1 << 16;
const TOLD: usize = 200;
/// What the agent may grow by: lists of as many addresses as the ledger holds come and go. Of all that
/// are banned, even the short form would take three times as much.
const MOST_LISTED_KB: i64 = 4096;

pub const FORGED_IPV4: Trial = Trial {
    done: "a request from every address of an IPv4 /8",
    expected: "no memory, no log line; bans, entries, offenders and trust kept, honest sources denied: 0",
    run: |extent| forged(config(), "v4", extent.sources, 1),
};

pub const FORGED_IPV6: Trial = Trial {
    done: "a request from each of as many IPv6 /64s, with a window of an hour: no table holds them",
    expected: "the same; the least is forgotten, and a real flood in the midst of it is banned",
    run: |extent| {
        let config = config().param("rate", "name=burst;limit=30;window=1h");
        forged(config, "v6", extent.sources, 1)
    },
};

pub const FORGED_OFFENDERS: Trial = Trial {
    done: "31 requests, one too many, from each of more sources than the ledger holds",
    expected: "the same, but for a hundred log lines a second: the flood's own bans give way",
    run: |extent| {
        let config = config()
            .param("rate", "name=burst;limit=30;window=1h")
            .param("ledger_size", 16_384);
        forged(config, "v4", extent.sources / 32, 31)
    },
};

pub const BANS: Trial = Trial {
    done: "as many bans as the script can order at once, with Redis",
    expected: "few lines are logged, dropped events are counted, every ban reaches Redis all the same",
    run: bans,
};

pub const BANS_WITHOUT_REDIS: Trial = Trial {
    done: "far more addresses banned than there is room for, while Redis is away",
    expected: "the agent takes no more memory for more of them",
    run: |extent| {
        isolate();
        unwritten(extent, config())
    },
};

pub const BANS_IN_SHADOW: Trial = Trial {
    done: "the same in shadow mode, with Redis, to which nothing is written",
    expected: "the same",
    run: |extent| {
        isolate();
        let _redis = Redis::start();
        unwritten(extent, config().param("mode", "shadow"))
    },
};

pub const NETWORKS: Trial = Trial {
    done: "200 hosts of a /24, 10 requests each; 200 /64s of an IPv6 /48, 10 each; limit 300 per=24/48",
    expected: "300 pass, of the neighbours everything",
    run: networks,
};

/// A script that asks about so many sources for one request, and about the sender for another.
pub(super) fn config() -> Config {
    let step = |name: &str, address: &str, question: &str| {
        format!(
            "if ($rU == \"{name}\") {{\n\
             $var(n) = $(hdr(X-Start){{s.int}});\n$var(end) = $var(n) + $(hdr(X-Count){{s.int}});\n\
             while ($var(n) < $var(end)) {{\n$var(ip) = {address};\n{question}\n\
             $var(n) = $var(n) + 1;\n}}\n}}\n"
        )
    };
    let v4 = "\"10.\" + ($var(n) >> 16) + \".\" + (($var(n) >> 8) & 255) + \".\" + ($var(n) & 255)";
    let v6 = "\"2001:db8:\" + ($var(n) >> 12) + \":\" + ($var(n) & 4095) + \"::1\"";
    let check = "sec_check(\"$var(ip)\");";
    let route = step("v4", v4, check)
        + &step("v6", v6, check)
        + &step("ban", v4, "sec_ban(\"$var(ip)\", 600);")
        + "if ($rU == \"check\") {\n$var(rc) = sec_check();\n}\n\
           if ($rU == \"flood\") {\nsec_check();\nexit;\n}\n\
           if ($rU == \"login\") {\n$var(rc) = sec_auth_ok(\"anna\");\n}\n\
           if ($rU == \"transaction\") {\nt_newtran();\nt_reply(\"200\", \"OK\");\nexit;\n}\n\
           sl_send_reply(\"200\", \"rc $var(rc)\");\n";
    Config::new()
        .listen("udp:[2001:db8::10]:5060")
        .memory_manager("fm")
        .extra("max_while_loops=100000000\nloadmodule \"tm.so\"")
        .route(&route)
}

/// What the script is to do with so many sources, from this one on.
fn order(what: &str, start: u32, count: u32) -> Request {
    Request::new("OPTIONS", &format!("sip:{what}@{SERVER}"))
        .header("X-Start", &start.to_string())
        .header("X-Count", &count.to_string())
}

pub(super) fn check() -> Request {
    Request::new("OPTIONS", &format!("sip:check@{SERVER}"))
}

/// So many requests from each of so many sources.
fn forged(config: Config, family: &str, sources: u32, requests: u32) -> String {
    isolate();
    let server = Kamailio::start(config);
    prepare(&server);
    let honest = |number| Client::udp(&format!("198.51.100.{number}"));
    let mut honest: Vec<Client> = (1..=100).map(honest).collect();
    let mut script = Client::udp(SERVER);
    let size = sources.min(CHUNK);
    // Everything that is allocated once has been.
    script.ask(&order(family, 0, size));
    let (before, lines) = (Footprint::of(&server), server.log().lines().count());
    let start = Instant::now();
    let mut asked = 0;
    for chunk in 0..sources / size {
        for _ in 0..requests {
            script.ask(&order(family, chunk * size, size));
        }
        // Four of a hundred customers between two chunks: nobody is near a limit.
        let first = chunk as usize % 25 * 4;
        for client in &mut honest[first..first + 4] {
            assert_eq!(client.ask(&check()).rc(), 1, "a customer is denied");
            asked += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let memory = before.compare(&Footprint::of(&server), MOST_KB);
    let lines = server.log().lines().count() - lines;
    // A change of state has a line, if there are not too many of them; a packet never has.
    let most = if requests == 1 {
        5
    } else {
        sources as usize / 8
    };
    assert!(lines < most, "{lines} log lines");
    let transaction = Request::new("OPTIONS", &format!("sip:transaction@{SERVER}"));
    assert_eq!(honest[0].ask(&transaction).code(), 200, "transactions work");
    let flood = Client::udp("203.0.116.1").burst(300, &check());
    assert!(flood.contains(&-2), "nobody is over a limit any more");
    verify(&server);
    let (bans, evictions) = (server.stat("bans"), server.stat("evictions"));
    format!(
        "{sources} sources in {seconds:.0} s, {bans} bans, {evictions} evictions, {lines} log lines, \
         0 of {asked} honest requests denied, {} addresses with a state kept; {memory}",
        4 * KEPT
    )
}

/// Addresses whose state must not be lost: bans, entries, offenders, and those that are trusted.
pub(super) fn prepare(server: &Kamailio) {
    for number in 1..=KEPT {
        let banned = format!("203.0.113.{number}");
        let free = format!("203.0.114.{number}");
        for command in [
            ["sec.ban", &banned, "3600"],
            ["sec.whitelist_add", &free, "3600"],
        ] {
            server.kamcmd(&command).expect("it is done");
        }
        let login = Request::new("OPTIONS", &format!("sip:login@{SERVER}"));
        assert_eq!(Client::udp(&customer(number)).ask(&login).rc(), 1);
        // Over TCP it is proved, and will be a repeat.
        let codes = Client::tcp(&offender(number)).burst(60, &check());
        assert!(codes.contains(&-2), "{codes:?}");
    }
}

pub(super) fn verify(server: &Kamailio) {
    let verdict = |source: &str| Client::udp(source).ask(&check()).rc();
    for number in 1..=KEPT {
        assert_eq!(verdict(&format!("203.0.113.{number}")), -1, "a ban is lost");
        assert_eq!(
            verdict(&format!("203.0.114.{number}")),
            2,
            "an entry is lost"
        );
        let offender = offender(number);
        assert_eq!(verdict(&offender), -1, "a ban is lost");
        let known = |source: &str| {
            let told = server.kamcmd(&["sec.explain", source]);
            told.expect("it tells")
        };
        let explained = known(&offender);
        assert!(explained.contains("repeats: 1"), "forgotten: {explained}");
        let explained = known(&customer(number));
        assert!(!explained.contains("trusted: 0"), "lost: {explained}");
    }
}

/// Those of them that are banned.
pub(super) fn kept() -> impl Iterator<Item = String> {
    let banned = |number| [format!("203.0.113.{number}"), offender(number)];
    (1..=KEPT).flat_map(banned)
}

fn customer(number: u32) -> String {
    format!("203.0.117.{number}")
}

fn offender(number: u32) -> String {
    format!("203.0.115.{number}")
}

fn bans(extent: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let url = "redis://127.0.0.1:6379";
    let server = Kamailio::start(
        config()
            .param("redis_url", url)
            .param("ledger_size", 1 << 20),
    );
    wait_until("the link to Redis", || server.stat("redis_up") == 1);
    let mut script = Client::udp(SERVER);
    let mut ordered = 0;
    while ordered < extent.bans {
        let count = (extent.bans - ordered).min(10_000);
        script.ask(&order("ban", ordered, count));
        ordered += count;
    }
    let dropped = server.stat("events_dropped");
    assert_eq!(server.stat("bans"), i64::from(ordered));
    wait_until("every ban in Redis", || {
        redis.run::<usize>("DBSIZE") >= ordered as usize
            && server.stat("active_bans") == i64::from(ordered)
    });
    let keys = redis.run::<Vec<String>>("KEYS ban:*").len();
    assert_eq!(keys, ordered as usize);
    let lines = server.log().matches("sec: ban ").count();
    assert!(lines < ordered as usize / 4, "{lines} lines");
    format!("{ordered} bans, {dropped} events dropped and counted, {lines} lines, {keys} keys")
}

/// Bans that do not leave this node.
fn unwritten(extent: &Extent, config: Config) -> String {
    let config = config
        .param("redis_url", "redis://127.0.0.1:6379")
        .param("ledger_size", LEDGER);
    let server = Kamailio::start(config);
    let (agent, mut script) = (server.agent(), Client::udp(SERVER));
    let mut ban = |from: u32, to: u32| {
        // So few at once that the agent is told of each.
        for start in (from..to).step_by(TOLD) {
            script.ask(&order("ban", start, TOLD as u32));
            wait_until("the agent to be told", || process::waits(agent));
        }
    };
    // The ledger is full, and so is every list of the agent that has a bound.
    ban(0, WARM);
    let (before, dropped) = (Footprint::of(&server), server.stat("events_dropped"));
    ban(WARM, (extent.sources / 4).min(1 << 20));
    let memory = before.compare(&Footprint::of(&server), MOST_LISTED_KB);
    let (bans, waiting) = (server.stat("bans"), server.status("redis_unwritten"));
    let dropped = server.stat("events_dropped") - dropped;
    format!("{bans} bans, {dropped} events dropped, {waiting} wait for Redis; {memory}")
}

fn networks(_: &Extent) -> String {
    isolate();
    let limit = "name=net;limit=300;window=1h;per=24/48;action=limit";
    let config = config()
        .param("rate", "name=burst;off")
        .param("rate", limit);
    let _server = Kamailio::start(config);
    let mut seen = Vec::new();
    for (family, neighbour) in [("v4", "10.1.2.1"), ("v6", "2001:db8:6:1::1")] {
        let host = |number| match family {
            "v4" => format!("10.1.1.{number}"),
            _ => format!("2001:db8:5:{number}::1"),
        };
        let mut passed = 0;
        for number in 1..=200 {
            let codes = Client::udp(&host(number)).burst(10, &check());
            assert!(codes.iter().all(|code| [1, -4].contains(code)), "{codes:?}");
            passed += codes.iter().filter(|code| **code == 1).count();
        }
        assert_eq!(passed, 300, "of {family}");
        assert_eq!(Client::udp(neighbour).burst(10, &check()), [1; 10]);
        seen.push(format!("{family}: {passed} of 2000"));
    }
    format!("{} passed, 10 of 10 of a neighbour", seen.join(", "))
}
