//! One prefix, from its text (RFC 4632, 3.1; RFC 4291, 2.3) to comparable bits.
//!
//! Called wherever an address or a CIDR is read from an operator: parameters, list files, RPC and
//! script functions. Strict where leniency would guess: no leading zeros (octal to some parsers),
//! no netmasks, no blanks inside.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::source::{Address, Source};

/// The first bits of an IPv4 address in the 128-bit form.
const MAPPED_LENGTH: u8 = 96;

/// An IPv4 or IPv6 prefix without host bits; a single address is a prefix of full length.
///
/// An IPv6 prefix never contains IPv4 addresses, not even `::/0`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Source);

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before the slash is no IPv4 or IPv6 address.
    Address,
    /// The part after the slash is no number, or more than 32 (IPv4) or 128 (IPv6).
    Length,
    /// A mapped IPv4 address (`::ffff:192.0.2.1`) with a length below 96 is neither family.
    Mapped,
}

impl Prefix {
    /// The prefix of `length` bits (counted in the address' own family) around `address`; host
    /// bits are dropped. A mapped IPv4 address is IPv4, its length the one in the 128-bit form.
    pub fn new(address: IpAddr, length: u8) -> Result<Prefix, PrefixError> {
        let (bits, length) = match address {
            IpAddr::V4(v4) if length <= 32 => (v4.to_ipv6_mapped(), MAPPED_LENGTH + length),
            IpAddr::V6(v6) if length <= 128 => (v6, length),
            _ => return Err(PrefixError::Length),
        };
        if bits.to_ipv4_mapped().is_some() && length < MAPPED_LENGTH {
            return Err(PrefixError::Mapped);
        }
        let bits = u128::from(bits) & mask(length);
        Ok(Prefix(Source::from_parts(bits, length)))
    }

    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`, `[2001:db8::1]`. The flag says that
    /// host bits were set (`192.0.2.77/24`) and have been dropped, which deserves a warning.
    pub fn parse(text: &str) -> Result<(Prefix, bool), PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = parse_address(address)?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(full), parse_length)?;
        let prefix = Prefix::new(address, length)?;
        let whole = Prefix::new(address, full)?;
        Ok((prefix, prefix.0.bits() != whole.0.bits()))
    }

    /// Whether it is an IPv4 prefix.
    pub fn is_ipv4(self) -> bool {
        self.0.is_ipv4()
    }

    /// The prefix length in its own family: 0…32 or 0…128.
    pub fn length(self) -> u8 {
        if self.is_ipv4() {
            self.0.length() - MAPPED_LENGTH
        } else {
            self.0.length()
        }
    }

    /// Whether it is one single address.
    pub fn is_address(self) -> bool {
        self.0.length() == 128
    }

    /// Whether `address` lies inside; a mapped IPv4 address is IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        let bits = bits(address);
        is_mapped(bits) == self.is_ipv4() && bits & mask(self.0.length()) == self.0.bits()
    }

    /// The prefix as a key of the ledger. It is taken literally: an IPv6 address stays one address
    /// and does not become its `ipv6_prefix`.
    pub fn source(self) -> Source {
        self.0
    }

    /// The prefix that [`Prefix::source`] gave; `None` for a source that is no prefix of either
    /// family.
    pub fn of(source: Source) -> Option<Prefix> {
        let length = source.length();
        let no_host_bits = source.bits() & !mask(length) == 0;
        (no_host_bits && (length >= MAPPED_LENGTH || !is_mapped(source.bits())))
            .then_some(Prefix(source))
    }

    /// Whether all of `inner` lies inside; every prefix contains itself.
    pub fn contains_prefix(self, inner: Prefix) -> bool {
        self.is_ipv4() == inner.is_ipv4()
            && self.first() <= inner.first()
            && inner.last() <= self.last()
    }

    /// The first address inside.
    pub fn first_address(self) -> IpAddr {
        self.0.address()
    }

    /// The first address' 128 bits, IPv4 mapped.
    pub(super) fn first(self) -> u128 {
        self.0.bits()
    }

    /// The last address' 128 bits, IPv4 mapped.
    pub(super) fn last(self) -> u128 {
        self.0.bits() | !mask(self.0.length())
    }
}

/// The 128-bit form of an address, IPv4 mapped.
pub(super) fn bits(address: IpAddr) -> u128 {
    Address::from(address).bits()
}

/// Whether 128 bits are an IPv4 address.
#[inline]
pub(super) fn is_mapped(bits: u128) -> bool {
    Address::from_bits(bits).is_ipv4()
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        Prefix::parse(text).map(|(prefix, _)| prefix)
    }
}

impl From<IpAddr> for Prefix {
    /// The single address.
    fn from(address: IpAddr) -> Prefix {
        Prefix(Source::from_parts(bits(address), 128))
    }
}

/// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`: RFC 5952, a length only where it is a prefix.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Continues a sentence that names the value: `"10.0.0.300" is not an address`.
impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PrefixError::Address => "is not an address or a prefix",
            PrefixError::Length => {
                "has a bad prefix length (IPv4: 0 to 32, IPv6: 0 to 128, without leading zeros)"
            }
            PrefixError::Mapped => {
                "is a mapped IPv4 address with a length below 96: write it as IPv4"
            }
        })
    }
}

impl std::error::Error for PrefixError {}

/// The shortest prefixes that may be banned or whitelisted: a guard against a slip of the finger
/// that would cut off, or let in, half of the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinPrefix {
    /// Bits of an IPv4 prefix.
    pub v4: u8,
    /// Bits of an IPv6 prefix.
    pub v6: u8,
}

impl MinPrefix {
    /// Whether `prefix` is long enough.
    pub fn allows(self, prefix: Prefix) -> bool {
        prefix.length() >= if prefix.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// `16/32`, as in the parameters.
impl fmt::Display for MinPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.v4, self.v6)
    }
}

/// The bits that a prefix of `length` fixes.
fn mask(length: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(length.min(128)))
        .unwrap_or(0)
}

/// An address; around IPv6 the brackets of a SIP URI are allowed.
fn parse_address(text: &str) -> Result<IpAddr, PrefixError> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().map(IpAddr::V6),
        None => text.parse(),
    };
    address.map_err(|_| PrefixError::Address)
}

fn parse_length(text: &str) -> Result<u8, PrefixError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return Err(PrefixError::Length);
    }
    text.parse().map_err(|_| PrefixError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use proptest::prelude::*;

    #[test]
    fn prefixes_are_read_and_written() {
        for (text, written, truncated) in [
            ("192.0.2.1", "192.0.2.1", false),
            ("192.0.2.1/32", "192.0.2.1", false),
            ("192.0.2.0/24", "192.0.2.0/24", false),
            ("192.0.2.77/24", "192.0.2.0/24", true),
            ("0.0.0.0/0", "0.0.0.0/0", false),
            ("255.255.255.255", "255.255.255.255", false),
            ("2001:DB8:0:0::1", "2001:db8::1", false),
            ("2001:db8::1/128", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8::/32", false),
            ("2001:db8::5/64", "2001:db8::/64", true),
            ("[2001:db8::1]", "2001:db8::1", false),
            ("[2001:db8::]/32", "2001:db8::/32", false),
            ("::/0", "::/0", false),
            ("::ffff:192.0.2.1", "192.0.2.1", false),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24", false),
            ("::ffff:0:0/96", "0.0.0.0/0", false),
            ("::1", "::1", false),
        ] {
            let (prefix, host_bits) = Prefix::parse(text).expect(text);
            assert_eq!(prefix.to_string(), written, "{text}");
            assert_eq!(host_bits, truncated, "{text}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        use PrefixError::*;
        for (text, error) in [
            ("", Address),
            (" 192.0.2.1", Address),
            ("192.0.2.1 ", Address),
            ("192.0.2", Address),
            ("192.0.2.300", Address),
            ("01.2.3.4", Address),
            ("01.2.3.4/24", Address),
            ("192.0.2.1:5060", Address),
            ("[192.0.2.1]", Address),
            ("[2001:db8::1", Address),
            ("fe80::1%eth0", Address),
            ("sip.example.com", Address),
            ("/24", Address),
            ("192.0.2.0/", Length),
            ("192.0.2.0/33", Length),
            ("192.0.2.0/024", Length),
            ("192.0.2.0/+24", Length),
            ("192.0.2.0/-1", Length),
            ("192.0.2.0/24/24", Length),
            ("192.0.2.0/255.255.255.0", Length),
            ("192.0.2.0/ 24", Length),
            ("192.0.2.0/999", Length),
            ("2001:db8::/129", Length),
            ("::ffff:192.0.2.0/24", Mapped),
        ] {
            assert_eq!(Prefix::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let everything: Prefix = "::/0".parse().unwrap();
        assert!(everything.contains("2001:db8::1".parse().unwrap()));
        assert!(!everything.contains("192.0.2.1".parse().unwrap()));
        assert!(!everything.contains("::ffff:192.0.2.1".parse().unwrap()));
        let ipv4: Prefix = "0.0.0.0/0".parse().unwrap();
        assert!(ipv4.contains("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!ipv4.contains("::1".parse().unwrap()));
    }

    #[test]
    fn prefixes_contain_prefixes_of_their_family() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        for (outer, inner, contained) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.1.0.0/16", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.2.0.0/16", false),
            ("::/0", "2001:db8::/32", true),
            ("::/0", "10.0.0.0/8", false),
            ("::/19", "0.0.0.0/0", false),
        ] {
            let (outer, inner) = (prefix(outer), prefix(inner));
            assert_eq!(outer.contains_prefix(inner), contained, "{outer} {inner}");
            assert_eq!(Prefix::of(outer.source()), Some(outer));
        }
        assert_eq!(Prefix::of(Source::from_parts(1, 64)), None);
        assert_eq!(Prefix::of(Source::from_parts(0, 0)), Some(prefix("::/0")));
    }

    #[test]
    fn short_prefixes_are_guarded() {
        let guard = MinPrefix { v4: 16, v6: 32 };
        for (text, allowed) in [
            ("192.0.0.0/16", true),
            ("192.0.0.0/15", false),
            ("2001:db8::/32", true),
            ("2001::/31", false),
            ("192.0.2.1", true),
        ] {
            assert_eq!(guard.allows(text.parse().unwrap()), allowed, "{text}");
        }
        assert_eq!(guard.to_string(), "16/32");
    }

    proptest! {
        /// Against `ipnet`, where both accept the text.
        #[test]
        fn agrees_with_ipnet(bits: u128, v4: bool, length in 0u8..=128, probe: u128, near in 0u32..128) {
            let address = |bits: u128| match v4 {
                true => IpAddr::from((bits as u32).to_be_bytes()),
                false => IpAddr::from(bits.to_be_bytes()),
            };
            let length = if v4 { length % 33 } else { length };
            let net = IpNet::new(address(bits), length).unwrap().trunc();
            let prefix = Prefix::new(address(bits), length).unwrap();
            let (again, truncated) = Prefix::parse(&net.to_string()).unwrap();
            prop_assert_eq!(again, prefix);
            prop_assert!(!truncated);
            let probe = address(bits ^ (probe >> near));
            prop_assert_eq!(prefix.contains(probe), net.contains(&probe));
        }

        #[test]
        fn no_text_panics_and_what_is_written_is_read_back(text in "[0-9a-f:./\\[\\]]{0,24}|\\PC{0,12}") {
            if let Ok((prefix, _)) = Prefix::parse(&text) {
                prop_assert_eq!(Prefix::parse(&prefix.to_string()), Ok((prefix, false)));
            }
        }
    }
}
