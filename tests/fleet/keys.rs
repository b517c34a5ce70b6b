//! Keys that a portal or an operator writes: what they do, and those that make no sense.

use super::*;
use serde_json::{Value, json};

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

pub fn node_with_ipv6() -> Kamailio {
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
    assert!(status.contains("is not an address or a prefix") && status.contains("is not a string"));
    // A time to live that is over ends a key, and so does one below zero.
    for (key, source) in [
        ("ban:198.51.100.91", "198.51.100.91"),
        ("ban:198.51.100.92", "198.51.100.92"),
    ] {
        redis.run::<()>(&format!("PEXPIRE {key} -1"));
        wait_for_verdict(source, 1);
    }
    // Without one it does not end, and an enormous one does not end soon.
    redis.run::<()>("SET white_list:198.51.100.93 1");
    redis.run::<()>("SET white_list:198.51.100.94 1 EX 9000000000000");
    wait_for_verdict("198.51.100.94", 2);
    let listed = node.kamcmd(&["sec.whitelist"]).unwrap();
    assert!(listed.contains("ttl: -1"), "{listed}");
    assert_eq!(verdict("198.51.100.93"), 2);
}

#[test]
fn a_listing_says_who_made_what_and_since_when() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let hour_ago = redis.run::<(u64, u64)>("TIME").0 - 3600;
    let value = json!({"reason": "fraud", "node": "edge-7", "at": hour_ago, "count": 3});
    for key in ["ban:198.51.100.96", "ban:10.9.0.0/16"] {
        redis.ask::<()>(
            redis::cmd("SET")
                .arg(key)
                .arg(value.to_string())
                .arg("EX")
                .arg(600),
        );
    }
    redis.run::<()>("SET ban:198.51.100.97 by-hand");
    redis.run::<()>("SET white_list:198.51.100.98 1 EX 600");
    node.kamcmd(&["sec.ban", "198.51.100.99", "60"]).unwrap();
    wait_for_verdict("198.51.100.98", 2);
    let rows = |command: &str| {
        let rows = node.jsonrpc(command, json!([])).unwrap();
        rows.as_array().expect("a list").clone()
    };
    wait_until("all bans", || rows("sec.bans").len() == 4);
    let bans = rows("sec.bans");
    let row = |rows: &[Value], ip: &str| {
        let row = rows.iter().find(|row| row["ip"] == ip);
        row.unwrap_or_else(|| panic!("{ip} in {rows:?}")).clone()
    };
    for ip in ["198.51.100.96", "10.9.0.0/16"] {
        let ban = row(&bans, ip);
        assert_eq!((&ban["node"], &ban["count"]), (&"edge-7".into(), &3.into()));
        let ttl = ban["until"].as_i64().unwrap() - redis.run::<(i64, i64)>("TIME").0;
        assert!((590..=600).contains(&ttl), "{ban}");
    }
    let by_hand = row(&bans, "198.51.100.97");
    assert_eq!(
        (&by_hand["node"], &by_hand["until"]),
        (&"".into(), &(-1).into())
    );
    let own = row(&bans, "198.51.100.99");
    assert_eq!(
        (&own["node"], &own["count"]),
        (&name.trim().into(), &1.into())
    );
    let known = node.kamcmd(&["sec.explain", "198.51.100.96"]).unwrap();
    assert!(known.contains("node: edge-7"), "{known}");

    let entry = row(&rows("sec.whitelist"), "198.51.100.98");
    let [since, until] = ["since", "until"].map(|name| entry[name].as_i64().unwrap());
    assert!((595..=605).contains(&(until - since)), "{entry}");
}

#[test]
fn the_largest_page_fits_into_one_reply() {
    isolate();
    let redis = Redis::start();
    let node = node();
    let value = json!({
        "reason": "r".repeat(60), "node": "n".repeat(60), "at": 1.0, "count": 255
    });
    for number in 0..250 {
        let key = format!("ban:2001:db8:aaaa:{number:x}:aaaa:bbbb:cccc:dddd");
        redis.ask::<()>(redis::cmd("SET").arg(&key).arg(value.to_string()));
    }
    let page = || node.kamcmd(&["sec.bans", "0", "200"]);
    wait_until("all bans", || {
        page().is_ok_and(|page| page.matches("ip: ").count() == 200)
    });
    let rows = node.jsonrpc("sec.bans", json!([0, 200])).unwrap();
    assert_eq!(rows.as_array().map(Vec::len), Some(200));
}
