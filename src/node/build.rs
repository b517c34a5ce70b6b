//! A node put together: how large its tables are, and where each lies in the one mapping.
//!
//! Runs in the main process, in `mod_init`, once; and in `sec-replay`. Whoever adds a table writes
//! down its words and takes them, in the same breath.

use std::sync::OnceLock;
use std::sync::atomic::AtomicI32;

use super::{NODE, Node};
use crate::config::{Config, Mode};
use crate::directory::Directory;
use crate::event_routes::EventRoutes;
use crate::gcra::Quota;
use crate::kamailio::log::Level;
use crate::kamailio::pipe::Pipe;
use crate::kamailio::{clock, process};
use crate::lists::Lists;
use crate::shared::evidence::Evidence;
use crate::shared::feeds::FeedStates;
use crate::shared::hash::Keys;
use crate::shared::hosts::Hosts;
use crate::shared::ledger::{Census, Ledger, Size};
use crate::shared::names::Names;
use crate::shared::notes::Notes;
use crate::shared::rates::Rates;
use crate::shared::region::{LINE, Region};
use crate::shared::snapshot::Snapshot;
use crate::shared::statistics::Statistics;
use crate::shared::status::Status;
use crate::shared::words::Words;

impl Node {
    /// Makes the tables that `config` asks for, and this process's node of them.
    ///
    /// # Errors
    /// A sentence, when the machine has not the memory or the descriptors.
    pub fn start(config: &Config) -> Result<&'static Node, String> {
        let mut node = Node::build(config, process::number())?;
        node.event_routes = EventRoutes::find(config)
            .map_err(|error| format!("no pipe to the event routes: {error}"))?;
        if config.mode() == Mode::Shadow {
            node.status.set_shadow(true);
        }
        NODE.set(node).map_err(|_| "started twice".to_string())?;
        NODE.get().ok_or_else(|| "not started".into())
    }

    /// The same for any process, without a script's routes: `process` is where the number of the
    /// process at hand stands, which tells its statistics from those of others.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn build(config: &Config, process: &'static AtomicI32) -> Result<Node, String> {
        let policy = config.policy();
        let scale = kept(policy.limits.iter().map(|limit| limit.quota));
        let widest = kept(Quota::new(1, 86_400));
        let sizes = Sizes::of(config, scale.len());
        let mut region = sizes.region()?;
        let census = Census::new(region.take(Census::WORDS));
        let strike_window = policy.strike_window;
        let snapshot = Snapshot::new(region.take(sizes.snapshot));
        let extension_sources = config.extension_sources();
        Ok(Node {
            rates: Rates::new(region.take(sizes.rates), scale),
            table_size: config.table_size(),
            counts: Rates::new(region.take(sizes.counts), widest),
            ledger: Ledger::new(
                region.take(sizes.ledger.tags),
                region.take(sizes.ledger.words),
                census,
                strike_window,
            ),
            statistics: Statistics::new(region.take(Statistics::WORDS)),
            status: Status::new(region.take(Status::WORDS)),
            words: Words::new(region.take(Words::WORDS)),
            name: host_name(),
            nodes: Words::new(region.take(Words::WORDS)),
            user_agents: config.user_agents(),
            notes: Notes::new(region.take(Notes::WORDS)),
            hosts: Hosts::new(region.take(Hosts::WORDS)),
            evidence: Evidence::new(region.take(Evidence::WORDS)),
            names: Names::new(region.take(Names::WORDS)),
            feed_states: FeedStates::new(region.take(FeedStates::WORDS)),
            feeds: config.feeds().clone(),
            rdns: config.rdns().clone(),
            whitelist_names: config.whitelist_names(),
            redis: config.redis().clone(),
            state_file: config.state_file().map(str::to_owned),
            metrics: config.metrics().clone(),
            outlets: config.outlets().clone(),
            events: Pipe::new().map_err(|error| format!("no pipe to the agent: {error}"))?,
            offences: Pipe::new().map_err(|error| format!("no pipe to the agent: {error}"))?,
            keys: Keys::random().map_err(|error| format!("no random keys: {error}"))?,
            lists: Lists::new(snapshot, config.whitelist()),
            directory: Directory::new(
                snapshot,
                config.masks().into(),
                config.extensions(),
                extension_sources.judge_at_start(),
            ),
            extension_sources,
            whitelist_sources: config.whitelist_sources(),
            ban_min_prefix: config.ban_min_prefix(),
            whitelist_min_prefix: config.whitelist_min_prefix(),
            own: OnceLock::new(),
            event_routes: None,
            process,
            log_level: Level::from_number(i64::from(config.log_level())),
            epoch_ns: clock::now_ns(),
            region_bytes: region.bytes(),
            policy,
        })
    }
}

/// Quotas for as long as the process lives.
fn kept(quotas: impl IntoIterator<Item = Quota>) -> &'static [Quota] {
    quotas.into_iter().collect::<Vec<_>>().leak()
}

/// The name by which other nodes know this one.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().into()
}

/// Words of the tables whose sizes the configuration names.
struct Sizes {
    rates: usize,
    counts: usize,
    ledger: Size,
    snapshot: usize,
}

impl Sizes {
    fn of(config: &Config, limits: usize) -> Sizes {
        Sizes {
            rates: Rates::words(config.table_size(), limits),
            counts: Rates::words(config.count_table_size(), 1),
            ledger: Ledger::size(config.ledger_size()),
            snapshot: Snapshot::words(config.snapshot_size()),
        }
    }

    /// A mapping with room for them and for all others.
    fn region(&self) -> Result<Region, String> {
        let parts = [
            self.rates,
            self.counts,
            self.ledger.tags,
            self.ledger.words,
            self.snapshot,
            Census::WORDS,
            Statistics::WORDS,
            Status::WORDS,
            Words::WORDS,
            Words::WORDS,
            Notes::WORDS,
            Hosts::WORDS,
            Evidence::WORDS,
            Names::WORDS,
            FeedStates::WORDS,
        ];
        let words = parts.iter().map(|part| part.next_multiple_of(LINE));
        let words = words.sum::<usize>();
        Region::new(words).map_err(|error| {
            let megabytes = words.div_ceil(1 << 17);
            format!(
                "no shared memory for the tables: {megabytes} MB were asked for ({error}); \
                 table_size, ledger_size, count_table_size and snapshot_size say how large they are"
            )
        })
    }
}
