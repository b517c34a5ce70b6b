//! Extensions: who exists, who resembles somebody, and what guessing costs.

use std::fs;

use tempfile::TempDir;

use super::{Client, Config, Kamailio, Request, observer, start};
use crate::host::SERVER;

const SOURCE: &str = "203.0.113.1";

/// A list of names on disk, for as long as the directory lives.
fn list(names: &str) -> (TempDir, Config) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("extensions");
    fs::write(&file, names).expect("it can be written");
    let config = Config::new().param("extension_file", &*file);
    (directory, config)
}

/// An office with a dial plan of numbers from 7000, and a few names.
fn office() -> (TempDir, Config) {
    let (directory, config) = list("7001\n112\njohn.smith\nreception\nZo\u{eb}\n");
    (directory, config.param("extension_pattern", "7XXX"))
}

/// A request about `user`, as its method has it: To for REGISTER, From for others.
fn about(method: &str, user: &str) -> Request {
    let request = Request::new(method, &format!("sip:sec_check@{SERVER}")).header("X-N", "0");
    let uri = format!("<sip:{user}@{SERVER}>");
    match method {
        "REGISTER" => request.header("To", &uri),
        _ => request.header("From", &format!("{uri};tag=1")),
    }
}

/// A registration of `user` from `source`: the verdict, and the strikes afterwards.
fn register(source: &str, user: &str) -> (i64, String) {
    let answer = Client::udp(source).ask(&about("REGISTER", user));
    (answer.rc(), answer.variable("strikes").to_owned())
}

#[test]
fn a_script_asks_who_exists() {
    let (_directory, config) = office();
    let server = start(config);
    let mut client = observer();
    for (user, expected) in [
        ("7001", 1),
        ("7999", 1),
        ("701", 2),
        ("70011", 2),
        ("7-1", -1),
        ("140", -1),
        ("8001", -1),
        ("112", 1),
        ("111", -1),
        ("JOHN.Smith", 1),
        ("john%2esmith", 1),
        ("jonh.smith", 2),
        ("jsmith", -1),
        ("admin", -1),
        ("zo%C3%AB", 1),
        ("%ff", -1),
        (&"x".repeat(500), -1),
    ] {
        let found = client.call("sec_check_extension", &[user]);
        assert_eq!(found, expected, "{user}");
        let found = client.call("sec_check_extension", &[user, "other.example"]);
        assert_eq!(
            found, expected,
            "{user} in a domain without a list of its own"
        );
    }
    assert_eq!(
        client.call("sec_check_extension", &[]),
        -1,
        "From is tester"
    );
    assert_eq!(client.call("sec_check_extension", &["", ""]), -1);
    let status = server.kamcmd(&["sec.status"]).expect("it answers");
    for line in ["extensions: on", "extension_masks: 1", "extension_names: 5"] {
        assert!(status.contains(line), "`{line}` in {status}");
    }
    assert_eq!(server.stat("strikes"), 0);
}

#[test]
fn guesses_are_struck_until_the_ban() {
    let (_directory, config) = office();
    let server = start(config);
    for (user, expected) in [
        ("140", (1, "3")),
        ("141", (1, "6")),
        ("7001", (1, "6")),
        ("7002", (1, "6")),
        ("admin", (1, "9")),
        ("test", (-2, "12")),
        ("7001", (-1, "12")),
    ] {
        let (code, strikes) = register(SOURCE, user);
        assert_eq!((code, strikes.as_str()), expected, "{user}");
    }
    let answer = Client::udp(SOURCE).ask(&about("REGISTER", "7001"));
    assert_eq!(answer.variable("reason"), "extension");
    assert_eq!(register("203.0.113.2", "7001"), (1, "0".into()));
    assert_eq!((server.stat("bans"), server.stat("strikes")), (1, 12));
    let explained = server.kamcmd(&["sec.explain", SOURCE]).expect("known");
    assert!(explained.contains("origin: strike"), "{explained}");
}

#[test]
fn the_user_is_that_of_to_for_register_and_of_from_for_others() {
    let (_directory, config) = office();
    let _server = start(config.param("extension_methods", "REGISTER,INVITE"));
    let mut client = Client::udp(SOURCE);
    let mut strikes = |request: &Request| client.ask(request).variable("strikes").to_owned();
    let from = format!("<sip:140@{SERVER}>;tag=1");
    let to = format!("<sip:140@{SERVER}>");
    assert_eq!(
        strikes(&about("REGISTER", "7001").header("From", &from)),
        "0"
    );
    assert_eq!(strikes(&about("INVITE", "7001").header("To", &to)), "0");
    assert_eq!(
        strikes(&about("OPTIONS", "140")),
        "0",
        "not a method that is judged"
    );
    assert_eq!(strikes(&about("INVITE", "140")), "3");
    let nobody = Request::new("REGISTER", &format!("sip:sec_check@{SERVER}"));
    let nobody = nobody
        .header("X-N", "0")
        .header("To", &format!("<sip:{SERVER}>"));
    assert_eq!(strikes(&nobody), "3", "no user");
}

#[test]
fn a_retransmission_is_no_second_guess() {
    let (_directory, config) = office();
    let _server = start(config);
    let mut client = Client::udp(SOURCE);
    let sent_by = format!("SIP/2.0/UDP {}", client.local());
    let mut strikes = |user: &str, branch: &str| {
        let answer = client.ask(
            &about("REGISTER", user).header("Via", &format!("{sent_by};branch=z9hG4bK-{branch}")),
        );
        answer.variable("strikes").to_owned()
    };
    assert_eq!(strikes("140", "a"), "3");
    assert_eq!(strikes("140", "a"), "3", "again");
    assert_eq!(strikes("140", "b"), "6", "another transaction");
    assert_eq!(strikes("141", "b"), "9", "another user");
}

#[test]
fn near_misses_are_forgiven_so_often() {
    let (_directory, config) = office();
    let server = start(config.param("extension_forgive", 2));
    for _ in 0..4 {
        assert_eq!(
            register(SOURCE, "701"),
            (1, "0".into()),
            "a phone that tries again"
        );
    }
    assert_eq!(register(SOURCE, "jonh.smith"), (1, "0".into()));
    let explained = server.kamcmd(&["sec.explain", SOURCE]).expect("known");
    assert!(explained.contains("near_misses: 2"), "{explained}");
    assert_eq!(register(SOURCE, "70011"), (1, "3".into()), "a third one");
    assert_eq!(register(SOURCE, "70011"), (1, "6".into()));
    assert_eq!(
        register(SOURCE, "701"),
        (1, "6".into()),
        "forgiven as before"
    );
    assert_eq!(
        register("203.0.113.2", "702"),
        (1, "0".into()),
        "another source"
    );
}

#[test]
fn near_and_far_get_the_same_answer() {
    let (_directory, config) = office();
    let _server = start(config);
    let near = Client::udp(SOURCE).ask(&about("REGISTER", "702"));
    let far = Client::udp("203.0.113.2").ask(&about("REGISTER", "140"));
    assert_eq!((near.code(), near.reason()), (far.code(), far.reason()));
    for name in ["verdict", "reason", "ban_ttl"] {
        assert_eq!(near.variable(name), far.variable(name), "{name}");
    }
}

#[test]
fn trusted_whitelisted_and_unbanned_sources_may_guess() {
    let (_directory, config) = office();
    let _server = start(config.param("whitelist", "203.0.113.9"));
    let guess = about("REGISTER", "140");
    assert_eq!(Client::udp("203.0.113.9").burst(6, &guess), [2; 6]);
    let mut trusted = Client::udp("203.0.113.2");
    assert_eq!(trusted.call("sec_auth_ok", &["7001"]), 1);
    assert_eq!(trusted.burst(6, &guess), [1; 6]);
    assert_eq!(trusted.ask(&guess).variable("strikes"), "0");
    assert_eq!(observer().call("sec_whitelist_add", &["203.0.113.3"]), 1);
    assert_eq!(Client::udp("203.0.113.3").burst(6, &guess), [2; 6]);
    assert_eq!(Client::udp(SOURCE).burst(4, &guess), [1, 1, 1, -2]);
    assert_eq!(observer().call("sec_unban", &[SOURCE]), 1);
    assert_eq!(
        Client::udp(SOURCE).burst(6, &guess),
        [1; 6],
        "a moment of grace"
    );
}

#[test]
fn shadow_mode_bans_nobody_for_guessing() {
    let (_directory, config) = office();
    let server = start(config.param("mode", "shadow"));
    assert_eq!(
        Client::udp(SOURCE).burst(6, &about("REGISTER", "140")),
        [1; 6]
    );
    assert_eq!(
        (server.stat("shadow_denied"), server.stat("denied")),
        (3, 0)
    );
}

/// What a scanner that walks over the usual numbers gets.
fn walk(numbers: std::ops::Range<u32>) -> Vec<i64> {
    let mut client = Client::udp(SOURCE);
    let guesses = numbers.map(|number| about("REGISTER", &number.to_string()));
    guesses.map(|guess| client.ask(&guess).rc()).collect()
}

#[test]
fn a_scanner_that_counts_is_banned_after_a_few_numbers() {
    let (_directory, config) = office();
    let config = config.param("rate", "name=burst;off");
    let _server = start(config);
    let codes = walk(100..130);
    assert_eq!(codes[..4], [1, 1, 1, -2]);
    assert_eq!(codes[4..], [-1; 26]);
}

fn is_off(server: &Kamailio) {
    let status = server.kamcmd(&["sec.status"]).expect("it answers");
    assert!(status.contains("extensions: off"), "{status}");
    assert_eq!(observer().call("sec_check_extension", &["140"]), 1);
    assert_eq!(walk(100..120), [1; 20]);
    assert_eq!(server.stat("strikes"), 0);
}

#[test]
fn without_a_list_nobody_is_judged() {
    is_off(&start(Config::new()));
}

#[test]
fn an_empty_list_judges_nobody_and_is_told_once() {
    let (_directory, config) = list("# nobody yet\n\n");
    let check = config.check();
    assert!(check.accepted, "{}", check.log);
    let server = start(config);
    is_off(&server);
    let log = server.stop();
    assert_eq!(
        log.matches("has no name: nobody is judged").count(),
        1,
        "{log}"
    );
}

#[test]
fn domains_have_names_of_their_own() {
    let (_directory, config) = list("alice@a.example\nbob@b.example\n");
    let _server = start(config);
    let mut client = observer();
    for (user, domain, expected) in [
        ("alice", "a.example", 1),
        ("alice", "A.EXAMPLE", 1),
        ("alice", "b.example", -1),
        ("bobb", "b.example", 2),
        ("mallory", "c.example", 1),
    ] {
        let found = client.call("sec_check_extension", &[user, domain]);
        assert_eq!(found, expected, "{user}@{domain}");
    }
    let mut scanner = Client::udp(SOURCE);
    let to = |domain: &str| {
        let request = Request::new("REGISTER", &format!("sip:sec_check@{SERVER}"));
        request
            .header("X-N", "0")
            .header("To", &format!("<sip:mallory@{domain}>"))
    };
    assert_eq!(scanner.ask(&to("c.example")).variable("strikes"), "0");
    assert_eq!(scanner.ask(&to("a.example")).variable("strikes"), "3");
}

#[test]
fn a_bad_line_of_the_list_is_named() {
    let (_directory, config) = list("7001\njohn smith\n");
    let check = config.check();
    assert!(!check.accepted);
    for part in ["extension_file", "line 2", "john smith", "has a blank"] {
        assert!(check.log.contains(part), "`{part}` in {}", check.log);
    }
    let check = Config::new().param("extension_pattern", "7XXA").check();
    assert!(!check.accepted);
    for part in ["extension_pattern", "7XXA", "has an odd 'A'", "as 7XXX"] {
        assert!(check.log.contains(part), "`{part}` in {}", check.log);
    }
}

#[test]
fn hostile_users_are_only_far() {
    let (_directory, config) = office();
    let config = config.param("strike_limit", 200);
    let _server = start(config.param("rate", "name=burst;off"));
    let mut client = Client::udp(SOURCE);
    for user in [
        "%00",
        "%61%64%6d%69%6e",
        "admin%27%20or%201",
        "%%%",
        "%ff%fe",
        &"a".repeat(3000),
        &"%f0%9f%98%80".repeat(64),
        "1000000",
    ] {
        assert_eq!(client.ask(&about("REGISTER", user)).rc(), 1, "{user}");
        assert_eq!(client.call("sec_check_extension", &[user]), -1, "{user}");
    }
}
