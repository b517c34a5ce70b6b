//! Redis away, hung or closed, and a command line that is wrong: always a sentence, never a lie.

use nix::sys::signal::Signal;

use crate::client::{Answer, Client};
use crate::program::{Accounts, Portal, run};
use crate::store::Store;

/// No page may say anything of an address that nobody looked up.
#[track_caller]
fn is_honest(page: &Answer, text: &str) {
    page.expect(503, text);
    for claim in ["anned<", "Free<", "Signed in", "action=\"/free\""] {
        assert!(!page.body.contains(claim), "{claim}: {}", page.body);
    }
}

fn all_pages_are_honest(portal: &Portal, customer: &mut Client, page: &Answer) {
    is_honest(&customer.get("/"), "we cannot say whether it is banned");
    is_honest(&customer.press(page), "it was not freed");
    let mut stranger = portal.local();
    is_honest(
        &stranger.sign_in("alice", "wonderland"),
        "Signing in is not possible at the moment.",
    );
    stranger.get("/").expect(200, "Is your phone cut off?");
}

#[test]
fn without_redis_every_page_says_so_and_all_is_well_when_it_is_back() {
    let mut redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    let page = customer.enter("alice", "wonderland");
    redis.kill();
    all_pages_are_honest(&portal, &mut customer, &page);
    redis.restart();
    let page = customer.get("/");
    page.expect(200, "Not banned");
    assert_eq!(customer.press(&page).status, 303);
    assert_eq!(redis.keys("white_list:"), ["white_list:127.0.0.1"]);
}

#[test]
fn a_redis_that_hangs_is_a_redis_that_is_away() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    let page = customer.enter("alice", "wonderland");
    redis.signal(Signal::SIGSTOP);
    all_pages_are_honest(&portal, &mut customer, &page);
    redis.signal(Signal::SIGCONT);
    customer.get("/").expect(200, "Not banned");
    assert_eq!(
        redis.keys("white_list:"),
        [""; 0],
        "what was refused does not happen later"
    );
}

#[test]
fn a_portal_may_start_before_redis_and_a_refused_one_says_so() {
    let mut redis = Store::start();
    redis.kill();
    let portal = Portal::start(&redis, &[]);
    is_honest(
        &portal.local().sign_in("alice", "wonderland"),
        "not possible at the moment",
    );
    redis.restart();
    let mut customer = portal.local();
    let page = customer.enter("alice", "wonderland");
    redis.order("ACL SETUSER portal >other <secret");
    is_honest(&customer.get("/"), "we cannot say whether it is banned");
    redis.order("ACL SETUSER portal >secret");
    // The right to write is missing: nothing is known to be written.
    redis.order("ACL SETUSER portal -set");
    is_honest(&customer.press(&page), "it was not freed");
    redis.order("ACL SETUSER portal resetkeys ~portal:* ~ban:*");
    is_honest(&customer.get("/"), "we cannot say whether it is banned");
}

#[test]
fn an_answer_to_the_grant_that_does_not_come_is_said_to_be_unknown() {
    let redis = Store::start();
    let portal = Portal::start(&redis, &[]);
    let mut customer = portal.local();
    let page = customer.enter("alice", "wonderland");
    // Reading is allowed, counting is, writing the entry is not.
    redis.order("ACL SETUSER portal resetkeys %R~white_list:* ~ban:* ~sec:revoked:* ~portal:*");
    is_honest(
        &customer.press(&page),
        "We cannot tell whether your address was freed",
    );
    assert_eq!(redis.keys("white_list:"), [""; 0]);
}

#[test]
fn a_wrong_command_line_is_explained() {
    let accounts = Accounts::usual();
    let file = accounts.file();
    let file = file.to_str().expect("a path is text");
    let cases: [(&[&str], &str); 15] = [
        (&["--port", "80"], "there is no option \"--port\""),
        (&["portal"], "there is no option \"portal\""),
        (&["--listen"], "--listen: its value is missing"),
        (
            &["--listen", "8080"],
            "--listen \"8080\": allowed is address:port",
        ),
        (
            &["--listen", "127.0.0.1:99999"],
            "--listen \"127.0.0.1:99999\"",
        ),
        (&["--redis", "127.0.0.1:6379"], "--redis: "),
        (&["--redis", "redis://h/abc"], "--redis: "),
        (
            &["--proxy", "10.0.0.0/33"],
            "--proxy \"10.0.0.0/33\": allowed is an address or a CIDR",
        ),
        (&["--proxy", "*"], "--proxy \"*\""),
        (
            &["--grants", "0"],
            "--grants \"0\": allowed is a number from 1 to 1000",
        ),
        (&["--grants", "-1"], "--grants \"-1\""),
        (
            &["--ipv4-url", "javascript:alert(1)"],
            "--ipv4-url \"javascript:alert(1)\": allowed is a URL",
        ),
        (
            &["--ban-prefix", ""],
            "neither may be empty or the start of the other",
        ),
        (
            &["--ban-prefix", "white_list:"],
            "neither may be empty or the start of the other",
        ),
        (
            &["--accounts", "/nowhere/subscriber"],
            "--accounts: accounts in /nowhere/subscriber: ",
        ),
    ];
    for (arguments, sentence) in cases {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    let output = run(&["--accounts", file, "--password-column", "secret"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("names no column \"secret\""), "{text}");
    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--proxy"));
}
