//! Tables of parameter lines and what comes of them.

mod extensions;
mod feeds;
mod rates;
mod whitelists;

use super::*;
use proptest::prelude::*;

/// The files that these tests know.
fn files(path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    match path {
        "/trunks" => Ok(b"192.0.2.1\n198.51.100.0/24 # carrier\n".to_vec()),
        "/agents" => Ok(b"scanner =smap # exactly\n\nsuspect SIP Call\n".to_vec()),
        "/no agents" => Ok(b"scanner\n".to_vec()),
        "/extensions" => Ok("7001\njosé # the boss\nana@b.example\n%4a\n".into()),
        "/empty" => Ok(b"# nothing\n".to_vec()),
        "/other" => Ok(b"203.0.113.1".to_vec()),
        "/wide" => Ok(b"10.0.0.0/7".to_vec()),
        "/bad" => Ok(b"192.0.2.1\nsip..example.com".to_vec()),
        "/names" => Ok(b"# PBX\nPBX.example.org\n".to_vec()),
        "/huge" => Ok(vec![b'\n'; bytes_max + 1]),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Sets `name=value` lines one after the other; each must be accepted.
fn config(lines: &[(&str, &str)]) -> Config {
    let mut config = Config::with_files(files);
    for (name, text) in lines {
        let set = config.set(name, Value::Text(text));
        assert!(set.is_ok(), "{name}={text}: {set:?}");
    }
    config
}

/// What the last line is refused with; all before it must be accepted.
fn refusal(lines: &[(&str, &str)]) -> String {
    let (&(name, text), before) = lines.split_last().expect("a line");
    let mut config = config(before);
    let unchanged = format!("{config:?}");
    let error = config.set(name, Value::Text(text)).expect_err(text);
    assert_eq!(format!("{config:?}"), unchanged, "{name}={text}");
    error
}

/// The warning to the last line.
fn warning(lines: &[(&str, &str)]) -> String {
    let (&(name, text), before) = lines.split_last().expect("a line");
    let set = config(before).set(name, Value::Text(text));
    set.expect(text).unwrap_or_default()
}

#[test]
fn the_listed_defaults_are_the_defaults() {
    let default = Config::default();
    for parameter in PARAMETERS.iter().filter(|p| p.default != "none") {
        let config = config(&[(parameter.name, parameter.default)]);
        assert_eq!(config.policy(), default.policy(), "{}", parameter.name);
        assert_eq!(config.table_size(), default.table_size());
        assert_eq!(config.ledger_size(), default.ledger_size());
        assert_eq!(config.count_table_size(), default.count_table_size());
        assert_eq!(config.snapshot_size(), default.snapshot_size());
        assert_eq!(config.ban_min_prefix(), default.ban_min_prefix());
        assert_eq!(
            config.whitelist_min_prefix(),
            default.whitelist_min_prefix()
        );
        assert_eq!(config.rdns(), default.rdns());
        assert_eq!(config.mode(), default.mode());
        assert_eq!(config.log_level(), default.log_level());
    }
    assert!(default.whitelist().is_empty());
    assert_eq!(default.warnings(), Vec::<String>::new());
}

#[test]
fn names_are_unique_and_described() {
    for (index, parameter) in PARAMETERS.iter().enumerate() {
        let before = &PARAMETERS[..index];
        assert!(before.iter().all(|other| other.name != parameter.name));
        assert!(!parameter.about.is_empty() && !parameter.about.ends_with('.'));
    }
}

#[test]
fn every_parameter_refuses_what_is_no_value_for_it() {
    // Any number is a mask of the dial plan: itself.
    let fits = |name, number: &str| {
        name == "extension_pattern" && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    for parameter in PARAMETERS {
        for text in [
            "",
            "  ",
            "-7",
            "99999999999999999999999",
            "enforcé",
            "a\nb",
            ";",
            "=",
        ] {
            if !text.is_empty() && fits(parameter.name, text) {
                continue;
            }
            let error = refusal(&[(parameter.name, text)]);
            assert!(
                error.starts_with(&format!("{}: \"", parameter.name)),
                "{error}"
            );
            assert!(error.contains("; allowed: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let mut config = Config::default();
        for number in [i64::MIN, -7, i64::MAX] {
            if fits(parameter.name, &number.to_string()) {
                continue;
            }
            let error = config
                .set(parameter.name, Value::Number(number))
                .unwrap_err();
            assert!(
                error.starts_with(&format!("{}: \"{number}\"", parameter.name)),
                "{error}"
            );
        }
    }
}

#[test]
fn single_values_warn_when_given_twice() {
    for parameter in PARAMETERS.iter().filter(|parameter| !parameter.repeatable) {
        let text = match (parameter.name, parameter.default) {
            ("redis_url", _) => "redis://127.0.0.1",
            ("event_callback", _) => "on_event",
            ("agent_file", _) => "/agents",
            ("extension_file", _) => "/extensions",
            ("extension_redis_key", _) => "extensions",
            (_, "none") => "/trunks",
            (_, default) => default,
        };
        let line = (parameter.name, text);
        assert_eq!(warning(&[line]), "");
        let expected = format!(
            "{}: given more than once; \"{text}\" counts",
            parameter.name
        );
        assert_eq!(warning(&[line, line]), expected);
    }
}

#[test]
fn numbers_and_times_are_taken_in_either_form() {
    let mut config = Config::default();
    for (name, value) in [
        ("ban_time", Value::Number(60)),
        ("ban_max_time", Value::Text("2h")),
        ("ban_factor", Value::Text("3")),
        ("ban_memory", Value::Number(0)),
        ("strike_limit", Value::Number(200)),
        ("strike_window", Value::Text(" 1d ")),
        ("whitelist_time", Value::Text("365d")),
        ("whitelist_cooldown", Value::Text("0")),
        ("trust_time", Value::Number(0)),
        ("unban_grace", Value::Text("90s")),
        ("ipv6_prefix", Value::Number(56)),
        ("log_level", Value::Number(-1)),
        ("table_size", Value::Number(1025)),
        ("ledger_size", Value::Text("1024")),
        ("count_table_size", Value::Text("100000")),
        ("snapshot_size", Value::Number(4096)),
        ("mode", Value::Text("shadow")),
        ("agent_check", Value::Number(1)),
        ("extension_threshold", Value::Number(90)),
        ("extension_weight", Value::Text("7")),
        ("extension_forgive", Value::Number(0)),
        ("ban_min_prefix", Value::Text("24/48")),
        ("whitelist_rate", Value::Text("limit=500;window=1m")),
        ("trust_rate", Value::Text("window=5;limit=200")),
    ] {
        assert_eq!(config.set(name, value), Ok(None), "{name}");
    }
    let policy = config.policy();
    let bans = Bans {
        first: 60,
        factor: 3,
        longest: 7200,
        memory: 0,
    };
    assert_eq!(policy.bans, bans);
    assert_eq!((policy.strike_limit, policy.strike_window), (200, 86_400));
    assert_eq!(
        (policy.whitelist_time, policy.whitelist_cooldown),
        (31_536_000, 0)
    );
    assert_eq!((policy.trust_time, policy.unban_grace), (0, 90));
    assert!(policy.agent_check);
    let guessing = policy.extensions;
    let costs = (guessing.threshold, guessing.weight, guessing.forgive);
    assert_eq!(costs, (90, 7, 0));
    assert_eq!(policy.whitelist_rate, Quota::new(500, 60).unwrap());
    assert_eq!(policy.trust_rate, Quota::new(200, 5).unwrap());
    assert_eq!((policy.ipv6_prefix, policy.limits[0].per), (56, (32, 56)));
    assert_eq!((config.table_size(), config.ledger_size()), (2048, 1024));
    assert_eq!(config.count_table_size(), 131_072);
    assert_eq!(config.snapshot_size(), 4096);
    assert_eq!((config.mode(), config.log_level()), (Mode::Shadow, -1));
    assert_eq!(config.ban_min_prefix(), MinPrefix { v4: 24, v6: 48 });
}

#[test]
fn contradictions_are_reported_by_the_second() {
    for (first, second, problem) in [
        (
            ("ban_time", "2h"),
            ("ban_max_time", "1h"),
            "allowed: 2 hours, which is ban_time, to 365 days",
        ),
        (
            ("ban_max_time", "1h"),
            ("ban_time", "2h"),
            "allowed: 1 second to 1 hour, which is ban_max_time",
        ),
        (
            ("rate", "name=burst;per=32/64"),
            ("ipv6_prefix", "56"),
            "is shorter than per=32/64 of rate \"burst\"",
        ),
        (
            ("ipv6_prefix", "56"),
            ("rate", "name=burst;per=32/64"),
            "an IPv6 one from 16 to 56",
        ),
        (
            ("whitelist", "10.0.0.0/8"),
            ("whitelist_min_prefix", "16/32"),
            "is longer than the whitelist's 10.0.0.0/8",
        ),
        (
            ("whitelist_file", "/trunks"),
            ("whitelist_min_prefix", "25/32"),
            "is longer than the whitelist's 198.51.100.0/24",
        ),
        (
            ("whitelist_min_prefix", "16/32"),
            ("whitelist", "10.0.0.0/8"),
            "is shorter than whitelist_min_prefix; allowed: 16/32 or longer",
        ),
        (
            ("whitelist_min_prefix", "16/32"),
            ("whitelist_file", "/wide"),
            "line 1: \"10.0.0.0/7\" is shorter than whitelist_min_prefix 16/32 allows",
        ),
    ] {
        let error = refusal(&[first, second]);
        assert!(
            error.starts_with(second.0) && error.contains(problem),
            "{error}"
        );
    }
}

#[test]
fn defaults_give_way_to_what_was_set() {
    let longest = config(&[("ban_time", "7d")]).policy().bans;
    assert_eq!((longest.first, longest.longest), (604_800, 604_800));
    let shortest = config(&[("ban_max_time", "1m")]).policy().bans;
    assert_eq!((shortest.first, shortest.longest), (60, 60));
    let short_prefix = config(&[("whitelist_min_prefix", "7/7"), ("whitelist", "fc00::/7")]);
    assert!(!short_prefix.whitelist().is_empty());
}

#[test]
fn a_file_of_agents_replaces_the_built_in_list() {
    let built_in = Config::default().user_agents();
    assert!(built_in.find(b"friendly-scanner").is_some());
    let own = config(&[("agent_file", "/agents")]).user_agents();
    assert_eq!(own.len(), 2);
    assert!(own.find(b"smap").is_some() && own.find(b"friendly-scanner").is_none());
    let error = refusal(&[("agent_file", "/no agents")]);
    let start = "agent_file: \"/no agents\" line 1: \"scanner\" has no text; allowed: scanner or";
    assert!(error.starts_with(start), "{error}");
    let error = refusal(&[("agent_file", "/trunks")]);
    assert!(error.contains("does not begin with a tier"), "{error}");
    assert_eq!(
        warning(&[("agent_file", "/empty")]),
        "agent_file: \"/empty\" has no pattern: no User-Agent is known"
    );
}

#[test]
fn unknown_parameters_are_named() {
    let error = refusal(&[("ban_tiem", "300")]);
    assert_eq!(error, "there is no parameter \"ban_tiem\"");
}

/// Texts near enough to real ones to reach every branch.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "name",
        "limit",
        "window",
        "count",
        "per",
        "action",
        "off",
        "burst",
        "=",
        "=",
        ";",
        ";",
        "/",
        ",",
        "-",
        "2",
        "30",
        "64",
        "99999999999999999999",
        "5m",
        "1d",
        "ban",
        "INVITE",
        "failures",
        "192.0.2.1",
        "::1",
        "/trunks",
        "é",
        "\0",
        " ",
    ]);
    prop_oneof![
        prop::collection::vec(word, 0..14).prop_map(|words| words.concat()),
        "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the lines, nothing panics, an error names the parameter and changes nothing, and
    /// what was accepted makes a policy within its bounds.
    #[test]
    fn no_line_panics(lines in prop::collection::vec((0..PARAMETERS.len(), text()), 0..20)) {
        let mut config = Config::with_files(files);
        for (index, text) in lines {
            let name = PARAMETERS[index].name;
            let before = format!("{config:?}");
            if let Err(error) = config.set(name, Value::Text(&text)) {
                prop_assert!(error.starts_with(name) && !error.contains(char::is_control));
                prop_assert_eq!(before, format!("{:?}", config));
            }
            let policy = config.policy();
            prop_assert!(policy.limits.len() <= 4);
            prop_assert!(policy.bans.first <= policy.bans.longest);
            prop_assert!(policy.limits.iter().all(|limit| limit.per.1 <= policy.ipv6_prefix));
            prop_assert!(config.table_size().is_power_of_two());
        }
    }
}
