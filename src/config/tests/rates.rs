//! `rate` lines, and the ceilings beside them.

use super::{config, refusal, warning};
use crate::config::Config;
use crate::engine::policy::{Action, Count};
use crate::gcra::Quota;

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
            "joined by commas: INVITE, CANCEL",
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
