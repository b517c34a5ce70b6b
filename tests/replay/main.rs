//! `sec-replay` as an operator runs it: a configuration and a capture in, a report out.
//!
//! `traffic.rs` writes captures of its own; `server.rs` compares the replay of a real capture with
//! what the real server said.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

mod server;
mod traffic;

use std::fs;
use std::path::Path;
use std::process::Command;

use host::Config;
use tempfile::TempDir;
use traffic::{SERVER, Traffic, options};

/// What the program did.
struct Outcome {
    code: i32,
    report: String,
    complaint: String,
}

/// Runs it in a folder with these words.
fn run(folder: &Path, words: &[&str]) -> Outcome {
    let done = Command::new(env!("CARGO_BIN_EXE_sec-replay"))
        .args(words)
        .current_dir(folder)
        .output()
        .expect("it can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: done.status.code().unwrap_or(-1),
        report: text(&done.stdout),
        complaint: text(&done.stderr),
    }
}

/// A folder with a configuration and a capture.
fn folder(configuration: &str, capture: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    fs::write(folder.path().join("k.cfg"), configuration).expect("it can be written");
    fs::write(folder.path().join("t.pcap"), capture).expect("it can be written");
    folder
}

/// Small tables, so that the test is quick.
const SMALL: &str = "loadmodule \"sec.so\"\nmodparam(\"sec\", \"table_size\", 1024)\n";

/// The report about this traffic, with small tables.
fn report(traffic: &Traffic) -> String {
    let folder = folder(SMALL, &traffic.file());
    let outcome = run(folder.path(), &["--config", "k.cfg", "t.pcap"]);
    assert_eq!((outcome.code, outcome.complaint.as_str()), (0, ""));
    outcome.report
}

/// The verdicts in the file that `--csv` writes.
fn verdicts(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("v.csv")).expect("it was written");
    let lines = text.lines().skip(1);
    lines
        .filter_map(|line| line.split(',').nth(4).map(str::to_owned))
        .collect()
}

#[test]
fn time_is_that_of_the_packets() {
    let mut traffic = Traffic::default();
    for number in 0..32 {
        traffic.request(number, "203.0.113.9", SERVER, &options(""));
    }
    for second in [299, 300, 301] {
        traffic.request(second * 1000 + 30, "203.0.113.9", SERVER, &options(""));
    }
    let folder = folder(SMALL, &traffic.file());
    let outcome = run(
        folder.path(),
        &["--config", "k.cfg", "--csv", "v.csv", "t.pcap"],
    );
    assert_eq!((outcome.code, outcome.complaint.as_str()), (0, ""));
    let verdicts = verdicts(folder.path());
    let allowed = vec!["1"; 30];
    assert_eq!(verdicts[..30], allowed);
    assert_eq!(verdicts[30..], ["-2", "-1", "-1", "1", "1"]);
    let line = "203.0.113.9        35       3       0  2025-11-20 08:00:00.030     1  5 min       rate:burst";
    assert!(outcome.report.contains(line), "{}", outcome.report);
    assert!(outcome.report.contains(
        "2025-11-20 08:00:00.030  ban   203.0.113.9  5 min  2025-11-20 08:05:00  rate:burst"
    ));
}

#[test]
fn only_requests_to_the_server_count() {
    let mut traffic = Traffic::default();
    for number in 0..40 {
        traffic.request(number, "203.0.113.9", SERVER, &options(""));
        if number < 35 {
            traffic.request(number, SERVER, "198.51.100.20", &options(""));
        }
        if number < 33 {
            traffic.request(number, "203.0.113.9", "198.51.100.30", &options(""));
        }
    }
    let found = report(&traffic);
    for part in [
        "server    192.0.2.10 (the address that most requests went to; --local names others)",
        "not decided: 68 requests to others (35 to 198.51.100.20, 33 to 198.51.100.30), 35 of them from the server",
        "decided   40 requests from 1 source: 30 allowed, 10 denied",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    let folder = folder(SMALL, &traffic.file());
    let words = ["--config", "k.cfg", "--local", "198.51.100.30", "t.pcap"];
    let other = run(folder.path(), &words).report;
    assert!(
        other.contains("decided   33 requests from 1 source: 30 allowed, 3 denied"),
        "{other}"
    );
    assert!(
        other.contains("server    198.51.100.30 (as --local says)"),
        "{other}"
    );
}

#[test]
fn other_traffic_is_counted_and_said() {
    let mut traffic = Traffic::default();
    traffic.request(0, "203.0.113.9", SERVER, &options(""));
    traffic.request(1, "203.0.113.9", SERVER, b"\0\x01 no SIP");
    traffic.packet(2, 6, 0, "203.0.113.9", SERVER, &[0; 20]);
    traffic.packet(3, 17, 100, "203.0.113.9", SERVER, b"the rest of something");
    traffic.packet(4, 1, 0, "203.0.113.9", SERVER, b"ping");
    let found = report(&traffic);
    let line = "1 SIP request, 0 replies, 1 of other UDP, 1 of TCP (skipped), 1 later fragments (skipped; the first one counts), 1 of other protocols";
    assert!(found.contains(line), "{found}");
    assert!(found.contains("Nobody would have been denied."), "{found}");
    let mut nothing = Traffic::default();
    nothing.packet(0, 6, 0, "203.0.113.9", SERVER, &[0; 20]);
    let folder = folder(SMALL, &nothing.file());
    let outcome = run(folder.path(), &["--config", "k.cfg", "t.pcap"]);
    let sentence = "t.pcap has no SIP over UDP: 0 SIP requests, 0 replies, 1 of TCP (skipped)";
    assert!(
        outcome.code == 1 && outcome.complaint.contains(sentence),
        "{}",
        outcome.complaint
    );
}

#[test]
fn a_capture_that_is_cut_off_is_replayed_up_to_there() {
    let mut traffic = Traffic::default();
    for number in 0..40 {
        traffic.request(number, "203.0.113.9", SERVER, &options(""));
    }
    let whole = traffic.file();
    let folder = folder(SMALL, &whole[..whole.len() - 7]);
    let outcome = run(folder.path(), &["--config", "k.cfg", "t.pcap"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.report.contains("decided   39 requests"),
        "{}",
        outcome.report
    );
    assert!(
        outcome
            .complaint
            .contains("t.pcap is cut off in the middle of packet 40, at byte ")
    );
}

#[test]
fn a_wrong_parameter_gets_the_modules_own_sentence() {
    let folder = folder("modparam(\"sec\", \"ban_time\", \"-5\")\n", b"");
    let outcome = run(folder.path(), &["--config", "k.cfg", "t.pcap"]);
    let sentence = outcome
        .complaint
        .trim()
        .strip_prefix("sec-replay: k.cfg:1: ");
    let sentence = sentence.expect("file and line come first").to_owned();
    assert_eq!(outcome.code, 1);
    let check = Config::new().param("ban_time", "-5").check();
    assert!(
        !check.accepted && check.log.contains(&sentence),
        "{sentence}: {}",
        check.log
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let capture = Traffic::default().file();
    for (configuration, words, part) in [
        (SMALL, &["t.pcap"][..], "--config FILE is missing"),
        (
            SMALL,
            &["--config", "absent.cfg", "t.pcap"],
            "absent.cfg: cannot be read",
        ),
        (
            SMALL,
            &["--config", "k.cfg", "absent.pcap"],
            "absent.pcap: No such file",
        ),
        (
            SMALL,
            &["--config", "k.cfg", "k.cfg"],
            "k.cfg is no capture: neither pcap nor pcapng",
        ),
        (
            SMALL,
            &["--config", "k.cfg", "t.pcap"],
            "t.pcap has no SIP over UDP",
        ),
        (
            "debug=2\n",
            &["--config", "k.cfg", "t.pcap"],
            "neither loads sec.so nor sets",
        ),
    ] {
        let folder = folder(configuration, &capture);
        let outcome = run(folder.path(), words);
        assert!(
            outcome.code > 0 && outcome.complaint.contains(part),
            "{}",
            outcome.complaint
        );
        assert_eq!(outcome.report, "");
    }
}

#[test]
fn what_is_not_known_is_said() {
    let mut traffic = Traffic::default();
    traffic.request(0, "203.0.113.9", SERVER, &options(""));
    let configuration = format!(
        "{SMALL}modparam(\"sec\", \"mode\", \"shadow\")\n\
         modparam(\"sec\", \"redis_url\", \"redis://127.0.0.1\")\n\
         modparam(\"sec\", \"rdns_trusted\", \"example.com\")\n\
         modparam(\"sec\", \"whitelist\", \"pbx.example.com\")\n\
         #!defenv HOME\n"
    );
    let folder = folder(&configuration, &traffic.file());
    let outcome = run(folder.path(), &["--config", "k.cfg", "t.pcap"]);
    for part in [
        "* mode is shadow: it was replayed as if it were enforce",
        "* redis_url: Redis was not read.",
        "* rdns_trusted: no name was looked up.",
        "* whitelist: names were not looked up (pbx.example.com).",
        "* k.cfg:7: #!defenv is not followed",
        "* At the first packet nobody is known",
    ] {
        assert!(outcome.report.contains(part), "{part}: {}", outcome.report);
    }
}

#[test]
fn a_strangers_text_can_break_neither_table_nor_drawing() {
    let mut traffic = Traffic::default();
    for number in 0..40 {
        let hostile = options("<script>\"\x1b[31m&");
        traffic.request(number, "203.0.113.9", SERVER, &hostile);
    }
    let folder = folder(SMALL, &traffic.file());
    let outcome = run(
        folder.path(),
        &["--config", "k.cfg", "--svg", "o.svg", "t.pcap"],
    );
    assert!(
        outcome.report.contains("<script>\\x22\\x1b[31m&"),
        "{}",
        outcome.report
    );
    let drawing = fs::read_to_string(folder.path().join("o.svg")).expect("it was drawn");
    assert!(
        drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"),
        "{drawing}"
    );
    assert!(!drawing.contains("script") && !drawing.contains('\x1b'));
    let banned = "203.0.113.9: banned at 2025-11-20 08:00:00.030 for 5 min, rate:burst";
    assert!(drawing.contains(banned), "{drawing}");
}
