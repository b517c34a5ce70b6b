//! SIPVicious' own tools at the example configuration: they find neither server, users nor
//! passwords, and a phone beside them works as ever.
//!
//! That they would find them is shown, too, at the same server in shadow mode.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::host::{Config, Kamailio, Phone, SERVER, Subscribers, isolate, wait_until};

const SCANNER: &str = "203.0.113.66";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kamailio.cfg");

/// The script's own list of scanners. Without it they are judged by what they do.
const KNOWN_BY_NAME: &str = "friendly-scanner|";
/// The challenge that svcrack knows how to answer: with `qop`.
const CHALLENGE: (&str, &str) = (
    "auth_challenge(\"$fd\", \"0\")",
    "auth_challenge(\"$fd\", \"1\")",
);
/// The line that the example tells to begin with.
const SHADOW: &str = "modparam(\"sec\", \"mode\", \"shadow\")";

/// The registrar of the example, and its users.
struct Registrar {
    server: Kamailio,
    directory: TempDir,
    _users: Subscribers,
}

impl Registrar {
    /// With these changes to the text of the example.
    fn start(changes: &[(&str, &str)]) -> Self {
        isolate();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut text = fs::read_to_string(EXAMPLE).expect("the example can be read");
        for (from, to) in changes {
            assert!(text.contains(from), "the example says `{from}`");
            text = text.replace(from, to);
        }
        let file = directory.path().join("kamailio.cfg");
        fs::write(&file, text).expect("it can be written");
        let users = Subscribers::new(&[("1001", "secret42"), ("1002", "secret2")]);
        let server = Kamailio::start(Config::of_file(&file, &[&users.define(), "WORKERS=2"]));
        Self {
            server,
            directory,
            _users: users,
        }
    }

    /// Passwords to try; the right one comes late.
    fn passwords(&self) -> PathBuf {
        let file = self.directory.path().join("passwords");
        let words: String = (0..60).map(|number| format!("secret{number}\n")).collect();
        fs::write(&file, words).expect("it can be written");
        file
    }

    /// Runs one of the tools at the server; what it said. Not all of them heed `-b`, so for that long
    /// the way to the server begins at the scanner's address.
    fn attack(&self, tool: &str, arguments: &[&str]) -> String {
        route("replace");
        let done = Command::new(tool)
            .args(arguments)
            .args(["-x", SCANNER, SERVER])
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .output()
            .unwrap_or_else(|error| panic!("{tool} of the package sipvicious: {error}"));
        route("del");
        [done.stdout, done.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }

    fn crack(&self) -> String {
        let passwords = self.passwords().display().to_string();
        let arguments = ["-u", "1001", "-d", &passwords, "--maximumtime", "1"];
        self.attack("svcrack", &arguments)
    }

    fn is_banned(&self, reason: &str) {
        wait_until("the scanner to be banned", || {
            let bans = self.server.kamcmd(&["sec.bans"]).unwrap_or_default();
            bans.contains(SCANNER) && bans.contains(reason)
        });
        assert_eq!(self.server.stat("panics"), 0);
    }
}

fn route(change: &str) {
    let server = format!("{SERVER}/32");
    let route = [
        "route", change, "local", &server, "dev", "lo", "src", SCANNER,
    ];
    let done = Command::new("ip").args(route).status();
    assert!(done.expect("`ip` can be run").success(), "ip {route:?}");
}

/// Two customers, who register and call each other.
fn customers_work() {
    let mut anna = Phone::new("1001", "secret42", "198.51.100.1");
    let mut ben = Phone::new("1002", "secret2", "198.51.100.2");
    anna.register().expect("anna registers");
    ben.register().expect("ben registers");
    anna.call(&mut ben).expect("the call goes through");
}

#[test]
fn they_find_no_server_no_user_and_no_password() {
    let registrar = Registrar::start(&[]);
    customers_work();
    let found = registrar.attack("svmap", &[]);
    assert!(!found.contains(SERVER), "{found}");
    let range = ["-e", "1000-1100", "--force", "--maximumtime", "1"];
    let found = registrar.attack("svwar", &range);
    assert!(!found.contains("1001"), "{found}");
    let found = registrar.crack();
    assert!(!found.contains("secret42"), "{found}");
    registrar.is_banned("scanner");
    customers_work();
    assert_eq!(registrar.server.stat("active_bans"), 1);
}

#[test]
fn under_another_name_they_are_stopped_by_what_they_do() {
    let registrar = Registrar::start(&[(KNOWN_BY_NAME, ""), CHALLENGE]);
    customers_work();
    let found = registrar.crack();
    assert!(!found.contains("secret42"), "{found}");
    registrar.is_banned("auth");
    customers_work();
}

#[test]
fn unprotected_they_find_the_password() {
    let commented = format!("# {SHADOW}");
    let registrar = Registrar::start(&[(KNOWN_BY_NAME, ""), CHALLENGE, (&commented, SHADOW)]);
    let found = registrar.attack("svmap", &[]);
    assert!(found.contains(SERVER), "{found}");
    let found = registrar.crack();
    assert!(found.contains("secret42"), "{found}");
}
