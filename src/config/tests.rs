//! Tables of parameter lines and what comes of them.

use super::*;
use crate::engine::policy::{Action, Count};
use crate::gcra::Quota;
use proptest::prelude::*;

/// The files that these tests know.
fn files(path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    match path {
        "/trunks" => Ok(b"192.0.2.1\n198.51.100.0/24 # carrier\n".to_vec()),
        "/other" => Ok(b"203.0.113.1".to_vec()),
        "/wide" => Ok(b"10.0.0.0/7".to_vec()),
        "/bad" => Ok(b"192.0.2.1\nsip.example.com".to_vec()),
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
        assert_eq!(config.ban_min_prefix(), default.ban_min_prefix());
        assert_eq!(
            config.whitelist_min_prefix(),
            default.whitelist_min_prefix()
        );
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
        let text = match parameter.default {
            "none" => "/trunks",
            default => default,
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
        ("mode", Value::Text("shadow")),
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
    assert_eq!(policy.whitelist_rate, Quota::new(500, 60).unwrap());
    assert_eq!(policy.trust_rate, Quota::new(200, 5).unwrap());
    assert_eq!((policy.ipv6_prefix, policy.limits[0].per), (56, (32, 56)));
    assert_eq!((config.table_size(), config.ledger_size()), (2048, 1024));
    assert_eq!(config.count_table_size(), 131_072);
    assert_eq!((config.mode(), config.log_level()), (Mode::Shadow, -1));
    assert_eq!(config.ban_min_prefix(), MinPrefix { v4: 24, v6: 48 });
}

#[test]
fn rates_are_added_replaced_and_removed() {
    let config = config(&[
        ("rate", "name=sustained;limit=100;window=5m"),
        (
            "rate",
            "name=pw; limit=5; window=1h; count=failures; per=24/48; action=limit",
        ),
        (
            "rate",
            "count=INVITE,REGISTER;limit=7;name=calls;window=1;action=shadow",
        ),
        ("rate", "name=sustained;limit=200;window=10m"),
        ("rate", "name=burst;off"),
    ]);
    let limits = config.policy().limits;
    let names: Vec<&str> = limits.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["sustained", "pw", "calls"]);
    assert_eq!(limits[0].quota, Quota::new(200, 600).unwrap());
    assert_eq!(
        (limits[0].count, limits[0].action),
        (Count::Requests, Action::Ban)
    );
    assert_eq!(
        (limits[1].count, limits[1].action),
        (Count::Failures, Action::Limit)
    );
    assert_eq!((limits[1].per, limits[2].per), ((24, 48), (32, 64)));
    assert_eq!(limits[2].count, Count::Methods(0b10_0001));
    assert_eq!(limits[2].action, Action::Shadow);
}

#[test]
fn keys_that_are_missing_for_burst_keep_its_defaults() {
    for (line, limit, window) in [
        ("name=burst;limit=50", 50, 2),
        ("name=burst;window=4", 30, 4),
        ("name=burst;per=24/48", 30, 2),
        ("name=burst", 30, 2),
    ] {
        let limits = config(&[("rate", line)]).policy().limits;
        assert_eq!(limits.len(), 1);
        assert_eq!(
            limits[0].quota,
            Quota::new(limit, window).unwrap(),
            "{line}"
        );
    }
    let again = config(&[("rate", "name=burst;off"), ("rate", "name=burst")]);
    assert_eq!(again.policy().limits, Config::default().policy().limits);
    assert_eq!(config(&[("rate", "name=burst;off")]).policy().limits, []);
}

#[test]
fn rates_written_badly_are_refused() {
    for (line, problem) in [
        ("30", "has an odd part \"30\""),
        ("limit=30;window=2", "has no name="),
        ("name=a;window=2", "has no limit="),
        ("name=a;limit=3", "has no window="),
        ("name=a;limit=3;window=2;", "has an empty part"),
        (
            "name=a;limit=3;window=2;burst=1",
            "has an unknown key \"burst\"",
        ),
        ("name=a;limit=3;limit=4;window=2", "has limit twice"),
        ("name=;limit=3;window=2", "has no value for name"),
        (
            "name=a b;limit=3;window=2",
            "is not a name; allowed: letters",
        ),
        (
            "name=aaaaaaaaaaaaaaaaaaaaaaaaa;limit=3;window=2",
            "is not a name",
        ),
        (
            "name=a;limit=0;window=2",
            "allowed: a whole number from 1 to 125000",
        ),
        (
            "name=a;limit=62501;window=1",
            "from 1 to 62500, that is 62500 a second",
        ),
        ("name=a;limit=5400000000;window=1d", "from 1 to 4294967295"),
        (
            "name=a;limit=-3;window=2",
            "rate: limit \"-3\" in \"name=a;limit=-3;window=2\" is not a",
        ),
        ("name=a;limit=3;window=0", "window \"0\" in"),
        ("name=a;limit=3;window=2d", "allowed: 1 second to 1 day"),
        ("name=burst;window=1;limit=62501", "is out of range"),
        (
            "name=a;limit=3;window=2;count=invite",
            "is not what can be counted",
        ),
        (
            "name=a;limit=3;window=2;count=INVITE,",
            "is not what can be counted",
        ),
        (
            "name=a;limit=3;window=2;count=requests,INVITE",
            "joined by commas: INVITE, ACK",
        ),
        (
            "name=a;limit=3;window=2;action=drop",
            "allowed: ban, limit, shadow",
        ),
        ("name=a;limit=3;window=2;per=24", "as 24/48"),
        ("name=a;limit=3;window=2;per=33/64", "from 8 to 32"),
        ("name=a;limit=3;window=2;per=32/128", "from 16 to 64"),
        ("name=a;off", "has the name of no rate (there are: burst)"),
        ("name=burst;off;limit=3", "has more than a name beside off"),
        ("off", "has no name="),
    ] {
        let error = refusal(&[("rate", line)]);
        assert!(
            error.starts_with("rate: ") && error.contains(problem),
            "{error}"
        );
        assert!(error.contains("; allowed: "), "{error}");
    }
}

#[test]
fn there_are_four_rates_at_most() {
    let (a, b, c) = (
        ("rate", "name=a;limit=1;window=2"),
        ("rate", "name=b;limit=1;window=2"),
        ("rate", "name=c;limit=1;window=2"),
    );
    let fifth = ("rate", "name=d;limit=1;window=2");
    let error = refusal(&[a, b, c, fifth]);
    assert!(
        error.contains("is one too many: there are 4 rates already"),
        "{error}"
    );
    assert_eq!(warning(&[a, b, c, ("rate", "name=burst;off"), fifth]), "");
    let replaced = warning(&[a, b, c, ("rate", "name=b;limit=9;window=2")]);
    assert_eq!(
        replaced,
        "rate: \"b\" is given more than once; the last counts"
    );
    assert_eq!(warning(&[("rate", "name=burst;limit=9")]), "");
}

#[test]
fn contradictions_are_reported_by_the_second() {
    for (first, second, problem) in [
        (
            ("ban_time", "2h"),
            ("ban_max_time", "1h"),
            "allowed: 2 hours or more, as ban_time is",
        ),
        (
            ("ban_max_time", "1h"),
            ("ban_time", "2h"),
            "at most that, as ban_max_time is 1 hour",
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
fn whitelists_add_up_and_files_replace() {
    let config = config(&[
        ("whitelist", "203.0.113.7"),
        ("whitelist", "2001:db8::5, 10.1.0.0/16 ,172.16.0.0/12"),
        ("whitelist_file", "/other"),
        ("whitelist_file", "/trunks"),
    ]);
    assert_eq!(config.whitelist_file(), Some("/trunks"));
    let map = config.whitelist();
    for (address, expected) in [
        ("203.0.113.7", true),
        ("203.0.113.8", false),
        ("2001:db8::5", true),
        ("2001:db8::6", false),
        ("::ffff:10.1.2.3", true),
        ("172.31.255.255", true),
        ("192.0.2.1", true),
        ("198.51.100.200", true),
        ("203.0.113.1", false),
    ] {
        let found = map.get(address.parse().unwrap()).is_some();
        assert_eq!(found, expected, "{address}");
    }
}

#[test]
fn whitelists_written_badly_are_refused() {
    for (name, text, problem) in [
        (
            "whitelist",
            "sip.example.com",
            "is not an address or a prefix; allowed: IPv4 or",
        ),
        (
            "whitelist",
            "192.0.2.1,",
            "whitelist: \"\" is not an address",
        ),
        ("whitelist", "192.0.2.1 192.0.2.2", "is not an address"),
        (
            "whitelist",
            "192.0.2.1,192.0.2.0/40",
            "whitelist: \"192.0.2.0/40\" has a bad prefix",
        ),
        (
            "whitelist",
            "0.0.0.0/0",
            "is shorter than whitelist_min_prefix; allowed: 8/19 or",
        ),
        (
            "whitelist_file",
            "/missing",
            "\"/missing\" cannot be read: entity not found",
        ),
        ("whitelist_file", "trunks", "is not an absolute path"),
        ("whitelist_file", "/tru\0nks", "is not an absolute path"),
        (
            "whitelist_file",
            "/bad",
            "\"/bad\" line 2: \"sip.example.com\" is not an address",
        ),
        (
            "whitelist_file",
            "/huge",
            "\"/huge\" is too large; allowed: 16 MiB",
        ),
    ] {
        let error = refusal(&[(name, text)]);
        assert!(
            error.starts_with(name) && error.contains(problem),
            "{error}"
        );
    }
    assert_eq!(
        warning(&[("whitelist", "192.0.2.77/24")]),
        "whitelist: \"192.0.2.77/24\" is taken as 192.0.2.0/24"
    );
    let unreadable = Config::default().set("whitelist_file", Value::Text("/trunks"));
    assert!(unreadable.unwrap_err().contains("cannot be read"));
}

#[test]
fn ceilings_below_an_ordinary_limit_are_pointed_out() {
    let wide = config(&[("rate", "name=burst;limit=200")]);
    assert_eq!(
        wide.warnings(),
        ["trust_rate: limit=120;window=2 is stricter than rate \"burst\" with limit=200;window=2"]
    );
    let both = [
        ("rate", "name=burst;limit=200"),
        ("trust_rate", "limit=400;window=2"),
    ];
    assert!(config(&both).warnings().is_empty());
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
