//! Hostile messages, class by class: what RFC 4475 ("torture tests") tells apart, in messages of our
//! own, and what scanners and broken devices send besides.
//!
//! Made for `tests/hostile` and for the trial of `make soak` that sends them over and over. Only
//! data: it sends nothing and knows no server but its address.

use super::oversized;
use crate::host::SERVER;

/// Messages of one kind.
pub struct Class {
    pub name: &'static str,
    /// Makes all of them.
    pub messages: fn() -> Vec<Vec<u8>>,
    /// Whether the core lets some of them through to the script.
    pub reaches_script: bool,
}

const fn class(name: &'static str, messages: fn() -> Vec<Vec<u8>>) -> Class {
    Class {
        name,
        messages,
        reaches_script: true,
    }
}

/// All of them.
pub const CLASSES: [Class; 14] = [
    class("valid and unusual", unusual),
    class("first lines", first_lines),
    class("addresses", addresses),
    class("users", users),
    class("numbers", numbers),
    class("fields that are missing, repeated or folded", fields),
    class("bytes that are no text", no_text),
    class("references to IPv6", references),
    class("credentials", credentials),
    class("bodies", bodies),
    class("reasons", reasons),
    Class {
        reaches_script: false,
        ..class("replies", replies)
    },
    class("cut off", cut_off),
    class("oversized", oversized::messages),
];

const METHODS: [&str; 3] = ["REGISTER", "INVITE", "OPTIONS"];

/// A request that can be spoiled.
#[derive(Clone)]
pub struct Draft {
    line: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Draft {
    pub fn new(method: &str) -> Self {
        let fields = [
            ("Via", "SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bK7".into()),
            ("Max-Forwards", "70".into()),
            ("From", format!("\"Anna\" <sip:anna@{SERVER}>;tag=1")),
            ("To", format!("<sip:7001@{SERVER}>")),
            ("Call-ID", "1@203.0.113.1".into()),
            ("CSeq", format!("1 {method}")),
            ("Contact", "<sip:anna@203.0.113.1>".into()),
            ("User-Agent", "Desk phone/1.0".into()),
            ("Content-Length", "0".into()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        Self {
            line: format!("{method} sip:7001@{SERVER} SIP/2.0").into_bytes(),
            fields: fields.to_vec(),
            body: Vec::new(),
        }
    }

    fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.line = line.as_ref().to_vec();
        self
    }

    /// Replaces a field, or adds one.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.as_ref().to_vec(),
            None => self = self.and(name, value),
        }
        self
    }

    /// Adds a field, whether or not there is one of that name.
    pub fn and(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.line[..], b"\r\n"].concat();
        for (name, value) in &self.fields {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend([b"\r\n", &self.body[..]].concat());
        bytes
    }
}

/// One request of each method, spoiled in the same way.
pub fn all_methods(spoil: impl Fn(Draft) -> Draft) -> Vec<Vec<u8>> {
    let spoiled = METHODS.iter().map(|method| spoil(Draft::new(method)));
    spoiled.map(|draft| draft.bytes()).collect()
}

/// For each value: one request of each method with it.
fn with_each<V: AsRef<[u8]>>(name: &str, values: &[V]) -> Vec<Vec<u8>> {
    let requests = values
        .iter()
        .flat_map(|value| all_methods(|draft| draft.with(name, value)));
    requests.collect()
}

fn unusual() -> Vec<Vec<u8>> {
    let folded = |draft: Draft| {
        draft
            .without("From")
            .without("Via")
            .and(
                "v",
                "SIP  / 2.0\r\n /UDP\r\n\t203.0.113.1 ; branch = z9hG4bK-x ;q=\"a\\\"b\"",
            )
            .and(
                "FROM",
                "\"A\\\\\\\"\"\r\n <sip:anna@192.0.2.10>\r\n ;\r\n tag\t=\t1",
            )
            .and("uSeR-aGeNt", "\r\n\tfriendly\r\n -scanner\r\n ")
            .and("X-!%*.~'`_+", "newfangled \u{1F4DE}; \u{e4}=\"\u{df}\"")
    };
    let compact = |draft: Draft| {
        let short = [
            ("From", "f"),
            ("To", "t"),
            ("Call-ID", "i"),
            ("Contact", "m"),
        ];
        short.iter().fold(draft, |draft, (long, short)| {
            let value = format!("<sip:{short}@192.0.2.10>");
            draft.without(long).and(short, value)
        })
    };
    let mut all = all_methods(folded);
    all.extend(all_methods(compact));
    all.extend(all_methods(|draft| {
        draft.with(
            "From",
            "\"No space\"<sip:anna;day=tuesday@192.0.2.10;x>;tag=1",
        )
    }));
    let transports = ["TLS-SCTP", "UNKNOWN", "X", "SCTP", "WSS"];
    let via = transports.map(|name| format!("SIP/2.0/{name} 203.0.113.1;branch=z9hG4bK1"));
    all.extend(with_each("Via", &via));
    let agents = [
        "sipvicious",
        "SIPVicious\r\n ",
        "friendly\tscanner",
        "sundayddr",
        "",
        "%s%n%p",
    ];
    all.extend(with_each("User-Agent", &agents));
    // What follows the announced body in a datagram is not of it.
    all.extend(all_methods(|draft| {
        draft.body("BYE sip:x@192.0.2.10 SIP/2.0\r\n\r\n")
    }));
    let old = "INVITE sip:7001@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1\r\n\
               From: sip:anna@192.0.2.10\r\nTo: sip:7001@192.0.2.10\r\nCall-ID: 0\r\n\
               CSeq: 1 INVITE\r\n\r\n";
    all.push(old.into());
    all
}

fn first_lines() -> Vec<Vec<u8>> {
    let lines = [
        "%m <sip:7001@192.0.2.10> SIP/2.0",
        "%m sip:7001@192.0.2.10; lr SIP/2.0",
        "%m  sip:7001@192.0.2.10  SIP/2.0",
        "%m sip:7001@192.0.2.10 SIP/2.0  ",
        "%m sip:7001@192.0.2.10?Route=%3Csip:x%3E%0d%0aX:y SIP/2.0",
        "%m sip:7001@192.0.2.10 SIP/7.0",
        "%m sip:7001@192.0.2.10 SIP/2.00000000000000000",
        "%m sip:7001@192.0.2.10",
        "%m sip: SIP/2.0",
        "%m : SIP/2.0",
        "%m  SIP/2.0",
        "%m nobodyKnowsThisScheme:totallyopaque SIP/2.0",
        "%m tel:+4930;phone-context=x SIP/2.0",
        "%m sips:7001@192.0.2.10:99999999 SIP/2.0",
        "%m sip:7001@192.0.2.10:-1 SIP/2.0",
        "%m urn:service:sos SIP/2.0",
        "%m sip:7001@[2001:db8::10 SIP/2.0",
        "%m sip:7001@192.0.2.10;maddr=;transport=;user= SIP/2.0",
        "%m sip:%00@%00 SIP/2.0",
        "NEWMETHOD%m!%*_+`.~ sip:7001@192.0.2.10 SIP/2.0",
        "\u{1}\u{7f}\u{2028} sip:7001@192.0.2.10 SIP/2.0",
    ];
    let mut all = Vec::new();
    for method in METHODS {
        for line in lines {
            all.push(Draft::new(method).line(line.replace("%m", method)).bytes());
        }
        // Its own method, and another one in CSeq.
        let other = Draft::new(method).with("CSeq", "1 NOTIFY");
        all.push(other.bytes());
        let endless = format!("{}{method} sip:a@b SIP/2.0", "\r\n".repeat(500));
        all.push(Draft::new(method).line(endless).bytes());
    }
    all
}

/// What may stand where a name and its URI should.
const ADDRESSES: [&str; 30] = [
    "",
    " ",
    "<",
    ">",
    "<>",
    "<<sip:a@b>>",
    "\"",
    "\"unterminated <sip:anna@192.0.2.10>;tag=1",
    "\"\\\" <sip:anna@192.0.2.10>;tag=1",
    "Bell, Anna <sip:anna@192.0.2.10>;tag=1",
    "sip:anna@192.0.2.10?Route=%3Csip:x%3E;tag=1",
    "<sip:anna@192.0.2.10;tag=1",
    "sip:anna@192.0.2.10>;tag=1",
    "< sip:anna@192.0.2.10 >;tag=1",
    "<sip: anna@192.0.2.10>;tag=1",
    "<sip:@>;tag=1",
    "<sip:@192.0.2.10>;tag=1",
    "<sip:anna@>;tag=1",
    "<sip::@192.0.2.10>;tag=1",
    "<sip:192.0.2.10>;tag=1",
    "<sip:anna@192.0.2.10:>;tag=1",
    "<sip:anna@192.0.2.10:999999999999>;tag=1",
    "<tel:+4930;ext=1>;tag=1",
    "<http://anna@192.0.2.10/>;tag=1",
    "<mailto:anna>",
    "<sip:anna@192.0.2.10>;tag",
    "<sip:anna@192.0.2.10>;tag=1;tag=2;;;=;",
    "<sip:anna@192.0.2.10>, <sip:ben@192.0.2.10>;tag=1",
    "*",
    "anonymous <sip:anonymous@anonymous.invalid>;tag=\"",
];

fn addresses() -> Vec<Vec<u8>> {
    let names = ["From", "To", "Contact", "Route", "P-Asserted-Identity"];
    let requests = names.iter().flat_map(|name| with_each(name, &ADDRESSES));
    requests.collect()
}

/// A request of each method with this URI in its first line.
fn requests_to(uri: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    METHODS.into_iter().map(move |method| {
        let line = [method.as_bytes(), b" ", uri, b" SIP/2.0"].concat();
        Draft::new(method).line(line).bytes()
    })
}

fn users() -> Vec<Vec<u8>> {
    let long = [
        b"7".repeat(400),
        b"%37".repeat(200),
        b"\xf0\x9f\x93\x9e".repeat(90),
    ];
    let mut users: Vec<&[u8]> = vec![
        b"",
        b"%",
        b"%0",
        b"%00",
        b"%zz",
        b"%ff%fe%fd",
        b"anna%00ben",
        b"7%30%30%31",
        b"%2537001",
        b"anna%40x%3a%3b%22",
        b"anna%0d%0aX-Forged:%201",
        b"\0",
        b"anna\0",
        b"\xff\xfe",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x80\xae1007",
        b"anna;a=b;c",
        b"anna:secret:more",
        b"anna@ben@cid",
        b"+49(30)1234-56",
        b"7001;phone-context=+1",
        b"\"anna\"",
        b"<anna>",
        b"X[1-9",
        b"_7XXX.",
        b"'; DROP TABLE subscriber; --",
        b"${jndi:x}%s%n$rU",
    ];
    users.extend(long.iter().map(Vec::as_slice));
    let mut all = Vec::new();
    for user in users {
        let uri = [b"sip:", user, b"@192.0.2.10"].concat();
        let address = [b"<", &uri[..], b">;tag=1"].concat();
        for name in ["From", "To", "Contact"] {
            all.extend(all_methods(|draft| draft.with(name, &address)));
        }
        all.extend(requests_to(&uri));
    }
    all
}

fn numbers() -> Vec<Vec<u8>> {
    let numbers = [
        "",
        "-1",
        "0",
        "+1",
        "1e9",
        "0x10",
        "2147483648",
        "4294967296",
        "18446744073709551616",
        "36893488147419103232",
        "99999999999999999999999999999999999999",
        "1 1",
        "many",
    ];
    let names = [
        "Content-Length",
        "Max-Forwards",
        "Expires",
        "Retry-After",
        "Timestamp",
        "RSeq",
    ];
    let mut all: Vec<Vec<u8>> = names
        .iter()
        .flat_map(|name| with_each(name, &numbers))
        .collect();
    let more = numbers.map(|number| {
        all_methods(|draft| {
            let via = format!("SIP/2.0/UDP 203.0.113.1:{number};rport={number};ttl={number}");
            let contact = format!("<sip:anna@203.0.113.1:{number}>;q={number};expires={number}");
            draft.with("Via", via).with("Contact", contact)
        })
    });
    all.extend(more.concat());
    for method in METHODS {
        let values = numbers.map(|number| format!("{number} {method}"));
        all.extend(values.map(|value| Draft::new(method).with("CSeq", value).bytes()));
    }
    let dates = [
        "Fri, 01 Jan 2010 16:00:00 EST",
        "Xxx, 99 Zzz 99999 99:99:99 GMT",
        "",
    ];
    all.extend(with_each("Date", &dates));
    all
}

fn fields() -> Vec<Vec<u8>> {
    let names = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "User-Agent",
        "Content-Length",
    ];
    let mut all = Vec::new();
    for name in names {
        all.extend(all_methods(|draft| draft.without(name)));
        for value in ["", "\r\n ", ";;,;,,", "<sip:other@192.0.2.10>;tag=2", "7"] {
            all.extend(all_methods(|draft| draft.and(name, value)));
        }
        all.extend(all_methods(|draft| {
            (0..40).fold(draft, |draft, number| draft.and(name, number.to_string()))
        }));
    }
    for (name, value) in [
        (
            "Proxy-Require",
            "nothingSupportsThis, nothingSupportsThisEither",
        ),
        ("Require", ",,,"),
        ("no colon", "\r\n:\r\n: :\r\n no name"),
        (" From", "<sip:folded@192.0.2.10>"),
        (
            "Contact",
            "*;expires=0, <sip:a@b?Route=%3Csip:x%3E>;+sip.instance=\"<urn:uuid:0>\"",
        ),
        (
            "Via",
            "SIP/2.0/UDP 255.255.255.255, SIP/2.0/UDP \r\n , ,SIP/2.0/UDP",
        ),
        ("Accept", "text/nobodyKnowsThis"),
        ("X-Fold", &"\r\n ".repeat(300)),
    ] {
        all.extend(all_methods(|draft| draft.and(name, value)));
    }
    all
}

fn no_text() -> Vec<Vec<u8>> {
    let every: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 8] = [
        b"\0",
        b"a\0b",
        b"\xff\xfe\xfd",
        b"\xc3\x28\xa0\xa1",
        b"\x80\x80\x80\x80",
        b"\x1b[2J\x1b]0;owned\x07",
        b"x\r y\n\0z",
        &every,
    ];
    let names = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "User-Agent",
        "X-Any",
    ];
    let mut all: Vec<Vec<u8>> = names
        .iter()
        .flat_map(|name| with_each(name, &values))
        .collect();
    for value in values {
        let via = [b"SIP/2.0/UDP 203.0.113.1;branch=", value].concat();
        all.extend(all_methods(|draft| draft.with("Via", &via)));
        all.extend(all_methods(|draft| draft.body(value)));
        all.push(value.to_vec());
    }
    all
}

fn references() -> Vec<Vec<u8>> {
    let hosts = [
        "[2001:db8::1]",
        "2001:db8::1",
        "[2001:db8::1",
        "2001:db8::1]",
        "[]",
        "[:::]",
        "[::ffff:203.0.113.1]",
        "[2001:db8::1%25eth0]",
        "[fe80::1%eth0]",
        "[1:2:3:4:5:6:7:8:9]",
        "[2001:db8::g]",
        "[203.0.113.1]",
        "[[2001:db8::1]]",
        "[2001:db8::1]]:5060",
        "[2001:db8::1]:x",
    ];
    let mut all = Vec::new();
    for host in hosts {
        all.extend(all_methods(|draft| {
            draft
                .with("From", format!("<sip:anna@{host}>;tag=1"))
                .with("To", format!("<sip:7001@{host}:5060>"))
                .with("Contact", format!("sip:{host}"))
        }));
        let via = format!("SIP/2.0/UDP {host};received={host};branch=z9hG4bK1");
        all.extend(all_methods(|draft| draft.with("Via", &via)));
        all.extend(requests_to(format!("sip:7001@{host}").as_bytes()));
    }
    all
}

fn credentials() -> Vec<Vec<u8>> {
    let values = [
        "",
        "Digest",
        "Digest ",
        "Digest username",
        "Digest username=",
        "Digest username=\"anna",
        "Digest username=\"\", realm=\"\", nonce=\"\", uri=\"\", response=\"\"",
        "Digest username=\"a\\\"nna\", realm=\"192.0.2.10\", nonce=\"x\", uri=\"sip:a\", response=\"0\"",
        "Digest username=\"\u{0}\u{7f}\u{fffd}\", realm=\"192.0.2.10\", nonce=\"1\", uri=\"s\", response=\"1\"",
        "Digest realm=\"192.0.2.10\", nonce=\"1\", uri=\"s\", response=\"1\", nc=ffffffffff, qop=auth-",
        "Digest ,,,,=,=,=",
        "Basic YW5uYTpzZWNyZXQ=",
        "NoOneKnowsThisScheme opaque-data=here",
        "Digest algorithm=SHA-9000, username=anna@192.0.2.10@x",
    ];
    let mut all = with_each("Authorization", &values);
    all.extend(with_each("Proxy-Authorization", &values));
    let many = values.map(|value| value.repeat(20)).join(", ");
    all.extend(all_methods(|draft| draft.with("Authorization", &many)));
    all
}

fn bodies() -> Vec<Vec<u8>> {
    let bodies: [(&str, &[u8]); 7] = [
        (
            "application/sdp",
            b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=audio 99999999 RTP/AVP 0 0 0 0",
        ),
        (
            "application/sdp",
            b"v=\r\no=\r\n=\r\nm=\r\nc=IN IP6 [\r\na=\0",
        ),
        ("multipart/mixed;boundary=\"x", b"--x\r\n--x--\r\n--x"),
        ("multipart/mixed;boundary=", b"----\r\n----"),
        ("application/unknownformat", b"<audio>\xff</audio>"),
        ("//;;", b"REGISTER sip:x SIP/2.0\r\nFrom: a\r\n\r\n"),
        ("", b"\xff\xd8\xff\xe0\0\0"),
    ];
    let mut all = Vec::new();
    for (kind, body) in bodies {
        for length in [0, 1, body.len(), body.len() + 1, 9999, usize::MAX] {
            all.extend(all_methods(|draft| {
                let draft = draft.with("Content-Type", kind).body(body);
                draft.with("Content-Length", length.to_string())
            }));
        }
    }
    all
}

/// The script reports them as offences, in the sender's own words (see [`super::config`]).
fn reasons() -> Vec<Vec<u8>> {
    let agents: [&[u8]; 8] = [
        b"",
        b"scanner",
        b"\xff\xfe",
        b"a\" reason=\"b",
        b"\x1b[31mred\x1b[0m",
        b"line\r\n NOTICE: sec: unban 203.0.113.1",
        b"%s%n%d",
        &[b'w'; 3000],
    ];
    let message = |agent: &[u8]| Draft::new("MESSAGE").with("User-Agent", agent).bytes();
    let mut all: Vec<Vec<u8>> = agents.iter().map(|agent| message(agent)).collect();
    // More words than the module keeps.
    all.extend((0..600).map(|number| message(format!("word {number}").as_bytes())));
    all
}

fn replies() -> Vec<Vec<u8>> {
    let lines = [
        "SIP/2.0 200 OK",
        "SIP/2.0 100 \u{427}\u{442}\u{43e}",
        "SIP/2.0 200 ",
        "SIP/2.0 200",
        "SIP/2.0 4294967301 better not break",
        "SIP/2.0 -1 x",
        "SIP/2.0 99 x",
        "SIP/2.0  ",
        "SIP/3.0 200 OK",
        "HTTP/1.1 200 OK",
    ];
    let via = [
        "SIP/2.0/UDP 255.255.255.255",
        "SIP/2.0/UDP 192.0.2.10:5060",
        "",
    ];
    let mut all = Vec::new();
    for line in lines {
        for via in via {
            all.extend(all_methods(|draft| draft.line(line).with("Via", via)));
        }
    }
    all
}

fn cut_off() -> Vec<Vec<u8>> {
    let with_body = |method| {
        let draft = Draft::new(method).with("Content-Type", "application/sdp");
        draft.with("Content-Length", "7").body("v=0\r\n\r\n")
    };
    let whole = METHODS.map(|method| with_body(method).bytes());
    let ends = |bytes: &Vec<u8>| (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
    whole.iter().flat_map::<Vec<_>, _>(ends).collect()
}
