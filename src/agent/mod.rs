//! The agent: the process that does what a SIP worker must never wait for. It writes the log lines
//! of state changes and sweeps the tables.
//!
//! One process with one thread and a tokio runtime, forked by its supervisor, unknown to Kamailio:
//! its death costs freshness, not calls. It never touches Kamailio's configuration, counters or
//! memory pools.

mod journal;
pub mod supervisor;

use std::os::fd::AsRawFd;
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::kamailio::entry::guard;
use crate::kamailio::log;
use crate::kamailio::process::{self, Pid};
use crate::node::Node;
use crate::shared::events::{Event, RECORD};
use journal::Journal;

/// How often the agent looks after the tables.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two rounds through the ledger.
const LEDGER_ROUND: u64 = 2;
/// Words of the rate tables that are swept in a tick: a round through a million sources takes
/// eight seconds, and the times in them wrap after twelve days.
const RATES_SLICE: usize = 1 << 16;
/// Records taken from the pipe at once.
const BATCH: usize = 64;

/// [`work`], with a panic turned into an exit status: the supervisor starts a new agent.
fn work_guarded(node: &'static Node, supervisor: Pid) -> i32 {
    guard(70, || work(node, supervisor))
}

/// The agent's whole life, in its own process. The result is its exit status.
fn work(node: &'static Node, supervisor: Pid) -> i32 {
    process::forget_signals();
    if !process::die_with(supervisor) {
        return 0;
    }
    process::close_others(&[node.events.as_raw_fd()]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => match runtime.block_on(Agent::new(node).run()) {
            Ok(()) => 0,
            Err(error) => {
                log::error(format_args!("the agent cannot work: {error}"));
                1
            }
        },
        Err(error) => {
            log::error(format_args!("the agent cannot start: {error}"));
            1
        }
    }
}

struct Agent {
    node: &'static Node,
    journal: Journal,
    ticks: u64,
    rates_at: usize,
    sources: usize,
    counts_at: usize,
}

impl Agent {
    fn new(node: &'static Node) -> Agent {
        let journal = Journal::new(node);
        Agent {
            node,
            journal,
            ticks: 0,
            rates_at: 0,
            sources: 0,
            counts_at: 0,
        }
    }

    async fn run(mut self) -> std::io::Result<()> {
        self.node.ledger.recover();
        self.node.status.agent_started(process::own_pid().0);
        let events = Receiver::from_owned_fd(self.node.events.reader()?)?;
        let mut stop = signal(SignalKind::terminate())?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ready = events.readable() => {
                    ready?;
                    while self.take_events(&events) {}
                }
                _ = ticks.tick() => self.tick(),
                _ = stop.recv() => break,
            }
        }
        while self.take_events(&events) {}
        self.journal.flush(self.node.now());
        Ok(())
    }

    /// Takes a batch of events from the pipe; whether there may be more.
    fn take_events(&mut self, events: &Receiver) -> bool {
        let mut buffer = [0; RECORD * BATCH];
        let Ok(length) = events.try_read(&mut buffer) else {
            return false;
        };
        for record in buffer[..length].as_chunks::<RECORD>().0 {
            if let Some(event) = Event::decode(record) {
                self.journal.write(&event, self.node.now());
            }
        }
        length > 0
    }

    fn tick(&mut self) {
        let node = self.node;
        let now = node.now();
        node.status.beat(now);
        self.journal.flush(now);
        if self.ticks.is_multiple_of(LEDGER_ROUND) {
            node.ledger.for_agent().sweep(now);
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
    }
}
