//! The outbox: what this node changed, on its way to Redis. The truth about it stands in the ledger's
//! pending marks; events only say where to look first, and fill the history stream.
//!
//! Called by the agent's link. What cannot be written stays pending, for as long as it takes.

use std::collections::{BTreeSet, VecDeque};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, RedisResult, Value};

use super::keys::{BanValue, EVENTS, Kind};
use super::replica::Replica;
use crate::engine::facts::{FOREVER, Now, Origin, Standing};
use crate::node::Node;
use crate::shared::events::{Event, Kind as What};
use crate::shared::ledger::{Aspect, Key, Pending};
use crate::shared::statistics::Count;
use crate::source::Source;

/// Sources that are written in one round trip.
const BATCH: usize = 256;
/// Events that wait for the stream while Redis is away; the oldest give way.
const HISTORY_MAX: usize = 10_000;
/// About how many entries the stream keeps.
const STREAM_MAX: usize = 100_000;
/// A ban without a date was certainly there before an unban that is younger than this.
const FRESH_MS: u64 = 3000;

pub struct Outbox {
    node: &'static Node,
    name: String,
    waiting: BTreeSet<Source>,
    history: VecDeque<Event>,
}

impl Outbox {
    /// For a node of that name.
    pub fn new(node: &'static Node, name: String) -> Outbox {
        Outbox {
            node,
            name,
            waiting: BTreeSet::new(),
            history: VecDeque::new(),
        }
    }

    /// Something happened here.
    pub fn note(&mut self, event: Event) {
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
        if matches!(event.kind, What::Ban | What::Unban | What::Revoke) && !event.shadow {
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
                self.node.count(Count::EventsDropped, 1);
            }
            self.history.push_back(event);
        }
    }

    /// This source has something pending.
    pub fn add(&mut self, source: Source) {
        self.waiting.insert(source);
    }

    /// Looks through the whole ledger for what is pending: after an outage, a restart, or events
    /// that were dropped.
    pub fn gather(&mut self) {
        self.waiting.extend(self.node.ledger.all_pending());
    }

    /// How many sources wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Writes everything that waits, in batches. In shadow mode nothing leaves this node.
    pub async fn flush(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
    ) -> Result<(), RedisError> {
        loop {
            let idle = self.waiting.is_empty() && self.history.is_empty();
            if idle || self.node.status.shadow() {
                return Ok(());
            }
            let batch: Vec<Source> = std::iter::from_fn(|| self.waiting.pop_first())
                .take(BATCH)
                .collect();
            let outcome = self.write(connection, replica, &batch).await;
            if let Err(error) = outcome {
                self.waiting.extend(batch);
                return Err(error);
            }
        }
    }

    async fn write(
        &mut self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
        batch: &[Source],
    ) -> Result<(), RedisError> {
        let node = self.node;
        let now = node.now();
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        let mut written: Vec<(Key, usize)> = Vec::new();
        for source in batch {
            let key = node.key_of(*source);
            let pending = node.ledger.take_pending(key);
            let standing = node.ledger.standing(key, now);
            if pending.has(Aspect::Ban) && !holds(&standing, now) {
                self.delete_ban(connection, replica, *source, pending, now)
                    .await?;
            }
            let commands = self.commands(&mut pipeline, replica, *source, pending, &standing, now);
            written.push((key, commands));
        }
        let events: Vec<Event> = self
            .history
            .drain(..self.history.len().min(BATCH))
            .collect();
        for event in &events {
            self.record(&mut pipeline, event);
        }
        if pipeline.is_empty() {
            // All there was to do was to delete, or to learn that nothing is left to do.
            written
                .into_iter()
                .for_each(|(key, _)| node.ledger.settle(key));
            return Ok(());
        }
        let answers: RedisResult<Vec<RedisResult<Value>>> = pipeline.query_async(connection).await;
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                events
                    .into_iter()
                    .rev()
                    .for_each(|event| self.history.push_front(event));
                return Err(error);
            }
        };
        let mut answers = answers.into_iter();
        for (key, commands) in written {
            let mut refused = None;
            for answer in answers.by_ref().take(commands) {
                refused = refused.or(answer.err());
            }
            match refused {
                None => node.ledger.settle(key),
                Some(error) => return Err(error),
            }
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
            let value = BanValue {
                reason: self.node.reason_text(ban.reason),
                node: self.name.clone(),
                at: replica.clock().before(now.ms().saturating_sub(ban.since)),
                count: standing.repeats.max(1),
            };
            // What a rule decided does not overrule what the fleet has decided meanwhile.
            let ordered = matches!(ban.origin, Origin::Script | Origin::Operator);
            let name = keys.name(Kind::Ban, source);
            set(pipeline, &name, &value.write(), ban.until, now, !ordered);
        }
        pipeline.len() - before
    }

    /// Removes the ban of a source that was lifted here, unless it is younger than that: then
    /// somebody has banned it anew, and that counts.
    async fn delete_ban(
        &self,
        connection: &mut MultiplexedConnection,
        replica: &Replica,
        source: Source,
        pending: Pending,
        now: Now,
    ) -> Result<(), RedisError> {
        let age = now.ms().saturating_sub(pending.since);
        let lifted_at = replica.clock().before(age);
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
            .arg(&[("event", word), ("node", &self.name)])
            .arg(&[("ip", event.source.to_string())])
            .arg(&[("reason", self.node.reason_text(event.reason))])
            .arg(&[("user", event.text.bytes()), ("agent", event.agent.bytes())])
            .arg(&[("seconds", event.seconds.to_string())])
            .arg(&[("by", event.origin.word())]);
    }
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
