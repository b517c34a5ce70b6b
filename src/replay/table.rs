//! The report as text: what was replayed, who would have been denied, each ban, and what a capture
//! cannot tell.
//!
//! Called by the replay at its end. Texts of strangers are printable ASCII.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::calendar::{SECOND_NS, counted, grouped, length, moment, second};
use super::findings::{Denied, Findings};
use super::server::Server;
use crate::engine::verdict::Reason;
use crate::node::Node;
use crate::shared::events::{Event, Kind};

/// Reasons shown of one source.
const REASONS: usize = 3;
/// Sources shown that are over a limit with `action=shadow`.
const SHADOWED: usize = 5;

/// A table: its columns are as wide as their longest cell.
struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of numbers stand at the right.
    numbers: &'static [usize],
}

impl Table {
    fn new(titles: &[&str], numbers: &'static [usize]) -> Table {
        let titles = titles.iter().map(|title| (*title).to_owned()).collect();
        Table {
            rows: vec![titles],
            numbers,
        }
    }

    fn write(&self, text: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let shown = match self.numbers.contains(&column) {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                };
                line += if column > 0 { "  " } else { "" };
                line += &shown;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

/// The summary, the offenders and the changes; `count` lines of each, 0 for all.
pub fn write(text: &mut String, server: &Server, count: usize) {
    let count = if count == 0 { usize::MAX } else { count };
    let (node, findings) = (server.node(), &server.findings);
    summary(text, server);
    offenders(text, node, findings, count);
    changes(text, node, findings, count);
}

fn summary(text: &mut String, server: &Server) {
    let (findings, counts) = (&server.findings, &server.counts);
    let sources = counted(findings.sources.len() as u64, "source");
    let (requests, denied) = (
        counted(findings.requests, "request"),
        grouped(findings.denied),
    );
    let allowed = grouped(findings.requests - findings.denied);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line(
        "decided",
        format!("{requests} from {sources}: {allowed} allowed, {denied} denied"),
    );
    if findings.whitelisted > 0 {
        line(
            "",
            format!(
                "{} of the allowed were whitelisted, or the server's own",
                grouped(findings.whitelisted)
            ),
        );
    }
    if !findings.shadowed.is_empty() {
        line("", shadowed(findings));
    }
    line(
        "logins",
        format!(
            "{} right, {} wrong, {} undecided, {} without a reply (credentials of allowed requests)",
            grouped(counts.succeeded),
            grouped(counts.failed),
            grouped(counts.undecided),
            grouped(
                counts
                    .credentials
                    .saturating_sub(counts.succeeded + counts.failed + counts.undecided)
            ),
        ),
    );
}

/// Whom a limit with `action=shadow` would have hit.
fn shadowed(findings: &Findings) -> String {
    let all: u64 = findings.shadowed.values().sum();
    let mut worst: Vec<_> = findings.shadowed.iter().collect();
    worst.sort_unstable_by_key(|(source, count)| (std::cmp::Reverse(**count), **source));
    let shown = worst.iter().take(SHADOWED);
    let shown = shown.map(|(source, count)| format!("{source} {}", grouped(**count)));
    let more = if worst.len() > SHADOWED { ", ..." } else { "" };
    format!(
        "{} were over a limit with action=shadow, which denies nobody ({}{more})",
        grouped(all),
        shown.collect::<Vec<_>>().join(", ")
    )
}

fn offenders(text: &mut String, node: &Node, findings: &Findings, count: usize) {
    let worst = findings.worst();
    if worst.is_empty() {
        text.push_str("\nNobody would have been denied.\n");
        return;
    }
    let number = counted(worst.len() as u64, "source");
    let _ = writeln!(
        text,
        "\nWho would have been denied: {number}, the worst first\n"
    );
    let titles = [
        "source",
        "requests",
        "denied",
        "logins",
        "first",
        "bans",
        "banned for",
        "why",
    ];
    let mut table = Table::new(&titles, &[1, 2, 3, 5]);
    for (source, denied) in worst.iter().take(count) {
        let requests = findings.sources.get(source).copied().unwrap_or_default();
        let logins = findings.logins.get(source).copied().unwrap_or_default();
        table.rows.push(vec![
            source.to_string(),
            grouped(requests),
            grouped(denied.count),
            grouped(logins),
            moment(denied.first_ns),
            grouped(denied.bans.len() as u64),
            if denied.bans.is_empty() {
                "-".into()
            } else {
                length(denied.banned_ns())
            },
            reasons(node, denied),
        ]);
    }
    table.write(text);
    more(text, worst.len(), count);
    let customers = worst
        .iter()
        .filter(|(source, _)| findings.logins.contains_key(source))
        .count();
    if customers > 0 {
        let _ = writeln!(
            text,
            "\n{} of them logged in during the capture: probably customers. Look at these first.",
            grouped(customers as u64)
        );
    }
}

/// The commonest reasons for which a source was denied; those of its bans if it never was.
fn reasons(node: &Node, denied: &Denied) -> String {
    let mut reasons = denied.reasons.clone();
    if reasons.is_empty() {
        reasons.extend(denied.bans.first().map(|ban| (ban.reason, 0)));
    }
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let several = reasons.len() > 1;
    let shown = reasons.iter().take(REASONS).map(|(reason, count)| {
        let text = node.reason_text(*reason);
        if several {
            format!("{text} {}", grouped(*count))
        } else {
            text
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn changes(text: &mut String, node: &Node, findings: &Findings, count: usize) {
    if findings.changes.is_empty() {
        return;
    }
    let number = counted(findings.changes_all, "change");
    let _ = writeln!(
        text,
        "\nWhat would have been logged: {number}, the earliest first\n"
    );
    let titles = [
        "when (UTC)",
        "what",
        "source",
        "for",
        "until",
        "reason",
        "user",
        "agent",
    ];
    let mut table = Table::new(&titles, &[]);
    for (time_ns, event) in findings.changes.iter().take(count) {
        let until = time_ns.saturating_add(event.seconds.saturating_mul(SECOND_NS));
        let timed = event.seconds > 0;
        table.rows.push(vec![
            moment(*time_ns),
            word(event).into(),
            event.source.to_string(),
            if timed {
                length(event.seconds * SECOND_NS)
            } else {
                "-".into()
            },
            if timed { second(until) } else { "-".into() },
            match event.reason {
                Reason::NONE => "-".into(),
                reason => node.reason_text(reason),
            },
            event.text.printable(),
            event.agent.printable(),
        ]);
    }
    table.write(text);
    more(
        text,
        findings.changes_all as usize,
        count.min(findings.changes.len()),
    );
}

fn word(event: &Event) -> &'static str {
    match event.kind {
        Kind::Ban => "ban",
        Kind::Mute => "mute",
        Kind::Revoke => "revoke",
        Kind::Full => "no room",
        _ => "other",
    }
}

/// Says how many lines are missing.
fn more(text: &mut String, all: usize, shown: usize) {
    if all > shown {
        let _ = writeln!(
            text,
            "... and {} more (--count 0 shows all)",
            grouped((all - shown) as u64)
        );
    }
}
