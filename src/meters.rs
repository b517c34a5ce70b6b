//! The counters of one source, as the engine asks for them: the rate tables and the ledger's ceiling
//! behind [`Rates`].
//!
//! Made for one request or command, in any process.

use crate::engine::decide::Rates;
use crate::engine::facts::Now;
use crate::engine::policy::Limit;
use crate::gcra::Quota;
use crate::node::Node;
use crate::shared::ledger::{Key, Record};
use crate::shared::statistics::Count;

/// The counters of one source, as the engine asks for them.
pub struct SourceMeters<'a> {
    /// The node with the tables.
    pub node: &'a Node,
    /// Whose counters.
    pub key: &'a Key,
    /// When.
    pub now: Now,
    /// Where the ledger keeps the source, if that is known already.
    pub record: &'a Option<Record>,
}

impl SourceMeters<'_> {
    /// The place of this source in a limit that may take neighbours together.
    #[inline]
    fn hash(&self, limit: &Limit) -> u64 {
        let (v4, v6) = limit.per;
        if v4 >= 32 && v6 >= self.node.policy.ipv6_prefix {
            return self.key.hash;
        }
        let wider = self.key.source.widened(v4, v6);
        self.node.key_of(wider).hash
    }

    /// How much of a limit the source has used.
    pub fn level(&self, index: usize, limit: &Limit) -> u32 {
        self.node
            .rates
            .level(&limit.quota, index, self.hash(limit), self.now)
    }

    /// Forgets what the source owes to all limits: those that it shares with neighbours, too.
    pub fn forget(&self) {
        for (index, limit) in self.node.policy.limits.iter().enumerate() {
            self.node.rates.forget(index, self.hash(limit));
        }
    }
}

impl Rates for SourceMeters<'_> {
    #[inline]
    fn charge(&mut self, index: usize, limit: &Limit) -> bool {
        let charged = self
            .node
            .rates
            .charge(&limit.quota, index, self.hash(limit), self.now);
        if charged.evicted {
            self.node.count(Count::Evictions, 1);
        }
        charged.within
    }

    fn within(&mut self, index: usize, limit: &Limit) -> bool {
        self.node
            .rates
            .within(&limit.quota, index, self.hash(limit), self.now)
    }

    fn charge_ceiling(&mut self, quota: &Quota) -> bool {
        let place = (*self.key, *self.record);
        self.node.ledger.charge_ceiling(place, quota, self.now)
    }
}

/// The same counters for a question that must change nothing: what would be the answer now?
pub struct Preview<'a>(pub SourceMeters<'a>);

impl Rates for Preview<'_> {
    fn charge(&mut self, index: usize, limit: &Limit) -> bool {
        self.0.within(index, limit)
    }

    fn within(&mut self, index: usize, limit: &Limit) -> bool {
        self.0.within(index, limit)
    }

    fn charge_ceiling(&mut self, quota: &Quota) -> bool {
        let SourceMeters { node, key, now, .. } = &self.0;
        node.ledger.ceiling_level(**key, quota, *now) < quota.limit()
    }
}
