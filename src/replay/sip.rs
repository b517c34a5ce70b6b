//! SIP messages as they were captured: which kind, who sent them, and what authentication said.
//!
//! Called by the replay for each datagram. It takes for a message what Kamailio would: a first line
//! and a Via; anything else is other traffic. Nothing is allocated.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::credentials::field;
use crate::request::{Request, find_header};

/// A message.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// A request.
    Request(Captured<'a>),
    /// A reply.
    Reply(Reply<'a>),
}

/// A request as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    source: IpAddr,
    method: &'a [u8],
    /// The whole datagram.
    pub text: &'a [u8],
}

/// A reply as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Its status code.
    pub code: u16,
    text: &'a [u8],
}

/// What tells the messages of one transaction from others, whoever repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// Call-ID.
    pub call: &'a [u8],
    /// CSeq.
    pub sequence: &'a [u8],
}

/// Digest credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// Whose they are.
    pub user: &'a [u8],
    /// Which challenge they answer.
    pub nonce: &'a [u8],
}

/// A challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// Its number.
    pub nonce: &'a [u8],
    /// The credentials were right, but answered too old a challenge.
    pub stale: bool,
}

/// Reads the datagram that `source` sent; none if it is no SIP message.
pub fn read(source: IpAddr, payload: &[u8]) -> Option<Message<'_>> {
    // The core skips line ends before a message.
    let skipped = payload
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let text = &payload[skipped..];
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = text[..end].trim_ascii_end();
    either(text, b"Via", b"v")?;
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (first, second) = (words.next()?, words.next()?);
    if first.eq_ignore_ascii_case(b"SIP/2.0") {
        let code = std::str::from_utf8(second).ok()?.parse().ok()?;
        return (100..700)
            .contains(&code)
            .then_some(Message::Reply(Reply { code, text }));
    }
    let named = !first.is_empty() && first.iter().all(|byte| is_token(*byte));
    let versioned = words.next()?.eq_ignore_ascii_case(b"SIP/2.0");
    let method = first;
    (named && versioned && !second.is_empty()).then_some(Message::Request(Captured {
        source,
        method,
        text,
    }))
}

/// A character of a token (RFC 3261, 25.1).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

impl<'a> Captured<'a> {
    /// The request in a datagram that was kept: it was one before.
    pub fn again(source: IpAddr, text: &'a [u8]) -> Option<Captured<'a>> {
        match read(source, text)? {
            Message::Request(request) => Some(request),
            Message::Reply(_) => None,
        }
    }

    /// The transaction that it begins or repeats.
    pub fn transaction(&self) -> Option<Transaction<'a>> {
        transaction(self.text)
    }

    /// The credentials that it brings.
    pub fn credentials(&self) -> Option<Credentials<'a>> {
        let value = find_header(self.text, b"Authorization")
            .or_else(|| find_header(self.text, b"Proxy-Authorization"))?;
        Some(Credentials {
            user: field(value, b"username")?,
            nonce: field(value, b"nonce")?,
        })
    }

    fn from(&self) -> Option<Uri<'a>> {
        uri(either(self.text, b"From", b"f")?)
    }

    fn to(&self) -> Option<Uri<'a>> {
        uri(either(self.text, b"To", b"t")?)
    }
}

impl Request for Captured<'_> {
    fn source_ip(&self) -> IpAddr {
        self.source
    }

    fn is_validated(&self) -> bool {
        false // only UDP is replayed
    }

    fn method(&self) -> &[u8] {
        self.method
    }

    fn from_user(&self) -> Option<&[u8]> {
        self.from()
            .map(|uri| uri.user)
            .filter(|user| !user.is_empty())
    }

    fn from_domain(&self) -> Option<&[u8]> {
        self.from()
            .map(|uri| uri.host)
            .filter(|host| !host.is_empty())
    }

    fn to_user(&self) -> Option<&[u8]> {
        self.to()
            .map(|uri| uri.user)
            .filter(|user| !user.is_empty())
    }

    fn to_domain(&self) -> Option<&[u8]> {
        self.to()
            .map(|uri| uri.host)
            .filter(|host| !host.is_empty())
    }

    fn received(&self) -> &[u8] {
        self.text
    }
}

impl<'a> Reply<'a> {
    /// The transaction that it belongs to.
    pub fn transaction(&self) -> Option<Transaction<'a>> {
        transaction(self.text)
    }

    /// The challenge that it brings.
    pub fn challenge(&self) -> Option<Challenge<'a>> {
        let value = find_header(self.text, b"WWW-Authenticate")
            .or_else(|| find_header(self.text, b"Proxy-Authenticate"))?;
        let stale = field(value, b"stale").is_some_and(|text| text.eq_ignore_ascii_case(b"true"));
        Some(Challenge {
            nonce: field(value, b"nonce")?,
            stale,
        })
    }
}

fn transaction(text: &[u8]) -> Option<Transaction<'_>> {
    Some(Transaction {
        call: either(text, b"Call-ID", b"i")?,
        sequence: find_header(text, b"CSeq")?,
    })
}

/// A header under its long or its compact name.
fn either<'a>(text: &'a [u8], name: &[u8], compact: &[u8]) -> Option<&'a [u8]> {
    find_header(text, name).or_else(|| find_header(text, compact))
}

/// What we want of the URI in a From or To header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uri<'a> {
    user: &'a [u8],
    host: &'a [u8],
}

/// The URI of a header's value: within angle brackets, or bare up to the first parameter.
fn uri(value: &[u8]) -> Option<Uri<'_>> {
    let mut rest = value;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let mut escaped = false;
        let end = quoted.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        rest = &quoted[end + 1..];
    }
    let text = match rest.iter().position(|byte| *byte == b'<') {
        Some(open) => {
            let inner = &rest[open + 1..];
            &inner[..inner.iter().position(|byte| *byte == b'>')?]
        }
        None => {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b';' | b' ' | b'\t'));
            &rest[..end.unwrap_or(rest.len())]
        }
    };
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    let until = |text: &'_ [u8], stops: &[u8]| {
        let end = text.iter().position(|byte| stops.contains(byte));
        end.unwrap_or(text.len())
    };
    if scheme.eq_ignore_ascii_case(b"tel") {
        return Some(Uri {
            user: &rest[..until(rest, b";?")],
            host: b"",
        });
    }
    if !scheme.eq_ignore_ascii_case(b"sip") && !scheme.eq_ignore_ascii_case(b"sips") {
        return None;
    }
    let (user, host) = match rest.iter().position(|byte| *byte == b'@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&b""[..], rest),
    };
    let port = match host.iter().position(|byte| *byte == b']') {
        Some(bracket) if host.starts_with(b"[") => bracket + 1,
        _ => until(host, b":;?"),
    };
    Some(Uri {
        user: &user[..until(user, b":")],
        host: &host[..port],
    })
}

#[cfg(test)]
#[path = "sip_tests.rs"]
mod tests;
