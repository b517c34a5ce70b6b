//! The operator's commands, by kamcmd and by JSON-RPC, and how they refuse what makes no sense.

use serde_json::json;

use super::{Client, Config, check, flood, observer, server, start};
use crate::host::{Kamailio, wait_until};

#[test]
fn a_ban_by_command_holds_is_listed_and_can_be_lifted() {
    let server = server();
    server
        .kamcmd(&["sec.ban", "203.0.113.1", "60", "toll fraud"])
        .expect("it bans");
    server
        .kamcmd(&["sec.ban", "203.0.113.2"])
        .expect("time and reason have defaults");
    server
        .kamcmd(&["sec.ban", "203.0.113.3", "30"])
        .expect("so has the reason");
    assert_eq!(flood("203.0.113.1", 1), [-1]);
    assert_eq!(flood("203.0.113.2", 1), [-1]);
    let listed = server.kamcmd(&["sec.bans"]).expect("it lists");
    for word in ["203.0.113.1", "203.0.113.2", "203.0.113.3", "toll fraud"] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    server
        .kamcmd(&["sec.unban", "203.0.113.1"])
        .expect("it lifts");
    let listed = server.kamcmd(&["sec.bans"]).expect("it lists");
    assert!(!listed.contains("toll fraud"), "{listed}");
    assert_eq!(flood("203.0.113.1", 1), [1]);
}

#[test]
fn the_whitelist_by_command() {
    let server = server();
    assert_eq!(flood("203.0.113.1", 31).last(), Some(&-2));
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.1", "3600"])
        .expect("it adds");
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.2"])
        .expect("the time has a default");
    assert_eq!(flood("203.0.113.1", 10), [2; 10]);
    let listed = server.kamcmd(&["sec.whitelist"]).expect("it lists");
    for word in ["203.0.113.1", "203.0.113.2"] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    server
        .kamcmd(&["sec.whitelist_remove", "203.0.113.1"])
        .expect("it removes");
    let listed = server.kamcmd(&["sec.whitelist"]).expect("it lists");
    assert!(!listed.contains("203.0.113.1"), "{listed}");
}

#[test]
fn lists_are_paged() {
    let server = server();
    for host in 1..=25 {
        let address = format!("203.0.113.{host}");
        server.kamcmd(&["sec.ban", &address]).expect("it bans");
        server
            .kamcmd(&["sec.whitelist_add", &format!("198.51.100.{host}")])
            .expect("it adds");
    }
    for (command, network) in [("sec.bans", "203.0.113."), ("sec.whitelist", "198.51.100.")] {
        let page = |words: &[&str]| {
            let words = [&[command], words].concat();
            let listed = server.kamcmd(&words).expect("it lists");
            listed.matches(network).count()
        };
        assert_eq!(page(&["0", "10"]), 10, "{command}");
        assert_eq!(page(&["20", "10"]), 5, "{command}");
        assert_eq!(page(&["100", "10"]), 0, "{command}");
        assert_eq!(page(&["0", "25"]), 25, "{command}");
    }
}

#[test]
fn explain_tells_what_is_known_and_what_would_free_it() {
    let server = server();
    let explain = |address: &str| {
        server
            .kamcmd(&["sec.explain", address])
            .expect("it explains")
    };
    let before = explain("203.0.113.1");
    assert!(
        before.contains("burst"),
        "each limit with its level: {before}"
    );
    assert_eq!(flood("203.0.113.1", 40)[30], -2);
    let after = explain("203.0.113.1");
    for word in ["203.0.113.1", "burst", "sec.unban", "sec.whitelist_add"] {
        assert!(after.contains(word), "{word} in {after}");
    }
    assert_eq!(flood("203.0.113.2", 1), [1]);
    let own = explain("192.0.2.10");
    assert!(own.contains("own"), "{own}");
}

#[test]
fn status_names_the_mode_and_the_sizes() {
    let server = start(
        Config::new()
            .param("table_size", 4096)
            .param("ledger_size", 1024),
    );
    let status = || server.kamcmd(&["sec.status"]).expect("it answers");
    let known = status();
    for word in ["mode: enforce", "ledger_size: 1024", "checks: 0"] {
        assert!(known.contains(word), "{word} in {known}");
    }
    wait_until("the agent to be up", || status().contains("agent: up"));
}

#[test]
fn the_mode_can_be_switched_while_it_runs() {
    let server = server();
    server.kamcmd(&["sec.mode", "shadow"]).expect("it switches");
    assert_eq!(flood("203.0.113.1", 40), [1; 40]);
    server
        .kamcmd(&["sec.mode", "enforce"])
        .expect("it switches back");
    let mode = server.kamcmd(&["sec.mode"]).expect("it tells");
    assert!(mode.contains("enforce"), "{mode}");
    assert_eq!(flood("203.0.113.2", 31).last(), Some(&-2));
}

#[test]
fn json_rpc_does_the_same() {
    let server = server();
    let call = |method: &str, params| server.jsonrpc(method, params).expect("it answers");
    call("sec.ban", json!(["203.0.113.1", 60, "toll fraud"]));
    let listed = call("sec.bans", json!([])).to_string();
    assert!(
        listed.contains("203.0.113.1") && listed.contains("toll fraud"),
        "{listed}"
    );
    let explained = call("sec.explain", json!(["203.0.113.1"])).to_string();
    assert!(explained.contains("toll fraud"), "{explained}");
    call("sec.whitelist_add", json!(["203.0.113.1", 600]));
    assert_eq!(flood("203.0.113.1", 1), [2]);
    let listed = call("sec.whitelist", json!([0, 10])).to_string();
    assert!(listed.contains("203.0.113.1"), "{listed}");
    call("sec.whitelist_remove", json!(["203.0.113.1"]));
    call("sec.status", json!([]));
    call("sec.mode", json!(["shadow"]));
    call("sec.mode", json!(["enforce"]));
    call("sec.ban", json!(["203.0.113.9"]));
    call("sec.unban", json!(["203.0.113.9"]));
}

/// What each command refuses, and a word that its sentence must contain.
const REFUSED: &[(&[&str], i64, &str)] = &[
    (&["sec.ban"], 400, ""),
    (&["sec.ban", "nonsense"], 400, "nonsense"),
    (&["sec.ban", "10.0.0.300"], 400, "10.0.0.300"),
    (&["sec.ban", "203.0.113.1", "-5"], 400, "-5"),
    (&["sec.ban", "192.0.2.10"], 400, "192.0.2.10"),
    (&["sec.ban", "10.0.0.0/4"], 400, "10.0.0.0/4"),
    (&["sec.unban"], 400, ""),
    (&["sec.unban", "nonsense"], 400, "nonsense"),
    (&["sec.unban", "203.0.113.1"], 404, "203.0.113.1"),
    (&["sec.whitelist_add"], 400, ""),
    (&["sec.whitelist_add", "nonsense"], 400, "nonsense"),
    (&["sec.whitelist_add", "203.0.113.1", "-1"], 400, "-1"),
    (&["sec.whitelist_remove"], 400, ""),
    (&["sec.whitelist_remove", "nonsense"], 400, "nonsense"),
    (&["sec.whitelist_remove", "203.0.113.1"], 404, "203.0.113.1"),
    (&["sec.explain"], 400, ""),
    (&["sec.explain", "nonsense"], 400, "nonsense"),
    (&["sec.mode", "banana"], 400, "banana"),
    (&["sec.bans", "-1"], 400, "offset"),
    (&["sec.bans", "0", "-1"], 400, "count"),
    (&["sec.whitelist", "-1"], 400, "offset"),
];

fn refuses_all(server: &Kamailio, run: impl Fn(&[&str]) -> Result<String, crate::host::Fault>) {
    for (words, code, part) in REFUSED {
        let fault = run(words).expect_err(&format!("{words:?} is refused"));
        assert_eq!(fault.code, *code, "{words:?}: {}", fault.message);
        assert!(fault.message.contains(part), "{words:?}: {}", fault.message);
        assert!(
            fault.message.contains(' '),
            "{words:?} gets a sentence: {}",
            fault.message
        );
    }
    for list in ["sec.bans", "sec.whitelist"] {
        let listed = server.kamcmd(&[list]).expect("it lists");
        assert!(!listed.contains("ip:"), "{listed}");
    }
    assert_eq!(Client::udp("203.0.113.1").ask(&check()).rc(), 1);
}

#[test]
fn kamcmd_gets_a_code_and_a_sentence() {
    let server = server();
    refuses_all(&server, |words| server.kamcmd(words));
}

#[test]
fn json_rpc_gets_a_code_and_a_sentence() {
    let server = server();
    refuses_all(&server, |words| {
        let number = |word: &&str| {
            word.parse::<i64>()
                .map_or(json!(word), |number| json!(number))
        };
        let params: Vec<_> = words[1..].iter().map(number).collect();
        let result = server.jsonrpc(words[0], json!(params));
        result.map(|value| value.to_string())
    });
}

#[test]
fn a_command_takes_every_spelling_of_an_address() {
    let server = start(Config::new().listen("udp:[2001:db8::10]:5060"));
    server
        .kamcmd(&["sec.ban", "2001:DB8:0001:0001:0:0:0:0005"])
        .expect("it bans");
    server
        .kamcmd(&["sec.ban", "::ffff:203.0.113.1"])
        .expect("it bans");
    assert_eq!(flood("203.0.113.1", 1), [-1]);
    let mut script = observer();
    assert_eq!(script.call("sec_is_banned", &["2001:db8:1:1::5"]), 1);
    server
        .kamcmd(&["sec.unban", "2001:db8:1:1::5"])
        .expect("it lifts");
    server
        .kamcmd(&["sec.unban", "203.0.113.1"])
        .expect("it lifts");
}
