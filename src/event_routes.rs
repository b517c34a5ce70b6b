//! The process `sec events`: runs the script's `event_route[sec:…]`, or its `event_callback`, for
//! each ban, unban and revocation that the agent tells of.
//!
//! Exists only if the script has one of them. It is fed by a pipe that the agent writes to and never
//! waits for: while a route takes its time, what does not fit is dropped and counted.

use std::cell::Cell;
use std::io;

use crate::config::Config;
use crate::engine::facts::Origin;
use crate::kamailio::entry::guard;
use crate::kamailio::events::{self, Routes};
use crate::kamailio::pipe::Pipe;
use crate::kamailio::{PvValue, log, process};
use crate::node::{Node, seconds_left};
use crate::shared::events::{Event, Kind, RECORD};
use crate::shared::statistics::Count;

/// The events, as the script names them.
const EVENTS: [(Kind, &str); 3] = [
    (Kind::Ban, "sec:ban"),
    (Kind::Unban, "sec:unban"),
    (Kind::Revoke, "sec:revoke"),
];
/// How often the process looks after itself, in milliseconds.
const LOOK_MS: u16 = 250;

/// The routes, and the pipe to the process that runs them.
pub struct EventRoutes {
    routes: Routes,
    pipe: Pipe,
}

thread_local! {
    /// The event that this process runs a route for.
    static CURRENT: Cell<Option<Event>> = const { Cell::new(None) };
}

impl EventRoutes {
    /// What the script has; `None` if it has nothing for our events. Only in `mod_init`.
    ///
    /// # Errors
    /// The machine has no more descriptors.
    pub fn find(config: &Config) -> io::Result<Option<EventRoutes>> {
        let callback = config.event_callback();
        if let Some(function) = callback
            && !events::has_kemi_engine()
        {
            log::warn(format_args!(
                "event_callback: {function} is never called, because the routes are not in a \
                 language of KEMI (cfgengine); write event_route[sec:ban] instead"
            ));
        }
        let routes = Routes::find(&EVENTS.map(|(_, name)| name), callback);
        if routes.is_empty() {
            return Ok(None);
        }
        let pipe = Pipe::new()?;
        Ok(Some(EventRoutes { routes, pipe }))
    }

    /// The pipe, which the agent keeps open.
    pub fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    /// Tells the process of an event, without waiting. What shadow mode would have done is no
    /// event: a route may well tell a firewall.
    pub fn tell(&self, node: &Node, event: &Event) {
        let listens = place(event).is_some_and(|place| self.routes.listens(place));
        if listens && !event.shadow && self.pipe.send(&event.encode()).is_err() {
            node.count(Count::EventsDropped, 1);
        }
    }

    /// The whole life of the process; the result is its exit status.
    pub fn serve(&self) -> i32 {
        let server = process::parent_pid();
        while process::parent_pid() == server {
            process::follow_configuration();
            let mut record = [0; RECORD];
            if !self.pipe.wait(LOOK_MS) || self.pipe.receive(&mut record).is_err() {
                continue;
            }
            // A panic must not end a process that Kamailio knows.
            guard((), || self.run(&record));
        }
        0
    }

    fn run(&self, record: &[u8; RECORD]) {
        let Some(event) = Event::decode(record) else {
            return;
        };
        if let Some(place) = place(&event) {
            CURRENT.set(Some(event));
            self.routes.run(place);
            CURRENT.set(None);
        }
    }
}

fn place(event: &Event) -> Option<usize> {
    EVENTS.iter().position(|(kind, _)| *kind == event.kind)
}

/// The event that a route is run for now; none in any other process.
pub fn current() -> Option<Event> {
    CURRENT.get()
}

/// `$sec(…)` in such a route.
pub fn variable(node: &Node, event: &Event, name: &str) -> PvValue {
    match name {
        "ip" => event.source.to_string().into(),
        "reason" => node.reason_text(event.reason).into(),
        "ban_ttl" => PvValue::Int(ban_seconds(node, event)),
        _ => PvValue::Null,
    }
}

/// Seconds of the ban as they were when it was made: a route may run late, and a firewall that is
/// told 0 would never forget. -1 without an end, 0 after an unban.
fn ban_seconds(node: &Node, event: &Event) -> i64 {
    match (event.kind, event.origin, event.seconds) {
        (Kind::Unban, ..) => 0,
        // The fleet's key tells of the cool-down; the ban has a key of its own.
        (Kind::Revoke, Origin::Redis, _) => {
            let now = node.now();
            let standing = node.ledger.standing(node.key_of(event.source), now);
            match standing.banned(now, false) {
                true => seconds_left(standing.ban.until, now),
                false => 0,
            }
        }
        (_, _, Event::FOREVER) => -1,
        (_, _, seconds) => seconds.cast_signed(),
    }
}
