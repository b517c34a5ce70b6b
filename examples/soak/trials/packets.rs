//! Floods of real datagrams, each from another source, at several workers that work on them at once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::floods::{MOST_KB, check, config, kept, prepare, verify};
use super::footprint::Footprint;
use super::{Extent, Trial};
use crate::host::{Client, Forger, Kamailio, isolate, listed, wait_until};

/// Datagrams between two requests of customers: fewer than the server's socket holds, so that none is
/// lost.
const ROW: u32 = 128;
/// So many that nobody of them comes near a limit.
const CUSTOMERS: u32 = 200;
/// Datagrams of an offender: he is over a limit, and all workers see it.
const BURST: u32 = 40;

pub const PACKETS: Trial = Trial {
    done: "datagrams at four workers, each from another forged source; then 40 from each of some",
    expected: "no memory, no line for a packet, every packet checked and counted; bans, entries, \
               offenders and trust kept, the new offenders and nobody else banned, honest sources \
               denied: 0",
    run: packets,
};

/// Who floods, and the customers in the midst of it.
struct Flood {
    forger: Forger,
    customers: Vec<Client>,
    sent: u32,
    asked: u32,
}

impl Flood {
    fn new() -> Self {
        let customer = |number| Client::udp(&format!("198.51.100.{number}"));
        let customers = (1..=CUSTOMERS).map(customer).collect();
        Self {
            forger: Forger::new(),
            customers,
            sent: 0,
            asked: 0,
        }
    }

    /// Sends from all of these; the workers have taken every datagram when this returns.
    fn send(&mut self, sources: impl Iterator<Item = Ipv4Addr>) {
        for source in sources {
            self.forger.send(source, "flood");
            self.sent += 1;
            if self.sent.is_multiple_of(ROW) {
                self.serve_customer();
            }
        }
        self.serve_customer();
    }

    fn serve_customer(&mut self) {
        let customer = &mut self.customers[(self.asked % CUSTOMERS) as usize];
        assert_eq!(customer.ask(&check()).rc(), 1, "a customer is denied");
        self.asked += 1;
    }
}

/// Requests that the core has handed to the script.
fn handled(server: &Kamailio) -> i64 {
    let listed = server.kamcmd(&["stats.get_statistics", "core:"]);
    let listed = listed.expect("the core has statistics");
    let value = listed
        .lines()
        .find_map(|line| line.trim().strip_prefix("core:rcv_requests = "));
    let value = value.and_then(|value| value.trim().parse().ok());
    value.expect("the core counts its requests")
}

/// All over a network, and none twice.
fn scattered(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | number.wrapping_mul(40_503) & 0x00ff_ffff)
}

fn offender(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0000 | number)
}

fn packets(extent: &Extent) -> String {
    isolate();
    let server = Kamailio::start(config().workers(4));
    prepare(&server);
    let mut flood = Flood::new();
    // Everything that is allocated once has been.
    flood.send((0..ROW * 32).map(scattered));
    let (sources, offenders) = (extent.sources / 5, extent.sources / 2000);
    let (before, lines) = (Footprint::of(&server), server.log().lines().count());
    let counted = || (server.stat("checks"), handled(&server));
    let (checks, requests) = counted();
    let sent = flood.sent + flood.asked;
    let start = Instant::now();
    flood.send((0..sources).map(scattered));
    let lines_of_many = server.log().lines().count() - lines;
    assert!(lines_of_many < 5, "{lines_of_many} log lines");
    flood.send((0..offenders * BURST).map(|number| offender(number / BURST)));
    let seconds = start.elapsed().as_secs_f64();
    // A worker may still be at the last one.
    let sent = i64::from(flood.sent + flood.asked - sent);
    wait_until("every packet to be handled and counted", || {
        counted() == (checks + sent, requests + sent)
    });
    let memory = before.compare(&Footprint::of(&server), MOST_KB);
    let expected = kept().chain((0..offenders).map(|number| offender(number).to_string()));
    let expected: BTreeSet<String> = expected.collect();
    assert_eq!(listed(&server, "sec.bans"), expected);
    let lines = server.log().lines().count() - lines;
    assert!(lines <= 2 * offenders as usize + 5, "{lines} log lines");
    verify(&server);
    format!(
        "{sent} packets in {seconds:.0} s, all checked and counted; {offenders} offenders banned, \
         {lines} log lines, 0 of {} honest requests denied; {memory}",
        flood.asked
    )
}
