//! Names and values of keys in Redis, as whoever may write there makes them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::config::Config;
use sec::fuzzed::{BanValue, Keys, Target};

fuzz_target!(|data: &[u8]| {
    let config = Config::default();
    let keys = Keys::new(config.redis(), 64);
    if let Some(Ok((kind, Target::Source(source)))) = keys.read(data) {
        // What this node writes for it, every node understands as the same.
        let name = keys.name(kind, source);
        assert_eq!(
            keys.read(name.as_bytes()),
            Some(Ok((kind, Target::Source(source))))
        );
    }
    let value = BanValue::read(data);
    let again = BanValue::read(value.write().as_bytes());
    assert_eq!(
        (value.reason, value.node, value.count),
        (again.reason, again.node, again.count)
    );
});
