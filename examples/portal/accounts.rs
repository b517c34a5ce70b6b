//! The registrar's accounts: the table `subscriber` as Kamailio's `db_text` keeps it, shared with
//! `examples/kamailio.cfg`.
//!
//! Read anew for every sign-in, so that a changed password counts at once. Nothing is ever
//! written. A sign-in takes the same steps whether the user exists or not.

use std::fs;
use std::path::PathBuf;

use subtle::ConstantTimeEq;

/// Longest user name and longest password that are looked at, in bytes.
pub const LONGEST: usize = 128;

/// Where the accounts are and how their passwords are kept.
pub struct Accounts {
    file: PathBuf,
    password_column: String,
}

/// The columns that count, by their place in a row.
struct Columns {
    username: usize,
    domain: usize,
    password: usize,
}

/// One row of the table, as far as it counts.
struct Subscriber {
    username: String,
    domain: String,
    password: String,
}

impl Accounts {
    /// The accounts in `file`, once it has been seen to be such a table.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(file: PathBuf, password_column: String) -> Result<Self, String> {
        let accounts = Self {
            file,
            password_column,
        };
        accounts.read().map(|_| accounts)
    }

    /// The account, as `user@domain`, that `name` (`user` or `user@domain`) and `password` open.
    ///
    /// # Errors
    /// When the table cannot be read; a wrong name or password is `None`.
    pub fn sign_in(&self, name: &str, password: &str) -> Result<Option<String>, String> {
        let subscribers = self.read()?;
        let mut found = subscribers.iter().filter(|one| one.is_called(name));
        // A user of several domains has to say which, and is told nothing here.
        let subscriber = found.next().filter(|_| found.next().is_none());
        let nobody = Subscriber {
            username: String::new(),
            domain: String::new(),
            password: String::new(),
        };
        let expected = subscriber.unwrap_or(&nobody);
        let right = if self.password_column.starts_with("ha1") {
            let Subscriber {
                username, domain, ..
            } = expected;
            let digest = md5::compute(format!("{username}:{domain}:{password}"));
            same(&format!("{digest:x}"), &expected.password)
        } else {
            same(password, &expected.password)
        };
        let account = subscriber.filter(|one| right && !one.password.is_empty());
        Ok(account.map(Subscriber::account))
    }

    /// Whether there still is an account `user@domain`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn holds(&self, account: &str) -> Result<bool, String> {
        let subscribers = self.read()?;
        Ok(subscribers.iter().any(|one| one.account() == account))
    }

    fn read(&self) -> Result<Vec<Subscriber>, String> {
        let file = self.file.display();
        let text = fs::read(&self.file).map_err(|error| format!("accounts in {file}: {error}"))?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let columns = self.columns(lines.next().unwrap_or_default());
        let columns = columns.map_err(|missing| {
            format!("accounts in {file}: its first line names no column \"{missing}\"")
        })?;
        Ok(lines.filter_map(|line| columns.subscriber(line)).collect())
    }

    /// The head of the table: `name(type[,flag])`, separated by blanks.
    fn columns(&self, head: &str) -> Result<Columns, String> {
        let names: Vec<&str> = head
            .split_whitespace()
            .filter_map(|column| column.split('(').next())
            .collect();
        let place = |wanted: &str| {
            let place = names.iter().position(|name| *name == wanted);
            place.ok_or_else(|| wanted.to_string())
        };
        Ok(Columns {
            username: place("username")?,
            domain: place("domain")?,
            password: place(&self.password_column)?,
        })
    }
}

impl Columns {
    fn subscriber(&self, line: &str) -> Option<Subscriber> {
        let mut values = split(line)?;
        let mut take = |place: usize| values.get_mut(place).map(std::mem::take);
        Some(Subscriber {
            username: take(self.username)?,
            domain: take(self.domain)?,
            password: take(self.password)?,
        })
    }
}

impl Subscriber {
    fn account(&self) -> String {
        format!("{}@{}", self.username, self.domain)
    }

    fn is_called(&self, name: &str) -> bool {
        let whole = name
            .strip_prefix(self.username.as_str())
            .and_then(|rest| rest.strip_prefix('@'));
        !self.username.is_empty() && (name == self.username || whole == Some(&self.domain))
    }
}

/// The values of a row: separated by colons, with escapes; `None` for an escape that does not
/// exist.
fn split(line: &str) -> Option<Vec<String>> {
    let mut values = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            ':' => {
                values.push(String::new());
                continue;
            }
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                plain @ ('\\' | ':') => plain,
                _ => return None,
            },
            plain => plain,
        };
        values.last_mut()?.push(letter);
    }
    Some(values)
}

/// Whether two secrets are equal, in a time that tells nothing of either.
pub fn same(one: &str, other: &str) -> bool {
    let padded = |text: &str| {
        let mut bytes = [0; LONGEST];
        let length = text.len().min(LONGEST);
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        bytes
    };
    let contents = padded(one).ct_eq(&padded(other));
    let lengths = one.len().ct_eq(&other.len());
    bool::from(contents & lengths) && one.len() <= LONGEST
}
