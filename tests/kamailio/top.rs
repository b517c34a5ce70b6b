//! `sec.top`: whom it hit most.

use super::{Client, Config, Kamailio, THIRTY, check, flood, server, start};
use serde_json::json;

/// The addresses and counts that the command lists.
fn listed(server: &Kamailio, arguments: &[&str]) -> Vec<(String, u64)> {
    let words: Vec<&str> = ["sec.top"].iter().chain(arguments).copied().collect();
    let text = server.kamcmd(&words).expect("it lists");
    let after = |key: &str| {
        text.lines()
            .filter_map(|line| line.trim().strip_prefix(key))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let counts = after("denied: ");
    let counts = counts.iter().map(|count| count.parse().expect("a number"));
    after("ip: ").into_iter().zip(counts).collect()
}

fn all(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    let own = |(ip, count): &(&str, u64)| ((*ip).to_owned(), *count);
    pairs.iter().map(own).collect()
}

#[test]
fn the_worst_come_first_and_the_rest_on_the_next_page() {
    let server = server();
    assert_eq!(listed(&server, &[]), []);
    for (source, count) in [
        ("203.0.113.1", 31),
        ("203.0.113.2", 60),
        ("203.0.113.3", 40),
    ] {
        flood(source, count);
    }
    flood("203.0.113.4", 30);
    let worst = all(&[("203.0.113.2", 30), ("203.0.113.3", 10), ("203.0.113.1", 1)]);
    assert_eq!(listed(&server, &[]), worst);
    assert_eq!(listed(&server, &["2"]), worst[..2]);
    assert_eq!(listed(&server, &["1", "1"]), worst[1..2]);
    assert_eq!(listed(&server, &["10", "3"]), []);
    let answer = server.jsonrpc("sec.top", json!([1])).expect("it lists");
    let first = &answer[0];
    assert_eq!(first["ip"], "203.0.113.2");
    assert_eq!(first["denied"], 30);
    assert_eq!(
        (&first["reason"], &first["mode"]),
        (&json!("rate:burst"), &json!("enforce"))
    );
    assert!(
        first["ban_ttl"]
            .as_i64()
            .is_some_and(|ttl| (1..=300).contains(&ttl))
    );
}

#[test]
fn who_is_only_limited_is_listed_too_and_who_is_freed_is_not() {
    let limit = "name=burst;limit=30;window=1h;action=limit";
    let server = start(Config::new().param("rate", limit));
    flood("203.0.113.1", 35);
    server.kamcmd(&["sec.ban", "203.0.113.2"]).expect("it bans");
    flood("203.0.113.2", 3);
    let both = all(&[("203.0.113.1", 5), ("203.0.113.2", 3)]);
    assert_eq!(listed(&server, &[]), both);
    server
        .kamcmd(&["sec.unban", "203.0.113.2"])
        .expect("it unbans");
    assert_eq!(listed(&server, &[]), both[..1]);
}

#[test]
fn a_day_in_shadow_mode_is_read_in_one_command() {
    let server = start(Config::new().param("rate", THIRTY).param("mode", "shadow"));
    assert_eq!(flood("203.0.113.1", 35), [1; 35]);
    let text = server.kamcmd(&["sec.top"]).expect("it lists");
    assert!(
        text.contains("denied: 5") && text.contains("mode: shadow"),
        "{text}"
    );
    server
        .kamcmd(&["sec.mode", "enforce"])
        .expect("it switches");
    assert_eq!(listed(&server, &[]), []);
}

#[test]
fn all_workers_count_into_one_number() {
    let server = start(Config::new().param("rate", THIRTY).workers(4));
    let codes = Client::udp("203.0.113.1").burst(200, &check());
    let denied = codes.iter().filter(|code| **code < 0).count() as u64;
    assert_eq!(listed(&server, &[]), all(&[("203.0.113.1", denied)]));
}

#[test]
fn nonsense_is_refused_with_a_sentence() {
    let server = server();
    for arguments in [
        &["0"][..],
        &["-1"],
        &["201"],
        &["many"],
        &["5", "-1"],
        &["5", "10001"],
    ] {
        let words: Vec<&str> = ["sec.top"].iter().chain(arguments).copied().collect();
        let fault = server.kamcmd(&words).expect_err("it is refused");
        assert_eq!(fault.code, 400, "{arguments:?}");
        assert!(fault.message.contains("count") || fault.message.contains("offset"));
    }
}
