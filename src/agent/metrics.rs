//! Metrics, pushed: all statistics of the module, every `metrics_interval`, to statsd and to
//! Graphite.
//!
//! Tasks of the agent, one for each receiver. A receiver that has no address, refuses or hangs costs
//! that round of numbers and nothing else; it is said once, and again when it is over. Over UDP only
//! a refusal can be noticed. Names are looked up for every round, so a receiver may move.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::Receiver;
use crate::kamailio::{counters, log};
use crate::node::Node;
use crate::shared::notes::Note;

/// How long a receiver may take to accept, and to take a round of numbers.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a host has to say that nobody listens on a port of its own.
const REFUSAL: Duration = Duration::from_millis(250);
/// Payload of a datagram that no network has to take apart.
const DATAGRAM_MAX: usize = 1432;

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// `name:value|g`, in datagrams. All are gauges: an absolute number that gets lost is made up
    /// for by the next, a difference is not.
    Statsd,
    /// `name value time`, a line each, over a connection of its own: carbon's line protocol.
    Graphite,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Statsd => "statsd",
            Protocol::Graphite => "graphite",
        }
    }

    fn note(self) -> Note {
        match self {
            Protocol::Statsd => Note::Statsd,
            Protocol::Graphite => Note::Graphite,
        }
    }
}

/// Starts a task for each receiver that is configured. They run as long as the agent.
pub fn start(node: &'static Node) -> Vec<JoinHandle<()>> {
    let receivers = [
        (Protocol::Statsd, &node.metrics.statsd),
        (Protocol::Graphite, &node.metrics.graphite),
    ];
    let configured = receivers
        .into_iter()
        .filter_map(|(protocol, receiver)| Some((protocol, receiver.as_ref()?)));
    let pushes = configured.map(|(protocol, receiver)| Push {
        node,
        protocol,
        receiver,
        said: None,
    });
    pushes.map(|push| spawn_local(push.run())).collect()
}

struct Push {
    node: &'static Node,
    protocol: Protocol,
    receiver: &'static Receiver,
    /// What was last said about the receiver: nothing is said twice.
    said: Option<String>,
}

impl Push {
    async fn run(mut self) {
        let mut rounds = interval(Duration::from_secs(self.node.metrics.interval));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            match self.push().await {
                Ok(()) => self.worked(),
                Err(problem) => self.failed(problem),
            }
        }
    }

    async fn push(&self) -> Result<(), String> {
        let Receiver { host, port } = self.receiver;
        let found = lookup_host((host.as_str(), *port)).await;
        let addresses: Vec<SocketAddr> = found
            .map_err(|error| format!("its name has no address: {error}"))?
            .collect();
        let (prefix, values) = (&self.node.metrics.prefix, values());
        match self.protocol {
            Protocol::Statsd => {
                let address = addresses.first().ok_or("its name has no address")?;
                let sent = send(*address, &datagrams(prefix, &values)).await;
                sent.map_err(|error| match error.kind() {
                    ErrorKind::ConnectionRefused => {
                        "nobody listens there (connection refused)".into()
                    }
                    _ => error.to_string(),
                })
            }
            Protocol::Graphite => deliver(&addresses, &lines(prefix, &values)).await,
        }
    }

    fn worked(&mut self) {
        if self.said.take().is_some() {
            self.node.notes.write(self.protocol.note(), "");
            let (name, receiver) = (self.protocol.name(), self.receiver);
            let text = format_args!("{name} {receiver} takes metrics again");
            log::at(self.node.log_level, text);
        }
    }

    fn failed(&mut self, problem: String) {
        if self.said.as_ref() != Some(&problem) {
            let (name, receiver) = (self.protocol.name(), self.receiver);
            self.node.notes.write(self.protocol.note(), &problem);
            log::warn(format_args!("{name} {receiver} gets no metrics: {problem}"));
            self.said = Some(problem);
        }
    }
}

/// All statistics now.
fn values() -> Vec<(&'static str, u64)> {
    let value = |statistic: &counters::Statistic| {
        let value = u64::try_from((statistic.read)()).unwrap_or(0);
        (statistic.name, value)
    };
    counters::all().iter().map(value).collect()
}

fn datagrams(prefix: &str, values: &[(&str, u64)]) -> Vec<String> {
    let mut datagrams: Vec<String> = Vec::new();
    for (name, value) in values {
        let line = format!("{prefix}.{name}:{value}|g");
        match datagrams.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= DATAGRAM_MAX => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => datagrams.push(line),
        }
    }
    datagrams
}

fn lines(prefix: &str, values: &[(&str, u64)]) -> String {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = wall.unwrap_or_default().as_secs();
    let line = |(name, value): &(&str, u64)| format!("{prefix}.{name} {value} {time}\n");
    values.iter().map(line).collect()
}

/// Sends, and waits a moment for a refusal: it comes after the datagram that it is about.
async fn send(address: SocketAddr, datagrams: &[String]) -> io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    for datagram in datagrams {
        socket.send(datagram.as_bytes())?;
    }
    sleep(REFUSAL).await;
    socket.take_error()?.map_or(Ok(()), Err)
}

async fn deliver(addresses: &[SocketAddr], lines: &str) -> Result<(), String> {
    let patient = |error: io::Error| error.to_string();
    let connected = timeout(PATIENCE, TcpStream::connect(addresses)).await;
    let mut stream = connected
        .map_err(|_| "it does not accept connections")?
        .map_err(patient)?;
    let write = async {
        stream.write_all(lines.as_bytes()).await?;
        stream.shutdown().await
    };
    timeout(PATIENCE, write)
        .await
        .map_err(|_| "it does not take what is sent")?
        .map_err(patient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_hold_whole_lines_and_no_network_takes_them_apart() {
        let prefix = "x".repeat(128);
        let values: Vec<(&str, u64)> = (0..30).map(|_| ("replica_age_ms", u64::MAX)).collect();
        let datagrams = datagrams(&prefix, &values);
        assert!(datagrams.len() > 1);
        let lines: Vec<&str> = datagrams.iter().flat_map(|one| one.split('\n')).collect();
        assert_eq!(lines.len(), 30);
        let whole = format!("{prefix}.replica_age_ms:{}|g", u64::MAX);
        assert!(lines.iter().all(|line| *line == whole));
        assert!(datagrams.iter().all(|one| one.len() <= DATAGRAM_MAX));
    }

    #[test]
    fn a_line_for_carbon_has_a_name_a_value_and_a_time() {
        let text = lines("kamailio.sec", &[("checks", 7), ("bans", 0)]);
        let mut lines = text.lines();
        let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert_eq!(first[..2], ["kamailio.sec.checks", "7"]);
        assert!(first[2].parse::<u64>().unwrap() > 1_700_000_000);
        assert!(lines.next().unwrap().starts_with("kamailio.sec.bans 0 "));
        assert!(text.ends_with('\n'));
    }

    /// What becomes of so many datagrams.
    fn outcome(address: SocketAddr, count: usize) -> Result<(), ErrorKind> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let sent = runtime.block_on(send(address, &vec!["a:1|g".to_owned(); count]));
        sent.map_err(|error| error.kind())
    }

    #[test]
    fn it_is_noticed_that_nobody_listens() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = UdpSocket::bind(any).unwrap();
            let address = listener.local_addr().unwrap();
            assert_eq!(outcome(address, 1), Ok(()));
            drop(listener);
            for count in [1, 20] {
                let refused = Err(ErrorKind::ConnectionRefused);
                assert_eq!(outcome(address, count), refused, "{address}, {count}");
            }
        }
    }
}
