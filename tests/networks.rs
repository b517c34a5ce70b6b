//! Whole networks, banned and whitelisted while the server runs, and lists that are read anew: in a
//! real Kamailio, by command and by script.
#![forbid(unsafe_code)]

mod host;

use std::fs;

use host::{Client, Config, Kamailio, Request, isolate, verdict, wait_for, wait_until};
use nix::sys::signal::Signal;

/// The limit of most tests: of a burst exactly thirty pass, whatever the machine does.
const THIRTY: &str = "name=burst;limit=30;window=1h";

fn start(config: Config) -> Kamailio {
    isolate();
    let server = Kamailio::start(config.param("rate", THIRTY));
    // Orders about networks are the agent's: without one they are refused.
    wait_until("the agent to be there", || {
        let status = server.kamcmd(&["sec.status"]);
        status.is_ok_and(|status| status.contains("agent: up"))
    });
    server
}

fn check() -> Request {
    Request::call("sec_check", &[])
}

/// A client whose address no test attacks from: it asks about others.
fn observer() -> Client {
    Client::udp("198.51.100.200")
}

fn is_banned(address: &str) -> bool {
    observer().call("sec_is_banned", &[address]) == 1
}

fn is_whitelisted(address: &str) -> bool {
    observer().call("is_whitelisted", &[address]) == 1
}

#[test]
fn a_banned_network_is_refused_shown_and_freed() {
    let server = start(Config::new());
    let reply = server
        .kamcmd(&["sec.ban", "10.1.2.3/16", "600", "toll fraud"])
        .unwrap();
    for part in ["ip: 10.1.0.0/16", "reason: toll fraud", "ttl: 600"] {
        assert!(reply.contains(part), "{reply}");
    }
    wait_until("the ban to hold", || is_banned("10.1.255.255"));
    let answer = Client::udp("10.1.2.3").ask(&check());
    assert_eq!(answer.rc(), -1);
    assert_eq!(answer.variable("reason"), "toll fraud");
    let ttl: i64 = answer.variable("ban_ttl").parse().unwrap();
    assert!((500..=600).contains(&ttl), "{ttl}");
    assert_eq!(verdict("10.2.0.1"), 1);

    let bans = server.kamcmd(&["sec.bans"]).unwrap();
    assert!(bans.contains("10.1.0.0/16") && bans.contains("operator"));
    assert_eq!((server.stat("bans"), server.stat("active_bans")), (1, 1));
    let known = server.kamcmd(&["sec.explain", "10.1.2.3"]).unwrap();
    assert!(known.contains("network: 10.1.0.0/16"), "{known}");
    assert!(known.contains("sec.unban 10.1.0.0/16, or"), "{known}");

    let refused = server.kamcmd(&["sec.unban", "10.1.2.3"]).unwrap_err();
    assert_eq!(refused.code, 404);
    let sentence = "10.1.2.3 is banned with 10.1.0.0/16: unban that";
    assert_eq!(refused.message, sentence);
    server
        .kamcmd(&["sec.whitelist_add", "10.1.2.3", "600"])
        .unwrap();
    assert_eq!((verdict("10.1.2.3"), verdict("10.1.2.4")), (2, -1));

    let reply = server.kamcmd(&["sec.unban", "10.1.0.0/16"]).unwrap();
    assert!(reply.contains("unbanned"), "{reply}");
    wait_until("the unban to hold", || !is_banned("10.1.2.4"));
    assert_eq!(verdict("10.1.2.4"), 1);
    let refused = wait_for("nothing to be left", || {
        server.kamcmd(&["sec.unban", "10.1.0.0/16"]).err()
    });
    assert_eq!(
        (refused.code, &*refused.message),
        (404, "10.1.0.0/16 is not banned")
    );
    let log = server.stop();
    for line in [
        "ban 10.1.0.0/16 reason=\"toll fraud\" seconds=600 by=operator",
        "unban 10.1.0.0/16 reason=\"toll fraud\" by=operator",
    ] {
        assert!(log.contains(line), "{log}");
    }
}

#[test]
fn a_script_bans_and_frees_networks() {
    let server = start(Config::new());
    let mut script = observer();
    assert_eq!(script.call("sec_ban", &["10.3.0.0/24", "600", "scan"]), 1);
    wait_until("the ban to hold", || is_banned("10.3.0.9"));
    let add = ["10.3.0.0/25", "600"];
    assert_eq!(script.call("sec_whitelist_add", &add), 1);
    wait_until("the entry to hold", || is_whitelisted("10.3.0.9"));
    assert_eq!((verdict("10.3.0.9"), verdict("10.3.0.200")), (2, -1));
    assert_eq!(script.call("sec_whitelist_remove", &["10.3.0.0/25"]), 1);
    wait_until("the ban to show again", || is_banned("10.3.0.9"));
    assert_eq!(script.call("sec_unban", &["10.3.0.0/24"]), 1);
    wait_until("the unban to hold", || !is_banned("10.3.0.9"));
    wait_until("nothing to be left", || {
        script.call("sec_unban", &["10.3.0.0/24"]) == -1
            && script.call("sec_whitelist_remove", &["10.3.0.0/25"]) == -1
    });
    // A network cannot be asked about: that falls back to the source, as any such text does.
    assert_eq!(script.call("sec_check", &["10.3.0.0/24"]), 1);
    wait_until("that to be logged", || {
        server.log().contains("the script gave \"10.3.0.0/24\"")
    });
}

/// Commands that are refused, with code and sentence.
const REFUSED: &[(&[&str], i64, &str)] = &[
    (
        &["sec.ban", "198.0.0.0/15"],
        400,
        "198.0.0.0/15 is shorter than ban_min_prefix 16/32 allows",
    ),
    (
        &["sec.ban", "2001::/31"],
        400,
        "2001::/31 is shorter than ban_min_prefix 16/32 allows",
    ),
    (
        &["sec.whitelist_add", "8.0.0.0/7"],
        400,
        "8.0.0.0/7 is shorter than whitelist_min_prefix 8/19 allows",
    ),
    (
        &["sec.ban", "10.5.0.0/16"],
        400,
        "10.5.0.0/16 is in whitelist or whitelist_file, always allowed",
    ),
    (
        &["sec.ban", "192.168.5.0/24"],
        400,
        "192.168.5.0/24 is whitelisted, and the whitelist wins; remove that entry first",
    ),
    (
        &["sec.ban", "198.51.0.0/16", "-5"],
        400,
        "seconds: -5 is not a time; allowed are 1 to 31536000 seconds, 0 for the default",
    ),
    (
        &["sec.ban", "198.51.0.0/33"],
        400,
        "\"198.51.0.0/33\" has a bad prefix length (IPv4: 0 to 32, IPv6: 0 to 128, without \
         leading zeros)",
    ),
    (
        &["sec.whitelist_remove", "10.5.0.0/16"],
        400,
        "10.5.0.0/16 is in whitelist or whitelist_file, always allowed",
    ),
    (
        &["sec.whitelist_remove", "192.168.1.1"],
        404,
        "192.168.1.1 is whitelisted with 192.168.0.0/16: remove that",
    ),
    (
        &["sec.explain", "10.0.0.0/8"],
        400,
        "\"10.0.0.0/8\" is not an IP address",
    ),
    (
        &["sec.reload"],
        400,
        "sec.reload: there is no list to reload; none is configured",
    ),
    (
        &["sec.reload", "nonsense"],
        400,
        "sec.reload: \"nonsense\" is not a list to reload; none is configured",
    ),
];

#[test]
fn orders_that_make_no_sense_are_refused_with_a_sentence() {
    let server = start(Config::new().param("whitelist", "10.0.0.0/9, 10.128.0.0/9"));
    server
        .kamcmd(&["sec.whitelist_add", "192.168.0.0/16"])
        .unwrap();
    wait_until("the entry to hold", || is_whitelisted("192.168.1.1"));
    for (words, code, sentence) in REFUSED {
        let refused = server.kamcmd(words).unwrap_err();
        assert_eq!(
            (refused.code, &*refused.message),
            (*code, *sentence),
            "{words:?}"
        );
    }
    let mut script = observer();
    assert_eq!(script.call("sec_ban", &["198.0.0.0/15", "60", "x"]), -1);
    assert_eq!(script.call("sec_whitelist_add", &["8.0.0.0/7", "60"]), -1);
    wait_until("the refusal to be logged", || {
        let log = server.log();
        log.contains("sec_ban: 198.0.0.0/15 is shorter than ban_min_prefix 16/32 allows")
    });
}

#[test]
fn a_source_over_the_ceiling_loses_the_networks_entry_for_itself_only() {
    let config = Config::new().param("whitelist_rate", "limit=50;window=1h");
    let server = start(config.workers(4));
    server
        .kamcmd(&["sec.whitelist_add", "10.4.0.0/16", "3600"])
        .unwrap();
    wait_until("the entry to hold", || is_whitelisted("10.4.0.1"));
    assert_eq!(server.stat("active_whitelist"), 1);
    let mut greedy = Client::tcp("10.4.0.1");
    let verdicts = greedy.burst(52, &check());
    assert_eq!(verdicts[..50], [2; 50]);
    assert_eq!(verdicts[50..], [-2, -1]);
    assert!(is_banned("10.4.0.1") && !is_whitelisted("10.4.0.1"));
    assert_eq!(Client::tcp("10.4.0.2").burst(50, &check()), [2; 50]);
    assert_eq!((server.stat("revocations"), server.stat("bans")), (1, 1));

    let listed = server.kamcmd(&["sec.whitelist"]).unwrap();
    assert!(listed.contains("10.4.0.0/16"), "{listed}");
    // Freed from its ban it is an ordinary source, until the cool-down is over.
    server.kamcmd(&["sec.unban", "10.4.0.1"]).unwrap();
    assert_eq!(greedy.call("sec_check", &[]), 1);
    let refused = server.kamcmd(&["sec.whitelist_add", "10.4.0.1"]);
    assert!(refused.unwrap_err().message.contains("lost that entry"));
    let known = server.kamcmd(&["sec.explain", "10.4.0.1"]).unwrap();
    assert!(
        known.contains("whitelisted_network: 10.4.0.0/16"),
        "{known}"
    );
    assert!(!known.contains("cooldown: 0"), "{known}");
}

#[test]
fn whitelisting_a_network_cancels_the_bans_in_it() {
    let server = start(Config::new());
    assert_eq!(Client::udp("10.6.1.1").burst(31, &check())[30], -2);
    server.kamcmd(&["sec.ban", "10.6.2.0/24", "600"]).unwrap();
    server.kamcmd(&["sec.ban", "10.7.0.1", "600"]).unwrap();
    wait_until("the ban to hold", || is_banned("10.6.2.1"));
    server
        .kamcmd(&["sec.whitelist_add", "10.6.0.0/16", "600"])
        .unwrap();
    wait_until("the entry to hold", || is_whitelisted("10.6.1.1"));
    wait_until("only the other ban to be left", || {
        let bans = server.kamcmd(&["sec.bans"]).unwrap();
        bans.contains("10.7.0.1") && !bans.contains("10.6.")
    });
    assert_eq!((verdict("10.6.1.1"), verdict("10.6.2.1")), (2, 2));
    assert_eq!(server.stat("unbans"), 2);
}

#[test]
fn the_longest_ban_speaks_and_ends_on_time_without_the_agent() {
    let server = start(Config::new());
    server
        .kamcmd(&["sec.ban", "10.8.0.0/16", "600", "wide"])
        .unwrap();
    server
        .kamcmd(&["sec.ban", "10.8.1.0/24", "2", "narrow"])
        .unwrap();
    server
        .kamcmd(&["sec.ban", "10.9.0.0/16", "2", "short"])
        .unwrap();
    wait_until("the bans to hold", || {
        is_banned("10.8.1.1") && is_banned("10.9.0.1")
    });
    server.signal(server.agent(), Signal::SIGSTOP);
    let reason = |source| {
        let answer = Client::udp(source).ask(&check());
        (answer.rc(), answer.variable("reason").to_owned())
    };
    assert_eq!(reason("10.8.1.1"), (-1, "narrow".into()));
    assert_eq!(reason("10.8.2.1"), (-1, "wide".into()));
    wait_until("the short ban to end", || verdict("10.9.0.1") == 1);
    wait_until("the narrow ban to end", || {
        reason("10.8.1.1") == (-1, "wide".into())
    });
    server.signal(server.agent(), Signal::SIGCONT);
    wait_until("the agent to take them out", || {
        server.stat("active_bans") == 1
    });
}

#[test]
fn networks_survive_the_agent_and_need_a_living_one() {
    let server = start(Config::new());
    server.kamcmd(&["sec.ban", "10.10.0.0/16", "600"]).unwrap();
    server
        .kamcmd(&["sec.whitelist_add", "10.11.0.0/16", "600"])
        .unwrap();
    wait_until("both to hold", || {
        is_banned("10.10.0.1") && is_whitelisted("10.11.0.1")
    });
    let killed = server.agent();
    server.signal(killed, Signal::SIGKILL);
    wait_until("the agent to be missed", || {
        server.status("agent") == "down"
    });
    let refused = server.kamcmd(&["sec.ban", "10.12.0.0/16"]).unwrap_err();
    assert_eq!(refused.code, 503);
    let sentence = "10.12.0.0/16 needs the agent, which is down; it comes back by itself";
    assert_eq!(refused.message, sentence);
    assert_eq!(
        observer().call("sec_whitelist_add", &["10.12.0.0/16", "60"]),
        -1
    );
    assert_eq!((verdict("10.10.0.1"), verdict("10.11.0.1")), (-1, 2));
    wait_until("the next agent", || server.status("agent") == "up");
    assert_ne!(server.agent(), killed);
    server.kamcmd(&["sec.ban", "10.12.0.0/16", "600"]).unwrap();
    wait_until("the new ban to hold", || is_banned("10.12.0.1"));
    assert_eq!((verdict("10.10.0.1"), verdict("10.11.0.1")), (-1, 2));
    server.kamcmd(&["sec.unban", "10.10.0.0/16"]).unwrap();
    wait_until("the old ban to be lifted", || !is_banned("10.10.0.1"));
}

#[test]
fn ipv6_networks_hold_and_sources_stay_sources() {
    let server = start(Config::new().listen("udp:[2001:db8::10]:5060"));
    server
        .kamcmd(&["sec.ban", "2001:db8:5::/48", "600"])
        .unwrap();
    server
        .kamcmd(&["sec.ban", "2001:db8:6::/126", "600"])
        .unwrap();
    server
        .kamcmd(&["sec.ban", "2001:db8:7::9/64", "600"])
        .unwrap();
    wait_until("the bans to hold", || {
        is_banned("2001:db8:5:9::1") && is_banned("2001:db8:6::1")
    });
    assert!(!is_banned("2001:db8:6::4"), "it lies outside the /126");
    assert!(is_banned("2001:db8:7::1") && !is_banned("2001:db8:7:1::1"));
    assert_eq!(verdict("2001:db8:5:9::1"), -1);
    let bans = server.kamcmd(&["sec.bans"]).unwrap();
    for ip in ["2001:db8:5::/48", "2001:db8:6::/126", "2001:db8:7::/64"] {
        assert!(bans.contains(ip), "{bans}");
    }
}

#[test]
fn a_shadow_ban_of_a_network_denies_nothing_and_goes_with_the_mode() {
    let server = start(Config::new().param("mode", "shadow"));
    server.kamcmd(&["sec.ban", "10.13.0.0/16", "600"]).unwrap();
    wait_until("the ban to be shown", || server.stat("active_bans") == 1);
    let answer = Client::udp("10.13.0.1").ask(&check());
    assert_eq!((answer.rc(), answer.variable("verdict")), (1, "-1"));
    server.kamcmd(&["sec.mode", "enforce"]).unwrap();
    assert_eq!(verdict("10.13.0.1"), 1);
    wait_until("the ban to be dropped", || server.stat("active_bans") == 0);
}

#[test]
fn a_list_file_is_read_anew_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trunks");
    fs::write(&file, "198.51.100.20\n").unwrap();
    let config = Config::new()
        .param("whitelist", "198.51.100.1")
        .param("whitelist_file", &*file);
    let server = start(config);
    assert_eq!(server.status("whitelist_file"), "as at the start");
    assert!(is_whitelisted("198.51.100.20") && is_whitelisted("198.51.100.1"));

    fs::write(&file, "198.51.100.21\n10.14.0.0/16\n").unwrap();
    let reply = server.kamcmd(&["sec.reload"]).unwrap();
    assert!(reply.contains("reloading: whitelist_file"), "{reply}");
    wait_until("the new file to count", || is_whitelisted("10.14.3.3"));
    assert!(is_whitelisted("198.51.100.1"), "the lines stay");
    assert!(!is_whitelisted("198.51.100.20"), "the old file does not");
    assert_eq!(server.status("whitelist_file"), "2 entries read anew");

    fs::write(&file, "198.51.100.22\nnonsense\n").unwrap();
    server.kamcmd(&["sec.reload", "whitelist_file"]).unwrap();
    wait_until("the bad line to be named", || {
        server
            .status("whitelist_file")
            .contains("line 2: \"nonsense\" is not an address")
    });
    assert!(is_whitelisted("10.14.3.3") && !is_whitelisted("198.51.100.22"));
    fs::remove_file(&file).unwrap();
    server.kamcmd(&["sec.reload", "whitelist_file"]).unwrap();
    wait_until("the missing file to be named", || {
        server.status("whitelist_file").contains("cannot be read")
    });
    assert!(is_whitelisted("198.51.100.21"));
    let refused = server.kamcmd(&["sec.reload", "feeds"]).unwrap_err();
    let sentence = "sec.reload: \"feeds\" is not a list to reload; allowed: whitelist_file";
    assert_eq!((refused.code, &*refused.message), (400, sentence));

    // What was read anew outlives the agent, and an empty file is a list, too.
    server.signal(server.agent(), Signal::SIGKILL);
    wait_until("the agent to be missed", || {
        server.status("agent") == "down"
    });
    assert!(is_whitelisted("198.51.100.21"));
    wait_until("the next agent", || server.status("agent") == "up");
    assert!(is_whitelisted("198.51.100.21"));
    fs::write(&file, "# nobody\n").unwrap();
    server.kamcmd(&["sec.reload"]).unwrap();
    wait_until("the empty file to count", || {
        !is_whitelisted("198.51.100.21")
    });
    assert!(is_whitelisted("198.51.100.1"));
}

#[test]
fn what_does_not_fit_is_refused_and_the_rest_stays() {
    let server = start(Config::new().param("snapshot_size", 1));
    let mut script = observer();
    let ban = |script: &mut Client, number: u32| {
        let network = format!(
            "100.{}.{}.{}/26",
            number >> 10,
            number >> 2 & 255,
            (number & 3) << 6
        );
        // An agent that is behind takes no more orders for a moment.
        wait_until("the order to be taken", || {
            script.call("sec_ban", &[&network, "600", "x"]) == 1
        });
    };
    (0..9000).for_each(|number| ban(&mut script, number * 2));
    wait_until("the agent to run out of room", || {
        server.log().contains("snapshot_size is too small")
    });
    let held = server.stat("active_bans");
    assert!((5000..9000).contains(&held), "{held}");
    assert!(is_banned("100.0.0.1") && !is_banned("100.0.0.65"));
    server.kamcmd(&["sec.unban", "100.0.0.0/26"]).unwrap();
    wait_until("room to be made", || !is_banned("100.0.0.1"));
}

#[test]
fn pages_go_on_from_networks_to_sources() {
    let server = start(Config::new());
    for network in ["10.20.0.0/16", "10.21.0.0/16", "10.22.0.0/16"] {
        server.kamcmd(&["sec.ban", network, "600"]).unwrap();
    }
    server.kamcmd(&["sec.ban", "10.30.0.1", "600"]).unwrap();
    wait_until("all to hold", || is_banned("10.22.0.1"));
    let page = |offset: &str, count: &str| {
        let reply = server.kamcmd(&["sec.bans", offset, count]).unwrap();
        let ips = reply
            .lines()
            .filter_map(|line| line.trim().strip_prefix("ip: "));
        ips.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(page("0", "2"), ["10.20.0.0/16", "10.21.0.0/16"]);
    assert_eq!(page("2", "2"), ["10.22.0.0/16", "10.30.0.1"]);
    assert_eq!(page("3", "5"), ["10.30.0.1"]);
    assert!(page("4", "5").is_empty());
}
