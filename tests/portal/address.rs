//! Whose address it is: reverse proxies, forged headers, IPv6.

use crate::host::SERVER;
use crate::program::Portal;
use crate::store::Store;

#[test]
fn only_what_our_own_proxies_wrote_counts() {
    let redis = Store::start();
    let proxies = [
        "--proxy",
        "127.0.0.1",
        "--proxy",
        "10.0.0.0/8",
        "--proxy",
        "2001:db8:ffff::/48",
    ];
    let portal = Portal::start(&redis, &proxies);
    let cases = [
        ("203.0.113.7", "203.0.113.7"),
        // What stands left of the first foreign hop is the visitor's own claim.
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("no address at all, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7,10.1.2.3 , 2001:db8:ffff::5", "203.0.113.7"),
        // Somebody in our own network.
        ("10.1.2.3", "10.1.2.3"),
        // Every spelling becomes the usual one.
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:50123", "203.0.113.7"),
        ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:50123", "2001:db8::7"),
    ];
    for (forwarded, address) in cases {
        let page = portal.from(forwarded).enter("alice", "wonderland");
        assert_eq!(page.address(), address, "{forwarded}");
    }
    // Two lines are one list.
    let client = portal
        .from("198.51.100.1")
        .with("X-Forwarded-For", "203.0.113.7");
    let page = { client }.enter("alice", "wonderland");
    assert_eq!(page.address(), "203.0.113.7");
}

#[test]
fn a_proxy_that_does_not_say_for_whom_it_asks_is_a_fault() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1", "--proxy", "10.0.0.1"]);
    for forwarded in [
        "",
        "unknown",
        "203.0.113.7, unknown",
        "203.0.113.7, _hidden, 10.0.0.1",
        ",",
    ] {
        portal
            .from(forwarded)
            .get("/")
            .expect(502, "We cannot see the address");
    }
    let mut silent = portal.local().with("X-Forwarded-Proto", "https");
    silent.get("/").expect(502, "We cannot see the address");
}

#[test]
fn nobody_else_can_name_an_address() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "10.0.0.1"]);
    let mut visitor = portal.from("203.0.113.7").with("X-Real-IP", "203.0.113.7");
    let page = visitor.enter("alice", "wonderland");
    assert_eq!(page.address(), "127.0.0.1");
    assert_eq!(visitor.press(&page).status, 303);
    assert_eq!(redis.keys("white_list:"), ["white_list:127.0.0.1"]);
    assert!(
        !visitor
            .cookies
            .keys()
            .any(|name| name.starts_with("__Host-")),
        "https was his own claim: {:?}",
        visitor.cookies
    );
}

#[test]
fn a_password_never_crosses_the_network_in_the_clear() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let plain = || portal.local().with("X-Forwarded-For", "203.0.113.7");
    plain().get("/").expect(403, "https://");
    for scheme in ["http", "https, http", ""] {
        let mut visitor = plain().with("X-Forwarded-Proto", scheme);
        visitor.get("/").expect(403, "https://");
        let fields = [
            ("token", "x"),
            ("user", "alice"),
            ("password", "wonderland"),
        ];
        visitor.post("/sign-in", &fields).expect(403, "https://");
    }
}

#[test]
fn who_comes_from_elsewhere_without_a_proxy_is_told_to_use_https() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--listen", &format!("{SERVER}:0")]);
    // In the test's network the connection comes from the same address, which is not loopback.
    let mut visitor = portal.from("127.0.0.1");
    visitor.get("/").expect(403, "https://");
    assert!(visitor.cookies.is_empty(), "{:?}", visitor.cookies);
}

#[test]
fn an_ipv6_customer_sees_and_lifts_the_ban_of_his_network() {
    let redis = Store::start();
    let names = [
        "--ipv4-url",
        "https://ipv4.example.org/",
        "--ipv6-url",
        "https://ipv6.example.org/",
    ];
    let portal = Portal::start(&redis, &[&["--proxy", "127.0.0.1"], &names[..]].concat());
    redis.set(
        "ban:2001:db8:1:2::/64",
        r#"{"reason":"auth"}"#,
        &["EX", "600"],
    );
    let mut customer = portal.from("2001:DB8:1:2::7");
    let page = customer.enter("alice", "wonderland");
    assert_eq!(page.address(), "2001:db8:1:2::7");
    page.expect(200, "Banned");
    page.expect(
        200,
        "It concerns the whole network <code>2001:db8:1:2::/64</code>.",
    );
    page.expect(200, "You came by IPv6. If your phone uses IPv4");
    page.expect(
        200,
        "open this page by <a href=\"https://ipv4.example.org/\">",
    );
    assert_eq!(customer.press(&page).status, 303);
    assert_eq!(redis.keys("white_list:"), ["white_list:2001:db8:1:2::7"]);
    customer.get("/").expect(200, "Free");

    let page = portal.from("2001:db8:1:3::7").enter("alice", "wonderland");
    page.expect(200, "Not banned");
    let page = portal.from("203.0.113.7").enter("alice", "wonderland");
    page.expect(200, "You came by IPv4. If your phone uses IPv6");
    page.expect(200, "<a href=\"https://ipv6.example.org/\">");
}

#[test]
fn a_cool_down_of_an_ipv6_network_counts_for_each_of_its_addresses() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    for key in ["2001:db8:1:2::/64", "2001:db8:1:2::7"] {
        redis.order(&format!("SET sec:revoked:{key} whitelist_rate EX 60"));
        let page = portal.from("2001:db8:1:2::7").enter("alice", "wonderland");
        page.expect(200, "It cannot be freed now");
        assert!(!page.has_button());
        redis.order(&format!("DEL sec:revoked:{key}"));
    }
}

#[test]
fn both_families_reach_a_portal_that_listens_on_all() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--listen", "[::]:0"]);
    let port = portal.url.rsplit(':').next().expect("a URL has a port");
    for (host, address) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")] {
        let mut customer = crate::client::Client::new(&format!("http://{host}:{port}"));
        let page = customer.enter("alice", "wonderland");
        assert_eq!(page.address(), address);
        assert_eq!(customer.press(&page).status, 303);
    }
    let keys = ["white_list:127.0.0.1", "white_list:::1"];
    assert_eq!(redis.keys("white_list:"), keys);
}
