//! A real Kamailio for tests and for the demo: a private network, a server, phones, its commands.
//!
//! Included by path from every program that needs a running host, so it lives in that program's
//! process and not in the module. It starts and stops servers by their process id and sends
//! traffic only inside network namespaces of its own; it never touches a Kamailio that it did not
//! start, and it never sleeps for a fixed time: it polls until a condition holds or gives up.
#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unused_imports,
    reason = "each program uses its own part of the harness"
)]

mod agreement;
mod callers;
mod carbon;
mod clock;
mod command;
mod config;
mod dns;
mod forger;
mod network;
mod noise;
pub mod outage;
mod phone;
pub mod process;
mod redis;
mod relay;
mod script;
mod server;
mod sip;
mod subscribers;
mod tcpdump;
mod web;

use std::time::{Duration, Instant};

pub use agreement::{cools_down, listed, wait_until_they_agree};
pub use callers::{Callers, Waits};
pub use carbon::Carbon;
pub use clock::Clock;
pub use command::{Fault, Output};
pub use config::{Check, Config, Engine, Launch, module_file};
pub use dns::{DNS, Dnsmasq, NameServer, Reply, record};
pub use forger::Forger;
pub use network::{SERVER, SERVER6, isolate};
pub use noise::Noise;
pub use outage::Outage;
pub use phone::Phone;
pub use process::user_of;
pub use redis::Redis;
pub use relay::{Line, Relay};
pub use server::Kamailio;
pub use sip::{Client, Message, Request, verdict, wait_for_verdict};
pub use subscribers::Subscribers;
pub use tcpdump::Tcpdump;
pub use web::{Asked, Page, Web};

/// How long anything may take before the harness calls it a failure. Generous, because the
/// machine may be busy; nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until `condition` yields something; panics with `what` after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Polls until `condition` holds; panics with `what` after [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
