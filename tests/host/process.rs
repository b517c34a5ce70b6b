//! The processes that one server consists of, found by a mark in their environment.
//!
//! Used when a server is stopped, to be sure that nothing of it is left: the mark is inherited by
//! every fork, so it also finds processes that Kamailio itself does not know, such as the agent.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that carries the mark.
pub const MARK: &str = "SEC_TEST_SERVER";

/// A mark that no other server of this machine has.
pub fn new_mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

/// The living processes (zombies are dead) that carry `mark`.
pub fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").expect("/proc can be read");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}

/// Whether `pid` exists and is not a zombie.
pub fn alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// Whether `pid` waits for something to do.
pub fn waits(pid: i32) -> bool {
    state(pid) == Some('S')
}

/// The letter of its state in `/proc`.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

/// What a process is and where it waits, for a failure message.
pub fn describe(pid: i32) -> String {
    let read = |name: &str| {
        let text = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&text).replace('\0', " ")
    };
    let (command, place, call) = (read("cmdline"), read("wchan"), read("syscall"));
    format!(
        "{pid} in {place}, call {} ({})",
        call.trim(),
        command.trim()
    )
}

/// Sends a signal; a process that is already gone is no error.
pub fn signal(pid: i32, signal: Signal) {
    let _gone = kill(Pid::from_raw(pid), signal);
}

/// The effective user of a process, from `/proc`.
pub fn user_of(pid: i32) -> Option<u32> {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
