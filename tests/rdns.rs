//! Reverse DNS in a real Kamailio, with a real name server, and with one that misbehaves: whoever
//! is to be banned is held until his name is known, and nobody else ever waits for DNS.
#![forbid(unsafe_code)]

mod host;

use hickory_resolver::proto::op::ResponseCode;
use host::{
    Client, Config, DNS, Dnsmasq, Kamailio, NameServer, Reply, Request, isolate, record, verdict,
    wait_until,
};
use nix::sys::signal::Signal;

const CRAWLER: &str = "203.0.113.9";
const CRAWLER_PTR: &str = "PTR 9.113.0.203.in-addr.arpa";
const CRAWLER_NAME: &str = "crawl-1.trusted.example.com";

/// A server that trusts one domain; of a burst thirty requests pass.
fn config() -> Config {
    Config::new()
        .param("rate", "name=burst;limit=30;window=1h")
        .param("rdns_trusted", "trusted.example.com")
        .param("resolver", DNS)
}

fn check() -> Request {
    Request::call("sec_check", &[])
}

/// Strikes as hard as it takes to be banned at once.
fn offend(source: &str) {
    assert_eq!(Client::udp(source).call("sec_strike", &["scan", "10"]), 1);
}

fn variable(source: &str, name: &str) -> String {
    Client::udp(source).ask(&check()).variable(name).to_owned()
}

/// Polls the verdict on a source until it is no hold any more.
fn outcome(source: &str) -> i64 {
    host::wait_for("the end of the hold", || {
        Some(verdict(source)).filter(|code| *code != -3)
    })
}

fn explain(server: &Kamailio, source: &str) -> String {
    server.kamcmd(&["sec.explain", source]).unwrap()
}

#[test]
fn a_host_with_a_trusted_name_is_spared_and_still_limited() {
    isolate();
    let _dns = Dnsmasq::start(&[&format!("--host-record={CRAWLER_NAME},{CRAWLER}")]);
    let server = Kamailio::start(config());
    offend(CRAWLER);
    assert_eq!(outcome(CRAWLER), 3);
    let answer = Client::udp(CRAWLER).ask(&check());
    assert_eq!(
        (
            answer.rc(),
            answer.variable("reason"),
            answer.variable("rdns")
        ),
        (3, "rdns", "trusted")
    );
    let codes = Client::udp(CRAWLER).burst(60, &check());
    let (spared, limited) = codes.split_at(codes.iter().filter(|code| **code == 3).count());
    assert!(
        !spared.is_empty() && spared.iter().all(|code| *code == 3),
        "{codes:?}"
    );
    assert!(
        !limited.is_empty() && limited.iter().all(|code| *code == -4),
        "{codes:?}"
    );
    offend(CRAWLER);
    assert_eq!(verdict(CRAWLER), -4);
    let explained = explain(&server, CRAWLER);
    for part in ["result: trusted", &format!("names: {CRAWLER_NAME}")] {
        assert!(explained.contains(part), "{explained}");
    }
    assert_eq!(
        (server.stat("rdns_lookups"), server.stat("rdns_spared")),
        (1, 1)
    );
    assert_eq!((server.stat("bans"), server.stat("active_bans")), (0, 0));
    let status = server.kamcmd(&["sec.status"]).unwrap();
    for part in [
        "dns: for rdns_trusted",
        "resolver: 127.",
        "rdns_lookups: 1",
        "rdns_spared: 1",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let log = server.log();
    assert!(
        log.contains(&format!(
            "hold {CRAWLER}: {CRAWLER} is looked up reason=scan"
        )),
        "{log}"
    );
    assert!(
        log.contains(&format!("spare {CRAWLER}: {CRAWLER} was looked up")),
        "{log}"
    );
    assert!(log.contains(&format!("name=\"{CRAWLER_NAME}\"")), "{log}");
}

#[test]
fn everybody_else_gets_the_ban_that_was_due() {
    isolate();
    let _dns = Dnsmasq::start(&[
        "--host-record=host.evil.net,203.0.113.1",
        "--host-record=trusted.example.com.evil.net,203.0.113.2",
        "--host-record=not-trusted.example.com,203.0.113.3",
        // A name that is not its own: it has another address.
        "--ptr-record=4.113.0.203.in-addr.arpa,crawl-1.trusted.example.com",
        "--host-record=crawl-1.trusted.example.com,203.0.113.9",
        // A name that has none.
        "--ptr-record=5.113.0.203.in-addr.arpa,nobody.trusted.example.com",
    ]);
    let server = Kamailio::start(config());
    for (source, known) in [
        ("203.0.113.1", "untrusted"),
        ("203.0.113.2", "untrusted"),
        ("203.0.113.3", "untrusted"),
        ("203.0.113.4", "untrusted"),
        ("203.0.113.5", "untrusted"),
        ("203.0.113.6", "none"),
    ] {
        let codes = Client::udp(source).burst(40, &check());
        assert_eq!(codes[..30], [1; 30], "{source}");
        assert_eq!(codes[30], -3, "{source}");
        assert!(
            codes[31..].iter().all(|code| [-3, -1].contains(code)),
            "{codes:?}"
        );
        assert_eq!(outcome(source), -1, "{source}");
        assert_eq!(variable(source, "rdns"), known, "{source}");
        assert_eq!(variable(source, "reason"), "rate:burst");
        let ttl: i64 = variable(source, "ban_ttl").parse().unwrap();
        assert!((290..=300).contains(&ttl), "{ttl}");
    }
    let bans = server.kamcmd(&["sec.bans"]).unwrap();
    assert_eq!(bans.matches("origin: rate").count(), 6, "{bans}");
    let log = server.log();
    for line in [
        "no exception for 203.0.113.2: 203.0.113.2 was looked up reason=rate:burst by=rate \
         names=\"trusted.example.com.evil.net\" because=\"untrusted\"",
        "no exception for 203.0.113.4: 203.0.113.4 was looked up reason=rate:burst by=rate \
         names=\"crawl-1.trusted.example.com\" because=\"its addresses are others\"",
        "no exception for 203.0.113.6: 203.0.113.6 was looked up reason=rate:burst by=rate \
         because=\"no name\"",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
    assert!(explain(&server, "203.0.113.2").contains("trusted.example.com.evil.net; untrusted"));
    assert!(explain(&server, "203.0.113.4").contains("its addresses are others"));
    assert_eq!(
        (server.stat("rdns_lookups"), server.stat("rdns_spared")),
        (6, 0)
    );
    assert_eq!(server.stat("bans"), 6);
}

#[test]
fn an_address_of_an_ipv6_prefix_is_looked_up_itself() {
    isolate();
    let name = "crawl-6.trusted.example.com";
    let _dns = Dnsmasq::start(&[&format!("--host-record={name},2001:db8:5::77")]);
    let server = Kamailio::start(config().listen("udp:[2001:db8::10]:5060"));
    offend("2001:db8:5::77");
    assert_eq!(outcome("2001:db8:5::77"), 3);
    let explained = explain(&server, "2001:db8:5::1");
    assert!(explained.contains("address: 2001:db8:5::77"), "{explained}");
    // The name of a host in another prefix is not its own.
    offend("2001:db8:6::78");
    assert_eq!(outcome("2001:db8:6::78"), -1);
    assert!(
        server
            .kamcmd(&["sec.bans"])
            .unwrap()
            .contains("2001:db8:6::/64")
    );
}

#[test]
fn the_literal_rule_spares_who_has_no_name() {
    isolate();
    let _dns = Dnsmasq::start(&["--host-record=host.evil.net,203.0.113.1"]);
    let server = Kamailio::start(config().param("rdns_no_name", "spare"));
    offend("203.0.113.6");
    assert_eq!(outcome("203.0.113.6"), 3);
    assert_eq!(variable("203.0.113.6", "rdns"), "none");
    offend("203.0.113.1");
    assert_eq!(outcome("203.0.113.1"), -1);
    assert_eq!(server.stat("rdns_spared"), 1);
}

#[test]
fn wrong_passwords_are_held_and_banned_as_validated_evidence() {
    isolate();
    let _dns = Dnsmasq::start(&[]);
    let server = Kamailio::start(config().param("strike_limit", 3));
    let mut guesser = Client::udp("203.0.113.6");
    for user in ["a", "b", "c"] {
        assert_eq!(guesser.call("sec_auth_failed", &[user]), 1);
    }
    assert_eq!(outcome("203.0.113.6"), -1);
    let explained = explain(&server, "203.0.113.6");
    for part in [
        "reason: auth",
        "evidence: validated",
        "repeats: 1",
        "names: no name",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
}

/// What a source with a PTR gets when its name server behaves like this.
fn misbehaved(script: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> (i64, String) {
    let dns = NameServer::start(script);
    let server = Kamailio::start(config());
    offend(CRAWLER);
    let codes = Client::udp(CRAWLER).burst(20, &check());
    assert!(codes.iter().all(|code| *code != 1), "{codes:?}");
    assert_eq!(verdict("198.51.100.1"), 1);
    let code = outcome(CRAWLER);
    assert_eq!(server.stat("rdns_lookups"), 1);
    assert!(dns.asked().iter().any(|asked| asked == CRAWLER_PTR));
    let known = variable(CRAWLER, "rdns");
    server.stop();
    (code, known)
}

fn forward(kind: &str, name: &str, address: &str) -> Option<Reply> {
    (kind == "A" && name == CRAWLER_NAME).then(|| record("A", address))
}

#[test]
fn an_answer_that_makes_no_sense_is_no_name() {
    for (case, reply) in [
        ("SERVFAIL", Reply::Code(ResponseCode::ServFail)),
        ("REFUSED", Reply::Code(ResponseCode::Refused)),
        ("silence", Reply::Silence),
        ("garbage", Reply::Garbage),
        ("an empty answer", Reply::Records(Vec::new())),
        (
            "another question's answer",
            Reply::WrongId(vec![("PTR", format!("{CRAWLER_NAME}."))]),
        ),
        ("a loop", record("CNAME", "9.113.0.203.in-addr.arpa.")),
        ("a label of 255 bytes", Reply::Raw(vec![255; 257])),
        (
            "a label of 64 bytes",
            Reply::Raw([&[64; 65][..], &[0]].concat()),
        ),
        (
            "a name of 257 bytes",
            Reply::Raw([&[63; 256][..], &[0]].concat()),
        ),
        ("a name that goes on", Reply::Raw(vec![63; 20])),
        // It stands behind 42 bytes of the question and 12 of its own.
        ("a name that points at itself", Reply::Raw(vec![0xc0, 54])),
    ] {
        isolate();
        let outcome = misbehaved(move |kind, name| match kind {
            "PTR" => reply.clone(),
            _ => forward(kind, name, CRAWLER).unwrap_or(Reply::Silence),
        });
        assert_eq!(outcome, (-1, "none".into()), "{case}");
    }
}

#[test]
fn a_name_that_cannot_be_confirmed_spares_nobody() {
    for (case, reply, expected) in [
        ("SERVFAIL", Reply::Code(ResponseCode::ServFail), "none"),
        ("silence", Reply::Silence, "none"),
        ("NXDOMAIN", Reply::Code(ResponseCode::NXDomain), "untrusted"),
        ("another address", record("A", "203.0.113.10"), "untrusted"),
    ] {
        isolate();
        let outcome = misbehaved(move |kind, _| match kind {
            "PTR" => record("PTR", &format!("{CRAWLER_NAME}.")),
            _ => reply.clone(),
        });
        assert_eq!(outcome, (-1, expected.into()), "{case}");
    }
}

#[test]
fn odd_but_right_answers_are_understood() {
    let name = format!("{CRAWLER_NAME}.");
    let shouted = record("PTR", &name.to_uppercase());
    let among_many: Vec<(&str, String)> = (0..40)
        .map(|number| ("PTR", format!("n{number}.evil.net.")))
        .chain([("PTR", name.clone())])
        .collect();
    let long = ["x".repeat(63).as_str(), "y", "evil.net."].join(".");
    for (case, reply) in [
        ("upper case", shouted),
        ("by TCP", Reply::Truncated(among_many)),
        (
            "beside a long one",
            Reply::Records(vec![("PTR", long), ("PTR", name.clone())]),
        ),
    ] {
        isolate();
        let outcome = misbehaved(move |kind, name| match kind {
            "PTR" => reply.clone(),
            _ => forward(kind, name, CRAWLER).unwrap_or(Reply::Silence),
        });
        assert_eq!(outcome, (3, "trusted".into()), "{case}");
    }
}

#[test]
fn a_hundred_names_lead_to_few_questions() {
    isolate();
    let dns = NameServer::start(|kind, _| match kind {
        "PTR" => {
            let name = |number| ("PTR", format!("n{number}.trusted.example.com."));
            Reply::Truncated((0..100).map(name).collect())
        }
        _ => record("A", "203.0.113.10"),
    });
    let server = Kamailio::start(config());
    offend(CRAWLER);
    assert_eq!(outcome(CRAWLER), -1);
    let asked = dns.asked();
    let forward = asked.iter().filter(|question| question.starts_with("A "));
    assert_eq!(forward.count(), 3, "{asked:?}");
    assert!(explain(&server, CRAWLER).contains("and 96 more"));
}

#[test]
fn one_question_however_many_packets() {
    isolate();
    let dns = NameServer::start(|kind, name| match kind {
        "PTR" => record("PTR", &format!("{CRAWLER_NAME}.")),
        _ => forward(kind, name, CRAWLER).unwrap_or(Reply::Silence),
    });
    let server = Kamailio::start(config().workers(4));
    let mut clients: Vec<Client> = (0..4).map(|_| Client::udp(CRAWLER)).collect();
    for client in &mut clients {
        client.burst(100, &check());
    }
    wait_until("the answer", || server.stat("rdns_spared") == 1);
    for client in &mut clients {
        assert!(client.burst(50, &check()).iter().all(|code| *code == -4));
    }
    let asked = dns.asked();
    assert_eq!(asked, [CRAWLER_PTR.to_owned(), format!("A {CRAWLER_NAME}")]);
    assert_eq!(server.stat("rdns_lookups"), 1);
}

#[test]
fn a_hold_ends_without_an_agent() {
    isolate();
    let _dns = Dnsmasq::start(&[&format!("--host-record={CRAWLER_NAME},{CRAWLER}")]);
    let server = Kamailio::start(config());
    let agent = server.agent();
    server.signal(agent, Signal::SIGSTOP);
    offend(CRAWLER);
    assert_eq!(verdict(CRAWLER), -3);
    let answer = host::wait_for("the ban", || {
        Some(Client::udp(CRAWLER).ask(&check())).filter(|answer| answer.rc() != -3)
    });
    assert_eq!((answer.rc(), answer.variable("reason")), (-2, "scan"));
    assert_eq!(verdict(CRAWLER), -1);
    server.signal(agent, Signal::SIGCONT);
    // Nobody waits for its name any more, so nobody asks; the next offence does.
    wait_until("the agent to be at work", || {
        server
            .kamcmd(&["sec.status"])
            .unwrap()
            .contains("agent: up")
    });
    assert_eq!(verdict(CRAWLER), -1);
}

#[test]
fn an_agent_that_dies_leaves_nobody_held() {
    isolate();
    let _dns = Dnsmasq::start(&[&format!("--host-record={CRAWLER_NAME},{CRAWLER}")]);
    let server = Kamailio::start(config().param("rdns_timeout", 10));
    let agent = server.agent();
    server.signal(agent, Signal::SIGSTOP);
    offend(CRAWLER);
    offend("203.0.113.6");
    server.signal(agent, Signal::SIGKILL);
    // The next agent finds the holds in the ledger.
    assert_eq!(outcome(CRAWLER), 3);
    assert_eq!(outcome("203.0.113.6"), -1);
}

#[test]
fn a_customer_who_is_held_is_freed_like_any_other() {
    isolate();
    let dns = NameServer::start(|_, _| Reply::Silence);
    let server = Kamailio::start(config().param("rdns_timeout", 10));
    for source in [CRAWLER, "203.0.113.10", "203.0.113.11"] {
        offend(source);
        assert_eq!(verdict(source), -3);
    }
    assert!(explain(&server, CRAWLER).contains("result: held"));
    assert!(server.kamcmd(&["sec.whitelist_add", CRAWLER]).is_ok());
    assert_eq!(verdict(CRAWLER), 2);
    assert!(server.kamcmd(&["sec.unban", "203.0.113.10"]).is_ok());
    assert_eq!(verdict("203.0.113.10"), 1);
    assert!(server.kamcmd(&["sec.ban", "203.0.113.11"]).is_ok());
    assert_eq!(verdict("203.0.113.11"), -1);
    assert!(!dns.asked().is_empty());
}

#[test]
fn shadow_mode_holds_nobody() {
    isolate();
    let _dns = Dnsmasq::start(&[]);
    let server = Kamailio::start(config().param("mode", "shadow"));
    offend("203.0.113.6");
    assert_eq!(verdict("203.0.113.6"), 1);
    wait_until("the ban that would be", || {
        assert_eq!(verdict("203.0.113.6"), 1);
        variable("203.0.113.6", "verdict") == "-1"
    });
    assert!(
        server
            .kamcmd(&["sec.bans"])
            .unwrap()
            .contains("mode: shadow")
    );
    assert!(server.kamcmd(&["sec.mode", "enforce"]).is_ok());
    assert_eq!(verdict("203.0.113.6"), 1);
}

#[test]
fn without_trusted_domains_nobody_is_asked_for() {
    isolate();
    let dns = NameServer::start(|_, _| Reply::Silence);
    let server = Kamailio::start(Config::new().param("resolver", DNS));
    assert_eq!(Client::udp(CRAWLER).call("sec_strike", &["scan", "10"]), -2);
    assert_eq!(verdict(CRAWLER), -1);
    assert_eq!(variable(CRAWLER, "rdns"), "<null>");
    assert_eq!((server.stat("rdns_lookups"), dns.asked().len()), (0, 0));
}
