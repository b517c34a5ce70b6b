//! What callers notice while something is wrong with Redis: `sec` beside pike, htable and a whitelist
//! that the script reads from Redis with ndb_redis.
//!
//! Fifty customers send fifty requests a second, whatever becomes of them, so that a server that falls
//! behind does not get fewer. Who has no answer after two seconds has none. Each fault has servers of
//! its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::fleet::make_noise;
use super::host::{
    Client, Config, Kamailio, Line, Redis, Relay, Request, SERVER, isolate, wait_until,
};
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

/// Something goes wrong.
type Fault = fn(&mut World);
/// A server starts.
type Start = fn() -> Kamailio;

/// What is wrong, in the order of the report.
const FAULTS: [(&str, Fault); 12] = [
    ("nothing wrong", |_| {}),
    ("killed", |world| world.redis.kill()),
    ("hung", |world| world.redis.signal(Signal::SIGSTOP)),
    ("slow by 20 ms", |world| world.slow(20)),
    ("slow by 100 ms", |world| world.slow(100)),
    ("slow by 500 ms", |world| world.slow(500)),
    ("full (maxmemory)", |world| {
        world.ask("CONFIG SET maxmemory 1")
    }),
    ("a read-only replica", |world| {
        world.ask("REPLICAOF 127.0.0.1 1")
    }),
    ("failed over to an empty server", |world| {
        world.redis.restart()
    }),
    ("password changed, connections closed", |world| {
        // One that is made later would have to know it.
        let mut connection = world.redis.connection();
        let mut pipe = redis::pipe();
        let password = ["SET", "requirepass", "other"];
        pipe.cmd("CONFIG").arg(&password);
        let others = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
        pipe.cmd("CLIENT").arg(&others);
        pipe.exec(&mut connection).expect("Redis takes it");
    }),
    ("5,000 changes a second, and FLUSHALL", |world| {
        world.make_noise();
        world.ask("FLUSHALL");
    }),
    ("5,000 changes a second, and killed", |world| {
        world.make_noise();
        world.redis.kill();
    }),
];

/// Redis, and what stands around it.
struct World {
    redis: Redis,
    relay: Relay,
    noise: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl World {
    fn new() -> World {
        World {
            redis: Redis::start(),
            relay: Relay::start(PORT, 6379),
            noise: None,
        }
    }

    /// Waits until every process of the server has its connection: a peer that cannot make one at the
    /// start ends.
    fn settle(&self) {
        let mut count = 0;
        wait_until("the connections to be made", || {
            thread::sleep(Duration::from_millis(500));
            let again = self.relay.connections();
            again > 0 && std::mem::replace(&mut count, again) == again
        });
    }

    fn ask(&self, words: &str) {
        self.redis.run::<()>(words);
    }

    fn slow(&self, ms: u64) {
        self.relay.set(Line::Slow(Duration::from_millis(ms)));
    }

    fn make_noise(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (connection, told) = (self.redis.connection(), Arc::clone(&stop));
        let noise = thread::spawn(move || make_noise(connection, &told));
        self.noise = Some((stop, noise));
        thread::sleep(Duration::from_millis(300));
    }

    fn end(mut self) {
        if let Some((stop, noise)) = self.noise.take() {
            stop.store(true, Ordering::Relaxed);
            noise.join().expect("the noise ends");
        }
    }
}

pub fn measure() -> Vec<Row> {
    isolate();
    let stacks: [(&str, Start); 2] = [("sec", sec), ("pike + htable + ndb_redis", peer)];
    let faults = FAULTS
        .iter()
        .flat_map(|fault| stacks.map(|stack| (fault, stack)));
    let rows = faults.map(|((fault, begin), (stack, start))| {
        let mut world = World::new();
        let server = start();
        world.settle();
        begin(&mut world);
        let times = call();
        // First Redis: workers that wait for it could not end.
        world.end();
        server.stop();
        row(&format!("{fault}: {stack}"), times)
    });
    rows.collect()
}

fn sec() -> Kamailio {
    let url = format!("redis://127.0.0.1:{PORT}");
    let config = Config::new().workers(4).param("redis_url", &*url);
    let server =
        Kamailio::start(config.route(
            "    sec_check();\n    if ($rc < 0) exit;\n    sl_send_reply(\"200\", \"OK\");\n",
        ));
    wait_until("the link to Redis", || server.stat("redis_up") == 1);
    server
}

fn peer() -> Kamailio {
    let redis = format!("name=fleet;addr=127.0.0.1;port={PORT};db=0");
    let config = Config::stock()
        .workers(4)
        .extra("loadmodule \"pike.so\"\nloadmodule \"htable.so\"\nloadmodule \"ndb_redis.so\"")
        .extra("modparam(\"pike\", \"reqs_density_per_unit\", 30)")
        .extra("modparam(\"pike\", \"sampling_time_unit\", 2)")
        .extra("modparam(\"htable\", \"htable\", \"ipban=>size=16;autoexpire=300;\")")
        .extra(&format!("modparam(\"ndb_redis\", \"server\", \"{redis}\")"));
    Kamailio::start(config.route(&format!("{FLEET}\n    sl_send_reply(\"200\", \"OK\");\n")))
}

/// Sends at its pace; how long each answer took that came in time.
fn call() -> Vec<Duration> {
    let customer = |number| Client::udp(&format!("10.100.0.{number}"));
    let mut clients: Vec<Client> = (1..=CUSTOMERS).map(customer).collect();
    let request = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    let (mut waiting, mut times, mut sent) = (HashMap::new(), Vec::new(), 0);
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
    times
}

fn row(name: &str, mut times: Vec<Duration>) -> Row {
    times.sort_unstable();
    let at = |share: f64| {
        let time = times.get((times.len() as f64 * share) as usize);
        time.map_or("-".to_owned(), |time| {
            format!("{:.1}", time.as_secs_f64() * 1000.0)
        })
    };
    let note = format!(
        "{} of {REQUESTS}; p50 {} ms, p99 {} ms",
        times.len(),
        at(0.5),
        at(0.99)
    );
    let share = times.len() as f64 * 100.0 / f64::from(REQUESTS);
    Row {
        note,
        ..Row::new(PART, name, "%", vec![share])
    }
}
