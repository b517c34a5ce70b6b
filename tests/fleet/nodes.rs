//! Two nodes and one Redis: what one does the other knows, and what the fleet is told.

use super::*;

#[test]
fn two_nodes_share_bans_entries_and_cool_downs() {
    isolate();
    let redis = Redis::start();
    let ceiling = "limit=50;window=1m";
    let a = Config::new()
        .param("redis_url", URL)
        .param("whitelist_rate", ceiling);
    let a = Kamailio::start(a);
    wait_for_link(&a);
    let b = node_b();
    flood(CUSTOMER);
    let on_b = |source: &str| Client::udp_to(source, NODE_B).ask(&check()).rc();
    wait_until("node b to ban too", || on_b(CUSTOMER) == -1);
    b.kamcmd(&["sec.unban", CUSTOMER]).unwrap();
    wait_for_verdict(CUSTOMER, 1);

    b.kamcmd(&["sec.whitelist_add", "198.51.100.60", "600"])
        .unwrap();
    wait_for_verdict("198.51.100.60", 2);
    // Its rate explodes at node a: it loses the entry everywhere, and cannot have it again.
    let codes = Client::udp("198.51.100.60").burst(80, &check());
    // One was spent on seeing that the entry had arrived.
    assert_eq!(
        codes.iter().filter(|code| **code == 2).count(),
        49,
        "{codes:?}"
    );
    assert_eq!(codes[49], -2);
    wait_until("node b to know", || on_b("198.51.100.60") == -1);
    wait_until("the key to go", || {
        redis.get("white_list:198.51.100.60").is_none()
    });
    assert!(redis.get("sec:revoked:198.51.100.60").is_some());
    let refused = b
        .kamcmd(&["sec.whitelist_add", "198.51.100.60"])
        .unwrap_err();
    assert!(
        refused.code == 400 && refused.message.contains("again in"),
        "{refused:?}"
    );
    redis.run::<()>("SET white_list:198.51.100.60 1 EX 3600");
    wait_until("the nodes to delete it", || {
        redis.get("white_list:198.51.100.60").is_none()
    });
    assert_eq!(verdict("198.51.100.60"), -1);
}

#[test]
fn a_queued_unban_never_deletes_a_newer_ban() {
    isolate();
    let redis = Redis::start();
    let a = node();
    let b = node_b();
    for source in [CUSTOMER, "198.51.100.70"] {
        a.kamcmd(&["sec.ban", source, "600", "first"]).unwrap();
        let on_b = || Client::udp_to(source, NODE_B).ask(&check()).rc();
        wait_until("node b to ban too", || on_b() == -1);
    }
    // Node b is cut off, and unbans both; one is banned anew meanwhile.
    let cut_off = b.agent();
    b.signal(cut_off, Signal::SIGSTOP);
    b.kamcmd(&["sec.unban", CUSTOMER]).unwrap();
    b.kamcmd(&["sec.unban", "198.51.100.70"]).unwrap();
    let past = redis.run::<(u64, u64)>("TIME");
    wait_until("the clock to move on", || {
        redis.run::<(u64, u64)>("TIME").0 > past.0
    });
    a.kamcmd(&["sec.ban", CUSTOMER, "600", "second"]).unwrap();
    wait_until("the second ban", || {
        redis
            .get(&format!("ban:{CUSTOMER}"))
            .is_some_and(|value| value.contains("second"))
    });
    b.signal(cut_off, Signal::SIGCONT);
    wait_until("the older ban to be deleted", || {
        redis.get("ban:198.51.100.70").is_none()
    });
    wait_for_verdict("198.51.100.70", 1);
    wait_until("node b to follow", || {
        Client::udp_to(CUSTOMER, NODE_B)
            .ask(&check())
            .variable("reason")
            == "second"
    });
    assert!(
        redis
            .get(&format!("ban:{CUSTOMER}"))
            .unwrap()
            .contains("second")
    );
}

#[test]
fn the_history_says_who_did_what() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let scan = check().header("User-Agent", "friendly-scanner");
    Client::udp(CUSTOMER).burst(40, &scan);
    node.kamcmd(&["sec.unban", CUSTOMER]).unwrap();
    let length = || redis.run::<i64>("XLEN sec:events");
    wait_until("two entries", || length() == 2);
    type Entry = (String, std::collections::HashMap<String, String>);
    let entries: Vec<Entry> = redis.run("XRANGE sec:events - +");
    let fields: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|(_, entry)| {
            (
                entry["event"].as_str(),
                entry["by"].as_str(),
                entry["reason"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("ban", "rate", "rate:burst"),
            ("unban", "operator", "rate:burst")
        ]
    );
    let ban = &entries[0].1;
    assert_eq!(
        (ban["ip"].as_str(), ban["seconds"].as_str()),
        (CUSTOMER, "300")
    );
    assert_eq!(
        (ban["user"].as_str(), ban["agent"].as_str()),
        ("tester", "friendly-scanner")
    );
}

#[test]
fn shadow_mode_writes_nothing_to_redis() {
    isolate();
    let redis = Redis::start();
    let config = Config::new()
        .param("redis_url", URL)
        .param("mode", "shadow");
    let node = Kamailio::start(config);
    wait_for_link(&node);
    let codes = Client::udp(CUSTOMER).burst(40, &check());
    assert_eq!(codes, [1; 40], "nothing is denied");
    assert_eq!(node.stat("shadow_denied"), 10);
    wait_until("the shadow ban", || node.stat("active_bans") == 1);
    assert_eq!(redis.run::<i64>("DBSIZE"), 0);
    node.kamcmd(&["sec.mode", "enforce"]).unwrap();
    assert_eq!(verdict(CUSTOMER), 1, "the shadow ban is dropped");
}
