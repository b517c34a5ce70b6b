//! The state file: written, read back, and set aside when it makes no sense.

use super::*;
use proptest::prelude::*;

const WHOLE: &str = "sec-state 1\n\
    ban 192.0.2.1 1000 never rate false rate:burst\n\
    ban 2001:db8::/64 1000 2000 operator true two words\n\
    repeats 192.0.2.1 5000 3\n\
    whitelist 192.0.2.2 9000\n\
    cooldown 192.0.2.3 never\n\
    trust 192.0.2.4 1\n\
    end 6\n";

#[test]
fn a_whole_file_is_read() {
    let lines = parse(WHOLE).unwrap();
    assert_eq!(lines.len(), 6);
    assert!(
        matches!(&lines[1], Line::Ban { reason, validated: true, .. } if reason == "two words")
    );
    assert!(matches!(
        lines[2],
        Line::Repeats {
            until: 5000,
            count: 3,
            ..
        }
    ));
    assert!(matches!(
        lines[4],
        Line::Time {
            what: What::Cooldown,
            until: u64::MAX,
            ..
        }
    ));
}

#[test]
fn the_file_of_an_earlier_version_is_understood() {
    let old = WHOLE;
    let new = old.replacen("sec-state 1", HEADER, 1);
    assert_eq!(parse(old), parse(&new));
    assert!(new.starts_with("sec-state 2"));
}

#[test]
fn a_file_that_is_not_whole_is_none() {
    for (text, problem) in [
        ("", "does not begin"),
        ("something else\nend 0\n", "does not begin"),
        ("sec-state 3\nend 0\n", "newer version"),
        ("sec-state 1\n", "end is missing"),
        ("sec-state 1\nend 1\n", "as many lines"),
        ("sec-state 1\nban 192.0.2.1 x\nend 1\n", "line 2"),
        ("sec-state 1\nwhitelist 999.0.2.1 5\nend 1\n", "line 2"),
        ("sec-state 1\nfly 192.0.2.1 5\nend 1\n", "line 2"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(problem), "{text:?}: {error}");
    }
    let cut = &WHOLE[..WHOLE.len() - 4];
    assert!(parse(cut).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), cut in 0usize..300) {
        let _ = parse(&format!("{HEADER}\n{text}"));
        let _ = parse(WHOLE.get(..cut).unwrap_or_default());
    }
}
