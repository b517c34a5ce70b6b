//! The life of a ban: how one comes about, how it grows, how it ends, and what is forgotten.

use super::{Client, Config, Request, THIRTY, check, flood, observer, server, start};
use crate::host::wait_until;

#[test]
fn the_script_bans_and_unbans() {
    let _server = server();
    let mut script = observer();
    assert_eq!(script.call("sec_is_banned", &["203.0.113.1"]), -1);
    assert_eq!(
        script.call("sec_ban", &["203.0.113.1", "60", "toll fraud"]),
        1
    );
    assert_eq!(script.call("sec_is_banned", &["203.0.113.1"]), 1);
    let answer = Client::udp("203.0.113.1").ask(&check());
    assert_eq!(answer.rc(), -1);
    assert_eq!(answer.variable("reason"), "toll fraud");
    let seconds: i64 = answer.variable("ban_ttl").parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(script.call("sec_unban", &["203.0.113.1"]), 1);
    assert_eq!(
        script.call("sec_unban", &["203.0.113.1"]),
        -1,
        "nothing to unban"
    );
    assert_eq!(flood("203.0.113.1", 1), [1]);
}

#[test]
fn the_log_has_one_line_for_each_change_that_says_who_why_and_how_long() {
    let server = start(Config::new().param("rate", THIRTY).param("log_level", 0));
    assert_eq!(flood("203.0.113.1", 40).last(), Some(&-1));
    let mut script = observer();
    script.call("sec_ban", &["203.0.113.2", "60", "toll fraud"]);
    script.call("sec_unban", &["203.0.113.2"]);
    script.call("sec_whitelist_add", &["203.0.113.3", "90"]);
    let lines_of = |address: &str| -> Vec<String> {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("WARNING: sec: "));
        lines
            .filter(|line| line.contains(address))
            .map(str::to_owned)
            .collect()
    };
    for (address, count, words) in [
        ("203.0.113.1", 1, ["ban", "rate:burst", "seconds=300"]),
        ("203.0.113.2", 2, ["ban", "toll fraud", "seconds=60"]),
        ("203.0.113.3", 1, ["whitelist", "script", "seconds=90"]),
    ] {
        wait_until("the log to tell", || lines_of(address).len() == count);
        let line = &lines_of(address)[0];
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
}

#[test]
fn without_arguments_it_is_about_the_source() {
    let _server = server();
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_ban", &[]), 1);
    assert_eq!(client.call("sec_is_banned", &[]), 1);
    assert_eq!(client.call("sec_check", &[]), -1);
    assert_eq!(client.call("sec_unban", &[]), 1);
    assert_eq!(client.call("sec_check", &[]), 1);
    assert_eq!(client.call("sec_ban", &["203.0.113.7"]), 1);
    assert_eq!(client.call("sec_ban", &["203.0.113.8", "30"]), 1);
    assert_eq!(client.call("sec_check", &[]), 1);
}

#[test]
fn the_server_itself_and_its_trunks_cannot_be_banned() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("whitelist", "198.51.100.20");
    let _server = start(config);
    let mut script = observer();
    assert_eq!(script.call("sec_ban", &["192.0.2.10", "60", "mistake"]), -1);
    assert_eq!(
        script.call("sec_ban", &["198.51.100.20", "60", "mistake"]),
        -1
    );
    assert_eq!(script.call("sec_is_banned", &["192.0.2.10"]), -1);
    assert_eq!(
        flood("192.0.2.10", 100),
        [2; 100],
        "own addresses are always allowed"
    );
}

#[test]
fn a_ban_ends_by_itself() {
    let _server = start(Config::new().param("rate", THIRTY).param("ban_time", 1));
    let mut script = observer();
    assert_eq!(script.call("sec_ban", &["203.0.113.1"]), 1);
    wait_until("the ban to end", || {
        script.call("sec_is_banned", &["203.0.113.1"]) == -1
    });
    assert_eq!(flood("203.0.113.1", 1), [1]);
}

#[test]
fn over_tcp_a_ban_grows_with_each_repeat() {
    let config = Config::new()
        .param("rate", "name=burst;limit=5;window=1h")
        .param("ban_time", 1)
        .param("ban_factor", 100);
    let _server = start(config);
    let mut client = Client::tcp("203.0.113.1");
    assert_eq!(client.burst(6, &check()), [1, 1, 1, 1, 1, -2]);
    let mut script = observer();
    wait_until("the ban to end", || {
        script.call("sec_is_banned", &["203.0.113.1"]) == -1
    });
    let answer = client.ask(&check());
    assert_eq!(answer.rc(), -2, "still over the limit");
    let seconds: i64 = answer.variable("ban_ttl").parse().expect("seconds");
    assert!((90..=100).contains(&seconds), "{seconds}");
}

#[test]
fn over_udp_a_ban_does_not_grow() {
    let config = Config::new()
        .param("rate", "name=burst;limit=5;window=1h")
        .param("ban_time", 1)
        .param("ban_factor", 100);
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.burst(6, &check()), [1, 1, 1, 1, 1, -2]);
    let mut script = observer();
    for _ in 0..2 {
        wait_until("the ban to end", || {
            script.call("sec_is_banned", &["203.0.113.1"]) == -1
        });
        let answer = client.ask(&check());
        assert_eq!(answer.rc(), -2, "still over the limit");
        let seconds: i64 = answer.variable("ban_ttl").parse().expect("seconds");
        assert!(
            (0..=1).contains(&seconds),
            "anybody can forge it: {seconds}"
        );
    }
}

#[test]
fn so_many_failed_logins_lead_to_a_ban() {
    let _server = start(Config::new().param("strike_limit", 4));
    let mut client = Client::udp("203.0.113.1");
    let failed = Request::call("sec_auth_failed", &["7001"]);
    let answers = client.burst_answers(4, &failed);
    let codes: Vec<i64> = answers.iter().map(crate::host::Message::rc).collect();
    assert_eq!(codes, [1, 1, 1, -2]);
    assert_eq!(client.call("sec_check", &[]), -1);
    assert_eq!(flood("203.0.113.2", 1), [1]);
}

#[test]
fn by_default_it_is_the_tenth() {
    let _server = server();
    let mut client = Client::udp("203.0.113.1");
    // Without an argument the user is the one in From.
    let codes = client.burst(10, &Request::call("sec_auth_failed", &[]));
    assert_eq!(codes[..9], [1; 9]);
    assert_eq!(codes[9], -2);
}

#[test]
fn offences_have_weights() {
    let _server = start(Config::new().param("strike_limit", 10));
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_strike", &["malformed"]), 1);
    let answer = client.ask(&Request::call("sec_strike", &["scanner", "8"]));
    assert_eq!(answer.rc(), 1);
    let answer = client.ask(&check());
    assert_eq!((answer.rc(), answer.variable("strikes")), (1, "9"));
    assert_eq!(client.call("sec_strike", &["malformed"]), -2);
    let answer = client.ask(&check());
    assert_eq!(answer.rc(), -1);
    assert!(
        answer.variable("reason").contains("malformed"),
        "{}",
        answer.text()
    );
    assert_eq!(
        Client::udp("203.0.113.2").call("sec_strike", &["scanner", "10"]),
        -2
    );
}

#[test]
fn offences_are_forgotten_after_their_window() {
    let config = Config::new()
        .param("rate", "name=burst;off")
        .param("strike_limit", 2)
        .param("strike_window", 1);
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_auth_failed", &["7001"]), 1);
    wait_until("the offence to be forgotten", || {
        client.ask(&check()).variable("strikes") == "0"
    });
    assert_eq!(client.call("sec_auth_failed", &["7001"]), 1);
}

#[test]
fn a_success_clears_only_that_users_failures() {
    let _server = start(Config::new().param("strike_limit", 4));
    let mut client = Client::udp("203.0.113.1");
    let mut tell = |function: &str, user: &str| client.call(function, &[user]);
    // One user's old password, then the right one, again and again.
    for _ in 0..5 {
        assert_eq!(
            [
                tell("sec_auth_failed", "7001"),
                tell("sec_auth_failed", "7001")
            ],
            [1, 1]
        );
        assert_eq!(tell("sec_auth_ok", "7001"), 1);
    }
    // Others' failures stay, whoever succeeds in between.
    assert_eq!(
        [
            tell("sec_auth_failed", "7002"),
            tell("sec_auth_failed", "7003")
        ],
        [1, 1]
    );
    assert_eq!(tell("sec_auth_ok", "7001"), 1);
    assert_eq!(tell("sec_auth_failed", "7004"), 1);
    assert_eq!(tell("sec_auth_ok", "7001"), 1);
    assert_eq!(tell("sec_auth_failed", "7005"), -2);
}

#[test]
fn after_a_login_a_flood_is_limited_not_banned() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("trust_rate", "limit=50;window=1h");
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_auth_ok", &["7001"]), 1);
    let codes = client.burst(80, &check());
    assert_eq!(codes[..50], [1; 50], "its own, higher ceiling");
    assert_eq!(codes[50..], [-4; 30]);
    assert_eq!(client.call("sec_is_banned", &[]), -1);
    assert_eq!(
        flood("203.0.113.2", 31).last(),
        Some(&-2),
        "others are not trusted"
    );
}

#[test]
fn trust_ends() {
    let config = Config::new().param("rate", THIRTY).param("trust_time", 1);
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.call("sec_auth_ok", &["7001"]), 1);
    assert_eq!(client.burst(31, &check()), [1; 31]);
    wait_until("the trust to end", || client.call("sec_check", &[]) == -2);
}

#[test]
fn after_an_unban_old_offences_do_not_count() {
    let _server = start(Config::new().param("rate", THIRTY).param("strike_limit", 4));
    let mut client = Client::udp("203.0.113.1");
    let failed = Request::call("sec_auth_failed", &["7001"]);
    assert_eq!(client.burst(4, &failed), [1, 1, 1, -2]);
    assert_eq!(observer().call("sec_unban", &["203.0.113.1"]), 1);
    assert_eq!(client.burst(3, &failed), [1; 3], "they start again");
    assert_eq!(client.call("sec_is_banned", &[]), -1);
}

#[test]
fn after_an_unban_a_flood_only_limits_for_a_while() {
    let _server = server();
    assert_eq!(flood("203.0.113.1", 31).last(), Some(&-2));
    assert_eq!(observer().call("sec_unban", &["203.0.113.1"]), 1);
    let codes = flood("203.0.113.1", 100);
    assert!(codes.iter().all(|code| [1, -4].contains(code)), "{codes:?}");
    assert!(codes.contains(&-4), "{codes:?}");
}

#[test]
fn without_a_grace_the_next_flood_bans_again() {
    let _server = start(Config::new().param("rate", THIRTY).param("unban_grace", 0));
    assert_eq!(flood("203.0.113.1", 31).last(), Some(&-2));
    assert_eq!(observer().call("sec_unban", &["203.0.113.1"]), 1);
    assert!(flood("203.0.113.1", 100).contains(&-2));
}

#[test]
fn in_shadow_mode_nothing_is_denied_and_its_bans_are_dropped_on_the_switch() {
    let server = start(Config::new().param("rate", THIRTY).param("mode", "shadow"));
    assert_eq!(flood("203.0.113.1", 40), [1; 40]);
    assert_eq!(observer().call("sec_ban", &["203.0.113.5", "60", "try"]), 1);
    assert_eq!(flood("203.0.113.5", 1), [1]);
    assert!(server.stat("shadow_denied") >= 10);
    assert_eq!(server.stat("denied"), 0);
    let mode = server.kamcmd(&["sec.mode"]).expect("sec.mode answers");
    assert!(mode.contains("shadow"), "{mode}");
    server
        .kamcmd(&["sec.mode", "enforce"])
        .expect("it can be switched");
    assert_eq!(observer().call("sec_is_banned", &["203.0.113.5"]), -1);
    assert_eq!(flood("203.0.113.5", 1), [1]);
    let codes = flood("203.0.113.7", 32);
    assert_eq!(codes[30..], [-2, -1]);
}

#[test]
fn a_ban_that_was_made_before_shadow_mode_holds_after_it() {
    let server = start(Config::new().param("rate", THIRTY));
    let order = |words: &[&str]| server.kamcmd(words).expect("it is carried out");
    order(&["sec.ban", "203.0.113.5", "600", "first"]);
    order(&["sec.ban", "10.5.0.0/16", "600", "first"]);
    wait_until("both bans", || server.stat("active_bans") == 2);
    order(&["sec.mode", "shadow"]);
    let is_banned = |ip: &str| observer().call("sec_is_banned", &[ip]);
    assert_eq!(
        (is_banned("203.0.113.5"), flood("203.0.113.5", 1)),
        (-1, vec![1])
    );
    order(&["sec.ban", "203.0.113.5", "60", "second"]);
    order(&["sec.ban", "10.5.0.0/16", "60", "second"]);
    let log = || {
        server
            .log()
            .matches("reason=second seconds=60 by=operator mode=shadow")
            .count()
    };
    wait_until("the lines of the shadow bans", || log() == 2);
    order(&["sec.mode", "enforce"]);
    for ip in ["203.0.113.5", "10.5.0.1"] {
        assert_eq!((is_banned(ip), flood(ip, 1)), (1, vec![-1]), "{ip}");
    }
    let bans = order(&["sec.bans"]);
    assert_eq!(bans.matches("reason: first").count(), 2, "{bans}");
}
