//! A *source*: the party that a request is charged to. An IPv4 address is a source by itself; an
//! IPv6 address stands for its whole prefix (`ipv6_prefix`, default /64), because a customer or
//! an attacker owns at least that much and may use every address in it.
//!
//! Pure: called by every process, does no I/O and holds no state.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv4 address in the 128-bit form `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

/// An address, or a prefix, as one comparable key: 128 bits (IPv4 mapped) and a prefix length
/// counted in those 128 bits. Host bits are always zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    bits: u128,
    length: u8,
}

impl Source {
    /// The source that `address` belongs to. `ipv6_prefix` (1…128) is the length at which IPv6
    /// addresses are taken together; a mapped IPv4 address is IPv4.
    pub fn new(address: IpAddr, ipv6_prefix: u8) -> Source {
        match address.to_canonical() {
            IpAddr::V4(v4) => Source {
                bits: MAPPED | u128::from(u32::from(v4)),
                length: 128,
            },
            IpAddr::V6(v6) => Source {
                bits: u128::from(v6),
                length: 128,
            }
            .widened(0, ipv6_prefix),
        }
    }

    /// The prefix around this source: `v4` (0…32) or `v6` (0…128) leading bits, whichever its
    /// family is. A source that is wider already stays as it is.
    pub fn widened(self, v4: u8, v6: u8) -> Source {
        let wanted = if self.is_ipv4() {
            96 + v4.min(32)
        } else {
            v6.min(128)
        };
        let length = self.length.min(wanted);
        let mask = if length == 0 {
            0
        } else {
            u128::MAX << (128 - length)
        };
        Source {
            bits: self.bits & mask,
            length,
        }
    }

    /// Rebuilds a source from what [`Source::bits`] and [`Source::length`] gave.
    pub fn from_parts(bits: u128, length: u8) -> Source {
        Source {
            bits,
            length: length.min(128),
        }
    }

    /// The 128 bits, IPv4 mapped.
    pub fn bits(self) -> u128 {
        self.bits
    }

    /// The prefix length in the 128-bit form: 128 for one IPv4 address.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether this is an IPv4 address or prefix.
    pub fn is_ipv4(self) -> bool {
        self.length >= 96 && self.bits >> 32 == MAPPED >> 32
    }

    /// The address itself, or the first one of the prefix.
    pub fn address(self) -> IpAddr {
        Ipv6Addr::from(self.bits).to_canonical()
    }
}

/// `192.0.2.1`, `2001:db8:1:2::/64`: RFC 5952, a length only where it is a prefix.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = if self.is_ipv4() {
            self.address()
        } else {
            IpAddr::V6(Ipv6Addr::from(self.bits))
        };
        match self.length {
            128 => write!(f, "{address}"),
            length if self.is_ipv4() => write!(f, "{address}/{}", length - 96),
            length => write!(f, "{address}/{length}"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(text.parse().unwrap(), 64)
    }

    #[test]
    fn an_ipv4_address_is_itself_in_either_spelling() {
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("192.0.2.1").to_string(), "192.0.2.1");
    }

    #[test]
    fn an_ipv6_address_is_its_prefix() {
        assert_eq!(source("2001:db8:1:2::5"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::5"), source("2001:db8:1:3::5"));
        assert_eq!(source("2001:db8:1:2::5").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn widening_takes_neighbours_together_and_never_narrows() {
        let wide = source("192.0.2.77").widened(24, 48);
        assert_eq!(wide.to_string(), "192.0.2.0/24");
        assert_eq!(wide.widened(32, 64), wide);
        assert_eq!(
            source("2001:db8:1:2::5").widened(24, 48).to_string(),
            "2001:db8:1::/48"
        );
        assert_eq!(source("::1").widened(0, 0).to_string(), "::/0");
        assert_eq!(source("10.0.0.1").widened(0, 0).to_string(), "0.0.0.0/0");
    }

    #[test]
    fn parts_rebuild_the_source() {
        for text in ["192.0.2.1", "2001:db8::1", "::1"] {
            let s = source(text);
            assert_eq!(Source::from_parts(s.bits(), s.length()), s);
        }
    }
}
