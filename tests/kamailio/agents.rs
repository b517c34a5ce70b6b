//! User-Agents: scanners and suspects, asked about and refused.

use std::fs;

use super::{Client, Config, Request, THIRTY, check, observer, start};

const SOURCE: &str = "203.0.113.1";

fn checked_as(agent: &str) -> Request {
    check().header("User-Agent", agent)
}

fn told(agent: &str) -> i64 {
    let request = Request::call("sec_check_agent", &[]).header("User-Agent", agent);
    observer().ask(&request).rc()
}

#[test]
fn a_script_asks_what_an_agent_is() {
    let server = start(Config::new());
    for (agent, expected) in [
        ("friendly-scanner", -1),
        ("SIPVICIOUS", -1),
        ("sipcli/v1.8", -1),
        ("smap", -1),
        ("smapper", 1),
        ("sipsak 0.9.7", -2),
        ("Yealink SIP-T46S 66.86.0.15", 1),
        ("", 1),
    ] {
        assert_eq!(told(agent), expected, "{agent}");
    }
    assert_eq!(observer().call("sec_check_agent", &[]), 1, "without one");
    let answer = Client::udp(SOURCE).ask(&checked_as("friendly-scanner"));
    assert_eq!(answer.rc(), 1, "agent_check is off");
    assert_eq!((server.stat("checks"), server.stat("denied")), (1, 0));
}

#[test]
fn a_scanner_is_refused_and_never_banned() {
    let server = start(Config::new().param("agent_check", 1).param("rate", THIRTY));
    for mut client in [Client::udp(SOURCE), Client::tcp(SOURCE)] {
        assert_eq!(client.burst(50, &checked_as("friendly-scanner")), [-5; 50]);
        let answer = client.ask(&checked_as("VaxSIPUserAgent/3.1"));
        assert_eq!(answer.rc(), -5);
        assert_eq!(answer.variable("reason"), "agent:VaxSIPUserAgent");
        assert_eq!(answer.variable("verdict"), "-5");
        assert_eq!(client.ask(&checked_as("sipsak")).rc(), 1, "a suspect");
        assert_eq!(client.ask(&check()).rc(), 1, "none");
    }
    assert_eq!(observer().call("sec_is_banned", &[SOURCE]), -1);
    assert_eq!((server.stat("denied"), server.stat("bans")), (102, 0));
}

#[test]
fn who_is_whitelisted_may_call_himself_anything() {
    let config = Config::new().param("agent_check", 1);
    let _server = start(config.param("whitelist", "203.0.113.2"));
    let scanner = checked_as("friendly-scanner");
    assert_eq!(Client::udp("203.0.113.2").ask(&scanner).rc(), 2);
    assert_eq!(Client::udp(SOURCE).ask(&scanner).rc(), -5);
    assert_eq!(observer().call("sec_whitelist_add", &[SOURCE]), 1);
    assert_eq!(Client::udp(SOURCE).ask(&scanner).rc(), 2);
    assert_eq!(observer().call("sec_whitelist_remove", &[SOURCE]), 1);
    assert_eq!(observer().call("sec_ban", &[SOURCE]), 1);
    assert_eq!(
        Client::udp(SOURCE).ask(&scanner).rc(),
        -1,
        "a ban is said first"
    );
}

#[test]
fn shadow_mode_only_counts_scanners() {
    let config = Config::new().param("agent_check", 1);
    let server = start(config.param("mode", "shadow"));
    let answer = Client::udp(SOURCE).ask(&checked_as("friendly-scanner"));
    assert_eq!((answer.rc(), answer.variable("verdict")), (1, "-5"));
    assert_eq!(
        (server.stat("shadow_denied"), server.stat("denied")),
        (1, 0)
    );
}

#[test]
fn a_file_replaces_the_built_in_list() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("agents");
    let list = "# ours\nscanner Evil\nscanner *wicked\nsuspect =odd one # really\n";
    fs::write(&file, list).expect("it can be written");
    let config = Config::new().param("agent_check", 1);
    let _server = start(config.param("agent_file", &*file));
    for (agent, expected) in [
        ("evil/2", -1),
        ("so very wicked indeed", -1),
        ("Odd One", -2),
        ("odd one 2", 1),
        ("friendly-scanner", 1),
    ] {
        assert_eq!(told(agent), expected, "{agent}");
    }
    assert_eq!(Client::udp(SOURCE).ask(&checked_as("Evil")).rc(), -5);
}

#[test]
fn a_bad_line_of_the_file_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("agents");
    fs::write(&file, "scanner sipcli\n\nbanish sipvicious\n").expect("it can be written");
    let check = Config::new().param("agent_file", &*file).check();
    assert!(!check.accepted);
    let file = file.display().to_string();
    for part in [
        "agent_file",
        &file,
        "line 3",
        "banish sipvicious",
        "scanner or suspect",
    ] {
        assert!(check.log.contains(part), "`{part}` in {}", check.log);
    }
}

#[test]
fn hostile_values_are_only_values() {
    let _server = start(Config::new().param("agent_check", 1));
    let mut client = Client::udp(SOURCE);
    for agent in [
        "%s%n%s",
        &"a".repeat(6000),
        &"friendly-scanne".repeat(300),
        "\u{1}\u{7f}\u{e9}",
    ] {
        assert_eq!(client.ask(&checked_as(agent)).rc(), 1, "{agent}");
    }
    let late = format!("{}friendly-scanner", "x".repeat(250));
    assert_eq!(client.ask(&checked_as(&late)).rc(), 1);
    let late = format!("{}friendly-scanner", "x".repeat(200));
    assert_eq!(client.ask(&checked_as(&late)).rc(), -5);
    let twice = checked_as("fine").header("User-Agent", "friendly-scanner");
    assert_eq!(client.ask(&twice).rc(), 1, "the first one counts");
}
