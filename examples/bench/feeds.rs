//! What a feed of a million prefixes costs a request: a loop over addresses that it names, and one
//! over addresses that it does not, beside the same without a feed and beside a peer's list of ten
//! thousand.
//!
//! The addresses are spread over a quarter of IPv4, so that neighbours in time are not neighbours in
//! memory. Half of the prefixes are IPv4 addresses, half IPv6 networks.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use super::calls::{endless, lists};
use super::host::{Kamailio, Page, Web, isolate, wait_until};
use super::loops::{Bench, Loop};
use super::report::Row;

/// Prefixes of each family.
const EACH: u32 = 500_000;
const TURNS: usize = 100_000;

/// A walk through 2^19 addresses, of which the feed names those that end in 1.
fn walk(host: u32, question: &str) -> String {
    format!(
        "$var(n) = ($var(n) * 1664525 + 1013904223) & 524287;\n\
         $var(ip) = \"\" + (20 + ($var(n) >> 13)) + \".\" + (($var(n) >> 5) & 255) + \".\" + \
         (($var(n) & 31) * 8) + \".{host}\";\n{question}"
    )
}

/// The list: the first 500,000 of these addresses, and as many IPv6 networks.
fn write(file: &Path) {
    let mut text = String::new();
    for n in 0..EACH {
        let _ = writeln!(
            text,
            "{}.{}.{}.1",
            20 + (n >> 13),
            n >> 5 & 255,
            (n & 31) * 8
        );
        let _ = writeln!(text, "2a{:02x}:{:x}:{:x}::/48", n % 16, n >> 4, n % 9973);
    }
    std::fs::write(file, text).expect("the list can be written");
}

/// Nanoseconds of a call, with a feed and without.
pub fn look_ups() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("feed");
    write(&file);
    let add = |id: &str, name: &str, line: &str| Loop {
        warm: 1 << 19,
        ..Loop::of(id, name, line, TURNS)
    };
    let part = "A feed of a million prefixes, a call in the script";
    let bare = vec![
        add("empty", "empty", &walk(3, "")),
        add(
            "none",
            "is_whitelisted, no feed",
            &walk(3, "is_whitelisted(\"$var(ip)\");"),
        ),
        add(
            "check",
            "sec_check, no feed",
            &walk(3, "sec_check(\"$var(ip)\");"),
        ),
    ];
    let mut rows = Bench::new(part, endless(), bare).measure();
    let feed = format!("name=million;url=file://{};refresh=1d", file.display());
    let loops = vec![
        add("empty", "empty", &walk(3, "")),
        add(
            "miss",
            "is_whitelisted, not listed",
            &walk(3, "is_whitelisted(\"$var(ip)\");"),
        ),
        add(
            "hit",
            "is_whitelisted, listed",
            &walk(1, "is_whitelisted(\"$var(ip)\");"),
        ),
        add(
            "check",
            "sec_check, not listed",
            &walk(3, "sec_check(\"$var(ip)\");"),
        ),
        add(
            "denied",
            "sec_check, listed and denied",
            &walk(1, "sec_check(\"$var(ip)\");"),
        ),
        Loop::of(
            "permissions",
            "permissions, allow_source_address, 10,000 subnets",
            "allow_source_address(\"1\");",
            20_000,
        ),
    ];
    let config = lists(endless(), folder.path()).param("feed", &*feed);
    let mut bench = Bench::new(part, config, loops);
    bench.ready = Some("state: loaded");
    rows.extend(bench.measure());
    rows
}

/// Seconds from the start of the download until the list counts, and what the agent takes for it.
pub fn loading() -> Vec<Row> {
    isolate();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("feed");
    write(&file);
    let list = std::fs::read(&file).expect("it was written");
    let web = Web::with(Page::compressed(&list));
    let feed = format!(
        "name=million;url={};refresh=1d;max_shrink=100",
        web.url("/")
    );
    let server = Kamailio::start(endless().param("feed", &*feed));
    let loaded = |times: usize| {
        wait_until("the feed to be loaded", || {
            server.log().matches("entries, loaded").count() >= times
                && server
                    .kamcmd(&["sec.feeds"])
                    .is_ok_and(|text| text.contains("state: loaded"))
        });
    };
    loaded(1);
    let mut times = Vec::new();
    // Every other list is one line longer: the same one would not be put into the map again.
    for round in 0..5 {
        let more = if round % 2 == 0 { "192.0.2.1\n" } else { "" };
        web.say(Page::compressed(&[&list, more.as_bytes()].concat()));
        let start = Instant::now();
        server
            .kamcmd(&["sec.reload", "million"])
            .expect("it is reloaded");
        loaded(round + 2);
        times.push(start.elapsed().as_secs_f64());
    }
    let memory = resident_mb(&server);
    server.stop();
    let part = "A feed of a million prefixes, loaded from a server";
    vec![
        Row::new(part, "from the order until it counts", "s", times),
        Row::new(
            part,
            "resident memory of the agent after that",
            "MB",
            vec![memory],
        ),
    ]
}

fn resident_mb(server: &Kamailio) -> f64 {
    let pid = server.agent();
    let memory = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let private = memory
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = private.and_then(|text| text.split_whitespace().next());
    kilobytes
        .and_then(|text| text.parse().ok())
        .unwrap_or(f64::NAN)
        / 1024.0
}
