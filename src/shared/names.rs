//! The DNS names of the static whitelist and the addresses that they stand for, for whoever asks
//! `sec.whitelist`, and for an agent that is started again.
//!
//! Written by the agent alone, a line for each name; read by RPC processes. SIP workers read the
//! addresses from the snapshot.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::line::{Line, text};
use super::sync::AtomicU64;
use crate::config::list::NAMES_MAX;
use crate::domain;
use crate::engine::facts::Now;
use crate::source::Source;

/// Addresses of a name that count.
pub const ADDRESSES_MAX: usize = 32;
/// Longest problem in bytes.
const PROBLEM_MAX: usize = 64;
/// When it was resolved, how many addresses, these, the name, the problem.
const BYTES: usize = 8 + 1 + 16 * ADDRESSES_MAX + domain::NAME_MAX + PROBLEM_MAX;

/// A name, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The name itself.
    pub name: String,
    /// What it stands for, at most [`ADDRESSES_MAX`].
    pub addresses: Vec<IpAddr>,
    /// Ledger time of the last answer; 0 if there never was one.
    pub resolved: u64,
    /// Why there was none since; empty if all is well.
    pub problem: String,
}

impl Name {
    /// The word for operators.
    pub fn state(&self) -> &'static str {
        match (self.problem.is_empty(), self.addresses.is_empty()) {
            (true, false) => "resolved",
            (false, false) => "stale",
            (_, true) => "not resolved",
        }
    }

    /// Whether it stands for addresses that may not be its own any more.
    pub fn is_stale(&self) -> bool {
        !self.problem.is_empty() && !self.addresses.is_empty()
    }

    /// Seconds since the last answer; -1 if there never was one.
    pub fn age(&self, now: Now) -> i64 {
        match self.resolved {
            0 => -1,
            resolved => (now.ms().saturating_sub(resolved) / 1000).cast_signed(),
        }
    }
}

/// The table.
#[derive(Clone, Copy)]
pub struct Names {
    words: &'static [AtomicU64],
}

impl Names {
    /// Words that the region must hold.
    pub const WORDS: usize = NAMES_MAX * Line::words(BYTES);

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Names {
        Names { words }
    }

    /// Writes all names, at most [`NAMES_MAX`]; only the agent may.
    pub fn write<'a>(&self, names: impl Iterator<Item = &'a Name>) {
        let mut names = names.map(encode);
        for place in 0..NAMES_MAX {
            let line = Line::of(self.words, BYTES, place);
            match names.next() {
                Some(bytes) => line.write(&bytes),
                None if line.read().is_empty() => return, // nor is there anything behind it
                None => line.write(&[]),
            }
        }
    }

    /// All names.
    pub fn read(&self) -> Vec<Name> {
        let lines = (0..NAMES_MAX).map(|place| Line::of(self.words, BYTES, place).read());
        let written = lines.take_while(|bytes| !bytes.is_empty());
        written.filter_map(|bytes| decode(&bytes)).collect()
    }
}

fn encode(name: &Name) -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    let addresses = name.addresses.iter().take(ADDRESSES_MAX);
    let (head, rest) = bytes.split_at_mut(9);
    head[..8].copy_from_slice(&name.resolved.to_le_bytes());
    head[8] = addresses.len() as u8;
    let (places, rest) = rest.split_at_mut(16 * ADDRESSES_MAX);
    for (place, address) in places.chunks_exact_mut(16).zip(addresses) {
        place.copy_from_slice(&Source::new(*address, 128).bits().to_le_bytes());
    }
    let (place, rest) = rest.split_at_mut(domain::NAME_MAX);
    put(place, &name.name);
    put(rest, &name.problem);
    bytes
}

fn put(place: &mut [u8], text: &str) {
    let length = text.floor_char_boundary(place.len());
    place[..length].copy_from_slice(&text.as_bytes()[..length]);
}

fn decode(bytes: &[u8]) -> Option<Name> {
    let (resolved, rest) = bytes.split_first_chunk()?;
    let (&count, rest) = rest.split_first()?;
    let (places, rest) = rest.split_at_checked(16 * ADDRESSES_MAX)?;
    let (name, problem) = rest.split_at_checked(domain::NAME_MAX)?;
    let (name, problem) = (text(name), text(problem));
    let places = places.as_chunks().0.iter().take(usize::from(count));
    let address = |bits: &[u8; 16]| Source::from_parts(u128::from_le_bytes(*bits), 128).address();
    (!name.is_empty()).then(|| Name {
        name,
        addresses: places.map(address).collect(),
        resolved: u64::from_le_bytes(*resolved),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    fn name(text: &str, addresses: usize) -> Name {
        let address = |n: usize| IpAddr::from([10, 0, 0, n as u8]);
        Name {
            name: text.into(),
            addresses: (0..addresses).map(address).collect(),
            resolved: 5000,
            problem: String::new(),
        }
    }

    #[test]
    fn names_are_written_read_and_replaced() {
        let names = Names::new(Region::new(Names::WORDS).unwrap().take(Names::WORDS));
        assert_eq!(names.read(), []);
        let mut second = name("b.example.com", 0);
        second.addresses = vec!["2001:db8::1".parse().unwrap()];
        second.problem = "no answer".into();
        let all = [name("a.example.com", 3), second];
        names.write(all.iter());
        assert_eq!(names.read(), all);
        assert_eq!(all.each_ref().map(Name::state), ["resolved", "stale"]);
        names.write(all[1..].iter());
        assert_eq!(names.read(), all[1..]);
        names.write([].iter());
        assert_eq!(names.read(), []);
    }

    #[test]
    fn what_is_too_much_is_cut() {
        let names = Names::new(Region::new(Names::WORDS).unwrap().take(Names::WORDS));
        let mut long = name(&"x".repeat(300), ADDRESSES_MAX + 9);
        long.problem = "é".repeat(99);
        let many = vec![long; NAMES_MAX + 1];
        names.write(many.iter());
        let read = names.read();
        assert_eq!(
            (read.len(), read[7].addresses.len()),
            (NAMES_MAX, ADDRESSES_MAX)
        );
        assert_eq!(read[7].problem, "é".repeat(PROBLEM_MAX / 2));
        assert_eq!(name("a", 0).state(), "not resolved");
    }
}
