//! The agent: whatever happens to it, calls go on, nothing is lost, and it is there again.
#![forbid(unsafe_code)]

mod host;

use host::{Config, Kamailio, isolate, verdict, wait_until};
use nix::sys::signal::Signal;

const OFFENDER: &str = "198.51.100.7";

/// Bans an address and waits for the line that only the agent writes.
fn ban(server: &Kamailio, address: &str) {
    let banned = server.kamcmd(&["sec.ban", address, "600"]);
    banned.expect("it bans");
    wait_until("the line in the log", || {
        server.log().contains(&format!("sec: ban {address} "))
    });
}

#[test]
fn what_operators_send_to_all_processes_ends_no_agent() {
    isolate();
    let server = Kamailio::start(Config::new());
    let agent = server.agent();
    let signals = [
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
    ];
    for (number, signal) in (1..).zip(signals) {
        server.signal(agent, signal);
        ban(&server, &format!("198.51.100.{number}"));
        assert_eq!(server.agent(), agent, "{signal}");
    }
    assert_eq!(verdict("198.51.100.5"), -1);
    assert_eq!(server.status("agent_restarts"), "0");
    server.signal(agent, Signal::SIGTERM);
    wait_until("another agent", || server.agent() != agent);
    ban(&server, OFFENDER);
}
