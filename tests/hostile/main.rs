//! What attackers really send, at a real server: malformed messages of every class, and the tools of
//! SIPVicious. Nothing of it may end a process, panic, fill the log, or be noticed by a customer.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

mod barrage;
mod complaints;
mod sipvicious;

use barrage::messages::{CLASSES, Class};
use barrage::oversized::{DATAGRAM, of_length};
use barrage::{Barrage, config};
use host::{Client, Kamailio};
use serde_json::json;
use tempfile::TempDir;

/// The module's own lines that a class may cost: a ban, and a few users muted before.
const MOST_LINES: usize = 8;

/// One of so many messages is sent over TCP, too: each has a connection of its own.
const OVER_TCP: usize = 5;

/// A server under attack, and what it was before.
struct Target {
    _list: TempDir,
    server: Kamailio,
    processes: Vec<(i32, String)>,
    agent: i32,
}

impl Target {
    fn new() -> Self {
        host::isolate();
        let (list, config) = config();
        let server = Kamailio::start(config);
        Self {
            _list: list,
            processes: server.processes(),
            agent: server.agent(),
            server,
        }
    }

    fn attacker(number: usize) -> String {
        format!("203.0.113.{}", number + 1)
    }

    /// The module's own lines in the log.
    fn lines(&self) -> Vec<String> {
        let log = self.server.log();
        let ours = log.lines().filter(|line| line.contains(": sec: "));
        ours.map(str::to_owned).collect()
    }

    /// It is as it was, and says so to whoever asks about the attacker.
    fn is_unharmed(&self, class: &Class, attacker: &str, lines_before: usize) {
        let name = class.name;
        assert_eq!(self.server.processes(), self.processes, "{name}");
        assert_eq!(self.server.agent(), self.agent, "{name}");
        assert_eq!(self.server.stat("panics"), 0, "{name}");
        for (command, arguments) in [
            ("sec.explain", json!([attacker])),
            ("sec.bans", json!([])),
            ("sec.top", json!([])),
        ] {
            let answer = self.server.jsonrpc(command, arguments);
            assert!(answer.is_ok(), "{name}: {command}: {answer:?}");
        }
        let lines = self.lines();
        let new = &lines[lines_before..];
        assert!(new.len() <= MOST_LINES, "{name}: {new:#?}");
        let printable = |line: &String| line.chars().all(|letter| !letter.is_control());
        assert!(new.iter().all(printable), "{name}: {new:#?}");
    }
}

#[test]
fn malformed_datagrams_harm_nobody() {
    let target = Target::new();
    for (number, class) in CLASSES.iter().enumerate() {
        let attacker = Target::attacker(number);
        let (lines, checks) = (target.lines().len(), target.server.stat("checks"));
        let mut barrage = Barrage::new(&format!("198.51.100.{}", number + 1));
        let messages = (class.messages)();
        barrage.send(&mut Client::udp(&attacker), &messages);
        // Two verdicts for each message that comes so far.
        let verdicts = target.server.stat("checks") - checks - barrage.asked;
        assert_eq!(verdicts > 0, class.reaches_script, "{}", class.name);
        println!(
            "{}: {} messages, {} at the script, {} lines",
            class.name,
            messages.len(),
            verdicts / 2,
            target.lines().len() - lines
        );
        target.is_unharmed(class, &attacker, lines);
    }
}

#[test]
fn malformed_streams_harm_nobody() {
    let target = Target::new();
    for (number, class) in CLASSES.iter().enumerate() {
        let attacker = Target::attacker(number);
        let lines = target.lines().len();
        for message in (class.messages)().iter().step_by(OVER_TCP) {
            Client::tcp(&attacker).end_with(message);
        }
        Barrage::new("198.51.100.1").serve_customer();
        target.is_unharmed(class, &attacker, lines);
    }
}

#[test]
fn the_largest_requests_are_judged_as_any() {
    let target = Target::new();
    let mut udp = Client::udp("198.51.100.1");
    udp.send_bytes(&of_length(DATAGRAM));
    let mut tcp = Client::tcp("198.51.100.2");
    tcp.send_bytes(&of_length(65_000));
    for client in [&mut udp, &mut tcp] {
        let answer = client.receive().expect("it is answered");
        // It comes from nobody known, at a server that knows its users.
        assert_eq!(answer.rc(), 1, "{}", answer.text());
    }
    assert_eq!(target.server.stat("checks"), 2);
    assert_eq!(target.server.stat("strikes"), 6, "for two guesses");
}
