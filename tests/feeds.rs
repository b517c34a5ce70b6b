//! Feeds in a real Kamailio: from files and from a real HTTP server, good lists and bad ones, what
//! being listed means, and what survives.
#![forbid(unsafe_code)]

mod host;

use std::fs;
use std::path::Path;

use host::{
    Client, Config, Kamailio, Page, Request, SERVER, Web, isolate, verdict, wait_for,
    wait_for_verdict, wait_until,
};
use nix::sys::signal::Signal;

const LISTED: &str = "203.0.113.7";
const OTHER: &str = "203.0.113.8";

fn feeds(server: &Kamailio) -> String {
    server.kamcmd(&["sec.feeds"]).expect("sec.feeds answers")
}

/// A field of the only feed.
fn field(server: &Kamailio, name: &str) -> String {
    let shown = feeds(server);
    let line = shown.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(':')?;
        (key == name).then(|| value.trim().to_owned())
    });
    line.unwrap_or_else(|| panic!("no {name} in {shown}"))
}

fn wait_for_field(server: &Kamailio, name: &str, part: &str) {
    wait_until(&format!("{name} to say {part}"), || {
        field(server, name).contains(part)
    });
}

fn reload(server: &Kamailio) {
    let reply = server.kamcmd(&["sec.reload", "test"]);
    assert!(reply.expect("it is reloaded").contains("reloading: test"));
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

/// Puts a whole file in the place of another.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).expect("it can be written");
    fs::rename(new, file).expect("it can be moved");
}

/// Without a limit in the way of a test that asks again and again.
fn config() -> Config {
    Config::new().param("rate", "name=burst;limit=60000;window=1")
}

fn of_file(file: &Path, more: &str) -> Config {
    let url = file.display();
    config().param(
        "feed",
        &*format!("name=test;url=file://{url};refresh=1{more}"),
    )
}

fn of_web(web: &Web, more: &str) -> Config {
    let url = web.url("/list");
    config().param("feed", &*format!("name=test;url={url};refresh=1{more}"))
}

#[test]
fn who_is_listed_is_denied_shown_and_explained() {
    isolate();
    let folder = folder();
    let file = folder.path().join("list");
    let text = format!("# ours\n{LISTED} ; seen today\n10.0.0.1\n2001:db8:7::/48\nnonsense\n");
    fs::write(&file, text).unwrap();
    let server = Kamailio::start(of_file(&file, ";ttl=1d").listen("udp:[2001:db8::10]:5060"));
    wait_for_verdict(LISTED, -5);
    let answer = Client::udp(LISTED).ask(&Request::call("sec_check", &[]));
    assert_eq!(answer.variable("reason"), "feed:test");
    assert_eq!(
        (verdict("2001:db8:7::1"), verdict("2001:db8:8::1")),
        (-5, 1)
    );
    assert_eq!(verdict(OTHER), 1);

    let shown = feeds(&server);
    for part in [
        "name: test",
        "action: deny",
        "state: loaded",
        "entries: 2",
        "skipped: 2",
        "line 3: \"10.0.0.1\" is private; line 5: \"nonsense\" is not an address",
        "problem: \n",
        "failures: 0",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let hits: i64 = field(&server, "hits").parse().unwrap();
    assert!(hits >= 3, "{shown}");
    assert_eq!(server.stat("feed_hits"), hits);
    let known = server.kamcmd(&["sec.explain", LISTED]).unwrap();
    for part in [
        "verdict: deny, for what it is",
        "reason: feed:test",
        "line: 2",
        "a feed lists it: sec.whitelist_add 203.0.113.7",
    ] {
        assert!(known.contains(part), "{part} in {known}");
    }
    let status = server.kamcmd(&["sec.status"]).unwrap();
    assert!(status.contains("feed_entries: 2"), "{status}");

    server.kamcmd(&["sec.whitelist_add", LISTED]).unwrap();
    assert_eq!(verdict(LISTED), 2, "the whitelist wins");
    assert_eq!(
        field(&server, "hits").parse(),
        Ok(hits),
        "and that is no hit"
    );
    server.kamcmd(&["sec.whitelist_remove", LISTED]).unwrap();
    assert_eq!(verdict(LISTED), -5);

    replace(&file, &format!("{OTHER}\n"));
    wait_for_verdict(OTHER, -5);
    assert_eq!(verdict(LISTED), 1, "the list is replaced as a whole");
    let log = server.stop();
    assert!(
        log.contains("feed test: 2 entries, loaded, 2 skipped (line 3:"),
        "{log}"
    );
}

#[test]
fn every_action_does_what_it_says() {
    isolate();
    let folder = folder();
    let mut config = config().param("strike_limit", 5).param("unban_grace", 0);
    for (action, address) in [
        ("ban", "203.0.113.1"),
        ("strike", "203.0.113.2"),
        ("shadow", "203.0.113.3\n203.0.113.9"),
        ("deny", "203.0.113.4\n203.0.113.9"),
    ] {
        let file = folder.path().join(action);
        fs::write(&file, address).unwrap();
        let file = file.display();
        let feed = format!("name={action};url=file://{file};action={action}");
        config = config.param("feed", &*feed);
    }
    let server = Kamailio::start(config);
    // The last one is published last, or together with the others.
    wait_until("all feeds", || {
        feeds(&server).matches("state: loaded").count() == 4
    });
    wait_for_verdict("203.0.113.4", -5);
    let check = Request::call("sec_check", &[]);
    let codes = |source: &str| Client::udp(source).burst(6, &check);
    assert_eq!(codes("203.0.113.1"), [-2, -1, -1, -1, -1, -1]);
    let bans = server.kamcmd(&["sec.bans"]).unwrap();
    for part in ["ip: 203.0.113.1", "reason: feed:ban", "origin: feed"] {
        assert!(bans.contains(part), "{bans}");
    }
    let known = server.kamcmd(&["sec.explain", "203.0.113.1"]).unwrap();
    assert!(known.contains("evidence: can be forged"), "{known}");
    assert_eq!(codes("203.0.113.2"), [1, 1, 1, 1, -2, -1]);
    let before = server.stat("shadow_denied");
    assert_eq!(codes("203.0.113.3"), [1; 6]);
    assert_eq!(server.stat("shadow_denied") - before, 6);
    assert_eq!(
        codes("203.0.113.9"),
        [-5; 6],
        "a feed on trial frees nobody"
    );
    wait_until("the bans to be counted", || server.stat("active_bans") == 2);
}

#[test]
fn what_no_server_may_be_cut_off_for_is_never_taken() {
    isolate();
    let folder = folder();
    let file = folder.path().join("list");
    fs::write(
        &file,
        format!("0.0.0.0/0\n10.0.0.0/8\n{SERVER}\n172.0.0.0/8\n2000::/3\n"),
    )
    .unwrap();
    let server = Kamailio::start(of_file(&file, ";action=ban"));
    wait_for_verdict("172.15.0.1", -2);
    for free in ["10.1.2.3", "172.16.0.1", "172.31.255.255", OTHER] {
        assert_eq!(verdict(free), 1, "{free}");
    }
    assert_eq!(
        (field(&server, "entries"), field(&server, "skipped")),
        ("1".into(), "4".into())
    );
    let lines = field(&server, "skipped_lines");
    assert!(
        lines.contains("\"0.0.0.0/0\" is shorter than /8"),
        "{lines}"
    );
}

#[test]
fn what_is_no_list_changes_nothing_and_is_said_once() {
    isolate();
    let list = format!("{LISTED}\n203.0.113.100\n203.0.113.101\n203.0.113.102\n");
    let web = Web::with(Page::new(list.clone()));
    let server = Kamailio::start(of_web(&web, ""));
    wait_for_verdict(LISTED, -5);
    let redirect = Page::new("")
        .status("302 Found")
        .header("Location", "/again");
    let torn = Page {
        length: Some(10_000),
        ..Page::new(list.clone())
    };
    let bomb = Page::compressed(&vec![b'\n'; 80 << 20]);
    for (page, problem) in [
        (
            Page::new("<html>203.0.113.8</html>"),
            "it is a page of HTML, not a list",
        ),
        (
            Page::new("no list today\n"),
            "it has no valid entry; line 1: \"no\" is not",
        ),
        (Page::new("# nothing\n"), "it is empty"),
        (
            Page::new("203.0.113.8\n"),
            "it has shrunk from 4 to 1 entries, by more than max_shrink=50",
        ),
        (
            Page::new(list.clone()).status("500 Oh no"),
            "HTTP status 500",
        ),
        (
            Page::new(list.clone()).status("404 Gone"),
            "HTTP status 404",
        ),
        (redirect, "it is redirected more than 3 times"),
        (torn, "disconnected"),
        (bomb, "it is larger than 64 MiB"),
    ] {
        web.say(page);
        wait_for_field(&server, "problem", problem);
        assert_eq!((verdict(LISTED), verdict(OTHER)), (-5, 1), "{problem}");
        assert_eq!(field(&server, "state"), "stale");
        assert_eq!(field(&server, "entries"), "4");
    }
    web.say(Page::new(list));
    wait_for_field(&server, "state", "loaded");
    assert_eq!(field(&server, "failures"), "0");
    // It has shrunk, but an operator wants it.
    web.say(Page::new(format!("{OTHER}\n")));
    wait_for_field(&server, "problem", "shrunk");
    let confirmed = server.kamcmd(&["sec.reload", "test", "confirm"]);
    assert!(confirmed.is_ok(), "{confirmed:?}");
    wait_for_verdict(OTHER, -5);
    assert_eq!(verdict(LISTED), 1);
    let log = server.stop();
    for said in [
        "feed test: HTTP status 500; the list before it stays",
        "feed test: it is larger than 64 MiB; the list before it stays",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert!(log.contains("feed test: it is fine again"), "{log}");
}

#[test]
fn a_server_is_asked_politely() {
    isolate();
    let list = format!("{LISTED}\n");
    let web = Web::start(move |asked| match asked.path.as_str() {
        "/list" => Page::new("")
            .status("301 Moved")
            .header("Location", "/moved"),
        _ if asked.header("if-none-match") == "\"v1\"" => Page {
            length: None,
            ..Page::new("").status("304 Not Modified")
        },
        _ => Page::compressed(list.as_bytes())
            .header("ETag", "\"v1\"")
            .header("Last-Modified", "Sun, 22 Nov 2026 20:00:00 GMT"),
    });
    let server = Kamailio::start(of_web(&web, ""));
    wait_for_verdict(LISTED, -5);
    let again = wait_for("the same list to be asked for again", || {
        let asked = web.asked();
        asked
            .into_iter()
            .find(|asked| asked.header("if-none-match") == "\"v1\"")
    });
    assert_eq!(
        again.header("if-modified-since"),
        "Sun, 22 Nov 2026 20:00:00 GMT"
    );
    assert!(
        again.header("accept-encoding").contains("gzip"),
        "{again:?}"
    );
    assert!(
        again.header("user-agent").starts_with("kamailio-sec/"),
        "{again:?}"
    );
    assert_eq!(
        (field(&server, "state"), field(&server, "problem")),
        ("loaded".into(), String::new())
    );
    assert_eq!(verdict(LISTED), -5);
    web.say(
        Page::new("")
            .status("429 Slow Down")
            .header("Retry-After", "500"),
    );
    wait_for_field(&server, "problem", "HTTP status 429");
    let next: u64 = field(&server, "next_try").parse().unwrap();
    assert!((440..=551).contains(&next), "{next}");
}

#[test]
fn a_server_that_hangs_holds_up_nobody() {
    isolate();
    let web = Web::with(Page {
        stall: Some(5),
        ..Page::new(format!("{LISTED}\n"))
    });
    let folder = folder();
    let file = folder.path().join("list");
    fs::write(&file, OTHER).unwrap();
    let file = format!("name=other;url=file://{}", file.display());
    let server = Kamailio::start(of_web(&web, "").param("feed", &*file));
    wait_for_verdict(OTHER, -5);
    wait_until("the hanging server to be asked", || !web.asked().is_empty());
    server.kamcmd(&["sec.ban", "10.9.0.0/16"]).unwrap();
    wait_for_verdict("10.9.1.1", -1);
    assert_eq!(verdict(LISTED), 1);
    assert!(feeds(&server).contains("state: not loaded"));
    server.stop();
}

#[test]
fn pages_of_apiban_add_up() {
    isolate();
    let web = Web::start(|asked| {
        let page = |text: &str| Page::new(text).header("Content-Type", "application/json");
        match asked.path.as_str() {
            "/api/s3cret/banned/100" => {
                page(r#"{"ipaddress":["203.0.113.7","10.0.0.1"],"ID":"200"}"#)
            }
            "/api/s3cret/banned/200" => page(r#"{"ipaddress":["203.0.113.8"],"ID":"300"}"#),
            _ => page(r#"{"ipaddress":["no new bans"],"ID":"none"}"#).status("400 Bad Request"),
        }
    });
    let url = web.url("/api");
    let feed = format!("name=test;format=apiban;url={url};key=s3cret;refresh=1;action=ban");
    let folder = folder();
    let config = config()
        .param("feed", &*feed)
        .param("feed_dir", folder.path());
    let server = Kamailio::start(config.clone());
    wait_for_verdict(LISTED, -2);
    wait_for_verdict(OTHER, -2);
    wait_until("the next round to go on behind the last page", || {
        let asked = web.asked();
        let paths = asked.iter().map(|asked| asked.path.as_str());
        paths.filter(|path| path.ends_with("/banned/300")).count() > 1
    });
    assert_eq!(
        web.asked()
            .iter()
            .filter(|asked| asked.path.ends_with("/100"))
            .count(),
        1
    );
    assert_eq!(field(&server, "entries"), "2");
    assert_eq!(field(&server, "problem"), "");
    web.say(
        Page::new(r#"{"ipaddress":"rate limit exceeded","ID":"unauthorized"}"#).status("429 No"),
    );
    wait_for_field(
        &server,
        "problem",
        "HTTP status 429: rate limit exceeded, unauthorized",
    );
    let shown = feeds(&server);
    assert!(!shown.contains("s3cret"), "{shown}");
    let log = server.stop();
    assert!(!log.contains("s3cret"), "{log}");

    // The next start goes on where this one ended.
    let copy = fs::read_to_string(folder.path().join("test.feed")).unwrap();
    assert!(
        copy.contains("# cursor 300") && !copy.contains("s3cret"),
        "{copy}"
    );
    let server = Kamailio::start(config);
    wait_for_field(&server, "entries", "2");
    wait_until("its cursor to be used", || {
        web.asked()
            .last()
            .is_some_and(|asked| asked.path.ends_with("/300"))
    });
}

#[test]
fn the_last_good_copy_survives_a_restart_without_a_network() {
    isolate();
    let folder = folder();
    let web = Web::with(Page::new(format!("{LISTED}\n")).header("ETag", "\"v1\""));
    let config = of_web(&web, "").param("feed_dir", folder.path());
    let server = Kamailio::start(config.clone());
    wait_for_verdict(LISTED, -5);
    let copy = folder.path().join("test.feed");
    wait_until("the copy", || copy.exists());
    server.stop();
    drop(web);
    let server = Kamailio::start(config.clone());
    wait_for_verdict(LISTED, -5);
    wait_for_field(&server, "state", "stale");
    assert_eq!(field(&server, "entries"), "1");
    let log = server.stop();
    assert!(log.contains("feed test: 1 entries, from its copy"), "{log}");

    // Whoever can write there cannot cut off a private network.
    let text = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, text.replace(LISTED, "10.0.0.0/8")).unwrap();
    let server = Kamailio::start(config);
    wait_for_field(&server, "failures", "1");
    assert_eq!(
        (verdict("10.1.1.1"), field(&server, "entries")),
        (1, "0".into())
    );
    let log = server.stop();
    assert!(log.contains("test.feed is not used: its line"), "{log}");
}

#[test]
fn entries_end_when_a_feed_has_not_named_them_for_long() {
    isolate();
    let web = Web::with(Page::new(format!("{LISTED}\n")));
    let server = Kamailio::start(of_web(&web, ";ttl=2"));
    wait_for_verdict(LISTED, -5);
    web.say(Page::new("").status("500 Oh no"));
    wait_for_verdict(LISTED, 1);
    wait_for_field(&server, "state", "too old");
    assert_eq!(field(&server, "entries"), "0");
    web.say(Page::new(format!("{LISTED}\n")));
    wait_for_verdict(LISTED, -5);
}

#[test]
fn another_agent_goes_on_with_what_was_published() {
    isolate();
    let folder = folder();
    let file = folder.path().join("list");
    fs::write(&file, OTHER).unwrap();
    let web = Web::with(Page::new(format!("{LISTED}\n203.0.113.0/26\n")));
    let other = format!("name=other;url=file://{}", file.display());
    let server = Kamailio::start(of_web(&web, "").param("feed", &*other));
    wait_until("both feeds", || {
        verdict(LISTED) == -5 && verdict(OTHER) == -5
    });
    web.say(Page::new("").status("500 Oh no"));
    let before = server.agent();
    // It may be down for a moment, but the lists hold.
    server.signal(before, Signal::SIGKILL);
    wait_until("the next agent", || {
        assert_eq!((verdict(LISTED), verdict("203.0.113.9")), (-5, -5));
        server.status("agent_pid") != before.to_string()
    });
    wait_until("both feeds to be looked at", || {
        feeds(&server).matches("failures: 0").count() == 1
    });
    replace(&file, "203.0.113.99\n");
    reload_named(&server, "other");
    wait_for_verdict("203.0.113.99", -5);
    assert_eq!((verdict(LISTED), verdict("203.0.113.9")), (-5, -5));
    assert_eq!(verdict("203.0.113.64"), 1);
    // What was recovered lies in more pieces than the list has lines: it has not shrunk.
    web.say(Page::new(format!("{LISTED}\n203.0.113.0/26\n")));
    wait_until("both feeds to be loaded again", || {
        feeds(&server).matches("state: loaded").count() == 2
    });
}

fn reload_named(server: &Kamailio, name: &str) {
    let reply = server.kamcmd(&["sec.reload", name]);
    assert!(reply.is_ok(), "{reply:?}");
}

#[test]
fn a_list_that_does_not_fit_is_refused() {
    isolate();
    let folder = folder();
    let file = folder.path().join("list");
    fs::write(&file, LISTED).unwrap();
    let server = Kamailio::start(of_file(&file, "").param("snapshot_size", 1));
    wait_for_verdict(LISTED, -5);
    let large: String = (0..100_000u32)
        .map(|n| format!("198.{}.{}.{}\n", n >> 15, n >> 7 & 255, n << 1 & 255))
        .collect();
    replace(&file, &large);
    wait_for_field(&server, "problem", "snapshot_size is too small");
    assert_eq!((verdict(LISTED), verdict("198.0.0.2")), (-5, 1));
    assert_eq!(field(&server, "entries"), "1");
    replace(&file, &format!("{LISTED}\n{OTHER}\n"));
    wait_for_verdict(OTHER, -5);
    wait_for_field(&server, "state", "loaded");
}

/// Whatever the moment, a request is judged by one whole list: an address that stands in all of them
/// is never let through, and one that stands in none is never refused.
#[test]
fn lists_are_swapped_as_a_whole_under_load() {
    isolate();
    let folder = folder();
    let file = folder.path().join("list");
    // The same address at another place in lists of other lengths.
    let list = |turn: u32| -> String {
        let before =
            (0..200 + 300 * (turn % 3)).map(|n| format!("198.18.{}.{}\n", n >> 8, n & 255));
        let behind = (0..100 + 200 * (turn % 5)).map(|n| format!("203.1.{}.{}\n", n >> 8, n & 255));
        before
            .chain([format!("{LISTED}\n")])
            .chain(behind)
            .collect()
    };
    fs::write(&file, list(0)).unwrap();
    let config = of_file(&file, ";max_shrink=100").workers(4);
    let server = Kamailio::start(config);
    wait_for_verdict(LISTED, -5);
    let published = || {
        let status = server.kamcmd(&["sec.status"]).unwrap();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.trim().strip_prefix("lists_published: "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let check = Request::call("sec_check", &[]);
    let (mut listed, mut free) = (Client::udp(LISTED), Client::udp(OTHER));
    let before = published();
    let mut turn = 1;
    while published() < before + 12 {
        replace(&file, &list(turn));
        reload(&server);
        turn += 1;
        assert_eq!(listed.burst(200, &check), [-5; 200]);
        assert_eq!(free.burst(200, &check), [1; 200]);
    }
    assert_eq!(field(&server, "problem"), "");
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn a_key_is_never_shown() {
    isolate();
    let feed = "name=test;url=http://u:s3cret@127.0.0.1:9/{key}?k=s3cret;key=s3cret";
    let checked = config().param("feed", feed).check();
    assert!(
        checked.accepted && !checked.log.contains("s3cret"),
        "{}",
        checked.log
    );
    for slip in [";refresh=x", ";action=x", ";key=other", ";x=1"] {
        let checked = config().param("feed", &*format!("{feed}{slip}")).check();
        assert!(!checked.accepted, "{slip}");
        assert!(checked.log.contains("feed: "), "{}", checked.log);
        assert!(!checked.log.contains("s3cret"), "{}", checked.log);
    }
    let server = Kamailio::start(config().param("feed", feed));
    wait_for_field(&server, "failures", "1");
    let shown = feeds(&server);
    assert!(shown.contains("url: http://127.0.0.1:9/{key}\n"), "{shown}");
    let log = server.stop();
    assert!(log.contains("feed test: "), "{log}");
    assert!(!format!("{shown}{log}").contains("s3cret"), "{shown}{log}");
}
