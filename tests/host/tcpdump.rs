//! A capture of the test's own network, by the real `tcpdump`.
//!
//! Used by the tests of `sec-replay`. Stopped by its process id, when it goes out of scope at the
//! latest.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::{process, wait_until};

/// A capture that is running.
pub struct Tcpdump {
    child: Child,
}

impl Tcpdump {
    /// Captures SIP over UDP on all interfaces into `file`, from now on.
    ///
    /// # Panics
    /// When it does not start; what it said is in the message.
    pub fn start(file: &Path) -> Self {
        let said = file.with_extension("log");
        let log = File::create(&said).expect("a log can be made");
        let child = Command::new("tcpdump")
            .args(["-i", "any", "-n", "-U", "--immediate-mode", "-Z", "root"])
            // Each place in its buffer is as long as the longest packet may be.
            .args(["-s", "4096", "-B", "16384", "-w"])
            .arg(file)
            .args(["udp", "port", "5060"])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("tcpdump can be run: it is in the Debian package of that name");
        let mut tcpdump = Self { child };
        wait_until("tcpdump to listen", || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            let ended = tcpdump.child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "tcpdump did not start: {said}");
            said.contains("listening on")
        });
        tcpdump
    }

    /// Ends the capture; the file is complete then.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Ok(pid) = self.child.id().try_into() {
            process::signal(pid, Signal::SIGINT);
        }
        let _reaped = self.child.wait();
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // Once stopped, it has been waited for, and its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end();
        }
    }
}
