//! Reverse DNS: finds out whose address it is that is to be banned, and ends the waiting.
//!
//! A task of the agent, fed with the holds that workers begin; one question for an address, however
//! many packets it sends, and a bounded number at a time. A hold that was not told of (the pipe was
//! full, the agent was away) is found in the ledger. Nobody waits for this task: a hold also ends
//! without it.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::journal::Journal;
use super::resolver::{Failure, Found, Resolver};
use crate::domain::Domain;
use crate::engine::decide;
use crate::engine::facts::{Facts, Now, Origin};
use crate::engine::lookup::{Answer, Hold, LookUp};
use crate::node::Node;
use crate::orders::{self, NAMELESS_SECS};
use crate::shared::events::{Event, Kind, Text};
use crate::shared::hosts::Host;
use crate::shared::ledger::Key;
use crate::shared::statistics::Count;
use crate::source::Source;

/// Questions at a time.
const FLIGHT_MAX: usize = 128;
/// Sources that wait for their turn; of more, the oldest waits for the end of its hold.
const QUEUE_MAX: usize = 1024;
/// Between two looks for holds that nobody told of, or answered.
const ROUND: Duration = Duration::from_millis(500);
/// Names of an address that are looked at, and of these confirmed.
const NAMES_MAX: usize = 64;
const CONFIRMED_MAX: usize = 3;
/// Names that an operator is shown.
const SHOWN_MAX: usize = 4;
/// How long an answer is remembered, in seconds, whatever its TTL.
const TTL: std::ops::RangeInclusive<u64> = NAMELESS_SECS..=3600;

/// What was found out about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    answer: Answer,
    /// Seconds for which it counts.
    ttl: u64,
    /// For operators: the names.
    names: String,
    /// What is wrong with them, or why there is none.
    why: String,
    /// The one that is trusted.
    name: String,
}

impl Finding {
    /// All in one.
    fn told(&self) -> String {
        let parts = [&*self.names, &*self.why].into_iter();
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        parts.join("; ")
    }
}

/// The task.
pub struct Rdns {
    node: &'static Node,
    journal: Rc<RefCell<Journal>>,
    resolver: Rc<Resolver>,
    trusted: Rc<[Domain]>,
    holds: Receiver<Event>,
    /// The newest at the back: it has the most time left, so it is the first to be asked for.
    queue: VecDeque<Event>,
    /// Sources in the queue or in flight.
    known: HashSet<Source>,
    flight: JoinSet<(Event, Finding)>,
}

impl Rdns {
    /// Takes the holds from `holds`.
    pub fn new(node: &'static Node, journal: Rc<RefCell<Journal>>, holds: Receiver<Event>) -> Rdns {
        let rdns = &node.rdns;
        let limit = Duration::from_secs(rdns.timeout);
        Rdns {
            node,
            journal,
            resolver: Rc::new(Resolver::new(rdns.resolver, limit)),
            trusted: rdns.trusted.as_slice().into(),
            holds,
            queue: VecDeque::new(),
            known: HashSet::new(),
            flight: JoinSet::new(),
        }
    }

    /// Runs as long as the agent does.
    pub async fn run(mut self) {
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                hold = self.holds.recv() => match hold {
                    Some(event) => self.enqueue(event),
                    None => return,
                },
                Some(done) = self.flight.join_next() => {
                    // A task that failed leaves its hold to the next round.
                    if let Ok((event, finding)) = done {
                        self.known.remove(&event.source);
                        self.conclude(&event, &finding);
                    }
                }
                _ = rounds.tick() => self.round(),
            }
            self.launch();
        }
    }

    fn enqueue(&mut self, event: Event) {
        if !self.known.insert(event.source) {
            return;
        }
        if self.queue.len() == QUEUE_MAX
            && let Some(oldest) = self.queue.pop_front()
        {
            self.known.remove(&oldest.source);
        }
        self.queue.push_back(event);
    }

    /// One that nobody told of waits behind all others, and displaces none.
    fn enqueue_last(&mut self, event: Event) {
        if self.queue.len() < QUEUE_MAX && self.known.insert(event.source) {
            self.queue.push_front(event);
        }
    }

    /// Asks for the newest, as many as may be.
    fn launch(&mut self) {
        while self.flight.len() < FLIGHT_MAX {
            let Some(event) = self.queue.pop_back() else {
                return;
            };
            let key = self.node.key_of(event.source);
            let now = self.node.now();
            let waits = |hold: Hold| hold.until > now.ms();
            if !self.held(key, now).is_some_and(waits) {
                self.known.remove(&event.source);
                continue; // unbanned meanwhile, or too late
            }
            self.node.count(Count::RdnsLookups, 1);
            let (resolver, trusted) = (Rc::clone(&self.resolver), Rc::clone(&self.trusted));
            let limit = Duration::from_secs(self.node.rdns.timeout);
            self.flight.spawn_local(async move {
                let finding = find_out(&resolver, event.address, &trusted);
                let finding = timeout(limit, finding).await;
                (
                    event,
                    finding.unwrap_or_else(|_| nameless(None, "no answer in time")),
                )
            });
        }
    }

    fn held(&self, key: Key, now: Now) -> Option<Hold> {
        match self.node.ledger.standing(key, now).look_up {
            LookUp::Held(hold) => Some(hold),
            _ => None,
        }
    }

    /// Looks after the holds in the ledger: those that nobody told of, and those that are over.
    fn round(&mut self) {
        let node = self.node;
        let now = node.now();
        let all: Vec<(Source, Hold)> = node.ledger.holds().collect();
        for (source, hold) in all {
            let event = Event {
                reason: hold.reason,
                shadow: hold.shadow,
                ..Event::new(Kind::Hold, source, hold.origin())
            };
            let running = hold.until > now.ms();
            let void = hold.shadow && !node.status.shadow();
            if void || !running && !hold.is_due(&node.policy, now) {
                let until = now.after(NAMELESS_SECS);
                node.ledger.end_hold(node.key_of(source), until);
            } else if running && source.length() == 128 {
                self.enqueue_last(event);
            } else if running {
                // Which address of a prefix it was, only the event says.
            } else if !self.known.contains(&source) {
                self.conclude(&event, &nameless(None, "no answer in time"));
            }
        }
    }

    /// Ends the waiting as `finding` says.
    fn conclude(&self, event: &Event, finding: &Finding) {
        let node = self.node;
        let (key, now) = (node.key_of(event.source), node.now());
        let host = Host {
            address: event.address,
            names: finding.told(),
        };
        node.hosts.write(key, &host);
        let until = now.after(finding.ttl);
        let nameless = finding.answer == Answer::Nameless;
        if finding.answer == Answer::Trusted || nameless && node.policy.rdns.spare_no_name {
            return self.spare(event, finding, key, until);
        }
        if let Some(hold) = self.held(key, now) {
            let refused = Event {
                kind: Kind::NotSpared,
                seconds: 0,
                count: 0,
                text: Text::new(finding.names.as_bytes()),
                agent: Text::new(finding.why.as_bytes()),
                ..*event
            };
            self.journal.borrow_mut().write(&refused, now);
            self.ban(event, key, hold, now);
        }
        node.ledger.answer(key, finding.answer, until);
    }

    fn spare(&self, event: &Event, finding: &Finding, key: Key, until: u64) {
        let (node, now) = (self.node, self.node.now());
        let held = node.ledger.answer(key, finding.answer, until).is_some();
        // An answer that came late: the ban that began meanwhile was not meant for this source.
        let ban = node.ledger.standing(key, now).ban;
        let own = matches!(ban.origin, Origin::Rate | Origin::Strike);
        let late = ban.until > now.ms() && own && ban.reason == event.reason;
        if late {
            orders::lift(node, key, now, ban.origin);
        }
        if held || late {
            node.count(Count::RdnsSpared, 1);
            let spared = Event {
                kind: Kind::Spare,
                text: Text::new(finding.name.as_bytes()),
                seconds: finding.ttl,
                ..*event
            };
            self.journal.borrow_mut().write(&spared, now);
        }
    }

    /// The ban that was due, unless something else has come between.
    fn ban(&self, event: &Event, key: Key, hold: Hold, now: Now) {
        let node = self.node;
        let facts = Facts {
            now,
            source: key.source,
            own: node.is_own(event.address),
            listed: node.membership(event.address, now).listed,
            validated: hold.validated,
            method: 0,
            scanner: false,
            feed: None,
            muted: false,
            shadow: node.status.shadow(),
            loading: node.awaits_fleet(now),
        };
        let standing = node.standing(event.address, key, now);
        let Some(sentence) = decide::overdue(&node.policy, &facts, &standing, &hold) else {
            return;
        };
        let ban = Event {
            kind: Kind::Ban,
            shadow: facts.shadow,
            seconds: sentence.seconds,
            count: sentence.count(standing.repeats),
            ..*event
        };
        orders::impose(node, key, now, sentence, &ban);
    }
}

/// The name of an address, confirmed by the name's addresses.
async fn find_out(resolver: &Resolver, address: IpAddr, trusted: &[Domain]) -> Finding {
    let names = match resolver.names(address).await {
        Ok(names) => names,
        Err(Failure::Absent(ttl)) => return nameless(ttl, "no name"),
        Err(Failure::Unclear(why)) => return nameless(None, &why),
    };
    let shown = shown(&names);
    let candidates = candidates(&names, trusted);
    let mut unclear = false;
    for name in &candidates {
        match resolver.addresses(name, address.is_ipv6()).await {
            Ok(found) if found.values.contains(&address) => {
                return Finding {
                    answer: Answer::Trusted,
                    ttl: bounded(names.ttl.min(found.ttl)),
                    names: shown,
                    why: String::new(),
                    name: name.to_string(),
                };
            }
            Err(Failure::Unclear(_)) => unclear = true,
            Ok(_) | Err(Failure::Absent(_)) => {}
        }
    }
    if unclear {
        return Finding {
            names: shown,
            ..nameless(None, "not confirmed: no answer")
        };
    }
    let why = match candidates.is_empty() {
        true => "untrusted",
        false => "its addresses are others",
    };
    Finding {
        answer: Answer::Untrusted,
        ttl: bounded(names.ttl),
        names: shown,
        why: why.into(),
        name: String::new(),
    }
}

/// The names that lie in a trusted domain, as many as are confirmed.
fn candidates(names: &Found<String>, trusted: &[Domain]) -> Vec<Domain> {
    let read = names.values.iter().take(NAMES_MAX);
    let read = read.filter_map(|name| Domain::parse(name).ok());
    let lies = |name: &Domain| trusted.iter().any(|domain| domain.contains(name));
    read.filter(lies).take(CONFIRMED_MAX).collect()
}

/// Names as an operator is shown them, whatever a stranger wrote into DNS.
fn shown(names: &Found<String>) -> String {
    let printable = |name: &String| -> String {
        let name = name.strip_suffix('.').unwrap_or(name).chars().take(120);
        name.map(|c| if c.is_ascii_graphic() { c } else { '?' })
            .collect()
    };
    let all = names.values.len();
    let first = names.values.iter().take(SHOWN_MAX).map(printable);
    let mut text = first.collect::<Vec<_>>().join(", ");
    if all > SHOWN_MAX {
        text += &format!(" and {} more", all - SHOWN_MAX);
    }
    text
}

fn nameless(ttl: Option<u64>, why: &str) -> Finding {
    Finding {
        answer: Answer::Nameless,
        ttl: bounded(ttl.unwrap_or(0)),
        names: String::new(),
        why: why.into(),
        name: String::new(),
    }
}

fn bounded(ttl: u64) -> u64 {
    ttl.clamp(*TTL.start(), *TTL.end())
}

#[cfg(test)]
#[path = "rdns_tests.rs"]
mod tests;
