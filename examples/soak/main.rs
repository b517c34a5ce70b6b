//! `make soak MINUTES=n`: faults and floods at full length, against real servers.
//!
//! Each trial has a network of its own. Prints one line for each fault: what was done, what was
//! expected, what was seen. The first minutes go to the faults, the last to wear.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod trials;

use std::process::ExitCode;
use std::thread;

use trials::{Extent, SERIES, TRIALS};

/// Minutes of wear when nobody says.
const MINUTES: u64 = 10;
/// Seen of a trial that failed: why, it has said itself.
const ELSE: &str = "**something else**; see above";

fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).filter(|text| !text.is_empty());
    let minutes = minutes.map_or(Ok(MINUTES), |text| text.parse());
    let Ok(minutes @ 1..=1440) = minutes else {
        eprintln!("MINUTES is a number from 1 to 1440");
        return ExitCode::FAILURE;
    };
    let extent = Extent {
        sources: 1 << 24,
        bans: 100_000,
        offenders: 10_000,
        messages: 200_000,
        kills: 4,
        seconds: minutes * 60,
    };
    println!("| what was done | what was expected | what was seen |\n|---|---|---|");
    let mut failures = 0;
    let line =
        |done: &str, expected: &str, seen: &str| println!("| {done} | {expected} | {seen} |");
    for series in &SERIES {
        let run = series.run;
        let Ok(rows) = thread::spawn(move || run(&extent)).join() else {
            failures += 1;
            line(series.done, "what it says of each", ELSE);
            continue;
        };
        for row in rows {
            line(&row.done, &row.expected, &row.seen);
        }
    }
    for trial in &TRIALS {
        let run = trial.run;
        let seen = thread::spawn(move || run(&extent)).join();
        failures += i32::from(seen.is_err());
        line(
            trial.done,
            trial.expected,
            &seen.unwrap_or_else(|_| ELSE.to_owned()),
        );
    }
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
