//! The agent's book of one kind of networks: those that are banned, or those that are whitelisted.
//!
//! Used by `networks.rs`; what it holds is published through the snapshot and read back from there
//! by an agent that was started again.

use std::collections::BTreeMap;

use crate::cidr::Prefix;
use crate::engine::facts::Now;
use crate::shared::snapshot::{Network, Section, network_words};

/// Networks by their prefixes, each but once.
pub struct Book {
    /// Where they are published.
    pub section: Section,
    networks: BTreeMap<Prefix, Network>,
    /// Something is in it, or is gone, that is not published so.
    changed: bool,
    /// When the first of them ends, or earlier.
    ends: u64,
}

impl Book {
    /// With what is published.
    pub fn new(section: Section, published: Vec<Network>) -> Book {
        let networks = published.into_iter().map(|n| (n.prefix, n)).collect();
        let mut book = Book {
            section,
            networks,
            changed: false,
            ends: 0,
        };
        book.find_end();
        book
    }

    /// Enters a network; what stood there for the same prefix gives way.
    pub fn insert(&mut self, network: Network) {
        self.ends = self.ends.min(network.until);
        self.networks.insert(network.prefix, network);
        self.changed = true;
    }

    /// Takes exactly this network out.
    pub fn remove(&mut self, prefix: Prefix) -> Option<Network> {
        let removed = self.networks.remove(&prefix)?;
        self.changed = true;
        Some(removed)
    }

    /// Takes out all networks of which `gone` holds.
    pub fn remove_all(&mut self, gone: impl Fn(&Network) -> bool) -> Vec<Network> {
        let removed = self.networks.extract_if(.., |_, network| gone(network));
        let removed: Vec<Network> = removed.map(|(_, network)| network).collect();
        self.changed |= !removed.is_empty();
        removed
    }

    /// Takes out what has ended.
    pub fn expire(&mut self, now: Now) {
        if self.ends <= now.ms() {
            self.remove_all(|network| network.until <= now.ms());
            self.find_end();
        }
    }

    /// When the next of them ends.
    pub fn ends(&self) -> u64 {
        self.ends
    }

    /// Whether it differs from what is published.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The words to publish, none if it is empty; from now on nothing has changed.
    pub fn words(&mut self) -> Option<Vec<u64>> {
        self.changed = false;
        (!self.networks.is_empty()).then(|| network_words(self.networks.values()))
    }

    fn find_end(&mut self) {
        let ends = self.networks.values().map(|network| network.until);
        self.ends = ends.min().unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::facts::{FOREVER, Origin};
    use crate::engine::verdict::Reason;

    fn network(prefix: &str, until: u64) -> Network {
        Network {
            prefix: prefix.parse().unwrap(),
            since: 1,
            until,
            reason: Reason::MANUAL,
            origin: Origin::Operator,
            shadow: false,
        }
    }

    fn at(ms: u64) -> Now {
        Now::from_ns(ms * 1_000_000)
    }

    #[test]
    fn what_ends_is_taken_out_on_time() {
        let published = vec![network("10.0.0.0/8", 50), network("10.1.0.0/16", FOREVER)];
        let mut book = Book::new(Section::Bans, published);
        assert_eq!((book.ends(), book.changed()), (50, false));
        book.insert(network("10.2.0.0/16", 30));
        assert_eq!((book.ends(), book.changed()), (30, true));
        assert!(book.words().is_some() && !book.changed());
        book.expire(at(29));
        assert!(!book.changed());
        book.expire(at(30));
        assert_eq!((book.ends(), book.changed()), (50, true));
        book.expire(at(50));
        assert_eq!(book.ends(), FOREVER);
        assert!(book.remove("10.1.0.0/16".parse().unwrap()).is_some());
        assert_eq!(book.words(), None);
    }

    #[test]
    fn a_network_is_in_it_once_and_removed_exactly() {
        let mut book = Book::new(Section::Bans, Vec::new());
        book.insert(network("10.0.0.0/8", 50));
        book.insert(network("10.0.0.0/8", 90));
        assert_eq!(book.remove("10.0.0.0/9".parse().unwrap()), None);
        let removed = book.remove("10.0.0.0/8".parse().unwrap()).unwrap();
        assert_eq!(removed.until, 90);
        assert_eq!(book.remove("10.0.0.0/8".parse().unwrap()), None);
    }
}
