//! What a replay does not know, said in its report: packets that it cannot read, and everything
//! that the server knows and a capture does not show.
//!
//! Called by the replay at its end. Nothing that would change a verdict is left out silently.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::calendar::{counted, grouped};
use super::configuration::Configuration;
use super::server::Server;
use super::survey::Survey;
use crate::config::{Config, Mode};
use crate::domain::Domain;

/// Parameters that a capture has no answer for: their names, and what follows.
const UNANSWERED: [(&str, &str); 5] = [
    (
        "rdns_trusted",
        "rdns_trusted: no name was looked up. Some of those who are banned here may be spared for \
         their names, after a moment of waiting.",
    ),
    (
        "redis_url",
        "redis_url: Redis was not read. Bans and whitelist entries of other nodes and of the portal \
         are not known here.",
    ),
    (
        "state_file",
        "state_file: it was not read. Nobody is banned, whitelisted or trusted at the beginning.",
    ),
    (
        "feed",
        "feed: no feed was read. What it lists is treated like any other source.",
    ),
    (
        "extension_redis_key",
        "extension_redis_key: Redis was not read. Only extension_file and extension_pattern count.",
    ),
];

/// The packets of a capture by what they are.
pub fn contents(survey: &Survey) -> String {
    let requests = survey.requests.values().sum();
    let mut parts = vec![
        counted(requests, "SIP request"),
        match survey.replies {
            1 => "1 reply".into(),
            replies => format!("{} replies", grouped(replies)),
        },
    ];
    let mut add = |count: u64, text: &str| {
        if count > 0 {
            parts.push(format!("{} {text}", grouped(count)));
        }
    };
    add(survey.foreign, "of other UDP");
    add(survey.tcp, "of TCP (skipped)");
    add(
        survey.fragments,
        "later fragments (skipped; the first one counts)",
    );
    add(survey.others, "of other protocols");
    add(survey.short, "too short to read");
    add(survey.cut, "not kept in full");
    add(survey.timeless, "without a time (skipped)");
    for (link, count) in &survey.links {
        add(
            *count,
            &format!("of link type {link}, which cannot be read"),
        );
    }
    parts.join(", ")
}

/// The last part of the report.
pub fn write(
    text: &mut String,
    configuration: &Configuration,
    config: &Config,
    warnings: &[String],
    server: &Server,
) {
    let mut items: Vec<String> = warnings.to_vec();
    items.extend(configuration.notes.iter().cloned());
    if configuration.lines.is_empty() {
        items
            .push("The configuration sets no parameter of sec: the defaults were replayed.".into());
    }
    if config.mode() == Mode::Shadow {
        items.push(
            "mode is shadow: it was replayed as if it were enforce, to see who would be denied."
                .into(),
        );
    }
    for (name, sentence) in UNANSWERED {
        if configuration.sets(name) {
            items.push(sentence.into());
        }
    }
    let names = config.whitelist_names();
    if !names.is_empty() {
        let shown: Vec<String> = names.iter().map(Domain::to_string).collect();
        items.push(format!(
            "whitelist: names were not looked up ({}). Their addresses are treated like any other.",
            shown.join(", ")
        ));
    }
    counts(&mut items, server);
    items.push(
        "The script is taken to call sec_check() first for every request, and sec_auth_failed() or \
         sec_auth_ok() after it has checked credentials, as examples/kamailio.cfg does. sec_strike, \
         sec_ban, sec_count and addresses from headers are not replayed."
            .into(),
    );
    items.push(
        "Logins are read from the server's replies: 401, 403 or 407 to credentials that answer a \
         challenge in the capture are a failure, success is any reply from 101 to 299. Where the \
         server kept silent, as it does when a failure leads to a ban, nothing is known."
            .into(),
    );
    items.push(
        "At the first packet nobody is known: no trust, no ban, no strike of the time before. Who was \
         denied would have behaved differently afterwards."
            .into(),
    );
    text.push_str("\nWhat to keep in mind\n\n");
    for item in items {
        let _ = writeln!(text, "{}", wrapped(&item));
    }
}

fn counts(items: &mut Vec<String>, server: &Server) {
    let counts = &server.counts;
    if counts.undecided > 0 {
        items.push(format!(
            "{} refused credentials answer a challenge that is not in the capture or was too old: \
             they count neither as a failure nor as a success.",
            grouped(counts.undecided)
        ));
    }
    if counts.disordered > 0 {
        items.push(format!(
            "{} were older than the packet before them: they count at its time.",
            counted(counts.disordered, "message")
        ));
    }
}

/// A point of a list, broken into lines.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("*")];
    for word in text.split(' ') {
        let full = lines
            .last()
            .is_some_and(|line| line.len() + 1 + word.len() > 98);
        if full {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
