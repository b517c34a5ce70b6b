//! Whole networks, and single IPv6 addresses, as keys of the fleet; and orders about networks, on their
//! way to it.

use super::*;
use host::{Line, Relay};

fn is_there(redis: &Redis, key: &str) -> bool {
    redis.run::<i64>(&format!("EXISTS {key}")) == 1
}

#[test]
fn networks_come_and_go_with_their_keys() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>("SET ban:10.1.2.3/16 because EX 600");
    redis.run::<()>("SET white_list:10.2.0.0/16 1 EX 600");
    wait_for_verdict("10.1.255.1", -1);
    wait_for_verdict("10.2.255.1", 2);
    assert_eq!(verdict("10.3.0.1"), 1);
    let bans = node.kamcmd(&["sec.bans"]).unwrap();
    assert!(
        bans.contains("ip: 10.1.0.0/16") && bans.contains("origin: redis"),
        "{bans}"
    );
    let entries = node.kamcmd(&["sec.whitelist"]).unwrap();
    assert!(
        entries.contains("ip: 10.2.0.0/16") && entries.contains("origin: redis"),
        "{entries}"
    );
    let known = node.kamcmd(&["sec.explain", "10.1.9.9"]).unwrap();
    assert!(
        known.contains("network: 10.1.0.0/16") && known.contains("origin: redis"),
        "{known}"
    );
    wait_until("lines about them", || {
        let log = node.log();
        log.contains("ban 10.1.0.0/16 reason=manual seconds=600 by=redis")
            && log.contains("whitelist 10.2.0.0/16 seconds=600 by=redis")
    });

    // Two keys of one network: it is banned as long as one of them is there.
    redis.run::<()>("SET ban:10.1.0.0/16 1 EX 600");
    redis.run::<()>("DEL ban:10.1.2.3/16");
    redis.run::<()>("SET ban:10.4.0.0/16 1");
    wait_for_verdict("10.4.0.1", -1);
    assert_eq!(verdict("10.1.255.1"), -1);
    redis.run::<()>("DEL ban:10.1.0.0/16 white_list:10.2.0.0/16");
    wait_for_verdict("10.1.255.1", 1);
    wait_for_verdict("10.2.255.1", 1);
    wait_until("a line about it", || {
        node.log().contains("unban 10.1.0.0/16")
    });
    redis.run::<()>("FLUSHALL");
    wait_for_verdict("10.4.0.1", 1);
}

#[test]
fn a_key_of_one_ipv6_address_bans_that_address_alone() {
    isolate();
    let redis = Redis::start();
    let node = keys::node_with_ipv6();
    redis.run::<()>("SET ban:2001:DB8:5:0::9 1 EX 600");
    wait_for_verdict("2001:db8:5::9", -1);
    assert_eq!(verdict("2001:db8:5::8"), 1);
    let known = node.kamcmd(&["sec.explain", "2001:db8:5::9"]).unwrap();
    assert!(known.contains("network: 2001:db8:5::9"), "{known}");
    node.kamcmd(&["sec.unban", "2001:db8:5::9"]).unwrap();
    wait_for_verdict("2001:db8:5::9", 1);
    wait_until("the key to go", || !is_there(&redis, "ban:2001:DB8:5:0::9"));
    // Whoever frees the source frees the address, too.
    redis.run::<()>("SET ban:2001:db8:5::9 1 EX 600");
    wait_for_verdict("2001:db8:5::9", -1);
    redis.run::<()>("SET white_list:2001:db8:5::1 1 EX 600");
    wait_for_verdict("2001:db8:5::9", 2);
    wait_until("the key to go", || !is_there(&redis, "ban:2001:db8:5::9"));
}

#[test]
fn networks_that_are_too_large_are_named_with_the_reason() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>("SET ban:0.0.0.0/0 1");
    redis.run::<()>("SET ban:10.0.0.0/15 1 EX 60");
    redis.run::<()>("SET white_list:8.0.0.0/7 1 EX 60");
    redis.run::<()>("SET sec:revoked:10.0.0.0/16 1 EX 60");
    redis.run::<()>("SET ban:2001::/31 1");
    redis.run::<()>("SET ban:10.6.0.0/16 1 EX 60");
    wait_for_verdict("10.6.0.1", -1);
    let status = node.kamcmd(&["sec.status"]).unwrap();
    for expected in [
        "redis_garbage: 5",
        "ban:0.0.0.0/0 is shorter than ban_min_prefix 16/32 allows",
        "white_list:8.0.0.0/7 is shorter than whitelist_min_prefix 8/19 allows",
        "sec:revoked:10.0.0.0/16 is a network, and a cool-down is of one source",
    ] {
        assert!(status.contains(expected), "{expected} in {status}");
    }
    assert_eq!((verdict("10.0.0.1"), verdict("8.8.8.8")), (1, 1));
}

#[test]
fn networks_end_on_time_and_follow_whatever_redis_becomes() {
    isolate();
    let mut redis = Redis::start();
    let node = node();
    redis.run::<()>("SET ban:10.1.0.0/16 1 PX 2500");
    redis.run::<()>("SET white_list:10.2.0.0/16 1 PX 2500");
    redis.run::<()>("SET ban:10.3.0.0/16 1 EX 600");
    wait_for_verdict("10.1.0.1", -1);
    wait_for_verdict("10.2.0.1", 2);
    wait_for_verdict("10.3.0.1", -1);
    redis.kill();
    wait_for_verdict("10.1.0.1", 1);
    wait_for_verdict("10.2.0.1", 1);
    assert_eq!(verdict("10.3.0.1"), -1, "it lasts longer");
    redis.restart();
    wait_for_verdict("10.3.0.1", 1);

    // The connection is killed and keys change at once.
    redis.run::<()>("SET ban:10.4.0.0/16 1 EX 600");
    wait_for_verdict("10.4.0.1", -1);
    let mut pipe = redis::pipe();
    let kill = pipe.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal");
    kill.arg("SKIPME").arg("yes");
    pipe.cmd("DEL").arg("ban:10.4.0.0/16");
    pipe.cmd("SET").arg("white_list:10.5.0.0/16").arg(1);
    pipe.exec(&mut redis.connection()).unwrap();
    wait_for_verdict("10.4.0.1", 1);
    wait_for_verdict("10.5.0.1", 2);
    wait_until("the link", || node.stat("redis_up") == 1);
}

#[test]
fn a_whitelisted_network_cancels_the_bans_inside() {
    isolate();
    let redis = Redis::start();
    let node = node();
    flood(CUSTOMER);
    redis.run::<()>("SET ban:198.51.100.128/25 1 EX 600");
    redis.run::<()>("SET ban:198.52.0.0/16 1 EX 600");
    wait_for_verdict("198.51.100.129", -1);
    wait_for_verdict("198.52.0.1", -1);
    wait_until("the ban in Redis", || {
        is_there(&redis, &format!("ban:{CUSTOMER}"))
    });
    redis.run::<()>("SET white_list:198.51.0.0/16 1 EX 600");
    wait_for_verdict(CUSTOMER, 2);
    wait_for_verdict("198.51.100.129", 2);
    wait_until("the keys to go", || {
        !is_there(&redis, &format!("ban:{CUSTOMER}")) && !is_there(&redis, "ban:198.51.100.128/25")
    });
    assert_eq!((verdict("198.52.0.1"), node.stat("active_bans")), (-1, 1));
    redis.run::<()>("DEL white_list:198.51.0.0/16");
    wait_for_verdict(CUSTOMER, 1);
}

#[test]
fn orders_reach_redis_the_other_node_and_the_history() {
    isolate();
    let redis = Redis::start();
    let a = node();
    let b = node_b();
    a.kamcmd(&["sec.ban", "10.7.0.0/16", "600", "toll fraud"])
        .unwrap();
    let on_b = |source: &str| Client::udp_to(source, NODE_B).ask(&check()).rc();
    wait_until("node b to ban too", || on_b("10.7.1.1") == -1);
    let value = redis.get("ban:10.7.0.0/16").unwrap();
    let value: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(
        (&value["reason"], &value["count"]),
        (&"toll fraud".into(), &1.into())
    );
    let ttl: i64 = redis.run("TTL ban:10.7.0.0/16");
    assert!((590..=600).contains(&ttl), "{ttl}");
    let bans = a.kamcmd(&["sec.bans"]).unwrap();
    assert!(
        bans.contains("origin: operator"),
        "what it wrote is still its own: {bans}"
    );

    b.kamcmd(&["sec.unban", "10.7.0.0/16"]).unwrap();
    wait_for_verdict("10.7.1.1", 1);
    assert!(!is_there(&redis, "ban:10.7.0.0/16"));
    let mut script = Client::udp("198.51.100.200");
    assert_eq!(script.call("sec_whitelist_add", &["10.8.0.0/16", "600"]), 1);
    wait_until("node b to whitelist too", || on_b("10.8.0.1") == 2);
    b.kamcmd(&["sec.whitelist_remove", "10.8.0.0/16"]).unwrap();
    wait_for_verdict("10.8.0.1", 1);
    wait_until("the key to go", || {
        !is_there(&redis, "white_list:10.8.0.0/16")
    });
    wait_until("all to be written", || {
        a.stat("redis_up") == 1 && a.status("redis_unwritten") == "0"
    });

    type Entry = (String, std::collections::HashMap<String, String>);
    let entries: Vec<Entry> = redis.run("XRANGE sec:events - +");
    let entries = entries.iter().map(|(_, entry)| {
        let field = |name: &str| entry[name].clone();
        [
            field("event"),
            field("ip"),
            field("reason"),
            field("by"),
            field("seconds"),
        ]
    });
    let expected = [
        ["ban", "10.7.0.0/16", "toll fraud", "operator", "600"],
        ["unban", "10.7.0.0/16", "toll fraud", "operator", "0"],
    ];
    assert_eq!(entries.collect::<Vec<_>>(), expected);
}

#[test]
fn orders_of_an_outage_are_written_later_even_by_another_agent() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>("SET ban:10.1.0.0/16 1");
    redis.run::<()>("SET white_list:10.2.0.0/16 1");
    redis.run::<()>("SET ban:10.9.0.0/16 1");
    wait_for_verdict("10.9.0.1", -1);
    redis.signal(Signal::SIGSTOP);
    wait_until("the hang to be noticed", || node.stat("redis_up") == 0);
    node.kamcmd(&["sec.unban", "10.1.0.0/16"]).unwrap();
    node.kamcmd(&["sec.whitelist_remove", "10.2.0.0/16"])
        .unwrap();
    node.kamcmd(&["sec.ban", "10.3.0.0/16", "600"]).unwrap();
    node.kamcmd(&["sec.whitelist_add", "10.4.0.0/16", "600"])
        .unwrap();
    wait_for_verdict("10.1.0.1", 1);
    wait_for_verdict("10.2.0.1", 1);
    wait_for_verdict("10.3.0.1", -1);
    wait_for_verdict("10.4.0.1", 2);
    let first = node.agent();
    node.signal(first, Signal::SIGKILL);
    wait_until("another agent", || node.agent() != first);
    redis.signal(Signal::SIGCONT);
    wait_until("Redis to be as this node says", || {
        let there = |key| is_there(&redis, key);
        !there("ban:10.1.0.0/16")
            && !there("white_list:10.2.0.0/16")
            && there("ban:10.3.0.0/16")
            && there("white_list:10.4.0.0/16")
    });
    assert_eq!((verdict("10.1.0.1"), verdict("10.2.0.1")), (1, 1));
    assert_eq!((verdict("10.3.0.1"), verdict("10.4.0.1")), (-1, 2));
    assert_eq!(verdict("10.9.0.1"), -1);
    wait_until("nothing to be left", || {
        node.status("redis_unwritten") == "0"
    });
}

#[test]
fn a_node_that_was_cut_off_deletes_no_newer_ban_and_resurrects_nothing() {
    isolate();
    let redis = Redis::start();
    let relay = Relay::start(6380, 6379);
    let a = node();
    let b = Config::new()
        .at(NODE_B)
        .param("redis_url", "redis://127.0.0.1:6380");
    let b = Kamailio::start(b);
    wait_for_link(&b);
    let on_b = |source: &str| Client::udp_to(source, NODE_B).ask(&check()).rc();
    for (network, source) in [("10.1.0.0/16", "10.1.0.1"), ("10.2.0.0/16", "10.2.0.1")] {
        a.kamcmd(&["sec.ban", network, "600", "first"]).unwrap();
        wait_until("node b to ban too", || on_b(source) == -1);
    }
    b.kamcmd(&["sec.ban", "10.3.0.0/16", "600"]).unwrap();
    wait_for_verdict("10.3.0.1", -1);

    relay.set(Line::Cut);
    wait_until("node b to be cut off", || b.stat("redis_up") == 0);
    b.kamcmd(&["sec.unban", "10.1.0.0/16"]).unwrap();
    b.kamcmd(&["sec.unban", "10.2.0.0/16"]).unwrap();
    wait_until("node b to unban", || {
        on_b("10.1.0.1") == 1 && on_b("10.2.0.1") == 1
    });
    // Meanwhile the fleet bans one of them anew, and lifts what node b had banned.
    let past = redis.run::<(u64, u64)>("TIME");
    wait_until("the clock to move on", || {
        redis.run::<(u64, u64)>("TIME").0 > past.0
    });
    a.kamcmd(&["sec.unban", "10.1.0.0/16"]).unwrap();
    a.kamcmd(&["sec.ban", "10.1.0.0/16", "600", "second"])
        .unwrap();
    a.kamcmd(&["sec.unban", "10.3.0.0/16"]).unwrap();
    wait_until("the fleet to know", || {
        let value = redis.get("ban:10.1.0.0/16").unwrap_or_default();
        value.contains("second") && !is_there(&redis, "ban:10.3.0.0/16")
    });
    assert_eq!(on_b("10.3.0.1"), -1, "it cannot know yet");

    relay.set(Line::Open);
    wait_for_link(&b);
    wait_until("the older ban to be deleted", || {
        !is_there(&redis, "ban:10.2.0.0/16")
    });
    wait_for_verdict("10.2.0.1", 1);
    wait_until("node b to follow", || {
        on_b("10.1.0.1") == -1 && on_b("10.3.0.1") == 1
    });
    assert!(redis.get("ban:10.1.0.0/16").unwrap().contains("second"));
    assert!(
        !is_there(&redis, "ban:10.3.0.0/16"),
        "nothing is resurrected"
    );
}

#[test]
fn shadow_mode_keeps_orders_about_networks_to_itself() {
    isolate();
    let redis = Redis::start();
    let config = Config::new()
        .param("redis_url", URL)
        .param("mode", "shadow");
    let node = Kamailio::start(config);
    wait_for_link(&node);
    node.kamcmd(&["sec.ban", "10.1.0.0/16", "600"]).unwrap();
    node.kamcmd(&["sec.whitelist_add", "10.2.0.0/16", "600"])
        .unwrap();
    wait_until("both to hold", || {
        node.stat("active_bans") == 1 && node.stat("active_whitelist") == 1
    });
    // Asked twice, the agent has had its time to write.
    redis.run::<()>("SET ban:10.3.0.0/16 1");
    wait_until("a key to arrive", || node.stat("active_bans") == 2);
    assert_eq!(redis.run::<i64>("DBSIZE"), 1);
    node.kamcmd(&["sec.mode", "enforce"]).unwrap();
    wait_until("what holds to be written", || {
        is_there(&redis, "white_list:10.2.0.0/16")
    });
    assert_eq!(
        (verdict("10.1.0.1"), is_there(&redis, "ban:10.1.0.0/16")),
        (1, false)
    );
}

#[test]
fn many_keys_cost_few_publications() {
    isolate();
    let redis = Redis::start();
    const KEYS: u32 = 30_000;
    let put = |from: u32| {
        let mut pipe = redis::pipe();
        for number in from..from + KEYS {
            let [_, a, b, c] = (number << 3).to_be_bytes();
            pipe.cmd("SET")
                .arg(format!("ban:10.{a}.{b}.{c}/29"))
                .arg(1)
                .ignore();
        }
        pipe.exec(&mut redis.connection()).unwrap();
    };
    put(0);
    let config = Config::new()
        .param("redis_url", URL)
        .param("snapshot_size", 32);
    let node = Kamailio::start(config);
    wait_for_link(&node);
    let count = |wanted: u32| {
        wait_until("the networks to be there", || {
            node.stat("active_bans") == i64::from(wanted)
        });
    };
    count(KEYS);
    put(KEYS);
    count(2 * KEYS);
    let published: u32 = node.status("lists_published").parse().unwrap();
    assert!(published < KEYS / 30, "{published} publications");
    assert_eq!((verdict("10.0.0.1"), verdict("10.7.0.1")), (-1, -1));
}
