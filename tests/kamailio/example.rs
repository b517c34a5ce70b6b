//! The example configuration as it is, in each of its three languages: phones work, a flood and a
//! guesser do not.

use std::fs;

use crate::host::{
    Client, Config, Kamailio, Phone, Request, SERVER, Subscribers, isolate, wait_until,
};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kamailio.cfg");

/// The routes in other languages: the definition that names them, and their file.
const LUA: Script = Some(("KEMI_LUA", "examples/kemi.lua"));
const PYTHON: Script = Some(("KEMI_PYTHON", "examples/kemi.py"));

/// Whose routes are run: those of the configuration itself, or of a file beside it.
type Script = Option<(&'static str, &'static str)>;

fn registrar(script: Script) -> (Kamailio, Subscribers) {
    let define = |(name, file)| format!("{name}=\"{}/{file}\"", env!("CARGO_MANIFEST_DIR"));
    registrar_with(script.map(define))
}

fn registrar_with(script: Option<String>) -> (Kamailio, Subscribers) {
    isolate();
    let users = Subscribers::new(&[("1001", "secret1"), ("1002", "secret2")]);
    let mut defines = vec![users.define(), "WORKERS=2".to_owned()];
    defines.extend(script);
    let defines: Vec<&str> = defines.iter().map(String::as_str).collect();
    (
        Kamailio::start(Config::of_file(CONFIGURATION, &defines)),
        users,
    )
}

/// Every scenario, in one language.
macro_rules! scenarios {
    ($language:ident, $script:expr) => {
        mod $language {
            #[test]
            fn phones_register_and_call_each_other() {
                super::phones_register_and_call_each_other($script);
            }

            #[test]
            fn a_flood_is_answered_by_silence_and_its_customer_freed_by_one_command() {
                super::a_flood_is_answered_by_silence_and_its_customer_freed_by_one_command(
                    $script,
                );
            }

            #[test]
            fn guessing_passwords_ends_in_silence_for_known_and_unknown_users_alike() {
                super::guessing_passwords_ends_in_silence_for_known_and_unknown_users_alike(
                    $script,
                );
            }

            #[test]
            fn a_scanner_is_ignored_unless_it_is_ours() {
                super::a_scanner_is_ignored_unless_it_is_ours($script);
            }

            #[test]
            fn calls_to_strangers_need_a_login() {
                super::calls_to_strangers_need_a_login($script);
            }

            #[test]
            fn whoever_logged_in_is_told_to_wait_and_not_all_equally_long() {
                super::whoever_logged_in_is_told_to_wait_and_not_all_equally_long($script);
            }

            #[test]
            fn a_challenge_holds_for_the_address_that_it_was_sent_to() {
                super::a_challenge_holds_for_the_address_that_it_was_sent_to($script);
            }
        }
    };
}

scenarios!(native, None);
scenarios!(lua, super::LUA);
scenarios!(python, super::PYTHON);

#[test]
fn a_script_is_run_instead_of_the_configurations_routes() {
    for (name, file) in [LUA, PYTHON].into_iter().flatten() {
        let script = fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR")));
        let script = script.expect("it can be read").replace("Keepalive", name);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let copy = directory.path().join(file.replace('/', "-"));
        fs::write(&copy, script).expect("it can be written");
        let define = format!("{name}=\"{}\"", copy.display());
        let (server, _users) = registrar_with(Some(define));
        let answer = Client::udp("203.0.113.1").ask(&keepalive());
        assert_eq!((answer.code(), answer.reason()), (200, name));
        server.stop();
    }
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

fn phones_register_and_call_each_other(script: Script) {
    let (server, _users) = registrar(script);
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

fn a_flood_is_answered_by_silence_and_its_customer_freed_by_one_command(script: Script) {
    let (server, _users) = registrar(script);
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

fn guessing_passwords_ends_in_silence_for_known_and_unknown_users_alike(script: Script) {
    let (server, _users) = registrar(script);
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

fn a_scanner_is_ignored_unless_it_is_ours(script: Script) {
    let (server, _users) = registrar(script);
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

fn calls_to_strangers_need_a_login(script: Script) {
    let (server, _users) = registrar(script);
    let mut stranger = Client::udp("203.0.113.9");
    let invite = Request::new("INVITE", "sip:+491234567@carrier.example")
        .header("From", "<sip:me@elsewhere.example>;tag=1");
    assert_eq!(stranger.ask(&invite).code(), 403);
    let claimed = Request::new("INVITE", "sip:+491234567@carrier.example")
        .header("From", &format!("<sip:1001@{SERVER}>;tag=1"));
    assert_eq!(stranger.ask(&claimed).code(), 407);
    assert_eq!(server.stat("strikes"), 0);
}

fn whoever_logged_in_is_told_to_wait_and_not_all_equally_long(script: Script) {
    let (server, _users) = registrar(script);
    let mut phone = Phone::new("1001", "secret1", "203.0.113.1");
    assert!(phone.register().is_ok());
    let mut waits = Vec::new();
    for _ in 0..10_000 {
        let answer = phone.client().ask(&keepalive());
        if answer.code() == 503 {
            let seconds = answer.header("Retry-After").map(str::parse::<u32>);
            waits.push(seconds.expect("it says how long").expect("in seconds"));
        }
        if waits.len() == 20 {
            break;
        }
    }
    assert_eq!(waits.len(), 20, "the ceiling is 120 in two seconds");
    assert!(
        waits.iter().all(|wait| (5..=20).contains(wait)),
        "{waits:?}"
    );
    assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    assert_eq!(server.stat("bans"), 0);
}

fn a_challenge_holds_for_the_address_that_it_was_sent_to(script: Script) {
    let (server, _users) = registrar(script);
    let mut forger = Phone::new("1001", "guess", "203.0.113.9");
    let request = forger.registration();
    let challenge = forger.client().ask(&request);
    let answer = forger.with_credentials(request, "REGISTER", &challenge);
    let answer = answer.expect("it is a challenge");
    let mut victim = Client::udp("203.0.113.1");
    assert_eq!(victim.ask(&answer).code(), 401);
    assert_eq!(server.stat("strikes"), 0, "it proves nothing");
    assert_eq!(forger.client().ask(&answer).code(), 401);
    assert_eq!(server.stat("strikes"), 1);
}
