//! The agent's book of one kind of networks: those that are banned, or those that are whitelisted.
//!
//! Used by `books.rs`; what it holds is published through the snapshot and read back from there by
//! an agent that was started again. A network that was removed here leaves a row that holds for
//! nobody, until the fleet knows.

use std::collections::{BTreeMap, BTreeSet};

use crate::cidr::Prefix;
use crate::engine::facts::Now;
use crate::shared::snapshot::{Network, network_words};

/// Networks by their prefixes, each but once.
pub struct Book {
    /// There was no room for its last version: that was said.
    pub full: bool,
    networks: BTreeMap<Prefix, Network>,
    /// What the fleet does not know yet.
    pending: BTreeSet<Prefix>,
    /// Prefixes that came since the last publication, in this order.
    fresh: Vec<Prefix>,
    /// Something is in it, or is gone, that is not published so.
    changed: bool,
    /// When the first of them ends, or earlier.
    ends: u64,
}

impl Book {
    /// With what is published.
    pub fn new(published: Vec<Network>) -> Book {
        let pending = published.iter().filter(|network| network.pending);
        let mut book = Book {
            full: false,
            pending: pending.map(|network| network.prefix).collect(),
            networks: published.into_iter().map(|n| (n.prefix, n)).collect(),
            fresh: Vec::new(),
            changed: false,
            ends: 0,
        };
        book.find_end(0);
        book
    }

    /// What is written of exactly this network; it may have ended.
    pub fn get(&self, prefix: Prefix) -> Option<&Network> {
        self.networks.get(&prefix)
    }

    /// All rows, in the order of their prefixes; some may have ended.
    pub fn iter(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// The networks inside a prefix, itself included.
    pub fn inside(&self, prefix: Prefix) -> Vec<Network> {
        let rows = self.networks.range(prefix..).map(|(_, network)| network);
        // In 128 bits the IPv4 addresses lie inside some IPv6 prefixes, which do not contain them.
        let mixed = |inner: Prefix| inner.is_ipv4() && !prefix.is_ipv4();
        let rows = rows.take_while(|network| {
            let inner = network.prefix;
            prefix.contains(inner.first_address()) || mixed(inner)
        });
        let rows = rows.filter(|network| prefix.contains_prefix(network.prefix));
        rows.copied().collect()
    }

    /// Enters a network; what stood there for the same prefix gives way.
    pub fn insert(&mut self, network: Network) {
        let prefix = network.prefix;
        if network.until > network.since {
            self.ends = self.ends.min(network.until);
        }
        match network.pending {
            true => self.pending.insert(prefix),
            false => self.pending.remove(&prefix),
        };
        if self.networks.insert(prefix, network).is_none() {
            self.fresh.push(prefix);
        }
        self.changed = true;
    }

    /// Takes exactly this network out.
    pub fn remove(&mut self, prefix: Prefix) -> Option<Network> {
        let removed = self.networks.remove(&prefix)?;
        self.pending.remove(&prefix);
        self.changed = true;
        Some(removed)
    }

    /// Takes out all networks of which `gone` holds.
    pub fn remove_all(&mut self, gone: impl Fn(&Network) -> bool) {
        let removed = self.networks.extract_if(.., |_, network| gone(network));
        for (prefix, _) in removed {
            self.pending.remove(&prefix);
            self.changed = true;
        }
    }

    /// Takes out what has ended, unless the fleet has still to be told.
    pub fn expire(&mut self, now: Now) {
        if self.ends <= now.ms() {
            self.remove_all(|network| network.until <= now.ms() && !network.pending);
            self.find_end(now.ms());
        }
    }

    /// When the next of them ends.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    /// How many changes the fleet does not know.
    pub fn unwritten(&self) -> usize {
        self.pending.len()
    }

    /// The first of those changes, as the rows are now.
    pub fn pending(&self, count: usize) -> Vec<Network> {
        let rows = self.pending.iter().filter_map(|prefix| self.get(*prefix));
        rows.take(count).copied().collect()
    }

    /// The fleet knows this row, which may have changed meanwhile: then it does not know it after
    /// all.
    pub fn settle(&mut self, written: &Network, now: Now) {
        if self.get(written.prefix) != Some(written) {
            return;
        }
        if written.until > now.ms() {
            self.insert(Network {
                pending: false,
                ..*written
            });
        } else {
            self.remove(written.prefix);
        }
    }

    /// Whether it differs from what is published.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The words to publish, none if it is empty.
    pub fn words(&self) -> Option<Vec<u64>> {
        (!self.networks.is_empty()).then(|| network_words(self.networks.values()))
    }

    /// It is published as it is.
    pub fn published(&mut self) {
        self.changed = false;
        self.fresh = Vec::new();
    }

    /// Leaves out that `share` of its networks, those that came last, as far as they came since the
    /// last publication. How many.
    pub fn leave_out(&mut self, share: f64) -> usize {
        let count = (self.networks.len() as f64 * share).ceil().max(1.0) as usize;
        let kept = self.fresh.len().saturating_sub(count);
        let last = self.fresh.split_off(kept);
        last.into_iter()
            .filter_map(|prefix| self.remove(prefix))
            .count()
    }

    fn find_end(&mut self, now_ms: u64) {
        let ends = self.networks.values().map(|network| network.until);
        let ends = ends.filter(|until| *until > now_ms);
        self.ends = ends.min().unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
