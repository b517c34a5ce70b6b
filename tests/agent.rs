//! The agent: whatever happens to it, calls go on, nothing is lost, and it is there again.
#![forbid(unsafe_code)]

mod host;

use host::{Config, Kamailio, isolate, listed, verdict, wait_until};
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

/// Has Kamailio log at this level from now on.
fn set_level(server: &Kamailio, level: &str) {
    let set = server.kamcmd(&["cfg.set_now_int", "core", "debug", level]);
    set.expect("the level can be set");
}

/// Bans one address after the other until the agent has a line for it, or none. The network that is
/// banned afterwards shows how far it has come.
fn ban_until_shown(server: &Kamailio, net: u8, shown: bool) {
    let mut number = 0_u8;
    wait_until("the agent to know the level", || {
        number += 1;
        let (address, network) = (
            format!("198.51.{net}.{number}"),
            format!("10.{net}.{number}.0/24"),
        );
        for offender in [&address, &network] {
            let banned = server.kamcmd(&["sec.ban", offender, "600"]);
            banned.expect("it bans");
        }
        wait_until("the network", || {
            listed(server, "sec.bans").contains(&network)
        });
        server.log().contains(&format!("sec: ban {address} ")) == shown
    });
}

#[test]
fn the_level_of_the_log_is_followed_at_run_time() {
    isolate();
    let config = Config::new().extra("loadmodule \"cfg_rpc.so\"\ndebug=0");
    let server = Kamailio::start(config);
    ban_until_shown(&server, 1, false);
    assert!(!server.log().contains("sec: ban "), "{}", server.log());
    set_level(&server, "1");
    ban_until_shown(&server, 2, true);
    set_level(&server, "0");
    ban_until_shown(&server, 3, false);
    // A new agent knows it from its first line on.
    set_level(&server, "1");
    ban_until_shown(&server, 4, true);
    let agent = server.agent();
    server.signal(agent, Signal::SIGKILL);
    wait_until("another agent", || server.agent() != agent);
    ban(&server, OFFENDER);
}
