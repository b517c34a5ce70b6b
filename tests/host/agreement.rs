//! Agreement: whether a node and Redis hold the same bans and whitelist entries.

use std::collections::BTreeSet;

use super::{Kamailio, Redis, wait_until};

/// Waits until Redis holds exactly the bans and the entries that this node knows, and nothing is left
/// to be written. Only where the names of all keys are canonical.
pub fn wait_until_they_agree(redis: &Redis, node: &Kamailio) {
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
