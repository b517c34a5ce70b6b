//! Masks of the dial plan, and users judged by them. The last line is the user, those before it are
//! masks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::extension::{Extensions, Mask, NamesBuilder};

fuzz_target!(|data: &[u8]| {
    let (masks, user) = data
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or((&[][..], data), |end| (&data[..end], &data[end + 1..]));
    let masks = String::from_utf8_lossy(masks);
    let masks: Vec<Mask> = masks.lines().flat_map(str::parse).take(64).collect();
    for mask in &masks {
        let again: Result<Mask, _> = mask.to_string().parse();
        assert!(again.is_ok_and(|again| again.to_string() == mask.to_string()));
    }
    let names = NamesBuilder::new().build();
    let extensions = Extensions {
        masks: &masks,
        names: names.table(),
    };
    extensions.judge(user, b"example.com", 80);
});
