//! Users of strangers, judged by lists of names. The first byte is the threshold, the last line the
//! user, those before it are names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::extension::{Extensions, Judgement, NamesBuilder};

const DOMAIN: &[u8] = b"example.com";

fuzz_target!(|data: &[u8]| {
    let Some((&threshold, data)) = data.split_first() else {
        return;
    };
    let threshold = u32::from(threshold) % 101;
    let mut lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    let user = lines.pop().unwrap_or_default();
    let mut names = NamesBuilder::new();
    let known: Vec<&[u8]> = lines
        .into_iter()
        .filter(|name| names.insert(DOMAIN, name).is_ok())
        .collect();
    let names = names.build();
    let extensions = Extensions {
        masks: &[],
        names: names.table(),
    };
    extensions.judge(user, DOMAIN, threshold);
    for name in known {
        assert_eq!(extensions.judge(name, DOMAIN, threshold), Judgement::Known);
    }
});
