//! Memory: what a source takes, and what happens when there are more sources than the table holds.

use sec::shared::rates::Rates;

use super::host::{Client, Config, Kamailio, Request, SERVER, isolate};
use super::report::Row;

const PART: &str = "Memory";
/// Sources that the table is made for, and those that come.
const TRACKED: usize = 1 << 16;
const FLOOD: usize = 1 << 20;

pub fn measure() -> Vec<Row> {
    let bytes = (Rates::words(1 << 20, 1) * 8) as f64 / f64::from(1 << 20);
    let row = |name: &str, unit: &str, value: f64| Row::new(PART, name, unit, vec![value]);
    let mut rows = vec![row("a tracked source and limit", "bytes", bytes)];
    isolate();
    let server = Kamailio::start(
        Config::new()
            .param("table_size", TRACKED as i64)
            .memory_manager("fm")
            .extra("max_while_loops=100000000")
            .route(&script()),
    );
    let mut client = Client::udp("10.255.0.1");
    let answer = client.ask(&Request::new("OPTIONS", &format!("sip:full@{SERVER}")));
    let refused: f64 = answer.rc() as f64;
    rows.push(row(
        "table for 65,536, flood of 1,048,576 sources: sources that gave way",
        "",
        server.stat("evictions") as f64,
    ));
    rows.push(row(
        "the same: honest sources refused",
        "",
        // One source of the flood is not honest.
        (server.stat("bans") - 1) as f64,
    ));
    rows.push(row(
        "the same: request of a busy source that is refused first (limit 30)",
        "",
        refused,
    ));
    server.stop();
    rows
}

/// A flood of a million sources, of which one sends every hundredth request. What is answered is
/// the number of its first request that is refused.
fn script() -> String {
    format!(
        "$var(i) = 0;\n$var(busy) = 0;\n$var(first) = 0;\n\
         while ($var(i) < {FLOOD}) {{\n\
         $var(i) = $var(i) + 1;\n\
         $var(n) = ($var(n) * 1664525 + 1013904223) & {mask};\n\
         $var(ip) = \"20.\" + ($var(n) >> 16) + \".\" + (($var(n) >> 8) & 255) + \".\" + ($var(n) & 255);\n\
         sec_check(\"$var(ip)\");\n\
         $var(turn) = $var(i) mod 100;\n\
         if ($var(turn) == 0) {{\n\
         $var(busy) = $var(busy) + 1;\n\
         sec_check(\"10.99.0.1\");\n\
         $var(rc) = $rc;\n\
         if ($var(rc) < 0 && $var(first) == 0) $var(first) = $var(busy);\n\
         }}\n\
         }}\n\
         sl_send_reply(\"200\", \"rc $var(first)\");\n",
        mask = FLOOD - 1,
    )
}
