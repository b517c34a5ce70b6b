//! The SIP message that a worker is working on, read only.
//!
//! Made by the shims for the length of one call; `check.rs` takes its facts from it. What the core
//! has parsed anyway costs nothing; the user parts parse a header on the first request, with the
//! core's parser and its private memory, in the only process that owns the message. Nothing here
//! changes a message.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ptr::NonNull;

use super::{str, sys};
use crate::engine::policy::METHODS;
use crate::request::Request;
use crate::source::Address;

/// How a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The source address can be forged.
    Udp,
    /// A handshake has proved the source address, as with all below.
    Tcp,
    /// TCP under TLS.
    Tls,
    /// SCTP.
    Sctp,
    /// WebSocket.
    Ws,
    /// WebSocket under TLS.
    Wss,
    /// Something that this build does not know; treated as forgeable.
    Other,
}

impl Transport {
    /// Whether a handshake has shown that the sender receives at the source address.
    pub fn is_validated(self) -> bool {
        !matches!(self, Transport::Udp | Transport::Other)
    }

    fn from_number(number: i64) -> Transport {
        match number {
            1 => Transport::Udp,
            2 => Transport::Tcp,
            3 => Transport::Tls,
            4 => Transport::Sctp,
            5 => Transport::Ws,
            6 => Transport::Wss,
            _ => Transport::Other,
        }
    }
}

/// A message of the core, borrowed for the length of a call.
pub struct Message<'a> {
    raw: NonNull<sys::sip_msg>,
    borrowed: PhantomData<&'a sys::sip_msg>,
}

impl<'a> Message<'a> {
    /// Borrows the core's message; none for a null pointer.
    ///
    /// # Safety
    /// `raw` must be null or a message that the core has parsed the first line of, and that stays
    /// valid and is used by this process alone for `'a`.
    pub(super) unsafe fn from_raw(raw: *mut sys::sip_msg) -> Option<Message<'a>> {
        NonNull::new(raw).map(|raw| Message {
            raw,
            borrowed: PhantomData,
        })
    }

    fn msg(&self) -> &sys::sip_msg {
        // SAFETY: `from_raw` was promised a valid message, and no reference outlives a parser call.
        unsafe { self.raw.as_ref() }
    }

    /// Tells this message from every other that this process has worked on lately: the core's
    /// number of the message, and the process that numbered it. Faked messages have numbers of
    /// their own, which may repeat those of received ones.
    pub fn key(&self) -> (u32, i32) {
        (self.msg().id, self.msg().pid)
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        i64::from(self.msg().first_line.type_) == i64::from(sys::SIP_REQUEST)
    }

    /// Whether it is a reply.
    pub fn is_reply(&self) -> bool {
        i64::from(self.msg().first_line.type_) == i64::from(sys::SIP_REPLY)
    }

    /// Whether the server made it up itself: for an event, a timer, or as a request of its own. The
    /// source of such a message is nobody's. A request that was received, and is handled in an
    /// event route only because that is how a module passes it on (HTTP, MSRP), is not faked.
    pub fn is_faked(&self) -> bool {
        let route = route_type();
        let in_event = route & sys::ONEVENT_ROUTE as c_int != 0;
        route & sys::LOCAL_ROUTE as c_int != 0
            || (in_event && self.msg().rcv.bind_address.is_null())
            // SAFETY: The core compares the pointer with its own.
            || unsafe { sys::faked_msg_match(self.raw.as_ptr()) } != 0
    }

    /// Whether it is being handled as it came in. In failure and branch routes the core runs the
    /// script again for a request that was handled before, perhaps in another process.
    pub fn is_first_seen(&self) -> bool {
        route_type() & sys::REQUEST_ROUTE as c_int != 0
    }

    /// The request URI as it was sent; empty for a reply.
    pub fn request_uri(&self) -> &'a [u8] {
        if !self.is_request() {
            return b"";
        }
        // SAFETY: It is a request, so this is the member in use; its text lives with the message.
        unsafe { str::bytes(&self.msg().first_line.u.request.uri) }
    }

    /// The port that it came from.
    pub fn source_port(&self) -> u16 {
        self.msg().rcv.src_port
    }

    /// How it came in.
    pub fn transport(&self) -> Transport {
        Transport::from_number(i64::from(self.msg().rcv.proto))
    }

    fn sender(&self) -> Option<Uri<'a>> {
        // SAFETY: The message is this process's own; the parser keeps its result with it.
        unsafe { Uri::from_raw(sys::parse_from_uri(self.raw.as_ptr())) }
    }

    fn recipient(&self) -> Option<Uri<'a>> {
        // SAFETY: The message is this process's own; the parser keeps its result with it.
        unsafe { Uri::from_raw(sys::parse_to_uri(self.raw.as_ptr())) }
    }
}

impl Request for Message<'_> {
    fn source_ip(&self) -> IpAddr {
        self.source_address().into()
    }

    #[inline]
    fn source_address(&self) -> Address {
        address(&self.msg().rcv.src_ip)
    }

    fn is_validated(&self) -> bool {
        self.transport().is_validated()
    }

    fn method(&self) -> &[u8] {
        if !self.is_request() {
            return b"";
        }
        // SAFETY: It is a request, so this is the member in use; its text lives with the message.
        unsafe { str::bytes(&self.msg().first_line.u.request.method) }
    }

    /// The core's bit, which is ours; it has more of them.
    #[inline]
    fn method_bit(&self) -> u32 {
        if !self.is_request() {
            return 0;
        }
        // SAFETY: It is a request, so this is the member in use.
        let bit = unsafe { self.msg().first_line.u.request.method_value as u32 };
        if bit < 1 << METHODS.len() { bit } else { 0 }
    }

    fn from_user(&self) -> Option<&[u8]> {
        self.sender()
            .map(|uri| uri.user)
            .filter(|user| !user.is_empty())
    }

    fn from_domain(&self) -> Option<&[u8]> {
        self.sender()
            .map(|uri| uri.host)
            .filter(|host| !host.is_empty())
    }

    fn to_user(&self) -> Option<&[u8]> {
        self.recipient()
            .map(|uri| uri.user)
            .filter(|user| !user.is_empty())
    }

    fn to_domain(&self) -> Option<&[u8]> {
        self.recipient()
            .map(|uri| uri.host)
            .filter(|host| !host.is_empty())
    }

    fn received(&self) -> &[u8] {
        let received = sys::str_ {
            s: self.msg().buf,
            len: self.msg().len as c_int,
        };
        // SAFETY: The core keeps `len` received bytes at `buf` as long as the message.
        unsafe { str::bytes(&received) }
    }
}

/// The bits of the route that this process is in, as in `route.h`.
#[inline]
pub fn route_type() -> i32 {
    // SAFETY: It reads a variable of this process, which has no other thread that writes it.
    unsafe { sys::route_type }
}

// The core's methods are in the order of ours.
const _: () = assert!(
    sys::METHOD_INVITE == 1
        && sys::METHOD_CANCEL == 1 << 1
        && sys::METHOD_REGISTER == 1 << 5
        && sys::METHOD_OPTIONS == 1 << 9
        && sys::METHOD_PUBLISH == 1 << (METHODS.len() - 1)
);

/// What we want of a parsed URI.
#[derive(Clone, Copy)]
struct Uri<'a> {
    user: &'a [u8],
    host: &'a [u8],
}

impl<'a> Uri<'a> {
    /// # Safety
    /// `uri` must be null or a parsed URI whose text lives for `'a`.
    unsafe fn from_raw(uri: *const sys::sip_uri) -> Option<Uri<'a>> {
        // SAFETY: The caller vouches for the pointer and its text.
        unsafe {
            let uri = uri.as_ref()?;
            Some(Uri {
                user: str::bytes(&uri.user),
                host: str::bytes(&uri.host),
            })
        }
    }
}

/// An address of the core.
#[inline]
pub(super) fn address(address: &sys::ip_addr) -> Address {
    // SAFETY: All members of the union are plain bytes of the same sixteen.
    let (bytes, words) = unsafe { (address.u.addr, address.u.addr32) };
    match address.af == libc::AF_INET6 as u32 {
        true => Address::from_bits(u128::from_be_bytes(bytes)),
        false => Address::v4(u32::from_be(words[0])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let mapped = "::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets();
        let union = sys::ip_addr__bindgen_ty_1 { addr: mapped };
        let six = sys::ip_addr {
            af: libc::AF_INET6 as u32,
            len: 16,
            u: union,
        };
        assert_eq!(address(&six), Address::v4(0xc000_0207));
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[192, 0, 2, 9]);
        let union = sys::ip_addr__bindgen_ty_1 { addr: bytes };
        let four = sys::ip_addr {
            af: libc::AF_INET as u32,
            len: 4,
            u: union,
        };
        assert_eq!(address(&four), Address::v4(0xc000_0209));
    }

    #[test]
    fn only_a_handshake_validates() {
        let validated = (0..8).map(|number| Transport::from_number(number).is_validated());
        let expected = [false, false, true, true, true, true, true, false];
        assert!(validated.eq(expected));
    }
}
