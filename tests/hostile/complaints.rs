//! What the core complains of in the log, because the module has it look into a header: whoever sends
//! broken ones by the thousand is not to fill the disk. Counted beside a server that asks nothing, and
//! one whose script looks at the user once.

use std::net::Ipv4Addr;

use super::host::{self, Client, Config, Forger, Kamailio, Request, SERVER};

/// A script that wants to know the user that `sec_check()` judges.
const LOOK: &str =
    "if (is_method(\"REGISTER\")) {\n$var(user) = $tU;\n} else {\n$var(user) = $fU;\n}";

/// Lines that all messages of a kind together may cost: a start has a few, and so has a ban.
const MOST_LINES: usize = 20;
/// Messages of a kind, and how many are sent before the server has to have worked them off.
const MESSAGES: u32 = 1500;
const ROW: u32 = 100;

/// Values of a To or a From that are none.
const BROKEN: [&str; 10] = [
    "",
    "<>",
    "<sip:>",
    "<sip:@>",
    "<sip:7009@>",
    "<sip:7009@[2001:db8::1>",
    "<sip:7009@192.0.2.10:99999999>",
    "<http://192.0.2.10>",
    "\"7009 <sip:7009@192.0.2.10>",
    "7009",
];

/// A method, and the headers that are broken; those without a value are missing.
struct Kind {
    name: &'static str,
    method: &'static str,
    broken: &'static [&'static str],
    missing: bool,
}

const KINDS: [Kind; 6] = [
    kind("REGISTER without To", "REGISTER", &["To"], true),
    kind("REGISTER with a broken To", "REGISTER", &["To"], false),
    kind("REGISTER with a broken From", "REGISTER", &["From"], false),
    kind("INVITE without From", "INVITE", &["From"], true),
    kind("INVITE with a broken From", "INVITE", &["From"], false),
    kind(
        "OPTIONS with both broken",
        "OPTIONS",
        &["To", "From"],
        false,
    ),
];

const fn kind(
    name: &'static str,
    method: &'static str,
    broken: &'static [&'static str],
    missing: bool,
) -> Kind {
    Kind {
        name,
        method,
        broken,
        missing,
    }
}

impl Kind {
    fn message(&self, number: u32, source: Ipv4Addr) -> String {
        let method = self.method;
        let mut text = format!(
            "{method} sip:7001@{SERVER} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {source};branch=z9hG4bK-{number}\r\nMax-Forwards: 70\r\n\
             Call-ID: {number}-{method}@{source}\r\nCSeq: 1 {method}\r\n\
             User-Agent: Desk phone/1.0\r\nContent-Length: 0\r\n"
        );
        for (name, tag) in [("To", ""), ("From", ";tag=1")] {
            let value = match (self.broken.contains(&name), self.missing) {
                (true, true) => continue,
                (true, false) => BROKEN[number as usize % BROKEN.len()],
                (false, _) => "<sip:7009@192.0.2.10>",
            };
            text += &format!("{name}: {value}{tag}\r\n");
        }
        text + "\r\n"
    }
}

/// A server at the usual level of its log that does nothing but ask this about a request.
fn server(question: &str) -> Kamailio {
    let route = format!(
        "if ($si == \"198.51.100.1\") {{\nsl_send_reply(\"200\", \"rc 1\");\nexit;\n}}\n\
         {question}\nexit;\n"
    );
    let config = Config::new()
        .param("agent_check", 1)
        .param("extension_pattern", "7XXX")
        .param("extension_methods", "REGISTER,INVITE,OPTIONS")
        .route(&route);
    Kamailio::start(config)
}

/// For each kind, the lines that the server writes: every one, whoever has it written.
fn complaints(question: &str) -> Vec<usize> {
    let server = server(question);
    let (mut forger, mut customer) = (Forger::new(), Client::udp("198.51.100.1"));
    let options = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    let mut lines = server.log().lines().count();
    let counts = KINDS.iter().zip(1..).map(|(kind, network): (_, u32)| {
        for number in 0..MESSAGES {
            // Each from another source, so that every rule has its turn.
            let source = Ipv4Addr::from(0x0a00_0000 | network << 16 | number);
            let message = kind.message(number, source);
            forger.send_bytes(source, message.as_bytes());
            if number % ROW == ROW - 1 {
                // Answered after all that was sent before: there is one worker.
                assert_eq!(customer.ask(&options).rc(), 1, "{}", kind.name);
            }
        }
        let before = std::mem::replace(&mut lines, server.log().lines().count());
        lines - before
    });
    let counts = counts.collect();
    assert_eq!(server.stat("panics"), 0);
    counts
}

#[test]
fn broken_headers_cost_no_more_lines_than_one_look_at_them() {
    host::isolate();
    let counts = ["", LOOK, "sec_check();"].map(complaints);
    let all: Vec<(&str, [usize; 3])> = (0..)
        .zip(&KINDS)
        .map(|(number, kind): (usize, _)| (kind.name, counts.each_ref().map(|of| of[number])))
        .collect();
    println!("lines of {MESSAGES} messages: unasked, looked at once, with sec_check(): {all:?}");
    let more = all
        .iter()
        .filter(|(_, [_, looked, asked])| *asked > looked + MOST_LINES);
    let more: Vec<_> = more.collect();
    assert!(more.is_empty(), "{more:?}");
}
