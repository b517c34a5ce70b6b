//! The keys that the fleet shares in Redis: what a name means, and what a node writes.
//!
//! Used by the agent's `replica` and `outbox`. Any spelling of an address is understood; what a
//! node writes is canonical (RFC 5952, IPv4 without `::ffff:`, an IPv6 source as its prefix).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cidr::{Prefix, PrefixError};
use crate::config::Redis;
use crate::engine::facts::Now;
use crate::networks::is_source;
use crate::shared::snapshot::Section;
use crate::source::Source;

/// The cool-downs of revoked entries.
pub const REVOKED: &str = "sec:revoked:";
/// The history, a capped stream.
pub const EVENTS: &str = "sec:events";
/// Longest address in a key: an IPv6 one with an IPv4 tail and a length.
const ADDRESS_MAX: usize = 50;

/// What a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whitelist entry.
    Whitelist,
    /// A ban.
    Ban,
    /// A cool-down.
    Revoked,
}

/// The kinds that may be about networks, and where those are written down.
pub const NETWORKS: [(Kind, Section); 2] = [
    (Kind::Ban, Section::Bans),
    (Kind::Whitelist, Section::Whitelist),
];

impl Kind {
    /// Where its networks are written down; `None` if it has none.
    pub fn section(self) -> Option<Section> {
        let found = NETWORKS.into_iter().find(|(kind, _)| *kind == self);
        found.map(|(_, section)| section)
    }
}

/// Whom a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One source.
    Source(Source),
    /// A prefix wider than one, or one IPv6 address alone.
    Network(Prefix),
}

impl Target {
    /// As a name in a key: no network is the same as a source.
    pub fn source(self) -> Source {
        match self {
            Target::Source(source) => source,
            Target::Network(prefix) => prefix.source(),
        }
    }
}

/// The names of keys.
#[derive(Clone, Debug)]
pub struct Keys {
    whitelist: String,
    ban: String,
    ipv6_prefix: u8,
}

impl Keys {
    /// With the prefixes of the configuration.
    pub fn new(redis: &Redis, ipv6_prefix: u8) -> Keys {
        let (whitelist, ban) = (redis.whitelist_prefix.clone(), redis.ban_prefix.clone());
        Keys {
            whitelist,
            ban,
            ipv6_prefix,
        }
    }

    /// The three prefixes.
    pub fn prefixes(&self) -> [(Kind, &str); 3] {
        [
            (Kind::Whitelist, &self.whitelist),
            (Kind::Ban, &self.ban),
            (Kind::Revoked, REVOKED),
        ]
    }

    /// What a key means; `Err` if the rest is no address, `None` if it is not ours.
    pub fn read(&self, key: &[u8]) -> Option<Result<(Kind, Target), PrefixError>> {
        let (kind, rest) = self.prefixes().into_iter().find_map(|(kind, prefix)| {
            key.strip_prefix(prefix.as_bytes()).map(|rest| (kind, rest))
        })?;
        Some(self.target(kind, rest).map(|target| (kind, target)))
    }

    fn target(&self, kind: Kind, text: &[u8]) -> Result<Target, PrefixError> {
        let text = std::str::from_utf8(text).map_err(|_| PrefixError::Address)?;
        if text.len() > ADDRESS_MAX {
            return Err(PrefixError::Address);
        }
        let (prefix, _) = Prefix::parse(text)?;
        let source = prefix.source();
        Ok(if is_source(prefix, self.ipv6_prefix) {
            Target::Source(source)
        } else if prefix.is_address() && kind != Kind::Ban {
            // A customer's phone uses another address of the same prefix than his browser.
            Target::Source(Source::new(source.address(), self.ipv6_prefix))
        } else {
            Target::Network(prefix)
        })
    }

    /// The key that a node writes.
    pub fn name(&self, kind: Kind, source: Source) -> String {
        let prefix = match kind {
            Kind::Whitelist => &self.whitelist,
            Kind::Ban => &self.ban,
            Kind::Revoked => REVOKED,
        };
        format!("{prefix}{source}")
    }
}

/// What the value of a ban says; a value that is no such text is a ban without particulars.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BanValue {
    /// Why.
    pub reason: String,
    /// Which node made it.
    pub node: String,
    /// When, in seconds since 1970 by the clock of Redis; 0 if it does not say.
    pub at: f64,
    /// The how manieth ban of that address.
    pub count: u8,
}

impl BanValue {
    /// Reads a value; never fails.
    pub fn read(value: &[u8]) -> BanValue {
        let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(value) else {
            return BanValue::default();
        };
        let text = |name: &str| {
            members
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .into()
        };
        BanValue {
            reason: text("reason"),
            node: text("node"),
            at: members.get("at").and_then(Value::as_f64).unwrap_or(0.0),
            count: members
                .get("count")
                .and_then(Value::as_u64)
                .unwrap_or(0)
                .min(255) as u8,
        }
    }

    /// The value to write.
    pub fn write(&self) -> String {
        let BanValue {
            reason,
            node,
            at,
            count,
        } = self;
        json!({"reason": reason, "node": node, "at": at, "count": count}).to_string()
    }
}

/// The clock that all nodes share, that of Redis, as ledger times count from its start. This machine's
/// own clock may be wrong, and may be set: it does not matter.
#[derive(Clone, Copy, Debug)]
pub struct FleetClock {
    /// Seconds since 1970 at ledger time 0.
    start: f64,
}

impl FleetClock {
    /// From the answer of `TIME`, which came just now.
    pub fn new(seconds: u64, micros: u64, now: Now) -> FleetClock {
        let at = seconds as f64 + micros as f64 / 1e6;
        FleetClock {
            start: at - now.ms() as f64 / 1000.0,
        }
    }

    /// By this machine's clock, for as long as Redis was not asked.
    pub fn own(now: Now) -> FleetClock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = wall.unwrap_or_default();
        FleetClock::new(wall.as_secs(), wall.subsec_micros().into(), now)
    }

    /// A ledger time in seconds since 1970.
    pub fn of(self, ms: u64) -> f64 {
        ((self.start + ms as f64 / 1000.0) * 1000.0).round() / 1000.0
    }

    /// The ledger time of a moment, which lies not ahead of now.
    pub fn ledger(self, at: f64, now: Now) -> u64 {
        (((at - self.start) * 1000.0).max(0.0) as u64).min(now.ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&Redis::default(), 64)
    }

    fn read(key: &str) -> Option<Result<(Kind, Target), PrefixError>> {
        keys().read(key.as_bytes())
    }

    fn source(text: &str) -> Target {
        Target::Source(Source::new(text.parse().unwrap(), 64))
    }

    #[test]
    fn any_spelling_of_an_address_is_understood() {
        for (key, kind, target) in [
            ("white_list:192.0.2.1", Kind::Whitelist, source("192.0.2.1")),
            ("ban:::ffff:192.0.2.1", Kind::Ban, source("192.0.2.1")),
            ("ban:192.0.2.1/32", Kind::Ban, source("192.0.2.1")),
            (
                "white_list:2001:DB8:0:0::9",
                Kind::Whitelist,
                source("2001:db8::"),
            ),
            ("ban:2001:db8::/64", Kind::Ban, source("2001:db8::")),
            ("sec:revoked:192.0.2.1", Kind::Revoked, source("192.0.2.1")),
        ] {
            assert_eq!(read(key), Some(Ok((kind, target))), "{key}");
        }
    }

    #[test]
    fn networks_and_single_ipv6_bans_are_no_sources() {
        for key in [
            "ban:10.0.0.0/8",
            "white_list:10.0.0.0/24",
            "ban:2001:db8::9",
            "ban:2001::/32",
        ] {
            assert!(
                matches!(read(key), Some(Ok((_, Target::Network(_))))),
                "{key}"
            );
        }
    }

    #[test]
    fn garbage_is_told_from_what_is_not_ours() {
        for (key, error) in [
            (&b"white_list:"[..], PrefixError::Address),
            (b"white_list:999.1.1.1", PrefixError::Address),
            (b"ban:x", PrefixError::Address),
            (b"ban:10.0.0.0/33", PrefixError::Length),
            (b"ban:\xff\xfe", PrefixError::Address),
            (
                &[&b"ban:"[..], &[b'1'; 9999]].concat(),
                PrefixError::Address,
            ),
        ] {
            assert_eq!(keys().read(key), Some(Err(error)), "{}", key.escape_ascii());
        }
        assert_eq!(read("sec:events"), None);
        assert_eq!(read("other"), None);
    }

    #[test]
    fn a_node_writes_canonical_names() {
        let name = |text: &str| keys().name(Kind::Ban, Source::new(text.parse().unwrap(), 64));
        assert_eq!(name("::ffff:192.0.2.1"), "ban:192.0.2.1");
        assert_eq!(name("2001:DB8::9"), "ban:2001:db8::/64");
    }

    #[test]
    fn values_of_bans_survive_and_anything_else_is_a_ban_too() {
        let value = BanValue {
            reason: "auth".into(),
            node: "a".into(),
            at: 1795376344.125,
            count: 2,
        };
        assert_eq!(BanValue::read(value.write().as_bytes()), value);
        for value in [
            &b""[..],
            b"1",
            b"[]",
            b"{",
            b"\xff",
            b"{\"reason\":5,\"at\":\"x\"}",
        ] {
            assert_eq!(BanValue::read(value), BanValue::default(), "{value:?}");
        }
    }

    #[test]
    fn the_fleets_clock_is_that_of_redis() {
        let now = Now::from_ns(7_500_000_000);
        let clock = FleetClock::new(1_795_376_344, 250_000, now);
        assert_eq!(clock.of(7500), 1_795_376_344.25);
        assert_eq!(clock.of(2000), 1_795_376_338.75);
        for (at, ms) in [(-5.5, 2000), (0.0, 7500), (60.0, 7500), (-100.0, 0)] {
            assert_eq!(clock.ledger(1_795_376_344.25 + at, now), ms, "{at}");
        }
        assert!(FleetClock::own(now).of(7500) > 1.7e9);
    }
}
