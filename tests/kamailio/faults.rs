//! What a stranger may send, and what our own code may do wrong: the server lives on.

use super::{Client, Config, Request, THIRTY, check, flood, observer, server, start};
use crate::host::Kamailio;

#[test]
fn a_function_that_panics_is_survived_counted_and_allows() {
    let server = start(Config::new().param("rate", THIRTY).panicking());
    let before = server.processes();
    let mut client = Client::udp("203.0.113.1");
    for _ in 0..5 {
        assert_eq!(client.call("sec_test_panic", &[]), 1);
    }
    assert_eq!(server.stat("panics"), 5);
    assert_eq!(client.call("sec_check", &[]), 1, "the same worker goes on");
    assert_eq!(server.processes(), before, "no process was replaced");
    assert!(server.log().contains("panic"), "and the log says so");
}

/// Headers that are left out, empty or broken; the request still has to be answerable.
const BROKEN: &[(&str, &str)] = &[
    ("From", ""),
    ("From", "<"),
    ("From", "nonsense"),
    ("From", "<sip:@>;tag=1"),
    ("From", "\"<sip:x@y>\";tag=1"),
    ("From", "<tel:+4930123>;tag=1"),
    ("From", "<sip:%00%ff%zz@h>;tag=1"),
    ("To", ""),
    ("To", "<sip:>"),
    ("CSeq", "x y"),
    ("CSeq", ""),
    ("Call-ID", ""),
    ("Contact", "<<<>>>"),
    ("User-Agent", ""),
    ("Content-Length", "-1"),
    ("Content-Length", "99999999"),
    ("Max-Forwards", "many"),
    ("Authorization", "Digest nonsense"),
];

const FUNCTIONS: &[(&str, &[&str])] = &[
    ("sec_check", &[]),
    ("sec_auth_failed", &[]),
    ("sec_auth_ok", &[]),
    ("sec_strike", &["broken"]),
    ("is_whitelisted", &[]),
    ("sec_is_banned", &[]),
    ("sec_unban", &[]),
    ("sec_count", &["broken", "1", "1"]),
];

#[test]
fn broken_headers_harm_nobody() {
    let config = Config::new()
        .param("rate", "name=burst;off")
        .param("strike_limit", 200);
    let server = start(config);
    let mut client = Client::udp("203.0.113.1");
    for (name, value) in BROKEN {
        for (function, arguments) in FUNCTIONS {
            client.send(&Request::call(function, arguments).header(name, value));
        }
    }
    lives(&server);
}

#[test]
fn missing_headers_harm_nobody() {
    let server = start(Config::new().param("rate", "name=burst;off"));
    let mut client = Client::udp("203.0.113.1");
    let headers = [
        "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK1",
        "From: <sip:tester@203.0.113.1>;tag=1",
        "To: <sip:sec_check@192.0.2.10>",
        "Call-ID: 1",
        "CSeq: 1 OPTIONS",
    ];
    for (function, arguments) in FUNCTIONS {
        for missing in 0..=headers.len() {
            let mut text = format!("OPTIONS sip:{function}@192.0.2.10 SIP/2.0\r\n");
            for (index, header) in headers.iter().enumerate() {
                if index != missing {
                    text += &format!("{header}\r\n");
                }
            }
            text += &format!("X-N: {}\r\n\r\n", arguments.len());
            client.send_bytes(text.as_bytes());
        }
    }
    lives(&server);
}

#[test]
fn bytes_that_are_no_message_harm_nobody() {
    let server = server();
    let mut client = Client::udp("203.0.113.1");
    let long = "A".repeat(60_000);
    let garbage: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        b"SIP/2.0 abc OK\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"OPTIONS sip:sec_check@192.0.2.10 SIP/2.0",
        b"OPTIONS \xff\xfe\xfd SIP/2.0\r\nVia: \xff\r\nFrom: \xff\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        long.as_bytes(),
    ];
    for bytes in garbage {
        client.send_bytes(bytes);
    }
    // The same bytes at every length: a message may end anywhere.
    let whole = b"OPTIONS sip:sec_check@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1\r\n\
                  From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    for end in 0..whole.len() {
        client.send_bytes(&whole[..end]);
    }
    lives(&server);
}

#[test]
fn a_broken_stream_harms_nobody() {
    let server = server();
    let streams: [&[u8]; 4] = [
        b"\0\0\0\0",
        b"OPTIONS sip:sec_check@192.0.2.10 SIP/2.0\r\nContent-Length: -7\r\n\r\n",
        b"OPTIONS sip:sec_check@192.0.2.10 SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /RPC HTTP/1.1\r\nContent-Length: 5\r\n\r\n{{{{{",
    ];
    for bytes in streams {
        Client::tcp("203.0.113.1").send_bytes(bytes);
    }
    assert_eq!(Client::tcp("203.0.113.2").call("sec_check", &[]), 1);
    lives(&server);
}

#[test]
fn unparsable_addresses_and_absurd_values_harm_nobody() {
    let server = server();
    let mut script = observer();
    let long = "1.".repeat(2000);
    let nonsense = [
        "",
        "-",
        "0",
        "1.2.3.4.5",
        "::ffff:1.2.3",
        "fe80::1%eth0",
        "%s%n",
        &long,
    ];
    for text in nonsense {
        for function in ["is_whitelisted", "sec_is_banned", "sec_check"] {
            let code = script.call(function, &[text]);
            assert!([1, -1].contains(&code), "{function}({text}): {code}");
        }
    }
    for seconds in ["-1", "2147483647", "-2147483648"] {
        let code = script.call("sec_ban", &["203.0.113.1", seconds, ""]);
        assert!([1, -1].contains(&code), "{seconds}: {code}");
        let code = script.call("sec_whitelist_add", &["203.0.113.2", seconds]);
        assert!([1, -1].contains(&code), "{seconds}: {code}");
        let code = Client::udp("203.0.113.3").call("sec_strike", &["x", seconds]);
        assert!([1, -1, -2].contains(&code), "{seconds}: {code}");
        let code = script.call("sec_count", &["key", seconds, seconds]);
        assert!([1, -1].contains(&code), "{seconds}: {code}");
    }
    let code = script.call(
        "sec_ban",
        &["203.0.113.4", "60", &"long reason ".repeat(300)],
    );
    assert_eq!(code, 1);
    assert_eq!(script.call("sec_count", &[&"k".repeat(3000), "1", "60"]), 1);
    lives(&server);
}

/// The server answers, decides as ever, and has lost no process.
fn lives(server: &Kamailio) {
    assert_eq!(Client::udp("203.0.113.99").ask(&check()).rc(), 1);
    assert_eq!(server.stat("panics"), 0);
    assert!(server.processes().len() > 3);
    let log = server.log();
    assert!(
        !log.contains("exited by a signal") && !log.contains("panicked"),
        "{log}"
    );
    assert_eq!(flood("203.0.113.98", 1), [1]);
}
