//! The report as a drawing: requests over time, and below them, for each of the worst sources, when
//! it was denied and when it was banned. SVG 1.1 without a script.
//!
//! Called by the replay at its end. Texts are escaped: some of them are written by strangers.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::calendar::{SECOND_NS, clock, grouped, length, moment, second};
use super::findings::{Denied, Findings, SLOTS};
use crate::node::Node;
use crate::source::Source;

/// Sources drawn.
const ROWS: usize = 40;
/// Places of things, in pixels.
const LEFT: usize = 250;
const RIGHT: usize = 30;
const TOP: usize = 70;
const GRAPH: usize = 120;
const ROW: usize = 22;
const TICKS: usize = 6;
/// Letters of a date before its time of day.
const DATE: usize = "2025-11-20 ".len();
const WIDTH: usize = LEFT + SLOTS + RIGHT;

/// Draws what was found.
pub fn draw(node: &Node, findings: &Findings, title: &str) -> String {
    let worst = findings.worst();
    let rows = worst.len().min(ROWS);
    let below = TOP + GRAPH + 50;
    let height = below + rows * ROW + 30;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\">{}</text>\n\
         <text x=\"20\" y=\"48\" fill=\"#555555\">{}</text>\n",
        escaped(title),
        escaped(&subtitle(findings)),
    );
    axis(&mut svg, findings, below + rows * ROW);
    graph(&mut svg, findings);
    for (number, (source, denied)) in worst.iter().take(rows).enumerate() {
        row(
            &mut svg,
            node,
            findings,
            below + number * ROW,
            *source,
            denied,
        );
    }
    if worst.len() > rows {
        let y = below + rows * ROW + 20;
        let _ = writeln!(
            svg,
            "<text x=\"20\" y=\"{y}\" fill=\"#555555\">and {} sources more</text>",
            grouped((worst.len() - rows) as u64)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn subtitle(findings: &Findings) -> String {
    format!(
        "{} to {} UTC · {} requests, {} denied",
        second(findings.first_ns),
        second(findings.last_ns),
        grouped(findings.requests),
        grouped(findings.denied)
    )
}

/// All requests: those let through, and on top of them those denied.
fn graph(svg: &mut String, findings: &Findings) {
    let most = findings
        .slots
        .iter()
        .map(|slot| slot.allowed + slot.denied)
        .max();
    let most = most.unwrap_or_default().max(1);
    let scaled = |count: u64| (count as f64) * (GRAPH as f64) / (most as f64);
    let bottom = (TOP + GRAPH) as f64;
    for (slot, counts) in findings.slots.iter().enumerate() {
        let x = LEFT + slot;
        let (allowed, denied) = (scaled(counts.allowed), scaled(counts.denied));
        for (count, top, height, colour) in [
            (counts.allowed, bottom - allowed, allowed, "#8fb4d8"),
            (counts.denied, bottom - allowed - denied, denied, "#c8453b"),
        ] {
            if count > 0 {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{top:.1}\" width=\"1\" height=\"{height:.1}\" fill=\"{colour}\"/>"
                );
            }
        }
    }
    let slot_ns = (findings.last_ns - findings.first_ns) / SLOTS as u64;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} in {}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#c8453b\">denied</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#4a7aa8\">allowed</text>",
        LEFT - 8,
        TOP + 10,
        grouped(most),
        length(slot_ns.max(1_000_000)),
        LEFT - 8,
        TOP + GRAPH - 22,
        LEFT - 8,
        TOP + GRAPH - 6,
    );
}

/// Lines and times from top to bottom.
fn axis(svg: &mut String, findings: &Findings, bottom: usize) {
    let span = findings.last_ns - findings.first_ns;
    for tick in 0..=TICKS {
        let x = LEFT + SLOTS * tick / TICKS;
        let time_ns = findings.first_ns + span / TICKS as u64 * tick as u64;
        let y = TOP + GRAPH + 18;
        // Within a minute, the seconds alone would say too little.
        let shown = match span < 60 * SECOND_NS {
            true => moment(time_ns).split_off(DATE),
            false => clock(time_ns),
        };
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#555555\">{}</text>",
            shown
        );
    }
}

/// One source: its bans as bars, and where it was denied as marks, the darker the more.
fn row(
    svg: &mut String,
    node: &Node,
    findings: &Findings,
    y: usize,
    source: Source,
    denied: &Denied,
) {
    let count = grouped(denied.count);
    let _ = writeln!(
        svg,
        "<text x=\"20\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{count}</text>",
        y + 14,
        escaped(&source.to_string()),
        LEFT - 8,
        y + 14,
    );
    for ban in &denied.bans {
        let from = findings.slot(ban.from_ns);
        let until = findings.slot(ban.until_ns.min(findings.last_ns));
        let text = format!(
            "{source}: banned at {} for {}, {}",
            moment(ban.from_ns),
            length(ban.until_ns - ban.from_ns),
            node.reason_text(ban.reason)
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\" fill=\"#f0c5c0\"><title>{}</title></rect>",
            LEFT + from,
            y + 3,
            until - from + 1,
            escaped(&text),
        );
    }
    let most = denied
        .slots
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(1);
    for (slot, count) in &denied.slots {
        let opacity = 0.35 + 0.65 * f64::from(*count) / f64::from(most.max(1));
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"1\" height=\"8\" fill=\"#c8453b\" fill-opacity=\"{opacity:.2}\"/>",
            LEFT + usize::from(*slot),
            y + 6,
        );
    }
}

/// Text as it may stand in XML.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() => safe.push('?'),
            letter => safe.push(letter),
        }
    }
    safe
}
