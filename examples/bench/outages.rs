//! What callers notice while something is wrong with Redis: `sec` beside pike, htable and a whitelist
//! that the script reads from Redis with ndb_redis.
//!
//! Fifty customers send fifty requests a second, whatever becomes of them, so that a server that falls
//! behind does not get fewer. Who has no answer after two seconds has none. Each fault has servers of
//! its own.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::host::outage::{self, Fault};
use super::host::{Client, Config, Kamailio, Outage, Request, SERVER, Waits, isolate, wait_until};
use super::report::Row;
use super::requests::FLEET;

const PART: &str = "Requests answered while something is wrong with Redis";
/// Requests during a fault, and the time between two.
const REQUESTS: u32 = 200;
const PACE: Duration = Duration::from_millis(20);
const CUSTOMERS: usize = 50;
/// An answer that comes later comes too late.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where the servers look for Redis: a relay stands between.
const PORT: u16 = 6390;

/// What a server is started with: all but the clock that it goes by.
type Stack = fn() -> Config;

/// What is wrong, in the order of the report.
const FAULTS: [Fault; 18] = [
    outage::NOTHING,
    REFUSED_FROM_THE_START,
    outage::REFUSED,
    outage::KILLED,
    outage::HUNG,
    outage::SLOW_20,
    outage::SLOW_100,
    outage::SLOW_500,
    outage::FULL,
    outage::READ_ONLY,
    outage::FAILED_OVER,
    outage::PASSWORD,
    outage::KICKED,
    outage::OUTPUT,
    outage::FLUSHED,
    outage::CHANGES_FLUSHED,
    outage::CHANGES_KILLED,
    outage::CLOCK_SET,
];

/// Begun before the server is started, and not after it.
const REFUSED_FROM_THE_START: Fault = Fault {
    name: "refused from the start",
    ..outage::REFUSED
};

/// Waits until every process of the server has its connection.
fn settle(world: &Outage) {
    let mut count = 0;
    wait_until("the connections to be made", || {
        thread::sleep(Duration::from_millis(500));
        let again = world.relay.connections();
        again > 0 && std::mem::replace(&mut count, again) == again
    });
}

pub fn measure() -> Vec<Row> {
    isolate();
    let stacks: [(&str, Stack); 2] = [("sec", sec), ("pike + htable + ndb_redis", peer)];
    let faults = FAULTS
        .iter()
        .flat_map(|fault| stacks.map(|stack| (fault, stack)));
    let rows = faults.map(|(fault, (stack, config))| {
        let mut world = Outage::new(PORT);
        let server = start(fault, &mut world, config());
        let waits = call();
        // First Redis: workers that wait for it could not end.
        world.quiet();
        drop(world);
        server.stop();
        row(&format!("{}: {stack}", fault.name), &waits)
    });
    rows.collect()
}

/// A server that has just got into trouble.
fn start(fault: &Fault, world: &mut Outage, config: Config) -> Kamailio {
    let config = match fault.name == outage::CLOCK_SET.name {
        true => world.clock.shown_to(config),
        false => config,
    };
    if fault.name == REFUSED_FROM_THE_START.name {
        (fault.begin)(world);
        return Kamailio::start(config);
    }
    let server = Kamailio::start(config);
    settle(world);
    (fault.begin)(world);
    server
}

fn sec() -> Config {
    let url = format!("redis://127.0.0.1:{PORT}");
    let config = Config::new().workers(4).param("redis_url", &*url);
    config.route("    sec_check();\n    if ($rc < 0) exit;\n    sl_send_reply(\"200\", \"OK\");\n")
}

fn peer() -> Config {
    let redis = format!("name=fleet;addr=127.0.0.1;port={PORT};db=0");
    let config = Config::stock()
        .workers(4)
        .extra("loadmodule \"pike.so\"\nloadmodule \"htable.so\"\nloadmodule \"ndb_redis.so\"")
        .extra("modparam(\"pike\", \"reqs_density_per_unit\", 30)")
        .extra("modparam(\"pike\", \"sampling_time_unit\", 2)")
        .extra("modparam(\"htable\", \"htable\", \"ipban=>size=16;autoexpire=300;\")")
        .extra(&format!("modparam(\"ndb_redis\", \"server\", \"{redis}\")"))
        // Otherwise it would end when Redis is not there at its start.
        .extra("modparam(\"ndb_redis\", \"init_without_redis\", 1)");
    config.route(&format!("{FLEET}\n    sl_send_reply(\"200\", \"OK\");\n"))
}

/// Sends at its pace; how long each answer took that came in time.
fn call() -> Waits {
    let customer = |number| Client::udp(&format!("10.100.0.{number}"));
    let mut clients: Vec<Client> = (1..=CUSTOMERS).map(customer).collect();
    let request = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    let (mut waiting, mut times, mut sent) = (HashMap::new(), Vec::<Duration>::new(), 0);
    let start = Instant::now();
    let end = PACE * REQUESTS + PATIENCE;
    while start.elapsed() < end && (sent < REQUESTS || !waiting.is_empty()) {
        if sent < REQUESTS && start.elapsed() >= PACE * sent {
            let client = &mut clients[sent as usize % CUSTOMERS];
            waiting.insert(client.send(&request), Instant::now());
            sent += 1;
        }
        for answer in clients.iter_mut().flat_map(Client::arrived) {
            let asked = answer.header("Call-ID").and_then(|id| waiting.remove(id));
            times.extend(asked.map(|asked| asked.elapsed()));
        }
        thread::sleep(Duration::from_micros(500));
    }
    times.retain(|time| *time <= PATIENCE);
    Waits::from(times)
}

fn row(name: &str, waits: &Waits) -> Row {
    let note = format!(
        "{} of {REQUESTS}; p50 {} ms, p99 {} ms",
        waits.count(),
        waits.shown(0.5),
        waits.shown(0.99)
    );
    let share = waits.count() as f64 * 100.0 / f64::from(REQUESTS);
    Row {
        note,
        ..Row::new(PART, name, "%", vec![share])
    }
}
