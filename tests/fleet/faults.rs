//! Everything that Redis can do to a node: during each fault every call is answered, and afterwards
//! both sides agree. What this node changed meanwhile is written; everything else follows Redis, absence
//! included.

use super::*;
use host::{Line, Relay};

/// Where a node is led to a server through a relay.
const RELAY: u16 = 6390;

/// A node behind a relay.
fn node_behind() -> (Relay, Kamailio) {
    let relay = Relay::start(RELAY, 6379);
    let url = format!("redis://127.0.0.1:{RELAY}");
    let node = Kamailio::start(Config::new().param("redis_url", &*url));
    wait_for_link(&node);
    (relay, node)
}

fn wait_for_problem(node: &Kamailio, problem: &str) {
    wait_until(problem, || node.status("redis_problem").contains(problem));
}

/// Puts so many bans of addresses, and of networks, into Redis, in steps of a thousand.
fn put_bans(connection: &mut redis::Connection, from: u32, count: u32) {
    for start in (from..from + count).step_by(1000) {
        let mut pipe = redis::pipe();
        for number in start..(start + 1000).min(from + count) {
            let [_, a, b, c] = number.to_be_bytes();
            let key = match number % 4 {
                0 => format!("ban:172.{a}.{b}.{}/30", c & !3),
                _ => format!("ban:10.{a}.{b}.{c}"),
            };
            pipe.cmd("SET").arg(key).arg(1).arg("EX").arg(600).ignore();
        }
        if pipe.exec(connection).is_err() {
            return; // it was killed meanwhile
        }
    }
}

#[test]
fn a_full_server_gets_what_it_missed_when_there_is_room() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>("SET ban:10.1.0.0/16 1");
    wait_for_verdict("10.1.0.1", -1);
    redis.run::<()>("CONFIG SET maxmemory 1");
    let callers = Callers::start();
    flood(CUSTOMER);
    node.kamcmd(&["sec.ban", "10.2.0.0/16", "600"]).unwrap();
    node.kamcmd(&["sec.whitelist_add", "10.3.0.1", "600"])
        .unwrap();
    wait_for_problem(
        &node,
        "Redis does not take changes: OOM command not allowed",
    );
    // It can still be read, and keys can be removed.
    redis.run::<()>("DEL ban:10.1.0.0/16");
    wait_for_verdict("10.1.0.1", 1);
    assert_eq!(
        (node.stat("redis_up"), node.stat("redis_reconnects")),
        (1, 0)
    );
    assert_eq!(redis.run::<i64>("DBSIZE"), 0);
    redis.run::<()>("CONFIG SET maxmemory 0");
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert_eq!(
        (verdict(CUSTOMER), verdict("10.2.0.1"), verdict("10.3.0.1")),
        (-1, -1, 2)
    );
    assert_eq!(
        redis.run::<i64>("XLEN sec:events"),
        2,
        "the history is whole"
    );
    wait_until("the problem to be over", || {
        node.status("redis_problem").is_empty()
    });
}

#[test]
fn a_replica_that_takes_no_changes_is_followed_and_told_when_it_does() {
    isolate();
    let master = Redis::at(6380);
    let replica = Redis::with(&["--replicaof", "127.0.0.1", "6380"]);
    wait_until("the replica to follow", || {
        replica
            .run::<String>("INFO replication")
            .contains("master_link_status:up")
    });
    let node = node();
    let callers = Callers::start();
    // One with a date: it is certainly older than what is ordered later.
    let ban = r#"{"reason":"scanner","at":1}"#;
    master.ask::<()>(redis::cmd("SET").arg("ban:10.1.0.0/16").arg(ban));
    master.run::<()>("SET white_list:10.3.0.1 1");
    wait_for_verdict("10.1.0.1", -1);
    flood(CUSTOMER);
    node.kamcmd(&["sec.unban", "10.1.0.0/16"]).unwrap();
    wait_for_verdict("10.1.0.1", 1);
    wait_for_problem(
        &node,
        "Redis does not take changes: READONLY You can't write",
    );
    assert_eq!(
        (node.stat("redis_up"), node.stat("redis_reconnects")),
        (1, 0)
    );
    assert_eq!(
        (verdict(CUSTOMER), verdict("10.1.0.1"), verdict("10.3.0.1")),
        (-1, 1, 2)
    );
    replica.run::<()>("REPLICAOF NO ONE");
    wait_until_they_agree(&replica, &node);
    callers.stop();
    assert_eq!(
        (verdict(CUSTOMER), verdict("10.1.0.1"), verdict("10.3.0.1")),
        (-1, 1, 2)
    );
}

#[test]
fn a_failover_to_an_empty_server_keeps_only_what_it_does_not_know_yet() {
    isolate();
    let mut first = Redis::start();
    let second = Redis::at(6381);
    let (relay, node) = node_behind();
    put_bans(&mut first.connection(), 0, 2000);
    node.kamcmd(&["sec.ban", "10.200.0.0/16", "600"]).unwrap();
    wait_until_they_agree(&first, &node);
    let callers = Callers::start();
    relay.set(Line::Cut);
    first.kill();
    wait_until("the loss to be noticed", || node.stat("redis_up") == 0);
    flood(CUSTOMER);
    node.kamcmd(&["sec.ban", "10.201.0.0/16", "600"]).unwrap();
    assert_eq!(verdict("10.200.0.1"), -1, "what was known holds on");
    relay.lead_to(6381);
    relay.set(Line::Open);
    wait_for_link(&node);
    wait_until_they_agree(&second, &node);
    callers.stop();
    let bans: BTreeSet<String> = [CUSTOMER, "10.201.0.0/16"].map(str::to_owned).into();
    assert_eq!(listed(&node, "sec.bans"), bans);
}

#[test]
fn a_password_that_was_changed_is_said_and_costs_nothing() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let ban = r#"{"reason":"scanner","at":1}"#;
    redis.ask::<()>(redis::cmd("SET").arg("ban:10.1.0.1").arg(ban));
    wait_for_verdict("10.1.0.1", -1);
    let callers = Callers::start();
    let mut admin = redis.connection();
    let mut ask = |words: &[&str]| {
        redis::cmd(words[0])
            .arg(&words[1..])
            .exec(&mut admin)
            .unwrap()
    };
    ask(&["CONFIG", "SET", "requirepass", "other"]);
    ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    wait_for_problem(&node, "wants a password");
    flood(CUSTOMER);
    node.kamcmd(&["sec.unban", "10.1.0.1"]).unwrap();
    ask(&["CONFIG", "SET", "requirepass", ""]);
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert_eq!((verdict(CUSTOMER), verdict("10.1.0.1")), (-1, 1));
}

#[test]
fn a_node_that_read_too_slowly_is_thrown_out_and_comes_back() {
    isolate();
    let redis = Redis::start();
    redis.ask::<()>(
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("client-output-buffer-limit")
            .arg("normal 2097152 0 0"),
    );
    let node = node();
    let callers = Callers::start();
    let slow = node.agent();
    node.signal(slow, Signal::SIGSTOP);
    let mut connection = redis.connection();
    let mut from = 0;
    wait_until("Redis to throw it out", || {
        put_bans(&mut connection, from, 20_000);
        from = (from + 20_000) % 60_000;
        // The node is the only client that has keys tracked.
        let clients: String = redis.run("CLIENT LIST");
        !clients.contains("flags=tB")
    });
    node.signal(slow, Signal::SIGCONT);
    // The rest of the test is about agreement, not about numbers.
    redis.run::<()>("FLUSHALL");
    put_bans(&mut connection, 0, 2000);
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert!(node.stat("redis_reconnects") >= 1);
}

#[test]
fn thousands_of_changes_a_second_end_in_agreement() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let callers = Callers::start();
    let mut connection = redis.connection();
    for round in 0..6 {
        put_bans(&mut connection, round * 500, 3000);
        match round {
            2 => redis.run::<()>("FLUSHALL"),
            _ => {
                let mut gone = redis::pipe();
                for number in (0..3000_u32).filter(|number| number % 7 == round) {
                    let [_, a, b, c] = number.to_be_bytes();
                    gone.cmd("DEL").arg(format!("ban:10.{a}.{b}.{c}")).ignore();
                }
                gone.exec(&mut connection).unwrap();
            }
        }
        flood(&format!("198.51.100.{}", 150 + round));
        node.kamcmd(&["sec.ban", &format!("10.{}.0.0/16", 150 + round), "600"])
            .unwrap();
    }
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert!(listed(&node, "sec.bans").len() > 2000);
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_changes_comes_back_empty() {
    isolate();
    let mut redis = Redis::start();
    let node = node();
    let callers = Callers::start();
    for _ in 0..3 {
        let mut connection = redis.connection();
        let noise = thread::spawn(move || put_bans(&mut connection, 0, 200_000));
        wait_until("the changes to arrive", || node.stat("active_bans") > 500);
        redis.kill();
        noise.join().unwrap();
        wait_until("the loss to be noticed", || node.stat("redis_up") == 0);
        redis.restart();
        wait_for_link(&node);
        wait_until_they_agree(&redis, &node);
    }
    callers.stop();
    assert!(listed(&node, "sec.bans").is_empty());
}

#[test]
fn a_reading_that_breaks_off_removes_nothing() {
    isolate();
    let redis = Redis::start();
    let (relay, node) = node_behind();
    put_bans(&mut redis.connection(), 0, 4000);
    wait_until_they_agree(&redis, &node);
    let callers = Callers::start();
    for bytes in [1, 100, 1000, 10_000, 50_000] {
        relay.set(Line::Cut);
        wait_until("the loss to be noticed", || node.stat("redis_up") == 0);
        relay.set(Line::Short(bytes));
        let before = relay.connections();
        wait_until("two attempts", || relay.connections() >= before + 2);
        assert_eq!(
            (verdict("10.0.0.1"), verdict("172.0.0.1")),
            (-1, -1),
            "after {bytes} bytes"
        );
        assert_eq!(node.stat("redis_up"), 0);
    }
    redis.run::<()>("DEL ban:10.0.0.1");
    relay.set(Line::Open);
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert_eq!(verdict("10.0.0.1"), 1);
}

#[test]
fn a_slow_server_is_followed_and_one_that_says_nothing_is_left() {
    isolate();
    let redis = Redis::start();
    let (relay, node) = node_behind();
    let callers = Callers::start();
    for (number, delay) in (1..).zip([20, 100, 500]) {
        relay.set(Line::Slow(Duration::from_millis(delay)));
        redis.run::<()>(&format!("SET ban:10.1.0.{number} 1"));
        wait_for_verdict(&format!("10.1.0.{number}"), -1);
        node.kamcmd(&["sec.ban", &format!("10.2.0.{number}"), "600"])
            .unwrap();
        wait_until_they_agree(&redis, &node);
    }
    assert_eq!(node.stat("redis_reconnects"), 0);
    relay.set(Line::Held);
    wait_until("the silence to be noticed", || node.stat("redis_up") == 0);
    node.kamcmd(&["sec.unban", "10.1.0.1"]).unwrap();
    relay.set(Line::Open);
    wait_until_they_agree(&redis, &node);
    callers.stop();
    assert_eq!(verdict("10.1.0.1"), 1);
}

#[test]
fn what_the_fleet_decided_meanwhile_overrules_a_rule_of_this_node() {
    isolate();
    let redis = Redis::start();
    let (relay, node) = node_behind();
    relay.set(Line::Cut);
    wait_until("the loss to be noticed", || node.stat("redis_up") == 0);
    flood(CUSTOMER);
    redis.run::<()>(&format!("SET ban:{CUSTOMER} 1 EX 9000"));
    relay.set(Line::Open);
    wait_until("the fleet's ban to be taken over", || {
        let ttl: i64 = Client::udp(CUSTOMER)
            .ask(&check())
            .variable("ban_ttl")
            .parse()
            .unwrap();
        ttl > 8000
    });
    wait_until_they_agree(&redis, &node);
}
