//! What the processes of a server take: private memory, open files, and Kamailio's shared memory.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use crate::host::Kamailio;

/// Looks at the open files, and the time between two.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

/// One look at all processes of a server.
pub struct Footprint {
    /// By process: kilobytes of private memory that it has written to, and open files.
    processes: BTreeMap<i32, (i64, usize)>,
    /// Bytes of Kamailio's own shared memory that are in use.
    shared: i64,
}

impl Footprint {
    pub fn of(server: &Kamailio) -> Self {
        let processes = server.all_processes().into_iter();
        Self {
            shared: shared_memory(server),
            processes: processes
                .filter_map(|pid| Some((pid, (private_kb(pid)?, files(pid)?))))
                .collect(),
        }
    }

    /// How much more it takes now.
    ///
    /// # Panics
    /// When another process is there than before, one has other files open, or has grown by more
    /// than so many kilobytes, or Kamailio's shared memory is used.
    pub fn compare(&self, now: &Self, most_kb: i64) -> String {
        let pids = |it: &Self| it.processes.keys().copied().collect::<Vec<_>>();
        assert_eq!(pids(self), pids(now), "the processes are others");
        let mut most = 0;
        for (pid, (memory, files)) in &now.processes {
            let (before, files_before) = self.processes[pid];
            assert_eq!(
                *files,
                files_before,
                "open files of {pid}: {}",
                describe(*pid)
            );
            let grown = memory - before;
            assert!(
                grown <= most_kb,
                "{pid} grew by {grown} kB: {}",
                describe(*pid)
            );
            most = most.max(grown);
        }
        assert!(
            now.shared <= self.shared,
            "Kamailio's shared memory: {} bytes in use before, {} now",
            self.shared,
            now.shared
        );
        let count = now.processes.len();
        format!("{count} processes, none grew by more than {most} kB, open files as before")
    }
}

fn private_kb(pid: i32) -> Option<i64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup
        .lines()
        .find(|line| line.starts_with("Private_Dirty"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The fewest of several looks: a connection that a command has just used is still being closed.
fn files(pid: i32) -> Option<usize> {
    let mut fewest = usize::MAX;
    for _ in 0..LOOKS {
        fewest = fewest.min(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count());
        thread::sleep(PAUSE);
    }
    Some(fewest)
}

fn describe(pid: i32) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}

fn shared_memory(server: &Kamailio) -> i64 {
    let listed = server.kamcmd(&["core.shmmem"]).expect("it is told");
    let used = listed
        .lines()
        .find_map(|line| line.trim().strip_prefix("used: "));
    used.and_then(|used| used.parse().ok())
        .expect("a number of bytes")
}
