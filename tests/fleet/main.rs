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
    Callers, Client, Config, Kamailio, Redis, Request, isolate, verdict, wait_for_verdict,
    wait_until,
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

/// Waits until Redis holds exactly the bans and the entries that this node knows, and nothing is left
/// to be written. Only where the names of all keys are canonical.
fn wait_until_they_agree(redis: &Redis, node: &Kamailio) {
    wait_until("Redis and the node to agree", || {
        let keys = |prefix: &str| -> BTreeSet<String> {
            let keys: Vec<String> = redis.run(&format!("KEYS {prefix}*"));
            let keys = keys.iter().filter_map(|key| key.strip_prefix(prefix));
            keys.map(str::to_owned).collect()
        };
        keys("ban:") == listed(node, "sec.bans")
            && keys("white_list:") == listed(node, "sec.whitelist")
            && node.status("redis_unwritten") == "0"
    });
}

/// All that a listing shows.
fn listed(node: &Kamailio, command: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for offset in (0..).step_by(200) {
        let page = node.kamcmd(&[command, &offset.to_string(), "200"]).unwrap();
        let before = all.len();
        let ips = page
            .lines()
            .filter_map(|line| line.trim().strip_prefix("ip: "));
        all.extend(ips.map(str::to_owned));
        if all.len() == before {
            break;
        }
    }
    all
}
