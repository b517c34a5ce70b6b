//! The last good copy of a feed as a file, so that a restart without a network begins with it.
//!
//! Text: lines of `# name value`, then one entry a line, `prefix line seen`. Called by the agent; what
//! it reads back goes through the same guard as a list from outside.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::{Entry, Guard};

const TITLE: &str = "# sec feed";

/// A copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// Where the list came from, without secrets: another origin is another list.
    pub origin: String,
    /// What the server gave to ask with next time: its `ETag`.
    pub etag: String,
    /// Its `Last-Modified`.
    pub modified: String,
    /// APIBAN's cursor.
    pub cursor: String,
    /// In the order of their prefixes.
    pub entries: Vec<Entry>,
}

impl Copy {
    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        let mut text = format!("{TITLE}, a copy that the module reads at its next start\n");
        for (name, value) in [
            ("origin", &self.origin),
            ("etag", &self.etag),
            ("modified", &self.modified),
            ("cursor", &self.cursor),
        ] {
            if !value.is_empty() && !value.contains(char::is_control) {
                let _ = writeln!(text, "# {name} {value}");
            }
        }
        for entry in &self.entries {
            let Entry { prefix, line, seen } = entry;
            let _ = writeln!(text, "{prefix} {line} {seen}");
        }
        text.into_bytes()
    }

    /// Reads one back.
    ///
    /// # Errors
    /// A sentence, if it is no such file, or a line of it makes no sense.
    pub fn read(bytes: &[u8], guard: &Guard) -> Result<Copy, String> {
        let text = str::from_utf8(bytes).map_err(|_| "it is not text")?;
        if !text.starts_with(TITLE) || !text.ends_with('\n') {
            return Err("it is not a whole copy of a feed".into());
        }
        let mut copy = Copy::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(comment) = line.strip_prefix("# ") {
                let (name, value) = comment.split_once(' ').unwrap_or((comment, ""));
                match name {
                    "origin" => copy.origin = value.into(),
                    "etag" => copy.etag = value.into(),
                    "modified" => copy.modified = value.into(),
                    "cursor" => copy.cursor = value.into(),
                    _ => {}
                }
                continue;
            }
            let entry = read_entry(line, guard);
            copy.entries
                .push(entry.ok_or_else(|| format!("its line {number} makes no sense"))?);
        }
        copy.entries.sort_by_key(|entry| entry.prefix);
        copy.entries.dedup_by_key(|entry| entry.prefix);
        Ok(copy)
    }
}

fn read_entry(line: &str, guard: &Guard) -> Option<Entry> {
    let mut words = line.split(' ');
    let (prefix, number, seen) = (words.next()?, words.next()?, words.next()?);
    let prefix: crate::cidr::Prefix = prefix.parse().ok()?;
    (guard.refuses(prefix).is_none() && words.next().is_none()).then_some(())?;
    Some(Entry {
        prefix,
        line: number.parse().ok()?,
        seen: seen.parse().ok()?,
    })
}
