//! The ways to run a server: workers, transports, one process, a daemon without rights, an end.

use std::collections::HashSet;

use super::{Client, Config, THIRTY, check, flood, observer, server, start};
use crate::host::{Launch, Message};

#[test]
fn all_workers_see_one_state() {
    let _server = start(Config::new().param("rate", THIRTY).workers(4));
    let mut client = Client::udp("203.0.113.1");
    let answers = client.burst_answers(400, &check());
    let workers: HashSet<&str> = answers
        .iter()
        .map(|answer| answer.variable("worker"))
        .collect();
    assert!(workers.len() > 1, "only {workers:?} answered");
    let codes: Vec<i64> = answers.iter().map(Message::rc).collect();
    assert_eq!(
        codes.iter().filter(|code| **code == 1).count(),
        30,
        "{codes:?}"
    );
    assert!(codes.contains(&-2) && codes.contains(&-1), "{codes:?}");
    // What one worker was told, every worker knows.
    let mut script = observer();
    assert_eq!(script.call("sec_whitelist_add", &["203.0.113.1", "60"]), 1);
    assert_eq!(client.burst(100, &check()), [2; 100]);
}

#[test]
fn tcp_and_udp_are_one_source() {
    let _server = server();
    let mut tcp = Client::tcp("203.0.113.1");
    assert_eq!(tcp.burst(20, &check()), [1; 20]);
    assert_eq!(flood("203.0.113.1", 10), [1; 10]);
    assert_eq!(tcp.burst(2, &check()), [-2, -1]);
    assert_eq!(flood("203.0.113.1", 1), [-1]);
    assert_eq!(Client::tcp("203.0.113.2").burst(5, &check()), [1; 5]);
}

#[test]
fn an_ipv4_address_written_as_ipv6_is_the_same_source() {
    let _server = server();
    let mut script = observer();
    assert_eq!(
        script.call("sec_ban", &["::ffff:203.0.113.1", "60", "test"]),
        1
    );
    assert_eq!(flood("203.0.113.1", 1), [-1]);
}

#[test]
fn one_process_does_everything() {
    let server = start(
        Config::new()
            .param("rate", THIRTY)
            .launch(Launch::SingleProcess),
    );
    let codes = flood("203.0.113.1", 40);
    assert_eq!(codes[..30], [1; 30]);
    assert_eq!(codes[30..32], [-2, -1]);
    assert_eq!(observer().call("sec_unban", &["203.0.113.1"]), 1);
    assert_eq!(server.stat("checks"), 40);
    server.stop();
}

#[test]
fn a_daemon_without_rights() {
    let launch = Launch::Daemon { user: "nobody" };
    let server = start(
        Config::new()
            .param("rate", THIRTY)
            .workers(2)
            .launch(launch),
    );
    // The process that became a daemon may still be about to end.
    crate::host::wait_until("no process to have rights", || {
        let mut processes = server.all_processes().into_iter();
        processes.all(|pid| crate::host::user_of(pid).is_none_or(|user| user != 0))
    });
    assert_eq!(
        flood("203.0.113.1", 40)
            .iter()
            .filter(|code| **code == 1)
            .count(),
        30
    );
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.1"])
        .expect("commands work");
    assert_eq!(flood("203.0.113.1", 1), [2]);
    server.stop();
}

#[test]
fn nothing_is_left_after_the_end() {
    let server = start(Config::new().workers(4));
    flood("203.0.113.1", 40);
    let before = server.all_processes();
    assert!(before.len() > 4, "{before:?}");
    // `stop` fails when a process is left or the end takes too long.
    let log = server.stop();
    assert!(
        !log.contains("SIGKILL") && !log.contains("core dumped"),
        "{log}"
    );
}

#[test]
fn a_killed_worker_ends_the_server_as_it_always_does() {
    let server = start(Config::new().workers(2));
    flood("203.0.113.1", 40);
    let processes = server.processes();
    let worker = processes
        .iter()
        .find(|(_, name)| name.contains("udp receiver"));
    let (worker, _) = worker.expect("there is a worker");
    server.signal(*worker, nix::sys::signal::Signal::SIGKILL);
    let log = server.wait_for_end();
    assert!(log.contains("exited by a signal 9"), "{log}");
}

#[test]
fn a_full_table_forgets_the_least_and_the_server_lives() {
    let config = Config::new()
        .param("rate", THIRTY)
        .param("table_size", 1024)
        .param("ledger_size", 1024);
    let server = start(config);
    let mut script = observer();
    for number in 0..5000_u32 {
        let address = format!("10.1.{}.{}", number / 256, number % 256);
        assert_eq!(script.call("sec_check", &[&address]), 1, "{address}");
        assert!(
            [1, -1].contains(&script.call("sec_ban", &[&address, "60"])),
            "{address}"
        );
    }
    assert!(server.stat("evictions") > 0);
    assert!(server.stat("active_bans") <= 1024);
    assert_eq!(server.stat("panics"), 0);
    assert_eq!(
        flood("203.0.113.1", 31).last(),
        Some(&-2),
        "it still does its work"
    );
}
