//! List files: one entry a line, `#` starts a comment.
//!
//! Called with a file's bytes by the setter of the parameter that names the file, and again when
//! the list is reloaded. It never opens a file itself.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::ReadFile;
use super::value::{Given, Shown};
use crate::cidr::{MinPrefix, Prefix};
use crate::domain::Domain;

/// Largest list file in bytes.
pub const BYTES_MAX: usize = 16 << 20;
/// Most entries of a list file.
pub const ENTRIES_MAX: usize = 1 << 20;
/// Most DNS names: each is asked for again and again.
pub const NAMES_MAX: usize = 256;

/// Some editors write it before the first line of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const ALLOWED: &str = "one IPv4 or IPv6 address, prefix or DNS name a line, # starts a comment";

/// What a list file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// In the order of the file.
    pub prefixes: Vec<Prefix>,
    /// The DNS names, in the order of the file.
    pub names: Vec<Domain>,
    /// A sentence, if prefixes had host bits, which have been dropped.
    pub warning: Option<String>,
}

/// Reads the list that `parameter` names by `path` from the file's `bytes`. No entry may be
/// shorter than `shortest`, the value of the parameter `<…>_min_prefix` named `guard`.
///
/// # Errors
/// A sentence that names the file, the first bad line and its text, or the limit in its way.
pub fn read(
    parameter: &str,
    path: &str,
    bytes: &[u8],
    shortest: MinPrefix,
    guard: &str,
) -> Result<List, String> {
    let (mut prefixes, mut names) = (Vec::new(), Vec::new());
    let mut truncated = None;
    each(parameter, path, bytes, ENTRIES_MAX, |entry| {
        let text = entry.text();
        if Domain::is_meant(&text) {
            names.push(
                Domain::parse(&text).map_err(|error| format!("{error}; allowed: {ALLOWED}"))?,
            );
            return Ok(());
        }
        let parsed = Prefix::parse(&text);
        let (prefix, host_bits) = parsed.map_err(|error| format!("{error}; allowed: {ALLOWED}"))?;
        if !shortest.allows(prefix) {
            return Err(format!("is shorter than {guard} {shortest} allows"));
        }
        if host_bits {
            let taken = || (format!("{} is taken as {prefix}", entry.place()), 0);
            truncated.get_or_insert_with(taken).1 += 1;
        }
        prefixes.push(prefix);
        Ok(())
    })?;
    let warning = truncated.map(|(first, count): (String, usize)| match count {
        1 => first,
        _ => format!("{first}, and {} more like it", count - 1),
    });
    Ok(List {
        prefixes,
        names,
        warning,
    })
}

/// An entry of a list file.
pub(super) struct Entry<'a> {
    file: &'a str,
    line: usize,
    /// Without the blanks around it; never empty.
    pub bytes: &'a [u8],
}

impl Entry<'_> {
    /// What it says; what is not UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes)
    }

    fn place(&self) -> String {
        format!("{} line {}: {}", self.file, self.line, Shown(&self.text()))
    }
}

/// Hands the entries of a file to `take`, at most `most` of them.
///
/// # Errors
/// What `take` finds wrong with an entry, after its place; or the limit in the file's way.
pub(super) fn each(
    parameter: &str,
    path: &str,
    bytes: &[u8],
    most: usize,
    mut take: impl FnMut(&Entry<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let file = &format!("{parameter}: {}", Shown(path));
    if bytes.len() > BYTES_MAX {
        let limit = BYTES_MAX >> 20;
        return Err(format!("{file} is too large; allowed: {limit} MiB at most"));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut taken = 0;
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let entry = line.split(|&byte| byte == b'#').next().unwrap_or(line);
        let (bytes, line) = (entry.trim_ascii(), index + 1);
        if bytes.is_empty() {
            continue;
        }
        let entry = Entry { file, line, bytes };
        let outcome = match taken == most {
            true => Err(format!("is one too many; allowed: {most} entries")),
            false => take(&entry),
        };
        outcome.map_err(|problem| format!("{} {problem}", entry.place()))?;
        taken += 1;
    }
    Ok(())
}

/// The bytes of the file that a parameter names, which has `what` a line.
///
/// # Errors
/// A sentence, if it is no absolute path or the file cannot be read.
pub(super) fn load(read_file: ReadFile, given: Given<'_>, what: &str) -> Result<Vec<u8>, String> {
    let path = given.text;
    let refuse = |problem: &str| {
        let allowed = format!("the absolute path of a readable file with {what} a line");
        given.refuse(problem, allowed)
    };
    if !path.starts_with('/') || path.contains('\0') {
        return Err(refuse("is not an absolute path"));
    }
    read_file(path, BYTES_MAX).map_err(|error| refuse(&format!("cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GUARD: MinPrefix = MinPrefix { v4: 8, v6: 19 };

    fn entries(bytes: &[u8]) -> Result<String, String> {
        let list = read("whitelist_file", "/etc/trunks", bytes, GUARD, "min_prefix")?;
        let written: Vec<String> = list.prefixes.iter().map(Prefix::to_string).collect();
        let warning = list.warning.unwrap_or_default();
        Ok(format!("{}|{warning}", written.join(" ")))
    }

    #[test]
    fn lists_are_read_as_editors_write_them() {
        for (bytes, expected) in [
            (&b""[..], "|"),
            (b"\n\n", "|"),
            (b"# trunks\n192.0.2.1\n", "192.0.2.1|"),
            (b"192.0.2.1", "192.0.2.1|"),
            (b"192.0.2.1\r\n10.0.0.0/8\r\n", "192.0.2.1 10.0.0.0/8|"),
            (b"\xef\xbb\xbf192.0.2.1", "192.0.2.1|"),
            (b"\t 2001:db8::/32   # the carrier\n", "2001:db8::/32|"),
            (b"192.0.2.1#x\n#\n", "192.0.2.1|"),
            (
                b"\n10.0.0.1/8\n",
                "10.0.0.0/8|whitelist_file: \"/etc/trunks\" line 2: \"10.0.0.1/8\" is taken as \
                 10.0.0.0/8",
            ),
        ] {
            assert_eq!(entries(bytes).as_deref(), Ok(expected), "{bytes:?}");
        }
        let several = entries(b"10.0.0.1/8\n10.0.0.2/8\n10.0.0.3/8").unwrap();
        assert!(
            several.ends_with("10.0.0.0/8, and 2 more like it"),
            "{several}"
        );
    }

    #[test]
    fn the_first_bad_line_is_named() {
        for (bytes, expected) in [
            (
                &b"192.0.2.1\n\nfoo\nbar"[..],
                "line 3: \"foo\" is not an address",
            ),
            (
                b"192.0.2.1, 192.0.2.2",
                "line 1: \"192.0.2.1, 192.0.2.2\" is not an",
            ),
            (
                b"192.0.2.1 192.0.2.2",
                "line 1: \"192.0.2.1 192.0.2.2\" is not an",
            ),
            (b"a\x1b[2Jb", "line 1: \"a\\u{1b}[2Jb\" is not an address"),
            (
                b"\xff\xfe1\0",
                "line 1: \"\u{fffd}\u{fffd}1\\0\" is not an address",
            ),
            (
                b"192.0.2.1\r192.0.2.2",
                "line 1: \"192.0.2.1\\r192.0.2.2\" is not",
            ),
            (
                b"192.0.2.0/33",
                "line 1: \"192.0.2.0/33\" has a bad prefix length",
            ),
            (
                b"0.0.0.0/0",
                "line 1: \"0.0.0.0/0\" is shorter than min_prefix 8/19 allows",
            ),
            (
                b"2000::/3",
                "line 1: \"2000::/3\" is shorter than min_prefix 8/19 allows",
            ),
        ] {
            let error = entries(bytes).unwrap_err();
            let expected = format!("whitelist_file: \"/etc/trunks\" {expected}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_file_has_limits() {
        let large = vec![b'#'; BYTES_MAX + 1];
        let error = entries(&large).unwrap_err();
        assert!(
            error.ends_with("is too large; allowed: 16 MiB at most"),
            "{error}"
        );
        let many = b"::1\n".repeat(ENTRIES_MAX + 1);
        let error = entries(&many).unwrap_err();
        assert!(
            error.contains("line 1048577: \"::1\" is one too many"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = entries(&bytes) {
                prop_assert!(error.starts_with("whitelist_file: \"/etc/trunks\" line "));
                prop_assert!(!error.contains(char::is_control));
            }
        }
    }
}
