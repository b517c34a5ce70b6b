//! The statistics: each exists, and counts what its name says, over all processes.

use crate::host::wait_until;

use super::{Client, Config, Request, THIRTY, check, flood, observer, server, start};

#[test]
fn every_statistic_exists_and_starts_at_nothing() {
    let server = server();
    for name in [
        "checks",
        "allowed",
        "denied",
        "bans",
        "unbans",
        "revocations",
        "strikes",
        "whitelist_hits",
        "active_bans",
        "active_whitelist",
        "evictions",
        "errors",
        "panics",
        "shadow_denied",
    ] {
        assert_eq!(server.stat(name), 0, "{name}");
    }
    assert!(server.stat("sources") >= 0);
}

#[test]
fn they_count_what_happens() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("whitelist", "198.51.100.20")
        .param("whitelist_rate", "limit=5;window=1h");
    let server = start(config);
    flood("203.0.113.1", 40);
    flood("203.0.113.2", 10);
    flood("198.51.100.20", 7);
    assert_eq!(server.stat("checks"), 57);
    assert_eq!(server.stat("allowed"), 47);
    assert_eq!(server.stat("denied"), 10);
    assert_eq!(server.stat("whitelist_hits"), 7);
    assert_eq!(server.stat("bans"), 1);

    let mut script = observer();
    assert_eq!(script.call("sec_unban", &["203.0.113.1"]), 1);
    assert_eq!(server.stat("unbans"), 1);

    let failed = Request::call("sec_auth_failed", &["7001"]);
    assert_eq!(Client::udp("203.0.113.3").burst(3, &failed), [1; 3]);
    assert_eq!(server.stat("strikes"), 3);

    let add = |client: &mut Client| client.call("sec_whitelist_add", &["203.0.113.4", "60"]);
    assert_eq!(add(&mut script), 1);
    assert_eq!(
        Client::udp("203.0.113.4").burst(6, &check()).last(),
        Some(&-2)
    );
    assert_eq!(server.stat("revocations"), 1);
    assert_eq!((server.stat("errors"), server.stat("panics")), (0, 0));
}

#[test]
fn what_holds_now_is_counted_by_the_agent() {
    let server = server();
    let settles = |name: &str, value: i64| wait_until(name, || server.stat(name) == value);
    flood("203.0.113.1", 40);
    flood("203.0.113.2", 10);
    settles("active_bans", 1);
    settles("sources", 2);
    let mut script = observer();
    assert_eq!(script.call("sec_whitelist_add", &["203.0.113.4", "60"]), 1);
    settles("active_whitelist", 1);
    assert_eq!(script.call("sec_unban", &["203.0.113.1"]), 1);
    settles("active_bans", 0);
    assert_eq!(script.call("sec_whitelist_remove", &["203.0.113.4"]), 1);
    settles("active_whitelist", 0);
}

#[test]
fn every_process_counts() {
    let server = start(Config::new().param("rate", THIRTY).workers(4));
    assert_eq!(flood("203.0.113.1", 300).len(), 300);
    assert_eq!(Client::tcp("203.0.113.2").burst(20, &check()), [1; 20]);
    assert_eq!(server.stat("checks"), 320);
    assert_eq!(server.stat("allowed") + server.stat("denied"), 320);
    assert_eq!(server.stat("allowed"), 50);
}

#[test]
fn an_error_of_the_script_is_counted() {
    let server = server();
    let mut client = Client::udp("203.0.113.1");
    client.call("sec_check", &["nonsense"]);
    client.call("sec_ban", &["192.0.2.10", "60", "mistake"]);
    assert!(server.stat("errors") >= 1);
}
