//! Captures as bytes: every dialect that is read, and files that are damaged.

use proptest::prelude::*;

use super::*;

/// Writes numbers in one byte order.
struct Writer {
    big: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(big: bool) -> Writer {
        Writer {
            big,
            bytes: Vec::new(),
        }
    }

    fn u16(mut self, number: u16) -> Writer {
        let bytes = if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.bytes.extend(bytes);
        self
    }

    fn u32(mut self, number: u32) -> Writer {
        let bytes = if self.big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        };
        self.bytes.extend(bytes);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend(bytes);
        self
    }

    /// A block of pcapng around a body.
    fn block(self, kind: u32, body: &[u8]) -> Writer {
        let padded = body.len().next_multiple_of(4);
        let length = (12 + padded) as u32;
        let padding = vec![0; padded - body.len()];
        self.u32(kind)
            .u32(length)
            .raw(body)
            .raw(&padding)
            .u32(length)
    }
}

fn classic(big: bool, magic: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let head = Writer::new(big)
        .u32(magic)
        .u16(2)
        .u16(4)
        .u32(0)
        .u32(0)
        .u32(65_535)
        .u32(1);
    let write = |file: Writer, (seconds, fraction, bytes): &(u32, u32, &[u8])| {
        let length = bytes.len() as u32;
        file.u32(*seconds)
            .u32(*fraction)
            .u32(length)
            .u32(length + 1)
            .raw(bytes)
    };
    records.iter().fold(head, write).bytes
}

fn section(big: bool) -> Vec<u8> {
    let body = Writer::new(big)
        .u32(BYTE_ORDER)
        .u16(1)
        .u16(0)
        .u32(u32::MAX)
        .u32(u32::MAX)
        .bytes;
    Writer::new(big).block(BLOCK_SECTION, &body).bytes
}

/// Packets as time, link type and bytes.
type Packets = Vec<(u64, u32, Vec<u8>)>;

/// All packets, and the complaint.
fn all(file: &[u8]) -> (Packets, Option<String>) {
    let mut capture = Capture::open(file).expect("it is a capture");
    let mut packets = Vec::new();
    while let Some(packet) = capture.next() {
        packets.push((packet.time_ns, packet.link, packet.bytes.to_vec()));
    }
    (packets, capture.complaint().map(str::to_owned))
}

#[test]
fn both_byte_orders_and_both_clocks() {
    for big in [false, true] {
        for (magic, fraction_ns) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let file = classic(big, magic, &[(7, 5, b"one"), (8, 0, b"")]);
            let first = (7_000_000_000 + 5 * fraction_ns, 1, b"one".to_vec());
            let expected = vec![first, (8_000_000_000, 1, Vec::new())];
            assert_eq!(all(&file), (expected, None));
        }
    }
    let file = classic(false, 0xa1b2_c3d4, &[(7, 5, b"x")]);
    let mut capture = Capture::open(&*file).unwrap();
    assert!(capture.next().is_some_and(|packet| packet.cut));
}

#[test]
fn pcapng_with_interfaces_of_different_clocks() {
    for big in [false, true] {
        let micro = Writer::new(big).u16(1).u16(0).u32(0).bytes;
        let binary = Writer::new(big).u16(101).u16(0).u32(0);
        let binary = binary
            .u16(OPTION_RESOLUTION)
            .u16(1)
            .raw(&[0x80 | 10, 0, 0, 0]);
        let offset = if big {
            60_i64.to_be_bytes()
        } else {
            60_i64.to_le_bytes()
        };
        let binary = binary.u16(OPTION_OFFSET).u16(8).raw(&offset).u32(0).bytes;
        let packet = |interface: u32, ticks: u32, bytes: &[u8]| {
            let length = bytes.len() as u32;
            let head = Writer::new(big)
                .u32(interface)
                .u32(0)
                .u32(ticks)
                .u32(length)
                .u32(length);
            head.raw(bytes).bytes
        };
        let blocks = Writer::new(big)
            .block(BLOCK_INTERFACE, &micro)
            .block(BLOCK_INTERFACE, &binary)
            .block(0x0bad, b"somebody's own")
            .block(BLOCK_PACKET, &packet(0, 5, b"first"))
            .block(BLOCK_PACKET, &packet(1, 1536, b"second"))
            .block(BLOCK_SIMPLE_PACKET, b"\0\0\0\0");
        let file = [section(big), blocks.bytes].concat();
        let expected = vec![
            (5000, 1, b"first".to_vec()),
            (61_500_000_000, 101, b"second".to_vec()),
        ];
        assert_eq!(all(&file), (expected, None));
    }
}

#[test]
fn a_file_that_ends_in_a_packet_is_read_up_to_there() {
    let whole = classic(false, 0xa1b2_c3d4, &[(1, 0, b"abc"), (2, 0, b"def")]);
    for missing in 1..=18 {
        let (packets, complaint) = all(&whole[..whole.len() - missing]);
        assert_eq!(packets.len(), 1, "{missing} bytes less");
        let complaint = complaint.expect("it is said");
        assert!(
            complaint.contains("cut off in the middle of packet 2, at byte 43"),
            "{complaint}"
        );
    }
    assert_eq!(
        all(&whole[..whole.len() - 19]).1,
        None,
        "between two packets"
    );
}

#[test]
fn damage_is_named() {
    let mut file = classic(false, 0xa1b2_c3d4, &[(1, 0, b"abc")]);
    file.extend(Writer::new(false).u32(2).u32(0).u32(u32::MAX).u32(9).bytes);
    let (packets, complaint) = all(&file);
    assert_eq!(packets.len(), 1);
    assert!(complaint.is_some_and(|text| text.contains("4294967295 bytes: it is damaged")));
    let unknown = Writer::new(false).block(BLOCK_PACKET, &[0; 20]).bytes;
    let (_, complaint) = all(&[section(false), unknown].concat());
    assert!(complaint.is_some_and(|text| text.contains("interface 0, which it does not describe")));
    for (file, part) in [
        (&b""[..], "too short"),
        (b"\xd4\xc3", "too short"),
        (b"\xd4\xc3\xb2\xa1 and no more", "within the head"),
        (b"\x1f\x8b\x08\0 packed", "gunzip"),
        (b"\x28\xb5\x2f\xfd packed", "unzstd"),
        (b"INVITE sip:x SIP/2.0", "no capture"),
        (b"\x0a\x0d\x0d\x0a\0\0\0\0\0\0\0\0", "makes no sense"),
    ] {
        let error = Capture::open(file).err().expect("it is refused");
        assert!(error.contains(part), "{error}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        start in 0..4_usize,
        big: bool,
    ) {
        let heads = [classic(big, 0xa1b2_c3d4, &[]), section(big), Vec::new(), {
            let interface = Writer::new(big).block(BLOCK_INTERFACE, &[0; 8]).bytes;
            [section(big), interface].concat()
        }];
        let file = [heads[start].clone(), bytes].concat();
        if let Ok(mut capture) = Capture::open(&*file) {
            while capture.next().is_some() {}
            prop_assert!(capture.packets() <= 20);
        }
    }
}
