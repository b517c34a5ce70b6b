//! CIDR: prefixes as operators write them, and maps that find the longest prefix around an
//! address in a few memory reads.
//!
//! Called by `config` while Kamailio reads its configuration, by the RPC commands and script
//! functions that take a CIDR, and by SIP workers for look-ups. Pure: no I/O, no clock, and a
//! look-up neither allocates nor panics, whatever the tables hold.
#![forbid(unsafe_code)]

mod blocks;
mod map;
mod prefix;
mod segments;
mod table;

pub use blocks::{Block, Run, outermost, prefixes, without};
pub use map::{PrefixMap, PrefixMapBuilder};
pub use prefix::{MinPrefix, Prefix, PrefixError};
pub use table::{Column, PrefixTable};
