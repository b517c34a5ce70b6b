//! Forms, cookies and headers: nobody else's page can press the button.

use crate::program::Portal;
use crate::store::Store;

#[test]
fn a_sign_in_without_the_forms_token_is_refused() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    let right = [("user", "alice"), ("password", "wonderland")];
    let with = |token: &str, customer: &mut crate::client::Client| {
        let fields = [("token", token), right[0], right[1]];
        customer.post("/sign-in", &fields)
    };
    with("", &mut customer).expect(403, "Nothing was changed");
    let token = customer.get("/").field("token");
    with("", &mut customer).expect(403, "Nothing was changed");
    with(&"0".repeat(64), &mut customer).expect(403, "Nothing was changed");
    // The token alone, without the cookie that repeats it.
    with(&token, &mut portal.local()).expect(403, "it needs cookies");
    assert_eq!(
        redis.keys("portal:"),
        [""; 0],
        "none of these was an attempt"
    );
    assert_eq!(with(&token, &mut customer).status, 303);
}

#[test]
fn nothing_is_freed_without_a_session_and_its_token() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let (mut alice, mut bob) = (portal.local(), portal.local());
    alice.enter("alice", "wonderland");
    let foreign = bob.enter("bob", "builder").field("token");
    let address = ("address", "127.0.0.1");
    for token in ["", "x", &foreign] {
        let refused = alice.post("/free", &[("token", token), address]);
        refused.expect(403, "Nothing was changed");
        alice
            .post("/sign-out", &[("token", token)])
            .expect(403, "Nothing was changed");
    }
    alice
        .post("/free", &[address])
        .expect(400, "could not read");
    alice
        .post("/free", &[("token", &"x".repeat(5000)), address])
        .expect(400, "could not read");
    let stranger = portal
        .local()
        .post("/free", &[("token", &foreign), address]);
    assert_eq!((stranger.status, stranger.header("location")), (303, "/"));
    assert_eq!(alice.get("/free").status, 405);
    assert_eq!(redis.keys("white_list:"), [""; 0]);
    alice.get("/").expect(200, "Signed in as alice@example.org");
}

#[test]
fn a_form_frees_only_the_address_that_it_showed() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    let page = customer.enter("alice", "wonderland");
    customer.moves_to("2001:db8::7");
    let moved = customer.press(&page);
    moved.expect(409, "you now come from another address, 2001:db8::7");
    assert_eq!(redis.keys("white_list:"), [""; 0]);
    // An address of one's own choice is no way to free somebody else's.
    let token = moved.field("token");
    let chosen = customer.post("/free", &[("token", &token), ("address", "198.51.100.1")]);
    chosen.expect(409, "Nothing was freed");
    assert_eq!(redis.keys("white_list:"), [""; 0]);
    assert_eq!(customer.press(&moved).status, 303);
    assert_eq!(redis.keys("white_list:"), ["white_list:2001:db8::7"]);
}

#[test]
fn cookies_are_out_of_reach_for_scripts_and_other_sites() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    let signed_in = customer.sign_in("alice", "wonderland");
    let cookie = signed_in.set_cookies()[0];
    assert!(cookie.starts_with("__Host-portal="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    let plain = Portal::start(&redis, &[]);
    let mut customer = plain.local();
    let form = customer.get("/");
    let signed_in = customer.sign_in("alice", "wonderland");
    for cookie in [form.set_cookies()[0], signed_in.set_cookies()[0]] {
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
    }
    // Who signs in again gets another name, and the one before stays his own.
    let first = customer.cookies.clone();
    customer.cookies.remove("portal");
    customer.enter("bob", "builder");
    assert_ne!(customer.cookies["portal"], first["portal"]);
}

#[test]
fn pages_are_closed_to_everything_from_elsewhere() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    for (path, status) in [
        ("/", 200),
        ("/nothing", 404),
        ("/sign-in", 405),
        ("/style.css", 200),
    ] {
        let page = customer.get(path);
        assert_eq!(page.status, status, "{path}");
        let policy = page.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "style-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert!(
            !page.body.contains("<script") && !page.body.contains("http"),
            "{path}"
        );
    }
    assert_eq!(customer.get("/").header("cache-control"), "no-store");
}
