//! The users of a registrar: the text tables that Kamailio's `db_text` reads.
//!
//! Made by tests and by the demo for `examples/kamailio.cfg`; lives as long as the server that
//! reads it.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::SERVER;

/// A directory with the tables `version` and `subscriber`.
pub struct Subscribers {
    directory: TempDir,
}

impl Subscribers {
    /// One subscriber for each user and password.
    pub fn new(users: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let versions = "id(int,auto) table_name(string) table_version(int)\n1:subscriber:7\n";
        let mut lines = String::from(
            "id(int,auto) username(string) domain(string) password(string) ha1(string) ha1b(string)\n",
        );
        for (number, (user, password)) in (1..).zip(users) {
            lines += &format!("{number}:{user}:{SERVER}:{password}:-:-\n");
        }
        for (name, text) in [("version", versions), ("subscriber", &lines)] {
            fs::write(directory.path().join(name), text).expect("a table can be written");
        }
        Self { directory }
    }

    /// The table of the users.
    pub fn table(&self) -> PathBuf {
        self.directory.path().join("subscriber")
    }

    /// The definition that points the example configuration at them.
    pub fn define(&self) -> String {
        format!("DBURL=\"text://{}\"", self.directory.path().display())
    }
}
