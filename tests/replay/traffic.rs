//! Traffic of a test's own making, as a classic pcap file.

use std::net::Ipv4Addr;

/// The server in such traffic.
pub const SERVER: &str = "192.0.2.10";
/// 2025-11-20 08:00:00 UTC.
const START_SECS: u64 = 1_763_625_600;

/// Packets on an Ethernet.
#[derive(Default)]
pub struct Traffic {
    records: Vec<u8>,
}

impl Traffic {
    /// A UDP datagram between two ports 5060, so many milliseconds after the start.
    pub fn request(&mut self, at_ms: u64, from: &str, to: &str, payload: &[u8]) {
        let length = (8 + payload.len()) as u16;
        let mut udp: Vec<u8> = Vec::new();
        for number in [5060, 5060, length, 0] {
            udp.extend(u16::to_be_bytes(number));
        }
        udp.extend(payload);
        self.packet(at_ms, 17, 0, from, to, &udp);
    }

    /// An IPv4 packet of any protocol; `fragment` is where it belongs, in units of eight bytes.
    pub fn packet(
        &mut self,
        at_ms: u64,
        protocol: u8,
        fragment: u16,
        from: &str,
        to: &str,
        payload: &[u8],
    ) {
        let octets = |text: &str| text.parse::<Ipv4Addr>().expect("an address").octets();
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, protocol, 0, 0]);
        frame.extend(octets(from));
        frame.extend(octets(to));
        frame.extend(payload);
        let (seconds, length) = (START_SECS + at_ms / 1000, frame.len() as u32);
        for number in [seconds as u32, (at_ms % 1000) as u32 * 1000, length, length] {
            self.records.extend(number.to_le_bytes());
        }
        self.records.extend(frame);
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let mut file: Vec<u8> = Vec::new();
        for number in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1_u32] {
            file.extend(number.to_le_bytes());
        }
        file.extend(&self.records);
        file
    }
}

/// An OPTIONS with a User-Agent.
pub fn options(agent: &str) -> Vec<u8> {
    let text = format!(
        "OPTIONS sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n\
         From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
         User-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    );
    text.into_bytes()
}
