//! Users behind one address: a dead phone in an office, a scanner in it, and `ban_scope=user`.
#![forbid(unsafe_code)]

mod host;

use host::{Client, Config, Kamailio, Request, SERVER, isolate, wait_until};

const OFFICE: &str = "198.51.100.7";

/// A call of a script function that comes from this user.
fn from(user: &str, function: &str, arguments: &[&str]) -> Request {
    let sender = format!("<sip:{user}@{SERVER}>;tag=1");
    Request::call(function, arguments).header("From", &sender)
}

fn check(user: &str) -> i64 {
    Client::udp(OFFICE).ask(&from(user, "sec_check", &[])).rc()
}

fn fail(user: &str) -> i64 {
    Client::udp(OFFICE)
        .ask(&from(user, "sec_auth_failed", &[]))
        .rc()
}

#[test]
fn one_dead_phone_in_an_office_is_muted_and_the_office_works_on() {
    isolate();
    let node = Kamailio::start(Config::new());
    for user in 0..50 {
        let logged_in = from(&format!("phone{user}"), "sec_auth_ok", &[]);
        assert_eq!(Client::udp(OFFICE).ask(&logged_in).rc(), 1);
    }
    let codes: Vec<i64> = (0..10).map(|_| fail("dead")).collect();
    assert_eq!(codes, [1, 1, 1, 1, 1, 1, 1, 1, 1, -2]);
    assert_eq!(
        (check("dead"), check("phone1"), check("nobody")),
        (-5, 1, 1)
    );
    assert_eq!(node.stat("active_bans"), 0);
    let explained = node.kamcmd(&["sec.explain", OFFICE]).unwrap();
    for part in [
        "verdict: allow",
        "users_muted: 1",
        "nothing is refused but muted users; a failed login falls on its user alone; failures of 9 \
         more users would ban the address",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    wait_until("a line about it", || {
        node.log().contains(&format!("mute a user at {OFFICE}"))
    });
    // Another user who mistypes is not affected, and an unban of the address frees the phone.
    assert_eq!(fail("phone2"), 1);
    node.kamcmd(&["sec.unban", OFFICE]).unwrap();
    assert_eq!(check("dead"), 1);
    let explained = node.kamcmd(&["sec.explain", OFFICE]).unwrap();
    for part in [
        "users_muted: 0",
        "users_muted_ttl: 0",
        "it was unbanned, and offences do not count",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
}

#[test]
fn an_unban_frees_a_muted_user_whose_failures_have_faded() {
    isolate();
    let node = Kamailio::start(
        Config::new()
            .param("strike_window", 10)
            .param("ban_time", "1h"),
    );
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    assert_eq!(
        (0..10).map(|_| fail("dead")).reduce(|_, last| last),
        Some(-2)
    );
    let explained = || node.kamcmd(&["sec.explain", OFFICE]).unwrap();
    wait_until("the strikes to fade", || explained().contains("strikes: 0"));
    assert_eq!(check("dead"), -5);
    // A mute is no ban: what is counted lists with what is listed.
    assert_eq!(node.stat("active_bans"), 0);
    node.kamcmd(&["sec.unban", OFFICE])
        .expect("there is something to lift");
    assert_eq!(check("dead"), 1);
    assert!(node.kamcmd(&["sec.unban", OFFICE]).is_err());
}

#[test]
fn shadow_mode_shows_what_a_mute_would_refuse() {
    isolate();
    let node = Kamailio::start(Config::new().param("mode", "shadow"));
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    assert_eq!(
        (0..10).map(|_| fail("dead")).reduce(|_, last| last),
        Some(1)
    );
    assert_eq!((check("dead"), check("anna")), (1, 1));
    assert_eq!((node.stat("shadow_denied"), node.stat("denied")), (1, 0));
    let top = node.kamcmd(&["sec.top"]).unwrap();
    assert!(
        top.contains("reason: auth") && top.contains("mode: shadow"),
        "{top}"
    );
    node.kamcmd(&["sec.mode", "enforce"]).unwrap();
    assert_eq!(check("dead"), 1, "a shadow mute is dropped on the switch");
}

#[test]
fn a_muted_user_who_goes_on_adds_no_line() {
    for mode in ["enforce", "shadow"] {
        isolate();
        let node = Kamailio::start(Config::new().param("mode", mode));
        Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
        for _ in 0..40 {
            fail("dead");
        }
        // Told after all of them.
        node.kamcmd(&["sec.ban", "203.0.113.1"]).unwrap();
        wait_until("the line of the ban", || {
            node.log().contains("ban 203.0.113.1")
        });
        let lines = node.log().matches("mute a user at").count();
        assert_eq!(lines, 1, "{mode}: {}", node.log());
    }
}

#[test]
fn a_scanner_in_an_office_is_banned_with_it() {
    isolate();
    let node = Kamailio::start(Config::new());
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    let banned = (100..140)
        .map(|user| fail(&user.to_string()))
        .position(|code| code == -2);
    // Ten different users, give or take one: they are estimated.
    assert!(
        (9..=12).contains(&(banned.expect("a ban") + 1)),
        "{banned:?}"
    );
    assert_eq!(check("anna"), -1);
    assert!(node.kamcmd(&["sec.bans"]).unwrap().contains("reason: auth"));
}

#[test]
fn with_ban_scope_user_the_address_is_banned_when_several_users_offend() {
    isolate();
    let node = Kamailio::start(Config::new().param("ban_scope", "user"));
    for _ in 0..9 {
        assert_eq!(fail("100"), 1);
    }
    assert_eq!(fail("100"), -2);
    assert_eq!((check("100"), check("101")), (-5, 1));
    assert_eq!(fail("101"), 1);
    assert_eq!(node.stat("active_bans"), 0);
    let explained = node.kamcmd(&["sec.explain", OFFICE]).unwrap();
    let outlook = "would ban the address, one more strike for anything else";
    assert!(explained.contains(outlook), "{explained}");
    // The third user makes it the address; they are estimated, so perhaps one or two later.
    let banned = (102..120).position(|user| fail(&user.to_string()) == -2);
    assert!(banned.is_some_and(|more| more <= 2), "{banned:?}");
    assert_eq!(check("anybody"), -1);
}

#[test]
fn a_success_ends_what_counted_against_the_user() {
    isolate();
    let _node = Kamailio::start(Config::new());
    for _ in 0..9 {
        assert_eq!(fail("anna"), 1);
    }
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    for _ in 0..9 {
        assert_eq!(fail("anna"), 1);
    }
    assert_eq!(check("anna"), 1);
}

/// A login of the user `login`, from whoever `from` says, at a script that calls `function`.
fn login(from: &str, login: &str, function: &str) -> i64 {
    let credentials = format!("Digest username=\"{login}\", realm=\"r\", nonce=\"n\"");
    let args: &[&str] = if function == "sec_check" {
        &[]
    } else {
        &[login]
    };
    let request = Request::call(function, args)
        .header("From", &format!("<sip:{from}@192.0.2.10>;tag=1"))
        .header("Authorization", &credentials);
    Client::udp(OFFICE).ask(&request).rc()
}

#[test]
fn a_muted_user_does_not_get_around_it_by_another_from() {
    isolate();
    let node = Kamailio::start(Config::new());
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    let codes: Vec<i64> = (0..10)
        .map(|number| login(&format!("from{number}"), "victim", "sec_auth_failed"))
        .collect();
    assert_eq!(codes.last(), Some(&-2));
    for from in ["from1", "from9", "victim", "never-seen"] {
        assert_eq!(login(from, "victim", "sec_check"), -5, "{from}");
    }
    // Whose name the guesser wrote into From is not cut off for it.
    assert_eq!((check("from9"), check("anna")), (1, 1));
    assert_eq!(login("from9", "from9", "sec_check"), 1);
    assert_eq!(node.stat("active_bans"), 0);
}

#[test]
fn who_goes_on_failing_past_a_mute_is_banned_with_the_address() {
    isolate();
    let _node = Kamailio::start(Config::new());
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    // As if each had come in a form that hides whom it is about from `sec_check`.
    let codes: Vec<i64> = (0..20).map(|_| fail("dead")).collect();
    assert_eq!(codes[9..19], [-2; 10]);
    assert_eq!((codes[19], check("anna")), (-2, -1));
}

#[test]
fn a_ban_that_owes_anything_to_forged_strikes_is_no_firm_one() {
    isolate();
    let node = Kamailio::start(Config::new());
    let strike = Request::call("sec_strike", &["malformed", "9"]);
    assert_eq!(Client::udp(OFFICE).ask(&strike).rc(), 1);
    assert_eq!(fail("anna"), -2);
    let known = node.kamcmd(&["sec.explain", OFFICE]).unwrap();
    for part in ["evidence: can be forged", "repeats: 0", "reason: auth"] {
        assert!(known.contains(part), "{part}: {known}");
    }
    let firm = "198.51.100.91";
    let failed = from("anna", "sec_auth_failed", &[]);
    assert_eq!(Client::udp(firm).burst(10, &failed)[9], -2);
    let known = node.kamcmd(&["sec.explain", firm]).unwrap();
    for part in ["evidence: validated", "repeats: 1"] {
        assert!(known.contains(part), "{part}: {known}");
    }
}

#[test]
fn whoever_names_no_user_is_one_user_too() {
    isolate();
    let node = Kamailio::start(Config::new());
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    let nobody = |function: &str| {
        let sender = format!("<sip:{SERVER}>;tag=1");
        let request = Request::call(function, &[]).header("From", &sender);
        Client::udp(OFFICE).ask(&request).rc()
    };
    let codes: Vec<i64> = (0..10).map(|_| nobody("sec_auth_failed")).collect();
    assert_eq!(codes[8..], [1, -2]);
    assert_eq!((nobody("sec_check"), check("anna")), (-5, 1));
    assert_eq!(node.stat("active_bans"), 0);
}

#[test]
fn the_line_of_a_mute_names_who_is_muted() {
    isolate();
    let node = Kamailio::start(Config::new());
    Client::udp(OFFICE).ask(&from("anna", "sec_auth_ok", &[]));
    for _ in 0..10 {
        login("somebody", "victim", "sec_auth_failed");
    }
    wait_until("the line", || node.log().contains("mute a user at"));
    let log = node.log();
    let line = log.lines().find(|line| line.contains("mute a user at"));
    assert!(
        line.is_some_and(|line| line.contains("user=\"victim\"")),
        "{line:?}"
    );
}
