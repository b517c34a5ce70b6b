//! The fleet's memory: real Kamailios and a real Redis. What a customer, an operator and another node
//! do there arrives here, and the other way round.
#![forbid(unsafe_code)]

mod host;

use host::{Client, Config, Kamailio, Redis, Request, isolate, wait_until};
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

fn verdict(source: &str) -> i64 {
    Client::udp(source).ask(&check()).rc()
}

fn wait_for_verdict(source: &str, expected: i64) {
    wait_until(&format!("{source} to get {expected}"), || {
        verdict(source) == expected
    });
}

fn agent(node: &Kamailio) -> i32 {
    let status = node.kamcmd(&["sec.status"]).unwrap();
    let pid = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("agent_pid: "));
    pid.and_then(|pid| pid.parse().ok())
        .expect("sec.status names the agent")
}

#[test]
fn a_banned_customer_frees_himself_from_the_portal() {
    isolate();
    let redis = Redis::start();
    let node = node();
    flood(CUSTOMER);
    let key = format!("ban:{CUSTOMER}");
    wait_until("the ban in Redis", || redis.get(&key).is_some());
    let value: serde_json::Value = serde_json::from_str(&redis.get(&key).unwrap()).unwrap();
    assert_eq!(value["reason"], "rate:burst");
    assert!(value["at"].as_f64().unwrap() > 1.7e9 && value["node"].is_string());
    let ttl: i64 = redis.run(&format!("TTL {key}"));
    assert!((290..=300).contains(&ttl), "{ttl}");

    redis.run::<()>(&format!("SET white_list:{CUSTOMER} 1 EX 3600"));
    wait_for_verdict(CUSTOMER, 2);
    wait_until("the ban's key to go", || redis.get(&key).is_none());
    assert!(node.kamcmd(&["sec.whitelist"]).unwrap().contains(CUSTOMER));
    redis.run::<()>(&format!("DEL white_list:{CUSTOMER}"));
    wait_for_verdict(CUSTOMER, 1);
}

#[test]
fn any_spelling_of_an_address_is_meant() {
    isolate();
    let redis = Redis::start();
    let _node = node_with_ipv6();
    for (key, source) in [
        ("white_list:::ffff:198.51.100.8", "198.51.100.8"),
        ("white_list:198.51.100.9/32", "198.51.100.9"),
        ("white_list:2001:DB8:7:0::5", "2001:db8:7::99"),
    ] {
        redis.run::<()>(&format!("SET {key} 1 EX 60"));
        wait_for_verdict(source, 2);
    }
    // Two addresses of one customer's prefix: the entry holds as long as one of them does.
    redis.run::<()>("SET white_list:2001:db8:7::6 1 EX 60");
    redis.run::<()>("DEL white_list:2001:DB8:7:0::5");
    redis.run::<()>("SET white_list:198.51.100.10 1 EX 60");
    wait_for_verdict("198.51.100.10", 2);
    assert_eq!(verdict("2001:db8:7::99"), 2);
    redis.run::<()>("DEL white_list:2001:db8:7::6");
    wait_for_verdict("2001:db8:7::99", 1);
}

fn node_with_ipv6() -> Kamailio {
    let config = Config::new()
        .param("redis_url", URL)
        .listen("udp:[2001:db8::10]:5060");
    let node = Kamailio::start(config);
    wait_for_link(&node);
    node
}

#[test]
fn an_operator_bans_and_unbans_by_key() {
    isolate();
    let redis = Redis::start();
    let node = node();
    redis.run::<()>(&format!("SET ban:{CUSTOMER} because EX 60"));
    wait_for_verdict(CUSTOMER, -1);
    let listed = node.kamcmd(&["sec.bans"]).unwrap();
    assert!(
        listed.contains("origin: redis") && listed.contains("reason: manual"),
        "{listed}"
    );
    redis.run::<()>(&format!("DEL ban:{CUSTOMER}"));
    wait_for_verdict(CUSTOMER, 1);
    wait_until("a line about it", || {
        node.log().contains(&format!("unban {CUSTOMER}"))
    });

    let value = r#"{"reason":"scanner","node":"b","at":1,"count":3}"#;
    redis.ask::<()>(redis::cmd("SET").arg("ban:198.51.100.20").arg(value));
    wait_for_verdict("198.51.100.20", -1);
    let answer = Client::udp("198.51.100.20").ask(&check());
    assert_eq!(answer.variable("reason"), "scanner");
    assert_eq!(answer.variable("ban_ttl"), "-1", "without an end");
    redis.run::<()>("FLUSHALL");
    wait_for_verdict("198.51.100.20", 1);
}

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

fn node_b() -> Kamailio {
    let b = Kamailio::start(Config::new().at(NODE_B).param("redis_url", URL));
    wait_for_link(&b);
    b
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
    let cut_off = agent(&b);
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
fn a_killed_agent_is_replaced_and_loses_nothing() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let first = agent(&node);
    node.signal(first, Signal::SIGKILL);
    node.kamcmd(&["sec.ban", CUSTOMER, "600"]).unwrap();
    assert_eq!(verdict("198.51.100.80"), 1, "calls go on");
    wait_until("the ban in Redis", || {
        redis.get(&format!("ban:{CUSTOMER}")).is_some()
    });
    assert_ne!(agent(&node), first);
    assert!(node.log().contains("was killed by signal 9"));
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

#[test]
fn keys_that_make_no_sense_are_counted_and_named() {
    isolate();
    let redis = Redis::start();
    let mut raw = redis::pipe();
    raw.cmd("SET").arg("white_list:").arg(1);
    raw.cmd("SET").arg("white_list:999.1.1.1").arg(1);
    raw.cmd("HSET").arg("ban:198.51.100.90").arg("a").arg("b");
    raw.cmd("SET").arg(b"ban:\xff\xfe".as_slice()).arg(1);
    raw.cmd("SET")
        .arg("ban:198.51.100.91")
        .arg(vec![b'x'; 10 << 20]);
    raw.cmd("SET")
        .arg("ban:198.51.100.92")
        .arg(1)
        .arg("PX")
        .arg(i64::MAX / 4);
    raw.exec(&mut redis.connection()).unwrap();
    let node = node();
    assert_eq!(verdict("198.51.100.90"), 1);
    assert_eq!(verdict("198.51.100.91"), -1, "any value is a ban");
    assert_eq!(verdict("198.51.100.92"), -1, "a very long one");
    let status = node.kamcmd(&["sec.status"]).unwrap();
    for expected in ["redis_garbage: 4", "white_list:999.1.1.1", "ban:\\xff\\xfe"] {
        assert!(status.contains(expected), "{expected} in {status}");
    }
}

#[test]
fn servers_that_will_not_do_are_refused_with_a_sentence() {
    isolate();
    for (options, sentence) in [
        (&["--requirepass", "secret"][..], "wants a password"),
        (&["--rename-command", "HELLO", ""][..], "Redis 6 or later"),
        (
            &[
                "--user",
                "default",
                "on",
                "nopass",
                "~*",
                "+@all",
                "-client|tracking",
            ][..],
            "may not do what is needed",
        ),
    ] {
        let _redis = Redis::with(options);
        let node = Kamailio::start(Config::new().param("redis_url", URL));
        wait_until(sentence, || node.log().contains(sentence));
        assert_eq!(verdict(CUSTOMER), 1, "calls go on");
        assert!(!node.log().contains("secret"));
        let status = node.kamcmd(&["sec.status"]).unwrap();
        assert!(
            status.contains("redis: down") && status.contains(sentence),
            "{status}"
        );
    }
}

#[test]
fn a_server_with_a_password_is_used_with_it() {
    isolate();
    let _redis = Redis::with(&["--requirepass", "secret"]);
    let url = "redis://:secret@127.0.0.1:6379/0";
    let node = Kamailio::start(Config::new().param("redis_url", url));
    wait_for_link(&node);
    assert!(!node.log().contains("secret"));
}

#[test]
fn what_is_no_redis_at_all_does_no_harm() {
    isolate();
    let listener = std::net::TcpListener::bind("127.0.0.1:6379").unwrap();
    let answers = std::thread::spawn(move || {
        let replies: [&[u8]; 4] = [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"$99999999999\r\n",
            b"%2\r\n+server\r\n",
            b"",
        ];
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut stream, reply).unwrap();
        }
    });
    let node = Kamailio::start(Config::new().param("redis_url", URL));
    answers.join().unwrap();
    assert_eq!(verdict(CUSTOMER), 1);
    assert!(node.log().contains("no link to Redis"));
    assert_eq!(node.stat("redis_up"), 0);
}
