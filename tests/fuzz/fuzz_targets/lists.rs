//! List files: `whitelist_file`, `extension_file` and `agent_file`, whatever is in them.
#![no_main]

use std::cell::RefCell;
use std::io;

use libfuzzer_sys::fuzz_target;
use sec::config::{Config, Value};

thread_local! {
    static FILE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn read_file(_path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
    let start = FILE.with_borrow(|bytes| bytes[..bytes.len().min(bytes_max + 1)].to_vec());
    Ok(start)
}

fuzz_target!(|data: &[u8]| {
    FILE.set(data.to_vec());
    for name in ["whitelist_file", "extension_file", "agent_file"] {
        let mut config = Config::with_files(read_file);
        match config.set(name, Value::Text("/list")) {
            Ok(_) => {
                config.whitelist();
                config.extensions();
                config.user_agents();
                let reread = config.whitelist_sources().read_file();
                assert!(reread.is_ok(), "{reread:?}");
            }
            Err(error) => {
                assert!(error.starts_with(name), "{error:?}");
                assert!(!error.contains(char::is_control), "{error:?}");
            }
        }
    }
});
