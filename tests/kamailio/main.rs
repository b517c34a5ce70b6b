//! The module in a real Kamailio: everything that an operator can configure, call or ask.
//!
//! One program, so that it is linked once; every test has a network and a server of its own. The
//! server's script calls any function of the module on request and answers with its return code
//! (`tests/host/script.rs`). Where a count must be exact, the limit's window is an hour: then it
//! does not depend on how fast this machine is.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

mod agents;
mod bans;
mod commands;
mod embedded;
mod example;
mod explain;
mod extension_lists;
mod extensions;
mod faults;
mod lines;
mod operation;
mod parameters;
mod rates;
mod statistics;
mod tables;
mod top;
mod troubles;
mod troubleshooting;
mod whitelist;

use host::{Client, Config, Kamailio, Redis, Request};

/// The limit of most tests: of a burst exactly thirty pass, whatever the machine does.
const THIRTY: &str = "name=burst;limit=30;window=1h";

/// A server with that limit, in a network of its own.
fn server() -> Kamailio {
    start(Config::new().param("rate", THIRTY))
}

fn start(config: Config) -> Kamailio {
    host::isolate();
    Kamailio::start(config)
}

/// `sec_check()` on the request's own source.
fn check() -> Request {
    Request::call("sec_check", &[])
}

/// Sends so many requests at once from `source`; the verdicts.
fn flood(source: &str, count: usize) -> Vec<i64> {
    Client::udp(source).burst(count, &check())
}

/// A client whose address no test attacks from: it asks about others.
fn observer() -> Client {
    Client::udp("198.51.100.200")
}
