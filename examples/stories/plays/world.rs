//! Where a story takes place: a registrar in a network of its own, with a real name server and a
//! real Redis beside it.
//!
//! There is one worker, and UDP keeps its order here: when a request of the server's own address,
//! which is always allowed, was answered, everything sent before it has been dealt with. So nobody
//! has to guess how long an answer that does not come may take.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::customer::Customer;
use super::pace::Pace;
use super::peer;
use crate::host::{
    Client, Config, DNS, Dnsmasq, Kamailio, Redis, Request, SERVER, Subscribers, isolate,
    wait_until,
};

const REGISTRAR: &str = include_str!("../../kamailio.cfg");
/// Requests that are sent before anybody looks: fewer than the socket's buffer holds.
const BATCH: usize = 25;
/// The dial plan: 7001 and on.
const USERS: u32 = 300;

/// The records of the name server: one host is what its name says, one only looks like it.
pub const PARTNER: &str = "198.51.100.80";
pub const IMPOSTOR: &str = "203.0.113.80";

/// What protects the registrar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    Sec,
    Pike,
}

/// On what terms a story is played.
#[derive(Clone, Copy)]
pub struct Terms {
    /// How long a first ban lasts.
    pub ban_secs: i64,
    /// So many times faster than in life do phones and attackers act.
    pub haste: f64,
}

/// The registrar and what is around it.
pub struct World {
    pub server: Kamailio,
    pub redis: Redis,
    terms: Terms,
    own: Client,
    _names: Dnsmasq,
    _users: Subscribers,
    _directory: TempDir,
}

impl World {
    pub(super) fn new(guard: Guard, terms: Terms) -> Self {
        isolate();
        let redis = Redis::start();
        let names = Dnsmasq::start(&[
            &format!("--host-record=crawl-1.trusted.example.com,{PARTNER}"),
            &format!("--host-record=trusted.example.com.evil.net,{IMPOSTOR}"),
        ]);
        let passwords: Vec<(String, String)> = (1..=USERS)
            .map(|number| (user(number), password(&user(number))))
            .collect();
        let rows: Vec<(&str, &str)> = passwords.iter().map(|(a, b)| (&**a, &**b)).collect();
        let users = Subscribers::new(&rows);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = directory.path().join("kamailio.cfg");
        let text = match guard {
            Guard::Sec => configuration(terms.ban_secs),
            Guard::Pike => peer::configuration(terms.ban_secs),
        };
        fs::write(&file, text).expect("the configuration can be written");
        let redis_url = "REDIS=\"redis://127.0.0.1:6379\"";
        let defines = [&users.define(), "WORKERS=1", redis_url];
        let server = Kamailio::start(Config::of_file(file, &defines));
        if guard == Guard::Sec {
            wait_until("the link to Redis", || server.stat("redis_up") == 1);
        }
        Self {
            server,
            redis,
            terms,
            own: Client::udp(SERVER),
            _names: names,
            _users: users,
            _directory: directory,
        }
    }

    /// Waits until everything sent so far has been dealt with.
    pub fn settle(&mut self) {
        let answer = self.own.ask(&keepalive());
        assert_eq!(answer.code(), 200, "the server itself is always answered");
    }

    pub(super) fn pace(&self, per_second: f64) -> Pace {
        Pace::new(per_second * self.terms.haste)
    }

    /// Lets phones register at the same time.
    pub fn register<'a>(&mut self, customers: impl IntoIterator<Item = &'a mut Customer>) {
        let mut customers: Vec<&mut Customer> = customers.into_iter().collect();
        let haste = self.terms.haste;
        for batch in customers.chunks_mut(BATCH) {
            batch.iter_mut().for_each(|customer| customer.ask());
            self.settle();
        }
        for batch in customers.chunks_mut(BATCH) {
            batch.iter_mut().for_each(|customer| customer.answer(haste));
            self.settle();
        }
        for customer in &mut customers {
            customer.conclude(haste);
        }
    }

    /// Waits until all customers have service again, or the ban that took it from them must long be
    /// over. Whoever was told to come back later does; at an address that is met with silence one
    /// phone asks, once a second, and speaks for the others.
    pub(super) fn wait_for_service(&mut self, customers: &mut [Customer]) {
        let ban = u64::try_from(self.terms.ban_secs).expect("a ban has a length");
        let end = Instant::now() + Duration::from_secs(ban + 30);
        let mut pace = Pace::new(10.0);
        let mut asked_at = Instant::now();
        while customers.iter().any(|it| !it.is_served()) && Instant::now() < end {
            pace.wait();
            let now = Instant::now();
            let due =
                |it: &&mut Customer| !it.is_served() && !it.meets_silence() && it.again_at <= now;
            self.register(customers.iter_mut().filter(due));
            if asked_at.elapsed() >= Duration::from_secs(1) {
                asked_at = now;
                self.ask_again(customers);
            }
        }
        customers.iter_mut().for_each(Customer::note);
    }

    fn ask_again(&mut self, customers: &mut [Customer]) {
        let mut asked: Vec<String> = Vec::new();
        for index in 0..customers.len() {
            let address = customers[index].address().to_owned();
            if !customers[index].meets_silence() || asked.contains(&address) {
                continue;
            }
            self.register([&mut customers[index]]);
            if customers[index].is_served() {
                let others = customers.iter_mut().filter(|it| it.address() == address);
                others.for_each(Customer::served);
            }
            asked.push(address);
        }
    }
}

/// A user of the registrar.
pub fn user(number: u32) -> String {
    format!("{}", 7000 + number)
}

/// What its phone knows.
pub fn password(user: &str) -> String {
    format!("right-{user}")
}

/// What a phone sends to keep its way through a NAT open.
pub fn keepalive() -> Request {
    Request::new("OPTIONS", &format!("sip:{SERVER}"))
}

/// `examples/kamailio.cfg` as an operator would complete it: with the dial plan, and with a partner
/// whose hosts are known by name.
fn configuration(ban_secs: i64) -> String {
    let ours = format!(
        "modparam(\"sec\", \"extension_pattern\", \"7XXX\")\n\
         modparam(\"sec\", \"rdns_trusted\", \"trusted.example.com\")\n\
         modparam(\"sec\", \"resolver\", \"{DNS}\")\n\
         modparam(\"sec\", \"table_size\", 65536)\n\
         modparam(\"sec\", \"ledger_size\", 16384)\n\
         modparam(\"sec\", \"snapshot_size\", 1)\n\n####### Routes"
    );
    let changed = |text: String, line: &str, by: &str| {
        assert!(text.contains(line), "the example has no {line}");
        text.replacen(line, by, 1)
    };
    let text = changed(REGISTRAR.to_owned(), "####### Routes", &ours);
    let time = "\"ban_time\", \"5m\"";
    changed(text, time, &format!("\"ban_time\", {ban_secs}"))
}
