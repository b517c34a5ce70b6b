//! Events: what a worker or a command changed, as records of a fixed length for the pipe to the
//! agent, which writes the log line.
//!
//! Encoded where the change happens, decoded by the agent. Texts from messages are cut and carry
//! any bytes; whoever shows them makes them printable.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::engine::facts::Origin;
use crate::engine::verdict::Reason;
use crate::source::Source;

/// Length of a record: less than `PIPE_BUF`, so that the kernel never tears one.
pub const RECORD: usize = 208;
/// Longest user or agent text that is carried.
pub const TEXT_MAX: usize = 72;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A user was muted at a source; the text is the user.
    Mute = 10,
    /// A source was banned.
    Ban = 1,
    /// A ban was lifted.
    Unban = 2,
    /// A whitelist entry was revoked, and the source banned.
    Revoke = 3,
    /// A whitelist entry was added.
    WhitelistAdd = 4,
    /// A whitelist entry was removed.
    WhitelistRemove = 5,
    /// Shadow mode began (`seconds` is 1) or ended (0).
    Mode = 6,
    /// An order of the script was refused; the text says what it was about.
    Refused = 7,
    /// An address in the script's argument could not be read; the text is the argument.
    Unreadable = 8,
    /// The ledger had no room.
    Full = 9,
    /// A source is held: its name is to be looked up.
    Hold = 16,
    /// It is spared: the text is its name.
    Spare = 17,
    /// It is not, and gets the ban that was due: the text is its names, the agent what was found.
    NotSpared = 18,
    /// Somebody offended, told on a pipe of its own: `count` are the strikes, the text is the user
    /// that it was about.
    Offence = 19,
    /// Order: ban a network.
    BanNetwork = 11,
    /// Order: lift the ban of a network.
    UnbanNetwork = 12,
    /// Order: whitelist a network.
    WhitelistNetwork = 13,
    /// Order: remove the whitelist entry of a network.
    UnwhitelistNetwork = 14,
    /// Order: read the list that the text names anew.
    Reload = 15,
}

const KINDS: [Kind; 19] = [
    Kind::Mute,
    Kind::Ban,
    Kind::Unban,
    Kind::Revoke,
    Kind::WhitelistAdd,
    Kind::WhitelistRemove,
    Kind::Mode,
    Kind::Refused,
    Kind::Unreadable,
    Kind::Full,
    Kind::BanNetwork,
    Kind::UnbanNetwork,
    Kind::WhitelistNetwork,
    Kind::UnwhitelistNetwork,
    Kind::Reload,
    Kind::Hold,
    Kind::Spare,
    Kind::NotSpared,
    Kind::Offence,
];

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// To whom.
    pub source: Source,
    /// The address of that source that did it.
    pub address: IpAddr,
    /// Why.
    pub reason: Reason,
    /// By whom.
    pub origin: Origin,
    /// In shadow mode.
    pub shadow: bool,
    /// When it was ordered, as a ledger time; 0 where that says nothing.
    pub at: u64,
    /// For how long; 0 where that says nothing, [`Event::FOREVER`] without an end.
    pub seconds: u64,
    /// The how manieth ban of the source it is; of an offence, its strikes.
    pub count: u32,
    /// The number of the request's method, as [`method_number`](crate::engine::policy::method_number)
    /// gives it.
    pub method: u8,
    /// The From user of the message at hand, or what else the kind says.
    pub text: Text,
    /// Its User-Agent.
    pub agent: Text,
}

impl Event {
    /// `seconds` of what has no end.
    pub const FOREVER: u64 = u64::MAX;

    /// An event without texts.
    pub fn new(kind: Kind, source: Source, origin: Origin) -> Event {
        Event {
            kind,
            source,
            address: source.address(),
            reason: Reason::NONE,
            origin,
            shadow: false,
            at: 0,
            seconds: 0,
            count: 0,
            method: 0,
            text: Text::default(),
            agent: Text::default(),
        }
    }

    /// The record for the pipe.
    pub fn encode(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        let mut writer = record.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            let (head, tail) = std::mem::take(&mut writer).split_at_mut(bytes.len());
            head.copy_from_slice(bytes);
            writer = tail;
        };
        put(&[
            self.kind as u8,
            self.reason.number(),
            self.origin as u8,
            u8::from(self.shadow),
        ]);
        put(&[
            self.source.length(),
            self.text.length,
            self.agent.length,
            self.method,
        ]);
        put(&self.source.bits().to_le_bytes());
        put(&Source::new(self.address, 128).bits().to_le_bytes());
        put(&self.at.to_le_bytes());
        put(&self.seconds.to_le_bytes());
        put(&self.count.to_le_bytes());
        put(&self.text.bytes);
        put(&self.agent.bytes);
        record
    }

    /// Reads a record back; `None` if it is not one of ours.
    pub fn decode(record: &[u8; RECORD]) -> Option<Event> {
        let mut rest = record.as_slice();
        let [kind, reason, origin, shadow] = take(&mut rest);
        let [length, text, agent, method] = take(&mut rest);
        let bits = u128::from_le_bytes(take(&mut rest));
        let address = u128::from_le_bytes(take(&mut rest));
        let at = u64::from_le_bytes(take(&mut rest));
        let seconds = u64::from_le_bytes(take(&mut rest));
        let count = u32::from_le_bytes(take(&mut rest));
        Some(Event {
            kind: KINDS.into_iter().find(|known| *known as u8 == kind)?,
            source: Source::from_parts(bits, length),
            address: Source::from_parts(address, 128).address(),
            reason: Reason::from_number(reason),
            origin: Origin::from_number(origin),
            shadow: shadow != 0,
            at,
            seconds,
            count,
            method,
            text: Text {
                length: text.min(TEXT_MAX as u8),
                bytes: take(&mut rest),
            },
            agent: Text {
                length: agent.min(TEXT_MAX as u8),
                bytes: take(&mut rest),
            },
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk::<N>().unwrap_or((&[0; N], &[]));
    *rest = tail;
    *head
}

/// A short text of any bytes, cut to [`TEXT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    length: u8,
    bytes: [u8; TEXT_MAX],
}

impl Default for Text {
    fn default() -> Text {
        Text {
            length: 0,
            bytes: [0; TEXT_MAX],
        }
    }
}

impl Text {
    /// The first bytes of `text`.
    pub fn new(text: &[u8]) -> Text {
        let length = text.len().min(TEXT_MAX);
        let mut bytes = [0; TEXT_MAX];
        bytes[..length].copy_from_slice(&text[..length]);
        Text {
            length: length as u8,
            bytes,
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Printable ASCII, `\xNN` for everything else and for quotes.
    pub fn printable(&self) -> String {
        let show = |byte: &u8| match byte {
            b'"' | b'\\' => format!("\\x{byte:02x}"),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        self.bytes().iter().map(show).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_survives_the_pipe() {
        let source = Source::new("2001:db8::1".parse().unwrap(), 64);
        for kind in KINDS {
            let event = Event {
                address: "2001:db8::1".parse().unwrap(),
                reason: Reason::AUTH,
                shadow: true,
                at: 1 << 39,
                seconds: Event::FOREVER,
                count: 7,
                method: 14,
                text: Text::new(b"anna"),
                agent: Text::new(&[b'x'; 200]),
                ..Event::new(kind, source, Origin::Operator)
            };
            assert_eq!(Event::decode(&event.encode()), Some(event));
            assert_eq!(event.agent.bytes().len(), TEXT_MAX);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), RECORD)) {
            let record: [u8; RECORD] = bytes.try_into().unwrap();
            if let Some(event) = Event::decode(&record) {
                prop_assert!(event.text.bytes().len() <= TEXT_MAX);
            }
        }
    }
}
