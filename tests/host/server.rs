//! One running Kamailio: started in a directory of its own, stopped by its process id.
//!
//! Owned by the test or the demo that started it. When it goes out of scope it is stopped and
//! nothing of it may be left; when a test fails, the server's log is printed with the failure.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::config::{self, Config, Launch};
use super::{PATIENCE, process, wait_for, wait_until};

/// A server that is up.
pub struct Kamailio {
    directory: TempDir,
    mark: String,
    /// The process that was started; a daemon's has already ended.
    child: Child,
    /// Kamailio's main process.
    main: i32,
    stopped: bool,
}

impl Kamailio {
    /// Starts a server and waits until it answers commands.
    ///
    /// # Panics
    /// When it does not come up; its log is in the message.
    pub fn start(config: Config) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path();
        // A server that gives up its rights has to reach its socket and its log all the same.
        fs::set_permissions(path, fs::Permissions::from_mode(0o777))
            .expect("the directory can be opened to all");
        let arguments = config.write(path);
        let mark = process::new_mark();
        let mut command = Command::new("kamailio");
        command.args(arguments).args(["-M", "8"]);
        command.args(["-w", &path.display().to_string()]);
        let pid_file = path.join("pid");
        match config.launch {
            Launch::Foreground => command.args(["-DD", "-E"]),
            Launch::SingleProcess => command.args(["-D", "-E"]),
            Launch::Daemon { user } => command
                .args(["-u", user, "-P", &pid_file.display().to_string()])
                .args([
                    "--log-engine",
                    &format!("file:{}", path.join("log").display()),
                ]),
        };
        let log = File::create(path.join("log")).expect("the log can be made");
        let child = command
            .env(process::MARK, &mark)
            .envs(config.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .expect("kamailio can be run");
        let main = child.id().try_into().expect("a process number");
        let mut server = Self {
            directory,
            mark,
            child,
            main,
            stopped: false,
        };
        match config.launch {
            Launch::Foreground | Launch::SingleProcess => {}
            Launch::Daemon { .. } => server.main = server.wait_for_daemon(&pid_file),
        }
        wait_until("Kamailio to be up", || {
            server.fail_if_ended(config.launch);
            server.is_complete(config.launch)
        });
        server
    }

    /// Whether it answers commands, has forked its last process, and all of them are waiting for
    /// work. Before that a SIGTERM can get lost: Kamailio's children take it for one to the main
    /// process until they have begun their own life, and the main process then waits for them.
    fn is_complete(&self, launch: Launch) -> bool {
        if !self.control_socket().exists() {
            return false;
        }
        let listed = self.kamcmd(&["core.psx"]).unwrap_or_default();
        let last = match launch {
            Launch::SingleProcess => "ctl handler",
            Launch::Foreground | Launch::Daemon { .. } => "tcp main process",
        };
        listed.contains(last) && self.all_processes().into_iter().all(process::waits)
    }

    fn wait_for_daemon(&mut self, pid_file: &Path) -> i32 {
        wait_for("the daemon's process number", || {
            self.fail_if_ended(Launch::Daemon { user: "" });
            fs::read_to_string(pid_file).ok()?.trim().parse().ok()
        })
    }

    /// The process that was started has to live on; a daemon's has to end, with success.
    fn fail_if_ended(&mut self, launch: Launch) {
        let ended = self.child.try_wait().expect("the child can be asked");
        let daemon = matches!(launch, Launch::Daemon { .. });
        if let Some(status) = ended.filter(|status| !daemon || !status.success()) {
            self.stopped = true;
            // The log follows: it is printed when the server is dropped.
            panic!("Kamailio did not start ({status})");
        }
    }

    /// Everything it has written to its log so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its directory, with the configuration and the control socket.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its main process.
    pub fn pid(&self) -> i32 {
        self.main
    }

    /// Every process of it, the module's own included.
    pub fn all_processes(&self) -> Vec<i32> {
        process::marked(&self.mark)
    }

    /// Sends a signal to one of its processes.
    pub fn signal(&self, pid: i32, signal: Signal) {
        assert!(
            self.all_processes().contains(&pid),
            "{pid} is no process of this server"
        );
        process::signal(pid, signal);
    }

    pub(super) fn control_socket(&self) -> PathBuf {
        config::control_socket(self.directory.path())
    }

    /// Stops it as an init system does and waits for its end; the log it leaves.
    ///
    /// # Panics
    /// When it does not end, or ends and leaves a process behind.
    pub fn stop(self) -> String {
        process::signal(self.main, Signal::SIGTERM);
        self.wait_for_end()
    }

    /// Ends it as a power cut does, all processes at once; the log it leaves.
    ///
    /// # Panics
    /// When a process is left.
    pub fn cut_power(self) -> String {
        // First none may do anything any more: one sees that another is gone.
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in self.all_processes() {
                process::signal(pid, signal);
            }
        }
        self.wait_for_end()
    }

    /// Waits until it has ended by itself; the log it leaves.
    ///
    /// # Panics
    /// When it does not end, or ends and leaves a process behind.
    pub fn wait_for_end(mut self) -> String {
        self.stopped = true;
        if let Err(reason) = self.reap() {
            panic!("{reason}");
        }
        self.log()
    }

    /// Waits until no process of it is left; kills what does not go.
    fn reap(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            let mut left = process::marked(&self.mark);
            left.retain(|pid| process::alive(*pid));
            if ended.is_some() && left.is_empty() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let names: Vec<String> = left.iter().map(|pid| process::describe(*pid)).collect();
                for pid in left {
                    process::signal(pid, Signal::SIGKILL);
                }
                let _reaped = self.child.wait();
                return Err(format!("it did not end: {} still ran", names.join(", ")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let mut result = Ok(());
        if !self.stopped {
            process::signal(self.main, Signal::SIGTERM);
            result = self.reap();
        }
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- log of the failed test's Kamailio ---\n{log}---");
        } else if let Err(reason) = result {
            panic!("{reason}\n{}", self.log());
        }
    }
}
