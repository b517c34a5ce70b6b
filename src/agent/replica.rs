//! The replica: what the keys in Redis say, taken over into the ledger and the books of networks, so
//! that a SIP worker never asks Redis.
//!
//! Called by the agent's link to Redis with keys and what was read of them. A customer's address
//! may stand there in several spellings, or as several addresses of one IPv6 prefix: a whitelist
//! entry holds as long as one of them does.

use std::collections::{HashMap, HashSet};

use super::keys::{BanValue, FleetClock, Keys, Kind, NETWORKS, Target};
use super::networks::Networks;
use crate::cidr::Prefix;
use crate::engine::facts::{Ban, FOREVER, Now, Origin};
use crate::engine::verdict::Reason;
use crate::networks::check_length;
use crate::node::Node;
use crate::orders;
use crate::shared::events::{Event, Kind as What};
use crate::shared::ledger::{Aspect, EXPIRING_MS, Full, Maker, Mirrored};
use crate::shared::notes::Note;
use crate::shared::snapshot::{Network, Section};
use crate::source::Source;

/// What was read of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The beginning of the value.
    pub value: Vec<u8>,
    /// Milliseconds that it will live; none means until it is removed.
    pub ttl_ms: Option<u64>,
}

/// The agent's book about the keys.
pub struct Replica {
    node: &'static Node,
    keys: Keys,
    networks: Networks,
    clock: FleetClock,
    /// Keys of a source that are not written as this node would: each with its end.
    spellings: HashMap<(Kind, Source), HashMap<Vec<u8>, u64>>,
    /// What a full reading has seen so far.
    seen: Option<HashSet<(Kind, Source)>>,
    counted: u64,
    garbage: u64,
    /// Sources that have to be freed in Redis, too.
    freed: Vec<Source>,
}

impl Replica {
    pub fn new(node: &'static Node, keys: Keys, networks: Networks) -> Replica {
        Replica {
            node,
            keys,
            networks,
            clock: FleetClock::own(node.now()),
            spellings: HashMap::new(),
            seen: None,
            counted: 0,
            garbage: 0,
            freed: Vec::new(),
        }
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn clock(&self) -> FleetClock {
        self.clock
    }

    pub fn set_clock(&mut self, clock: FleetClock) {
        self.clock = clock;
    }

    /// A full reading begins: what it does not see is gone.
    pub fn begin(&mut self) {
        self.seen = Some(HashSet::new());
        self.spellings.clear();
        self.counted = 0;
        self.garbage = 0;
        for number in 0..Note::GARBAGE_MAX {
            self.node.notes.write(Note::Garbage(number), "");
        }
    }

    /// The full reading is complete: removes what it has not seen and this node has not made
    /// meanwhile. How many keys there are.
    pub fn finish(&mut self) -> u64 {
        let Some(seen) = self.seen.take() else {
            return self.counted;
        };
        let now = self.node.now();
        let ledger = self.node.ledger;
        let known: Vec<_> = ledger.entries(0, now).collect();
        for (_, source, standing) in known {
            let missing = |kind| !seen.contains(&(kind, source));
            if standing.banned(now, false) && !standing.ban.shadow && missing(Kind::Ban) {
                self.gone(Kind::Ban, Target::Source(source), now);
            }
            if standing.whitelisted(now) && missing(Kind::Whitelist) {
                self.gone(Kind::Whitelist, Target::Source(source), now);
            }
            if standing.cooling(now) && missing(Kind::Revoked) {
                self.gone(Kind::Revoked, Target::Source(source), now);
            }
        }
        self.networks.change(|books| {
            for (kind, section) in NETWORKS {
                let seen = |prefix: Prefix| seen.contains(&(kind, prefix.source()));
                books.keep(section, seen, now);
            }
        });
        self.report();
        self.counted
    }

    /// Takes over what was read of a key; `None`: it is gone. What changed, for the journal.
    pub fn apply(&mut self, key: &[u8], entry: Option<Entry>) -> Option<Event> {
        let read = self.keys.read(key)?.map_err(|error| error.to_string());
        let (kind, target) = match read.and_then(|(kind, target)| self.fit(kind, target)) {
            Ok(read) => read,
            Err(why) => {
                if entry.is_some() {
                    self.nonsense(key, &why);
                }
                return None;
            }
        };
        let (source, now) = (target.source(), self.node.now());
        let until = entry.as_ref().map(|entry| until(entry.ttl_ms, now));
        let until = self.latest(kind, source, key, until, now);
        let Some(until) = until else {
            return self.gone(kind, target, now);
        };
        if let Some(seen) = &mut self.seen {
            self.counted += u64::from(seen.insert((kind, source)));
        }
        let value = entry.map(|entry| entry.value).unwrap_or_default();
        let outcome = match (kind, target) {
            (_, Target::Network(prefix)) => Ok(self.network(kind, prefix, &value, until, now)),
            (Kind::Ban, _) => self.ban(source, &value, until, now),
            (Kind::Whitelist, _) => self.whitelist(source, until, now),
            (Kind::Revoked, _) => self.revoked(source, until, now),
        };
        outcome.unwrap_or_else(|Full| {
            self.node.note_full(source, Origin::Redis);
            None
        })
    }

    /// Whether a key may be about this; `Err` says why not.
    fn fit(&self, kind: Kind, target: Target) -> Result<(Kind, Target), String> {
        let Target::Network(prefix) = target else {
            return Ok((kind, target));
        };
        let section = kind
            .section()
            .ok_or("is a network, and a cool-down is of one source")?;
        match check_length(self.node, section, prefix) {
            Ok(()) => Ok((kind, target)),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// A key cannot be what it says: it is named in `sec.status`, with the reason, and otherwise left
    /// alone.
    pub fn nonsense(&mut self, key: &[u8], why: &str) {
        let shown: String = key.escape_ascii().map(char::from).take(60).collect();
        let note = Note::Garbage(self.garbage as usize);
        if (self.garbage as usize) < Note::GARBAGE_MAX {
            self.node.notes.write(note, &format!("{shown} {why}"));
        }
        self.garbage += 1;
        self.report();
    }

    /// Sources whose bans were cancelled by a whitelist entry, to be written.
    pub fn take_freed(&mut self) -> Vec<Source> {
        std::mem::take(&mut self.freed)
    }

    /// All names under which Redis may know a source: the canonical one first.
    pub fn names(&self, kind: Kind, source: Source) -> Vec<Vec<u8>> {
        let canonical = self.keys.name(kind, source).into_bytes();
        let others = self
            .spellings
            .get(&(kind, source))
            .into_iter()
            .flat_map(HashMap::keys);
        let others = others
            .filter(|name| **name != canonical)
            .cloned()
            .collect::<Vec<_>>();
        std::iter::once(canonical).chain(others).collect()
    }

    /// When the last of a source's keys ends, this one having changed to `until`.
    fn latest(
        &mut self,
        kind: Kind,
        source: Source,
        key: &[u8],
        until: Option<u64>,
        now: Now,
    ) -> Option<u64> {
        let canonical = self.keys.name(kind, source);
        let place = (kind, source);
        if key == canonical.as_bytes() && !self.spellings.contains_key(&place) {
            return until;
        }
        let spellings = self.spellings.entry(place).or_default();
        match until {
            Some(until) => spellings.insert(key.to_vec(), until),
            None => spellings.remove(key),
        };
        let latest = spellings
            .values()
            .copied()
            .max()
            .filter(|until| *until > now.ms());
        if spellings.is_empty() {
            self.spellings.remove(&place);
        }
        latest
    }

    fn ban(
        &self,
        source: Source,
        value: &[u8],
        until: u64,
        now: Now,
    ) -> Result<Option<Event>, Full> {
        let (ban, maker) = self.ban_of(value, until, now);
        let key = self.node.key_of(source);
        if self.node.ledger.mirror_ban(key, now, ban, maker)? == Mirrored::Same {
            return Ok(None);
        }
        let (reason, seconds) = (ban.reason, seconds(until, now));
        if reason.revokes() && self.node.policy.whitelist_cooldown > 0 {
            return Ok(None); // the key of the cool-down tells of both
        }
        Ok(Some(Event {
            reason,
            seconds,
            ..Event::new(What::Ban, source, Origin::Redis)
        }))
    }

    /// The ban that a value tells of, and who made it.
    fn ban_of(&self, value: &[u8], until: u64, now: Now) -> (Ban, Maker) {
        let value = BanValue::read(value);
        let reason = match value.reason.as_str() {
            "" => Reason::MANUAL,
            text => self.node.reason_from(text),
        };
        let ban = Ban {
            since: match value.at > 0.0 {
                true => self.clock.ledger(value.at, now),
                false => now.ms(),
            },
            until,
            reason,
            origin: Origin::Redis,
            shadow: false,
            validated: true,
        };
        (ban, self.node.maker(&value.node, value.count))
    }

    /// The same for a network, or its whitelist entry.
    fn network(
        &self,
        kind: Kind,
        prefix: Prefix,
        value: &[u8],
        until: u64,
        now: Now,
    ) -> Option<Event> {
        let section = kind.section()?;
        let (since, reason, maker) = match section {
            Section::Bans => {
                let (ban, maker) = self.ban_of(value, until, now);
                (ban.since, ban.reason, maker)
            }
            _ => (now.ms(), Reason::NONE, Maker::default()),
        };
        let network = Network {
            prefix,
            since,
            until,
            reason,
            origin: Origin::Redis,
            maker,
            shadow: false,
            pending: false,
        };
        self.networks.change(|books| books.mirror(section, network))
    }

    fn whitelist(&mut self, source: Source, until: u64, now: Now) -> Result<Option<Event>, Full> {
        let node = self.node;
        let key = node.key_of(source);
        if node.ledger.standing(key, now).cooling(now) {
            // The key is to be deleted: that is what its pending state says.
            node.ledger.mark(key, Aspect::Whitelist, now);
            self.freed.push(source);
            return Ok(None);
        }
        let mirrored = node.ledger.mirror_whitelist(key, now, until)?;
        if let Some(prefix) = Prefix::of(source) {
            self.networks
                .change(|books| books.cancel(prefix, Origin::Redis));
        }
        if node.ledger.standing(key, now).ban.until > now.ms() {
            orders::lift(node, key, now, Origin::Redis);
            self.freed.push(source);
        }
        if mirrored == Mirrored::Same {
            return Ok(None);
        }
        Ok(Some(Event {
            seconds: seconds(until, now),
            ..Event::new(What::WhitelistAdd, source, Origin::Redis)
        }))
    }

    fn revoked(&mut self, source: Source, until: u64, now: Now) -> Result<Option<Event>, Full> {
        let key = self.node.key_of(source);
        let mirrored = self.node.ledger.mirror_cooldown(key, now, until)?;
        if mirrored == Mirrored::Same {
            return Ok(None);
        }
        Ok(Some(Event {
            seconds: seconds(until, now),
            ..Event::new(What::Revoke, source, Origin::Redis)
        }))
    }

    /// A key is not there any more, and was not the last word of this node.
    fn gone(&mut self, kind: Kind, target: Target, now: Now) -> Option<Event> {
        let source = match target {
            Target::Source(source) => source,
            Target::Network(prefix) => {
                let section = kind.section()?;
                return self
                    .networks
                    .change(|books| books.gone(section, prefix, now));
            }
        };
        let node = self.node;
        let key = node.key_of(source);
        let pending = node.ledger.pending(key);
        match kind {
            Kind::Revoked => {
                node.ledger.end_cooldown(key);
                None
            }
            Kind::Whitelist if !pending.has(Aspect::Whitelist) => {
                let removed = node.ledger.unwhitelist(key, now);
                removed.then(|| Event::new(What::WhitelistRemove, source, Origin::Redis))
            }
            Kind::Ban if !pending.has(Aspect::Ban) => {
                let ban = node.ledger.standing(key, now).ban;
                let expiring = ban.until.saturating_sub(now.ms()) < EXPIRING_MS;
                if ban.shadow || expiring || !orders::lift_quietly(node, key, now) {
                    return None;
                }
                let reason = ban.reason;
                Some(Event {
                    reason,
                    ..Event::new(What::Unban, source, Origin::Redis)
                })
            }
            _ => None,
        }
    }

    fn report(&self) {
        let unwritten = self.node.status.unwritten();
        self.node
            .status
            .set_replica(self.counted, self.garbage, unwritten);
    }
}

fn until(ttl_ms: Option<u64>, now: Now) -> u64 {
    ttl_ms.map_or(FOREVER, |ttl| now.ms().saturating_add(ttl).min(FOREVER - 1))
}

fn seconds(until: u64, now: Now) -> u64 {
    if until == FOREVER {
        Event::FOREVER
    } else {
        until.saturating_sub(now.ms()).div_ceil(1000)
    }
}
