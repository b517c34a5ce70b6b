//! What the portal is for: a customer sees why he is cut off, and frees himself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::browser::Browser;
use crate::host::{Config, Kamailio, Phone, Request, SERVER, Subscribers, wait_until};
use crate::program::Portal;
use crate::store::Store;

fn ban(redis: &Store, subject: &str, seconds: &str, value: &str) {
    redis.set(&format!("ban:{subject}"), value, &["EX", seconds]);
}

#[test]
fn a_banned_customer_frees_himself() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let note = format!(
        r#"{{"reason":"auth","node":"sbc1","at":{},"count":3}}"#,
        now - 600
    );
    ban(&redis, "203.0.113.7", "1500", &note);

    let mut customer = portal.from("203.0.113.7");
    let page = customer.enter("alice", "wonderland");
    assert_eq!(page.address(), "203.0.113.7");
    page.expect(200, "Banned");
    page.expect(
        200,
        "sign-ins with a wrong password or an unknown user name (auth)",
    );
    page.expect(200, "The ban lasts for another 25 minutes.");
    page.expect(200, "ban number 3");
    page.expect(200, "correct the password");
    page.expect(200, "Signed in as alice@example.org");
    // It began ten minutes ago, or a little more by now.
    assert!(page.body.contains("It began 1"), "{}", page.body);

    let pressed = customer.press(&page);
    assert_eq!((pressed.status, pressed.header("location")), (303, "/"));
    assert_eq!(redis.keys("white_list:"), ["white_list:203.0.113.7"]);
    assert_eq!(redis.run::<String>("GET white_list:203.0.113.7"), "1");
    let life: i64 = redis.run("TTL white_list:203.0.113.7");
    assert!((3500..=3600).contains(&life), "it lives {life} s");

    let page = customer.get("/");
    page.expect(200, "It is free for another 1 hour.");
    // What helps is still said: the hour ends.
    page.expect(200, "correct the password");
    page.expect(
        200,
        "The ban that was recorded for it does not count meanwhile.",
    );
    assert!(!page.has_button(), "it is free already: {}", page.body);
    // To lift the ban is the nodes' business: the entry is stronger.
    assert_eq!(redis.run::<i64>("EXISTS ban:203.0.113.7"), 1);
}

#[test]
fn who_is_not_banned_is_told_so_and_may_free_himself_all_the_same() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    ban(&redis, "127.0.0.2", "100", "1");
    let mut customer = portal.local();
    let page = customer.enter("alice@example.org", "wonderland");
    assert_eq!(page.address(), "127.0.0.1");
    page.expect(200, "Not banned");
    assert_eq!(customer.press(&page).status, 303);
    customer.get("/").expect(200, "It is free for another");
}

#[test]
fn a_ban_without_a_note_or_with_a_strange_one_is_shown_as_it_is() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let cases = [
        ("1", "No reason was recorded."),
        ("{\"reason\":7}", "No reason was recorded."),
        ("[]", "No reason was recorded."),
        ("{\"reason\":\"  \"}", "No reason was recorded."),
        (
            "{\"reason\":\"rate:burst\",\"at\":1e300}",
            "too many requests in a short time (rate:burst)",
        ),
        (
            "{\"reason\":\"<script>alert(1)</script>\"}",
            "Reason: &lt;script&gt;alert(1)&lt;/script&gt;.",
        ),
        (
            "{\"reason\":\"manual\",\"count\":1,\"more\":{}}",
            "set by an operator (manual)",
        ),
    ];
    let mut customer = portal.from("203.0.113.7");
    customer.enter("alice", "wonderland");
    for (value, text) in cases {
        ban(&redis, "203.0.113.7", "100", value);
        let page = customer.get("/");
        page.expect(200, "Banned");
        page.expect(200, text);
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
    redis.set("ban:203.0.113.7", "1", &[]);
    customer
        .get("/")
        .expect(200, "The ban lasts until an operator changes it.");
    redis.set("ban:203.0.113.7", &"x".repeat(10_000_000), &[]);
    customer.get("/").expect(200, "No reason was recorded.");
    // A key that holds no string bans nobody: the nodes skip it.
    redis.order("DEL ban:203.0.113.7");
    redis.order("HSET ban:203.0.113.7 reason auth");
    customer.get("/").expect(200, "Not banned");
}

#[test]
fn a_network_that_is_banned_or_free_is_named() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    ban(&redis, "203.0.112.0/22", "100", r#"{"reason":"manual"}"#);
    let mut customer = portal.from("203.0.113.7");
    let page = customer.enter("alice", "wonderland");
    page.expect(
        200,
        "It concerns the whole network <code>203.0.112.0/22</code>.",
    );
    redis.order("SET white_list:203.0.113.0/24 office");
    let page = customer.get("/");
    page.expect(200, "It is free until an operator changes it.");
    page.expect(200, "Its whole network <code>203.0.113.0/24</code> is.");
    assert!(!page.has_button());
}

#[test]
fn in_a_cool_down_nothing_can_be_freed() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    let before = customer.enter("alice", "wonderland");
    ban(
        &redis,
        "203.0.113.7",
        "300",
        r#"{"reason":"whitelist_rate"}"#,
    );
    redis.order("SET sec:revoked:203.0.113.7 whitelist_rate EX 540");

    let page = customer.get("/");
    page.expect(200, "It cannot be freed again for another 9 minutes.");
    page.expect(200, "far more requests than even a freed address may send");
    page.expect(200, "Banned");
    assert!(!page.has_button());
    // The button of a page that was opened before.
    let pressed = customer.press(&before);
    pressed.expect(
        409,
        "Your address was not freed: it cannot be freed for another 9 minutes.",
    );
    assert_eq!(redis.keys("white_list:"), [""; 0]);
    assert_eq!(redis.keys("portal:grants:"), [""; 0], "it cost no grant");
}

#[test]
fn signing_out_ends_the_session_for_good() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    let page = customer.enter("alice", "wonderland");
    let stolen = customer.cookies.clone();
    let token = page.field("token");
    assert_eq!(customer.post("/sign-out", &[("token", &token)]).status, 303);
    assert!(customer.cookies.is_empty(), "{:?}", customer.cookies);
    let mut thief = portal.local();
    thief.cookies = stolen;
    thief.get("/").expect(200, "Sign in");
}

/// The example configuration with the one line that joins it to the fleet.
fn configuration(directory: &Path) -> PathBuf {
    let text = include_str!("../../examples/kamailio.cfg");
    let parameters = "####### PROTECTION #######\n";
    assert!(text.contains(parameters), "the example has its chapter");
    let redis = "modparam(\"sec\", \"redis_url\", \"redis://127.0.0.1:6379\")\n";
    let file = directory.join("kamailio.cfg");
    let text = text.replace(parameters, &format!("{parameters}{redis}"));
    fs::write(&file, text).expect("a configuration can be written");
    file
}

#[test]
fn a_phone_that_a_registrar_cut_off_is_back_when_its_owner_has_freed_it() {
    let redis = Store::start();
    let users = Subscribers::new(&[("1001", "secret1")]);
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = configuration(directory.path());
    let registrar = Kamailio::start(Config::of_file(file, &[&users.define(), "WORKERS=2"]));
    wait_until("the link to Redis", || registrar.stat("redis_up") == 1);
    // The very table that the registrar reads.
    let portal = Portal::with(&users.table(), &redis, &["--proxy", "127.0.0.1"]);

    let mut phone = Phone::new("1001", "secret1", "203.0.113.66");
    for _ in 0..60 {
        phone
            .client()
            .send(&Request::new("OPTIONS", &format!("sip:{SERVER}")));
    }
    wait_until("the ban in Redis", || {
        redis.get("ban:203.0.113.66").is_some()
    });
    let mut owner = portal.from("203.0.113.66");
    let page = owner.enter("1001", "secret1");
    page.expect(200, "Banned");
    page.expect(200, "too many requests in a short time (rate:burst)");
    assert_eq!(owner.press(&page).status, 303);
    wait_until("the nodes to lift the ban", || {
        registrar.stat("active_bans") == 0
    });
    owner.get("/").expect(200, "It is free for another 1 hour.");
    while phone.client().receive_now().is_some() {}
    assert!(phone.register().is_ok());
    assert!(registrar.stat("whitelist_hits") > 0);
}

#[test]
fn a_real_browser_signs_in_and_frees_its_address() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    ban(
        &redis,
        "127.0.0.1",
        "600",
        r#"{"reason":"rate:burst","count":1}"#,
    );
    let browser = Browser::start();
    browser.open(&format!("{}/", portal.url));

    browser.write("#user", "alice");
    browser.write("#password", "wrong");
    browser.click("form[action='/sign-in'] button");
    wait_until("the refusal", || {
        browser.text("[role=alert]").as_deref() == Some("The user name or the password is wrong.")
    });
    browser.write("#user", "alice");
    browser.write("#password", "wonderland");
    browser.click("form[action='/sign-in'] button");
    wait_until("the page of the address", || {
        browser.text("#address").as_deref() == Some("127.0.0.1")
    });
    assert_eq!(browser.text("h2").as_deref(), Some("Banned"));
    // The page's own style is the only one that its policy lets in.
    assert_eq!(
        browser.style("#free", "background-color"),
        "rgba(11, 87, 164, 1)"
    );
    let cookies = browser.cookies();
    let cookie = cookies.iter().find(|cookie| cookie["name"] == "portal");
    let cookie = cookie.expect("there is a session");
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"]),
        (&true.into(), &"Strict".into())
    );

    browser.click("#free");
    wait_until("the page that says it is free", || {
        browser.text("h2").as_deref() == Some("Free")
    });
    assert_eq!(redis.keys("white_list:"), ["white_list:127.0.0.1"]);
    assert!(redis.run::<i64>("TTL white_list:127.0.0.1") > 3500);

    browser.click("form[action='/sign-out'] button");
    wait_until("the sign-in form", || {
        browser.text("label").as_deref() == Some("User name")
    });
}
