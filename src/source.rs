//! A *source*: the party that a request is charged to. An IPv4 address is a source by itself; an
//! IPv6 address stands for its whole prefix (`ipv6_prefix`, default /64), because a customer or
//! an attacker owns at least that much and may use every address in it.
//!
//! Pure: called by every process, does no I/O and holds no state.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Bits of an IPv4 address in the 128-bit form `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
const MAPPED: u128 = 0xffff_0000_0000;

/// An IP address as a number of 128 bits, IPv4 mapped: what is compared and looked up, in a register and
/// not in the bytes of an [`IpAddr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(u128);

impl Address {
    /// The IPv4 address with these bits.
    #[inline]
    pub fn v4(bits: u32) -> Address {
        Address(MAPPED | u128::from(bits))
    }

    /// The address with these bits; a mapped IPv4 address is IPv4.
    #[inline]
    pub fn from_bits(bits: u128) -> Address {
        Address(bits)
    }

    /// Its bits.
    #[inline]
    pub fn bits(self) -> u128 {
        self.0
    }

    /// Whether it is an IPv4 address.
    #[inline]
    pub fn is_ipv4(self) -> bool {
        self.0 >> 32 == MAPPED >> 32
    }
}

impl From<IpAddr> for Address {
    #[inline]
    fn from(address: IpAddr) -> Address {
        match address {
            IpAddr::V4(v4) => Address::v4(v4.into()),
            IpAddr::V6(v6) => Address(v6.into()),
        }
    }
}

/// Either family, as [`IpAddr`] is read.
impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Address, AddrParseError> {
        match text.parse::<Ipv4Addr>() {
            Ok(v4) => Ok(Address::v4(v4.into())),
            Err(_) => text.parse::<Ipv6Addr>().map(|v6| Address(v6.into())),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> IpAddr {
        Ipv6Addr::from(address.0).to_canonical()
    }
}

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
        Source::of(address.into(), ipv6_prefix)
    }

    /// The same of an address as a number.
    #[inline]
    pub fn of(address: Address, ipv6_prefix: u8) -> Source {
        let whole = Source {
            bits: address.0,
            length: 128,
        };
        match address.is_ipv4() {
            true => whole,
            false => whole.widened(0, ipv6_prefix),
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
    fn an_address_is_itself_again() {
        for text in ["192.0.2.1", "0.0.0.0", "2001:db8::9", "::", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
            assert_eq!(text.parse(), Ok(Address::from(address)));
        }
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(Address::from(mapped), Address::v4(0xc000_0207));
        for text in ["", "1.2.3", "1.2.3.4.5", "1.2.3.400", "::g", "01.2.3.4"] {
            assert!(text.parse::<Address>().is_err() && text.parse::<IpAddr>().is_err());
        }
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
