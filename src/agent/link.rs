//! The link to Redis: connects, follows the fleet's keys by invalidation messages, writes what
//! this node changed, and does it all again when the connection is lost.
//!
//! A task of the agent. Tracking is switched on before the keys are read, so nothing falls in
//! between; every answer has a time-out, so a server that hangs is a server that is lost.
//! Protocol: RESP3, `CLIENT TRACKING … BCAST` (Redis 6 or later, Valkey).

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{IntoConnectionInfo, PushInfo, RedisError, RedisResult, Value};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::answers::{collect, describe, entry};
use super::extensions::Extensions;
use super::journal::Journal;
use super::keys::{FleetClock, Keys};
use super::networks::Networks;
use super::outbox::Outbox;
use super::replica::Replica;
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::events::{Event, Kind};
use crate::shared::notes::Note;

/// How long a server may take to accept, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the server is asked whether it is there.
const PING: Duration = Duration::from_secs(1);
/// Pings between two looks for pending changes whose event was dropped.
const GATHER_PINGS: u64 = 5;
/// First and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Keys asked for in one step of a scan, and read in one round trip.
const PAGE: usize = 1000;
/// Changed keys beyond which reading everything is cheaper.
const CHANGED_MAX: usize = 100_000;
/// As much of a value as is read.
const VALUE_MAX: usize = 1024;

pub struct Link {
    node: &'static Node,
    url: String,
    journal: Rc<RefCell<Journal>>,
    events: Receiver<Event>,
    replica: Replica,
    outbox: Outbox,
    extensions: Extensions,
    /// What was last said about the link: nothing is said twice.
    said: Option<String>,
}

impl Link {
    pub fn new(
        node: &'static Node,
        url: String,
        journal: Rc<RefCell<Journal>>,
        events: Receiver<Event>,
        networks: Networks,
        extensions: Extensions,
    ) -> Link {
        let keys = Keys::new(&node.redis, node.policy.ipv6_prefix);
        let replica = Replica::new(node, keys, networks.clone());
        let outbox = Outbox::new(node, networks);
        Link {
            node,
            url,
            journal,
            events,
            replica,
            outbox,
            extensions,
            said: None,
        }
    }

    /// Runs for ever.
    pub async fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let began = Instant::now();
            let Err(error) = self.session().await;
            self.node.status.set_link(false);
            self.extensions.lost();
            self.lost(&error);
            if began.elapsed() > 2 * PAUSES.1 {
                pause = PAUSES.0;
            }
            self.rest(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Waits, with a jitter so that a fleet does not come back all at once.
    async fn rest(&mut self, pause: Duration) {
        let nanos = Instant::now().elapsed().subsec_nanos() + std::process::id();
        let jitter = pause.mul_f64(f64::from(nanos % 1000) / 2000.0);
        let end = Instant::now() + pause + jitter;
        loop {
            tokio::select! {
                _ = sleep(end - Instant::now()) => return,
                Some(event) = self.events.recv() => self.outbox.note(event),
            }
        }
    }

    /// One connection, from the first byte to its loss.
    async fn session(&mut self) -> Result<std::convert::Infallible, RedisError> {
        let (mut connection, mut pushes) = self.connect().await?;
        self.extensions.connected(&connection);
        let began = Instant::now();
        let keys = self.load(&mut connection).await?;
        self.node.status.set_loaded();
        self.outbox.gather();
        self.found(keys, began.elapsed());
        self.write(&mut connection).await?;
        self.node.status.set_link(true);
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = 0_u64;
        loop {
            tokio::select! {
                push = pushes.recv() => self.pushed(push, &mut pushes, &mut connection).await?,
                Some(event) = self.events.recv() => {
                    let mut enforces = self.note(event);
                    while let Ok(event) = self.events.try_recv() {
                        enforces |= self.note(event);
                    }
                    if enforces {
                        self.load(&mut connection).await?;
                    }
                    self.write(&mut connection).await?;
                }
                _ = pings.tick() => {
                    self.ask_time(&mut connection).await?;
                    pinged += 1;
                    if pinged.is_multiple_of(GATHER_PINGS) || self.outbox.has_forgotten() {
                        self.outbox.gather();
                    }
                    self.write(&mut connection).await?;
                }
            }
            self.node.status.contact(self.node.now());
        }
    }

    /// Something happened here. Whether shadow mode has ended: its bans may have stood in the place
    /// of the fleet's.
    fn note(&mut self, event: Event) -> bool {
        self.outbox.note(event);
        event.kind == Kind::Mode && event.seconds == 0
    }

    /// Asks whether the server is there, and what time it is.
    async fn ask_time(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        match redis::cmd("TIME").query_async(connection).await {
            Ok((seconds, micros)) => {
                let clock = FleetClock::new(seconds, micros, self.node.now());
                self.replica.set_clock(clock);
                Ok(())
            }
            // It may not be asked that; but it answers.
            Err(error) if error.code().is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn connect(
        &self,
    ) -> Result<(MultiplexedConnection, UnboundedReceiver<PushInfo>), RedisError> {
        let info = self.url.as_str().into_connection_info()?;
        let protocol = redis::ProtocolVersion::RESP3;
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let (sender, pushes) = unbounded_channel();
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(sender);
        let client = redis::Client::open(info)?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for (_, prefix) in self.replica.keys().prefixes() {
            tracking.arg("PREFIX").arg(prefix);
        }
        if let Some(prefix) = self.extensions.prefix() {
            tracking.arg("PREFIX").arg(prefix);
        }
        tracking.exec_async(&mut connection).await?;
        Ok((connection, pushes))
    }

    /// Reads all keys of the fleet. How many there are.
    async fn load(&mut self, connection: &mut MultiplexedConnection) -> Result<u64, RedisError> {
        self.ask_time(connection).await?;
        self.replica.begin();
        let prefixes = self
            .replica
            .keys()
            .prefixes()
            .map(|(_, prefix)| prefix.to_owned());
        // Cool-downs first: they decide about the entries that follow.
        for prefix in prefixes.iter().rev() {
            let pattern = format!("{}*", prefix);
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor)
                    .arg("MATCH")
                    .arg(&pattern)
                    .arg("COUNT")
                    .arg(PAGE);
                let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
                self.read(connection, &keys, false).await?;
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(self.replica.finish())
    }

    /// Reads keys and takes over what they say; tells the journal if `live`.
    async fn read(
        &mut self,
        connection: &mut MultiplexedConnection,
        keys: &[Vec<u8>],
        live: bool,
    ) -> Result<(), RedisError> {
        for page in keys.chunks(PAGE) {
            let mut pipeline = redis::pipe();
            pipeline.ignore_errors();
            for key in page {
                pipeline.cmd("GETRANGE").arg(key).arg(0).arg(VALUE_MAX - 1);
                pipeline.cmd("PTTL").arg(key);
            }
            let answers: Vec<RedisResult<Value>> = pipeline.query_async(connection).await?;
            for (key, answer) in page.iter().zip(answers.as_chunks::<2>().0) {
                match entry(answer) {
                    Ok(entry) => {
                        let event = self.replica.apply(key, entry);
                        if let Some(event) = event.filter(|_| live) {
                            self.journal.borrow_mut().write(&event, self.node.now());
                        }
                    }
                    Err(error) if error.code() == Some("WRONGTYPE") => {
                        self.replica.nonsense(key, "is not a string");
                    }
                    // What cannot be read is not gone.
                    Err(error) => return Err(error),
                }
            }
            self.node.status.contact(self.node.now());
        }
        let freed = self.replica.take_freed();
        freed.into_iter().for_each(|source| self.outbox.add(source));
        Ok(())
    }

    /// Something changed in Redis: collects what else has changed, and reads it once.
    async fn pushed(
        &mut self,
        first: Option<PushInfo>,
        pushes: &mut UnboundedReceiver<PushInfo>,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let mut changed = HashSet::new();
        let mut everything = !collect(first, &mut changed)?;
        while let Ok(push) = pushes.try_recv() {
            everything |= !collect(Some(push), &mut changed)?;
        }
        changed.retain(|key| !self.extensions.takes(key));
        if everything || changed.len() > CHANGED_MAX {
            self.extensions.all_changed();
            self.load(connection).await?;
        } else {
            let changed: Vec<Vec<u8>> = changed.into_iter().collect();
            self.read(connection, &changed, true).await?;
        }
        self.write(connection).await
    }

    async fn write(&mut self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let outcome = self.outbox.flush(connection, &self.replica).await;
        let status = self.node.status;
        status.set_replica(status.keys(), status.garbage(), self.outbox.len() as u64);
        match outcome {
            Ok(()) if self.said.is_some() => {
                self.node.notes.write(Note::Redis, "");
                self.said = None;
                log::at(self.node.log_level, "Redis takes changes again");
            }
            Ok(()) => {}
            // A server that is full, that only copies another, or that allows no more: the link is
            // good, and what could not be written is tried again.
            Err(error) if error.code().is_some() => {
                self.say(format!("Redis does not take changes: {}", describe(&error)));
            }
            Err(error) => return Err(error),
        }
        let overruled = self.outbox.take_overruled();
        self.read(connection, &overruled, true).await
    }

    fn found(&mut self, keys: u64, took: Duration) {
        self.node.notes.write(Note::Redis, "");
        self.said = None;
        let (node, now) = (self.node, self.node.now());
        log::at(
            node.log_level,
            format_args!(
                "Redis is there: {keys} keys read in {} ms",
                took.as_millis()
            ),
        );
        node.status.contact(now);
    }

    fn lost(&mut self, error: &RedisError) {
        self.say(format!("no link to Redis: {}", describe(error)));
    }

    fn say(&mut self, text: String) {
        self.node.notes.write(Note::Redis, &text);
        if self.said.as_ref() != Some(&text) {
            log::warn(&text);
            self.said = Some(text);
        }
    }
}
