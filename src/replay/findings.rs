//! What a replay found out: who would have been denied, when, why, and for how long.
//!
//! Filled by `server.rs`, shown by `table.rs` and `timeline.rs`. It keeps little of sources that
//! were never denied: under a flood there may be millions.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::engine::verdict::{Decision, Reason};
use crate::shared::events::{Event, Kind};
use crate::source::Source;

/// Columns of the timeline.
pub const SLOTS: usize = 600;
/// Bans and other changes that are kept for the table; further ones are only counted.
const CHANGES_MAX: usize = 10_000;

/// A ban that would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// When it began, in nanoseconds since 1970.
    pub from_ns: u64,
    /// When it would have ended.
    pub until_ns: u64,
    /// What for.
    pub reason: Reason,
}

/// A source that would have been denied.
#[derive(Clone, Debug, Default)]
pub struct Denied {
    /// Requests denied.
    pub count: u64,
    /// The first and the last, in nanoseconds since 1970.
    pub first_ns: u64,
    /// See `first_ns`.
    pub last_ns: u64,
    /// Why, and how often.
    pub reasons: Vec<(Reason, u64)>,
    /// Its bans.
    pub bans: Vec<Ban>,
    /// Columns of the timeline, in their order, and how many were denied there.
    pub slots: Vec<(u16, u32)>,
}

impl Denied {
    fn seen(&mut self, time_ns: u64) {
        if self.first_ns == 0 {
            self.first_ns = time_ns;
        }
        self.last_ns = time_ns;
    }

    /// Nanoseconds for which it would have been banned.
    pub fn banned_ns(&self) -> u64 {
        self.bans.iter().map(|ban| ban.until_ns - ban.from_ns).sum()
    }
}

/// A column of the timeline: requests of all sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Let through.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
}

/// Everything that was found out.
#[derive(Debug)]
pub struct Findings {
    /// From when, in nanoseconds since 1970.
    pub first_ns: u64,
    /// To when.
    pub last_ns: u64,
    /// Requests decided.
    pub requests: u64,
    /// Of these: denied.
    pub denied: u64,
    /// Of these: let through because they were whitelisted, or the server's own.
    pub whitelisted: u64,
    /// Requests of each source that a limit with `action=shadow` would have denied.
    pub shadowed: HashMap<Source, u64>,
    /// Requests of each source.
    pub sources: HashMap<Source, u64>,
    /// Successful logins of each source, if there were any.
    pub logins: HashMap<Source, u64>,
    /// The sources that would have been denied.
    pub offenders: HashMap<Source, Denied>,
    /// Changes as the agent would have logged them, with their times; the first of them.
    pub changes: Vec<(u64, Event)>,
    /// How many there were.
    pub changes_all: u64,
    /// All requests over time.
    pub slots: Vec<Slot>,
}

impl Findings {
    /// Nothing yet, of a time that is known.
    pub fn new(first_ns: u64, last_ns: u64) -> Findings {
        Findings {
            first_ns,
            last_ns: last_ns.max(first_ns),
            requests: 0,
            denied: 0,
            whitelisted: 0,
            shadowed: HashMap::new(),
            sources: HashMap::new(),
            logins: HashMap::new(),
            offenders: HashMap::new(),
            changes: Vec::new(),
            changes_all: 0,
            slots: vec![Slot::default(); SLOTS],
        }
    }

    /// The column of a moment.
    pub fn slot(&self, time_ns: u64) -> usize {
        let span = u128::from(self.last_ns - self.first_ns) + 1;
        let passed = u128::from(time_ns.saturating_sub(self.first_ns));
        ((passed * SLOTS as u128 / span) as usize).min(SLOTS - 1)
    }

    /// A request was decided.
    pub fn request(&mut self, time_ns: u64, source: Source, decision: &Decision) {
        let slot = self.slot(time_ns);
        self.requests += 1;
        *self.sources.entry(source).or_default() += 1;
        if decision.shadowed.is_some() {
            *self.shadowed.entry(source).or_default() += 1;
        }
        if !decision.verdict.denies() {
            self.whitelisted += u64::from(decision.verdict.code() == 2);
            self.slots[slot].allowed += 1;
            return;
        }
        self.denied += 1;
        self.slots[slot].denied += 1;
        let offender = self.offenders.entry(source).or_default();
        offender.seen(time_ns);
        offender.count += 1;
        match offender
            .reasons
            .iter_mut()
            .find(|(known, _)| *known == decision.reason)
        {
            Some((_, count)) => *count += 1,
            None => offender.reasons.push((decision.reason, 1)),
        }
        match offender.slots.last_mut() {
            Some((last, count)) if usize::from(*last) == slot => *count = count.saturating_add(1),
            _ => offender.slots.push((slot as u16, 1)),
        }
    }

    /// A user logged in from a source.
    pub fn login(&mut self, source: Source) {
        *self.logins.entry(source).or_default() += 1;
    }

    /// The rules changed something.
    pub fn event(&mut self, time_ns: u64, event: &Event) {
        if matches!(event.kind, Kind::Ban | Kind::Revoke) {
            let offender = self.offenders.entry(event.source).or_default();
            offender.seen(time_ns);
            offender.bans.push(Ban {
                from_ns: time_ns,
                until_ns: time_ns.saturating_add(event.seconds.saturating_mul(1_000_000_000)),
                reason: event.reason,
            });
        }
        self.changes_all += 1;
        if self.changes.len() < CHANGES_MAX {
            self.changes.push((time_ns, *event));
        }
    }

    /// The sources that would have been denied or banned, the worst first.
    pub fn worst(&self) -> Vec<(Source, &Denied)> {
        let mut all: Vec<(Source, &Denied)> = self
            .offenders
            .iter()
            .map(|(source, denied)| (*source, denied))
            .collect();
        all.sort_unstable_by_key(|(source, denied)| (std::cmp::Reverse(denied.count), *source));
        all
    }
}
