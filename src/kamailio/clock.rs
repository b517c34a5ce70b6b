//! The one clock: the same for all processes of the host, and not moved by anybody's `date`.
//!
//! Read once per request by `check.rs` and passed down as a fact; also by the sweeper and the RPC
//! commands. No system call: the kernel maps it into every process.

/// Nanoseconds since the machine started, in steps of one to four milliseconds.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write to for the length of the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_runs_and_never_goes_back() {
        let start = super::now_ns();
        let mut last = start;
        while last == start {
            let now = super::now_ns();
            assert!(now >= last);
            last = now;
        }
    }
}
