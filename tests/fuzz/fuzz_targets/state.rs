//! The state file, as a disk or a hand may have left it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::fuzzed::state_lines;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match state_lines(&text) {
        Ok(lines) => assert!(lines < text.lines().count()),
        Err(problem) => assert!(!problem.contains(char::is_control), "{problem:?}"),
    }
    // The same lines in a file that is whole but for them.
    let _ = state_lines(&format!(
        "sec-state 1\n{text}\nend {}\n",
        text.lines().count()
    ));
});
