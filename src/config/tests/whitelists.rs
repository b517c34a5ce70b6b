//! `whitelist` lines and files.

use super::{config, refusal, warning};
use crate::config::{Config, Value};

#[test]
fn whitelists_add_up_and_files_replace() {
    let config = config(&[
        ("whitelist", "203.0.113.7"),
        ("whitelist", "2001:db8::5, 10.1.0.0/16 ,172.16.0.0/12"),
        ("whitelist_file", "/other"),
        ("whitelist_file", "/trunks"),
    ]);
    assert_eq!(config.whitelist_sources().file.as_deref(), Some("/trunks"));
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
            "sip..example.com",
            "\"sip..example.com\" has an empty label; allowed: IPv4 or",
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
            "\"/bad\" line 2: \"sip..example.com\" has an empty label; allowed: one IPv4",
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
fn names_are_kept_apart_from_addresses() {
    let config = config(&[
        (
            "whitelist",
            "sip.Example.com., 203.0.113.7,trunk.example.net",
        ),
        ("whitelist", "sip.example.com"),
        ("whitelist_file", "/names"),
    ]);
    let names = config.whitelist_names();
    let names: Vec<&str> = names.iter().map(|name| name.text()).collect();
    assert_eq!(
        names,
        ["pbx.example.org", "sip.example.com", "trunk.example.net"]
    );
    assert!(
        config
            .whitelist()
            .get("203.0.113.7".parse().unwrap())
            .is_some()
    );
    for (text, problem) in [
        ("198.51.100.300", "is not an address or a prefix"),
        ("trunk", "is not an address or a prefix"),
        ("*.example.com", "has something else than letters"),
        ("sip.example.com/24", "is not an address or a prefix"),
        ("sip.example.com:5060", "is not an address or a prefix"),
        (
            "sip.example.com trunk.example.net",
            "is not an address or a prefix",
        ),
    ] {
        let error = refusal(&[("whitelist", text)]);
        assert!(error.contains(problem), "{error}");
    }
    let many: Vec<String> = (0..200).map(|n| format!("n{n}.example.com")).collect();
    let more: Vec<String> = (100..300).map(|n| format!("n{n}.example.com")).collect();
    let (many, more) = (many.join(","), more.join(","));
    let error = refusal(&[("whitelist", &many), ("whitelist", &more)]);
    assert!(
        error.contains("makes 300 DNS names in the whitelist; allowed: 256"),
        "{error}"
    );
}

#[test]
fn a_file_can_be_read_anew() {
    let sources =
        config(&[("whitelist", "203.0.113.7"), ("whitelist_file", "/trunks")]).whitelist_sources();
    assert_eq!(sources.lines.len(), 1);
    let again = config(&[("whitelist_file", "/trunks")]).whitelist();
    let list = sources.read_file().unwrap();
    assert_eq!(crate::cidr::PrefixMap::set_of(&list.prefixes), again);
    let mut other = sources;
    other.file = Some("/missing".into());
    assert_eq!(
        other.read_file().unwrap_err(),
        "whitelist_file: \"/missing\" cannot be read: entity not found; allowed: the absolute path of a \
         readable file with one address, prefix or name a line"
    );
    other.file = Some("/bad".into());
    assert!(other.read_file().unwrap_err().contains("\"/bad\" line 2"));
    let none = config(&[]).whitelist_sources().read_file().unwrap();
    assert!(none.prefixes.is_empty());
}
