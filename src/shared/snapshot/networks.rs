//! Bans and whitelist entries of whole networks, as words: a row for each, and the map that finds
//! the longest around an address.
//!
//! Each row says until when it holds and which row lies around it, so that an entry ends on time
//! and lets the wider one show, even if the agent is late in taking it out.
#![forbid(unsafe_code)]

use std::num::NonZeroU32;

use super::prefixes::{WordTable, prefix_words, table};
use super::{AtomicU64, Relaxed};
use crate::cidr::{Prefix, PrefixMapBuilder};
use crate::engine::facts::{Ban, Now, Origin};
use crate::engine::verdict::Reason;
use crate::shared::ledger::Maker;
use crate::source::{Address, Source};

/// Words of a row.
const ROW: usize = 5;
/// Prefixes around each other: one for each length, and no more.
const DEPTH_MAX: usize = 129;

/// A ban or a whitelist entry of a network. Times are ledger times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network.
    pub prefix: Prefix,
    /// When it was made.
    pub since: u64,
    /// When it ends; `FOREVER` for one without an end.
    pub until: u64,
    /// Why it is banned.
    pub reason: Reason,
    /// By whom.
    pub origin: Origin,
    /// By which node, if it is a ban.
    pub maker: Maker,
    /// Made in shadow mode: it denies nothing.
    pub shadow: bool,
    /// The fleet does not know yet what this row says.
    pub pending: bool,
}

/// The flags of a row; there is room for six more.
const SHADOW: u64 = 1;
const PENDING: u64 = 2;

impl Network {
    /// In the place of a network that was removed at `since`, until the fleet knows. It holds for
    /// nobody.
    pub fn removed(prefix: Prefix, since: u64, origin: Origin) -> Network {
        Network {
            prefix,
            since,
            until: 0,
            reason: Reason::NONE,
            origin,
            maker: Maker::default(),
            shadow: false,
            pending: true,
        }
    }

    /// Whether it holds now; a shadow ban does in shadow mode only.
    #[inline]
    pub fn holds(&self, now: Now, shadow: bool) -> bool {
        self.until > now.ms() && (!self.shadow || shadow)
    }

    /// As the engine sees it. Such a ban is an order, not a conclusion from what could be forged.
    pub fn ban(&self) -> Ban {
        Ban {
            since: self.since,
            until: self.until,
            reason: self.reason,
            origin: self.origin,
            shadow: self.shadow,
            validated: true,
        }
    }

    fn encode(&self, around: u32) -> [u64; ROW] {
        let source = self.prefix.source();
        let flags = (u64::from(self.shadow) * SHADOW) | (u64::from(self.pending) * PENDING);
        [
            (source.bits() >> 64) as u64,
            source.bits() as u64,
            self.until << 8 | u64::from(self.reason.number()),
            self.since << 16 | (self.origin as u64) << 8 | flags,
            u64::from(around) << 32
                | u64::from(self.maker.count) << 16
                | u64::from(self.maker.node) << 8
                | u64::from(source.length()),
        ]
    }
}

/// The words of a section of `networks`, which are in the order of their prefixes, each but once.
pub fn network_words<'a>(networks: impl Iterator<Item = &'a Network> + Clone) -> Vec<u64> {
    let around = around(networks.clone().map(|network| network.prefix));
    let mut words = vec![around.len() as u64];
    let mut map = PrefixMapBuilder::new();
    for (row, (network, around)) in (1..).zip(networks.zip(around)) {
        words.extend(network.encode(around));
        if let Some(row) = NonZeroU32::new(row) {
            map.insert(network.prefix, row);
        }
    }
    words.extend(prefix_words(&map.build()));
    words
}

/// For each prefix the one around it, counted from 1; 0 is none.
fn around(prefixes: impl Iterator<Item = Prefix>) -> Vec<u32> {
    let mut open: [Vec<(Prefix, u32)>; 2] = Default::default();
    let place = |(row, prefix): (u32, Prefix)| {
        // In 128 bits the IPv4 addresses lie inside some IPv6 prefixes, which do not contain them.
        let open = &mut open[usize::from(prefix.is_ipv4())];
        while open
            .pop_if(|(outer, _)| !outer.contains_prefix(prefix))
            .is_some()
        {}
        let around = open.last().map_or(0, |&(_, row)| row);
        open.push((prefix, row));
        around
    };
    (1..).zip(prefixes).map(place).collect()
}

/// Networks where they lie.
#[derive(Clone, Copy)]
pub struct Networks<'a> {
    rows: &'a [AtomicU64],
    table: WordTable<'a>,
}

impl<'a> Networks<'a> {
    /// In the words of a section; `None` if they are not all there.
    #[inline]
    pub(super) fn of(words: &'a [AtomicU64]) -> Option<Networks<'a>> {
        let (count, rest) = words.split_first()?;
        let length = usize::try_from(count.load(Relaxed))
            .ok()?
            .checked_mul(ROW)?;
        let (rows, rest) = rest.split_at_checked(length)?;
        let table = table(rest)?;
        Some(Networks { rows, table })
    }

    /// How many there are, ended ones included.
    pub fn len(&self) -> usize {
        self.rows.len() / ROW
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The network in a row; `None` beyond the end.
    pub fn at(&self, row: usize) -> Option<Network> {
        Some(self.row(row)?.0)
    }

    /// All of them, in the order of their prefixes.
    pub fn iter(self) -> impl Iterator<Item = Network> {
        (0..self.len()).map_while(move |row| self.at(row))
    }

    /// The longest around `address` of which `wanted` holds.
    #[inline]
    pub fn find(
        &self,
        address: impl Into<Address>,
        wanted: impl Fn(&Network) -> bool,
    ) -> Option<Network> {
        let mut row = self.table.value_of(address.into())?.get();
        for _ in 0..DEPTH_MAX {
            let (network, around) = self.row(row as usize - 1)?;
            if wanted(&network) {
                return Some(network);
            }
            row = NonZeroU32::new(around)?.get();
        }
        None
    }

    /// A row, and the one around it.
    fn row(&self, row: usize) -> Option<(Network, u32)> {
        let words = self
            .rows
            .get(row.checked_mul(ROW)?..)?
            .first_chunk::<ROW>()?;
        let [high, low, until, since, place] = words.each_ref().map(|word| word.load(Relaxed));
        let bits = u128::from(high) << 64 | u128::from(low);
        let network = Network {
            prefix: Prefix::of(Source::from_parts(bits, place as u8))?,
            since: since >> 16,
            until: until >> 8,
            reason: Reason::from_number(until as u8),
            origin: Origin::from_number((since >> 8) as u8),
            maker: Maker {
                node: (place >> 8) as u8,
                count: (place >> 16) as u8,
            },
            shadow: since & SHADOW != 0,
            pending: since & PENDING != 0,
        };
        Some((network, (place >> 32) as u32))
    }
}
