//! The first look at a capture: what is in it, from when to when, and whose server it is about.
//!
//! Called by the replay, which then reads the file a second time. Every packet is counted here,
//! under one heading; none is left out silently.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::net::IpAddr;

use super::capture::Capture;
use super::frame::{self, Frame};
use super::sip::{self, Message};

/// What is in a capture.
#[derive(Debug, Default)]
pub struct Survey {
    /// All packets.
    pub packets: u64,
    /// Nanoseconds since 1970 of the first and the last SIP message; 0 without one.
    pub first_ns: u64,
    /// See `first_ns`.
    pub last_ns: u64,
    /// SIP requests, by where they went.
    pub requests: HashMap<IpAddr, u64>,
    /// SIP replies.
    pub replies: u64,
    /// UDP datagrams that are no SIP message.
    pub foreign: u64,
    /// Later fragments.
    pub fragments: u64,
    /// Segments of TCP.
    pub tcp: u64,
    /// Everything else.
    pub others: u64,
    /// Packets too short to read.
    pub short: u64,
    /// Packets that were not kept in full.
    pub cut: u64,
    /// Packets of link types that cannot be read.
    pub links: BTreeMap<u32, u64>,
    /// Packets without a time.
    pub timeless: u64,
    /// Where and why the file could not be read to its end.
    pub complaint: Option<String>,
}

impl Survey {
    /// Reads a capture to its end.
    pub fn of(mut capture: Capture<impl Read>) -> Survey {
        let mut survey = Survey::default();
        while let Some(packet) = capture.next() {
            survey.cut += u64::from(packet.cut);
            let count = match frame::read(packet.link, packet.bytes) {
                Frame::Udp(datagram) => match sip::read(datagram.from.ip(), datagram.payload) {
                    Some(message) => {
                        if survey.first_ns == 0 {
                            survey.first_ns = packet.time_ns;
                        }
                        survey.first_ns = survey.first_ns.min(packet.time_ns);
                        survey.last_ns = survey.last_ns.max(packet.time_ns);
                        match message {
                            Message::Reply(_) => &mut survey.replies,
                            Message::Request(_) => {
                                survey.requests.entry(datagram.to.ip()).or_default()
                            }
                        }
                    }
                    None => &mut survey.foreign,
                },
                Frame::Fragment => &mut survey.fragments,
                Frame::Tcp => &mut survey.tcp,
                Frame::Other => &mut survey.others,
                Frame::Short => &mut survey.short,
                Frame::Link => survey.links.entry(packet.link).or_default(),
            };
            *count += 1;
        }
        survey.packets = capture.packets();
        survey.timeless = capture.timeless();
        survey.complaint = capture.complaint().map(str::to_owned);
        survey
    }

    /// The addresses that most requests went to, one of each family: the server's, if nobody says
    /// otherwise. Every request that a proxy passes on came to it first.
    pub fn busiest(&self) -> Vec<IpAddr> {
        let families = [IpAddr::is_ipv4, IpAddr::is_ipv6];
        let busiest = families.map(|family: fn(&IpAddr) -> bool| {
            let own = self.requests.iter().filter(|(address, _)| family(address));
            own.max_by_key(|(address, count)| (**count, **address))
                .map(|(address, _)| *address)
        });
        busiest.into_iter().flatten().collect()
    }

    /// The destinations of requests beside these, the busiest first.
    pub fn elsewhere(&self, own: &[IpAddr]) -> Vec<(IpAddr, u64)> {
        let others = self
            .requests
            .iter()
            .filter(|(address, _)| !own.contains(address));
        let mut others: Vec<(IpAddr, u64)> =
            others.map(|(address, count)| (*address, *count)).collect();
        others.sort_unstable_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        others
    }
}
