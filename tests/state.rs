//! A node without Redis remembers over a restart, in a file.
#![forbid(unsafe_code)]

mod host;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use host::{Client, Config, Kamailio, Launch, Request, isolate, user_of, verdict, wait_until};
use nix::sys::signal::Signal;

const OFFENDER: &str = "198.51.100.7";

fn config(file: &Path) -> Config {
    Config::new().param("state_file", file.display().to_string().as_str())
}

fn wait_until_remembered(node: &Kamailio) {
    wait_until("the state file to be read", || {
        node.log().contains("remembered")
    });
}

#[test]
fn bans_entries_and_offenders_survive_a_restart() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    let node = Kamailio::start(config(&file));
    let codes = Client::tcp(OFFENDER).burst(40, &Request::call("sec_check", &[]));
    assert_eq!(codes[30], -2);
    node.kamcmd(&["sec.ban", "2001:db8:9::1", "600", "by hand"])
        .unwrap();
    node.kamcmd(&["sec.whitelist_add", "198.51.100.8", "600"])
        .unwrap();
    assert_eq!(
        Client::udp("198.51.100.9").call("sec_auth_ok", &["anna"]),
        1
    );
    node.stop();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let node = Kamailio::start(config(&file));
    wait_until_remembered(&node);
    assert_eq!((verdict(OFFENDER), verdict("198.51.100.8")), (-1, 2));
    let listed = node.kamcmd(&["sec.bans"]).unwrap();
    assert!(
        listed.contains("by hand") && listed.contains("rate:burst"),
        "{listed}"
    );
    let known = node.kamcmd(&["sec.explain", OFFENDER]).unwrap();
    assert!(known.contains("repeats: 1"), "{known}");
    let known = node.kamcmd(&["sec.explain", "198.51.100.9"]).unwrap();
    assert!(!known.contains("trusted: 0"), "{known}");
}

#[test]
fn networks_survive_a_restart_unless_they_have_become_too_large() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    let node = Kamailio::start(config(&file));
    wait_until_remembered(&node);
    for network in ["10.1.0.0/16", "10.2.0.0/24", "2001:db8:9::/48"] {
        node.kamcmd(&["sec.ban", network, "600", "toll fraud"])
            .unwrap();
    }
    node.kamcmd(&["sec.whitelist_add", "10.3.0.0/16", "600"])
        .unwrap();
    wait_until("all to hold", || {
        node.stat("active_bans") == 3 && verdict("10.3.0.1") == 2
    });
    node.kamcmd(&["sec.unban", "10.2.0.0/24"]).unwrap();
    wait_until("one to be lifted", || verdict("10.2.0.1") == 1);
    node.stop();

    let node = Kamailio::start(config(&file));
    wait_until("all to hold again", || {
        node.stat("active_bans") == 2 && verdict("10.3.0.1") == 2
    });
    assert_eq!((verdict("10.1.0.1"), verdict("10.2.0.1")), (-1, 1));
    let listed = node.kamcmd(&["sec.bans"]).unwrap();
    for part in [
        "10.1.0.0/16",
        "2001:db8:9::/48",
        "toll fraud",
        "origin: operator",
    ] {
        assert!(listed.contains(part), "{listed}");
    }
    node.stop();

    let narrow = config(&file).param("ban_min_prefix", "24/48");
    let node = Kamailio::start(narrow);
    wait_until("the rest to hold", || verdict("10.3.0.1") == 2);
    assert_eq!((verdict("10.1.0.1"), node.stat("active_bans")), (1, 1));
}

#[test]
fn a_file_of_an_earlier_version_is_read() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    let content = "sec-state 1\nban 198.51.100.7 0 never operator true old\nend 1\n";
    fs::write(&file, content).unwrap();
    let node = Kamailio::start(config(&file));
    wait_until_remembered(&node);
    assert_eq!(verdict(OFFENDER), -1);
    node.stop();
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("sec-state 2\n") && text.contains(OFFENDER),
        "{text}"
    );
}

#[test]
fn what_was_lifted_stays_lifted_when_the_agent_is_replaced() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    let node = Kamailio::start(config(&file));
    node.kamcmd(&["sec.ban", OFFENDER, "600"]).unwrap();
    wait_until("the file", || {
        fs::read_to_string(&file).is_ok_and(|text| text.contains(OFFENDER))
    });
    node.kamcmd(&["sec.unban", OFFENDER]).unwrap();
    node.signal(node.agent(), Signal::SIGKILL);
    wait_until("a new agent", || {
        node.kamcmd(&["sec.status"])
            .unwrap()
            .contains("agent_restarts: 1")
    });
    assert_eq!(verdict(OFFENDER), 1);
}

#[test]
fn a_power_cut_loses_nothing_but_what_came_after_the_last_save() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    let node = Kamailio::start(config(&file));
    node.kamcmd(&["sec.ban", OFFENDER, "600"]).unwrap();
    node.kamcmd(&["sec.ban", "10.1.0.0/16", "600"]).unwrap();
    let add = |address| node.kamcmd(&["sec.whitelist_add", address, "600"]);
    add("198.51.100.8").unwrap();
    add("198.51.100.9").unwrap();
    node.kamcmd(&["sec.whitelist_remove", "198.51.100.9"])
        .unwrap();
    wait_until("all of it to be saved", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let saved = |part: &str| text.contains(part);
        [OFFENDER, "10.1.0.0/16", "198.51.100.8"]
            .into_iter()
            .all(saved)
            && !saved("198.51.100.9")
    });
    // From here on nothing is saved.
    node.signal(node.agent(), Signal::SIGSTOP);
    let saved = fs::read(&file).unwrap();
    node.kamcmd(&["sec.ban", "198.51.100.10", "600"]).unwrap();
    assert_eq!(verdict("198.51.100.10"), -1);
    node.cut_power();
    assert_eq!(fs::read(&file).unwrap(), saved);

    let node = Kamailio::start(config(&file));
    wait_until_remembered(&node);
    wait_until("the network to hold", || verdict("10.1.0.1") == -1);
    assert_eq!((verdict(OFFENDER), verdict("198.51.100.8")), (-1, 2));
    assert_eq!((verdict("198.51.100.9"), verdict("198.51.100.10")), (1, 1));
    assert_eq!(
        (node.stat("active_bans"), node.stat("active_whitelist")),
        (2, 1)
    );
}

#[test]
fn a_power_cut_in_the_middle_of_a_save_leaves_a_whole_file() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    // So many that writing them takes a while.
    let many = 100_000_u32;
    let bans: String = (0..many)
        .map(|number| Ipv4Addr::from(0x0a00_0000 + number))
        .map(|address| format!("ban {address} 0 never operator true old\n"))
        .collect();
    fs::write(&file, format!("sec-state 2\n{bans}end {many}\n")).unwrap();
    // In a table with room for all of them, however they are scattered.
    let roomy = || config(&file).param("ledger_size", 1 << 20);
    for round in 1..=3 {
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        let node = Kamailio::start(roomy());
        wait_until_remembered(&node);
        let last = format!("198.51.100.{round}");
        node.kamcmd(&["sec.ban", &last, "600"]).unwrap();
        let beside = directory.path().join("state.new");
        wait_until("a save that has begun", || {
            (0..10_000).any(|_| beside.exists())
                || fs::metadata(&file).unwrap().modified().unwrap() > before
        });
        println!("in the middle: {}", beside.exists());
        node.cut_power();
        let text = fs::read_to_string(&file).unwrap();
        let saved = text.lines().filter(|line| line.starts_with("ban ")).count();

        let node = Kamailio::start(roomy());
        wait_until("what was saved to hold", || {
            node.stat("active_bans") == saved as i64
        });
        assert!(saved >= many as usize, "{saved}");
        let expected = if text.contains(&last) { -1 } else { 1 };
        assert_eq!(verdict(&last), expected);
        node.stop();
    }
    assert!(!file.with_extension("rejected").exists());
}

#[test]
fn a_file_that_makes_no_sense_is_set_aside() {
    isolate();
    for (content, problem) in [
        ("garbage\n", "does not begin"),
        ("sec-state 9\nend 0\n", "newer version"),
        ("sec-state 1\nban 192.0.2.1\n", "line 2"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("state");
        fs::write(&file, content).unwrap();
        let node = Kamailio::start(config(&file));
        wait_until(problem, || node.log().contains(problem));
        assert_eq!(
            fs::read_to_string(file.with_extension("rejected")).unwrap(),
            content
        );
        assert_eq!(verdict(OFFENDER), 1);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    // A server that is not root, so that there is something that it may not read.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let file = directory.path().join("state");
    let content = "sec-state 2\nban 198.51.100.7 0 never operator true old\nend 1\n";
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let node = Kamailio::start(config(&file).launch(Launch::Daemon { user: "nobody" }));
    let aside = file.with_extension("rejected");
    wait_until("it to be set aside", || aside.exists());
    assert_ne!(user_of(node.agent()), Some(0));
    assert_eq!(verdict(OFFENDER), 1);
    node.kamcmd(&["sec.ban", "198.51.100.8", "600"]).unwrap();
    node.stop();
    assert_eq!(fs::read_to_string(aside).unwrap(), content);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("198.51.100.8"), "{text}");
}

#[test]
fn a_file_that_cannot_be_set_aside_is_never_written_over() {
    isolate();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    fs::create_dir(file.with_extension("rejected")).unwrap();
    fs::write(&file, "precious\n").unwrap();
    let node = Kamailio::start(config(&file));
    wait_until("the complaint", || node.log().contains("does not begin"));
    node.kamcmd(&["sec.ban", OFFENDER, "600"]).unwrap();
    // Nor by the next agent, which does not read it again.
    let agent = node.agent();
    node.signal(agent, Signal::SIGKILL);
    wait_until("a new agent", || node.agent() != agent);
    let log = node.stop();
    assert_eq!(log.matches("cannot be set aside").count(), 1, "{log}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious\n");
}

#[test]
fn a_file_that_cannot_be_written_is_reported_once() {
    isolate();
    let file = Path::new("/proc/sec-state");
    let node = Kamailio::start(config(file));
    node.kamcmd(&["sec.ban", OFFENDER, "600"]).unwrap();
    wait_until("the complaint", || node.log().contains("cannot be written"));
    node.kamcmd(&["sec.ban", "198.51.100.8", "600"]).unwrap();
    let log = node.stop();
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
}

#[test]
fn a_fleet_and_a_file_exclude_each_other() {
    for first in ["redis_url", "state_file"] {
        let url = ("redis_url", "redis://127.0.0.1");
        let file = ("state_file", "/tmp/state");
        let (one, two) = if first == "redis_url" {
            (url, file)
        } else {
            (file, url)
        };
        let check = Config::new()
            .param(one.0, one.1)
            .param(two.0, two.1)
            .check();
        assert!(!check.accepted);
        assert!(
            check.log.contains("a fleet remembers in Redis"),
            "{}",
            check.log
        );
    }
}
