//! A real redis-server in the test's own network, started by the test and stopped by its process
//! id, with a plain connection to it for the part of the customer, the portal and the operator.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{Connection, FromRedisValue};
use tempfile::TempDir;

use super::{wait_for, wait_until};

/// Where it listens, unless the test says otherwise; each test has a network of its own.
const PORT: u16 = 6379;

/// A server that is up.
pub struct Redis {
    directory: TempDir,
    child: Child,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    /// Starts a server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more options of its command line.
    pub fn with(options: &[&str]) -> Self {
        Self::launch(PORT, options)
    }

    /// A second server, on another port.
    pub fn at(port: u16) -> Self {
        Self::launch(port, &[])
    }

    fn launch(port: u16, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(&directory, port, &options);
        let server = Self {
            directory,
            child,
            port,
            options,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        wait_until("Redis to answer", || {
            let connected = self.client().get_connection();
            let answered = connected.and_then(|mut it| redis::cmd("PING").exec(&mut it));
            // It is also there when it wants to know who we are.
            answered.map_or_else(|error| error.code() == Some("NOAUTH"), |()| true)
        });
    }

    /// Runs a command of words, as in `redis-cli`.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            command.arg(word);
        });
        self.ask(&command)
    }

    /// Runs a command.
    pub fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        command
            .query(&mut self.connection())
            .expect("Redis answers")
    }

    /// A connection of one's own.
    pub fn connection(&self) -> Connection {
        let client = self.client();
        wait_for("a connection to Redis", || client.get_connection().ok())
    }

    fn client(&self) -> redis::Client {
        let address = ("127.0.0.1", self.port);
        redis::Client::open(address).expect("an address is enough")
    }

    /// A key's value; none when it is not there.
    pub fn get(&self, key: &str) -> Option<String> {
        self.run(&format!("GET {key}"))
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("the child can be waited for");
    }

    /// Starts it again, empty.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.directory, self.port, &self.options);
        self.wait();
    }

    /// Sends a signal: `SIGSTOP` makes it hang.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("the server runs");
    }
}

fn spawn(directory: &TempDir, port: u16, options: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", "no", "--dir"])
        .arg(directory.path())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be run")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
