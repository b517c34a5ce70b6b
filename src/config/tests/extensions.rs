//! The dial plan, lists of names, and what guessing costs.

use super::{config, refusal, warning};
use crate::config::extensions::{insert, read};
use crate::engine::policy::method_bit;
use crate::extension::{Extensions, Judgement, NamesBuilder};

#[test]
fn masks_add_up_and_files_replace() {
    let config = config(&[
        ("extension_pattern", "7XXX"),
        ("extension_pattern", "_9."),
        ("extension_file", "/trunks"),
        ("extension_file", "/extensions"),
    ]);
    let masks: Vec<String> = config.masks().iter().map(ToString::to_string).collect();
    assert_eq!(masks, ["7XXX", "_9."]);
    let file = config.extension_sources().file;
    assert_eq!(file.expect("one").0, "/extensions");
    let names = config.extensions();
    let judge = |user: &str, domain: &str| {
        let (masks, names) = (config.masks(), names.table());
        Extensions { masks, names }.judge(user.as_bytes(), domain.as_bytes(), 80)
    };
    for (user, domain, expected) in [
        ("7001", "a.example", Judgement::Known),
        ("7002", "a.example", Judgement::Match),
        ("jos%C3%A9", "a.example", Judgement::Known),
        ("j", "a.example", Judgement::Known),
        ("ana", "a.example", Judgement::Far),
        ("ana", "B.example", Judgement::Known),
        ("192.0.2.1", "a.example", Judgement::Far),
    ] {
        assert_eq!(judge(user, domain), expected, "{user}@{domain}");
    }
}

#[test]
fn what_is_judged_is_a_matter_of_configuration() {
    let default = config(&[]);
    let register = method_bit(b"REGISTER").unwrap();
    assert_eq!(
        default.policy().extensions.methods,
        0,
        "nothing to judge by"
    );
    let masks = config(&[("extension_pattern", "7XXX")]);
    assert_eq!(masks.policy().extensions.methods, register);
    assert!(default.masks().is_empty() && default.extensions().table().is_empty());
    let methods = ("extension_methods", "REGISTER, INVITE");
    let both = config(&[("extension_pattern", "7XXX"), methods]);
    assert_eq!(both.policy().extensions.methods, register | 1);
    let idle = config(&[methods]);
    let idle = idle.warnings().join(" ");
    assert!(
        idle.starts_with("extension_methods: no user is judged without"),
        "{idle}"
    );
    let lines = [("extension_weight", "1"), ("extension_pattern", "7XXX")];
    assert!(config(&lines).warnings().is_empty());
}

#[test]
fn slips_have_their_sentences() {
    for (name, text, expected) in [
        (
            "extension_pattern",
            "7XXA",
            "\"7XXA\" has an odd 'A'; allowed: digits, X (0 to 9)",
        ),
        (
            "extension_pattern",
            "[5-2]",
            "\"[5-2]\" has a broken [...]; allowed: ",
        ),
        (
            "extension_threshold",
            "101",
            "\"101\" is out of range; allowed: a whole number from 1",
        ),
        (
            "extension_threshold",
            "0",
            "\"0\" is out of range; allowed: a whole number from 1",
        ),
        (
            "extension_methods",
            "register",
            "is not a list of methods; allowed: methods joined by",
        ),
        (
            "extension_weight",
            "201",
            "is out of range; allowed: a whole number from 1 to 200 strikes",
        ),
        (
            "extension_forgive",
            "21",
            "is out of range; allowed: a whole number from 0 to 20 an hour",
        ),
        ("extension_file", "/nowhere", "cannot be read"),
        (
            "extension_file",
            "extensions",
            "is not an absolute path; allowed: the absolute path of",
        ),
    ] {
        let error = refusal(&[(name, text)]);
        assert!(
            error.starts_with(name) && error.contains(expected),
            "{error}"
        );
    }
    let many = vec![("extension_pattern", "7XXX"); 65];
    assert!(refusal(&many).contains("is one too many; allowed: 64 patterns"));
    let lenient = warning(&[("extension_threshold", "75")]);
    assert!(
        lenient.starts_with("extension_threshold: at 75 and below"),
        "{lenient}"
    );
    let empty = warning(&[("extension_file", "/empty")]);
    assert!(
        empty.ends_with("\"/empty\" has no name: nobody is judged"),
        "{empty}"
    );
}

#[test]
fn the_first_bad_line_of_a_file_is_named() {
    let long = "x".repeat(65);
    let domain = format!("ana@{}", "x".repeat(256));
    for (bytes, expected) in [
        (
            &b"7001\n\n7002 7003\n"[..],
            "line 3: \"7002 7003\" has a blank or a control",
        ),
        (b"7001\0", "line 1: \"7001\\0\" has a blank or a control"),
        (
            b"7001\n\xff\xfe",
            "line 2: \"\u{fffd}\u{fffd}\" is not UTF-8",
        ),
        (b"%ff", "line 1: \"%ff\" is not UTF-8"),
        (b"ana@", "line 1: \"ana@\" has no domain"),
        (b"@b.example", "line 1: \"@b.example\" is empty"),
        (
            long.as_bytes(),
            "has more than 64 characters; allowed: the name of",
        ),
        (
            domain.as_bytes(),
            "has no domain behind its @, or too long a one",
        ),
    ] {
        let error = read("extension_file", "/list", bytes).unwrap_err();
        assert!(
            error.starts_with("extension_file: \"/list\" line "),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_million_names_are_read() {
    let lines: String = (0..1 << 20).map(|number| format!("{number}\n")).collect();
    assert!(read("extension_file", "/list", lines.as_bytes()).is_ok());
    let error = read("extension_file", "/list", (lines + "one more").as_bytes()).unwrap_err();
    assert!(error.contains("line 1048577: \"one more\""), "{error}");
}

#[test]
fn a_file_is_read_again() {
    let sources = config(&[("extension_file", "/extensions")]).extension_sources();
    let names = sources.read_file().unwrap().build();
    let at_start = sources
        .file
        .as_ref()
        .map(|(_, names)| names.as_ref().clone());
    assert_eq!(at_start.unwrap().build(), names);
    assert_eq!(names.table().len(), 4);
    assert!(sources.judge_at_start());
    let empty = config(&[("extension_file", "/empty")]).extension_sources();
    assert!(!empty.judge_at_start());
    let none = config(&[("extension_pattern", "7XXX")]).extension_sources();
    assert!(none.judge_at_start() && none.read_file().unwrap().is_empty());
    let redis = [
        ("extension_file", "/extensions"),
        ("extension_redis_key", "users"),
    ];
    assert!(!config(&redis).extension_sources().judge_at_start());
}

#[test]
fn keys_of_extensions_are_checked() {
    for text in ["users", "sip.users:{domain}", "u{domain}_v", "white-list"] {
        let key = config(&[("extension_redis_key", text)])
            .extension_sources()
            .key;
        assert_eq!(
            key.is_some_and(|key| key.by_domain()),
            text.contains('{'),
            "{text}"
        );
    }
    let long = "x".repeat(129);
    for text in [
        "",
        "{domain}",
        "7",
        "a b",
        "users*",
        "users:{domain}:{domain}",
        "users:{Domain}",
        "\u{e9}",
        &long,
    ] {
        let error = refusal(&[("extension_redis_key", text)]);
        assert!(
            error.contains("is not the name of such a key; allowed: "),
            "{error}"
        );
    }
    for (text, other) in [
        ("ban:{domain}", "ban:"),
        ("white", "white_list:"),
        ("sec:users", "sec:"),
        ("b{domain}", "ban:"),
    ] {
        let error = refusal(&[("extension_redis_key", text)]);
        assert!(
            error.contains(&format!("overlaps with \"{other}\"")),
            "{error}"
        );
    }
    let error = refusal(&[
        ("extension_redis_key", "users:{domain}"),
        ("redis_ban_prefix", "user"),
    ]);
    assert!(
        error.contains("overlaps with extension_redis_key"),
        "{error}"
    );
    let lonely = config(&[("extension_redis_key", "users")])
        .warnings()
        .join(" ");
    assert!(
        lonely.contains("there is no redis_url, so no user is judged"),
        "{lonely}"
    );
}

#[test]
fn a_member_of_a_set_is_an_entry_of_its_domain() {
    let mut names = NamesBuilder::new();
    for (entry, domain, expected) in [
        (&b"7001"[..], &b"a.example"[..], Ok(())),
        (b"7002@A.example", b"a.example", Ok(())),
        (
            b"7003@b.example",
            b"a.example",
            Err("is of another domain than its list"),
        ),
        (b"7003@b.example", b"", Ok(())),
        (b"", b"a.example", Err("is empty")),
        (b"a b", b"", Err("has a blank or a control character")),
        (b"\xff", b"", Err("is not UTF-8")),
        (&[b'x'; 65], b"", Err("has more than 64 characters")),
    ] {
        let inserted = insert(&mut names, entry, domain);
        assert_eq!(inserted, expected.map_err(str::to_owned), "{entry:?}");
    }
    names.settle();
    let sizes: Vec<_> = names.sizes().collect();
    assert_eq!(sizes, [(&b"a.example"[..], 2), (b"b.example", 1)]);
}
