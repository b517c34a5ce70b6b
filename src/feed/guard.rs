//! What is never taken from a feed, whoever publishes it: ranges that no stranger can have, the
//! server's own addresses, and prefixes so short that they would cut off half of a continent.
//!
//! Made by the agent for each reading, when the own addresses are known.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::cidr::{MinPrefix, Prefix};

/// The shortest prefixes that a feed may name.
const SHORTEST: MinPrefix = MinPrefix { v4: 8, v6: 19 };

/// IANA's special-purpose registries (RFC 6890), as far as they are not reachable from outside.
const NEVER: [(&str, &str); 17] = [
    ("0.0.0.0/8", "is not an address of a host"),
    ("10.0.0.0/8", "is private"),
    ("100.64.0.0/10", "is private (carrier-grade NAT)"),
    ("127.0.0.0/8", "is a loopback address"),
    ("169.254.0.0/16", "is link-local"),
    ("172.16.0.0/12", "is private"),
    ("192.0.0.0/24", "is reserved for protocols"),
    ("192.168.0.0/16", "is private"),
    ("224.0.0.0/4", "is multicast"),
    ("240.0.0.0/4", "is reserved"),
    ("::/128", "is not an address of a host"),
    ("::1/128", "is a loopback address"),
    ("64:ff9b::/96", "translates all of IPv4"),
    ("fc00::/7", "is private"),
    ("fe80::/10", "is link-local"),
    ("fec0::/10", "is private"),
    ("ff00::/8", "is multicast"),
];

/// The guard.
#[derive(Clone, Debug)]
pub struct Guard {
    never: Vec<(Prefix, &'static str)>,
}

impl Guard {
    /// With the addresses that the server listens on.
    pub fn new(own: &[IpAddr]) -> Guard {
        let ranges = NEVER.into_iter();
        let ranges = ranges.filter_map(|(text, why)| Some((text.parse().ok()?, why)));
        let own = own.iter().map(|address| Prefix::from(*address));
        let own = own.map(|prefix| (prefix, "is this server's own address"));
        Guard {
            never: ranges.chain(own).collect(),
        }
    }

    /// Why a prefix is not taken, if it is not.
    pub fn refuses(&self, prefix: Prefix) -> Option<&'static str> {
        if !SHORTEST.allows(prefix) {
            return Some(match prefix.is_ipv4() {
                true => "is shorter than /8, the shortest that is taken from a feed",
                false => "is shorter than /19, the shortest that is taken from a feed",
            });
        }
        let around = |(never, _): &&(Prefix, &str)| never.contains_prefix(prefix);
        self.never.iter().find(around).map(|&(_, why)| why)
    }

    /// What stays free inside a prefix that is taken: 172.16.0.0/12 in 172.0.0.0/8.
    pub fn never(&self) -> impl Iterator<Item = Prefix> {
        self.never.iter().map(|&(prefix, _)| prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_stranger_can_have_is_refused() {
        let own = ["198.51.100.1", "2001:db8::10"].map(|text| text.parse().unwrap());
        let guard = Guard::new(&own);
        assert_eq!(guard.never.len(), NEVER.len() + own.len());
        for text in [
            "10.1.2.3",
            "127.0.0.1",
            "192.168.0.0/24",
            "172.31.255.255",
            "100.100.0.0/16",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "0.0.0.0/0",
            "10.0.0.0/7",
            "::",
            "::1",
            "::/0",
            "2000::/3",
            "fe80::1",
            "fd00::/8",
            "ff02::1",
            "::ffff:10.0.0.1",
            "198.51.100.1",
            "2001:db8::10",
            "64:ff9b::808:808",
        ] {
            assert!(guard.refuses(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "11.0.0.0/8",
            "198.51.100.2",
            "198.51.100.0/24",
            "2001:db8::11",
            "2400::/19",
            "172.0.0.0/8",
            "8.8.8.8",
        ] {
            assert_eq!(guard.refuses(text.parse().unwrap()), None, "{text}");
        }
    }
}
