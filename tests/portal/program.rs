//! The portal as a program, with the accounts of a registrar.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::client::Client;
use crate::store::Store;

/// The column names of `db_text`'s table `subscriber`.
const HEAD: &str =
    "id(int,auto) username(string) domain(string) password(string) ha1(string) ha1b(string)";

/// The program, built by cargo once, so that it is never an old one.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "portal"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo can be run");
        assert!(built.success(), "the portal does not build");
        // Tests are in `deps`, examples beside it.
        let test = std::env::current_exe().expect("a test has a file");
        let profile = test.ancestors().nth(2).expect("a test is in a folder");
        profile.join("examples/portal")
    })
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the portal can be run")
}

/// The table that the registrar reads.
pub struct Accounts {
    directory: TempDir,
}

impl Accounts {
    /// `alice` and `bob` of example.org, with the passwords `wonderland` and `builder`.
    pub fn usual() -> Self {
        Self::rows("1:alice:example.org:wonderland:-:-\n2:bob:example.org:builder:-:-\n")
    }

    pub fn rows(rows: &str) -> Self {
        let accounts = Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
        };
        accounts.replace(rows);
        accounts
    }

    pub fn replace(&self, rows: &str) {
        fs::write(self.file(), format!("{HEAD}\n{rows}")).expect("the table can be written");
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("subscriber")
    }
}

/// A running portal.
pub struct Portal {
    child: Child,
    /// `http://address:port`, without a slash at the end.
    pub url: String,
    log: TempDir,
    /// Accounts that nobody else keeps: they are read for every sign-in.
    accounts: Option<Accounts>,
}

impl Portal {
    /// With the usual accounts.
    pub fn start(store: &Store, more: &[&str]) -> Self {
        let accounts = Accounts::usual();
        let mut portal = Self::with(&accounts.file(), store, more);
        portal.accounts = Some(accounts);
        portal
    }

    /// With the accounts of this table. The store is there for as long as the call: it may end and
    /// come back while the portal runs.
    pub fn with(accounts: &Path, _store: &Store, more: &[&str]) -> Self {
        let log = tempfile::tempdir().expect("a temporary directory can be made");
        let errors = File::create(log.path().join("log")).expect("a log can be made");
        let mut arguments = vec!["--listen", "127.0.0.1:0"];
        arguments.extend(more);
        let mut child = Command::new(program())
            .args(arguments)
            .arg("--accounts")
            .arg(accounts)
            .env("REDIS_URL", Store::URL)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the portal can be run");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is a pipe");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("its output can be read");
        let url = line
            .trim()
            .strip_prefix("portal: ")
            .and_then(|url| url.strip_suffix('/'));
        Self {
            url: url.expect("it says where it listens").to_string(),
            child,
            log,
            accounts: None,
        }
    }

    /// A browser on this machine, without cookies.
    pub fn local(&self) -> Client {
        Client::new(&self.url)
    }

    /// A browser whose requests come through a reverse proxy that adds this `X-Forwarded-For`.
    pub fn from(&self, forwarded: &str) -> Client {
        self.local()
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-For", forwarded)
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has then seen.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log.path().join("log")).unwrap_or_default();
            eprintln!("--- log of the failed test's portal ---\n{log}---");
        }
    }
}
