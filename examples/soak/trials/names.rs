//! A name server that is silent or slow, or answers, while thousands of offenders are to be looked up
//! at once. Among them are hosts that must not be banned.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::ResponseCode;

use super::Trial;
use crate::host::{
    Callers, Client, Config, DNS, Kamailio, NameServer, Reply, Request, isolate, record, verdict,
    wait_until,
};

const TRUSTED: &str = "trusted.example.com";
/// How long a hold lasts at most: `rdns_timeout`, a second more, and what the server's clock may be
/// behind ours. Who asks later than that must not be held any more, however busy the machine is.
const HOLD: Duration = Duration::from_millis(1000 + 1000 + 100);
/// One in so many is asked about as soon as his hold is over; the others are left to the agent.
const ASKED: u32 = 3;
/// Offenders in a row, if the name server answers: the agent has to have asked for those before.
const ROW: u32 = 500;

/// A name server, and whom it knows.
#[derive(Clone, Copy)]
struct Names {
    /// How many offenders there are.
    all: u32,
    /// Whether this one, of so many, has a trusted name.
    trusted: fn(u32, u32) -> bool,
    /// What it says of everybody else.
    others: fn() -> Reply,
    answers: bool,
}

pub const SILENT: Trial = Trial {
    done: "thousands of offenders at once, and a name server that is silent, but for the first and the \
           last of them",
    expected: "calls go on, no hold is longer than promised, all are banned but those two, trusted hosts",
    run: |extent| {
        let names = Names {
            all: extent.offenders,
            trusted: |number, all| number == 0 || number == all - 1,
            others: || Reply::Silence,
            answers: false,
        };
        offend(names)
    },
};

pub const SLOW: Trial = Trial {
    done: "the same, and a name server that needs 20 ms for each answer, one after the other",
    expected: "the same, and nobody is trusted",
    run: |extent| {
        let names = Names {
            all: extent.offenders,
            trusted: |_, _| false,
            others: || {
                thread::sleep(Duration::from_millis(20));
                Reply::Code(ResponseCode::NXDomain)
            },
            answers: false,
        };
        offend(names)
    },
};

pub const ANSWERING: Trial = Trial {
    done: "the same, every hundredth a trusted host, and a name server that answers",
    expected: "the same, and every trusted host is spared",
    run: |extent| {
        let names = Names {
            all: extent.offenders,
            trusted: |number, _| number % 100 == 7,
            others: || Reply::Code(ResponseCode::NXDomain),
            answers: true,
        };
        offend(names)
    },
};

fn address(number: u32) -> String {
    format!("10.2.{}.{}", number >> 8, number & 255)
}

/// What the name server says: of `9.1.2.10.in-addr.arpa`, and of the name that it has given.
fn answer(names: &Names, kind: &str, name: &str) -> Reply {
    let mut labels = name.split('.').map_while(|label| label.parse::<u32>().ok());
    let known = match (kind, labels.next(), labels.next()) {
        ("PTR", Some(low), Some(high)) => {
            let number = high << 8 | low;
            let host = format!("h{number}.{TRUSTED}.");
            (names.trusted)(number, names.all).then(|| record("PTR", &host))
        }
        _ => {
            let host = name
                .strip_suffix(TRUSTED)
                .and_then(|it| it.strip_prefix('h'));
            let number = host.and_then(|it| it.trim_end_matches('.').parse().ok());
            number.map(|number| record("A", &address(number)))
        }
    };
    known.unwrap_or_else(names.others)
}

/// Those who were held so long ago that they cannot be any more: some of them are asked about.
fn release(held: &mut VecDeque<(u32, Instant)>) {
    while let Some((number, since)) = held.front().copied() {
        if since.elapsed() < HOLD {
            return;
        }
        held.pop_front();
        if number % ASKED == 0 {
            assert_ne!(verdict(&address(number)), -3, "held for too long");
        }
    }
}

fn offend(names: Names) -> String {
    isolate();
    let all = names.all;
    let dns = NameServer::start(move |kind, name| answer(&names, kind, name));
    let config = Config::new()
        .workers(2)
        .param("rate", "name=burst;limit=30;window=2")
        .param("rdns_trusted", TRUSTED)
        .param("rdns_timeout", 1)
        .param("resolver", DNS);
    let server = Kamailio::start(config);
    let callers = Callers::start();
    let strike = Request::call("sec_strike", &["scan", "10"]);
    let mut held = VecDeque::new();
    for number in 0..all {
        // Held; banned if the machine is so slow that the answer is there already.
        let code = Client::udp(&address(number)).ask(&strike).rc();
        assert!([1, -2].contains(&code), "{code}");
        held.push_back((number, Instant::now()));
        release(&mut held);
        if names.answers && number % ROW == ROW - 1 {
            wait_until("the agent to ask", || {
                server.stat("rdns_lookups") > i64::from(number) - i64::from(ROW)
            });
        }
    }
    let trusted = (0..all).filter(|number| (names.trusted)(*number, all));
    let trusted = trusted.count() as i64;
    wait_until("all of them to be banned or spared", || {
        let counts = ["active_bans", "rdns_spared"].map(|name| server.stat(name));
        counts == [i64::from(all) - trusted, trusted]
    });
    wait_until("every hold to be over", || {
        release(&mut held);
        held.is_empty()
    });
    let asked = dns.asked().len();
    let callers = callers.stop();
    for number in 0..all {
        let expected = if (names.trusted)(number, all) { 3 } else { -1 };
        let address = address(number);
        assert_eq!(verdict(&address), expected, "{address}");
    }
    format!("{all} offenders, {asked} questions, {trusted} spared, all others banned; {callers}")
}
