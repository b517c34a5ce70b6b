//! The addresses that the server itself listens on, so that it never bans itself.
//!
//! Asked for in `child_init` or later, when Kamailio has opened its sockets. Reads only.

use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::message::address;
use super::sys;

/// Every address that Kamailio listens on, over any transport, without repetition. A wildcard
/// (`0.0.0.0`, `::`) stands for the addresses of all interfaces at this moment.
pub fn own_addresses() -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = listening();
    let any_v4 = found.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let any_v6 = found.contains(&IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    if any_v4 || any_v6 {
        // A wildcard IPv6 socket takes IPv4 as well, unless the administrator switched that off.
        found.extend(interfaces().into_iter().filter(|ip| any_v6 || ip.is_ipv4()));
    }
    found.retain(|ip| !ip.is_unspecified());
    found.sort_unstable();
    found.dedup();
    found
}

/// What stands in the core's lists of sockets.
fn listening() -> Vec<IpAddr> {
    /// UDP, TCP, TLS and SCTP as the core numbers them; WebSocket shares the sockets of TCP.
    const PROTOCOLS: std::ops::RangeInclusive<c_int> = 1..=4;
    let mut found = Vec::new();
    for protocol in PROTOCOLS {
        // SAFETY: The list is complete when the first child starts, and never changes after.
        let mut socket = unsafe { sys::sec_sockets(protocol) };
        while !socket.is_null() {
            // SAFETY: `socket` is an element of the core's list.
            unsafe {
                found.push(address(&*sys::sec_socket_address(socket)).into());
                socket = sys::sec_socket_next(socket);
            }
        }
    }
    found
}

/// The addresses of this machine's interfaces; none when the system does not say.
fn interfaces() -> Vec<IpAddr> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `list` is a valid place for the result.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut entry = list;
    // SAFETY: The list is a chain that ends with null, and is not freed before the end.
    while let Some(interface) = unsafe { entry.as_ref() } {
        // SAFETY: The system gives null or an address whose family says how long it is.
        found.extend(unsafe { socket_address(interface.ifa_addr) });
        entry = interface.ifa_next;
    }
    // SAFETY: It is the list that `getifaddrs` made, freed once.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// # Safety
/// `socket` must be null or an address structure of the length that its family has.
unsafe fn socket_address(socket: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: The caller guarantees null or a valid structure of the family that it names.
    unsafe {
        match c_int::from(socket.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = socket.cast::<libc::sockaddr_in>().read_unaligned();
                Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))))
            }
            libc::AF_INET6 => {
                let v6 = socket.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).to_canonical())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_address() {
        assert!(interfaces().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
