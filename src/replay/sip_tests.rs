//! Messages as text.

use proptest::prelude::*;

use super::*;

fn source() -> IpAddr {
    "203.0.113.7".parse().unwrap()
}

fn message(first: &str, headers: &str) -> String {
    format!("{first}\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n{headers}\r\n\r\n")
}

fn request(text: &str) -> Option<Captured<'_>> {
    Captured::again(source(), text.as_bytes())
}

#[test]
fn requests_replies_and_other_traffic() {
    let invite = message("INVITE sip:x SIP/2.0", "CSeq: 1 INVITE");
    assert_eq!(request(&invite).unwrap().method(), b"INVITE");
    let padded = format!("\r\n\r\n{invite}");
    assert!(request(&padded).is_some());
    let compact = "OPTIONS sip:x SIP/2.0\r\nv: SIP/2.0/UDP x\r\n\r\n";
    assert!(request(compact).is_some());
    let busy = message("SIP/2.0 486 Busy Here", "CSeq: 1 INVITE");
    let read_busy = read(source(), busy.as_bytes());
    assert!(matches!(read_busy, Some(Message::Reply(reply)) if reply.code == 486));
    for text in [
        "",
        "\r\n\r\n",
        "\0\0\0\0",
        "INVITE sip:x SIP/2.0\r\n\r\n",
        "INVITE  SIP/2.0\r\nVia: x\r\n\r\n",
        "INVITE sip:x HTTP/1.1\r\nVia: x\r\n\r\n",
        "SIP/2.0 99 Low\r\nVia: x\r\n\r\n",
        "SIP/2.0 x\r\nVia: x\r\n\r\n",
    ] {
        assert!(read(source(), text.as_bytes()).is_none(), "{text:?}");
    }
}

#[test]
fn users_and_domains_are_those_of_the_uri() {
    for (value, user, host) in [
        ("<sip:7001@example.com>;tag=1", "7001", "example.com"),
        (
            "\"An <odd> \\\" name\" <sip:anna:secret@example.com:5060;x=y>",
            "anna",
            "example.com",
        ),
        (
            "Anna <sips:anna@[2001:db8::1]:5061>",
            "anna",
            "[2001:db8::1]",
        ),
        ("sip:anna@example.com;tag=1", "anna", "example.com"),
        ("<sip:example.com>", "", "example.com"),
        ("<tel:+4912345;phone-context=x>", "+4912345", ""),
    ] {
        let text = message(
            "REGISTER sip:x SIP/2.0",
            &format!("f: {value}\r\nTo: {value}"),
        );
        let request = request(&text).unwrap();
        let said = |text: &'static str| Some(text.as_bytes()).filter(|text| !text.is_empty());
        let users = (request.from_user(), request.to_user());
        assert_eq!(users, (said(user), said(user)), "{value}");
        let hosts = (request.from_domain(), request.to_domain());
        assert_eq!(hosts, (said(host), said(host)), "{value}");
    }
    for value in [
        "",
        "<sip:anna@x",
        "\"open <sip:a@x>",
        "mailto:a@x",
        "nothing",
    ] {
        let text = message("REGISTER sip:x SIP/2.0", &format!("From: {value}"));
        assert_eq!(request(&text).unwrap().from_user(), None, "{value}");
    }
}

#[test]
fn credentials_and_challenges() {
    let digest =
        "Authorization: Digest username=\"anna, b\",realm=\"x\", nonce = \"n=1\" , response=\"y\"";
    let text = message("REGISTER sip:x SIP/2.0", digest);
    let credentials = request(&text).unwrap().credentials();
    let expected = Credentials {
        user: b"anna, b",
        nonce: b"n=1",
    };
    assert_eq!(credentials, Some(expected));
    for (value, stale) in [
        ("WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"", false),
        ("Proxy-Authenticate: Digest nonce=\"n\", stale=true", true),
        ("WWW-Authenticate: Digest stale=\"TRUE\", nonce=\"n\"", true),
        ("WWW-Authenticate: Digest stale=false,nonce=n", false),
    ] {
        let text = message("SIP/2.0 401 Unauthorized", value);
        let Some(Message::Reply(reply)) = read(source(), text.as_bytes()) else {
            panic!("{text} is a reply");
        };
        assert_eq!(
            reply.challenge(),
            Some(Challenge { nonce: b"n", stale }),
            "{value}"
        );
    }
    for value in [
        "Authorization: Basic x",
        "Authorization: Digest username",
        "X: y",
    ] {
        let text = message("REGISTER sip:x SIP/2.0", value);
        assert_eq!(request(&text).unwrap().credentials(), None, "{value}");
    }
}

#[test]
fn a_reply_belongs_to_its_request() {
    let headers = "i: abc@x\r\nCSeq: 7 REGISTER";
    let (asked, answered) = (
        message("REGISTER sip:x SIP/2.0", headers),
        message("SIP/2.0 200 OK", "Call-ID: abc@x\r\nCSeq: 7 REGISTER"),
    );
    let Some(Message::Reply(reply)) = read(source(), answered.as_bytes()) else {
        panic!("it is a reply");
    };
    assert_eq!(request(&asked).unwrap().transaction(), reply.transaction());
    assert!(reply.transaction().is_some());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[\\x00-\\x7f]{0,200}", value in "[ -~]{0,60}") {
        read(source(), text.as_bytes());
        let headers = format!("From: {value}\r\nTo: {value}\r\nAuthorization: {value}");
        let text = message("REGISTER sip:x SIP/2.0", &headers);
        if let Some(request) = request(&text) {
            let user = request.from_user().map_or(0, <[u8]>::len);
            prop_assert!(user <= value.len());
            request.credentials();
        }
    }
}
