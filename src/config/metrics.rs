//! Where metrics are pushed to: `statsd`, `graphite`, `metrics_prefix`, `metrics_interval`.
//!
//! Called by the setters of `parameters`. A name is only read here; the agent looks it up, again
//! and again.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::Ipv6Addr;

use super::Config;
use super::parameter::Outcome;
use super::value::{DAY, Given};

/// What switches a receiver off.
const OFF: &str = "off";
/// Longest name of a host, as in DNS.
const HOST_MAX: usize = 253;
/// Longest prefix: with a name and a value it fits a datagram many times.
const PREFIX_MAX: usize = 128;

/// Who gets metrics, under which names, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `statsd`, over UDP.
    pub statsd: Option<Receiver>,
    /// `graphite`, over TCP: carbon's line protocol.
    pub graphite: Option<Receiver>,
    /// `metrics_prefix`: what all names begin with, without the dot after it.
    pub prefix: String,
    /// `metrics_interval` in seconds.
    pub interval: u64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            statsd: None,
            graphite: None,
            prefix: "kamailio.sec".into(),
            interval: 10,
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `statsd`.
pub(super) fn set_statsd(config: &mut Config, given: Given<'_>) -> Outcome {
    config.metrics.statsd = receiver(given, 8125)?;
    Ok(None)
}

/// `graphite`.
pub(super) fn set_graphite(config: &mut Config, given: Given<'_>) -> Outcome {
    config.metrics.graphite = receiver(given, 2003)?;
    Ok(None)
}

/// `metrics_prefix`.
pub(super) fn set_prefix(config: &mut Config, given: Given<'_>) -> Outcome {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let part = |part: &str| !part.is_empty() && part.chars().all(letter);
    let named = given.text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !named || given.text.len() > PREFIX_MAX || !given.text.split('.').all(part) {
        let allowed = format!(
            "a letter, and up to {PREFIX_MAX} letters, digits, '_' and '-', with single \
             dots between them, as kamailio.sec.node1"
        );
        return Err(given.refuse("cannot begin the names of metrics", allowed));
    }
    config.metrics.prefix = given.text.into();
    Ok(None)
}

/// `metrics_interval`.
pub(super) fn set_interval(config: &mut Config, given: Given<'_>) -> Outcome {
    config.metrics.interval = given.time(DAY)?;
    Ok(None)
}

fn receiver(given: Given<'_>, usual_port: u16) -> Result<Option<Receiver>, String> {
    if given.text == OFF {
        return Ok(None);
    }
    parse(given.text).map(Some).ok_or_else(|| {
        let allowed = format!(
            "a name or an address with a port, as graphite.example.com:{usual_port}, \
             192.0.2.1:{usual_port} or [2001:db8::1]:{usual_port}; or {OFF}"
        );
        given.refuse("is not host:port", allowed)
    })
}

fn parse(text: &str) -> Option<Receiver> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
        None => host.to_owned(),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let label = |label: &str| !label.is_empty() && label.chars().all(letter);
    let named = host.len() <= HOST_MAX && host.split('.').all(label);
    (bracketed.is_some() || named).then_some(Receiver { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    fn set(name: &str, text: &str) -> Result<Metrics, String> {
        let mut config = Config::default();
        config.set(name, Value::Text(text))?;
        Ok(config.metrics().clone())
    }

    #[test]
    fn receivers_are_names_or_addresses_with_a_port() {
        for (text, host, port) in [
            ("localhost:8125", "localhost", 8125),
            ("graphite.example.com:2003", "graphite.example.com", 2003),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("[2001:DB8::1]:65535", "2001:db8::1", 65_535),
        ] {
            let receiver = set("statsd", text).unwrap().statsd.unwrap();
            assert_eq!((receiver.host.as_str(), receiver.port), (host, port));
            assert_eq!(receiver.to_string(), text.to_lowercase());
        }
        assert_eq!(set("graphite", "off").unwrap().graphite, None);
        for text in [
            "",
            ":",
            "8125",
            "localhost",
            "localhost:",
            ":8125",
            "localhost:0",
            "localhost:65536",
            "localhost:+1",
            "localhost:x",
            "2001:db8::1:8125",
            "[::1]",
            "[x]:1",
            "a b:1",
            "a..b:1",
            "http://x:80",
            "x:1/",
            "OFF",
            "é:1",
        ] {
            for name in ["statsd", "graphite"] {
                let error = set(name, text).unwrap_err();
                assert!(
                    error.starts_with(name) && error.contains("allowed: a name"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_prefix_is_a_path_of_words() {
        for text in ["k", "kamailio.sec.node-1", &"x".repeat(PREFIX_MAX)] {
            assert_eq!(set("metrics_prefix", text).unwrap().prefix, text);
        }
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a:b",
            "a|b",
            "a/b",
            "a@b",
            "é",
            &"x".repeat(PREFIX_MAX + 1),
        ] {
            let error = set("metrics_prefix", text).unwrap_err();
            assert!(error.contains("cannot begin the names"), "{error}");
        }
    }
}
