//! Hostile messages that are large: up to the largest datagram, and to what Kamailio reads of a
//! stream at once.
//!
//! Made for `tests/hostile` and the trial of `make soak`. Only data.

use super::messages::{Draft, all_methods};

/// What UDP over IPv4 can carry.
pub const DATAGRAM: usize = 65_507;

/// Each fits into a datagram.
pub fn messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in [
        "From",
        "To",
        "User-Agent",
        "Via",
        "Call-ID",
        "CSeq",
        "Contact",
        "X-Any",
    ] {
        for byte in [b"a", b"%", b"<", b"\"", b";", b",", b" ", b"\0"] {
            all.extend(all_methods(|draft| draft.with(name, byte.repeat(9000))));
        }
        all.extend(all_methods(|draft| draft.and(name, "\r\n x".repeat(9000))));
    }
    let fields: [(&str, &str); 4] = [
        ("Via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bK1"),
        ("User-Agent", "friendly-scanner"),
        ("From", "<sip:ben@192.0.2.10>;tag=1"),
        ("X", ""),
    ];
    for (name, value) in fields {
        all.extend(all_methods(|draft| {
            (0..1200).fold(draft, |draft, _| draft.and(name, value))
        }));
    }
    all.extend(all_methods(|draft| {
        (0..4000).fold(draft, |draft, number| {
            draft.and(&format!("X-{number}"), "1")
        })
    }));
    let user = "7".repeat(DATAGRAM / 2);
    let huge = format!("<sip:{user}@192.0.2.10>;tag=1");
    all.extend(all_methods(|draft| draft.with("From", &huge)));
    all.extend(all_methods(|draft| draft.with("To", &huge)));
    all.push(b"\0".repeat(DATAGRAM));
    all.push(b"\r\n".repeat(DATAGRAM / 2));
    all.push(of_length(DATAGRAM));
    all
}

/// A request of this length that is fine otherwise, and asks to be answered where it came from.
pub fn of_length(length: usize) -> Vec<u8> {
    let via = "SIP/2.0/UDP 203.0.113.1;rport;branch=z9hG4bK1";
    let draft = Draft::new("OPTIONS").with("Via", via);
    let padded = |filler| draft.clone().with("X-Filler", b"x".repeat(filler));
    let rest = padded(0).bytes().len();
    padded(length - rest).bytes()
}
