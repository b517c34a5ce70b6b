//! The CPU of a whole request, over all processes of the server, for a route that drops it after the
//! check: 200,000 requests from as many sources, against a route that checks nothing.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

use super::host::{Config, Kamailio, SERVER, isolate};
use super::report::Row;

const ROUNDS: usize = 3;
const REQUESTS: u32 = 200_000;
/// Sent in one go before looking at the clock.
const GO: u32 = 64;
/// Requests in a second: what the slowest of the routes still handles.
const RATE: f64 = 40_000.0;

const ROUTES: [(&str, &str); 4] = [
    ("empty", "exit;"),
    ("pike", "if (!pike_check_req()) exit; exit;"),
    (
        "pike + htable",
        "if ($sht(ipban=>$si) != $null) exit; if (!pike_check_req()) { $sht(ipban=>$si) = 1; exit; } exit;",
    ),
    ("sec", "if (sec_check() < 0) exit; exit;"),
];

pub fn measure() -> Vec<Row> {
    isolate();
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); ROUTES.len()];
    for _ in 0..ROUNDS {
        for (times, (_, route)) in rounds.iter_mut().zip(ROUTES) {
            times.push(round(route));
        }
    }
    let empty = Row {
        name: "empty".into(),
        rounds: rounds[0].clone(),
    }
    .median();
    let row = |(times, (name, _)): (&Vec<f64>, (&str, &str))| {
        let over = if name == "empty" { 0.0 } else { empty };
        let name = format!("drop, 200,000 sources: {name}");
        Row {
            name,
            rounds: times.iter().map(|time| (time - over).max(0.0)).collect(),
        }
    };
    rounds.iter().zip(ROUTES).map(row).collect()
}

/// Nanoseconds of CPU for a request.
fn round(route: &str) -> f64 {
    let config = Config::new()
        .memory_manager("fm")
        .memory(512)
        .extra("loadmodule \"pike.so\"\nloadmodule \"htable.so\"")
        .extra("modparam(\"htable\", \"htable\", \"ipban=>size=16;autoexpire=300;\")")
        .route(route);
    let server = Kamailio::start(config);
    let handled = || {
        let listed = server
            .kamcmd(&["stats.get_statistics", "core:rcv_requests"])
            .unwrap_or_default();
        let value = listed
            .split('=')
            .nth(1)
            .map(|value| value.trim().parse::<u64>());
        value
            .and_then(Result::ok)
            .expect("the core counts its requests")
    };
    let (cpu, before) = (cpu_ns(&server), handled());
    send();
    let mut count = handled();
    // What is still in the socket's buffer is handled until the count stands still.
    super::host::wait_until("the requests to be handled", || {
        let again = handled();
        std::mem::replace(&mut count, again) == again
    });
    let used = cpu_ns(&server) - cpu;
    server.stop();
    used as f64 / (count - before) as f64
}

/// CPU time of all processes of the server.
fn cpu_ns(server: &Kamailio) -> u64 {
    let of = |pid: &i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|value| value.parse::<u64>().ok())
            .unwrap_or(0)
    };
    server.all_processes().iter().map(of).sum()
}

/// One request from each of [`REQUESTS`] addresses.
fn send() {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).expect("a socket can be had");
    let server: Ipv4Addr = SERVER.parse().expect("an address");
    let target = SockaddrStorage::from(SocketAddr::V4(SocketAddrV4::new(server, 5060)));
    let start = Instant::now();
    for number in 0..REQUESTS {
        let source = Ipv4Addr::from(0x0a00_0000 | number.wrapping_mul(2_654_435_761) >> 9);
        let from = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: in_addr {
                s_addr: u32::from(source).to_be(),
            },
            ipi_addr: in_addr { s_addr: 0 },
        };
        let text = request(number, source);
        let control = [ControlMessage::Ipv4PacketInfo(&from)];
        let parts = [IoSlice::new(text.as_bytes())];
        // A full buffer loses a request; those that arrive are counted by the server.
        let _ = sendmsg(
            socket.as_raw_fd(),
            &parts,
            &control,
            MsgFlags::empty(),
            Some(&target),
        );
        if number % GO == 0 {
            let due = Duration::from_secs_f64(f64::from(number) / RATE);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
}

fn request(number: u32, source: Ipv4Addr) -> String {
    format!(
        "OPTIONS sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:5060;branch=z9hG4bK-{number}\r\n\
         From: <sip:bench@{SERVER}>;tag={number}\r\nTo: <sip:{SERVER}>\r\nCall-ID: {number}@bench\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}
