//! The agent's DNS client: names of an address, addresses of a name, and nothing else.
//!
//! Used by `rdns.rs` and `names.rs`, never by a SIP worker. It asks the server of `resolver`, or
//! those of `/etc/resolv.conf`, of which only the `nameserver` lines count: a search domain would
//! make `a.example.com` something else, and its own time-outs would outlast ours. It is read here
//! rather than by the resolver's library, so that a change takes effect without a restart.
//! `/etc/hosts` is not asked: one line in it could confirm anything.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::time::Instant;

use crate::domain::Domain;

const SYSTEM: &str = "/etc/resolv.conf";
/// How often that file is looked at, at most.
const LOOK: Duration = Duration::from_secs(5);
/// Servers of it that are used, as everywhere.
const SERVERS_MAX: usize = 3;
const DNS_PORT: u16 = 53;

/// What DNS has: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The values of the records.
    pub values: Vec<T>,
    /// Seconds for which they all hold.
    pub ttl: u64,
}

/// Why there is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// DNS says so, maybe for how many seconds.
    Absent(Option<u64>),
    /// Nobody knows: no answer in time, or one that makes no sense.
    Unclear(String),
}

/// The client. Nothing is remembered here: who asks does.
pub struct Resolver {
    server: Option<SocketAddr>,
    /// How long one question may take.
    timeout: Duration,
    current: RefCell<Option<Current>>,
}

struct Current {
    servers: Vec<SocketAddr>,
    looked: Instant,
    client: TokioResolver,
}

impl Resolver {
    /// Asks `server`, or those of the system.
    pub fn new(server: Option<SocketAddr>, timeout: Duration) -> Resolver {
        Resolver {
            server,
            timeout,
            current: RefCell::new(None),
        }
    }

    /// The names that an address has, as they stand in DNS.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn names(&self, address: IpAddr) -> Result<Found<String>, Failure> {
        let name = Name::from(address);
        self.ask(name, RecordType::PTR, |data| match data {
            RData::PTR(name) => Some(name.0.to_ascii()),
            _ => None,
        })
        .await
    }

    /// The addresses of one family that a name has.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn addresses(&self, name: &Domain, v6: bool) -> Result<Found<IpAddr>, Failure> {
        let kind = if v6 { RecordType::AAAA } else { RecordType::A };
        // With the final dot: no search domain, whatever a library thinks.
        let name = Name::from_ascii(format!("{name}."));
        let name = name.map_err(|error| Failure::Unclear(error.to_string()))?;
        self.ask(name, kind, |data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .await
    }

    async fn ask<T>(
        &self,
        name: Name,
        kind: RecordType,
        value: impl Fn(&RData) -> Option<T>,
    ) -> Result<Found<T>, Failure> {
        let client = self.client()?;
        let asked = tokio::time::timeout(self.timeout, client.lookup(name, kind)).await;
        let answer = asked.map_err(|_| Failure::Unclear("no answer".into()))?;
        let answer = answer.map_err(|error| failure(&error))?;
        let records: &[Record] = answer.answers();
        let values: Vec<T> = records.iter().filter_map(|it| value(&it.data)).collect();
        // A chain of aliases holds as long as its shortest link.
        let ttl = records.iter().map(|record| u64::from(record.ttl)).min();
        match ttl {
            Some(ttl) if !values.is_empty() => Ok(Found { values, ttl }),
            ttl => Err(Failure::Absent(ttl)),
        }
    }

    fn client(&self) -> Result<TokioResolver, Failure> {
        let mut current = self.current.borrow_mut();
        if let Some(current) = &mut *current {
            if self.server.is_some() || current.looked.elapsed() < LOOK {
                return Ok(current.client.clone());
            }
            current.looked = Instant::now();
            if current.servers == system_servers() {
                return Ok(current.client.clone());
            }
        }
        let servers = self.server.map_or_else(system_servers, |one| vec![one]);
        let client = build(&servers, self.timeout);
        let client = client.map_err(|error| Failure::Unclear(error.to_string()))?;
        let looked = Instant::now();
        *current = Some(Current {
            servers,
            looked,
            client: client.clone(),
        });
        Ok(client)
    }
}

fn build(servers: &[SocketAddr], timeout: Duration) -> Result<TokioResolver, NetError> {
    let servers = servers.iter().map(|server| {
        let mut config = NameServerConfig::udp_and_tcp(server.ip());
        for connection in &mut config.connections {
            connection.port = server.port();
        }
        config
    });
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = timeout;
    options.attempts = 0; // lost datagrams are sent again within the time all the same
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = 256;
    options.case_randomization = true;
    builder.build()
}

fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain | ResponseCode::NoError => {
                Failure::Absent(none.negative_ttl.map(u64::from))
            }
            code => Failure::Unclear(code.to_string()),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Failure::Unclear(code.to_string()),
        NetError::Timeout => Failure::Unclear("no answer".into()),
        other => Failure::Unclear(other.to_string()),
    }
}

/// The servers of the system; this machine, if it names none.
fn system_servers() -> Vec<SocketAddr> {
    let text = std::fs::read(SYSTEM).unwrap_or_default();
    servers_in(&String::from_utf8_lossy(&text))
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let server = words.next().filter(|word| *word == "nameserver");
        server.and_then(|_| words.next()?.parse::<IpAddr>().ok())
    });
    let mut servers: Vec<SocketAddr> = addresses
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .collect();
    servers.truncate(SERVERS_MAX);
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT));
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_servers_of_the_system_count() {
        let text = "# resolv.conf\nsearch evil.example\noptions timeout:30 attempts:9\n\
                    nameserver 192.0.2.53\n  nameserver\t2001:db8::53 # second\n\
                    nameserver fe80::1%eth0\nnameserver\nnameservers 192.0.2.9\n\
                    nameserver 192.0.2.54\nnameserver 192.0.2.55\n";
        let servers: Vec<String> = servers_in(text).iter().map(|it| it.to_string()).collect();
        assert_eq!(
            servers,
            ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53"]
        );
        assert_eq!(servers_in("")[0].to_string(), "127.0.0.1:53");
    }
}
