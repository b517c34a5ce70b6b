//! Frames as bytes: every link type that is read, and what is no datagram.

use proptest::prelude::*;

use super::*;

const SAYS: &[u8] = b"OPTIONS";

fn udp() -> Vec<u8> {
    let length = (8 + SAYS.len()) as u16;
    let mut bytes = Vec::new();
    for number in [5062, 5060, length, 0] {
        bytes.extend(u16::to_be_bytes(number));
    }
    bytes.extend(SAYS);
    bytes
}

fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x46, 0];
    bytes.extend((24 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 203, 0, 113, 7, 192, 0, 2, 10]);
    bytes.extend([1, 1, 1, 1]); // an option of four bytes
    bytes.extend(payload);
    bytes
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    for address in ["2001:db8::7", "2001:db8::10"] {
        bytes.extend(address.parse::<Ipv6Addr>().unwrap().octets());
    }
    bytes.extend(payload);
    bytes
}

fn ethernet_of(tags: &[u8], kind: u16, packet: &[u8]) -> Vec<u8> {
    [&[0; 12][..], tags, &kind.to_be_bytes(), packet].concat()
}

/// The sender of a datagram that arrived whole.
fn sender(link: u32, bytes: &[u8]) -> String {
    match read(link, bytes) {
        Frame::Udp(datagram) => {
            assert_eq!((datagram.payload, datagram.to.port()), (SAYS, 5060));
            datagram.from.to_string()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn datagrams_are_found_behind_every_link() {
    let (four, six) = (v4(UDP, 0, &udp()), v6(UDP, &udp()));
    let vlan = [0x81, 0, 0, 42];
    let double = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 42];
    let padded = [&four[..], &[0; 20]].concat();
    let cooked = |kind: u16, packet: &[u8]| [&[0; 14][..], &kind.to_be_bytes(), packet].concat();
    let newer = |kind: u16, packet: &[u8]| [&kind.to_be_bytes()[..], &[0; 18], packet].concat();
    for (link, bytes) in [
        (1, ethernet_of(&[], ETHER_IPV4, &padded)),
        (1, ethernet_of(&vlan, ETHER_IPV4, &four)),
        (1, ethernet_of(&double, ETHER_IPV4, &four)),
        (113, cooked(ETHER_IPV4, &four)),
        (276, newer(ETHER_IPV4, &four)),
        (0, [&[2, 0, 0, 0][..], &four].concat()),
        (108, [&[0, 0, 0, 2][..], &four].concat()),
        (101, four.clone()),
        (228, four.clone()),
    ] {
        assert_eq!(sender(link, &bytes), "203.0.113.7:5062", "link type {link}");
    }
    for (link, bytes) in [
        (1, ethernet_of(&vlan, ETHER_IPV6, &six)),
        (276, newer(ETHER_IPV6, &six)),
        (101, six.clone()),
        (229, six.clone()),
    ] {
        assert_eq!(
            sender(link, &bytes),
            "[2001:db8::7]:5062",
            "link type {link}"
        );
    }
}

#[test]
fn headers_between_ipv6_and_udp_are_passed() {
    let options = [&[UDP, 1][..], &[0; 14], &udp()].concat();
    let routed = [&[60, 0][..], &[0; 6], &options].concat();
    assert_eq!(sender(101, &v6(0, &routed)), "[2001:db8::7]:5062");
    let first = [&[UDP, 0, 0, 1, 0, 0, 0, 9][..], &udp()].concat();
    assert_eq!(sender(101, &v6(44, &first)), "[2001:db8::7]:5062");
    let later = [&[UDP, 0, 0, 8, 0, 0, 0, 9][..], &udp()].concat();
    assert_eq!(read(101, &v6(44, &later)), Frame::Fragment);
}

#[test]
fn the_first_fragment_stands_for_the_datagram() {
    let more = 0x2000;
    assert_eq!(sender(101, &v4(UDP, more, &udp())), "203.0.113.7:5062");
    assert_eq!(read(101, &v4(UDP, more | 185, &udp())), Frame::Fragment);
    assert_eq!(read(101, &v4(UDP, 370, &udp())), Frame::Fragment);
}

#[test]
fn other_traffic_is_told_apart() {
    let arp = ethernet_of(&[], 0x0806, &[0; 28]);
    for (link, bytes, frame) in [
        (101, v4(TCP, 0, &[0; 20]), Frame::Tcp),
        (101, v6(TCP, &[0; 20]), Frame::Tcp),
        (101, v4(1, 0, b"ping"), Frame::Other),
        (1, arp, Frame::Other),
        (101, vec![0x50; 40], Frame::Other),
        (105, vec![0; 40], Frame::Link),
        (1, vec![0; 13], Frame::Short),
        (101, v4(UDP, 0, b"abc"), Frame::Short),
        (101, vec![0x45; 19], Frame::Short),
        (276, vec![8, 0], Frame::Short),
    ] {
        assert_eq!(read(link, &bytes), frame);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        link in prop::sample::select(&[0_u32, 1, 12, 101, 108, 113, 228, 276][..]),
        nibble in 4..7_u8,
    ) {
        let mut packet = bytes;
        read(link, &packet);
        if let Some(first) = packet.first_mut() {
            *first = nibble << 4 | *first & 0xf;
        }
        if let Frame::Udp(datagram) = read(101, &packet) {
            prop_assert!(datagram.payload.len() < packet.len());
        }
    }
}
