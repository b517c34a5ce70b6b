//! Lists of extensions that change while the server runs: a file that is read anew, sets in Redis
//! that are followed, and what happens when they are suddenly gone.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use redis::cmd;
use tempfile::TempDir;

use super::{Client, Config, Kamailio, Redis, Request, observer, start};
use crate::host::{SERVER, wait_until};

const URL: &str = "redis://127.0.0.1:6379";
const SOURCE: &str = "203.0.113.1";

/// A list on disk.
struct List {
    _directory: TempDir,
    path: PathBuf,
}

impl List {
    fn new(names: &str) -> List {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("extensions");
        let list = List {
            _directory: directory,
            path,
        };
        list.write(names.as_bytes());
        list
    }

    fn write(&self, names: &[u8]) {
        fs::write(&self.path, names).expect("it can be written");
    }
}

/// So many names of one kind.
fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("user{number:06}x"))
        .collect()
}

fn add(redis: &Redis, key: &str, members: &[String]) {
    for page in members.chunks(5000) {
        redis.ask::<()>(cmd("SADD").arg(key).arg(page));
    }
}

fn remove(redis: &Redis, key: &str, members: &[String]) {
    redis.ask::<()>(cmd("SREM").arg(key).arg(members));
}

fn followed(key: &str) -> Config {
    Config::new()
        .param("redis_url", URL)
        .param("extension_redis_key", key)
}

fn judged(user: &str, domain: &str) -> i64 {
    observer().call("sec_check_extension", &[user, domain])
}

/// Polls what a user of a domain is.
fn wait_for(user: &str, domain: &str, expected: i64) {
    wait_until(&format!("{user}@{domain} to be {expected}"), || {
        judged(user, domain) == expected
    });
}

fn wait_for_status(server: &Kamailio, name: &str, expected: &str) {
    wait_until(&format!("{name} to be {expected}"), || {
        server.status(name).contains(expected)
    });
}

/// Six registrations of users that there are not: the verdicts.
fn guess(source: &str) -> Vec<i64> {
    let guess = |user: u32| {
        Request::new("REGISTER", &format!("sip:sec_check@{SERVER}"))
            .header("X-N", "0")
            .header("To", &format!("<sip:{user}@{SERVER}>"))
    };
    let mut client = Client::udp(source);
    (100..106)
        .map(|user| client.ask(&guess(user)).rc())
        .collect()
}

const BANNED: [i64; 6] = [1, 1, 1, -2, -1, -1];
const LET_BE: [i64; 6] = [1; 6];

#[test]
fn a_set_in_redis_is_followed() {
    super::host::isolate();
    let redis = Redis::start();
    redis.run::<()>("SADD users anna bert carl");
    let server = Kamailio::start(followed("users"));
    wait_for("mallory", "a.example", -1);
    assert_eq!(judged("ANNA", "a.example"), 1);
    assert_eq!(server.status("extensions"), "on");
    assert_eq!(server.status("extension_redis_key"), "3 names in 1 set");
    redis.run::<()>("SADD users dora emil@b.example");
    wait_for("dora", "a.example", 1);
    assert_eq!(judged("emil", "a.example"), -1);
    assert_eq!(judged("emil", "b.example"), 1);
    redis.run::<()>("SREM users anna");
    wait_for("anna", "a.example", -1);
    assert_eq!(guess(SOURCE), BANNED);
    redis.run::<()>("RENAME users others");
    wait_for("mallory", "a.example", 1);
}

#[test]
fn each_domain_has_a_set_of_its_own() {
    super::host::isolate();
    let redis = Redis::start();
    for words in [
        "SADD sip:a.example:users anna",
        "SADD sip:B.Example:users bert bert@b.example carl@c.example",
        "SET sip:c.example:users nonsense",
        "SADD sip:d.example:old:users dora",
        "SADD sip:e.example emil",
        "SADD other anna",
    ] {
        redis.run::<()>(words);
    }
    let list = List::new("operator\n");
    let config = followed("sip:{domain}:users").param("extension_pattern", "7XXX");
    let server = Kamailio::start(config.param("extension_file", &*list.path));
    wait_for("mallory", "a.example", -1);
    for (user, domain, expected) in [
        ("anna", "a.example", 1),
        ("anna", "A.EXAMPLE", 1),
        ("anna", "b.example", -1),
        ("bert", "b.example", 1),
        ("operator", "b.example", 1),
        ("140", "b.example", -1),
        ("7001", "b.example", 1),
        // No set: nobody is judged.
        ("anna", "c.example", 1),
        ("dora", "d.example", 1),
        ("mallory", "d.example", 1),
        ("140", "e.example", 1),
    ] {
        assert_eq!(judged(user, domain), expected, "{user}@{domain}");
    }
    let told = server.status("extension_redis_key");
    assert!(
        told.starts_with("3 names in 2 sets; skipped 1 of 4 members; "),
        "{told}"
    );
    redis.run::<()>("DEL sip:c.example:users");
    redis.run::<()>("SADD sip:c.example:users carl");
    wait_for("mallory", "c.example", -1);
    redis.run::<()>("DEL sip:a.example:users");
    wait_for("mallory", "a.example", 1);
    assert_eq!(judged("mallory", "b.example"), -1);
    let problem = server.status("extension_problem");
    let expected = "extension_redis_key: 0 names in a.example where 1 were: nobody is judged there";
    assert_eq!(problem, expected);
    assert_eq!(server.status("extensions"), "on");
}

#[test]
fn an_emptied_redis_bans_nobody_and_is_told_once() {
    super::host::isolate();
    let redis = Redis::start();
    let all = names(1000);
    add(&redis, "users", &all);
    let server = Kamailio::start(followed("users"));
    wait_for("mallory", "", -1);
    remove(&redis, "users", &all[..499]);
    wait_for_status(&server, "extension_names", "501");
    assert_eq!(server.status("extensions"), "on");
    remove(&redis, "users", &all[499..600]);
    wait_for_status(&server, "extensions", "off");
    let expected = "extension_redis_key: 400 names where 1000 were: nobody is judged";
    assert_eq!(server.status("extension_problem"), expected);
    assert_eq!(guess(SOURCE), LET_BE);
    redis.run::<()>("FLUSHALL");
    wait_for_status(&server, "extension_problem", "0 names where 1000 were");
    assert_eq!(guess(SOURCE), LET_BE);
    // Somebody fills it again: it counts when it is whole, not when it is half full.
    add(&redis, "users", &all[..899]);
    wait_for_status(&server, "extension_problem", "899 names where 1000 were");
    assert_eq!(guess(SOURCE), LET_BE);
    add(&redis, "users", &all[..900]);
    wait_for_status(&server, "extensions", "on");
    assert_eq!(server.status("extension_problem"), "");
    assert_eq!(guess(SOURCE), BANNED);
    let log = server.stop();
    assert_eq!(
        log.matches("nobody is judged; until they are back").count(),
        1,
        "{log}"
    );
    assert!(
        log.contains("extensions are judged again everywhere"),
        "{log}"
    );
}

#[test]
fn an_operator_confirms_that_few_are_left() {
    super::host::isolate();
    let redis = Redis::start();
    redis.run::<()>("SADD users anna bert carl");
    let server = Kamailio::start(followed("users"));
    wait_for("mallory", "", -1);
    redis.run::<()>("SREM users bert carl");
    wait_for("mallory", "", 1);
    server
        .kamcmd(&["sec.reload", "extension_redis_key"])
        .expect("it is read anew");
    wait_until("it to be read anew", || {
        server
            .log()
            .matches("extension_redis_key: 1 names in 1 set")
            .count()
            == 1
    });
    assert_eq!(judged("mallory", ""), 1, "that confirms nothing");
    let refused = server.kamcmd(&["sec.reload", "extension_redis_key", "yes"]);
    let refused = refused.expect_err("that is no word for it");
    assert_eq!(refused.code, 400);
    assert!(
        refused.message.contains("\"yes\" is not \"confirm\""),
        "{}",
        refused.message
    );
    server
        .kamcmd(&["sec.reload", "extension_redis_key", "confirm"])
        .expect("it is confirmed");
    wait_for("bert", "", -1);
    assert_eq!(server.status("extension_problem"), "");
}

#[test]
fn what_is_no_list_switches_the_rule_off() {
    super::host::isolate();
    let redis = Redis::start();
    let server = Kamailio::start(followed("users").param("extension_pattern", "7XXX"));
    wait_for_status(
        &server,
        "extension_problem",
        "has no name: nobody is judged",
    );
    assert_eq!(judged("140", ""), 1, "masks do not count either");
    redis.run::<()>("SET users anna");
    wait_for_status(&server, "extension_redis_key", "\"users\" is not a set");
    assert_eq!(judged("140", ""), 1);
    redis.run::<()>("DEL users");
    redis.ask::<()>(
        cmd("SADD")
            .arg("users")
            .arg(&[&b"a b"[..], b"\xff", &[b'x'; 500], b"anna"]),
    );
    wait_for("140", "", -1);
    let told = server.status("extension_redis_key");
    assert!(
        told.starts_with("1 names in 1 set; skipped 3 of 4 members; \""),
        "{told}"
    );
    redis.run::<()>("LPUSH users2 anna");
    redis.run::<()>("DEL users");
    wait_for("140", "", 1);
}

#[test]
fn with_redis_away_the_last_list_stays() {
    super::host::isolate();
    let mut redis = Redis::start();
    redis.run::<()>("SADD users anna bert carl");
    let server = Kamailio::start(followed("users"));
    wait_for("mallory", "", -1);
    redis.kill();
    wait_until("the link to be lost", || server.stat("redis_up") == 0);
    assert_eq!((judged("anna", ""), judged("mallory", "")), (1, -1));
    server
        .kamcmd(&["sec.reload", "extension_redis_key", "confirm"])
        .expect("it is an order");
    wait_for_status(&server, "extension_redis_key", "there is no link to Redis");
    // The next agent knows the list, and how large it was.
    let agent = server.agent();
    server.signal(agent, Signal::SIGKILL);
    wait_until("the next agent", || server.agent() != agent);
    assert_eq!((judged("anna", ""), judged("mallory", "")), (1, -1));
    redis.restart();
    wait_for("mallory", "", 1);
    let expected = "extension_redis_key: 0 names where 3 were: nobody is judged";
    assert_eq!(server.status("extension_problem"), expected);
    redis.run::<()>("SADD users anna bert carl dora");
    wait_for("mallory", "", -1);
    assert_eq!(judged("dora", ""), 1);
}

#[test]
fn until_redis_was_read_nobody_is_judged() {
    let list = List::new("7001\n");
    let config = followed("users").param("extension_file", &*list.path);
    let server = start(config.param("extension_pattern", "7XXX"));
    wait_for_status(
        &server,
        "extension_problem",
        "is not read yet: nobody is judged",
    );
    assert_eq!(server.status("extensions"), "off");
    assert_eq!(guess(SOURCE), LET_BE);
    let redis = Redis::start();
    redis.run::<()>("SADD users anna");
    wait_for("140", "", -1);
    assert_eq!((judged("7001", ""), judged("anna", "")), (1, 1));
}

#[test]
fn a_hundred_thousand_names_are_followed_while_they_change() {
    super::host::isolate();
    let redis = Redis::start();
    let all = names(100_000);
    add(&redis, "users", &all);
    let server = Kamailio::start(followed("users"));
    wait_for_status(&server, "extension_names", "100000");
    let before = server.stat("checks");
    for number in 0..3000 {
        redis.run::<()>(&format!("SADD users new{number}"));
        if number % 300 == 0 {
            assert_eq!(Client::udp(SOURCE).call("sec_check", &[]), 1);
        }
    }
    wait_for_status(&server, "extension_names", "103000");
    assert_eq!(judged("new2999", ""), 1);
    assert_eq!(judged("user000007x", ""), 1);
    assert_eq!(server.stat("checks") - before, 10);
    let published: u64 = server.status("lists_published").parse().expect("a number");
    assert!(published < 100, "many changes are one: {published}");
    assert_eq!(server.status("agent_restarts"), "0");
}

#[test]
fn a_file_is_read_anew() {
    let list = List::new("anna\nbert\ncarl\n");
    let server = start(Config::new().param("extension_file", &*list.path));
    assert_eq!((judged("dora", ""), judged("anna", "")), (-1, 1));
    let reload = |words: &[&str]| {
        server
            .kamcmd(&[&["sec.reload"], words].concat())
            .expect("it is an order");
    };
    list.write(b"anna\nbert\ncarl\ndora\n");
    reload(&[]);
    wait_for("dora", "", 1);
    assert_eq!(server.status("extension_file"), "4 names read anew");
    list.write(b"anna\nbe rt\n");
    reload(&["extension_file"]);
    wait_for_status(&server, "extension_file", "line 2: \"be rt\" has a blank");
    assert!(server.status("extension_file").len() > 40);
    assert_eq!((judged("dora", ""), judged("mallory", "")), (1, -1));
    wait_until("the log to say so", || {
        server.log().contains("the list before it stays")
    });
    for (bytes, problem) in [
        (
            &b"anna\n\n\nb\0rt\n"[..],
            "line 4: \"b\\0rt\" has a blank or a control",
        ),
        (b"anna\n\xff\xfe\n", "is not UTF-8"),
    ] {
        list.write(bytes);
        reload(&["extension_file"]);
        wait_for_status(&server, "extension_file", problem);
    }
    assert_eq!((judged("dora", ""), judged("mallory", "")), (1, -1));
    list.write(b"anna\n");
    reload(&["extension_file"]);
    wait_for("mallory", "", 1);
    let expected = "extension_file: 1 names where 4 were: nobody is judged";
    assert_eq!(server.status("extension_problem"), expected);
    reload(&["extension_file", "confirm"]);
    wait_for("dora", "", -1);
    list.write(b"");
    reload(&["extension_file", "confirm"]);
    wait_for_status(&server, "extension_problem", "extension_file has no name");
    assert_eq!(guess(SOURCE), LET_BE);
    fs::remove_file(&list.path).expect("it is there");
    reload(&["extension_file"]);
    wait_for_status(&server, "extension_file", "cannot be read");
}

#[test]
fn names_of_file_and_redis_are_joined() {
    super::host::isolate();
    let redis = Redis::start();
    redis.run::<()>("SADD users anna");
    let list = List::new("112\n");
    let config = followed("users").param("extension_file", &*list.path);
    let server = Kamailio::start(config);
    wait_for("mallory", "", -1);
    assert_eq!((judged("112", ""), judged("anna", "")), (1, 1));
    list.write(b"112\n113\n");
    server
        .kamcmd(&["sec.reload", "extension_file"])
        .expect("it is an order");
    wait_for_status(&server, "extension_names", "3");
    redis.run::<()>("DEL users");
    wait_for("mallory", "", 1);
    let expected = "extension_redis_key: 0 names where 1 were: nobody is judged";
    assert_eq!(server.status("extension_problem"), expected);
}

#[test]
fn a_list_that_does_not_fit_judges_nobody() {
    super::host::isolate();
    let redis = Redis::start();
    add(&redis, "users", &names(30_000));
    let server = Kamailio::start(followed("users").param("snapshot_size", 1));
    wait_for_status(
        &server,
        "extension_problem",
        "too many extensions: nobody is judged",
    );
    assert_eq!(guess(SOURCE), LET_BE);
    assert!(server.log().contains("snapshot_size is too small"));
    redis.run::<()>("DEL users");
    redis.run::<()>("SADD users anna bert");
    server
        .kamcmd(&["sec.reload", "extension_redis_key", "confirm"])
        .expect("it is an order");
    wait_for("mallory", "", -1);
}

#[test]
fn a_list_that_is_just_being_filled_bans_nobody() {
    super::host::isolate();
    let redis = Redis::start();
    let all = names(2000);
    add(&redis, "users", &all[..200]);
    let server = Kamailio::start(followed("users"));
    wait_for("mallory", "", -1);
    add(&redis, "users", &all[..1000]);
    wait_for_status(&server, "extensions", "off");
    let expected =
        "extension_redis_key: 1000 names, and quickly more: nobody is judged until it is full";
    assert_eq!(server.status("extension_problem"), expected);
    assert_eq!(guess(SOURCE), LET_BE);
    server
        .kamcmd(&["sec.reload", "extension_redis_key", "confirm"])
        .expect("it is an order");
    wait_for_status(&server, "extensions", "on");
    assert_eq!(guess(SOURCE), BANNED);
}
