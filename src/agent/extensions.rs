//! The agent's part in extensions: puts the names of `extension_file` and of Redis together, looks
//! whether they are whole, and publishes them for all processes.
//!
//! A task of the agent. What takes long (reading a file, sorting, indexing) is done beside its one
//! thread; many changes in Redis are taken together, at most once in a second. What cannot be read
//! leaves the list before it in place; what is empty or has suddenly shrunk switches the rule off.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::answers::describe;
use super::networks::Networks;
use super::sets::Sets;
use crate::config::ExtensionKey;
use crate::extension::shrinkage::{FILLING_MS, Origin, Sizes};
use crate::extension::{Doubt, NamesBuilder, Union};
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::events::{Event, Kind};
use crate::shared::notes::Note;
use crate::shared::snapshot::Section;

/// Between two publications, if they are quick.
const PAUSE: Duration = Duration::from_secs(1);
/// A pause is so many times longer than the last publication took.
const IDLE: u32 = 4;
/// When Redis is there but did not give what it was asked for, it is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// Changed sets beyond which reading all of them is cheaper.
const CHANGED_MAX: usize = 10_000;
/// What follows when lists could not be read.
const STAYS: &str = "; the list before it stays";
/// Longest problem that is shown before it, in characters.
const PROBLEM_MAX: usize = 120;

/// A handle, for those who learn of changes.
#[derive(Clone)]
pub struct Extensions {
    node: &'static Node,
    todo: Rc<RefCell<Todo>>,
    wake: Rc<Notify>,
}

/// What has changed.
#[derive(Default)]
struct Todo {
    connection: Option<MultiplexedConnection>,
    /// Perhaps all sets.
    everything: bool,
    sets: HashSet<Vec<u8>>,
    /// These are to be read anew by order of an operator; whether he also confirms what is there.
    ordered: BTreeSet<(Origin, bool)>,
}

impl Extensions {
    pub fn new(node: &'static Node) -> Extensions {
        Extensions {
            node,
            todo: Rc::default(),
            wake: Rc::default(),
        }
    }

    fn key(&self) -> Option<&'static ExtensionKey> {
        self.node.extension_sources.key.as_ref()
    }

    /// What the keys of sets begin with.
    pub fn prefix(&self) -> Option<&'static str> {
        self.key().map(ExtensionKey::prefix)
    }

    /// There is a connection; nothing is known of what has changed before.
    pub fn connected(&self, connection: &MultiplexedConnection) {
        self.todo.borrow_mut().connection = Some(connection.clone());
        self.all_changed();
    }

    /// It is lost.
    pub fn lost(&self) {
        self.todo.borrow_mut().connection = None;
    }

    /// Every set may have changed.
    pub fn all_changed(&self) {
        self.todo.borrow_mut().everything = true;
        self.wake.notify_one();
    }

    /// A key has changed: whether it is one of those that only this task reads.
    pub fn takes(&self, name: &[u8]) -> bool {
        let Some(key) = self.key() else { return false };
        if !name.starts_with(key.prefix().as_bytes()) {
            return false;
        }
        if key.domain(name).is_some() {
            let mut todo = self.todo.borrow_mut();
            if todo.sets.len() == CHANGED_MAX {
                todo.everything = true;
            } else {
                todo.sets.insert(name.into());
            }
            self.wake.notify_one();
        }
        true
    }

    /// Takes an order to read a list anew; whether it was one.
    pub fn obey(&self, event: &Event) -> bool {
        let origins = [Origin::File, Origin::Redis];
        let named = |origin: &Origin| event.text.bytes() == origin.word().as_bytes();
        let origin = origins.into_iter().find(named);
        let Some(origin) = origin.filter(|_| event.kind == Kind::Reload) else {
            return false;
        };
        let mut todo = self.todo.borrow_mut();
        todo.ordered.insert((origin, event.seconds == 1));
        self.wake.notify_one();
        true
    }

    /// Publishes what changes; runs for ever.
    pub async fn run(self, networks: Networks) {
        let mut keeper = Keeper::recover(self.node, networks);
        let mut next = Instant::now();
        loop {
            let woken = self.wake.notified();
            match keeper.wait() {
                // In vain or not: something is due.
                Some(wait) => drop(timeout(wait, woken).await),
                None => woken.await,
            }
            sleep_until(next).await;
            let began = Instant::now();
            keeper.work(&self.todo).await;
            next = Instant::now() + PAUSE.max(began.elapsed() * IDLE);
        }
    }
}

/// What the lists are now.
struct Keeper {
    node: &'static Node,
    networks: Networks,
    /// The names of the file; none if they have to be read first.
    file: Option<Arc<NamesBuilder>>,
    /// The sets, once they have been read.
    sets: Option<Sets>,
    sizes: Sizes,
    /// What was warned of, and is not over.
    said: BTreeSet<(Origin, Vec<u8>)>,
    retries: bool,
    /// When lists that are being filled are looked at again.
    full: Option<Instant>,
}

impl Keeper {
    /// With what an earlier agent has published.
    fn recover(node: &'static Node, networks: Networks) -> Keeper {
        let sources = &node.extension_sources;
        let published = node.lists.snapshot.holds(Section::Extensions);
        let names = match &sources.file {
            Some((_, names)) => Arc::clone(names),
            None => Arc::default(),
        };
        let mut sizes = Sizes::from_words(&networks.words(Section::ExtensionSizes));
        if !published {
            sizes.take(node.now().ms(), Origin::File, names.sizes(), false);
            let why = match (sources.judge_at_start(), &sources.key) {
                (true, _) => "",
                (false, Some(_)) => "extension_redis_key is not read yet: nobody is judged",
                (false, None) => "extension_file has no name: nobody is judged",
            };
            node.notes.write(Note::Extensions, why);
        }
        Keeper {
            node,
            networks,
            file: (!published || sources.file.is_none()).then_some(names),
            sets: None,
            sizes,
            said: BTreeSet::new(),
            retries: false,
            full: None,
        }
    }

    /// How long until something has to be done, even if nothing changes.
    fn wait(&self) -> Option<Duration> {
        let retry = self.retries.then_some(RETRY);
        let full = self.full.map(|full| full.duration_since(Instant::now()));
        retry.into_iter().chain(full).min()
    }

    /// Does what there is to do.
    async fn work(&mut self, todo: &RefCell<Todo>) {
        let (connection, ordered) = {
            let mut todo = todo.borrow_mut();
            (todo.connection.clone(), std::mem::take(&mut todo.ordered))
        };
        if ordered.iter().any(|(origin, _)| *origin == Origin::Redis) {
            todo.borrow_mut().everything = true;
            let text = match &connection {
                Some(_) => String::new(),
                None => format!("there is no link to Redis{STAYS}"),
            };
            self.node.notes.write(Note::ExtensionSets, &text);
        }
        let mut read = BTreeSet::new();
        if self.read_sets(connection, todo).await {
            read.insert(Origin::Redis);
        }
        let file_ordered = ordered.iter().any(|(origin, _)| *origin == Origin::File);
        let file_needed = self.file.is_none() && !read.is_empty();
        if (file_ordered || file_needed) && self.read_file().await {
            read.insert(Origin::File);
        }
        let confirmed = ordered.into_iter().filter(|(_, confirms)| *confirms);
        let confirmed = confirmed.map(|(origin, _)| origin);
        let confirmed = confirmed.filter(|origin| read.contains(origin)).collect();
        let full = self.full.take_if(|full| *full <= Instant::now());
        if !read.is_empty() || full.is_some() {
            self.publish(confirmed).await;
        }
    }

    /// Reads the file; whether that went well.
    async fn read_file(&mut self) -> bool {
        let sources = self.node.extension_sources.clone();
        let read = spawn_blocking(move || sources.read_file()).await;
        match read.unwrap_or_else(|_| Err("the reading has failed".into())) {
            Ok(names) => {
                let count: usize = names.sizes().map(|(_, names)| names).sum();
                let text = format!("{count} names read anew");
                self.node.notes.write(Note::ExtensionFile, &text);
                let level = self.node.log_level;
                log::at(level, format_args!("extension_file: {text}"));
                self.file = Some(Arc::new(names));
                true
            }
            Err(text) => {
                let text = format!("{text}{STAYS}");
                self.node.notes.write(Note::ExtensionFile, &text);
                log::error(text);
                false
            }
        }
    }

    /// Reads the sets that have changed; whether there were any, and that went well.
    async fn read_sets(
        &mut self,
        connection: Option<MultiplexedConnection>,
        todo: &RefCell<Todo>,
    ) -> bool {
        self.retries = false;
        // Without a connection nothing is forgotten: there will be one.
        let (Some(key), Some(mut connection)) = (&self.node.extension_sources.key, connection)
        else {
            return false;
        };
        let (everything, changed) = {
            let mut todo = todo.borrow_mut();
            let everything = std::mem::take(&mut todo.everything);
            (everything, std::mem::take(&mut todo.sets))
        };
        if !everything && changed.is_empty() {
            return false;
        }
        let read = match &mut self.sets {
            Some(sets) if !everything => sets.update(&mut connection, key, &changed).await,
            _ => Sets::load(&mut connection, key).await.map(|sets| {
                self.sets = Some(sets);
            }),
        };
        if read.is_err() {
            todo.borrow_mut().everything = true;
            self.retries = true;
        }
        self.tell_sets(read.err())
    }

    /// Says what came of the reading; whether it went well. Only news is logged.
    fn tell_sets(&self, error: Option<RedisError>) -> bool {
        let node = self.node;
        let before = node.notes.read(Note::ExtensionSets);
        let Some(error) = error else {
            let text = self.sets.as_ref().map(Sets::describe).unwrap_or_default();
            node.notes.write(Note::ExtensionSets, &text);
            if before.is_empty() || before.ends_with(STAYS) {
                log::at(node.log_level, format_args!("extension_redis_key: {text}"));
            }
            return true;
        };
        let text: String = describe(&error).chars().take(PROBLEM_MAX).collect();
        let text = format!("{text}{STAYS}");
        if before != text {
            node.notes.write(Note::ExtensionSets, &text);
            log::warn(format_args!("extension_redis_key: {text}"));
        }
        false
    }

    /// Publishes what is known, if it is complete, and says where nobody is judged.
    async fn publish(&mut self, confirmed: BTreeSet<Origin>) {
        let (node, sources) = (self.node, &self.node.extension_sources);
        if sources.key.is_some() && self.sets.is_none() || self.file.is_none() {
            return;
        }
        let union = Union {
            file: self.file.clone().filter(|_| sources.file.is_some()),
            sets: self.sets.as_ref().map(Sets::names),
            own_only: sources.key.as_ref().is_some_and(|key| key.by_domain()),
            overflows: self.sets.as_ref().is_some_and(Sets::overflows),
        };
        let (mut sizes, now_ms) = (self.sizes.clone(), node.now().ms());
        let joined = spawn_blocking(move || {
            let (names, doubts) = union.join(&mut sizes, now_ms, &confirmed);
            (names, doubts, sizes)
        });
        let Ok((names, mut doubts, sizes)) = joined.await else {
            log::error("the extensions could not be put together; the lists before stay");
            return;
        };
        let set = |section, words| self.networks.set(section, Some(words));
        if let Err(error) = set(Section::Extensions, names.words().to_vec()) {
            // The list before it lacks customers of this one.
            log::error(format_args!("{error}; nobody is judged by extensions"));
            doubts = vec![Doubt::TooMany];
            let nobody = Union::nobody();
            let _fits = set(Section::Extensions, nobody.words().to_vec());
        }
        // What does not fit is only missed when the next agent compares.
        let _kept = set(Section::ExtensionSizes, sizes.words());
        self.sizes = sizes;
        let filling = |doubt: &Doubt| matches!(doubt, Doubt::Filling(_));
        let full = Instant::now() + Duration::from_millis(FILLING_MS + 1000);
        self.full = doubts.iter().any(filling).then_some(full);
        self.tell_doubts(&doubts);
    }

    /// Warns of each doubt once, and says when all are over.
    fn tell_doubts(&mut self, doubts: &[Doubt]) {
        let node = self.node;
        let why = match doubts {
            [] => String::new(),
            [one] => one.to_string(),
            [first, others @ ..] => format!("{first}, and {} more like it", others.len()),
        };
        node.notes.write(Note::Extensions, &why);
        let about: BTreeSet<_> = doubts.iter().map(Doubt::about).collect();
        if !about.is_subset(&self.said) {
            log::warn(format_args!("{why}; {}", doubts[0].end()));
        } else if about.is_empty() && !self.said.is_empty() {
            log::at(node.log_level, "extensions are judged again everywhere");
        }
        self.said = about;
    }
}
