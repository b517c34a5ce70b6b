//! The parameters under `kamailio -c`: what is taken, and the sentence for what is not.

use std::fs;

use super::{Config, flood, server, start};
use crate::host::Check;

/// Values that each parameter takes, besides its default.
const GOOD: &[(&str, &[&str])] = &[
    (
        "rate",
        &[
            "name=burst;limit=16;window=2",
            "name=sustained;limit=100;window=5m",
            "name=calls;limit=5;window=1m;count=INVITE;per=24/56;action=limit",
            "name=wrong;limit=3;window=1h;count=failures;action=shadow",
            "name=burst;off",
            "window=1d;limit=1;name=slow",
        ],
    ),
    ("table_size", &["1024", "1048576"]),
    ("ledger_size", &["1024", "262144"]),
    ("count_table_size", &["1024", "65536"]),
    ("ipv6_prefix", &["48", "56", "64"]),
    ("ban_time", &["1", "300", "300s", "5m", "1h", "1d"]),
    ("ban_factor", &["1", "2", "10"]),
    ("ban_max_time", &["1d", "7d"]),
    ("ban_memory", &["1h", "1d"]),
    ("strike_limit", &["1", "10", "200"]),
    ("strike_window", &["1", "10m"]),
    (
        "whitelist",
        &["10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "2001:db8::1"],
    ),
    ("whitelist_time", &["1h"]),
    (
        "whitelist_rate",
        &["limit=300;window=2", "window=1m;limit=5"],
    ),
    ("whitelist_cooldown", &["10m", "1"]),
    ("trust_time", &["1h"]),
    ("trust_rate", &["limit=120;window=2"]),
    ("unban_grace", &["60s", "0"]),
    ("ban_min_prefix", &["16/32", "24/48"]),
    ("whitelist_min_prefix", &["8/19", "16/32"]),
    ("extension_pattern", &["7XXX", "_9.", "[2-57]ZN", "*43#"]),
    ("extension_threshold", &["76", "100"]),
    ("extension_methods", &["REGISTER", "INVITE, MESSAGE"]),
    ("extension_weight", &["1", "200"]),
    ("extension_forgive", &["0", "20"]),
    ("agent_check", &["0", "1"]),
    ("mode", &["enforce", "shadow"]),
    ("statsd", &["localhost:8125", "192.0.2.1:1", "off"]),
    (
        "graphite",
        &["graphite.example.com:2003", "[2001:db8::1]:2003", "off"],
    ),
    ("metrics_prefix", &["kamailio", "voip.node-1.sec"]),
    ("metrics_interval", &["1", "10s", "5m"]),
    ("event_callback", &["ksr_sec_event", "_f", "Sec.event"]),
    ("log_level", &["1", "-1", "3"]),
];

/// Values that each refuses: empty, negative, huge, misspelt.
const BAD: &[(&str, &[&str])] = &[
    (
        "rate",
        &[
            "",
            "-5",
            "30",
            "name=x",
            "limit=30;window=2",
            "name=x;limit=30",
            "name=x;window=2",
            "name=x;off",
            "name=burst;limit=0;window=2",
            "name=burst;limit=-1;window=2",
            "name=burst;limit=30;window=0",
            "name=burst;limit=30;window=2d",
            "name=burst;limit=125001;window=2",
            "name=burst;limit=99999999999999999999;window=2",
            "name=burst;limt=30;window=2",
            "name=burst;limit=thirty;window=2",
            "name=burst;limit=30;limit=40;window=2",
            "name=burst;limit=30;window=2;count=INVTE",
            "name=burst;limit=30;window=2;per=33/64",
            "name=burst;limit=30;window=2;per=24",
            "name=burst;limit=30;window=2;action=kill",
            "name=;limit=30;window=2",
            "name=b u r s t;limit=30;window=2",
            "name=a_name_that_is_far_too_long_for_any_operator;limit=30;window=2",
            "name=burst;on",
        ],
    ),
    (
        "table_size",
        &["", "0", "-5", "many", "99999999999999999999", "1e6"],
    ),
    (
        "ledger_size",
        &["", "0", "-5", "many", "99999999999999999999"],
    ),
    (
        "count_table_size",
        &["", "0", "-5", "many", "99999999999999999999"],
    ),
    ("ipv6_prefix", &["", "0", "-5", "47", "65", "/64", "many"]),
    (
        "ban_time",
        &[
            "",
            "0",
            "-5",
            "5 minutes",
            "5w",
            "99999999999999999999",
            "1.5h",
        ],
    ),
    (
        "ban_factor",
        &["", "0", "-5", "two", "99999999999999999999"],
    ),
    (
        "ban_max_time",
        &["", "0", "-5", "ever", "99999999999999999999d"],
    ),
    ("ban_memory", &["", "-5", "ever", "99999999999999999999d"]),
    (
        "strike_limit",
        &["", "0", "-5", "ten", "99999999999999999999"],
    ),
    (
        "strike_window",
        &["", "0", "-5", "ten", "99999999999999999999"],
    ),
    (
        "whitelist",
        &[
            "",
            "-5",
            "10.0.0.300",
            "10.0.0.0/33",
            "10.0.0.0/4",
            "::/0",
            "1.2.3",
        ],
    ),
    ("whitelist_file", &["", "/nowhere/to/be/found"]),
    (
        "whitelist_time",
        &["", "0", "-5", "ever", "99999999999999999999"],
    ),
    (
        "whitelist_rate",
        &[
            "",
            "-5",
            "limit=300",
            "limit=0;window=2",
            "name=x;limit=3;window=2",
        ],
    ),
    (
        "whitelist_cooldown",
        &["", "-5", "ever", "99999999999999999999"],
    ),
    ("trust_time", &["", "-5", "ever", "99999999999999999999"]),
    (
        "trust_rate",
        &[
            "",
            "-5",
            "limit=120",
            "limit=0;window=2",
            "limit=120;window=-2",
        ],
    ),
    ("unban_grace", &["", "-5", "ever", "99999999999999999999"]),
    (
        "ban_min_prefix",
        &["", "-5", "16", "33/32", "16/129", "a/b"],
    ),
    (
        "whitelist_min_prefix",
        &["", "-5", "8", "33/19", "8/129", "a/b"],
    ),
    ("mode", &["", "-5", "enforced", "SHADOW", "off"]),
    (
        "statsd",
        &["", "-5", "localhost", "localhost:0", "a b:1", "::1:8125"],
    ),
    (
        "graphite",
        &["", "-5", "localhost", "localhost:65536", "http://x:80"],
    ),
    ("metrics_prefix", &["", ".", "a..b", "a b", "a:b"]),
    ("metrics_interval", &["", "0", "-5", "2d", "often"]),
    ("event_callback", &["", "-5", "5", "two words", "f()"]),
    ("log_level", &["", "-99", "99", "debug"]),
];

/// The lines of the check that the module wrote as errors.
fn errors(check: &Check) -> String {
    let ours =
        |line: &&str| line.contains("sec") && (line.contains("ERROR") || line.contains("CRITICAL"));
    check
        .log
        .lines()
        .filter(ours)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn good_values_are_taken_without_a_word() {
    for (name, values) in GOOD {
        for value in *values {
            let check = Config::new().param(name, *value).check();
            assert!(check.accepted, "{name}=\"{value}\": {}", check.log);
            assert_eq!(errors(&check), "", "{name}=\"{value}\"");
        }
    }
}

#[test]
fn numbers_and_times_are_taken_as_integers_too() {
    for (name, values) in GOOD {
        let numbers = values.iter().filter_map(|value| value.parse::<i64>().ok());
        for number in numbers {
            let check = Config::new().param(name, number).check();
            assert!(check.accepted, "{name}={number}: {}", check.log);
        }
    }
}

#[test]
fn a_bad_value_gets_a_sentence_with_its_name_itself_and_what_is_allowed() {
    for (name, values) in BAD {
        for value in *values {
            let check = Config::new().param(name, *value).check();
            assert!(!check.accepted, "{name}=\"{value}\" was taken");
            let said = errors(&check);
            for part in [*name, *value] {
                assert!(
                    said.contains(part),
                    "`{part}` in the error of {name}=\"{value}\": {said}"
                );
            }
            assert!(!check.log.contains("panicked"), "{}", check.log);
        }
    }
}

#[test]
fn a_bad_integer_too() {
    for (name, values) in BAD {
        for number in values.iter().filter_map(|value| value.parse::<i32>().ok()) {
            let check = Config::new().param(name, i64::from(number)).check();
            assert!(!check.accepted, "{name}={number} was taken");
            let said = errors(&check);
            for part in [*name, &number.to_string()] {
                assert!(
                    said.contains(part),
                    "`{part}` in the error of {name}={number}: {said}"
                );
            }
        }
    }
}

#[test]
fn a_misspelt_parameter_is_refused_by_its_name() {
    let check = Config::new().param("ban_tme", 300).check();
    assert!(!check.accepted);
    assert!(check.log.contains("ban_tme"), "{}", check.log);
}

#[test]
fn of_two_values_the_last_counts_with_a_warning() {
    let config = Config::new()
        .param("mode", "enforce")
        .param("mode", "shadow");
    let check = config.check();
    assert!(check.accepted, "{}", check.log);
    let warned = |line: &str| line.contains("WARNING") && line.contains("mode");
    assert!(check.log.lines().any(warned), "{}", check.log);
    let server = start(config);
    assert!(
        server
            .kamcmd(&["sec.mode"])
            .expect("it tells")
            .contains("shadow")
    );
}

#[test]
fn of_two_limits_of_one_name_the_last_counts() {
    let config = Config::new()
        .param("rate", "name=burst;limit=5;window=1h")
        .param("rate", "name=burst;limit=10;window=1h");
    let _server = start(config);
    let codes = flood("203.0.113.1", 11);
    assert_eq!(codes[..10], [1; 10]);
    assert_eq!(codes[10], -2);
}

#[test]
fn a_fifth_limit_is_one_too_many() {
    let mut config = Config::new();
    for name in ["one", "two", "three"] {
        config = config.param("rate", &*format!("name={name};limit=5;window=1h"));
    }
    assert!(config.check().accepted, "four with the default");
    let check = config.param("rate", "name=four;limit=5;window=1h").check();
    assert!(!check.accepted);
    assert!(errors(&check).contains("four"), "{}", check.log);
}

#[test]
fn contradictions_are_found_whichever_comes_second() {
    for (one, other) in [
        (("ban_time", "1h"), ("ban_max_time", "1m")),
        (("ban_max_time", "1m"), ("ban_time", "1h")),
    ] {
        let check = Config::new()
            .param(one.0, one.1)
            .param(other.0, other.1)
            .check();
        assert!(!check.accepted, "{one:?} and {other:?}");
        let said = errors(&check);
        assert!(
            said.contains("ban_time") && said.contains("ban_max_time"),
            "{said}"
        );
    }
}

#[test]
fn a_list_file_with_a_bad_line_is_refused_with_its_number() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("whitelist");
    fs::write(&file, "10.0.0.1\n\n# fine\n10.0.0.0/99\n").expect("it can be written");
    let check = Config::new().param("whitelist_file", &*file).check();
    assert!(!check.accepted);
    let said = errors(&check);
    for part in [
        "whitelist_file",
        &file.display().to_string(),
        "4",
        "10.0.0.0/99",
    ] {
        assert!(said.contains(part), "`{part}` in {said}");
    }
}

#[test]
fn the_defaults_need_no_line() {
    let server = server();
    let status = server.kamcmd(&["sec.status"]).expect("it answers");
    assert!(status.contains("enforce"), "{status}");
}
