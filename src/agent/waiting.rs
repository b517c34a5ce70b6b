//! Who waits for Redis: sources whose changes the outbox has not written yet.
//!
//! Redis may be away for days, or refuse what it is told, while ever new sources are banned and give
//! way in the ledger. So nothing is kept here that the ledger could not say again.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::source::Source;

/// Sources that have something pending; never more than the ledger has room for.
pub struct Waiting {
    sources: BTreeSet<Source>,
    /// There were more, with records that are gone among them: the ledger knows who still waits.
    forgotten: bool,
    most: usize,
}

impl Waiting {
    /// At most so many.
    pub fn new(most: usize) -> Waiting {
        Waiting {
            sources: BTreeSet::new(),
            forgotten: false,
            most,
        }
    }

    /// This one, too.
    pub fn add(&mut self, source: Source) {
        if !self.forgotten {
            self.sources.insert(source);
        }
        if self.sources.len() > self.most {
            self.sources.clear();
            self.forgotten = true;
        }
    }

    /// These are all that have something pending.
    pub fn gather(&mut self, pending: impl Iterator<Item = Source>) {
        self.forgotten = false;
        pending.for_each(|source| self.add(source));
    }

    /// Takes the first ones.
    pub fn take(&mut self, most: usize) -> Vec<Source> {
        std::iter::from_fn(|| self.sources.pop_first())
            .take(most)
            .collect()
    }

    /// How many there are; if that is not known, as many as there can be.
    pub fn len(&self) -> usize {
        match self.forgotten {
            true => self.most,
            false => self.sources.len(),
        }
    }

    /// Whether it has to be told anew who waits.
    pub fn has_forgotten(&self) -> bool {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_found_again() {
        let source = |number: u32| Source::new(std::net::Ipv4Addr::from(number).into(), 64);
        let mut waiting = Waiting::new(100);
        (0..100).for_each(|number| waiting.add(source(number)));
        (0..100).for_each(|number| waiting.add(source(number)));
        assert_eq!((waiting.len(), waiting.forgotten), (100, false));
        (100..10_000).for_each(|number| waiting.add(source(number)));
        assert_eq!((waiting.len(), waiting.forgotten), (100, true));
        assert_eq!(waiting.take(10), [], "nobody knows who");
        waiting.gather((50..150).map(source));
        assert_eq!((waiting.len(), waiting.forgotten), (100, false));
        let first: Vec<Source> = (50..60).map(source).collect();
        assert_eq!(waiting.take(10), first);
        waiting.gather((0..200).map(source));
        assert!(waiting.forgotten && waiting.sources.is_empty());
    }
}
