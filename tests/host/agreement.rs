//! Agreement: whether a node and Redis hold the same bans, whitelist entries and cool-downs.

use std::collections::BTreeSet;

use super::{Kamailio, Redis, wait_until};

/// What stands before an address in the log when it loses its entry, here or by what Redis says.
const REVOKED: &str = ": sec: revoke ";

/// Waits until Redis holds exactly the bans, the entries and the cool-downs that this node knows, and
/// nothing is left to be written. Only where the names of all keys are canonical.
pub fn wait_until_they_agree(redis: &Redis, node: &Kamailio) {
    wait_until("Redis and the node to agree", || {
        let keys = |prefix: &str| -> BTreeSet<String> {
            let keys: Vec<String> = redis.run(&format!("KEYS {prefix}*"));
            let keys = keys.iter().filter_map(|key| key.strip_prefix(prefix));
            keys.map(str::to_owned).collect()
        };
        keys("ban:") == listed(node, "sec.bans")
            && keys("white_list:") == listed(node, "sec.whitelist")
            && cooling(node, &keys("sec:revoked:")) == keys("sec:revoked:")
            && node.status("redis_unwritten") == "0"
    });
}

/// All that cool down at a node: of these, and of those that its log tells of. There is no listing.
fn cooling(node: &Kamailio, known: &BTreeSet<String>) -> BTreeSet<String> {
    let log = node.log();
    let told = log.lines().filter_map(|line| line.split_once(REVOKED));
    let told = told.filter_map(|(_, rest)| rest.split([':', ' ']).next());
    let mut all: BTreeSet<String> = told.map(str::to_owned).collect();
    all.extend(known.iter().cloned());
    all.retain(|address| cools_down(node, address));
    all
}

/// Whether an address has lost an entry and cannot have another yet.
pub fn cools_down(node: &Kamailio, address: &str) -> bool {
    let told = node.kamcmd(&["sec.explain", address]);
    let told = told.expect("sec.explain answers");
    let lines = told.lines().map(str::trim);
    // Of an address in no state nothing is told.
    let mut left = lines.filter_map(|line| line.strip_prefix("cooldown: "));
    left.next().is_some_and(|seconds| seconds != "0")
}

/// All that a listing shows.
pub fn listed(node: &Kamailio, command: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for offset in (0..).step_by(200) {
        let page = node.kamcmd(&[command, &offset.to_string(), "200"]);
        let page = page.expect("a page is listed");
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
