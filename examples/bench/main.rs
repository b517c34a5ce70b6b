//! `make bench`: what a check costs in a real Kamailio, `sec` beside its peers in the same run.
//!
//! Everything happens in network namespaces of its own and is bounded in count. Absolute figures
//! belong to the machine, ratios can be compared. `--json FILE` writes the figures, `--beside FILE`
//! compares them with older ones, `--svg FILE` draws the chart; other words are the parts to run
//! instead of all.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod calls;
mod chart;
mod feeds;
mod fleet;
mod full;
mod loops;
mod names;
mod outages;
mod quiet;
mod report;
mod requests;
mod tables;
mod targets;

use report::{Report, Row};

/// What measures something.
type Step = fn() -> Vec<Row>;

/// The parts, in the order of the report.
const PARTS: &[(&str, &[Step])] = &[
    (
        "hot",
        &[
            calls::hot,
            calls::listed,
            calls::four_rates,
            calls::extensions,
        ],
    ),
    ("random", &[calls::populations]),
    ("workers", &[calls::workers]),
    ("peers", &[calls::peers]),
    ("feeds", &[feeds::look_ups, feeds::loading]),
    ("memory", &[full::measure]),
    ("quiet", &[quiet::measure]),
    ("tables", &[tables::measure]),
    ("names", &[names::measure]),
    (
        "requests",
        &[
            requests::dropped,
            requests::answered,
            requests::attacked,
            requests::by_default,
        ],
    ),
    ("fleet", &[fleet::measure]),
    ("outages", &[outages::measure]),
];

fn main() {
    let mut words = std::env::args().skip(1);
    let (mut json, mut svg, mut beside, mut wanted) = (None, None, None, Vec::new());
    while let Some(word) = words.next() {
        match &*word {
            "--json" => json = words.next(),
            "--svg" => svg = words.next(),
            "--beside" => beside = words.next(),
            _ => wanted.push(word),
        }
    }
    let known = |word: &String| PARTS.iter().any(|(name, _)| name == word);
    if let Some(word) = wanted.iter().find(|word| !known(word)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "there is no part {word:?}; the parts are {}",
            names.join(", ")
        );
        std::process::exit(2);
    }
    let parts = PARTS
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name));
    let rows = parts
        .flat_map(|(_, steps)| steps.iter())
        .flat_map(|step| apart(*step));
    let report = Report {
        machine: machine(),
        rows: rows.collect(),
    };
    println!("{report}\nTargets");
    for target in targets::targets(&report) {
        println!("{target}");
    }
    if let Some(path) = json {
        std::fs::write(&path, report.json()).expect("the report can be written");
    }
    if let (Some(path), Some(chart)) = (svg, chart::svg(&report)) {
        std::fs::write(&path, chart).expect("the chart can be written");
    }
    if let Some(path) = beside {
        let text = std::fs::read_to_string(&path).expect("the older report can be read");
        let old = Report::read(&text).expect("it is a report");
        print!("\n{}", report.beside(&old));
    }
}

/// Each step has a thread, and with it a network, of its own.
fn apart(step: Step) -> Vec<Row> {
    let rows = std::thread::spawn(step).join().expect("it is measured");
    for row in &rows {
        eprintln!("measured: {}", row.name);
    }
    rows
}

/// What the figures were taken on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{model}, {cores} cores, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
