//! The outbox: what this node changed, on its way to Redis. The truth about it stands in the marks of
//! the ledger and of the books of networks; events only say where to look first, and fill the history
//! stream.
//!
//! Called by the agent's link. What cannot be written stays pending, for as long as it takes.

use std::collections::VecDeque;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, RedisResult, Value};

use super::books::Books;
use super::keys::{BanValue, EVENTS, Kind, NETWORKS};
use super::networks::Networks;
use super::replica::Replica;
use super::waiting::Waiting;
use crate::engine::facts::{Ban, FOREVER, Now, Origin, Standing};
use crate::node::Node;
use crate::shared::events::{Event, Kind as What};
use crate::shared::ledger::{Aspect, Key, Pending};
use crate::shared::snapshot::{Network, Section};
use crate::shared::statistics::Count;
use crate::source::Source;

/// Sources, networks or events that are written in one round trip.
const BATCH: usize = 256;
/// Events that wait for the stream while Redis is away; the oldest give way.
const HISTORY_MAX: usize = 10_000;
/// About how many entries the stream keeps.
const STREAM_MAX: usize = 100_000;
/// A ban without a date was certainly there before an unban that is younger than this.
const FRESH_MS: u64 = 3000;

pub struct Outbox {
    node: &'static Node,
    networks: Networks,
    waiting: Waiting,
    history: VecDeque<Event>,
    /// Keys by which the fleet has overruled this node: they are to be read again.
    overruled: Vec<Vec<u8>>,
}

impl Outbox {
    /// With nothing in it.
    pub fn new(node: &'static Node, networks: Networks) -> Outbox {
        Outbox {
            node,
            networks,
            waiting: Waiting::new(node.ledger.capacity()),
            history: VecDeque::new(),
            overruled: Vec::new(),
        }
    }

    /// Something happened here. What shadow mode only would have done is nobody else's business.
    pub fn note(&mut self, event: Event) {
        if event.kind == What::Mode && event.seconds == 0 {
            self.gather();
        }
        if event.shadow {
            return;
        }
        if matches!(
            event.kind,
            What::Mute
                | What::Mode
                | What::Refused
                | What::Unreadable
                | What::Full
                | What::Hold
                | What::Spare
        ) {
            return;
        }
        self.add(event.source);
        if matches!(event.kind, What::Ban | What::Unban | What::Revoke) {
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
                self.node.count(Count::EventsDropped, 1);
            }
            self.history.push_back(event);
        }
    }

    /// This source has something pending.
    pub fn add(&mut self, source: Source) {
        self.waiting.add(source);
    }

    /// Whether so many have waited that the ledger has to say who they are.
    pub fn has_forgotten(&self) -> bool {
        self.waiting.has_forgotten()
    }

    /// Looks through the whole ledger for what is pending: after an outage, a restart, or events
    /// that were dropped.
    pub fn gather(&mut self) {
        self.waiting.gather(self.node.ledger.all_pending());
    }

    /// How many sources and networks wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.networks.look(Books::unwritten)
    }

    /// Keys whose change by this node did not come to pass, because the fleet knows better.
    pub fn take_overruled(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.overruled)
    }

    /// Writes everything that waits, in batches. In shadow mode nothing leaves this node.
    pub async fn flush(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
    ) -> Result<(), RedisError> {
        while !self.node.status.shadow() {
            let batch = self.waiting.take(BATCH);
            if !batch.is_empty() {
                let outcome = self.write(connection, replica, &batch).await;
                if let Err(error) = outcome {
                    batch.into_iter().for_each(|source| self.add(source));
                    return Err(error);
                }
                continue;
            }
            let networks = self.networks.look(pending);
            if !networks.is_empty() {
                self.write_networks(connection, replica, &networks).await?;
            } else if self.history.is_empty() {
                break;
            } else {
                self.write_history(connection).await?;
            }
        }
        Ok(())
    }

    async fn write(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
        batch: &[Source],
    ) -> Result<(), RedisError> {
        let node = self.node;
        let now = node.now();
        let mut pipeline = pipeline();
        let mut written: Vec<(Key, usize)> = Vec::new();
        for source in batch {
            let key = node.key_of(*source);
            let pending = node.ledger.take_pending(key);
            let standing = node.ledger.standing(key, now);
            if pending.has(Aspect::Ban) && !holds(&standing, now) {
                self.delete_ban(connection, replica, *source, pending.since, now)
                    .await?;
            }
            let commands = self.commands(&mut pipeline, replica, *source, pending, &standing, now);
            written.push((key, commands));
        }
        let mut answers = send(&pipeline, connection).await?.into_iter();
        for (key, commands) in written {
            let answers = answers.by_ref().take(commands);
            let answers = answers.collect::<RedisResult<Vec<_>>>()?;
            node.ledger.settle(key);
            // Only a SET with NX is answered so: there is another ban.
            if answers.contains(&Value::Nil) {
                let name = replica.keys().name(Kind::Ban, key.source);
                self.overruled.push(name.into_bytes());
            }
        }
        Ok(())
    }

    /// Makes Redis equal to what was ordered about networks.
    async fn write_networks(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
        batch: &[(Kind, Section, Network)],
    ) -> Result<(), RedisError> {
        let now = self.node.now();
        let mut pipeline = pipeline();
        let mut written = Vec::new();
        for (kind, _, network) in batch {
            let source = network.prefix.source();
            let name = replica.keys().name(*kind, source);
            let before = pipeline.len();
            match (kind, network.holds(now, false)) {
                (Kind::Ban, true) => {
                    let value = self.value(replica, &network.ban(), 1);
                    set(&mut pipeline, &name, &value, network.until, now, false);
                }
                (Kind::Ban, false) => {
                    self.delete_ban(connection, replica, source, network.since, now)
                        .await?;
                }
                (_, true) => set(&mut pipeline, &name, "1", network.until, now, false),
                (_, false) => {
                    pipeline.cmd("DEL").arg(replica.names(*kind, source));
                }
            }
            written.push(pipeline.len() - before);
        }
        let mut answers = send(&pipeline, connection).await?.into_iter();
        for ((_, section, network), commands) in batch.iter().zip(written) {
            let answers = answers.by_ref().take(commands);
            answers.collect::<RedisResult<Vec<_>>>()?;
            self.networks
                .change(|books| books.settle(*section, network));
        }
        Ok(())
    }

    /// Adds to the stream what has happened; what is refused stays in the queue.
    async fn write_history(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let mut pipeline = pipeline();
        let count = self.history.len().min(BATCH);
        for event in self.history.iter().take(count) {
            self.record(&mut pipeline, event);
        }
        for answer in send(&pipeline, connection).await? {
            answer?;
            self.history.pop_front();
        }
        Ok(())
    }

    /// Adds the commands that make Redis equal to what holds here; how many.
    fn commands(
        &self,
        pipeline: &mut Pipeline,
        replica: &Replica,
        source: Source,
        pending: Pending,
        standing: &Standing,
        now: Now,
    ) -> usize {
        let before = pipeline.len();
        let keys = replica.keys();
        if pending.has(Aspect::Whitelist) {
            let name = keys.name(Kind::Whitelist, source);
            if standing.whitelisted(now) {
                set(pipeline, &name, "1", standing.whitelisted_until, now, false);
            } else {
                pipeline
                    .cmd("DEL")
                    .arg(replica.names(Kind::Whitelist, source));
            }
        }
        if pending.has(Aspect::Cooldown) && standing.cooling(now) {
            let name = keys.name(Kind::Revoked, source);
            let reason = self.node.reason_text(standing.ban.reason);
            set(
                pipeline,
                &name,
                &reason,
                standing.cooldown_until,
                now,
                false,
            );
        }
        if pending.has(Aspect::Ban) && holds(standing, now) {
            let ban = &standing.ban;
            let count = standing.repeats.clamp(1, 255) as u8;
            let value = self.value(replica, ban, count);
            // What a rule decided does not overrule what the fleet has decided meanwhile.
            let ordered = matches!(ban.origin, Origin::Script | Origin::Operator);
            let name = keys.name(Kind::Ban, source);
            set(pipeline, &name, &value, ban.until, now, !ordered);
        }
        pipeline.len() - before
    }

    /// The value of a ban's key.
    fn value(&self, replica: &Replica, ban: &Ban, count: u8) -> String {
        let value = BanValue {
            reason: self.node.reason_text(ban.reason),
            node: self.node.name.clone(),
            at: replica.clock().of(ban.since),
            count,
        };
        value.write()
    }

    /// Removes the ban of a source or a network that was lifted here at `since`, unless it is younger
    /// than that: then somebody has banned it anew, and that counts.
    async fn delete_ban(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
        source: Source,
        since: u64,
        now: Now,
    ) -> Result<(), RedisError> {
        let age = now.ms().saturating_sub(since);
        let lifted_at = replica.clock().of(since);
        for name in replica.names(Kind::Ban, source) {
            let mut look = redis::pipe();
            look.cmd("WATCH").arg(&name).ignore();
            look.cmd("GETRANGE").arg(&name).arg(0).arg(1023);
            let found: RedisResult<(Vec<u8>,)> = look.query_async(connection).await;
            let older = match found {
                Ok((value,)) => match BanValue::read(&value).at {
                    0.0 => age < FRESH_MS,
                    at => at <= lifted_at,
                },
                // Not a string: nobody's ban, or somebody's mistake; not ours to remove.
                Err(error) if error.code() == Some("WRONGTYPE") => false,
                Err(error) => return Err(error),
            };
            if older {
                let mut delete = redis::pipe();
                delete.atomic().cmd("DEL").arg(&name);
                // A changed key cancels it: the push about that change settles the matter.
                delete.query_async::<Value>(connection).await?;
            } else {
                redis::cmd("UNWATCH").exec_async(connection).await?;
                self.overruled.push(name);
            }
        }
        Ok(())
    }

    fn record(&self, pipeline: &mut Pipeline, event: &Event) {
        let word = match event.kind {
            What::Unban => "unban",
            What::Revoke => "revoke",
            _ => "ban",
        };
        pipeline
            .cmd("XADD")
            .arg(EVENTS)
            .arg("MAXLEN")
            .arg("~")
            .arg(STREAM_MAX)
            .arg("*")
            .arg(&[("event", word), ("node", &self.node.name)])
            .arg(&[("ip", event.source.to_string())])
            .arg(&[("reason", self.node.reason_text(event.reason))])
            .arg(&[("user", event.text.bytes()), ("agent", event.agent.bytes())])
            .arg(&[("seconds", event.seconds.to_string())])
            .arg(&[("by", event.origin.word())]);
    }
}

/// The first networks whose orders Redis does not know.
fn pending(books: &Books) -> Vec<(Kind, Section, Network)> {
    let pending = |(kind, section)| {
        let networks = books.of(section).pending(BATCH).into_iter();
        networks.map(move |network| (kind, section, network))
    };
    NETWORKS.into_iter().flat_map(pending).collect()
}

/// For commands that succeed or fail one by one.
fn pipeline() -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors();
    pipeline
}

/// Their answers; none if there is nothing to send.
async fn send(
    pipeline: &Pipeline,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Vec<RedisResult<Value>>> {
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    pipeline.query_async(connection).await
}

fn holds(standing: &Standing, now: Now) -> bool {
    standing.banned(now, false) && !standing.ban.shadow
}

/// `SET name value [PX ttl] [NX]`.
fn set(pipeline: &mut Pipeline, name: &str, value: &str, until: u64, now: Now, only_new: bool) {
    let command = pipeline.cmd("SET").arg(name).arg(value);
    if until != FOREVER {
        command.arg("PX").arg(until.saturating_sub(now.ms()).max(1));
    }
    if only_new {
        command.arg("NX");
    }
}
