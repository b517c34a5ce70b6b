//! Lines of `feed` and `feed_dir`.

use super::*;
use crate::config::feeds::{Feed, Origin};
use crate::engine::policy::FeedAction;
use crate::feed::Format;

fn feed(text: &str) -> Feed {
    let config = config(&[("feed", text)]);
    config.feeds().list[0].clone()
}

#[test]
fn a_feed_is_read_with_its_defaults() {
    let blocklist = feed("name=voipbl;url=https://voipbl.org/update/");
    assert_eq!(blocklist.format, Format::List);
    assert_eq!((blocklist.refresh, blocklist.ttl), (3600, None));
    assert_eq!(
        (blocklist.action, blocklist.max_shrink),
        (FeedAction::Deny, 50)
    );
    assert_eq!(blocklist.shown, "https://voipbl.org/update/");

    let file = feed("name=own;url=file:///var/lib/x;action=ban;refresh=1m;ttl=1d;max_shrink=100");
    assert_eq!(file.origin, Origin::File("/var/lib/x".into()));
    assert_eq!((file.refresh, file.ttl), (60, Some(86_400)));
    assert_eq!((file.action, file.max_shrink), (FeedAction::Ban, 100));

    let Origin::Web(url) = feed("name=apiban;format=apiban;key=s3cret").origin else {
        panic!("it comes from the web");
    };
    assert_eq!(url.reveal(), "https://apiban.org/api/s3cret/banned/");
    let apiban = feed("name=a;format=apiban;key=s3cret;url=http://127.0.0.1:8080/api/");
    assert_eq!((apiban.refresh, apiban.ttl), (300, Some(604_800)));
    assert_eq!(apiban.shown, "http://127.0.0.1:8080/api/");
}

#[test]
fn a_key_goes_where_it_is_wanted_and_nowhere_else() {
    let text =
        "name=x;url=https://u:pw@example.com/{key}/list?t=pw&k={key};key=s3cret;format=csv:2";
    let config = config(&[("feed", text)]);
    let feed = &config.feeds().list[0];
    let Origin::Web(url) = &feed.origin else {
        panic!("it comes from the web");
    };
    assert_eq!(
        url.reveal(),
        "https://u:pw@example.com/s3cret/list?t=pw&k=s3cret"
    );
    assert_eq!(feed.shown, "https://example.com/{key}/list");
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("pw"),
        "{shown}"
    );
    for slip in [
        ";refresh=x",
        ";x=1",
        ";action=no",
        ";ttl=0",
        ";max_shrink=101",
        ";format=xml",
        ";key=b",
        ";;",
        ";x",
    ] {
        let line = format!("{text}{slip}");
        let error = refusal(&[("feed", &line)]);
        assert!(
            !error.contains("s3cret") && !error.contains("pw"),
            "{error}"
        );
    }
}

#[test]
fn every_slip_has_its_sentence() {
    for (text, problem) in [
        ("url=file:///x", "has no name="),
        ("name=x", "has no url="),
        ("name=a b;url=file:///x", "is not a name"),
        ("name=whitelist_file;url=file:///x", "is not a name"),
        (
            "name=x;url=file://x",
            "is not where this feed can come from",
        ),
        (
            "name=x;url=file:///x/",
            "is not where this feed can come from",
        ),
        (
            "name=x;url=file:///x;format=apiban;key=k",
            "is not where this feed can come from",
        ),
        ("name=x;url=ftp://h/x", "is not the address of a list"),
        ("name=x;url=https:///x", "is not the address of a list"),
        (
            "name=x;url=https://h:99999/x",
            "is not the address of a list",
        ),
        ("name=x;url=https://h/ x", "is not the address of a list"),
        ("name=x;url=https://h/{key}", "there is no key="),
        (
            "name=x;url=https://h/;key=k",
            "does not say where the key goes",
        ),
        ("name=x;format=apiban", "has no key=, which APIBAN asks for"),
        (
            "name=x;url=https://h/{key};key=a/b",
            "has a key that does not fit",
        ),
        ("name=x;url=https://h/;format=csv", "is not a format"),
        (
            "name=x;url=https://h/;action=drop",
            "allowed: deny, ban, strike, shadow",
        ),
        ("name=x;url=https://h/;refresh=0", "is out of range"),
    ] {
        let error = refusal(&[("feed", text)]);
        assert!(error.contains(problem), "{error}");
    }
    let lines: Vec<String> = (0..13)
        .map(|n| format!("name=f{n};url=file:///x"))
        .collect();
    let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("feed", &**line)).collect();
    assert!(refusal(&lines).contains("there are 12 feeds already"));
}

#[test]
fn what_is_doubtful_is_said() {
    let plain = warning(&[("feed", "name=x;url=http://h/list")]);
    assert!(plain.contains("comes over http"), "{plain}");
    let twice = [
        ("feed", "name=x;url=file:///a"),
        ("feed", "name=x;url=file:///b"),
    ];
    assert!(warning(&twice).contains("more than once"));
    assert_eq!(config(&twice).feeds().list.len(), 1);
    assert!(refusal(&[("feed_dir", "lib")]).contains("is not the path of a directory"));
}
