//! From a captured frame to a UDP datagram: Ethernet with VLAN tags, Linux "cooked" captures, BSD
//! loopback, raw IP; IPv4 and IPv6.
//!
//! Called by the replay for each packet. It puts no fragments together: of a fragmented datagram
//! the first part, which has the ports and mostly all headers, stands for the whole.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What it says, as far as it was captured.
    pub payload: &'a [u8],
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A datagram, or the first fragment of one.
    Udp(Datagram<'a>),
    /// A later fragment.
    Fragment,
    /// A segment of TCP.
    Tcp,
    /// Something else than IP, or another protocol over it.
    Other,
    /// Too short for what it claims to be.
    Short,
    /// A link type that is not known here.
    Link,
}

const UDP: u8 = 17;
const TCP: u8 = 6;
const ETHER_IPV4: u16 = 0x0800;
const ETHER_IPV6: u16 = 0x86dd;

/// Reads a frame of a link type (the numbers of <https://www.tcpdump.org/linktypes.html>).
pub fn read(link: u32, bytes: &[u8]) -> Frame<'_> {
    let read = match link {
        0 | 108 => loopback(bytes),
        1 => ethernet(bytes, 12),
        12 | 14 | 101 | 228 | 229 => ip(bytes),
        113 => ethernet(bytes, 14),
        276 => number(bytes, 0).map_or(Some(Frame::Short), |kind| network(kind, bytes.get(20..)?)),
        _ => return Frame::Link,
    };
    read.unwrap_or(Frame::Short)
}

/// Four bytes with a number of an address family, in the order of the machine that captured.
fn loopback(bytes: &[u8]) -> Option<Frame<'_>> {
    bytes.get(..4)?;
    ip(&bytes[4..])
}

/// The type field at `at`, perhaps behind VLAN tags, and what follows.
fn ethernet(bytes: &[u8], mut at: usize) -> Option<Frame<'_>> {
    loop {
        let kind = number(bytes, at)?;
        match kind {
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            _ => return network(kind, &bytes[at + 2..]),
        }
    }
}

fn network(kind: u16, bytes: &[u8]) -> Option<Frame<'_>> {
    match kind {
        ETHER_IPV4 | ETHER_IPV6 => ip(bytes),
        0x8100 | 0x88a8 | 0x9100 => ethernet(bytes, 2),
        _ => Some(Frame::Other),
    }
}

fn ip(bytes: &[u8]) -> Option<Frame<'_>> {
    match bytes.first()? >> 4 {
        4 => ipv4(bytes),
        6 => ipv6(bytes),
        _ => Some(Frame::Other),
    }
}

fn ipv4(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = bytes.get(..20)?;
    let head_length = usize::from(head[0] & 0xf) * 4;
    let (total, fragment) = (usize::from(number(head, 2)?), number(head, 6)?);
    let address = |at: usize| {
        let octets: [u8; 4] = head[at..at + 4].try_into().unwrap_or_default();
        IpAddr::V4(Ipv4Addr::from(octets))
    };
    if head_length < 20 {
        return None;
    }
    if fragment & 0x1fff != 0 {
        return Some(Frame::Fragment);
    }
    // The end of a frame may be padding; a length of 0 was left to the network card.
    let end = if total < head_length {
        bytes.len()
    } else {
        total.min(bytes.len())
    };
    transport(
        head[9],
        bytes.get(head_length..end)?,
        address(12),
        address(16),
    )
}

fn ipv6(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = bytes.get(..40)?;
    let address = |at: usize| {
        let octets: [u8; 16] = head[at..at + 16].try_into().unwrap_or_default();
        IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
    };
    let (mut kind, length) = (head[6], usize::from(number(head, 4)?));
    let end = if length == 0 {
        bytes.len()
    } else {
        (40 + length).min(bytes.len())
    };
    let mut rest = &bytes[40..end];
    loop {
        let length = match kind {
            // Hop-by-hop, routing, destination options.
            0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            44 if number(rest, 2)? & 0xfff8 != 0 => return Some(Frame::Fragment),
            44 => 8,
            // Authentication header.
            51 => (usize::from(*rest.get(1)?) + 2) * 4,
            _ => return transport(kind, rest, address(8), address(24)),
        };
        kind = *rest.first()?;
        rest = rest.get(length..)?;
    }
}

fn transport(kind: u8, bytes: &[u8], from: IpAddr, to: IpAddr) -> Option<Frame<'_>> {
    match kind {
        UDP => {}
        TCP => return Some(Frame::Tcp),
        _ => return Some(Frame::Other),
    }
    let (source, target, length) = (number(bytes, 0)?, number(bytes, 2)?, number(bytes, 4)?);
    let end = match usize::from(length) {
        0..8 => bytes.len(),
        length => length.min(bytes.len()),
    };
    Some(Frame::Udp(Datagram {
        from: SocketAddr::new(from, source),
        to: SocketAddr::new(to, target),
        payload: bytes.get(8..end)?,
    }))
}

/// A number in network order.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
