//! The patterns of `agent_file`, and User-Agents of strangers looked up in them. The last line is
//! the User-Agent, those before it are patterns.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sec::user_agents::{Pattern, UserAgents};

static BUILT_IN: LazyLock<UserAgents> = LazyLock::new(UserAgents::built_in);

fuzz_target!(|data: &[u8]| {
    let (patterns, value) = data
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or((&[][..], data), |end| (&data[..end], &data[end + 1..]));
    let patterns = String::from_utf8_lossy(patterns);
    let patterns: Vec<Pattern> = patterns.lines().flat_map(str::parse).take(200).collect();
    let given = UserAgents::new(patterns);
    for list in [&given, &BUILT_IN] {
        if let Some(pattern) = list.find(value) {
            let text = pattern.text().as_bytes();
            let mut places = value.windows(text.len());
            let is_there = places.any(|place| place.eq_ignore_ascii_case(text));
            assert!(is_there, "{} was found", pattern.text());
        }
    }
});
