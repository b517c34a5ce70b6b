//! Servers that will not do: each is refused with a sentence, and calls go on.

use super::*;

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

#[test]
fn a_server_that_stops_in_mid_reply_is_left_and_tried_again() {
    isolate();
    let listener = std::net::TcpListener::bind("127.0.0.1:6379").unwrap();
    let half = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"%7\r\n$6\r\nserver\r\n$5\r\nre").unwrap();
        // It keeps the connection, and says no more, until the node gives up and comes again.
        let again = listener.accept().unwrap();
        drop((stream, again));
    });
    let node = Kamailio::start(Config::new().param("redis_url", URL));
    half.join().unwrap();
    assert_eq!(verdict(CUSTOMER), 1, "calls go on");
    assert!(node.log().contains("no link to Redis"));
    let _redis = Redis::start();
    wait_for_link(&node);
}

#[test]
fn urls_that_are_none_are_refused_at_the_start() {
    for url in [
        "",
        "localhost:6379",
        "http://127.0.0.1",
        "redis://",
        "redis://:5",
        "redis://h:99999",
    ] {
        let check = Config::new().param("redis_url", url).check();
        let named = check.log.contains("sec: redis_url");
        assert!(!check.accepted && named, "{url}: {}", check.log);
    }
}
