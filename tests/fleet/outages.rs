//! Redis comes late, goes, hangs, comes back empty; the agent dies: calls go on, and afterwards
//! both sides agree.

use super::*;

#[test]
fn bans_and_entries_end_on_time_without_redis() {
    isolate();
    let mut redis = Redis::start();
    let _node = node();
    redis.run::<()>(&format!("SET ban:{CUSTOMER} 1 PX 2500"));
    redis.run::<()>("SET white_list:198.51.100.21 1 PX 2500");
    wait_for_verdict(CUSTOMER, -1);
    wait_for_verdict("198.51.100.21", 2);
    redis.kill();
    wait_for_verdict(CUSTOMER, 1);
    wait_for_verdict("198.51.100.21", 1);
}

#[test]
fn redis_may_come_later_and_gets_what_happened_before() {
    isolate();
    let server = Kamailio::start(Config::new().param("redis_url", URL));
    // The fleet is not known yet: limited, not banned.
    let codes = Client::udp("198.51.100.30").burst(40, &check());
    assert_eq!(
        codes.iter().filter(|code| **code == -4).count(),
        10,
        "{codes:?}"
    );
    assert_eq!(
        server.kamcmd(&["sec.ban", CUSTOMER, "600"]).map(|_| ()),
        Ok(())
    );
    server
        .kamcmd(&["sec.whitelist_add", "198.51.100.31", "600"])
        .unwrap();
    assert_eq!(server.stat("redis_up"), 0);
    let redis = Redis::start();
    wait_for_link(&server);
    wait_until("the ban in Redis", || {
        redis.get(&format!("ban:{CUSTOMER}")).is_some()
    });
    wait_until("the entry in Redis", || {
        redis.get("white_list:198.51.100.31").is_some()
    });
    assert_eq!(verdict(CUSTOMER), -1);
    assert!(server.log().contains("no link to Redis"));
}

#[test]
fn what_was_removed_during_an_outage_stays_removed() {
    isolate();
    let mut redis = Redis::start();
    let node = node();
    redis.run::<()>(&format!("SET ban:{CUSTOMER} 1 EX 600"));
    redis.run::<()>("SET white_list:198.51.100.40 1 EX 600");
    wait_for_verdict(CUSTOMER, -1);
    wait_for_verdict("198.51.100.40", 2);
    // An empty server means that the fleet has nothing.
    redis.restart();
    wait_for_verdict(CUSTOMER, 1);
    wait_for_verdict("198.51.100.40", 1);
    wait_until("the link again", || node.stat("redis_reconnects") >= 1);
    assert_eq!(
        redis.run::<i64>("EXISTS ban:198.51.100.7 white_list:198.51.100.40"),
        0
    );
}

#[test]
fn a_lost_connection_is_made_again_and_nothing_is_missed() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>(&format!("SET ban:{CUSTOMER} 1 EX 600"));
    wait_for_verdict(CUSTOMER, -1);
    // The kill and the changes at once: the node has no time to see them as they happen.
    let mut pipe = redis::pipe();
    pipe.cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .arg("SKIPME")
        .arg("yes");
    pipe.cmd("DEL").arg(format!("ban:{CUSTOMER}"));
    pipe.cmd("SET")
        .arg("white_list:198.51.100.41")
        .arg(1)
        .arg("EX")
        .arg(60);
    pipe.exec(&mut redis.connection()).unwrap();
    wait_for_verdict(CUSTOMER, 1);
    wait_for_verdict("198.51.100.41", 2);
    wait_until("a reconnect to be counted", || {
        node.stat("redis_reconnects") == 1
    });
}

#[test]
fn a_hanging_redis_costs_no_request() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.signal(Signal::SIGSTOP);
    let mut client = Client::udp(CUSTOMER);
    assert_eq!(client.burst(20, &check()), [1; 20]);
    wait_until("the hang to be noticed", || node.stat("redis_up") == 0);
    flood("198.51.100.50");
    assert_eq!(verdict("198.51.100.50"), -1);
    redis.signal(Signal::SIGCONT);
    wait_until("the ban in Redis", || {
        redis.get("ban:198.51.100.50").is_some()
    });
    assert_eq!(
        node.stat("checks"),
        node.stat("allowed") + node.stat("denied")
    );
}

#[test]
fn a_killed_agent_is_replaced_and_loses_nothing() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let first = node.agent();
    node.signal(first, Signal::SIGKILL);
    node.kamcmd(&["sec.ban", CUSTOMER, "600"]).unwrap();
    assert_eq!(verdict("198.51.100.80"), 1, "calls go on");
    wait_until("the ban in Redis", || {
        redis.get(&format!("ban:{CUSTOMER}")).is_some()
    });
    assert_ne!(node.agent(), first);
    assert!(node.log().contains("was killed by signal 9"));
}
