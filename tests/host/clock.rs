//! A clock that differs from the machine's, and can be set: for a server that is to go by another time
//! than those around it. Only what it takes for the date differs; durations stay what they are.

use std::fs;

use tempfile::TempDir;

use super::Config;

/// A clock; it can be set as long as its value lives.
pub struct Clock {
    directory: TempDir,
}

impl Clock {
    /// One that differs by so much, such as `-1h`.
    pub fn new(difference: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let clock = Self { directory };
        clock.set(difference);
        clock
    }

    /// Sets it: from now on it differs by so much.
    pub fn set(&self, difference: &str) {
        fs::write(self.file(), difference).expect("a clock can be set");
    }

    /// The same server, going by this clock.
    pub fn shown_to(&self, config: Config) -> Config {
        config
            .variable("LD_PRELOAD", &library())
            .variable("FAKETIME_TIMESTAMP_FILE", &self.file())
            .variable("FAKETIME_NO_CACHE", "1")
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    fn file(&self) -> String {
        self.directory.path().join("clock").display().to_string()
    }
}

/// The library that makes a program believe in another time; of the package faketime.
fn library() -> String {
    let folders = fs::read_dir("/usr/lib").expect("it is there").flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let library = files.into_iter().find(|file| file.exists());
    let library = library.expect("the package faketime is installed");
    library.display().to_string()
}
