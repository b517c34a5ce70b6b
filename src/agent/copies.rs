//! The last good copies of feeds, in `feed_dir`: `<name>.feed`, for nobody else to read.
//!
//! Runs in a thread of the agent. A feed that is a file needs no copy.

use std::path::{Path, PathBuf};

use crate::config::Feed;
use crate::config::feeds::Origin;
use crate::feed::{BYTES_MAX, Copy, Guard};
use crate::files;

/// Entries take more bytes in a copy than in a list.
const COPY_MAX: usize = 2 * BYTES_MAX;

/// Where the copy of a feed is, if it has one.
pub fn path(folder: Option<&str>, feed: &Feed) -> Option<PathBuf> {
    let Origin::Web(_) = feed.origin else {
        return None;
    };
    Some(PathBuf::from(folder?).join(format!("{}.feed", feed.name)))
}

/// Reads a copy; none if there is none, or it is of another origin.
///
/// # Errors
/// A sentence, if there is one that is of no use.
pub fn load(path: &Path, feed: &Feed, guard: &Guard) -> Result<Option<Copy>, String> {
    let bytes = match files::read(path, COPY_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let copy = Copy::read(&bytes, guard)
        .map_err(|problem| format!("{} is not used: {problem}", path.display()))?;
    Ok((copy.origin == feed.shown).then_some(copy))
}

/// Writes a copy.
///
/// # Errors
/// A sentence; the copy before it stays.
pub fn save(path: &Path, copy: &Copy) -> Result<(), String> {
    let saved = files::replace(path, &copy.write(), 0o600);
    saved.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
