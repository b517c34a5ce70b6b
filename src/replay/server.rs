//! The server in virtual time: the module's own rules and tables, fed with what was captured
//! instead of what comes in.
//!
//! Called by the replay for each SIP message. A request goes through the very code that
//! `sec_check()` runs, at the time of its packet. What the script would have reported of an
//! authentication is read from the server's reply.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicI32;

use super::findings::Findings;
use super::frame::Datagram;
use super::sip::{Captured, Message, Reply};
use crate::check::{facts, judge, user};
use crate::config::Config;
use crate::engine::facts::Now;
use crate::engine::verdict::{Change, Decision};
use crate::node::Node;
use crate::offences::{offended, trust, wrong_password};
use crate::request::Request as _;
use crate::shared::events::{Event, RECORD};

/// Nobody else counts in this process.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The tables begin their life this long before the first packet.
const START_NS: u64 = 1_000_000_000;
/// Between two rounds of the agent through the ledger, and through the rates.
const LEDGER_ROUND_NS: u64 = 30 * 1_000_000_000;
const RATES_ROUND_NS: u64 = 3600 * 1_000_000_000;
/// How long a reply may take: the life of a transaction (RFC 3261, 17.1.1.2).
const REPLY_NS: u64 = 32 * 1_000_000_000;
/// How long a challenge can be answered.
const CHALLENGE_NS: u64 = 3600 * 1_000_000_000;
/// So many of each are kept before the old ones are thrown out.
const KEPT: usize = 1 << 16;

/// What was counted beside the findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that the server sent itself, or passed on.
    pub sent: u64,
    /// Requests between others.
    pub elsewhere: u64,
    /// Packets older than the one before; they count at its time.
    pub disordered: u64,
    /// Credentials of requests that were let through.
    pub credentials: u64,
    /// Of these: wrong.
    pub failed: u64,
    /// Of these: right.
    pub succeeded: u64,
    /// Of these: refused, but the challenge that they answer is not in the capture, or was too old.
    pub undecided: u64,
}

/// The server.
pub struct Server {
    node: Node,
    own: Vec<IpAddr>,
    first_ns: u64,
    now_ns: u64,
    ledger_swept_ns: u64,
    rates_swept_ns: u64,
    /// Requests with credentials that wait for the server's reply.
    waiting: HashMap<(IpAddr, u128), Waiting>,
    /// Challenges of the server, and when it sent them.
    challenges: HashMap<u128, u64>,
    /// What was counted.
    pub counts: Counts,
    /// What was found out.
    pub findings: Findings,
}

struct Waiting {
    since_ns: u64,
    text: Vec<u8>,
}

impl Server {
    /// A server at these addresses; its clock begins at the first packet.
    ///
    /// # Errors
    /// A sentence: this machine has not the memory for the tables.
    pub fn new(
        config: &Config,
        own: Vec<IpAddr>,
        first_ns: u64,
        last_ns: u64,
    ) -> Result<Server, String> {
        let mut node = Node::build(config, &PROCESS)?;
        node.set_own_addresses(own.clone());
        // Nobody answers here, neither a fleet nor a name server.
        node.redis.url = None;
        node.policy.rdns.asks = false;
        Ok(Server {
            node,
            own,
            first_ns,
            now_ns: first_ns,
            ledger_swept_ns: first_ns,
            rates_swept_ns: first_ns,
            waiting: HashMap::new(),
            challenges: HashMap::new(),
            counts: Counts::default(),
            findings: Findings::new(first_ns, last_ns),
        })
    }

    /// Its rules and tables.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Takes a message. A request to the server is decided.
    pub fn take(
        &mut self,
        time_ns: u64,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
    ) -> Option<Decision> {
        let to_us = self.own.contains(&datagram.to.ip());
        let from_us = self.own.contains(&datagram.from.ip());
        self.counts.disordered += u64::from(time_ns < self.now_ns);
        self.now_ns = self.now_ns.max(time_ns);
        self.sweep();
        match message {
            Message::Request(request) if to_us => return Some(self.request(request)),
            Message::Request(_) if from_us => self.counts.sent += 1,
            Message::Request(_) => self.counts.elsewhere += 1,
            Message::Reply(reply) if from_us => self.reply(datagram.to.ip(), reply),
            Message::Reply(_) => {}
        }
        None
    }

    /// The moment as the tables count it.
    fn now(&self) -> Now {
        Now::from_ns(self.now_ns - self.first_ns + START_NS)
    }

    fn request(&mut self, request: &Captured<'_>) -> Decision {
        let (node, now, address) = (&self.node, self.now(), request.source_ip());
        let key = node.key(address);
        let (place, lists) = ((address.into(), key), node.membership(address, now));
        let mut facts = facts(node, request, &place, now, &lists);
        let decision = judge(node, request, &place, &mut facts, &lists);
        self.findings.request(self.now_ns, key.source, &decision);
        if decision.change != Change::None {
            self.hear();
        }
        if !decision.verdict.denies() && request.credentials().is_some() {
            self.await_reply(request);
        }
        decision
    }

    /// The script goes on to authentication; the server's reply will say what came out.
    fn await_reply(&mut self, request: &Captured<'_>) {
        let Some(transaction) = request.transaction() else {
            return;
        };
        self.counts.credentials += 1;
        if self.waiting.len() >= KEPT {
            let oldest = self.now_ns.saturating_sub(REPLY_NS);
            self.waiting.retain(|_, waiting| waiting.since_ns > oldest);
        }
        let name = self.node.user(transaction.call, transaction.sequence);
        let waiting = Waiting {
            since_ns: self.now_ns,
            text: request.text.to_vec(),
        };
        self.waiting.insert((request.source_ip(), name), waiting);
    }

    fn reply(&mut self, client: IpAddr, reply: &Reply<'_>) {
        let challenge = reply.challenge();
        let waiting = reply.transaction().and_then(|transaction| {
            let name = self.node.user(transaction.call, transaction.sequence);
            // Trying says nothing; the next reply will.
            let known = (reply.code != 100).then(|| self.waiting.remove(&(client, name)));
            known.flatten()
        });
        let waiting = waiting.filter(|waiting| self.now_ns - waiting.since_ns <= REPLY_NS);
        if let Some(waiting) = waiting
            && let Some(request) = Captured::again(client, &waiting.text)
        {
            let stale = challenge.is_some_and(|challenge| challenge.stale);
            self.authenticated(&request, reply.code, stale);
        }
        if let Some(challenge) = challenge {
            if self.challenges.len() >= KEPT {
                let oldest = self.now_ns.saturating_sub(CHALLENGE_NS);
                self.challenges.retain(|_, since_ns| *since_ns > oldest);
            }
            let nonce = self.node.user(challenge.nonce, b"");
            self.challenges.insert(nonce, self.now_ns);
        }
    }

    /// What the script would have reported: `sec_auth_ok` where the server went on, `sec_auth_failed`
    /// where it refused credentials that answered its own challenge.
    fn authenticated(&mut self, request: &Captured<'_>, code: u16, stale: bool) {
        let Some(credentials) = request.credentials() else {
            return;
        };
        let (node, now, address) = (&self.node, self.now(), request.source_ip());
        let name = user(node, request, credentials.user);
        match code {
            401 | 403 | 407 => {
                let nonce = node.user(credentials.nonce, b"");
                let since = self.challenges.get(&nonce);
                let ours = since.is_some_and(|since| self.now_ns - since <= CHALLENGE_NS);
                if stale || !ours {
                    self.counts.undecided += 1;
                    return;
                }
                self.counts.failed += 1;
                offended(
                    node,
                    request,
                    now,
                    wrong_password(Some(name), Some(credentials.user)),
                );
                self.hear();
            }
            101..300 => {
                self.counts.succeeded += 1;
                trust(node, address, name, now);
                self.findings.login(node.key(address).source);
            }
            _ => {}
        }
    }

    /// Takes from the pipe what the rules told the agent, as the agent would.
    fn hear(&mut self) {
        let mut buffer = [0; RECORD * 64];
        while let Ok(length @ 1..) = self.node.events.receive(&mut buffer) {
            for record in buffer[..length].as_chunks::<RECORD>().0 {
                if let Some(event) = Event::decode(record) {
                    self.findings.event(self.now_ns, &event);
                }
            }
        }
    }

    /// The agent's rounds, as far as time has moved on.
    fn sweep(&mut self) {
        if self.now_ns - self.ledger_swept_ns >= LEDGER_ROUND_NS {
            self.ledger_swept_ns = self.now_ns;
            self.node.ledger.for_agent().sweep(self.now());
            self.hear();
        }
        while self.now_ns - self.rates_swept_ns >= RATES_ROUND_NS {
            // A longer silence goes by in steps: the times in the words wrap.
            self.rates_swept_ns += RATES_ROUND_NS;
            let then = Now::from_ns(self.rates_swept_ns - self.first_ns + START_NS);
            self.node.rates.sweep(0, usize::MAX, then);
        }
    }
}
