//! The cost of a call inside the script: a loop that makes up addresses and asks about each, less
//! the same loop without the question.
//!
//! Addresses walk through a population in a full-period linear congruence, so that neighbours in
//! time are not neighbours in memory. `sec_check` counts an address once a message, and remembers
//! the last few: the walk never comes back so soon.

use std::time::Instant;

use super::host::{Client, Config, Kamailio, Request, SERVER, isolate};
use super::report::Row;

/// Rounds of which the median counts.
const ROUNDS: usize = 7;
/// Calls in one round.
const CALLS: usize = 200_000;
/// Calls in the body of the loop.
const UNROLLED: usize = 10;
/// Populations, as powers of two.
const POPULATIONS: [(u32, &str); 3] = [(10, "1k"), (17, "131k"), (20, "1M")];

/// What is asked of each address.
const QUESTIONS: [(&str, &str); 3] = [
    ("empty", ""),
    ("pike_check_ip", "pike_check_ip(\"$var(ip)\");"),
    ("sec_check", "sec_check(\"$var(ip)\");"),
];

pub fn measure() -> Vec<Row> {
    isolate();
    let server = Kamailio::start(config());
    let mut rows = Vec::new();
    for (bits, population) in POPULATIONS {
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); QUESTIONS.len()];
        // The first rounds fill the tables: the walk goes on from one to the next.
        let warm = (1_usize << bits).div_ceil(CALLS);
        for round in 0..warm + ROUNDS {
            for (times, (name, _)) in rounds.iter_mut().zip(QUESTIONS) {
                let time = run(&format!("{name}-{bits}"));
                if round >= warm {
                    times.push(time);
                }
            }
        }
        let empty = Row {
            name: "empty".into(),
            rounds: rounds[0].clone(),
        }
        .median();
        for (times, (name, _)) in rounds.iter().zip(QUESTIONS).skip(1) {
            let name = format!("{name}, {population} sources at random");
            let rounds = times.iter().map(|time| (time - empty).max(0.0)).collect();
            rows.push(Row { name, rounds });
        }
    }
    assert_eq!(server.stat("denied"), 0, "all of these are allowed");
    server.stop();
    rows
}

/// Nanoseconds of one turn of a loop.
fn run(which: &str) -> f64 {
    let mut client = Client::udp("10.255.0.1");
    let request = Request::new("OPTIONS", &format!("sip:{which}@{SERVER}"));
    let start = Instant::now();
    let answer = client.ask(&request);
    assert_eq!(answer.code(), 200);
    start.elapsed().as_nanos() as f64 / CALLS as f64
}

fn config() -> Config {
    let mut route = String::new();
    for (bits, _) in POPULATIONS {
        for (name, question) in QUESTIONS {
            let mask = (1_u32 << bits) - 1;
            let step = format!(
                "$var(n) = ($var(n) * 1664525 + 1013904223) & {mask};\n\
                 $var(ip) = \"10.\" + ($var(n) >> 16) + \".\" + (($var(n) >> 8) & 255) + \".\" + ($var(n) & 255);\n\
                 {question}\n"
            );
            let turns = CALLS / UNROLLED;
            route += &format!(
                "if ($rU == \"{name}-{bits}\") {{\n$var(i) = 0;\n\
                 while ($var(i) < {turns}) {{\n$var(i) = $var(i) + 1;\n{}}}\n}}\n",
                step.repeat(UNROLLED)
            );
        }
    }
    route += "sl_send_reply(\"200\", \"OK\");\n";
    Config::new()
        .param("rate", "name=burst;limit=62500;window=1")
        .param("table_size", 1 << 20)
        .memory_manager("fm")
        .memory(512)
        .extra("max_while_loops=100000000\nloadmodule \"pike.so\"")
        .extra("modparam(\"pike\", \"reqs_density_per_unit\", 60000)")
        .extra("modparam(\"pike\", \"sampling_time_unit\", 2)")
        .route(&route)
}
