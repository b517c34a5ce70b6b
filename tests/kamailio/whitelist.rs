//! The whitelist: fixed entries that always hold, and added ones that can be lost by abuse.

use std::fs;

use super::{Client, Config, Request, THIRTY, check, flood, observer, server, start};
use crate::host::wait_until;

#[test]
fn a_fixed_entry_is_never_denied() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("whitelist", "198.51.100.20")
        .param("whitelist", "10.7.0.0/16")
        .param("whitelist", "2001:db8:77::/48")
        .listen("udp:[2001:db8::10]:5060");
    let server = start(config);
    for source in ["198.51.100.20", "10.7.200.1", "2001:db8:77:1::5"] {
        assert_eq!(flood(source, 400), vec![2; 400], "{source}");
        assert_eq!(Client::udp(source).call("is_whitelisted", &[]), 1);
    }
    for source in ["198.51.100.21", "10.8.0.1", "2001:db8:78::1"] {
        assert_eq!(flood(source, 31).last(), Some(&-2), "{source}");
        assert_eq!(Client::udp(source).call("sec_is_whitelisted", &[]), -1);
    }
    assert_eq!(server.stat("whitelist_hits"), 1200);
}

#[test]
fn a_whitelisted_address_is_never_banned_for_failures() {
    let _server = start(Config::new().param("whitelist", "198.51.100.20"));
    let mut trunk = Client::udp("198.51.100.20");
    let failed = Request::call("sec_auth_failed", &["7001"]);
    assert_eq!(trunk.burst(50, &failed), [1; 50]);
    assert_eq!(trunk.call("sec_strike", &["scanner", "100"]), 1);
    assert_eq!(trunk.call("sec_check", &[]), 2);
}

#[test]
fn entries_come_from_a_file_too() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("whitelist");
    fs::write(
        &file,
        "# our trunks\n198.51.100.20\n\n10.7.0.0/16  # office\n",
    )
    .unwrap();
    let _server = start(
        Config::new()
            .param("rate", THIRTY)
            .param("whitelist_file", &*file),
    );
    assert_eq!(flood("198.51.100.20", 40), [2; 40]);
    assert_eq!(flood("10.7.1.1", 40), [2; 40]);
    assert_eq!(flood("10.8.1.1", 1), [1]);
}

#[test]
fn an_added_entry_frees_an_address_and_cancels_its_ban() {
    let _server = server();
    let mut script = observer();
    assert_eq!(flood("203.0.113.1", 31).last(), Some(&-2));
    assert_eq!(
        script.call("sec_whitelist_add", &["203.0.113.1", "3600"]),
        1
    );
    assert_eq!(script.call("is_whitelisted", &["203.0.113.1"]), 1);
    assert_eq!(script.call("sec_is_banned", &["203.0.113.1"]), -1);
    assert_eq!(flood("203.0.113.1", 200), [2; 200]);
    assert_eq!(script.call("sec_whitelist_remove", &["203.0.113.1"]), 1);
    assert_eq!(script.call("sec_whitelist_remove", &["203.0.113.1"]), -1);
    assert_eq!(script.call("is_whitelisted", &["203.0.113.1"]), -1);
}

#[test]
fn an_entry_without_a_time_has_the_configured_one() {
    let _server = start(Config::new().param("whitelist_time", 1));
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_whitelist_add", &[]), 1);
    assert_eq!(client.call("sec_check", &[]), 2);
    wait_until("the entry to expire", || {
        client.call("is_whitelisted", &[]) == -1
    });
    assert_eq!(client.call("sec_check", &[]), 1);
}

#[test]
fn over_its_ceiling_an_entry_is_lost_and_cannot_come_back_at_once() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("whitelist_rate", "limit=50;window=1h");
    let server = start(config);
    let mut script = observer();
    assert_eq!(
        script.call("sec_whitelist_add", &["203.0.113.1", "3600"]),
        1
    );
    let codes = flood("203.0.113.1", 60);
    assert_eq!(codes[..50], [2; 50]);
    assert_eq!(codes[50], -2);
    assert_eq!(codes[51..], [-1; 9]);
    assert_eq!(script.call("is_whitelisted", &["203.0.113.1"]), -1);
    assert_eq!(script.call("sec_is_banned", &["203.0.113.1"]), 1);
    assert_eq!(server.stat("revocations"), 1);
    assert_eq!(
        script.call("sec_whitelist_add", &["203.0.113.1", "3600"]),
        -1,
        "it is cooling down"
    );
    assert_eq!(script.call("is_whitelisted", &["203.0.113.1"]), -1);
}

#[test]
fn after_the_cool_down_it_can_be_added_again() {
    let config = Config::new()
        .param("whitelist_rate", "limit=5;window=1h")
        .param("whitelist_cooldown", 1);
    let _server = start(config);
    let mut script = observer();
    assert_eq!(
        script.call("sec_whitelist_add", &["203.0.113.1", "3600"]),
        1
    );
    assert_eq!(flood("203.0.113.1", 6).last(), Some(&-2));
    wait_until("the end of the cool-down", || {
        script.call("sec_whitelist_add", &["203.0.113.1", "3600"]) == 1
    });
    assert_eq!(script.call("is_whitelisted", &["203.0.113.1"]), 1);
}

#[test]
fn failed_logins_of_many_users_cost_an_added_entry() {
    let config = Config::new()
        .param("strike_limit", 3)
        .param("unban_grace", 0);
    let server = start(config);
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_whitelist_add", &[]), 1);
    let mut failed = |user: &str| client.call("sec_auth_failed", &[user]);
    // One user's phone with an old password is no reason.
    for _ in 0..20 {
        assert_eq!(failed("7001"), 1);
    }
    // How many users failed is an estimate, right to about one.
    let codes: Vec<i64> = (7002..=7006)
        .map(|user| failed(&user.to_string()))
        .collect();
    assert_eq!(codes[0], 1, "two users are not three: {codes:?}");
    assert!(codes.contains(&-2), "{codes:?}");
    assert_eq!(client.call("is_whitelisted", &[]), -1);
    assert_eq!(client.call("sec_check", &[]), -1);
    assert_eq!(server.stat("revocations"), 1);
}

#[test]
fn a_question_changes_nothing() {
    let server = server();
    let mut script = observer();
    let ask = |function: &str| Request::call(function, &["203.0.113.1"]);
    for function in ["is_whitelisted", "sec_is_whitelisted", "sec_is_banned"] {
        assert_eq!(script.burst(100, &ask(function)), [-1; 100]);
    }
    server
        .kamcmd(&["sec.explain", "203.0.113.1"])
        .expect("it answers");
    assert_eq!(server.stat("checks"), 0);
    assert_eq!(server.stat("strikes"), 0);
    let codes = flood("203.0.113.1", 31);
    assert_eq!(codes[..30], [1; 30]);
}

#[test]
fn what_is_no_address_means_the_source_here_too() {
    let _server = server();
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_whitelist_add", &["nonsense", "60"]), 1);
    assert_eq!(client.call("is_whitelisted", &["also nonsense"]), 1);
    assert_eq!(client.ask(&check()).rc(), 2);
}
