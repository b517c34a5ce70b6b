//! The log: one line for each change of state, with all there is to know, and nothing for whoever
//! goes on.

use super::{Client, Config, Kamailio, Request, check, observer, start};
use crate::host::wait_until;

const ATTACKER: &str = "203.0.113.1";

fn config() -> Config {
    Config::new()
        .param("rate", "name=burst;limit=30;window=1h")
        .param("whitelist_rate", "limit=5;window=1h")
        .param("strike_limit", 3)
        .param("unban_grace", 0)
}

/// The module's lines about changes so far, without level and process. Start-up lines end with the
/// first of them.
fn lines(server: &Kamailio) -> Vec<String> {
    let log = server.log();
    let ours = log
        .lines()
        .filter_map(|line| line.split_once("NOTICE: sec: "));
    ours.map(|(_, text)| text.trim().to_owned()).collect()
}

/// Waits until there is one line more; this line.
fn next(server: &Kamailio, known: &mut usize) -> String {
    wait_until("a line", || lines(server).len() > *known);
    let all = lines(server);
    assert_eq!(all.len(), *known + 1, "{:?}", &all[*known..]);
    *known += 1;
    all[*known - 1].clone()
}

/// A request with a user and a User-Agent.
fn from(request: Request, user: &str) -> Request {
    request
        .header("From", &format!("<sip:{user}@192.0.2.10>;tag=1"))
        .header("User-Agent", "play/1.0")
}

#[test]
fn whoever_goes_on_adds_nothing() {
    let server = start(config());
    let mut client = Client::udp(ATTACKER);
    client.burst(40, &from(check(), "anna"));
    let known = &mut 0;
    let ban = "ban 203.0.113.1 reason=rate:burst seconds=300 count=1 by=rate user=\"anna\" agent=\"play/1.0\"";
    assert_eq!(next(&server, known), ban);
    client.burst(1000, &from(check(), "ben"));
    let strike = Request::call("sec_strike", &["scanner", "3"]);
    client.burst(100, &strike);
    client.burst(100, &Request::call("sec_auth_failed", &["7001"]));
    // Another change comes after all of them in the agent's pipe.
    assert_eq!(observer().call("sec_ban", &["203.0.113.2", "60"]), 1);
    let other = "ban 203.0.113.2 reason=manual seconds=60 by=script";
    assert_eq!(next(&server, known), other);
    assert_eq!(server.stat("denied"), 1010);
}

#[test]
fn whoever_is_only_limited_has_no_line_at_all() {
    let limit = "name=burst;limit=30;window=1h;action=limit";
    let server = start(Config::new().param("rate", limit));
    assert_eq!(Client::udp(ATTACKER).burst(500, &check())[30..], [-4; 470]);
    assert_eq!(observer().call("sec_ban", &["203.0.113.2", "60"]), 1);
    let known = &mut 0;
    assert!(next(&server, known).starts_with("ban 203.0.113.2 "));
}

#[test]
fn each_change_has_one_line_with_all_there_is_to_know() {
    let server = start(config());
    let known = &mut 0;
    let order = |words: &[&str]| server.kamcmd(words).expect("it is carried out");
    let mut script = observer();

    // A ban on firm evidence, lifted, and the next one, which is a repeat.
    let strike = from(Request::call("sec_strike", &["scanner", "3"]), "anna");
    assert_eq!(Client::tcp(ATTACKER).burst(1, &strike), [-2]);
    let seen = "by=strike user=\"anna\" agent=\"play/1.0\"";
    let ban = format!("ban 203.0.113.1 reason=scanner seconds=300 count=1 {seen}");
    assert_eq!(next(&server, known), ban);
    order(&["sec.whitelist_add", ATTACKER, "60"]);
    wait_until("two lines", || lines(&server).len() == *known + 2);
    let both = [
        "unban 203.0.113.1 reason=scanner by=operator",
        "whitelist 203.0.113.1 seconds=60 by=operator",
    ];
    assert_eq!(lines(&server)[*known..], both);
    *known += 2;

    order(&["sec.whitelist_remove", ATTACKER]);
    assert_eq!(next(&server, known), "unwhitelist 203.0.113.1 by=operator");
    let failed = from(Request::call("sec_auth_failed", &["7001"]), "7001");
    assert_eq!(Client::udp("203.0.113.3").burst(3, &failed), [1, 1, -2]);
    let auth =
        format!("ban 203.0.113.3 reason=auth seconds=300 count=1 {seen}").replace("anna", "7001");
    assert_eq!(next(&server, known), auth);

    order(&["sec.ban", "203.0.113.4", "60", "toll fraud"]);
    let ban = "ban 203.0.113.4 reason=\"toll fraud\" seconds=60 by=operator";
    assert_eq!(next(&server, known), ban);
    assert_eq!(script.call("sec_unban", &["203.0.113.4"]), 1);
    let unban = "unban 203.0.113.4 reason=\"toll fraud\" by=script";
    assert_eq!(next(&server, known), unban);
    assert_eq!(
        script.call("sec_unban", &["203.0.113.4"]),
        -1,
        "no change, no line"
    );

    assert_eq!(script.call("sec_whitelist_add", &["203.0.113.5", "60"]), 1);
    assert_eq!(
        next(&server, known),
        "whitelist 203.0.113.5 seconds=60 by=script"
    );
    let codes = Client::udp("203.0.113.5").burst(50, &from(check(), "eve"));
    assert_eq!(codes[4..7], [2, -2, -1]);
    let revoke = "revoke 203.0.113.5: it lost its whitelist entry and is banned \
                  reason=whitelist_rate seconds=300 count=1 by=rate user=\"eve\" agent=\"play/1.0\"";
    assert_eq!(next(&server, known), revoke);

    order(&["sec.mode", "shadow"]);
    assert_eq!(
        next(&server, known),
        "mode shadow by operator; nothing is denied"
    );
    order(&["sec.mode", "shadow"]);
    assert_eq!(
        Client::udp("203.0.113.6").burst(50, &from(check(), "eve")),
        [1; 50]
    );
    let shadow = "ban 203.0.113.6 reason=rate:burst seconds=300 count=1 by=rate mode=shadow user=\"eve\" \
                  agent=\"play/1.0\"";
    assert_eq!(next(&server, known), shadow);
    order(&["sec.mode", "enforce"]);
    let mode = "mode enforce by operator; shadow bans are dropped";
    assert_eq!(next(&server, known), mode);
}

#[test]
fn a_repeat_says_the_how_manieth_it_is() {
    let server = start(config().param("ban_time", 1));
    let known = &mut 0;
    let strike = from(Request::call("sec_strike", &["scanner", "3"]), "anna");
    let mut client = Client::tcp(ATTACKER);
    assert_eq!(client.burst(1, &strike), [-2]);
    assert!(next(&server, known).contains(" seconds=1 count=1 by=strike"));
    wait_until("its end", || client.burst(1, &check()) == [1]);
    assert_eq!(
        *known,
        lines(&server).len(),
        "a ban that ends by itself has no line"
    );
    assert_eq!(client.burst(1, &strike), [-2]);
    assert!(next(&server, known).contains(" seconds=2 count=2 by=strike"));
}

#[test]
fn what_a_stranger_makes_the_script_complain_of_displaces_no_change() {
    let server = start(config());
    let header = Request::call("sec_check", &["not an address"]);
    let mut stranger = Client::udp("203.0.113.7");
    let complaints = || server.log().matches("as an IP address").count();
    for _ in 0..30 {
        stranger.burst(100, &header);
    }
    assert_eq!(observer().call("sec_ban", &["203.0.113.2", "60"]), 1);
    wait_until("the ban's line", || {
        server.log().contains("ban 203.0.113.2 reason=manual")
    });
    assert!((1..=10).contains(&complaints()), "{}", server.log());
    assert_eq!(server.stat("errors"), 3000);
}
