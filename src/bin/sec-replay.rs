//! The program `sec-replay`; see `src/replay/mod.rs`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sec::replay::run(std::env::args_os().skip(1))
}
