//! Clocks that differ, and one that is set: what counts is the order in which things happened, not what
//! a machine takes for the time.

use super::*;
use host::{Clock, Line, Relay};

/// A node at an address that goes by another clock.
fn node_with_clock(address: &str, url: &str, clock: &Clock) -> Kamailio {
    let config = Config::new().at(address).param("redis_url", url);
    let node = Kamailio::start(clock.shown_to(config));
    wait_for_link(&node);
    node
}

#[test]
fn nodes_agree_whatever_their_clocks_say() {
    isolate();
    for (before, after) in [("-1h", "-1h"), ("+1h", "+1h"), ("+0", "+2h"), ("+0", "-2h")] {
        let clock = Clock::new(before);
        let redis = Redis::start();
        let relay = Relay::start(6390, 6379);
        let a = node();
        let b = node_with_clock(NODE_B, "redis://127.0.0.1:6390", &clock);
        let on_b = |source: &str| Client::udp_to(source, NODE_B).ask(&check()).rc();
        for source in [CUSTOMER, "198.51.100.8", "198.51.100.9"] {
            let by = if source == CUSTOMER { &b } else { &a };
            by.kamcmd(&["sec.ban", source, "600", "first"]).unwrap();
            wait_until("both to ban", || {
                on_b(source) == -1 && verdict(source) == -1
            });
            let value = redis.get(&format!("ban:{source}")).unwrap();
            let value: serde_json::Value = serde_json::from_str(&value).unwrap();
            let age = redis.run::<(u64, u64)>("TIME").0 as f64 - value["at"].as_f64().unwrap();
            assert!(
                age.abs() < 20.0,
                "{before}: dated {age} s ago by the clock of Redis"
            );
        }
        let ttl: i64 = redis.run(&format!("TTL ban:{CUSTOMER}"));
        assert!((580..=600).contains(&ttl), "{before}: {ttl}");

        let known = b.kamcmd(&["sec.explain", CUSTOMER]).unwrap();
        let since = known
            .lines()
            .find_map(|line| line.trim().strip_prefix("since: "));
        let since: i64 = since.unwrap().parse().unwrap();
        let differs = since.abs_diff(redis.run::<(i64, i64)>("TIME").0) > 3000;
        assert_eq!(differs, before != "+0", "the node believes in its clock");

        // Node b is cut off and unbans two; its clock is set; one is banned anew by the other node.
        relay.set(Line::Cut);
        wait_until("the loss to be noticed", || b.stat("redis_up") == 0);
        b.kamcmd(&["sec.unban", "198.51.100.8"]).unwrap();
        clock.set(after);
        b.kamcmd(&["sec.unban", "198.51.100.9"]).unwrap();
        let past = redis.run::<(u64, u64)>("TIME").0;
        wait_until("the clock to move on", || {
            redis.run::<(u64, u64)>("TIME").0 > past
        });
        a.kamcmd(&["sec.ban", "198.51.100.9", "600", "second"])
            .unwrap();
        wait_until("the second ban", || {
            redis
                .get("ban:198.51.100.9")
                .is_some_and(|value| value.contains("second"))
        });
        relay.set(Line::Open);
        wait_for_link(&b);
        wait_until_they_agree(&redis, &b);
        wait_until_they_agree(&redis, &a);
        let bans: BTreeSet<String> = [CUSTOMER, "198.51.100.9"].map(str::to_owned).into();
        assert_eq!(listed(&b, "sec.bans"), bans, "{before}, then {after}");
    }
}
