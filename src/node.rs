//! This Kamailio as one node: its rules and its tables, put together once in `mod_init` and
//! inherited by every process that is forked later.
//!
//! Used by the glue (`check`, `orders`, `commands`, `agent`) in every process. It decides nothing;
//! it knows where things are.

mod build;
mod counts;
mod words;

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI32;

use crate::cidr::MinPrefix;
use crate::config::{ExtensionSources, Feeds, Metrics, Outlets, Rdns, Redis, WhitelistSources};
use crate::directory::Directory;
use crate::domain::Domain;
use crate::engine::facts::{Now, Origin, Standing};
use crate::engine::policy::Policy;
use crate::event_routes::EventRoutes;
use crate::extension::Judgement;
use crate::gcra::{Charge, Quota};
use crate::kamailio::clock;
use crate::kamailio::log::Level;
use crate::kamailio::pipe::Pipe;
use crate::lists::{Lists, Membership};
use crate::meters::SourceMeters;
use crate::shared::events::{Event, Kind};
use crate::shared::evidence::Evidence;
use crate::shared::feeds::FeedStates;
use crate::shared::hash::Keys;
use crate::shared::hosts::Hosts;
use crate::shared::ledger::{Aspect, Key, Ledger};
use crate::shared::names::Names;
use crate::shared::notes::Notes;
use crate::shared::rates::Rates;
use crate::shared::statistics::{Count, Statistics};
use crate::shared::status::Status;
use crate::shared::words::Words;
use crate::source::{Address, Source};
use crate::user_agents::UserAgents;

/// How long the first reading of the fleet's keys may keep bans back, in milliseconds.
const LOADING_MS_MAX: u64 = 10_000;
/// An agent that was not seen for so long is away.
const AGENT_SILENCE_MS_MAX: u64 = 3000;

/// A process tells of so many errors at most, in so many seconds.
const COMPLAINTS_MAX: (u64, u64) = (20, 2);
static NODE: OnceLock<Node> = OnceLock::new();

/// The node of this process; none before `mod_init`, and under `kamailio -c`.
pub fn node() -> Option<&'static Node> {
    NODE.get()
}

thread_local! {
    /// The errors that this process has told of, as an arrival time.
    static COMPLAINTS: Cell<u64> = const { Cell::new(0) };
}

/// Rules and tables.
pub struct Node {
    /// The rules.
    pub policy: Policy,
    /// Bans, whitelist entries, strikes, trust.
    pub ledger: Ledger,
    /// The rates of sources, by the policy's limits.
    pub rates: Rates,
    /// `table_size`: how many sources that is made for.
    pub table_size: usize,
    /// The counters of `sec_count`.
    pub counts: Rates,
    /// The script's own reasons.
    pub words: Words,
    /// The name by which other nodes know this one.
    pub name: String,
    /// The names of the others.
    nodes: Words,
    /// Which extensions there are.
    pub directory: Directory,
    /// What its names are put together from.
    pub extension_sources: ExtensionSources,
    /// Patterns of scanners.
    pub user_agents: UserAgents,
    /// Mode, and the agent's signs of life.
    pub status: Status,
    /// Texts of the agent for `sec.status`.
    pub notes: Notes,
    /// Names that reverse DNS gave.
    pub hosts: Hosts,
    /// Names in the static whitelist, and their addresses.
    pub names: Names,
    /// The feeds, and where their copies are.
    pub feeds: Feeds,
    /// How the feeds are.
    pub feed_states: FeedStates,
    /// Whose names spare them a ban, and who is asked.
    pub rdns: Rdns,
    /// The static whitelist, and networks.
    pub lists: Lists,
    /// The names in it at the start.
    pub whitelist_names: Vec<Domain>,
    /// What the static whitelist is put together from.
    pub whitelist_sources: WhitelistSources,
    /// `ban_min_prefix`.
    pub ban_min_prefix: MinPrefix,
    /// `whitelist_min_prefix`.
    pub whitelist_min_prefix: MinPrefix,
    /// To the agent.
    pub events: Pipe,
    /// To the agent as well, for offences alone: they must not displace the rest.
    pub offences: Pipe,
    /// What offenders did last.
    pub evidence: Evidence,
    /// The fleet's memory, if there is one.
    pub redis: Redis,
    /// Where a node without a fleet remembers.
    pub state_file: Option<String>,
    /// Who gets metrics.
    pub metrics: Metrics,
    /// Where bans go besides this node.
    pub outlets: Outlets,
    /// The script's routes for events, if it has any.
    pub event_routes: Option<EventRoutes>,
    /// Level of the line per state change.
    pub log_level: Level,
    keys: Keys,
    own: OnceLock<Vec<Address>>,
    process: &'static AtomicI32,
    statistics: Statistics,
    /// The clock at `mod_init`.
    epoch_ns: u64,
    region_bytes: usize,
}

impl Node {
    /// The addresses that the server listens on, known once its sockets are open.
    pub fn set_own_addresses(&self, addresses: Vec<IpAddr>) {
        // A second call, as with `fork=no`, brings the same ones.
        let addresses = addresses.into_iter().map(Address::from);
        let _ = self.own.set(addresses.collect());
    }

    /// The moment, for everything that this request or command does.
    #[inline]
    pub fn now(&self) -> Now {
        Now::from_ns(clock::now_ns().saturating_sub(self.epoch_ns))
    }

    /// Seconds since the start.
    pub fn uptime(&self) -> u64 {
        self.now().ms() / 1000
    }

    /// Bytes of shared memory.
    pub fn region_bytes(&self) -> usize {
        self.region_bytes
    }

    /// The source that an address belongs to, with its place in the tables.
    #[inline(always)]
    pub fn key(&self, address: impl Into<Address>) -> Key {
        self.key_of(Source::of(address.into(), self.policy.ipv6_prefix))
    }

    /// The place of a source.
    #[inline(always)]
    pub fn key_of(&self, source: Source) -> Key {
        Key {
            source,
            hash: self.keys.source(source),
        }
    }

    /// Has fetched from memory what a check of this source will read, while it does other things.
    #[inline]
    pub fn fetch_ahead(&self, key: Key) {
        self.ledger.fetch_ahead(key.hash);
        self.rates.fetch_ahead(key.hash);
    }

    /// What a user is to the directory.
    pub fn judge(&self, user: &[u8], domain: &[u8]) -> Judgement {
        let threshold = self.policy.extensions.threshold;
        self.directory.judge(user, domain, threshold)
    }

    /// The identity of a user.
    pub fn user(&self, user: &[u8], domain: &[u8]) -> u128 {
        self.keys.user(user, domain)
    }

    /// The place of a key of `sec_count`.
    pub fn count_hash(&self, key: &[u8]) -> u64 {
        self.keys.key(key)
    }

    /// Whether the server listens on this address.
    #[inline]
    pub fn is_own(&self, address: impl Into<Address>) -> bool {
        let own = self.own.get().map_or(&[][..], Vec::as_slice);
        own.contains(&address.into())
    }

    /// The addresses that the server listens on; none before its sockets are open.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let own = self.own.get().into_iter().flatten();
        own.map(|address| IpAddr::from(*address)).collect()
    }

    /// What the lists say of an address.
    #[inline]
    pub fn membership(&self, address: impl Into<Address>, now: Now) -> Membership {
        let membership = self.lists.about(address, now, self.status.shadow());
        if membership.unread {
            self.count(Count::Errors, 1);
        }
        membership
    }

    /// What is known of an address: of its source, and of the networks around it.
    pub fn standing(&self, address: IpAddr, key: Key, now: Now) -> Standing {
        self.standing_within(key, &self.membership(address, now), now)
    }

    /// The same, where it is known already what the lists say of the address.
    pub fn standing_within(&self, key: Key, lists: &Membership, now: Now) -> Standing {
        let mut standing = self.ledger.standing(key, now);
        lists.join(&mut standing, now, self.status.shadow());
        standing
    }

    /// Whether there is an agent that takes orders.
    pub fn has_agent(&self, now: Now) -> bool {
        let silence = self.status.agent_silence_ms(now);
        silence.is_some_and(|ms| ms <= AGENT_SILENCE_MS_MAX)
    }

    /// Tells the agent. A full pipe, or none to read it, costs the line and nothing else.
    pub fn tell(&self, event: &Event) {
        let _told = self.order(event);
    }

    /// The same, for what the agent has to do: whether it was told.
    pub fn order(&self, event: &Event) -> bool {
        let told = self.events.send(&event.encode()).is_ok();
        if !told {
            self.count(Count::EventsDropped, 1);
        }
        told
    }

    /// Tells the agent of an offence, for the evidence. A full pipe costs that line.
    pub fn note_offence(&self, event: &Event) {
        if self.offences.send(&event.encode()).is_err() {
            self.count(Count::EventsDropped, 1);
        }
    }

    /// The ledger had no room for something about this source.
    pub fn note_full(&self, source: Source, origin: Origin) {
        self.complain(&Event::new(Kind::Full, source, origin));
    }

    /// Counts an error, and tells the agent of some: a stranger whose every request makes one must
    /// not keep the rest out of the pipe.
    pub fn complain(&self, event: &Event) {
        self.count(Count::Errors, 1);
        let (limit, seconds) = COMPLAINTS_MAX;
        let charge = Quota::new(limit, seconds)
            .map(|quota| quota.charge(COMPLAINTS.get(), self.now().ticks()));
        if let Some(Charge::Within(arrival)) = charge {
            COMPLAINTS.set(arrival);
            self.tell(event);
        }
    }

    /// Marks a change that the fleet must learn of, if there is a fleet.
    pub fn mark(&self, key: Key, aspect: Aspect, now: Now) {
        if self.redis.url.is_some() {
            self.ledger.mark(key, aspect, now);
        }
    }

    /// Whether the fleet's keys have not been read yet: for a moment after the start sources are
    /// limited but not banned, because a whitelist entry may be among those keys.
    #[inline]
    pub fn awaits_fleet(&self, now: Now) -> bool {
        self.redis.url.is_some() && !self.status.loaded() && now.ms() < LOADING_MS_MAX
    }

    /// The counters of one source.
    #[inline]
    pub fn meters<'a>(&'a self, key: &'a Key, now: Now) -> SourceMeters<'a> {
        SourceMeters {
            node: self,
            key,
            now,
            record: &None,
        }
    }
}

/// Seconds until a ledger time, rounded up; 0 if it is over, -1 if it never ends.
pub fn seconds_left(until: u64, now: Now) -> i64 {
    if until == crate::engine::facts::FOREVER {
        return -1;
    }
    until.saturating_sub(now.ms()).div_ceil(1000).cast_signed()
}
