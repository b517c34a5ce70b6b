//! A request, as far as a rule may ask what it says and where it came from: of the SIP message that
//! a worker holds, or of a packet that was captured.
//!
//! Implemented by the border's `Message` and by the replay, asked by the glue; both thus go through
//! the same code. Nothing is parsed that is not asked for.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::engine::policy::method_bit;
use crate::source::Address;

/// The most bytes that [`headers`] looks at, and so the bound of its cost.
pub const HEADER_SCAN_MAX: usize = 8192;

/// What may be asked of a request.
#[expect(
    clippy::wrong_self_convention,
    reason = "From and To are headers here, not conversions"
)]
pub trait Request {
    /// The address that the datagram or connection came from; a mapped IPv4 address as IPv4.
    fn source_ip(&self) -> IpAddr;

    /// The same as a number.
    fn source_address(&self) -> Address {
        self.source_ip().into()
    }

    /// Whether a handshake has shown that the sender receives at the source address.
    fn is_validated(&self) -> bool;

    /// The method as it was sent; empty for a reply.
    fn method(&self) -> &[u8];

    /// [`method_bit`] of it; 0 for any other method.
    fn method_bit(&self) -> u32 {
        method_bit(self.method()).unwrap_or(0)
    }

    /// The user of the From header's URI. None when the header is absent, broken or has no user.
    fn from_user(&self) -> Option<&[u8]>;

    /// The host of the From header's URI.
    fn from_domain(&self) -> Option<&[u8]>;

    /// The user of the To header's URI.
    fn to_user(&self) -> Option<&[u8]>;

    /// The host of the To header's URI.
    fn to_domain(&self) -> Option<&[u8]>;

    /// The message as it came in.
    fn received(&self) -> &[u8];

    /// The first header of that name; see [`headers`].
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        find_header(self.received(), name)
    }

    /// The User-Agent header; see [`headers`].
    fn user_agent(&self) -> Option<&[u8]> {
        self.header(b"User-Agent")
    }
}

/// The headers of that name in a received message, without blanks at the ends (a folded value keeps
/// its line breaks). Allocates nothing, and gives up after [`HEADER_SCAN_MAX`] bytes. The compact form
/// of a name is another name.
pub fn headers<'a>(received: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = after_line(&received[..received.len().min(HEADER_SCAN_MAX)]);
    let lines = std::iter::from_fn(move || {
        if matches!(rest.first(), None | Some(b'\r' | b'\n')) {
            return None;
        }
        let next = after_header(rest);
        let line = &rest[..rest.len() - next.len()];
        rest = next;
        Some(line)
    });
    lines.filter_map(move |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let named = line[..colon].trim_ascii().eq_ignore_ascii_case(name);
        named.then(|| line[colon + 1..].trim_ascii())
    })
}

/// The first of them.
pub fn find_header<'a>(received: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    headers(received, name).next()
}

/// What follows the first line.
fn after_line(text: &[u8]) -> &[u8] {
    text.iter()
        .position(|byte| *byte == b'\n')
        .map_or(&[], |end| &text[end + 1..])
}

/// What follows the first header with its continuation lines.
fn after_header(text: &[u8]) -> &[u8] {
    let mut rest = after_line(text);
    while matches!(rest.first(), Some(b' ' | b'\t')) {
        rest = after_line(rest);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: &[u8] = b"REGISTER sip:example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1\r\n\
        user-agent :  friendly\r\n -scanner \r\n\
        User-Agent: second\r\n\
        Empty:\r\n\
        no colon here\r\n\
        \r\n\
        Subject: body\r\n";

    #[test]
    fn a_header_is_found_in_any_case_and_with_its_folds() {
        assert_eq!(
            find_header(REGISTER, b"User-Agent"),
            Some(&b"friendly\r\n -scanner"[..])
        );
        assert_eq!(
            find_header(REGISTER, b"VIA"),
            Some(&b"SIP/2.0/UDP 192.0.2.1"[..])
        );
        assert_eq!(find_header(REGISTER, b"Empty"), Some(&b""[..]));
    }

    #[test]
    fn neither_first_line_nor_body_is_a_header() {
        assert_eq!(find_header(REGISTER, b"REGISTER sip"), None);
        assert_eq!(find_header(REGISTER, b"Subject"), None);
    }

    #[test]
    fn broken_messages_have_no_headers() {
        for text in [
            &b""[..],
            b"\r\n\r\n",
            b"OPTIONS sip:a SIP/2.0",
            b"\n\n\n",
            b"x\n \n \n :",
        ] {
            assert_eq!(find_header(text, b"User-Agent"), None, "{text:?}");
        }
    }

    #[test]
    fn the_search_ends_at_its_bound() {
        let mut long = b"OPTIONS sip:a SIP/2.0\r\nX: ".to_vec();
        long.resize(HEADER_SCAN_MAX, b'x');
        long.extend_from_slice(b"\r\nUser-Agent: late\r\n\r\n");
        assert_eq!(find_header(&long, b"User-Agent"), None);
    }
}
