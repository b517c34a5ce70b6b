//! The fleet's Redis, with the user for the portal that its README describes.

use std::ops::{Deref, DerefMut};

use crate::host::{Redis, isolate};

const README: &str = include_str!("../../examples/portal/README.md");

/// A server in a network of the test's own.
pub struct Store(Redis);

impl Store {
    /// The URL by which the portal reaches it.
    pub const URL: &str = "redis://portal:secret@127.0.0.1:6379";

    /// Moves the test into a network of its own and starts a server there.
    pub fn start() -> Self {
        isolate();
        let store = Self(Redis::start());
        store.admit();
        store
    }

    /// Starts it again, empty.
    pub fn restart(&mut self) {
        self.0.restart();
        self.admit();
    }

    /// Runs the line of the README that makes the portal's user.
    fn admit(&self) {
        let line = README.lines().find(|line| line.contains("ACL SETUSER"));
        let line = line.expect("the README has such a line").trim();
        self.order(&line.replace("PASSWORD", "secret"));
    }

    /// Runs a command whose answer does not matter.
    pub fn order(&self, words: &str) {
        self.run::<redis::Value>(words);
    }

    /// Sets a key to any text; `more` is what may follow it, such as `EX 60`.
    pub fn set(&self, key: &str, value: &str, more: &[&str]) {
        self.ask::<()>(redis::cmd("SET").arg(key).arg(value).arg(more));
    }

    /// All keys that begin so.
    pub fn keys(&self, start: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.run(&format!("KEYS {start}*"));
        keys.sort();
        keys
    }
}

impl Deref for Store {
    type Target = Redis;

    fn deref(&self) -> &Redis {
        &self.0
    }
}

impl DerefMut for Store {
    fn deref_mut(&mut self) -> &mut Redis {
        &mut self.0
    }
}
