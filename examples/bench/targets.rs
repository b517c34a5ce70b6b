//! The targets, as ratios and differences of figures of one run.

use std::fmt;

use super::report::{Report, Row, figure};

/// One target, and what came out.
pub struct Target {
    pub name: &'static str,
    pub most: f64,
    pub value: f64,
    pub unit: &'static str,
}

impl Target {
    pub fn met(&self) -> bool {
        self.value <= self.most
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, most) = (figure(self.value), figure(self.most));
        let met = if self.met() { "met" } else { "missed" };
        let unit = self.unit;
        write!(
            f,
            "  {:74} {value:>6} {unit:5} (at most {most}) {met}",
            self.name
        )
    }
}

/// What a target is about: rows, by their names.
enum Measure {
    Ratio(&'static str, &'static str),
    Difference(&'static str, &'static str),
    Value(&'static str),
}
use Measure::{Difference, Ratio, Value};

const HOT: &str = "sec_check, ten sources";
const FLOOR: &str = "floor: a random cache line of the table's size, 4M sources";

const TARGETS: &[(&str, f64, &str, Measure)] = &[
    (
        "a hot source, beside pike_check_req",
        1.2,
        "times",
        Ratio(
            "sec_check, the request's own source",
            "pike_check_req, one source",
        ),
    ),
    (
        "ten hot sources, given as text, beside pike_check_ip",
        1.2,
        "times",
        Ratio(HOT, "pike_check_ip, ten sources"),
    ),
    (
        "a random source of 1M, beside pike_check_ip",
        0.125,
        "times",
        Ratio(
            "sec_check, 1M sources at random",
            "pike_check_ip, 1M sources at random",
        ),
    ),
    (
        "CPU of a dropped request, 200,000 sources, over the empty route",
        0.4,
        "µs",
        Difference(
            "dropped, 200,000 sources: sec",
            "dropped, 200,000 sources: empty",
        ),
    ),
    (
        "two workers at once, beside one",
        1.3,
        "times",
        Ratio(
            "sec_check, two at once, ten sources each",
            "sec_check, one worker",
        ),
    ),
    (
        "a banned source, beside an allowed one",
        1.0,
        "times",
        Ratio("sec_check, ten banned sources", HOT),
    ),
    (
        "a source with a whitelist entry, beside an allowed one",
        1.0,
        "times",
        Ratio("sec_check, ten with a whitelist entry", HOT),
    ),
    (
        "a source in the static whitelist, beside an allowed one",
        1.0,
        "times",
        Ratio("sec_check, ten in the static whitelist", HOT),
    ),
    (
        "a random source of 4M in the table, beside the floor",
        3.0,
        "times",
        Ratio("hash, charge and level, 4M sources", FLOOR),
    ),
    (
        "a random source of 4M, the whole call, beside the floor",
        3.0,
        "times",
        Ratio("sec_check, 4M sources at random", FLOOR),
    ),
    (
        "shared memory of a tracked source and limit",
        16.0,
        "bytes",
        Value("a tracked source and limit"),
    ),
    (
        "system calls of 10,000 allowed checks",
        0.0,
        "",
        Value("system calls of 10000 checks, allowed"),
    ),
    (
        "system calls of 10,000 checks of banned sources",
        0.0,
        "",
        Value("system calls of 10000 checks, banned"),
    ),
    (
        "allocations of 10,000 allowed checks",
        0.0,
        "",
        Value("allocations of 10000 checks, allowed"),
    ),
    (
        "allocations of 10,000 checks of banned sources",
        0.0,
        "",
        Value("allocations of 10000 checks, banned"),
    ),
    (
        "allocations of 10,000 checks over a limit",
        0.0,
        "",
        Value("allocations of 10000 checks, limited"),
    ),
];

/// The targets whose parts were measured.
pub fn targets(report: &Report) -> impl Iterator<Item = Target> {
    let median = |name: &str| {
        let row = report.rows.iter().find(|row| row.name == name);
        row.map(Row::median)
    };
    TARGETS
        .iter()
        .filter_map(move |(name, most, unit, measure)| {
            let value = match measure {
                Ratio(one, other) => median(one)? / median(other)?,
                Difference(one, other) => median(one)? - median(other)?,
                Value(name) => median(name)?,
            };
            Some(Target {
                name,
                most: *most,
                value,
                unit,
            })
        })
}
