//! Limits: what `sec_check` counts, for whom, and what it says when there is too much of it.

use super::{Client, Config, Request, THIRTY, check, flood, observer, server, start};

#[test]
fn of_a_burst_thirty_pass_the_next_is_banned_the_rest_denied() {
    let _server = server();
    let mut expected = vec![1; 30];
    expected.push(-2);
    expected.extend([-1; 9]);
    assert_eq!(flood("203.0.113.1", 40), expected);
    assert_eq!(flood("203.0.113.2", 1), [1], "a neighbour is not touched");
    let answer = Client::udp("203.0.113.1").ask(&check());
    assert_eq!(answer.rc(), -1);
    assert_eq!(answer.variable("verdict"), "-1");
    assert!(
        answer.variable("reason").contains("burst"),
        "{}",
        answer.text()
    );
    let seconds: i64 = answer.variable("ban_ttl").parse().expect("seconds");
    assert!((1..=300).contains(&seconds), "{seconds}");
}

#[test]
fn without_any_parameter_a_flood_is_banned() {
    let _server = start(Config::new());
    let codes = flood("203.0.113.1", 300);
    let first = codes
        .iter()
        .position(|code| *code != 1)
        .expect("it is a flood");
    assert!(first >= 30, "{codes:?}");
    assert_eq!(codes[first], -2);
    assert!(
        codes[first + 1..].iter().all(|code| *code == -1),
        "{codes:?}"
    );
}

#[test]
fn an_ipv6_source_is_its_network() {
    let _server = start(
        Config::new()
            .param("rate", THIRTY)
            .listen("udp:[2001:db8::10]:5060"),
    );
    assert_eq!(flood("2001:db8:1:1::a", 30), [1; 30]);
    assert_eq!(flood("2001:db8:1:1:ffff::b", 2), [-2, -1], "the same /64");
    assert_eq!(flood("2001:db8:1:1::a", 1), [-1]);
    assert_eq!(flood("2001:db8:1:2::a", 1), [1], "another /64");
}

#[test]
fn the_prefix_that_is_an_ipv6_source_can_be_chosen() {
    let config = Config::new().param("rate", THIRTY).param("ipv6_prefix", 48);
    let _server = start(config.listen("udp:[2001:db8::10]:5060"));
    assert_eq!(flood("2001:db8:1:1::a", 31).last(), Some(&-2));
    assert_eq!(flood("2001:db8:1:2::a", 1), [-1], "the same /48");
    assert_eq!(flood("2001:db8:2:1::a", 1), [1], "another /48");
}

#[test]
fn a_limit_per_network_takes_its_addresses_together() {
    let config = Config::new()
        .param("rate", "name=burst;off")
        .param("rate", "name=net;limit=20;window=1h;per=24/48;action=limit");
    let _server = start(config);
    assert_eq!(flood("10.1.1.1", 10), [1; 10]);
    assert_eq!(flood("10.1.1.2", 10), [1; 10]);
    assert_eq!(flood("10.1.1.3", 2), [-4; 2]);
    assert_eq!(flood("10.1.2.1", 2), [1; 2], "another /24");
}

#[test]
fn action_limit_denies_and_does_not_ban() {
    let _server = start(Config::new().param("rate", &*format!("{THIRTY};action=limit")));
    let codes = flood("203.0.113.1", 100);
    assert_eq!(codes[..30], [1; 30]);
    assert_eq!(codes[30..], [-4; 70]);
    assert_eq!(observer().call("sec_is_banned", &["203.0.113.1"]), -1);
}

#[test]
fn action_shadow_counts_names_and_allows() {
    let server = start(Config::new().param("rate", &*format!("{THIRTY};action=shadow")));
    assert_eq!(flood("203.0.113.1", 50), [1; 50]);
    assert_eq!(server.stat("shadow_denied"), 20);
    assert_eq!(server.stat("denied"), 0);
    let answer = Client::udp("203.0.113.1").ask(&check());
    let told = (answer.variable("verdict"), answer.variable("reason"));
    assert_eq!(told, ("1", "rate:burst"));
    let top = server.kamcmd(&["sec.top"]).unwrap();
    for part in ["denied: 21", "reason: rate:burst", "mode: shadow"] {
        assert!(top.contains(part), "{part}: {top}");
    }
}

#[test]
fn a_limit_counts_the_methods_it_names() {
    let config = Config::new().param("rate", "name=burst;off").param(
        "rate",
        "name=calls;limit=5;window=1h;count=INVITE,MESSAGE;action=limit",
    );
    let _server = start(config);
    let uri = "sip:sec_check@192.0.2.10";
    let of = |method: &str| Request::new(method, uri).header("X-N", "0");
    let mut client = Client::udp("203.0.113.1");
    assert_eq!(client.burst(50, &of("OPTIONS")), [1; 50]);
    assert_eq!(client.burst(3, &of("INVITE")), [1; 3]);
    assert_eq!(client.burst(3, &of("MESSAGE")), [1, 1, -4]);
    assert_eq!(client.burst(1, &of("INVITE")), [-4]);
    assert_eq!(client.burst(1, &of("OPTIONS")), [1]);
}

#[test]
fn a_limit_counts_failures() {
    let config = Config::new()
        .param("strike_limit", 200)
        .param("rate", "name=wrong;limit=5;window=1h;count=failures");
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    let failed = Request::call("sec_auth_failed", &["7001"]);
    assert_eq!(client.burst(6, &failed), [1, 1, 1, 1, 1, -2]);
    assert_eq!(client.call("sec_check", &[]), -1);
}

#[test]
fn a_limit_can_be_switched_off() {
    let _server = start(Config::new().param("rate", "name=burst;off"));
    assert_eq!(flood("203.0.113.1", 500), [1; 500]);
}

#[test]
fn limits_work_side_by_side() {
    let config = Config::new()
        .param("rate", "name=burst;limit=10;window=1h;action=limit")
        .param("rate", "name=sustained;limit=20;window=1h;count=INVITE");
    let _server = start(config);
    let mut client = Client::udp("203.0.113.1");
    let codes = client.burst(12, &check());
    assert_eq!(codes[..10], [1; 10]);
    assert_eq!(codes[10..], [-4; 2]);
}

#[test]
fn a_message_is_counted_once() {
    let route = "    sec_check();\n    $var(first) = $rc;\n    sec_check();\n    \
                 sl_send_reply(\"200\", \"rc $rc\");\n";
    let server = start(Config::new().param("rate", THIRTY).route(route));
    let codes = flood("203.0.113.1", 32);
    assert_eq!(codes[..30], [1; 30]);
    assert_eq!(
        codes[30..],
        [-2, -1],
        "the second call repeats the first verdict"
    );
    assert_eq!(server.stat("checks"), 32);
}

#[test]
fn an_address_can_be_named() {
    let server = server();
    let mut asker = observer();
    let codes = asker.burst(31, &Request::call("sec_check", &["203.0.113.9"]));
    assert_eq!(codes[..30], [1; 30]);
    assert_eq!(codes[30], -2);
    assert_eq!(flood("203.0.113.9", 1), [-1]);
    assert_eq!(
        asker.call("sec_check", &[]),
        1,
        "the asker himself is not counted"
    );
    assert_eq!(server.stat("errors"), 0);
}

#[test]
fn what_is_no_address_falls_back_to_the_source() {
    let server = server();
    let mut client = Client::udp("203.0.113.1");
    for nonsense in [
        "",
        "nonsense",
        "1.2.3",
        "1.2.3.4.5",
        "999.1.1.1",
        "10.0.0.0/33",
        "::g",
    ] {
        assert_eq!(client.call("sec_check", &[nonsense]), 1, "{nonsense}");
    }
    // A header that is not there is no way around.
    let missing = Request::new("OPTIONS", "sip:sec_check@192.0.2.10").header("X-N", "1");
    let codes = client.burst(30, &missing);
    assert_eq!(
        codes.iter().filter(|code| **code == 1).count(),
        23,
        "{codes:?}"
    );
    assert_eq!(codes[23], -2);
    crate::host::wait_until("the log to name the value", || {
        server.log().contains("\"nonsense\"")
    });
}

#[test]
fn replies_are_allowed_and_not_counted() {
    let server = start(
        Config::new()
            .param("rate", THIRTY)
            .extra("reply_route { sec_check(); }"),
    );
    let mut client = Client::udp("203.0.113.1");
    let reply = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
                 Via: SIP/2.0/UDP 203.0.113.1:9;branch=z9hG4bK2\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..50 {
        client.send_bytes(reply.as_bytes());
    }
    assert_eq!(client.call("sec_is_banned", &[]), -1);
    assert_eq!(client.call("sec_check", &[]), 1);
    assert_eq!(server.stat("checks"), 1);
}

#[test]
fn a_counter_of_ones_own() {
    let _server = server();
    let mut client = observer();
    let count = |key: &str| Request::call("sec_count", &[key, "3", "3600"]);
    assert_eq!(client.burst(5, &count("alice@10.0.0.1")), [1, 1, 1, -1, -1]);
    assert_eq!(client.burst(1, &count("bob@10.0.0.1")), [1], "another key");
    assert_eq!(client.call("sec_check", &[]), 1, "a counter bans nobody");
}

#[test]
fn a_counter_forgets() {
    let _server = server();
    let mut client = observer();
    let mut count = || client.call("sec_count", &["alice", "1", "2"]);
    assert_eq!([count(), count()], [1, -1]);
    crate::host::wait_until("the counter to expire", || count() == 1);
}
