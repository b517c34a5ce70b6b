//! The configuration: from `modparam("sec", …)` lines to a checked [`Config`], and from that to
//! the engine's [`Policy`].
//!
//! Called by the parameter hook while Kamailio parses its file (under `kamailio -c` too), and by
//! tools that read such lines themselves. Pure: a list file is read through the function that the
//! caller gave. Nothing here panics, whatever the text.
//!
//! Whatever is wrong in a value is found when it is set; a contradiction between two parameters
//! is reported by whichever comes second. A failed [`Config::set`] changes nothing.
#![forbid(unsafe_code)]

mod agents;
mod bans;
mod compound;
mod extension_key;
mod extensions;
pub mod feeds;
pub mod list;
mod metrics;
mod node;
mod outlets;
mod parameter;
mod parameters;
mod rate;
mod rdns;
mod redis;
mod value;
mod whitelist;

use std::io;

pub use extension_key::ExtensionKey;
pub use extensions::{ExtensionSources, NAMES_MAX as EXTENSIONS_MAX, insert as insert_extension};
pub use feeds::{Feed, Feeds};
pub use metrics::{Metrics, Receiver};
pub use outlets::{NftSets, Outlets};
pub use parameter::Parameter;
pub use parameters::PARAMETERS;
pub use rdns::Rdns;
pub use redis::Redis;
pub use value::Value;
pub use whitelist::WhitelistSources;

use crate::cidr::{MinPrefix, PrefixMap};
use crate::domain::Domain;
use crate::engine::policy::{Bans, Policy, Scope};
use crate::extension::{Mask, Names};
use crate::gcra::Quota;
use crate::user_agents::{Pattern, UserAgents};
use extensions::Extensions;
use rate::Rate;
use value::{DAY, Given, Shown};
use whitelist::Whitelist;

/// Reads a file: at most one byte more than the given number, so that a file that is too large is
/// noticed and not read to its end.
///
/// ```
/// use std::fs::{self, File};
/// use std::io::{self, Read};
///
/// fn read_file(path: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
///     if !fs::metadata(path)?.is_file() {
///         return Err(io::Error::other("not a regular file")); // A pipe would block the start.
///     }
///     let mut bytes = Vec::new();
///     let most = bytes_max as u64 + 1;
///     File::open(path)?.take(most).read_to_end(&mut bytes)?;
///     Ok(bytes)
/// }
///
/// let config = sec::config::Config::with_files(read_file);
/// assert_eq!(config.policy().limits[0].name, "burst");
/// ```
pub type ReadFile = fn(path: &str, bytes_max: usize) -> io::Result<Vec<u8>>;

/// `mode`: whether decisions take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// Decide, count and log; deny nothing, revoke nothing.
    Shadow,
}

/// Everything that `modparam` lines say, the defaults where they are silent.
#[derive(Clone, Debug)]
pub struct Config {
    /// Complete but for what is in `rates`, `rdns` and `feeds`.
    policy: Policy,
    rates: Vec<Rate>,
    whitelist: Whitelist,
    /// What `agent_file` holds.
    agents: Option<Vec<Pattern>>,
    extensions: Extensions,
    ban_min_prefix: MinPrefix,
    table_size: usize,
    ledger_size: usize,
    count_table_size: usize,
    snapshot_size: usize,
    redis: Redis,
    state_file: Option<String>,
    rdns: Rdns,
    feeds: Feeds,
    event_callback: Option<String>,
    metrics: Metrics,
    outlets: Outlets,
    mode: Mode,
    log_level: i32,
    read_file: ReadFile,
    /// The single-valued parameters that were set.
    given: Vec<&'static str>,
}

impl Default for Config {
    /// What holds without a single line; list files are refused.
    fn default() -> Config {
        Config::with_files(|_, _| Err(io::ErrorKind::Unsupported.into()))
    }
}

impl Config {
    /// What holds without a single line; list files are read by `read_file`.
    pub fn with_files(read_file: ReadFile) -> Config {
        let quota = |limit, window| Quota::new(limit, window).expect("a default is in range");
        Config {
            policy: Policy {
                limits: Vec::new(),
                ipv6_prefix: 64,
                bans: Bans {
                    first: 300,
                    factor: 2,
                    longest: DAY,
                    memory: DAY,
                },
                strike_limit: 10,
                strike_window: 600,
                scope: Scope::Ip,
                scope_users: 3,
                whitelist_time: 3600,
                whitelist_rate: quota(300, 2),
                whitelist_cooldown: 600,
                trust_time: 3600,
                trust_rate: quota(120, 2),
                unban_grace: 60,
                rdns: Rdns::default().rule(),
                agent_check: false,
                extensions: extensions::RULE,
                feeds: Vec::new(),
            },
            rates: vec![Rate::built_in()],
            whitelist: Whitelist::default(),
            agents: None,
            extensions: Extensions::default(),
            ban_min_prefix: MinPrefix { v4: 16, v6: 32 },
            table_size: 1 << 20,
            ledger_size: 1 << 18,
            count_table_size: 1 << 16,
            snapshot_size: 64,
            redis: Redis::default(),
            state_file: None,
            rdns: Rdns::default(),
            feeds: Feeds::default(),
            event_callback: None,
            metrics: Metrics::default(),
            outlets: Outlets::default(),
            mode: Mode::Enforce,
            log_level: 1,
            read_file,
            given: Vec::new(),
        }
    }

    /// Takes one `modparam` line. The answer is a warning to log, if there is one.
    ///
    /// # Errors
    /// A sentence that names the parameter, the value and what is allowed. The configuration is
    /// then as it was before.
    pub fn set(&mut self, name: &str, value: Value<'_>) -> Result<Option<String>, String> {
        let Some(parameter) = PARAMETERS.iter().find(|known| known.name == name) else {
            return Err(format!("there is no parameter {}", Shown(name)));
        };
        let number;
        let text = match value {
            Value::Text(text) => text.trim_ascii(),
            Value::Number(value) => {
                number = value.to_string();
                &number
            }
        };
        let given = Given {
            name: parameter.name,
            text,
            inside: None,
        };
        let mut warnings: Vec<String> = (parameter.set)(self, given)?.into_iter().collect();
        if !parameter.repeatable {
            if self.is_given(parameter.name) {
                let text = Shown(match parameter.name {
                    "redis_url" => redis::without_password(text),
                    _ => text,
                });
                warnings.push(format!("{name}: given more than once; {text} counts"));
            }
            self.given.push(parameter.name);
        }
        Ok((!warnings.is_empty()).then(|| warnings.join("; ")))
    }

    /// The engine's rules.
    ///
    /// A default gives way to what was set: `ban_max_time` is never below a `ban_time` that was
    /// set, nor `ban_time` above a `ban_max_time` that was.
    pub fn policy(&self) -> Policy {
        let mut policy = self.policy.clone();
        let prefix = policy.ipv6_prefix;
        policy.limits = self.rates.iter().map(|rate| rate.limit(prefix)).collect();
        policy.rdns = self.rdns.rule();
        policy.feeds = self.feeds.rules();
        if self.extensions.is_unset() {
            policy.extensions.methods = 0; // nothing to judge by: no header is parsed for it
        }
        let bans = &mut policy.bans;
        if self.is_given("ban_max_time") {
            bans.first = bans.first.min(bans.longest);
        } else {
            bans.longest = bans.longest.max(bans.first);
        }
        policy
    }

    /// What is allowed, but hardly meant: one sentence each, to be logged once all lines are
    /// known.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = rate::low_ceilings(self);
        warnings.extend(extensions::idle(self));
        warnings
    }

    /// `whitelist` and the entries of `whitelist_file`, for look-ups; every value is 1.
    pub fn whitelist(&self) -> PrefixMap {
        self.whitelist.map()
    }

    /// The names in `whitelist` and `whitelist_file`, each once: the agent finds their addresses.
    pub fn whitelist_names(&self) -> Vec<Domain> {
        self.whitelist.names()
    }

    /// What it takes to put the whitelist together anew, with `whitelist_file` as it is then.
    pub fn whitelist_sources(&self) -> WhitelistSources {
        self.whitelist.sources(self.read_file)
    }

    /// `whitelist_min_prefix`.
    pub fn whitelist_min_prefix(&self) -> MinPrefix {
        self.whitelist.shortest
    }

    /// `ban_min_prefix`.
    pub fn ban_min_prefix(&self) -> MinPrefix {
        self.ban_min_prefix
    }

    /// `agent_file`, or the built-in list.
    pub fn user_agents(&self) -> UserAgents {
        match &self.agents {
            Some(patterns) => UserAgents::new(patterns.clone()),
            None => UserAgents::built_in(),
        }
    }

    /// `extension_pattern`.
    pub fn masks(&self) -> &[Mask] {
        self.extensions.masks()
    }

    /// What it takes to put the names together anew: `extension_file` and `extension_redis_key`.
    pub fn extension_sources(&self) -> ExtensionSources {
        self.extensions.sources(self.read_file)
    }

    /// The names in `extension_file`, indexed: for a million that takes seconds.
    pub fn extensions(&self) -> Names {
        self.extensions.names()
    }

    /// `table_size`: sources to track, a power of two.
    pub fn table_size(&self) -> usize {
        self.table_size
    }

    /// `ledger_size`: addresses with a state of their own, a power of two.
    pub fn ledger_size(&self) -> usize {
        self.ledger_size
    }

    /// `count_table_size`: keys of `sec_count`, a power of two.
    pub fn count_table_size(&self) -> usize {
        self.count_table_size
    }

    /// `redis_url` and the prefixes of keys.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// `state_file`: where a node without Redis remembers.
    pub fn state_file(&self) -> Option<&str> {
        self.state_file.as_deref()
    }

    /// `rdns_trusted` and its kin, and `resolver`.
    pub fn rdns(&self) -> &Rdns {
        &self.rdns
    }

    /// `feed` and `feed_dir`.
    pub fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// `statsd`, `graphite` and how they are written to.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// `feed_export` and `nft_set`: where bans go besides this node.
    pub fn outlets(&self) -> &Outlets {
        &self.outlets
    }

    /// `event_callback`: the function of a KEMI script that hears of events.
    pub fn event_callback(&self) -> Option<&str> {
        self.event_callback.as_deref()
    }

    /// `snapshot_size`: megabytes (2^20 bytes) for lists, both versions of them together.
    pub fn snapshot_size(&self) -> usize {
        self.snapshot_size
    }

    /// `mode`.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// `log_level`: Kamailio's level of the one line per state change, -1 (error) to 3 (debug).
    pub fn log_level(&self) -> i32 {
        self.log_level
    }

    /// Whether a single-valued parameter was set.
    fn is_given(&self, name: &str) -> bool {
        self.given.contains(&name)
    }
}

#[cfg(test)]
mod tests;
