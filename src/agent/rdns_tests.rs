//! What is made of names that strangers wrote into DNS.

use super::*;

fn names(values: &[&str]) -> Found<String> {
    Found {
        values: values.iter().map(|name| (*name).to_owned()).collect(),
        ttl: 300,
    }
}

#[test]
fn only_trusted_names_are_confirmed_and_few_of_them() {
    let trusted = [Domain::parse("trusted.example.com").unwrap()];
    let many = names(&[
        "trusted.example.com.evil.net.",
        "a.TRUSTED.example.com.",
        "a b\\000c.trusted.example.com.",
        "b.trusted.example.com.",
        "c.trusted.example.com.",
        "d.trusted.example.com.",
    ]);
    let chosen: Vec<String> = candidates(&many, &trusted)
        .iter()
        .map(Domain::to_string)
        .collect();
    let expected = ["a", "b", "c"].map(|host| format!("{host}.trusted.example.com"));
    assert_eq!(chosen, expected);
    let flood: Vec<String> = (0..100).map(|n| format!("n{n}.evil.net.")).collect();
    let mut flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    flood.push("e.trusted.example.com.");
    assert_eq!(candidates(&names(&flood), &trusted), []);
}

#[test]
fn what_is_shown_is_short_and_printable() {
    assert_eq!(shown(&names(&["a.example.com."])), "a.example.com");
    let many = names(&["a.", "b.", "c\u{7}.", "d.", "e.", "f."]);
    assert_eq!(shown(&many), "a, b, c?, d and 2 more");
    let long = "x".repeat(250);
    assert_eq!(shown(&names(&[&long])).len(), 120);
}

#[test]
fn answers_are_kept_for_a_minute_to_an_hour() {
    assert_eq!([0, 60, 600, 9_999_999].map(bounded), [60, 60, 600, 3600]);
    assert_eq!(nameless(Some(5), "no name").ttl, 60);
    assert_eq!(nameless(None, "no name").answer, Answer::Nameless);
}
