//! The CPU of a whole request, over all processes of the server, for what happens to requests:
//! dropped after the check, answered after it, and refused because their hundred sources send far
//! too many. Against a route that checks nothing.
//!
//! The server's processes run on one core; what sends, and Redis, on the other. A route with Redis
//! in it handles fewer requests, because a worker waits for each answer.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::libc::{in_addr, in_pktinfo};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use nix::unistd::Pid;

use super::host::{Config, Kamailio, Redis, SERVER, isolate, wait_until};
use super::report::{Row, median};

const ROUNDS: usize = 3;
/// Of the figure that has a target: it is the difference of two that vary by more than itself.
const DROP_ROUNDS: usize = 7;
const REQUESTS: u32 = 200_000;
/// Requests of the route in which each waits for Redis.
const SLOW_REQUESTS: u32 = 20_000;
/// Sent in one go before looking at the clock, or at the answers.
const GO: u32 = 64;
/// Requests in a second, where no answers hold the sender back.
const RATE: f64 = 50_000.0;
const SLOW_RATE: f64 = 8_000.0;

/// A route, and whether it asks Redis about each request.
const ROUTES: [(&str, &str, bool); 5] = [
    ("empty", "", false),
    ("pike", "if (!pike_check_req()) exit;", false),
    ("pike + htable", BANS, false),
    ("pike + htable + ndb_redis", FLEET, true),
    ("sec", "sec_check(); if ($rc < 0) exit;", false),
];
const BANS: &str = "if ($sht(ipban=>$si) != $null) exit;
    if (!pike_check_req()) { $sht(ipban=>$si) = 1; exit; }";
/// The article's, with a test for the empty answer: without one all are whitelisted.
pub const FLEET: &str = "redis_cmd(\"fleet\", \"GET white_list:$si\", \"r\");
    if ($redis(r=>value) == $null) {
        if ($sht(ipban=>$si) != $null) exit;
        if (!pike_check_req()) { $sht(ipban=>$si) = 1; exit; }
    }";

/// What comes in, and what becomes of it.
#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    Drop,
    Answer,
    Attack,
}

impl Traffic {
    fn name(self) -> &'static str {
        match self {
            Traffic::Drop => "dropped, 200,000 sources",
            Traffic::Answer => "answered, 200,000 sources",
            Traffic::Attack => "attack, 100 sources",
        }
    }

    fn source(self, number: u32) -> Ipv4Addr {
        let number = match self {
            Traffic::Attack => number % 100,
            // Scattered, and none twice.
            _ => number.wrapping_mul(40_503) & 0x00ff_ffff,
        };
        Ipv4Addr::from(0x0a00_0000 | number)
    }
}

pub fn dropped() -> Vec<Row> {
    compare(Traffic::Drop, Some("fm"))
}

pub fn answered() -> Vec<Row> {
    compare(Traffic::Answer, Some("fm"))
}

pub fn attacked() -> Vec<Row> {
    compare(Traffic::Attack, Some("fm"))
}

/// With the memory manager that Kamailio was built with, as most installations run.
pub fn by_default() -> Vec<Row> {
    compare(Traffic::Drop, None)
}

fn compare(traffic: Traffic, manager: Option<&'static str>) -> Vec<Row> {
    isolate();
    pin(Pid::this(), 1);
    let _redis = Redis::start();
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); ROUTES.len()];
    let wanted = match traffic {
        Traffic::Drop => DROP_ROUNDS,
        _ => ROUNDS,
    };
    for _ in 0..wanted {
        for (times, (_, route, slow)) in rounds.iter_mut().zip(ROUTES) {
            times.push(round(traffic, manager, route, slow));
        }
    }
    let empty = median(&rounds[0]);
    let part = format!(
        "CPU of a request, {}",
        manager.map_or("default memory manager".into(), |name| format!("-x {name}"))
    );
    let row = |(times, (name, ..)): (&Vec<f64>, (&str, &str, bool))| {
        let rounds: Vec<f64> = times.iter().map(|time| time / 1000.0).collect();
        let over = median(&rounds) - empty / 1000.0;
        Row {
            note: format!("{over:+.2} over empty"),
            ..Row::new(&part, &format!("{}: {name}", traffic.name()), "µs", rounds)
        }
    };
    rounds.iter().zip(ROUTES).map(row).collect()
}

/// Nanoseconds of CPU for a request.
fn round(traffic: Traffic, manager: Option<&'static str>, route: &str, slow: bool) -> f64 {
    let end = match traffic {
        Traffic::Answer => "sl_send_reply(\"200\", \"OK\");",
        _ => "exit;",
    };
    let mut config = Config::new()
        .memory(512)
        .extra("loadmodule \"pike.so\"\nloadmodule \"htable.so\"\nloadmodule \"ndb_redis.so\"")
        .extra("modparam(\"pike\", \"reqs_density_per_unit\", 30)")
        .extra("modparam(\"pike\", \"sampling_time_unit\", 2)")
        .extra("modparam(\"htable\", \"htable\", \"ipban=>size=16;autoexpire=300;\")")
        .extra("modparam(\"ndb_redis\", \"server\", \"name=fleet;addr=127.0.0.1;port=6379;db=0\")")
        .route(&format!("{route}\n{end}\n"));
    if let Some(manager) = manager {
        config = config.memory_manager(manager);
    }
    let server = Kamailio::start(config);
    for pid in server.all_processes() {
        pin(Pid::from_raw(pid), 0);
    }
    let (cpu, before) = (cpu_ns(&server), handled(&server));
    let (requests, rate) = match slow {
        true => (SLOW_REQUESTS, SLOW_RATE),
        false => (REQUESTS, RATE),
    };
    send(traffic, requests, rate);
    let mut count = handled(&server);
    // What is still in the socket's buffer is handled until the count stands still.
    wait_until("the requests to be handled", || {
        std::thread::sleep(Duration::from_millis(20));
        let again = handled(&server);
        std::mem::replace(&mut count, again) == again
    });
    let used = cpu_ns(&server) - cpu;
    server.stop();
    used as f64 / (count - before) as f64
}

fn pin(process: Pid, core: usize) {
    let mut cores = CpuSet::new();
    // A machine of one core runs it all there.
    if cores.set(core).is_ok() {
        let _ = sched_setaffinity(process, &cores);
    }
}

fn handled(server: &Kamailio) -> u64 {
    let listed = server.kamcmd(&["stats.get_statistics", "core:"]);
    let listed = listed.expect("the core has statistics");
    let value = listed
        .lines()
        .find_map(|line| line.trim().strip_prefix("core:rcv_requests = "));
    let value = value.and_then(|value| value.trim().parse().ok());
    value.expect("the core counts its requests")
}

/// CPU time of all processes of the server.
fn cpu_ns(server: &Kamailio) -> u64 {
    let of = |pid: &i32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        let ran = text.split(' ').next().map(str::parse::<u64>);
        ran.and_then(Result::ok).unwrap_or(0)
    };
    server.all_processes().iter().map(of).sum()
}

fn send(traffic: Traffic, requests: u32, rate: f64) {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket can be had");
    let patience = Some(Duration::from_millis(200));
    socket
        .set_read_timeout(patience)
        .expect("a socket has a time-out");
    let port = socket.local_addr().expect("it is bound").port();
    let server: Ipv4Addr = SERVER.parse().expect("an address");
    let target = SockaddrStorage::from(SocketAddr::V4(SocketAddrV4::new(server, 5060)));
    let start = Instant::now();
    let mut answer = [0; 2048];
    for number in 0..requests {
        let source = traffic.source(number);
        let from = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: in_addr {
                s_addr: u32::from(source).to_be(),
            },
            ipi_addr: in_addr { s_addr: 0 },
        };
        let text = request(number, source, port);
        let control = [ControlMessage::Ipv4PacketInfo(&from)];
        let parts = [IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::empty();
        // A full buffer loses a request; those that arrive are counted by the server.
        let _ = sendmsg(socket.as_raw_fd(), &parts, &control, flags, Some(&target));
        if number % GO != GO - 1 {
            continue;
        }
        if traffic == Traffic::Answer {
            for _ in 0..GO {
                if socket.recv(&mut answer).is_err() {
                    break;
                }
            }
        }
        let due = Duration::from_secs_f64(f64::from(number) / rate);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
}

fn request(number: u32, source: Ipv4Addr, port: u16) -> String {
    format!(
        "OPTIONS sip:{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:{port};branch=z9hG4bK-{number}\r\n\
         From: <sip:bench@{SERVER}>;tag={number}\r\nTo: <sip:{SERVER}>\r\nCall-ID: {number}@bench\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nUser-Agent: bench of the module sec\r\n\
         Contact: <sip:bench@{source}:{port}>\r\nContent-Length: 0\r\n\r\n"
    )
}
