//! `make bench`: what a check costs in a real Kamailio, `sec` beside its peers in the same run.
//!
//! Everything happens in a network namespace of its own and is bounded in count. Two parts: the
//! cost of a call inside the script (a loop, unrolled, without the empty loop), and the CPU time of
//! a whole request over all processes, against a route that checks nothing. Medians of several
//! rounds; absolute figures belong to the machine, ratios can be compared.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod calls;
mod report;
mod requests;

use report::Report;

fn main() {
    let target = std::env::args().nth(1);
    let calls = std::thread::spawn(calls::measure)
        .join()
        .expect("the calls are measured");
    let requests = std::thread::spawn(requests::measure)
        .join()
        .expect("so are the requests");
    let report = Report { calls, requests };
    print!("{report}");
    if let Some(path) = target {
        std::fs::write(&path, report.json()).expect("the report can be written");
        println!("written to {path}");
    }
}
