//! Lists that others publish, in every format, and the copies that are kept of them. The first byte
//! chooses the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::feed::{Answer, Copy, Format, Guard, Reading, read};

const FORMATS: [&str; 5] = ["list", "csv:2", "json:/", "json:/a/*/ip", "json:/*"];

fn check(reading: &Reading, guard: &Guard) {
    let entries = &reading.entries;
    assert!(
        entries
            .iter()
            .all(|entry| guard.refuses(entry.prefix).is_none())
    );
    assert!(entries.windows(2).all(|two| two[0].prefix < two[1].prefix));
    for reason in &reading.reasons {
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&number, bytes)) = data.split_first() else {
        return;
    };
    let guard = Guard::new(&[[192, 0, 2, 10].into()]);
    let format = Format::parse(FORMATS[usize::from(number) % FORMATS.len()]);
    let format = format.expect("a format");
    match read(&format, bytes, &guard, 7) {
        Ok(reading) => {
            check(&reading, &guard);
            let copy = Copy {
                origin: "file:///list".into(),
                entries: reading.entries,
                ..Copy::default()
            };
            assert_eq!(Copy::read(&copy.write(), &guard), Ok(copy));
        }
        Err(problem) => assert!(!problem.contains(char::is_control), "{problem:?}"),
    }
    for status in [200, 400] {
        match Answer::read(status, bytes, &guard, 7) {
            Answer::Page(reading, cursor) => {
                check(&reading, &guard);
                assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
            Answer::Refused(problem) => assert!(!problem.contains(char::is_control), "{problem:?}"),
            Answer::End => {}
        }
    }
    let _ = Copy::read(bytes, &guard);
    let _ = Format::parse(&String::from_utf8_lossy(bytes));
});
