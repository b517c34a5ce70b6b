//! The feeds: fetched when they are due, judged, put into one map and published for all processes.
//!
//! A task of the agent; files and servers are waited for in threads. What is no list, or has shrunk
//! too far, or does not fit, changes nothing: the list before it stays, and that is said once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::apiban::{self, Round};
use super::copies;
use super::fetch::{Failure, Fetched, Mark, fetch};
use super::networks::Networks;
use super::subscription::{RETRY, Subscription, same, unix};
use crate::cidr::Prefix;
use crate::feed::{Entry, Format, Guard, List, merge, recover, shrunk};
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::events::Event;
use crate::shared::snapshot::{Section, prefix_words};

/// Lists that are fetched at a time.
const FLIGHT_MAX: usize = 2;

enum Outcome {
    List(Result<Fetched, Failure>),
    Pages(Round),
}

/// The task.
pub struct Feeds {
    node: &'static Node,
    networks: Networks,
    guard: Arc<Guard>,
    wanted: Receiver<Event>,
    feeds: Vec<Subscription>,
    flight: JoinSet<(usize, bool, Outcome)>,
}

impl Feeds {
    /// With what an earlier agent has published; `wanted` says which to fetch at once.
    pub fn recover(node: &'static Node, networks: Networks, wanted: Receiver<Event>) -> Feeds {
        let published = |number| {
            let read = node.lists.snapshot.read(&[Section::Feeds], |view| {
                let table = view.prefixes(Section::Feeds)?;
                Some(recover(&table, number, unix()))
            });
            read.ok().flatten().unwrap_or_default()
        };
        let followed = |(number, feed)| Subscription {
            feed,
            entries: Arc::new(published(number)),
            mark: Mark::default(),
            cursor: String::new(),
            due: Some(Instant::now()),
            forced: false,
            confirmed: false,
            state: node.feed_states.read(number),
        };
        Feeds {
            guard: Arc::new(Guard::new(&node.own_addresses())),
            feeds: node.feeds.list.iter().enumerate().map(followed).collect(),
            node,
            networks,
            wanted,
            flight: JoinSet::new(),
        }
    }

    /// Runs as long as the agent does.
    pub async fn run(mut self) {
        self.load_copies().await;
        loop {
            self.launch();
            let next = self.feeds.iter().filter_map(|followed| followed.due).min();
            let next = next.filter(|_| self.flight.len() < FLIGHT_MAX);
            tokio::select! {
                Some(done) = self.flight.join_next() => match done {
                    Ok((number, confirmed, outcome)) => self.settle(number, confirmed, outcome).await,
                    Err(_) => self.wake(),
                },
                _ = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                wanted = self.wanted.recv() => match wanted {
                    Some(event) => self.force(event.text.bytes(), event.seconds == 1),
                    None => return,
                },
            }
        }
    }

    /// Begins with the last good copies, where an earlier agent has published nothing.
    async fn load_copies(&mut self) {
        let mut loaded = false;
        for followed in &mut self.feeds {
            let feed = followed.feed;
            let Some(path) = copies::path(self.node.feeds.folder.as_deref(), feed) else {
                continue;
            };
            let guard = Arc::clone(&self.guard);
            let read = spawn_blocking(move || copies::load(&path, feed, &guard)).await;
            match read.unwrap_or_else(|_| Err("its copy cannot be read".into())) {
                Ok(Some(copy)) if followed.entries.is_empty() => {
                    followed.adopt(copy);
                    followed.tell(self.node.log_level, "from its copy");
                    loaded = true;
                }
                Ok(_) => {}
                Err(problem) => log::warn(format_args!("feed {}: {problem}", feed.name)),
            }
        }
        if loaded && let Err(problem) = self.publish().await {
            log::error(format_args!("feeds: {problem}"));
        }
        for (number, followed) in self.feeds.iter().enumerate() {
            self.node.feed_states.write(number, &followed.state);
        }
    }

    /// Fetches what is due.
    fn launch(&mut self) {
        let now = Instant::now();
        for (number, followed) in self.feeds.iter_mut().enumerate() {
            if self.flight.len() == FLIGHT_MAX {
                return;
            }
            if followed.due.is_none_or(|due| due > now) {
                continue;
            }
            followed.due = None;
            let (feed, guard) = (followed.feed, Arc::clone(&self.guard));
            let confirmed = std::mem::take(&mut followed.confirmed);
            let mark = match std::mem::take(&mut followed.forced) {
                true => Mark::default(),
                false => followed.mark.clone(),
            };
            let cursor = followed.cursor.clone();
            self.flight.spawn_blocking(move || {
                let outcome = match feed.format {
                    Format::Apiban => Outcome::Pages(apiban::follow(feed, &cursor, &guard, unix())),
                    _ => Outcome::List(fetch(feed, &mark, &guard, unix())),
                };
                (number, confirmed, outcome)
            });
        }
    }

    /// A fetch has ended in an odd way: all that are under way are begun again, a little later.
    fn wake(&mut self) {
        let later = Instant::now() + Duration::from_secs(RETRY);
        for followed in &mut self.feeds {
            followed.due.get_or_insert(later);
        }
    }

    /// An operator wants a feed now. One that is under way is fetched again after that.
    fn force(&mut self, name: &[u8], confirmed: bool) {
        let mut named = self.feeds.iter_mut();
        if let Some(followed) = named.find(|f| f.feed.name.as_bytes() == name) {
            followed.forced = true;
            followed.confirmed |= confirmed;
            if followed.due.is_some() {
                followed.due = Some(Instant::now());
            }
        }
    }

    async fn settle(&mut self, number: usize, confirmed: bool, outcome: Outcome) {
        // As the list had it: what was recovered may be in more pieces.
        let before = self.feeds[number].state.entries as usize;
        let mut pause = None;
        let failure = match outcome {
            Outcome::List(Ok(Fetched::Untouched)) => {
                let followed = &mut self.feeds[number];
                if followed.state.failures == 0 {
                    followed.confirm();
                }
                None
            }
            Outcome::List(Ok(Fetched::Confirmed)) => {
                let followed = &mut self.feeds[number];
                followed.confirm();
                followed.recovered();
                None
            }
            Outcome::List(Ok(Fetched::List(reading, mark))) => {
                let followed = &mut self.feeds[number];
                let most = followed.feed.max_shrink;
                let most = if confirmed { 100 } else { most };
                followed.state.skipped = reading.skipped;
                followed.state.reasons = reading.reasons.join("; ");
                match shrunk(before, reading.entries.len(), most) {
                    Some(problem) => Some(Failure {
                        mark: Some(Box::new(mark)),
                        ..Failure::new(problem)
                    }),
                    None => self.take(number, reading.entries, mark).await.err(),
                }
            }
            Outcome::List(Err(failure)) => Some(failure),
            Outcome::Pages(round) => {
                pause = round.more.then_some(apiban::PACE);
                self.turn(number, round).await
            }
        };
        if let Some(failure) = failure {
            pause = Some(self.feeds[number].fail(failure, before > 0));
        }
        self.expire(number).await;
        let followed = &mut self.feeds[number];
        followed.wait(pause);
        self.node.feed_states.write(number, &followed.state);
    }

    /// Takes a new list, if it fits beside the others.
    async fn take(
        &mut self,
        number: usize,
        entries: Vec<Entry>,
        mark: Mark,
    ) -> Result<(), Failure> {
        let followed = &mut self.feeds[number];
        let changed = !same(&followed.entries, &entries);
        let before = std::mem::replace(&mut followed.entries, Arc::new(entries));
        if changed && let Err(problem) = self.publish().await {
            self.feeds[number].entries = before;
            return Err(Failure {
                mark: Some(Box::new(mark)),
                ..Failure::new(problem)
            });
        }
        let followed = &mut self.feeds[number];
        followed.mark = mark;
        followed.state.loaded = u64::from(unix());
        followed.recovered();
        if changed {
            followed.tell(self.node.log_level, "loaded");
            self.save(number).await;
        }
        Ok(())
    }

    /// Adds what a round of pages brought to what is known.
    async fn turn(&mut self, number: usize, round: Round) -> Option<Failure> {
        let followed = &mut self.feeds[number];
        let new = !round.entries.is_empty();
        followed.cursor = round.cursor;
        if new {
            followed.state.skipped = round.skipped;
            followed.state.reasons = round.reasons.join("; ");
            let mut all: HashMap<Prefix, Entry> = followed
                .entries
                .iter()
                .map(|entry| (entry.prefix, *entry))
                .collect();
            all.extend(round.entries.into_iter().map(|entry| (entry.prefix, entry)));
            let mut all: Vec<Entry> = all.into_values().collect();
            all.sort_unstable_by_key(|entry| entry.prefix);
            if let Err(failure) = self.take(number, all, Mark::default()).await {
                return Some(failure);
            }
            // The cursor has moved, even if no entry is new.
            self.save(number).await;
        }
        if round.failure.is_none() {
            let followed = &mut self.feeds[number];
            followed.state.loaded = u64::from(unix());
            followed.recovered();
        }
        round.failure
    }

    /// Drops what the feed has not named for too long.
    async fn expire(&mut self, number: usize) {
        let followed = &mut self.feeds[number];
        let Some(ttl) = followed.feed.ttl else {
            return;
        };
        let now = u64::from(unix());
        let holds = |entry: &&Entry| u64::from(entry.seen) + ttl > now;
        if followed.entries.iter().all(|entry| holds(&entry)) {
            return;
        }
        let left: Vec<Entry> = followed.entries.iter().filter(holds).copied().collect();
        followed.entries = Arc::new(left);
        followed.state.entries = followed.entries.len() as u64;
        followed.tell(self.node.log_level, "after old ones have ended");
        if let Err(problem) = self.publish().await {
            log::error(format_args!("feeds: {problem}"));
        }
    }

    /// Publishes all feeds together.
    async fn publish(&self) -> Result<(), String> {
        let lists: Vec<(u8, Arc<Vec<Entry>>)> = self
            .feeds
            .iter()
            .map(|followed| (followed.feed.action as u8, Arc::clone(&followed.entries)))
            .collect();
        let guard = Arc::clone(&self.guard);
        let merged = spawn_blocking(move || {
            let lists: Vec<List<'_>> = lists
                .iter()
                .enumerate()
                .map(|(feed, (strictness, entries))| List {
                    feed,
                    strictness: *strictness,
                    entries,
                })
                .collect();
            let named = lists.iter().any(|list| !list.entries.is_empty());
            named.then(|| prefix_words(&merge(&lists, &guard)))
        });
        let words = merged.await.map_err(|_| "they cannot be put together")?;
        let set = self.networks.set(Section::Feeds, words);
        set.map_err(|error| error.to_string())
    }

    /// Keeps a copy of what holds now.
    async fn save(&self, number: usize) {
        let followed = &self.feeds[number];
        let Some(path) = copies::path(self.node.feeds.folder.as_deref(), followed.feed) else {
            return;
        };
        let copy = followed.copy();
        let saved = spawn_blocking(move || copies::save(&path, &copy)).await;
        if let Ok(Err(problem)) = saved {
            log::error(format_args!("feed {}: {problem}", followed.feed.name));
        }
    }
}
