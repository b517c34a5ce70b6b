//! The README's troubleshooting, as it is printed: every command of it is run against a server that
//! has the trouble, and the trouble is over.

use super::{Client, Config, THIRTY, check, flood, start};
use crate::host::{Kamailio, Request, SERVER};

const README: &str = include_str!("../../README.md");

/// A command as it is printed, and the refusal that is printed below it.
#[derive(Debug)]
struct Printed {
    words: Vec<&'static str>,
    refusal: Option<&'static str>,
}

/// The sections of the chapter: heading and text.
fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let (_, chapter) = README
        .split_once("\n## Troubleshooting\n")
        .expect("there is a chapter");
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    let section = |text: &'static str| text.split_once('\n').expect("a heading ends");
    chapter.split("\n### ").skip(1).map(section)
}

/// The sections: heading, and the commands in their blocks.
fn sections() -> Vec<(&'static str, Vec<Printed>)> {
    let section = |(heading, text): (&'static str, &'static str)| {
        let blocks = text.split("\n```").skip(1).step_by(2);
        let blocks = blocks.filter_map(|block| block.strip_prefix("sh\n"));
        (heading, blocks.flat_map(commands).collect())
    };
    texts().map(section).collect()
}

/// These words, which the section with this heading must contain, however its lines are broken.
pub fn advises<'a>(heading: &str, words: &'a str) -> &'a str {
    let section = texts().find(|(known, _)| *known == heading);
    let (_, text) = section.unwrap_or_else(|| panic!("no section {heading}"));
    let text: Vec<&str> = text.split_whitespace().collect();
    assert!(text.join(" ").contains(words), "{heading}: no {words}");
    words
}

fn commands(block: &'static str) -> Vec<Printed> {
    let mut found: Vec<Printed> = Vec::new();
    for line in block.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.first(), line.strip_prefix("error: 400 - ")) {
            (_, Some(refusal)) => {
                found.last_mut().expect("after a command").refusal = Some(refusal);
            }
            (Some(&"kamcmd"), _) => found.push(Printed {
                words: words[1..].to_vec(),
                refusal: None,
            }),
            // The system's log, and the server's own check of its file.
            (Some(&("journalctl" | "kamailio")) | None, _) => {}
            _ => panic!("{line} is no command that this test knows"),
        }
    }
    found
}

/// Runs the commands of the section with this heading.
pub fn follow(server: &Kamailio, heading: &str) -> usize {
    let sections = sections();
    let section = sections.iter().find(|(known, _)| *known == heading);
    let (_, commands) = section.unwrap_or_else(|| panic!("no section {heading}"));
    for Printed { words, refusal } in commands {
        match (server.kamcmd(words), refusal) {
            (Ok(_), None) => {}
            (Err(fault), Some(refusal)) => {
                let start = |text: &str| text.split(" in ").next().map(str::to_owned);
                assert_eq!(start(&fault.message), start(refusal), "{words:?}");
            }
            (outcome, _) => panic!("{words:?} of {heading}: {outcome:?}"),
        }
    }
    commands.len()
}

fn troubled() -> Kamailio {
    start(
        Config::new()
            .param("rate", THIRTY)
            .param("whitelist_rate", "limit=40;window=1h"),
    )
}

#[test]
fn every_printed_command_is_a_command() {
    let server = troubled();
    Client::udp("203.0.113.99").burst(31, &check());
    server
        .kamcmd(&["sec.whitelist_add", "198.51.100.90"])
        .expect("it adds");
    assert_eq!(
        flood("198.51.100.90", 41).last(),
        Some(&-2),
        "it loses its entry"
    );
    let all: usize = sections()
        .iter()
        .map(|(heading, _)| follow(&server, heading))
        .sum();
    assert!(all >= 10, "only {all} commands are printed");
}

#[test]
fn a_customer_who_was_cut_off_is_freed() {
    let server = troubled();
    assert_eq!(flood("203.0.113.99", 31).last(), Some(&-2));
    assert_eq!(follow(&server, "A customer cannot register or call"), 2);
    assert_eq!(flood("203.0.113.99", 1), [2]);
}

#[test]
fn many_customers_are_let_through_at_once() {
    let server = troubled();
    assert_eq!(flood("203.0.113.99", 31).last(), Some(&-2));
    assert!(follow(&server, "Many customers cannot") > 3);
    assert_eq!(flood("203.0.113.99", 1), [1]);
    assert_eq!(flood("203.0.113.98", 40), [1; 40]);
    server
        .kamcmd(&["sec.mode", "enforce"])
        .expect("it switches back");
    assert_eq!(flood("203.0.113.99", 1), [-1], "an older ban holds on");
    assert_eq!(
        flood("203.0.113.98", 1),
        [-2],
        "one made meanwhile was dropped"
    );
}

#[test]
fn a_trunk_is_freed() {
    let server = troubled();
    assert_eq!(flood("198.51.100.20", 31).last(), Some(&-2));
    assert_eq!(follow(&server, "The trunk or the PBX was cut off"), 1);
    assert_eq!(flood("198.51.100.20", 1), [2]);
}

#[test]
fn a_muted_user_is_found_and_freed() {
    let server = troubled();
    let from = |user: &str| format!("<sip:{user}@{SERVER}>;tag=1");
    let mut office = Client::udp("203.0.113.60");
    let mut report = |function: &str, user: &str| {
        let call = Request::call(function, &[user]).header("From", &from(user));
        office.ask(&call).rc()
    };
    assert_eq!(report("sec_auth_ok", "anna"), 1);
    let failed: Vec<i64> = (0..10).map(|_| report("sec_auth_failed", "ben")).collect();
    assert_eq!(failed.last(), Some(&-2), "{failed:?}");
    let explained = server
        .kamcmd(&["sec.explain", "203.0.113.60"])
        .expect("it explains");
    for part in ["verdict: allow", "users_muted: 1"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let asked = check().header("From", &from("ben"));
    assert_eq!(Client::udp("203.0.113.60").burst(1, &asked), [-5]);
    server
        .kamcmd(&["sec.unban", "203.0.113.60"])
        .expect("it lifts");
    assert_eq!(Client::udp("203.0.113.60").burst(1, &asked), [1]);
}
