//! The DNS names of the static whitelist: finds the addresses that they stand for, asks again when
//! the answers are too old, and publishes them for all processes.
//!
//! A task of the agent. An address that a name lost is dropped with the next answer; a name without
//! an answer keeps its addresses for an hour, also when the agent is started again, because a
//! carrier must not be cut off when DNS is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::networks::Networks;
use super::resolver::{Failure, Found, Resolver};
use crate::cidr::{Prefix, PrefixMap};
use crate::domain::Domain;
use crate::engine::facts::Now;
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::names::{ADDRESSES_MAX, Name};
use crate::shared::snapshot::{Section, prefix_words};
use crate::source::Source;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds between two answers, whatever their TTL.
const TTL: std::ops::RangeInclusive<u64> = 30..=3600;
/// First and longest pause, in seconds, after a question without an answer.
const RETRY: (u64, u64) = (2, 60);
/// How long a name keeps its addresses without an answer, in milliseconds.
const KEEP_MS: u64 = 3_600_000;
/// Names asked for at a time.
const FLIGHT_MAX: usize = 16;

type Answers = [Result<Found<IpAddr>, Failure>; 2];

/// A name, and when it is asked for again.
struct Entry {
    known: Name,
    /// `None` while it is being asked for.
    due: Option<Instant>,
    failures: u32,
}

/// The task.
pub struct Names {
    node: &'static Node,
    networks: Networks,
    resolver: Rc<Resolver>,
    /// The names to follow, anew after each reload.
    wanted: Receiver<Vec<Domain>>,
    entries: HashMap<Domain, Entry>,
    flight: JoinSet<(Domain, Answers)>,
}

impl Names {
    /// With what an earlier agent has found out.
    pub fn recover(
        node: &'static Node,
        networks: Networks,
        wanted: Receiver<Vec<Domain>>,
    ) -> Names {
        let known = node.names.read().into_iter();
        let entries =
            known.filter_map(|known| Some((Domain::parse(&known.name).ok()?, entry(known))));
        Names {
            node,
            networks,
            resolver: Rc::new(Resolver::new(node.rdns.resolver, PATIENCE)),
            wanted,
            entries: entries.collect(),
            flight: JoinSet::new(),
        }
    }

    /// Runs as long as the agent does.
    pub async fn run(mut self) {
        self.follow();
        loop {
            self.launch();
            let next = self.entries.values().filter_map(|entry| entry.due).min();
            let waits = self.flight.len() < FLIGHT_MAX;
            let next = next.filter(|_| waits);
            tokio::select! {
                Some(done) = self.flight.join_next() => match done {
                    Ok((name, answers)) => self.settle(&name, answers),
                    Err(_) => self.wake(),
                },
                _ = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
            }
        }
    }

    /// Takes up names that are new, and drops those that are not wanted any more.
    fn follow(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        let mut before = std::mem::take(&mut self.entries);
        for name in wanted {
            let known = before.remove(&name);
            let new = || {
                entry(Name {
                    name: name.to_string(),
                    ..Name::default()
                })
            };
            self.entries.insert(name.clone(), known.unwrap_or_else(new));
        }
        self.publish();
    }

    /// Asks for the names that are due.
    fn launch(&mut self) {
        let now = Instant::now();
        for (name, entry) in &mut self.entries {
            if self.flight.len() == FLIGHT_MAX {
                return;
            }
            if entry.due.is_none_or(|due| due > now) {
                continue;
            }
            entry.due = None;
            let (name, resolver) = (name.clone(), Rc::clone(&self.resolver));
            self.flight.spawn_local(async move {
                let v4 = resolver.addresses(&name, false);
                let (v4, v6) = tokio::join!(v4, resolver.addresses(&name, true));
                (name, [v4, v6])
            });
        }
    }

    /// A question has failed in an odd way: all that are under way are asked again, a little later.
    fn wake(&mut self) {
        let later = Instant::now() + Duration::from_secs(RETRY.1);
        for entry in self.entries.values_mut() {
            entry.due.get_or_insert(later);
        }
    }

    fn settle(&mut self, name: &Domain, answers: Answers) {
        let Some(entry) = self.entries.get_mut(name) else {
            return; // not wanted any more
        };
        let now = self.node.now();
        let before = entry.known.clone();
        let pause = entry.take(answers, now);
        entry.due = Some(Instant::now() + Duration::from_secs(pause));
        let after = &entry.known;
        if after.addresses != before.addresses {
            let level = self.node.log_level;
            log::at(level, format_args!("whitelist: {name} is {}", list(after)));
        }
        if after.problem != before.problem && !after.problem.is_empty() {
            log::warn(format_args!(
                "whitelist: {name} cannot be resolved: {}; {} stays for an hour at most",
                after.problem,
                list(after)
            ));
        }
        self.publish();
    }

    fn publish(&self) {
        let known = || self.entries.values().map(|entry| &entry.known);
        let mut sorted: Vec<&Name> = known().collect();
        sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.node.names.write(sorted.into_iter());
        let addresses = known().flat_map(|known| &known.addresses);
        let prefixes: Vec<Prefix> = addresses
            .filter_map(|address| Prefix::of(Source::new(*address, 128)))
            .collect();
        let words = match prefixes.is_empty() {
            true => None,
            false => Some(prefix_words(&PrefixMap::set_of(&prefixes))),
        };
        if let Err(error) = self.networks.set(Section::Named, words) {
            log::error(format_args!("{error}; the addresses before stay"));
        }
    }
}

fn entry(known: Name) -> Entry {
    Entry {
        known,
        due: Some(Instant::now()),
        failures: 0,
    }
}

impl Entry {
    /// Takes what DNS said; after how many seconds it is to be asked again.
    fn take(&mut self, answers: Answers, now: Now) -> u64 {
        let known = &mut self.known;
        match addresses(&known.addresses, &answers) {
            Ok((addresses, ttl)) => {
                known.addresses = addresses;
                known.resolved = now.ms().max(1);
                known.problem.clear();
                self.failures = 0;
                ttl.clamp(*TTL.start(), *TTL.end())
            }
            Err(problem) => {
                known.problem = problem;
                if known.resolved.saturating_add(KEEP_MS) <= now.ms() {
                    known.addresses.clear();
                }
                let pause = RETRY.0 << self.failures.min(8);
                self.failures += 1;
                pause.min(RETRY.1)
            }
        }
    }
}

/// The addresses of a name by the answers for both families, and for how many seconds. A family
/// that nobody knows about keeps what it had, as long as the other one is known.
fn addresses(before: &[IpAddr], answers: &Answers) -> Result<(Vec<IpAddr>, u64), String> {
    let known = answers.iter().filter_map(|answer| answer.as_ref().ok());
    let Some(mut ttl) = known.map(|found| found.ttl).min() else {
        let unclear = answers.iter().find_map(|answer| match answer {
            Err(Failure::Unclear(why)) => Some(why.clone()),
            _ => None,
        });
        return Err(unclear.unwrap_or_else(|| "no such name, or no address".into()));
    };
    let mut all: Vec<IpAddr> = Vec::new();
    for (answer, v6) in answers.iter().zip([false, true]) {
        match answer {
            Ok(found) => all.extend(&found.values),
            Err(Failure::Absent(_)) => {}
            Err(Failure::Unclear(_)) => {
                ttl = 0;
                all.extend(before.iter().filter(|address| address.is_ipv6() == v6));
            }
        }
    }
    all.retain(|address| !address.is_unspecified() && !address.is_multicast());
    all.sort_unstable();
    all.dedup();
    all.truncate(ADDRESSES_MAX);
    Ok((all, ttl))
}

fn list(name: &Name) -> String {
    let texts: Vec<String> = name.addresses.iter().map(IpAddr::to_string).collect();
    match texts.is_empty() {
        true => "no address".into(),
        false => texts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str], ttl: u64) -> Result<Found<IpAddr>, Failure> {
        Ok(Found {
            values: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            ttl,
        })
    }

    fn absent() -> Result<Found<IpAddr>, Failure> {
        Err(Failure::Absent(None))
    }

    fn unclear() -> Result<Found<IpAddr>, Failure> {
        Err(Failure::Unclear("no answer".into()))
    }

    fn at(seconds: u64) -> Now {
        Now::from_ns(seconds * 1_000_000_000)
    }

    #[test]
    fn an_address_that_was_lost_is_dropped() {
        let mut name = entry(Name::default());
        assert_eq!(
            name.take([found(&["10.0.0.2", "10.0.0.1"], 300), absent()], at(1)),
            300
        );
        assert_eq!(list(&name.known), "10.0.0.1, 10.0.0.2");
        let answers = [found(&["10.0.0.3"], 5), found(&["2001:db8::1"], 99_999)];
        assert_eq!(name.take(answers, at(2)), 30, "at least");
        assert_eq!(list(&name.known), "10.0.0.3, 2001:db8::1");
        assert_eq!(
            name.take([found(&["0.0.0.0"], 99_999), absent()], at(2)),
            3600,
            "at most"
        );
        assert_eq!(list(&name.known), "no address");
    }

    #[test]
    fn a_family_without_an_answer_keeps_what_it_had() {
        let mut name = entry(Name::default());
        name.take(
            [found(&["10.0.0.1"], 300), found(&["2001:db8::1"], 300)],
            at(1),
        );
        assert_eq!(name.take([found(&["10.0.0.2"], 300), unclear()], at(2)), 30);
        assert_eq!(list(&name.known), "10.0.0.2, 2001:db8::1");
        assert_eq!(name.known.state(), "resolved");
        name.take([absent(), found(&["2001:db8::2"], 300)], at(3));
        assert_eq!(list(&name.known), "2001:db8::2");
    }

    #[test]
    fn a_name_without_an_answer_is_stale_for_an_hour() {
        let mut name = entry(Name::default());
        name.take([found(&["10.0.0.1"], 300), absent()], at(10));
        for answers in [
            [unclear(), unclear()],
            [absent(), absent()],
            [absent(), unclear()],
        ] {
            name.take(answers, at(3600));
            assert_eq!(
                (list(&name.known), name.known.state()),
                ("10.0.0.1".into(), "stale")
            );
        }
        name.take([unclear(), unclear()], at(3610));
        assert_eq!(
            (list(&name.known), name.known.state()),
            ("no address".into(), "not resolved")
        );
        assert_eq!(
            name.take([found(&["10.0.0.1"], 300), unclear()], at(3700)),
            30
        );
        assert_eq!(name.known.state(), "resolved");
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let mut name = entry(Name::default());
        let mut pause = || name.take([unclear(), unclear()], at(1));
        assert_eq!(
            [
                pause(),
                pause(),
                pause(),
                pause(),
                pause(),
                pause(),
                pause()
            ],
            [2, 4, 8, 16, 32, 60, 60]
        );
    }
}
