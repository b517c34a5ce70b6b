//! The names that reverse DNS gave to addresses of late, for whoever asks `sec.explain`.
//!
//! Written by the agent alone, read by RPC processes. Each source has one place; another source
//! with the same place takes it over, so that the memory is fixed and the newest are remembered.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::ledger::Key;
use super::line::{Line, text};
use super::sync::AtomicU64;
use crate::source::Source;

/// Sources that are remembered at most.
const PLACES: usize = 1024;
/// Longest text of names in bytes; what is beyond is cut.
pub const NAMES_MAX: usize = 264;
/// The source (16 bytes and its length), the address.
const HEAD: usize = 16 + 1 + 16;
const BYTES: usize = HEAD + NAMES_MAX;

/// What was found out about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The address of it that was looked up.
    pub address: IpAddr,
    /// Its names, joined by commas; or why there is none.
    pub names: String,
}

/// The table.
#[derive(Clone, Copy)]
pub struct Hosts {
    words: &'static [AtomicU64],
}

impl Hosts {
    /// Words that the region must hold.
    pub const WORDS: usize = PLACES * Line::words(BYTES);

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Hosts {
        Hosts { words }
    }

    /// Remembers what was found out; only the agent may.
    pub fn write(&self, key: Key, host: &Host) {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(key.source.bits().to_le_bytes());
        bytes.push(key.source.length());
        bytes.extend(Source::new(host.address, 128).bits().to_le_bytes());
        let length = host.names.floor_char_boundary(NAMES_MAX);
        bytes.extend(&host.names.as_bytes()[..length]);
        self.line(key).write(&bytes);
    }

    /// What was found out about a source, if it is remembered.
    pub fn read(&self, key: Key) -> Option<Host> {
        let bytes = self.line(key).read();
        let (bits, rest) = bytes.split_first_chunk()?;
        let (&length, rest) = rest.split_first()?;
        let (address, names) = rest.split_first_chunk()?;
        let source = Source::from_parts(u128::from_le_bytes(*bits), length);
        (source == key.source).then(|| Host {
            address: Source::from_parts(u128::from_le_bytes(*address), 128).address(),
            names: text(names),
        })
    }

    fn line(&self, key: Key) -> Line {
        Line::of(self.words, BYTES, key.hash as usize % PLACES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    fn key(address: &str, hash: u64) -> Key {
        Key {
            source: Source::new(address.parse().unwrap(), 64),
            hash,
        }
    }

    #[test]
    fn names_are_remembered_for_their_source_alone() {
        let hosts = Hosts::new(Region::new(Hosts::WORDS).unwrap().take(Hosts::WORDS));
        let (first, second) = (key("2001:db8:1::5", 7), key("192.0.2.1", 7 + 1024));
        assert_eq!(hosts.read(first), None);
        let host = Host {
            address: "2001:db8:1::5".parse().unwrap(),
            names: "a.example.com, b.example.com".into(),
        };
        hosts.write(first, &host);
        assert_eq!(hosts.read(first), Some(host));
        assert_eq!(hosts.read(second), None);
        let long = Host {
            address: "192.0.2.1".parse().unwrap(),
            names: "é".repeat(200),
        };
        hosts.write(second, &long);
        assert_eq!(hosts.read(first), None, "the place was taken over");
        assert_eq!(hosts.read(second).unwrap().names, "é".repeat(NAMES_MAX / 2));
    }
}
