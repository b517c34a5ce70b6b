//! The README's pieces of configuration: Kamailio itself takes every one of them.

use std::fs;

use crate::README;
use crate::host::{Config, isolate};

/// The modules that the pieces need.
const MODULES: [&str; 18] = [
    "kex",
    "corex",
    "tm",
    "sl",
    "pv",
    "textops",
    "siputils",
    "sanity",
    "xlog",
    "cfgutils",
    "ctl",
    "xhttp",
    "xhttp_prom",
    "htable",
    "pike",
    "ndb_redis",
    "exec",
    "sec",
];

/// Every block that is marked as configuration, without the indentation of a list around it.
fn blocks() -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in README.lines() {
        let text = line.trim_start();
        if text == "```cfg" {
            open = Some((line.len() - text.len(), String::new()));
        } else if text == "```" {
            found.extend(open.take().map(|(_, block)| block));
        } else if let Some((indent, block)) = &mut open {
            *block += line.get(*indent..).unwrap_or_default();
            block.push('\n');
        }
    }
    assert!(open.is_none(), "a block of code does not end");
    found
}

/// The configuration around a block, if it has a route or statements of one.
fn configuration(block: &str) -> Option<String> {
    let is_setting = |line: &&str| line.starts_with("modparam") || line.starts_with("loadmodule");
    let mut settings: String = MODULES
        .map(|name| format!("loadmodule \"{name}.so\"\n"))
        .concat();
    for line in block.lines().filter(|line| line.starts_with("modparam")) {
        settings += &format!("{line}\n");
    }
    let rest: Vec<&str> = block.lines().filter(|line| !is_setting(line)).collect();
    let body = rest.join("\n");
    if body.trim().is_empty() {
        return None; // parameters alone, which `every_example_line_is_taken` sets
    }
    let has = |word: &str| rest.iter().any(|line| line.starts_with(word));
    let routes = if has("request_route") {
        body
    } else if has("route[") {
        format!("{body}\nrequest_route {{ route(PROTECT); }}")
    } else if has("event_route[") {
        format!("{body}\nrequest_route {{ exit; }}")
    } else {
        format!("request_route {{\n{body}\n}}")
    };
    Some(format!("#!KAMAILIO\n{settings}{routes}\n"))
}

#[test]
fn kamailio_takes_every_piece_of_configuration() {
    isolate();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("kamailio.cfg");
    let pieces: Vec<String> = blocks()
        .iter()
        .filter_map(|block| configuration(block))
        .collect();
    assert!(pieces.len() > 15, "only {} pieces were found", pieces.len());
    for piece in pieces {
        fs::write(&file, &piece).expect("the configuration can be written");
        let check = Config::of_file(&file, &[]).check();
        assert!(check.accepted, "{piece}\n{}", check.log);
    }
}
