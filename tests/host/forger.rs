//! A forger: datagrams that say of each that it comes from somewhere else, as in a flood. No answer is
//! waited for.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

use super::SERVER;

/// One socket for all of them.
pub struct Forger {
    socket: UdpSocket,
    target: SockaddrStorage,
    sent: u32,
}

impl Forger {
    /// At the test server.
    pub fn new() -> Self {
        let target = SocketAddr::new(SERVER.parse().expect("an address"), 5060);
        Self {
            socket: UdpSocket::bind(("0.0.0.0", 0)).expect("a socket can be had"),
            target: target.into(),
            sent: 0,
        }
    }

    /// Sends a request to this user, from any IPv4 address.
    pub fn send(&mut self, source: Ipv4Addr, user: &str) {
        self.sent += 1;
        let number = self.sent;
        let text = format!(
            "OPTIONS sip:{user}@{SERVER} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {source};branch=z9hG4bK-{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@{SERVER}>;tag={number}\r\nTo: <sip:{SERVER}>\r\n\
             Call-ID: {number}@forged\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        self.send_bytes(source, text.as_bytes());
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, source: Ipv4Addr, bytes: &[u8]) {
        let s_addr = |address: Ipv4Addr| in_addr {
            s_addr: u32::from(address).to_be(),
        };
        let from = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: s_addr(source),
            ipi_addr: s_addr(Ipv4Addr::UNSPECIFIED),
        };
        let (parts, control) = (
            [IoSlice::new(bytes)],
            [ControlMessage::Ipv4PacketInfo(&from)],
        );
        let (socket, target) = (self.socket.as_raw_fd(), Some(&self.target));
        sendmsg(socket, &parts, &control, MsgFlags::empty(), target)
            .expect("every address is local");
    }
}
