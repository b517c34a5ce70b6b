//! The fleet's memory: real Kamailios and a real Redis. What a customer, an operator and another node
//! do there arrives here, and the other way round.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

mod clocks;
mod faults;
mod keys;
mod networks;
mod nodes;
mod outages;
mod servers;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use host::{
    Callers, Client, Config, Kamailio, Redis, Request, isolate, listed, verdict, wait_for_verdict,
    wait_until, wait_until_they_agree,
};
use nix::sys::signal::Signal;

const URL: &str = "redis://127.0.0.1:6379";
const CUSTOMER: &str = "198.51.100.7";
const NODE_B: &str = "192.0.2.11";

fn node() -> Kamailio {
    let node = Kamailio::start(Config::new().param("redis_url", URL));
    wait_for_link(&node);
    node
}

fn wait_for_link(node: &Kamailio) {
    wait_until("the link to Redis", || node.stat("redis_up") == 1);
}

fn check() -> Request {
    Request::call("sec_check", &[])
}

/// Sends 40 requests at once: the source is banned for it.
fn flood(source: &str) {
    let codes = Client::udp(source).burst(40, &check());
    assert_eq!(
        codes.iter().filter(|code| **code == -2).count(),
        1,
        "{codes:?}"
    );
}

fn node_b() -> Kamailio {
    let b = Kamailio::start(Config::new().at(NODE_B).param("redis_url", URL));
    wait_for_link(&b);
    b
}
