//! The last offences of each offender, for whoever asks `sec.explain`: what a ban is explained with.
//!
//! Written by the agent alone, from the events that it gets; read by RPC processes. Each offender
//! has one line (see `line`), so what is read is whole. A bucket of eight lines is where an offender
//! can be; in a full one that line gives way whose owner is worth least, among equals the one that
//! was quiet for longest. Texts are cleaned before they are written.
#![forbid(unsafe_code)]

use super::ledger::Key;
use super::line::{Line, text};
use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::engine::verdict::Reason;
use crate::source::Source;

/// Offenders that are remembered at most.
const PLACES: usize = 8192;
/// Lines among which an offender's is.
const WAYS: usize = 8;
/// Offences of each that are remembered.
pub const OFFENCES_MAX: usize = 5;
/// Longest texts in bytes; what is beyond is cut.
const USER_MAX: usize = 40;
const AGENT_MAX: usize = 60;
/// The source (16 bytes and its length).
const HEAD: usize = 17;
/// Time, reason, weight, method, and the texts.
const RECORD: usize = 11 + USER_MAX + AGENT_MAX;
const BYTES: usize = HEAD + OFFENCES_MAX * RECORD;

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, as a ledger time (ms).
    pub at: u64,
    /// What for.
    pub reason: Reason,
    /// In strikes; 0 for what is no strike, as going over a rate.
    pub weight: u8,
    /// The number of the request's method, see [`super::events::Event::method`].
    pub method: u8,
    /// The user that the request named.
    pub user: String,
    /// Its User-Agent.
    pub agent: String,
}

/// The table.
#[derive(Clone, Copy)]
pub struct Evidence {
    /// A hash of each line's owner, so that most lines need not be read; 0 for a free one.
    hashes: &'static [AtomicU64],
    lines: &'static [AtomicU64],
}

impl Evidence {
    /// Words that the region must hold.
    pub const WORDS: usize = PLACES + PLACES * Line::words(BYTES);

    /// Over zeroed words of the region.
    pub fn new(words: &'static [AtomicU64]) -> Evidence {
        let (hashes, lines) = words.split_at(PLACES);
        Evidence { hashes, lines }
    }

    /// Remembers what somebody did; only the agent may. `worth` says how much it would matter to
    /// forget another source.
    pub fn write(&self, key: Key, deed: &Deed, worth: impl Fn(Source) -> u8) {
        let known = self.find(key);
        let number = match &known {
            Some((number, _)) => *number,
            None => self.place_for(key, worth),
        };
        let deeds = known.map(|(_, deeds)| deeds).unwrap_or_default();
        let mut bytes = key.source.bits().to_le_bytes().to_vec();
        bytes.push(key.source.length());
        for deed in std::iter::once(deed).chain(&deeds).take(OFFENCES_MAX) {
            put(&mut bytes, deed);
        }
        self.line(number).write(&bytes);
        self.hashes[number].store(key.hash | 1, Relaxed);
    }

    /// What a source did last, the newest first.
    pub fn read(&self, key: Key) -> Vec<Deed> {
        self.find(key).map(|(_, deeds)| deeds).unwrap_or_default()
    }

    fn find(&self, key: Key) -> Option<(usize, Vec<Deed>)> {
        let wanted = |number: &usize| self.hashes[*number].load(Relaxed) == key.hash | 1;
        bucket(key).filter(wanted).find_map(|number| {
            let bytes = self.line(number).read();
            let (owner, deeds) = taken_apart(&bytes)?;
            (owner == key.source).then_some((number, deeds))
        })
    }

    /// The line for a new offender.
    fn place_for(&self, key: Key, worth: impl Fn(Source) -> u8) -> usize {
        let value = |number: &usize| {
            let bytes = match self.hashes[*number].load(Relaxed) {
                0 => Vec::new(),
                _ => self.line(*number).read(),
            };
            // Who wrote half a line died: nobody can read it.
            taken_apart(&bytes).map(|(owner, deeds)| {
                let last = deeds.first().map_or(0, |deed| deed.at);
                (worth(owner), last)
            })
        };
        bucket(key).min_by_key(value).unwrap_or_default()
    }

    fn line(&self, number: usize) -> Line {
        Line::of(self.lines, BYTES, number)
    }
}

fn bucket(key: Key) -> std::ops::Range<usize> {
    let first = (key.hash >> 1) as usize % (PLACES / WAYS) * WAYS;
    first..first + WAYS
}

/// The owner of a line, and what he did.
fn taken_apart(bytes: &[u8]) -> Option<(Source, Vec<Deed>)> {
    let (bits, rest) = bytes.split_first_chunk()?;
    let (&length, rest) = rest.split_first()?;
    let source = Source::from_parts(u128::from_le_bytes(*bits), length);
    let deeds = rest.chunks_exact(RECORD).take(OFFENCES_MAX);
    Some((source, deeds.map_while(deed).collect()))
}

fn deed(record: &[u8]) -> Option<Deed> {
    let (at, rest) = record.split_first_chunk()?;
    let at = u64::from_le_bytes(*at);
    let ([reason, weight, method], rest) = rest.split_first_chunk()?;
    let (user, agent) = rest.split_at_checked(USER_MAX)?;
    (at != 0).then(|| Deed {
        at,
        reason: Reason::from_number(*reason),
        weight: *weight,
        method: *method,
        user: text(user),
        agent: text(agent),
    })
}

fn put(bytes: &mut Vec<u8>, deed: &Deed) {
    bytes.extend(deed.at.max(1).to_le_bytes());
    bytes.extend([deed.reason.number(), deed.weight, deed.method]);
    for (text, most) in [(&deed.user, USER_MAX), (&deed.agent, AGENT_MAX)] {
        let length = text.floor_char_boundary(most);
        bytes.extend(&text.as_bytes()[..length]);
        bytes.resize(bytes.len() + most - length, 0);
    }
}

/// A stranger's text as an operator may be shown it: letters, digits, blanks and the marks of
/// ASCII; `?` for everything else.
pub fn clean(text: &[u8]) -> String {
    let fine = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    let text = String::from_utf8_lossy(text);
    let clean = text.chars().map(|c| if fine(c) { c } else { '?' });
    clean.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::region::Region;

    fn table() -> Evidence {
        Evidence::new(Region::new(Evidence::WORDS).unwrap().take(Evidence::WORDS))
    }

    fn key(host: u32, hash: u64) -> Key {
        let address = std::net::Ipv4Addr::from(host).into();
        let source = Source::new(address, 64);
        Key { source, hash }
    }

    fn deed(at: u64) -> Deed {
        Deed {
            at,
            reason: Reason::AUTH,
            weight: 3,
            method: 6,
            user: format!("user{at}"),
            agent: "friendly-scanner".into(),
        }
    }

    #[test]
    fn the_last_five_are_kept_the_newest_first() {
        let evidence = table();
        assert_eq!(evidence.read(key(1, 7)), []);
        for at in 1..=7 {
            evidence.write(key(1, 7), &deed(at), |_| 0);
            evidence.write(key(2, 7), &deed(at + 100), |_| 0);
        }
        let expected: Vec<Deed> = [7, 6, 5, 4, 3].map(deed).into();
        assert_eq!(evidence.read(key(1, 7)), expected, "of this source alone");
        assert_eq!(evidence.read(key(2, 7))[0], deed(107));
        assert_eq!(evidence.read(key(3, 7)), []);
    }

    #[test]
    fn the_least_valuable_gives_way() {
        let evidence = table();
        let worth = |source: Source| u8::from(source == key(3, 7).source);
        let places = WAYS as u32;
        for host in 0..places {
            evidence.write(key(host, 7), &deed(u64::from(100 - host)), |_| 0);
        }
        // The quietest is of worth; of the others the one that was quiet for longest goes.
        evidence.write(key(3, 7), &deed(1), worth);
        evidence.write(key(99, 7), &deed(200), worth);
        assert_eq!(evidence.read(key(places - 1, 7)), []);
        for host in (0..places - 1).chain([99]) {
            assert!(!evidence.read(key(host, 7)).is_empty(), "{host}");
        }
        assert_eq!(evidence.read(key(places, 9)), [], "another bucket");
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        let evidence = table();
        let long = Deed {
            user: "é".repeat(50),
            agent: "x".repeat(500),
            ..deed(1)
        };
        evidence.write(key(1, 7), &long, |_| 0);
        let read = &evidence.read(key(1, 7))[0];
        assert_eq!(read.user, "é".repeat(USER_MAX / 2));
        assert_eq!(read.agent, "x".repeat(AGENT_MAX));
        let dirty = clean(b"a\x00b\r\n\x1b[2J\xff \xe2\x80\xaeJos\xc3\xa9");
        assert_eq!(dirty, "a?b???[2J? ?José");
    }

    #[test]
    fn a_half_written_line_is_free() {
        let evidence = table();
        evidence.write(key(1, 7), &deed(1), |_| 0);
        let number = bucket(key(1, 7)).start;
        let version = number * Line::words(BYTES);
        evidence.lines[version].fetch_or(1, Relaxed);
        assert_eq!(evidence.read(key(1, 7)), []);
        evidence.write(key(1, 7), &deed(2), |_| 0);
        assert_eq!(evidence.read(key(1, 7)), [deed(2)]);
    }
}
