//! The example configuration as it is: phones work, a flood and a guesser do not.

use crate::host::{
    Client, Config, Kamailio, Phone, Request, SERVER, Subscribers, isolate, wait_until,
};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kamailio.cfg");

fn registrar() -> (Kamailio, Subscribers) {
    isolate();
    let users = Subscribers::new(&[("1001", "secret1"), ("1002", "secret2")]);
    let config = Config::of_file(CONFIGURATION, &[&users.define(), "WORKERS=2"]);
    (Kamailio::start(config), users)
}

fn keepalive() -> Request {
    Request::new("OPTIONS", &format!("sip:{SERVER}"))
}

/// Sends requests that may stay unanswered; how many were answered when all were decided.
fn answered(server: &Kamailio, client: &mut Client, count: i64) -> i64 {
    for _ in 0..count {
        client.send(&keepalive());
    }
    wait_until("all to be decided", || server.stat("checks") >= count);
    let allowed = server.stat("allowed");
    // An allowed request is answered after it was counted.
    let mut answers = 0;
    wait_until("all answers to come", || {
        answers += i64::from(client.receive_now().is_some());
        answers == allowed
    });
    answers
}

#[test]
fn phones_register_and_call_each_other() {
    let (server, _users) = registrar();
    let mut first = Phone::new("1001", "secret1", "203.0.113.1");
    let mut second = Phone::new("1002", "secret2", "203.0.113.2");
    let mut third = Phone::over_tcp("1001", "secret1", "203.0.113.3");
    for phone in [&mut first, &mut second, &mut third] {
        assert!(phone.register().is_ok());
    }
    for _ in 0..10 {
        first.call(&mut second).expect("the call goes through");
    }
    third.call(&mut second).expect("the call goes through");
    assert_eq!(server.stat("denied"), 0);
    assert_eq!(
        server.stat("strikes"),
        0,
        "a first request without credentials is no offence"
    );
}

#[test]
fn a_flood_is_answered_by_silence_and_its_customer_freed_by_one_command() {
    let (server, _users) = registrar();
    let mut client = Client::udp("203.0.113.66");
    let answers = answered(&server, &mut client, 200);
    assert!((30..60).contains(&answers), "{answers}");
    let bans = server.kamcmd(&["sec.bans"]).expect("it lists");
    assert!(bans.contains("203.0.113.66"), "{bans}");
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.66", "3600"])
        .expect("it adds");
    assert_eq!(client.ask(&keepalive()).code(), 200);
}

#[test]
fn guessing_passwords_ends_in_silence_for_known_and_unknown_users_alike() {
    let (server, _users) = registrar();
    for (user, source) in [("1001", "203.0.113.7"), ("9999", "203.0.113.8")] {
        let (strikes, bans) = (server.stat("strikes"), server.stat("bans"));
        let mut guesser = Phone::new(user, "guess", source);
        for guess in 1..10 {
            let refused = guesser.register().expect_err("the password is wrong");
            let code = refused.expect("it is answered").code();
            assert_eq!(code, 401, "guess {guess} for {user}");
        }
        assert_eq!(server.stat("strikes"), strikes + 9);
        assert!(guesser.try_to_register().is_ok());
        wait_until("the ban", || server.stat("bans") == bans + 1);
        let denied = server.stat("denied");
        guesser.client().send(&keepalive());
        wait_until("it to be denied", || server.stat("denied") == denied + 1);
        assert!(guesser.client().receive_now().is_none(), "not a word");
    }
    let mut owner = Phone::new("1001", "secret1", "203.0.113.1");
    assert!(
        owner.register().is_ok(),
        "the user whose password it is notices nothing"
    );
}

#[test]
fn a_scanner_is_ignored_unless_it_is_ours() {
    let (server, _users) = registrar();
    let scan = keepalive().header("User-Agent", "friendly-scanner");
    let mut ours = Client::udp("203.0.113.5");
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.5"])
        .expect("it adds");
    assert_eq!(ours.ask(&scan).code(), 200);
    let mut scanner = Client::udp("203.0.113.9");
    scanner.send(&scan);
    scanner.send(&scan);
    wait_until("the ban", || server.stat("bans") == 1);
    assert!(scanner.receive_now().is_none());
}

#[test]
fn calls_to_strangers_need_a_login() {
    let (server, _users) = registrar();
    let mut stranger = Client::udp("203.0.113.9");
    let invite = Request::new("INVITE", "sip:+491234567@carrier.example")
        .header("From", "<sip:me@elsewhere.example>;tag=1");
    assert_eq!(stranger.ask(&invite).code(), 403);
    let claimed = Request::new("INVITE", "sip:+491234567@carrier.example")
        .header("From", &format!("<sip:1001@{SERVER}>;tag=1"));
    assert_eq!(stranger.ask(&claimed).code(), 407);
    assert_eq!(server.stat("strikes"), 0);
}
