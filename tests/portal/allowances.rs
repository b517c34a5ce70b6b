//! What is limited: grants of an account, attempts to sign in.

use crate::program::{Accounts, Portal};
use crate::store::Store;

#[test]
fn an_account_frees_a_few_addresses_a_day_and_a_restart_forgets_none() {
    let redis = Store::start();
    let arguments = ["--proxy", "127.0.0.1", "--grants", "2"];
    let portal = Portal::start(&redis, &arguments);
    for (last, left) in [(1, "another 2 times"), (2, "another time")] {
        let mut customer = portal.from(&format!("203.0.113.{last}"));
        let page = customer.enter("alice", "wonderland");
        page.expect(200, left);
        assert_eq!(customer.press(&page).status, 303);
    }
    let life: i64 = redis.run("TTL portal:grants:alice@example.org");
    assert!(
        (86_000..=86_400).contains(&life),
        "the counter lives {life} s"
    );
    drop(portal);

    let portal = Portal::start(&redis, &arguments);
    let mut customer = portal.from("203.0.113.3");
    let page = customer.enter("alice@example.org", "wonderland");
    page.expect(
        200,
        "This account has freed an address 2 times within a day.",
    );
    assert!(!page.has_button());
    let fields = [("token", &*page.field("token")), ("address", "203.0.113.3")];
    let refused = customer.post("/free", &fields);
    refused.expect(429, "Your address was not freed");
    refused.expect(429, "can again in 1 day");
    let freed = ["white_list:203.0.113.1", "white_list:203.0.113.2"];
    assert_eq!(redis.keys("white_list:"), freed);

    let mut other = portal.from("203.0.113.3");
    let page = other.enter("bob", "builder");
    assert_eq!(other.press(&page).status, 303);
    assert_eq!(redis.keys("white_list:").len(), 3);
}

#[test]
fn a_second_press_costs_nothing_and_an_operators_entry_is_not_shortened() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    let page = customer.enter("alice", "wonderland");
    for _ in 0..3 {
        assert_eq!(customer.press(&page).status, 303);
    }
    assert_eq!(redis.run::<i64>("GET portal:grants:alice@example.org"), 1);
    for life in ["", " EX 86400"] {
        redis.order(&format!("SET white_list:203.0.113.7 operator{life}"));
        assert_eq!(customer.press(&page).status, 303);
        assert_eq!(
            redis.run::<String>("GET white_list:203.0.113.7"),
            "operator"
        );
    }
    // An entry that is about to end may be made new.
    redis.order("EXPIRE white_list:203.0.113.7 600");
    let page = customer.get("/");
    page.expect(200, "It is free for another 10 minutes.");
    assert_eq!(customer.press(&page).status, 303);
    assert!(redis.run::<i64>("TTL white_list:203.0.113.7") > 3500);
    assert_eq!(redis.run::<i64>("GET portal:grants:alice@example.org"), 2);
}

#[test]
fn attempts_from_one_address_are_limited_and_a_success_clears_no_failures() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let from =
        |address: &str, user: &str, password: &str| portal.from(address).sign_in(user, password);
    for _ in 0..9 {
        from("203.0.113.7", "alice", "guess").expect(422, "user name or the password is wrong");
    }
    assert_eq!(from("203.0.113.7", "bob", "builder").status, 303);
    from("203.0.113.7", "alice", "guess").expect(422, "user name or the password is wrong");
    // Right or wrong, it is no longer looked at.
    for password in ["guess", "wonderland"] {
        let refused = from("203.0.113.7", "alice", password);
        refused.expect(429, "Too many attempts. Please try again in 15 minutes.");
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((800..=900).contains(&wait), "{wait}");
    }
    drop(portal);
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    customer
        .sign_in("alice", "wonderland")
        .expect(429, "Too many attempts");
    assert_eq!(
        portal
            .from("203.0.113.8")
            .sign_in("alice", "wonderland")
            .status,
        303
    );
    for key in redis.keys("portal:sign-ins:") {
        assert!(
            redis.run::<i64>(&format!("TTL {key}")) > 0,
            "{key} has no end"
        );
    }
}

#[test]
fn an_ipv6_network_is_one_address_and_an_account_is_one_account() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    for host in 0..10 {
        let mut guesser = portal.from(&format!("2001:db8:1:2::{host:x}"));
        guesser
            .sign_in(&format!("user{host}"), "guess")
            .expect(422, "wrong");
    }
    let mut next = portal.from("2001:db8:1:2:ffff::1");
    next.sign_in("alice", "wonderland")
        .expect(429, "Too many attempts");
    assert_eq!(
        portal
            .from("2001:db8:1:3::1")
            .sign_in("alice", "wonderland")
            .status,
        303
    );

    // Guesses at one account that come from many addresses.
    for host in 0..30 {
        let name = ["alice", "alice@example.org", "alice@elsewhere"][host % 3];
        let mut guesser = portal.from(&format!("203.0.113.{host}"));
        guesser.sign_in(name, "guess").expect(422, "wrong");
    }
    let mut next = portal.from("203.0.113.200");
    next.sign_in("alice", "wonderland")
        .expect(429, "Too many attempts");
    assert_eq!(
        portal
            .from("203.0.113.201")
            .sign_in("bob", "builder")
            .status,
        303
    );
}

#[test]
fn overlong_names_and_passwords_reach_neither_redis_nor_the_accounts() {
    let redis = Store::start();
    let long = "x".repeat(129);
    let rows = format!("1:alice:example.org:{long}:-:-\n2:{long}:example.org:secret:-:-\n");
    let accounts = Accounts::rows(&rows);
    let portal = Portal::with(&accounts.file(), &redis, &[]);
    for (user, password) in [("alice", &*long), (&*long, "secret")] {
        portal.local().sign_in(user, password).expect(422, "wrong");
    }
    assert_eq!(redis.keys("portal:"), [""; 0]);
}
