//! Bans handed on: the list file, and sets of a real nftables whose rules drop real packets.
#![forbid(unsafe_code)]

mod host;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use host::{
    Client, Config, Kamailio, Launch, Request, SERVER, SERVER6, isolate, verdict, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::Value;

const OFFENDER: &str = "198.51.100.7";
const CUSTOMER: &str = "198.51.100.8";
const OTHER_NODE: &str = "192.0.2.11";
const OFFENDER6: &str = "2001:db8:9::1";
/// What an operator writes: a table, two sets, and a rule of his own for each.
const RULES: &str = "table inet filter {
    set sec_v4 { type ipv4_addr; flags timeout, interval; }
    set sec_v6 { type ipv6_addr; flags timeout, interval; }
    counter refused { }
    chain input {
        type filter hook input priority filter; policy accept;
        ip saddr @sec_v4 counter name refused drop
        ip6 saddr @sec_v6 counter name refused drop
    }
}
";
const SETS: &str = "table=inet filter;v4=sec_v4;v6=sec_v6";

/// Loads rules as an operator does.
fn nft(rules: &str) {
    let child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn();
    let mut child = child.expect("`nft` of the package nftables can be run");
    let mut stdin = child.stdin.take().expect("it has an input");
    stdin.write_all(rules.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "{rules}");
}

fn listed(kind: &str, name: &str) -> Value {
    let done = Command::new("nft")
        .args(["-j", "list", kind, "inet", "filter", name])
        .output()
        .expect("nft can be run");
    let said: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    said["nftables"][1][kind].clone()
}

/// What a set holds: prefixes, and the seconds that they were put in for (0: for ever).
fn elements(set: &str) -> BTreeMap<String, u64> {
    let set = listed("set", set);
    let elements = set["elem"].as_array().cloned().unwrap_or_default();
    let read = |element: Value| {
        let (value, timeout) = match element.get("elem") {
            Some(inner) => (inner["val"].clone(), inner["timeout"].as_u64()),
            None => (element, None),
        };
        let prefix = match value.get("prefix") {
            Some(prefix) => {
                let address = prefix["addr"].as_str().expect("an address");
                format!("{address}/{}", prefix["len"])
            }
            None => value.as_str().expect("an address").to_owned(),
        };
        (prefix, timeout.unwrap_or_default())
    };
    elements.into_iter().map(read).collect()
}

fn holds(set: &str, prefixes: &[&str]) -> bool {
    let elements = elements(set);
    elements.keys().eq(prefixes)
}

fn refused() -> u64 {
    listed("counter", "refused")["packets"]
        .as_u64()
        .expect("a count")
}

fn start(config: Config) -> Kamailio {
    let server = Kamailio::start(config.listen(&format!("udp:[{SERVER6}]:5060")));
    wait_until("the agent", || server.status("agent") == "up");
    server
}

fn with_sets() -> Kamailio {
    isolate();
    nft(RULES);
    start(Config::new().param("nft_set", SETS))
}

fn command(server: &Kamailio, words: &[&str]) {
    server
        .kamcmd(words)
        .unwrap_or_else(|fault| panic!("{words:?}: {fault:?}"));
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_file_lists_what_is_denied_and_nothing_else() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bans.list");
    let config = Config::new()
        .param("feed_export", &*file)
        .param("whitelist", "10.1.0.0/17, 2001:db8:7::5")
        .param("ban_scope", "user");
    let server = start(config);
    wait_until("an empty list", || file.exists());
    assert!(lines(&file).is_empty());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    command(&server, &["sec.ban", OFFENDER, "600"]);
    command(&server, &["sec.ban", "10.1.0.0/16", "600"]);
    command(&server, &["sec.ban", "10.1.200.1", "900"]);
    command(&server, &["sec.ban", OFFENDER6, "600"]);
    command(&server, &["sec.whitelist_add", "10.1.255.254", "600"]);
    command(&server, &["sec.ban", CUSTOMER, "600"]);
    command(&server, &["sec.whitelist_add", CUSTOMER, "600"]);
    // A user is muted there, not the address.
    let mut office = Client::udp("198.51.100.9");
    let fail = Request::call("sec_auth_failed", &["anna"]);
    assert_eq!(office.burst(10, &fail)[9], -2);
    let halves = [
        "2001:db8:9::/64",
        "10.1.128.0/18",
        "10.1.192.0/19",
        "10.1.224.0/20",
        "10.1.240.0/21",
        "10.1.248.0/22",
        "10.1.252.0/23",
        "10.1.254.0/24",
        "10.1.255.0/25",
        "10.1.255.128/26",
        "10.1.255.192/27",
        "10.1.255.224/28",
        "10.1.255.240/29",
        "10.1.255.248/30",
        "10.1.255.252/31",
        "10.1.255.255",
        OFFENDER,
    ];
    wait_until("all bans", || lines(&file) == halves);
    let denied = ["10.1.200.1", "10.1.255.253", "10.1.255.255", OFFENDER];
    assert_eq!(denied.map(verdict), [-1; 4]);
    assert_eq!(["10.1.127.9", CUSTOMER].map(verdict), [2; 2]);

    command(&server, &["sec.unban", "10.1.0.0/16"]);
    command(&server, &["sec.unban", OFFENDER]);
    let left = ["2001:db8:9::/64", "10.1.200.1"];
    wait_until("two to be left", || lines(&file) == left);
    // In shadow mode nobody is denied, so nobody is to be refused elsewhere.
    command(&server, &["sec.mode", "shadow"]);
    wait_until("an empty list", || lines(&file).is_empty());
    command(&server, &["sec.mode", "enforce"]);
    wait_until("the bans again", || lines(&file) == left);
    assert_eq!(server.status("feed_export_problem"), "");
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_tried_again() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("later").join("bans.list");
    let server = start(Config::new().param("feed_export", &*file));
    wait_until("the complaint", || {
        server
            .status("feed_export_problem")
            .contains("No such file")
    });
    command(&server, &["sec.ban", OFFENDER, "600"]);
    assert_eq!(verdict(OFFENDER), -1);
    fs::create_dir(directory.path().join("later")).unwrap();
    wait_until("the file", || lines(&file) == [OFFENDER]);
    wait_until("no problem", || {
        server.status("feed_export_problem").is_empty()
    });
    let log = server.stop();
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
    assert_eq!(log.matches("is written again").count(), 1, "{log}");
}

#[test]
fn another_node_reads_the_file_as_a_feed() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bans.list");
    let server = start(Config::new().param("feed_export", &*file));
    command(&server, &["sec.ban", OFFENDER, "600"]);
    command(&server, &["sec.ban", "198.51.200.0/24", "600"]);
    wait_until("the file", || lines(&file).len() == 2);
    let feed = format!(
        "name=first;url=file://{};refresh=1;max_shrink=100",
        file.display()
    );
    let second = Kamailio::start(Config::new().at(OTHER_NODE).param("feed", &*feed));
    let verdict = |source: &str| {
        let check = Request::call("sec_check", &[]);
        Client::udp_to(source, OTHER_NODE).ask(&check).rc()
    };
    wait_until("the other node to deny", || verdict(OFFENDER) == -5);
    assert_eq!([verdict("198.51.200.9"), verdict(CUSTOMER)], [-5, 1]);
    // Not even the last ban to end is kept there.
    command(&server, &["sec.unban", OFFENDER]);
    command(&server, &["sec.unban", "198.51.200.0/24"]);
    wait_until("the other node to allow", || verdict(OFFENDER) == 1);
    assert_eq!(verdict("198.51.200.9"), 1);
    second.stop();
}

#[test]
fn a_banned_source_reaches_the_server_no_more_until_it_is_unbanned() {
    let server = with_sets();
    let check = Request::call("sec_check", &[]);
    for source in [OFFENDER, OFFENDER6, CUSTOMER] {
        assert_eq!(verdict(source), 1);
        if source != CUSTOMER {
            command(&server, &["sec.ban", source, "600"]);
        }
    }
    wait_until("the sets to hold them", || {
        holds("sec_v4", &[OFFENDER]) && holds("sec_v6", &["2001:db8:9::/64"])
    });
    for timeout in [
        elements("sec_v4")[OFFENDER],
        elements("sec_v6")["2001:db8:9::/64"],
    ] {
        assert!((500..=600).contains(&timeout), "{timeout}");
    }
    let (checks, before) = (server.stat("checks"), refused());
    // The neighbour in the /64 is the same source.
    for source in [OFFENDER, OFFENDER6, "2001:db8:9::2"] {
        Client::udp(source).send(&check);
    }
    wait_until("the rule to drop three packets", || refused() == before + 3);
    assert_eq!(verdict(CUSTOMER), 1);
    assert_eq!(server.stat("checks"), checks + 1);

    command(&server, &["sec.unban", OFFENDER]);
    command(&server, &["sec.unban", OFFENDER6]);
    wait_until("the sets to be empty", || {
        holds("sec_v4", &[]) && holds("sec_v6", &[])
    });
    assert_eq!([OFFENDER, OFFENDER6].map(verdict), [1, 1]);
    assert_eq!(refused(), before + 3);
    let log = server.stop();
    assert!(!log.contains("nft_set"), "{log}");
}

#[test]
fn a_whitelisted_address_is_in_no_set() {
    let server = with_sets();
    command(&server, &["sec.whitelist_add", CUSTOMER, "600"]);
    command(&server, &["sec.ban", "198.51.100.8/31", "0"]);
    command(&server, &["sec.ban", "198.51.0.0/16", "600"]);
    wait_until("the network", || elements("sec_v4").len() == 16);
    assert!(!elements("sec_v4").contains_key(CUSTOMER));
    assert_eq!(verdict(CUSTOMER), 2);
    // The server's own address lies in a banned network, too.
    command(&server, &["sec.ban", "192.0.0.0/16", "600"]);
    wait_until("the other network", || elements("sec_v4").len() == 32);
    assert!(!elements("sec_v4").contains_key(SERVER));
    command(&server, &["sec.ban", OFFENDER6, "600"]);
    wait_until("the offender", || holds("sec_v6", &["2001:db8:9::/64"]));
    command(&server, &["sec.whitelist_add", OFFENDER6, "600"]);
    wait_until("nobody", || holds("sec_v6", &[]));
    assert_eq!(verdict(OFFENDER6), 2);
}

#[test]
fn the_sets_become_right_after_a_restart_and_after_a_reload_of_the_firewall() {
    let server = with_sets();
    command(&server, &["sec.ban", OFFENDER, "600"]);
    wait_until("the ban", || holds("sec_v4", &[OFFENDER]));
    nft(&format!("flush ruleset\n{RULES}"));
    assert!(holds("sec_v4", &[]));
    wait_until("the ban in the new set", || holds("sec_v4", &[OFFENDER]));
    // Somebody else's element, and an agent that is new.
    nft("add element inet filter sec_v4 { 203.0.113.0/24, 203.0.114.1 timeout 1h }\n");
    server.signal(server.agent(), Signal::SIGKILL);
    wait_until("the new agent's work", || holds("sec_v4", &[OFFENDER]));
    server.stop();
    // What has an end leaves by itself; a server that remembers nothing lifts it at once.
    assert!(holds("sec_v4", &[OFFENDER]));
    let server = start(Config::new().param("nft_set", SETS));
    wait_until("an empty set", || holds("sec_v4", &[]));
    assert_eq!(verdict(OFFENDER), 1);
    server.stop();
}

#[test]
fn a_ban_ends_in_the_set_without_the_server() {
    let server = with_sets();
    command(&server, &["sec.ban", OFFENDER, "2"]);
    wait_until("the ban", || holds("sec_v4", &[OFFENDER]));
    // Nobody is left who could take it out.
    server.stop();
    wait_until("its end", || holds("sec_v4", &[]));
}

#[test]
fn thousands_of_bans_at_once_are_all_there() {
    let server = with_sets();
    let mut script = Client::udp(CUSTOMER);
    let address = |number: usize| format!("10.9.{}.{}", number / 250, number % 250);
    for number in 0..3000 {
        let banned = script.call("sec_ban", &[&address(number), "3600", "flood"]);
        assert_eq!(banned, 1);
    }
    wait_until("all of them", || elements("sec_v4").len() == 3000);
    let held = elements("sec_v4");
    assert!((0..3000).all(|number| held.contains_key(&address(number))));
    assert_eq!(server.status("nft_set_problem"), "");
}

/// A node whose sets are not as they have to be: it says so, and denies and allows as ever.
fn with_bad_sets(sets: &str, problem: &str) -> Kamailio {
    let table = match sets {
        "" => String::new(),
        sets => format!("table inet filter {{\n{sets}\n}}\n"),
    };
    nft(&format!("flush ruleset\n{table}"));
    let server = start(Config::new().param("nft_set", SETS));
    command(&server, &["sec.ban", OFFENDER, "600"]);
    command(&server, &["sec.ban", "198.51.100.9", "600"]);
    assert_eq!((verdict(OFFENDER), verdict(CUSTOMER)), (-1, 1));
    wait_until(problem, || {
        server.status("nft_set_problem").contains(problem)
    });
    server
}

#[test]
fn sets_that_cannot_be_filled_are_named_and_change_nothing_else() {
    isolate();
    let v6 = "set sec_v6 { type ipv6_addr; flags timeout, interval; }";
    let full = "set sec_v4 { type ipv4_addr; flags timeout, interval; size 1; }";
    for (sets, problem) in [
        (v6, "there is no set inet filter sec_v4"),
        (
            "set sec_v4 { type ipv4_addr . inet_service; flags timeout; }",
            "the set inet filter sec_v4 is not of the type ipv4_addr",
        ),
        (
            "set sec_v4 { type ipv4_addr; flags interval; }",
            "the set inet filter sec_v4 lacks the flag timeout",
        ),
        (
            "set sec_v4 { type ipv4_addr; flags timeout; }",
            "the set inet filter sec_v4 lacks the flag interval",
        ),
        (&format!("{v6}\n{full}"), "nft refuses: "),
    ] {
        with_bad_sets(sets, problem).stop();
    }
}

#[test]
fn a_set_that_comes_later_is_filled_and_nothing_is_said_twice() {
    isolate();
    let server = with_bad_sets("", "there is no set inet filter sec_v4");
    nft(RULES);
    wait_until("the bans", || elements("sec_v4").len() == 2);
    wait_until("no problem", || server.status("nft_set_problem").is_empty());
    let log = server.stop();
    assert_eq!(log.matches("gets no bans").count(), 1, "{log}");
    assert_eq!(log.matches("takes bans again").count(), 1, "{log}");
}

#[test]
fn without_the_right_it_says_so_and_the_server_works() {
    isolate();
    nft(RULES);
    let launch = Launch::Daemon { user: "nobody" };
    let server = start(Config::new().param("nft_set", SETS).launch(launch));
    wait_until("the problem", || {
        server
            .status("nft_set_problem")
            .contains("lacks CAP_NET_ADMIN")
    });
    command(&server, &["sec.ban", OFFENDER, "600"]);
    assert_eq!((verdict(OFFENDER), verdict(CUSTOMER)), (-1, 1));
    assert!(holds("sec_v4", &[]));
    server.stop();
}
