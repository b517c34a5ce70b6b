//! Values of parameters, as operators mistype them. The first byte names the parameter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sec::config::{Config, PARAMETERS, Value};

fuzz_target!(|data: &[u8]| {
    let Some((&number, text)) = data.split_first() else {
        return;
    };
    let parameter = &PARAMETERS[usize::from(number) % PARAMETERS.len()];
    let text = String::from_utf8_lossy(text);
    let mut config = Config::default();
    let before = format!("{config:?}");
    match config.set(parameter.name, Value::Text(&text)) {
        Ok(_) => {
            config.policy();
            config.warnings();
        }
        Err(error) => {
            assert!(error.starts_with(parameter.name), "{error:?}");
            assert!(!error.contains(char::is_control), "{error:?}");
            assert_eq!(format!("{config:?}"), before);
        }
    }
});
