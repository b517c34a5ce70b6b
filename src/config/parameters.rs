//! The one list of parameters: name, default, meaning, setter.
//!
//! The Kamailio parameter table is generated from it and the README compared with it. To add a
//! parameter, add an entry here; a setter of more than a few lines lives beside its kin.
#![forbid(unsafe_code)]

use super::parameter::Parameter;
use super::value::{DAY, YEAR};
use super::{
    Mode, agents, bans, extension_key, extensions, feeds, metrics, node, outlets, rate, rdns,
    redis, whitelist,
};
use crate::engine::policy::Scope;

/// All parameters, in the README's order.
pub const PARAMETERS: &[Parameter] = &[
    Parameter::repeatable(
        "rate",
        rate::DEFAULT,
        "a limit of requests or failures a source; at most four, told apart by name",
        rate::set,
    ),
    Parameter::once(
        "table_size",
        "1048576",
        "sources whose rates are tracked; rounded up to a power of two",
        |config, given| {
            let unit = ", which takes 16 KiB to 4 GiB for each rate";
            config.table_size = node::table(given, 1 << 28, unit)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "ledger_size",
        "262144",
        "addresses with a state of their own (bans, strikes, trust, whitelist entries); rounded \
         up to a power of two",
        |config, given| {
            let unit = ", which takes 128 KiB to 4 GiB";
            config.ledger_size = node::table(given, 1 << 25, unit)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "count_table_size",
        "65536",
        "keys that sec_count can count; rounded up to a power of two",
        |config, given| {
            config.count_table_size = node::table(given, 1 << 25, "")?;
            Ok(None)
        },
    ),
    Parameter::once(
        "snapshot_size",
        "64",
        "megabytes for lists: networks, feeds, extensions; half of them hold one version of all \
         lists, the other half the next",
        |config, given| {
            let size = given.number(1..=4096, ", in megabytes")?;
            config.snapshot_size = size as usize;
            Ok(None)
        },
    ),
    Parameter::once(
        "ipv6_prefix",
        "64",
        "prefix length at which IPv6 addresses are one source",
        rate::set_ipv6_prefix,
    ),
    Parameter::once("ban_time", "300", "the first ban", bans::set_time),
    Parameter::once(
        "ban_factor",
        "2",
        "how many times longer each further ban is",
        |config, given| {
            config.policy.bans.factor = given.number(1..=100, "")?;
            Ok(None)
        },
    ),
    Parameter::once("ban_max_time", "1d", "the longest ban", bans::set_max_time),
    Parameter::once(
        "ban_memory",
        "1d",
        "how long an offender is remembered after a ban",
        |config, given| {
            config.policy.bans.memory = given.time_or_zero(YEAR)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "strike_limit",
        "10",
        "weighted offences that lead to a ban",
        |config, given| {
            config.policy.strike_limit = given.number(1..=200, "")? as u32;
            Ok(None)
        },
    ),
    Parameter::once(
        "strike_window",
        "10m",
        "the time within which strikes add up",
        |config, given| {
            config.policy.strike_window = given.time(DAY)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "ban_scope",
        "ip",
        "whether failed logins mute the user at that address before they ban the address",
        |config, given| {
            config.policy.scope = match given.text {
                "ip" => Scope::Ip,
                "user" => Scope::User,
                _ => return Err(given.refuse("is not a scope", "ip, user")),
            };
            Ok(None)
        },
    ),
    Parameter::once(
        "ban_scope_users",
        "3",
        "with ban_scope=user: from so many failing users on it is the address",
        |config, given| {
            config.policy.scope_users = given.number(1..=100, "")? as u32;
            Ok(None)
        },
    ),
    Parameter::repeatable(
        "whitelist",
        "none",
        "addresses, prefixes and DNS names that are always allowed",
        whitelist::add,
    ),
    Parameter::once(
        "whitelist_file",
        "none",
        "file of such addresses, prefixes and names, one a line",
        whitelist::set_file,
    ),
    Parameter::once(
        "whitelist_time",
        "1h",
        "life of a whitelist entry that is added without one",
        |config, given| {
            config.policy.whitelist_time = given.time(YEAR)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "whitelist_rate",
        "limit=300;window=2",
        "ceiling of a whitelist entry that was added at run time",
        |config, given| {
            config.policy.whitelist_rate = rate::ceiling(given)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "whitelist_cooldown",
        "10m",
        "how long a revoked whitelist entry cannot be added again",
        |config, given| {
            config.policy.whitelist_cooldown = given.time_or_zero(YEAR)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "whitelist_min_prefix",
        "8/19",
        "shortest IPv4 and IPv6 prefix that may be whitelisted",
        whitelist::set_min_prefix,
    ),
    Parameter::once(
        "trust_time",
        "1h",
        "how long a source is trusted after a successful login",
        |config, given| {
            config.policy.trust_time = given.time_or_zero(YEAR)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "trust_rate",
        "limit=120;window=2",
        "ceiling of a trusted source instead of the ordinary limits of requests",
        |config, given| {
            config.policy.trust_rate = rate::ceiling(given)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "unban_grace",
        "60s",
        "how long after an unban offences do not ban",
        |config, given| {
            config.policy.unban_grace = given.time_or_zero(YEAR)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "ban_min_prefix",
        "16/32",
        "shortest IPv4 and IPv6 prefix that may be banned",
        |config, given| {
            config.ban_min_prefix = bans::min_prefix(given)?;
            Ok(None)
        },
    ),
    Parameter::once(
        "redis_url",
        "none",
        "the Redis server that the fleet shares; without it, this node remembers for itself",
        redis::set_url,
    ),
    Parameter::once(
        "redis_whitelist_prefix",
        "white_list:",
        "what the keys of whitelist entries begin with",
        redis::set_whitelist_prefix,
    ),
    Parameter::once(
        "redis_ban_prefix",
        "ban:",
        "what the keys of bans begin with",
        redis::set_ban_prefix,
    ),
    Parameter::once(
        "state_file",
        "none",
        "file in which a node without Redis remembers over a restart",
        redis::set_state_file,
    ),
    Parameter::repeatable(
        "extension_pattern",
        "none",
        "mask of the dial plan, as 7XXX; numbers that match none are guesses",
        extensions::add_mask,
    ),
    Parameter::once(
        "extension_file",
        "none",
        "file of the names of extensions, one a line",
        extensions::set_file,
    ),
    Parameter::once(
        "extension_redis_key",
        "none",
        "name of the Redis set of extensions; {domain} in it: a set for each domain",
        extension_key::set,
    ),
    Parameter::once(
        "extension_threshold",
        "80",
        "similarity in percent from which a name resembles an extension",
        extensions::set_threshold,
    ),
    Parameter::once(
        "extension_methods",
        "REGISTER",
        "methods whose users sec_check judges",
        extensions::set_methods,
    ),
    Parameter::once(
        "extension_weight",
        "3",
        "strikes for a user that resembles no extension",
        extensions::set_weight,
    ),
    Parameter::once(
        "extension_forgive",
        "5",
        "near misses of different users that are forgiven per source and hour",
        extensions::set_forgive,
    ),
    Parameter::repeatable(
        "rdns_trusted",
        "none",
        "domain whose hosts are not banned, as their reverse DNS proves them to be",
        rdns::add_trusted,
    ),
    Parameter::once(
        "rdns_timeout",
        "1s",
        "how long finding and confirming a name may take",
        rdns::set_timeout,
    ),
    Parameter::once(
        "rdns_no_name",
        "ban",
        "what happens to an offender without a name: ban, spare",
        rdns::set_no_name,
    ),
    Parameter::once(
        "resolver",
        "system",
        "the name server to ask; otherwise those of /etc/resolv.conf",
        rdns::set_resolver,
    ),
    Parameter::repeatable(
        "feed",
        "none",
        "a list of hostile addresses from a file or a server; at most twelve, told apart by name",
        feeds::add,
    ),
    Parameter::once(
        "feed_dir",
        "none",
        "directory in which the last good copies of feeds are kept over a restart",
        feeds::set_dir,
    ),
    Parameter::once(
        "feed_export",
        "none",
        "file that lists the bans that hold, for firewalls and other servers",
        outlets::set_file,
    ),
    Parameter::once(
        "nft_set",
        "off",
        "sets of nftables that hold the bans that hold",
        outlets::set_sets,
    ),
    Parameter::once(
        "agent_check",
        "0",
        "whether requests with the User-Agent of a scanner are refused",
        |config, given| {
            config.policy.agent_check = given.number(0..=1, "")? == 1;
            Ok(None)
        },
    ),
    Parameter::once(
        "agent_file",
        "none",
        "file of patterns of User-Agents, one a line, instead of the built-in list",
        agents::set_file,
    ),
    Parameter::once(
        "mode",
        "enforce",
        "enforce, or shadow: decide, count and log, but deny nothing",
        |config, given| {
            config.mode = match given.text {
                "enforce" => Mode::Enforce,
                "shadow" => Mode::Shadow,
                _ => return Err(given.refuse("is not a mode", "enforce, shadow")),
            };
            Ok(None)
        },
    ),
    Parameter::once(
        "statsd",
        "off",
        "host and port of a statsd that gets all statistics",
        metrics::set_statsd,
    ),
    Parameter::once(
        "graphite",
        "off",
        "host and port of a carbon that gets all statistics",
        metrics::set_graphite,
    ),
    Parameter::once(
        "metrics_prefix",
        "kamailio.sec",
        "what the names of metrics begin with",
        metrics::set_prefix,
    ),
    Parameter::once(
        "metrics_interval",
        "10s",
        "how often metrics are pushed",
        metrics::set_interval,
    ),
    Parameter::once(
        "event_callback",
        "none",
        "function of a KEMI script that is called for each ban, unban and revocation",
        node::set_event_callback,
    ),
    Parameter::once(
        "log_level",
        "1",
        "Kamailio's log level of the one line per state change",
        node::set_log_level,
    ),
];
