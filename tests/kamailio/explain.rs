//! `sec.explain`: the offences behind a ban, what else is known, and what would change it.

use nix::sys::signal::Signal;

use super::{Client, Config, Kamailio, Request, check, flood, observer, server, start};
use crate::host::{SERVER, wait_until};

const SOURCE: &str = "203.0.113.1";

fn explain(server: &Kamailio, address: &str) -> String {
    server
        .kamcmd(&["sec.explain", address])
        .expect("it explains")
}

/// Polls until an explanation has all these parts.
fn wait_for(server: &Kamailio, address: &str, parts: &[&str]) {
    wait_until(&format!("{parts:?} about {address}"), || {
        let explained = explain(server, address);
        parts.iter().all(|part| explained.contains(part))
    });
}

/// The values of a name, in their order.
fn all(explained: &str, name: &str) -> Vec<String> {
    let lines = explained.lines().map(str::trim);
    let values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.map(|value| value.trim().to_owned()).collect()
}

fn from(method: &str, user: &str, function: &str, arguments: &[&str]) -> Request {
    let mut request = Request::new(method, &format!("sip:{function}@{SERVER}"))
        .header("X-N", &arguments.len().to_string())
        .header("From", &format!("<sip:{user}@{SERVER}>;tag=1"));
    for (number, argument) in (1..).zip(arguments) {
        request = request.header(&format!("X-{number}"), argument);
    }
    request
}

#[test]
fn the_last_five_offences_are_told() {
    let server = server();
    let mut client = Client::udp(SOURCE);
    for (user, agent) in [("100", "one"), ("101", "two"), ("102", "friendly-scanner")] {
        let failed = from("REGISTER", user, "sec_auth_failed", &[]).header("User-Agent", agent);
        assert_eq!(client.ask(&failed).rc(), 1);
    }
    assert_eq!(
        client
            .ask(&from("INVITE", "103", "sec_auth_failed", &["bert"]))
            .rc(),
        1
    );
    let fraud = from("INVITE", "104", "sec_strike", &["toll fraud", "2"]);
    assert_eq!(client.ask(&fraud).rc(), 1);
    let odd = from("MESSAGE", "a%00b", "sec_strike", &["odd", "1"]);
    assert_eq!(
        client
            .ask(&odd.header("User-Agent", "x\u{1b}[2J\u{7f}Jos\u{e9}"))
            .rc(),
        1
    );
    wait_for(&server, SOURCE, &["reason: odd"]);
    let explained = explain(&server, SOURCE);
    let offences = explained.split("offences: {").nth(1).expect("offences");
    assert_eq!(
        all(offences, "user"),
        ["a%00b", "104", "bert", "102", "101"]
    );
    assert_eq!(
        all(offences, "reason"),
        ["odd", "toll fraud", "auth", "auth", "auth"]
    );
    assert_eq!(
        all(offences, "method")[..3],
        ["MESSAGE", "INVITE", "INVITE"]
    );
    assert_eq!(all(offences, "method")[3..], ["REGISTER", "REGISTER"]);
    assert_eq!(all(offences, "strikes")[..3], ["1", "2", "1"]);
    assert_eq!(all(offences, "agent")[0], "x?[2J?Jos\u{e9}");
    assert_eq!(all(offences, "agent")[3..], ["friendly-scanner", "two"]);
    let times: Vec<u64> = all(offences, "time")
        .iter()
        .map(|time| time.parse().unwrap())
        .collect();
    assert!(
        times.is_sorted_by(|a, b| a >= b) && times[4] > 1_700_000_000,
        "{times:?}"
    );
    assert!(
        explained.contains("strikes: 7") && explained.contains("users_failed: "),
        "{explained}"
    );
    assert!(
        explained.contains("nothing is refused; 3 more strikes would ban it"),
        "{explained}"
    );
    let other = explain(&server, "203.0.113.2");
    assert!(!other.contains("offences"), "{other}");
}

#[test]
fn a_rate_and_a_guess_are_offences_too() {
    let config = Config::new().param("extension_pattern", "7XXX");
    let server = start(config.param("rate", super::THIRTY));
    let guess = Request::new("REGISTER", &format!("sip:sec_check@{SERVER}"))
        .header("X-N", "0")
        .header("To", &format!("<sip:140@{SERVER}>"));
    assert_eq!(Client::udp(SOURCE).ask(&guess).rc(), 1);
    wait_for(
        &server,
        SOURCE,
        &[
            "reason: extension",
            "user: 140",
            "strikes: 3",
            "method: REGISTER",
        ],
    );
    assert_eq!(flood("203.0.113.2", 40)[30], -2);
    wait_for(
        &server,
        "203.0.113.2",
        &["offences: {", "strikes: 0", "user: tester"],
    );
    let explained = explain(&server, "203.0.113.2");
    let offences = explained.split("offences: {").nth(1).expect("offences");
    assert_eq!(all(offences, "reason"), ["rate:burst"], "{explained}");
    // What an operator orders is no offence.
    server.kamcmd(&["sec.ban", "203.0.113.3"]).expect("it bans");
    server
        .kamcmd(&["sec.unban", "203.0.113.2"])
        .expect("it lifts");
    wait_until("the line about it", || {
        server.log().contains("unban 203.0.113.2")
    });
    assert!(!explain(&server, "203.0.113.3").contains("offences"));
    let freed = explain(&server, "203.0.113.2");
    assert!(
        freed.contains("offences"),
        "why it was banned can still be asked: {freed}"
    );
}

#[test]
fn offences_outlive_the_agent_and_a_flood_of_them_waits_for_nobody() {
    let config = Config::new().param("strike_limit", 200);
    let server = start(config.param("extension_weight", 1));
    assert_eq!(Client::udp(SOURCE).call("sec_strike", &["first", "1"]), 1);
    wait_for(&server, SOURCE, &["reason: first"]);
    let first = server.agent();
    server.signal(first, Signal::SIGSTOP);
    for host in 1..=5 {
        let strikes = Request::call("sec_strike", &["flood", "1"]);
        let codes = Client::udp(&format!("203.0.113.{}", 10 + host)).burst(100, &strikes);
        assert_eq!(codes, [1; 100]);
    }
    assert!(server.stat("events_dropped") > 0);
    assert_eq!(server.stat("strikes"), 501);
    // There was room left for what matters more.
    assert_eq!(
        Client::udp("203.0.113.9").call("sec_strike", &["enough", "200"]),
        -2
    );
    server.signal(first, Signal::SIGCONT);
    wait_until("the ban's line", || {
        server.log().contains("ban 203.0.113.9 reason=enough")
    });
    wait_for(&server, "203.0.113.11", &["reason: flood"]);
    server.signal(first, Signal::SIGKILL);
    wait_until("the next agent", || ![0, first].contains(&server.agent()));
    wait_for(&server, SOURCE, &["reason: first"]);
    assert_eq!(Client::udp(SOURCE).call("sec_strike", &["second", "1"]), 1);
    wait_for(&server, SOURCE, &["reason: second", "reason: first"]);
}

#[test]
fn lists_that_match_are_named_and_advice_fits() {
    let server = start(Config::new().param("whitelist", "198.51.100.0/24"));
    server
        .kamcmd(&["sec.whitelist_add", "10.1.0.0/16"])
        .expect("it adds");
    wait_for(
        &server,
        "10.1.2.3",
        &[
            "whitelisted_network: 10.1.0.0/16",
            "verdict: allow, whitelisted",
        ],
    );
    let listed = explain(&server, "198.51.100.7");
    for part in [
        "lists: {",
        "whitelist or whitelist_file",
        "nothing: it is always allowed",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let own = explain(&server, "192.0.2.10");
    assert!(own.contains("addresses of this server"), "{own}");
    let mut client = Client::udp(SOURCE);
    assert_eq!(client.call("sec_strike", &["scan", "9"]), 1);
    assert!(explain(&server, SOURCE).contains("one more strike would ban it"));
    assert_eq!(client.call("sec_strike", &["scan", "1"]), -2);
    let banned = explain(&server, SOURCE);
    for part in [
        "verdict: deny, banned",
        "evidence: can be forged",
        "sec.unban 203.0.113.1, or sec.whitelist_add 203.0.113.1 to keep it free",
    ] {
        assert!(banned.contains(part), "{part}: {banned}");
    }
    assert_eq!(observer().call("sec_unban", &[SOURCE]), 1);
    assert!(explain(&server, SOURCE).contains("it was unbanned, and offences do not count for"));
    assert_eq!(Client::udp(SOURCE).ask(&check()).rc(), 1);
}
