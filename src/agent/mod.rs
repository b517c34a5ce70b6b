//! The agent: the process that does what a SIP worker must never wait for. It writes the log lines
//! of state changes, sweeps the tables, and keeps the link to the fleet's memory in Redis.
//!
//! One process with one thread and a tokio runtime, forked by its supervisor, unknown to Kamailio:
//! its death costs freshness, not calls. It never touches Kamailio's configuration, counters or
//! memory pools.

mod answers;
mod apiban;
mod blocklist;
mod book;
mod books;
mod copies;
mod evidence;
mod export;
mod extensions;
mod feeds;
mod fetch;
mod firewall;
mod journal;
mod keys;
mod link;
mod metrics;
mod names;
mod networks;
mod nft;
mod outbox;
mod rdns;
mod remembered;
mod replica;
mod resolver;
mod sets;
mod state;
mod subscription;
pub mod supervisor;
mod waiting;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};
use tokio::time::{MissedTickBehavior, interval};

use crate::domain::Domain;
use crate::kamailio::entry::guard;
use crate::kamailio::log;
use crate::kamailio::process::{self, Pid};
use crate::node::Node;
use crate::shared::events::{Event, Kind, RECORD};
use books::Books;
use export::Export;
use extensions::Extensions;
use feeds::Feeds;
use firewall::Firewall;
use journal::Journal;
use link::Link;
use names::Names;
use networks::Networks;
use rdns::Rdns;
use state::StateFile;

/// How often the agent looks after the tables.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two rounds through the ledger.
const LEDGER_ROUND: u64 = 2;
/// Words of the rate tables that are swept in a tick: a round through a million sources takes
/// eight seconds, and the times in them wrap after twelve days.
const RATES_SLICE: usize = 1 << 16;
/// Ticks between two looks whether the state file has to be written.
const SAVE_TICKS: u64 = 20;
/// Events that may wait for the link.
const EVENTS_AHEAD: usize = 4096;
/// Records taken from the pipe at once.
const BATCH: usize = 64;
/// Batches after which everything else has its turn, however much there is in the pipe.
const BATCHES: usize = 16;
/// Batches at the end: more than a pipe holds, but not what is written for ever.
const LAST_BATCHES: usize = 1024;

/// What `tests/fuzz` feeds with bytes of anybody's making.
#[cfg(fuzzing)]
pub mod fuzzed {
    pub use super::keys::{BanValue, Keys, Kind, Target};
    pub use super::remembered::lines as state_lines;
}

/// [`work`], with a panic turned into an exit status: the supervisor starts a new agent.
fn work_guarded(node: &'static Node, supervisor: Pid) -> i32 {
    guard(70, || work(node, supervisor))
}

/// The agent's whole life, in its own process. The result is its exit status.
fn work(node: &'static Node, supervisor: Pid) -> i32 {
    follow_log(node);
    process::forget_signals();
    if !process::die_with(supervisor) {
        return 0;
    }
    let mut keep = vec![node.events.read_end(), node.offences.read_end()];
    keep.extend(
        node.event_routes
            .iter()
            .map(|routes| routes.pipe().write_end()),
    );
    process::close_others(&keep);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let outcome = LocalSet::new().block_on(&runtime, Agent::new(node).run());
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
            match outcome {
                Ok(()) => 0,
                Err(error) => {
                    log::error(format_args!("the agent cannot work: {error}"));
                    1
                }
            }
        }
        Err(error) => {
            log::error(format_args!("the agent cannot start: {error}"));
            1
        }
    }
}

/// Takes over what the supervisor knows of Kamailio's log: the configuration of the fork grows old,
/// and its memory is not kept for us.
fn follow_log(node: &Node) {
    let (level, facility) = node.status.log();
    log::keep(log::Settings { level, facility });
}

struct Agent {
    node: &'static Node,
    journal: Rc<RefCell<Journal>>,
    networks: Networks,
    extensions: Extensions,
    /// Names in the static whitelist.
    wanted: watch::Receiver<Vec<Domain>>,
    /// Tasks that run as long as the agent does.
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    /// To the link, if there is a fleet.
    link: Option<Sender<Event>>,
    /// The other end of that, until the link is started.
    fleet: Option<Receiver<Event>>,
    /// To the feeds, if there are any: which to fetch now.
    reload: Option<Sender<Event>>,
    /// To reverse DNS, if names make exceptions.
    holds: Option<Sender<Event>>,
    /// Where a node without a fleet remembers.
    state: Option<StateFile>,
    ticks: u64,
    rates_at: usize,
    sources: usize,
    counts_at: usize,
}

impl Agent {
    fn new(node: &'static Node) -> Agent {
        let journal = Rc::new(RefCell::new(Journal::new(node)));
        let (names, wanted) = watch::channel(node.whitelist_names.clone());
        let (link, fleet) = node
            .redis
            .url
            .as_ref()
            .map(|_| channel(EVENTS_AHEAD))
            .unzip();
        let books = Books::recover(node, Rc::clone(&journal), link.clone());
        Agent {
            node,
            extensions: Extensions::new(node),
            networks: Networks::recover(node, books, names),
            wanted,
            tasks: Vec::new(),
            journal,
            link,
            fleet,
            reload: None,
            holds: None,
            state: node.state_file.as_deref().map(StateFile::new),
            ticks: 0,
            rates_at: 0,
            sources: 0,
            counts_at: 0,
        }
    }

    async fn run(mut self) -> io::Result<()> {
        self.node.ledger.recover();
        self.node.status.agent_started(process::own_pid().0);
        self.node.status.set_link(false);
        self.load_state();
        self.start_link();
        self.start_tasks();
        let events = pipe::Receiver::from_owned_fd(self.node.events.reader()?)?;
        let mut stop = signal(SignalKind::terminate())?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ready = events.readable() => {
                    ready?;
                    self.drain(&events, BATCHES);
                    yield_now().await;
                }
                _ = ticks.tick() => self.tick()?,
                _ = stop.recv() => break,
            }
        }
        self.drain(&events, LAST_BATCHES);
        self.journal.borrow_mut().flush(self.node.now());
        if let Some(state) = &mut self.state {
            let complaint = state.save_last(self.node, &self.networks).await;
            complaint.into_iter().for_each(log::error);
        }
        Ok(())
    }

    fn start_tasks(&mut self) {
        let networks = self.networks.clone();
        self.start("networks", networks.clone().publish());
        self.start("reload", networks.clone().reload());
        self.start("evidence", evidence::follow(self.node));
        self.start("extensions", self.extensions.clone().run(networks.clone()));
        let names = Names::recover(self.node, networks, self.wanted.clone());
        self.start("names", names.run());
        self.start_rdns();
        self.start_feeds();
        let pushes = metrics::start(self.node).into_iter();
        self.tasks.extend(pushes.map(|push| ("metrics", push)));
        self.start_outlets();
    }

    /// Starts a task that runs as long as the agent does.
    fn start(&mut self, name: &'static str, task: impl Future<Output = ()> + 'static) {
        #[cfg(feature = "fault-injection")]
        let task = crate::faults::task(name, task);
        self.tasks.push((name, spawn_local(task)));
    }

    /// Remembers what the file says; once, because after that the ledger knows better.
    fn load_state(&mut self) {
        if self.node.status.loaded() {
            return;
        }
        if let Some(state) = &self.state {
            match state.load(self.node, &self.networks) {
                Ok(text) => log::at(self.node.log_level, text),
                Err(text) => log::error(text),
            }
            self.node.status.set_loaded();
        }
    }

    fn save_state(&mut self) {
        let complaint = self
            .state
            .as_mut()
            .and_then(|state| state.save(self.node, &self.networks));
        complaint.into_iter().for_each(log::error);
    }

    fn start_link(&mut self) {
        let node = self.node;
        let (Some(url), Some(events)) = (node.redis.url.clone(), self.fleet.take()) else {
            return;
        };
        // Without a provider, TLS would panic; a second one changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (journal, networks) = (Rc::clone(&self.journal), self.networks.clone());
        let extensions = self.extensions.clone();
        let link = Link::new(node, url, journal, events, networks, extensions);
        self.start("link", link.run());
    }

    fn start_outlets(&mut self) {
        let outlets = &self.node.outlets;
        if let Some(path) = &outlets.file {
            let export = Export::new(self.node, path);
            self.start("export", export.run());
        }
        if let Some(sets) = &outlets.sets {
            let firewall = Firewall::new(self.node, sets);
            self.start("firewall", firewall.run());
        }
    }

    fn start_rdns(&mut self) {
        if self.node.policy.rdns.asks {
            let (sender, holds) = channel(EVENTS_AHEAD);
            let rdns = Rdns::new(self.node, Rc::clone(&self.journal), holds);
            self.start("rdns", rdns.run());
            self.holds = Some(sender);
        }
    }

    fn start_feeds(&mut self) {
        if !self.node.feeds.list.is_empty() {
            let (sender, wanted) = channel(EVENTS_AHEAD);
            let feeds = Feeds::recover(self.node, self.networks.clone(), wanted);
            self.start("feeds", feeds.run());
            self.reload = Some(sender);
        }
    }

    /// Takes what is in the pipe, but no more than so many batches.
    fn drain(&mut self, events: &pipe::Receiver, batches: usize) {
        for _ in 0..batches {
            if !self.take_events(events) {
                break;
            }
        }
    }

    /// Takes a batch of events from the pipe; whether there may be more.
    fn take_events(&mut self, events: &pipe::Receiver) -> bool {
        let mut buffer = [0; RECORD * BATCH];
        let Ok(length) = events.try_read(&mut buffer) else {
            return false;
        };
        for record in buffer[..length].as_chunks::<RECORD>().0 {
            if let Some(event) = Event::decode(record) {
                #[cfg(feature = "fault-injection")]
                if crate::faults::obey(&event) {
                    continue;
                }
                if let Some(feeds) = self.reload.as_ref().filter(|_| event.kind == Kind::Reload) {
                    // So many orders ahead of this one have asked for the same.
                    let _ = feeds.try_send(event);
                }
                if self.extensions.obey(&event) || self.networks.obey(&event) {
                    continue;
                }
                evidence::note(self.node, &event);
                self.journal.borrow_mut().write(&event, self.node.now());
                if let Some(holds) = self.holds.as_ref().filter(|_| event.kind == Kind::Hold) {
                    // A full queue loses nothing: the hold is found in the ledger.
                    let _ = holds.try_send(event);
                }
                if let Some(link) = &self.link {
                    // A full queue loses a line of history; the change itself is marked.
                    let _ = link.try_send(event);
                }
            }
        }
        length > 0
    }

    fn tick(&mut self) -> io::Result<()> {
        if let Some((name, _)) = self.tasks.iter().find(|(_, task)| task.is_finished()) {
            return Err(io::Error::other(format!("its task {name} has failed")));
        }
        #[cfg(feature = "fault-injection")]
        crate::faults::here("tick");
        let node = self.node;
        let now = node.now();
        node.status.beat(now);
        follow_log(node);
        self.journal.borrow_mut().flush(now);
        if self.ticks.is_multiple_of(LEDGER_ROUND) {
            node.ledger.for_agent().sweep(now);
        }
        if self.ticks % SAVE_TICKS == SAVE_TICKS - 1 {
            self.save_state();
        }
        let (sources, next) = node.rates.sweep(self.rates_at, RATES_SLICE, now);
        self.sources += sources;
        if next == 0 {
            node.status.set_sources(self.sources as u64);
            self.sources = 0;
        }
        self.rates_at = next;
        self.counts_at = node.counts.sweep(self.counts_at, RATES_SLICE, now).1;
        self.ticks += 1;
        Ok(())
    }
}
