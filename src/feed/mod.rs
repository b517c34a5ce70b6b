//! Feeds: lists of hostile addresses that others publish, from their bytes to a map of prefixes.
//!
//! Called by the agent, which fetches them, and by `config` for what a format is; SIP workers only
//! look up in the map. Pure: no I/O, no clock. Whatever a publisher sends, nothing here panics; what
//! is no address is skipped and counted, and what no server may be cut off for is refused.
#![forbid(unsafe_code)]

mod apiban;
mod copy;
mod format;
mod guard;
mod merge;
mod reading;

pub use apiban::{Answer, FIRST_ID};
pub use copy::Copy;
pub use format::Format;
pub use guard::Guard;
pub use merge::{List, Place, merge, recover};
pub use reading::{REASONS_MAX, Reading, read, shrunk};

use crate::cidr::Prefix;

/// Most feeds: a reason and a place in the map hold the number of one.
pub const FEEDS_MAX: usize = 12;
/// Largest list in bytes, unpacked.
pub const BYTES_MAX: usize = 64 << 20;

/// An entry of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom it names.
    pub prefix: Prefix,
    /// Where: the line of a text, the number of an element in JSON, both from 1.
    pub line: u32,
    /// When the feed last named it, in seconds since 1970.
    pub seen: u32,
}

#[cfg(test)]
mod tests;
