//! The accounts: the registrar's own table, as Kamailio reads it.

use std::fs;

use crate::program::{Accounts, Portal};
use crate::store::Store;

fn signs_in(portal: &Portal, user: &str, password: &str) -> bool {
    // Each from an address of its own, so that no limit gets in the way.
    use std::sync::atomic::{AtomicU8, Ordering};
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    let status = portal
        .from(&format!("198.51.100.{last}"))
        .sign_in(user, password)
        .status;
    assert!(status == 303 || status == 422, "{user}: {status}");
    status == 303
}

#[test]
fn names_and_passwords_are_compared_exactly() {
    let redis = Store::start();
    let accounts = Accounts::rows(concat!(
        "1:alice:example.org:wonderland:-:-\n",
        "2:carol:one.example:first:-:-\n",
        "3:carol:two.example:second:-:-\n",
        "4:dave:example.org::-:-\n",
        "\n",
        "5:erin:example.org:a\\:b\\\\c\\td:-:-\n",
        "6:frank\n",
        "7:grace:example.org:broken\\x:-:-\n",
        "8::example.org:nobody:-:-\n",
        "9:zoë:example.org:pässwörd:-:-",
    ));
    let portal = Portal::with(&accounts.file(), &redis, &["--proxy", "127.0.0.1"]);
    let cases = [
        ("alice", "wonderland", true),
        (" alice ", "wonderland", true),
        ("alice@example.org", "wonderland", true),
        ("alice@example.com", "wonderland", false),
        ("alice@", "wonderland", false),
        ("Alice", "wonderland", false),
        ("alice", "wonderland ", false),
        ("alice", "wonderlan", false),
        ("alice", "wonderland\0", false),
        ("alice", "", false),
        // Who has two accounts says which.
        ("carol", "first", false),
        ("carol@one.example", "first", true),
        ("carol@one.example", "second", false),
        ("carol@two.example", "second", true),
        // No password is no password.
        ("dave", "", false),
        ("dave", "-", false),
        ("erin", "a:b\\c\td", true),
        ("frank", "", false),
        ("grace", "brokenx", false),
        ("", "nobody", false),
        ("@example.org", "nobody", false),
        ("zoë", "pässwörd", true),
    ];
    for (user, password, right) in cases {
        assert_eq!(
            signs_in(&portal, user, password),
            right,
            "{user:?} {password:?}"
        );
    }
}

#[test]
fn digests_are_compared_when_the_registrar_keeps_digests() {
    let redis = Store::start();
    let digest = |user: &str, domain: &str, password: &str| {
        format!("{:x}", md5::compute(format!("{user}:{domain}:{password}")))
    };
    let right = digest("alice", "example.org", "wonderland");
    let rows = format!("1:alice:example.org:unused:{right}:-\n2:bob:example.org:unused:-:-\n");
    let accounts = Accounts::rows(&rows);
    let arguments = ["--proxy", "127.0.0.1", "--password-column", "ha1"];
    let portal = Portal::with(&accounts.file(), &redis, &arguments);
    assert!(signs_in(&portal, "alice", "wonderland"));
    for (user, password) in [
        ("alice", "unused"),
        ("alice", &*right),
        ("bob", "unused"),
        ("bob", "-"),
    ] {
        assert!(!signs_in(&portal, user, password), "{user} {password}");
    }
}

#[test]
fn a_changed_table_counts_at_once() {
    let redis = Store::start();
    let accounts = Accounts::usual();
    let portal = Portal::with(&accounts.file(), &redis, &["--proxy", "127.0.0.1"]);
    assert!(signs_in(&portal, "alice", "wonderland"));
    accounts.replace("1:alice:example.org:looking-glass:-:-\n");
    assert!(!signs_in(&portal, "alice", "wonderland"));
    assert!(signs_in(&portal, "alice", "looking-glass"));
    assert!(!signs_in(&portal, "bob", "builder"));

    fs::remove_file(accounts.file()).expect("it can be removed");
    let answer = portal.from("203.0.113.7").sign_in("alice", "looking-glass");
    answer.expect(503, "Signing in is not possible at the moment.");
}

#[test]
fn who_loses_his_account_can_free_nothing_any_more() {
    let redis = Store::start();
    let accounts = Accounts::usual();
    let portal = Portal::with(&accounts.file(), &redis, &["--proxy", "127.0.0.1"]);
    let mut customer = portal.from("203.0.113.7");
    let page = customer.enter("alice", "wonderland");
    fs::remove_file(accounts.file()).expect("it can be removed");
    customer.press(&page).expect(503, "it was not freed");
    accounts.replace("2:bob:example.org:builder:-:-\n");
    assert_eq!(customer.press(&page).status, 303);
    customer.get("/").expect(200, "Sign in");
    assert_eq!(redis.keys("white_list:"), [""; 0]);
}
