//! `make bench`: what a check costs in a real Kamailio, `sec` beside its peers in the same run.
//!
//! Everything happens in a network namespace of its own and is bounded in count. Two parts: how fast
//! the fleet's memory is and what its faults cost; and the cost of a call inside the script (a
//! loop, unrolled, without the empty loop). Medians of several rounds; absolute figures belong to
//! the machine, ratios can be compared.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod calls;
mod fleet;
mod report;

use report::Report;

fn main() {
    let target = std::env::args().nth(1);
    let report = Report {
        fleet: apart(fleet::measure),
        calls: apart(calls::measure),
    };
    print!("{report}");
    if let Some(path) = target {
        std::fs::write(&path, report.json()).expect("the report can be written");
        println!("written to {path}");
    }
}

/// Each part has a thread, and with it a network, of its own.
fn apart<T: Send + 'static>(part: fn() -> T) -> T {
    std::thread::spawn(part).join().expect("it is measured")
}
