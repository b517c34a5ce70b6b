//! The fleet's memory: how long a change in Redis takes to have effect, and how long a million keys take
//! to read.

use std::thread;
use std::time::{Duration, Instant};

use super::host::{Client, Config, Kamailio, Noise, Redis, Request, isolate, wait_until};
use super::report::Row;

const PART: &str = "The fleet's memory (median)";
const URL: &str = "redis://127.0.0.1:6379";
/// Changes whose effect is waited for.
const CHANGES: u32 = 2000;
/// How long a million keys may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Keys that a node finds when it starts.
const KEYS: u32 = 1_000_000;

pub fn measure() -> Vec<Row> {
    isolate();
    let mut rows = Vec::new();
    let redis = Redis::start();
    let node = node(Config::new());
    rows.push(effect("SET to effect, Redis idle", &redis, 0));
    let noise = Noise::start(redis.connection());
    rows.push(effect(
        "SET to effect, 5,000 other changes a second",
        &redis,
        1,
    ));
    noise.stop();
    node.stop();
    drop(redis);
    let address = |[_, a, b, c]: [u8; 4]| format!("ban:10.{a}.{b}.{c}");
    let ledger = Config::new().param("ledger_size", 4 << 20);
    rows.push(million("start with 1,000,000 addresses", address, ledger));
    let network = |[_, a, b, c]: [u8; 4]| format!("ban:10.{a}.{b}.{c}/29");
    let snapshot = Config::new().param("snapshot_size", 256);
    rows.push(million("start with 1,000,000 networks", network, snapshot));
    rows
}

fn node(config: Config) -> Kamailio {
    let node = Kamailio::start(config.param("redis_url", URL));
    wait_until("the link to Redis", || node.stat("redis_up") == 1);
    node
}

/// Bans one address after the other by a key, and asks until it is refused.
fn effect(name: &str, redis: &Redis, net: u32) -> Row {
    let mut connection = redis.connection();
    let mut times = Vec::new();
    let mut client = Client::udp("10.255.0.1");
    for number in 0..CHANGES {
        let address = format!("10.{net}.{}.{}", number >> 8, number & 255);
        let question = Request::call("sec_is_banned", &[&address]);
        let start = Instant::now();
        let mut set = redis::cmd("SET");
        set.arg(format!("ban:{address}")).arg(1).arg("EX").arg(600);
        set.exec(&mut connection).expect("Redis takes it");
        while client.ask(&question).rc() != 1 {}
        times.push(start.elapsed());
    }
    Row::latency(PART, name, &mut times, String::new())
}

/// A node that finds a million bans when it starts.
fn million(name: &str, key: fn([u8; 4]) -> String, config: Config) -> Row {
    let redis = Redis::start();
    let mut connection = redis.connection();
    for chunk in 0..KEYS / 5000 {
        let mut pipe = redis::pipe();
        for number in chunk * 5000..(chunk + 1) * 5000 {
            // Eight addresses apart, so that each can be a network.
            pipe.cmd("SET")
                .arg(key((number << 3).to_be_bytes()))
                .arg(1)
                .arg("EX")
                .arg(3600)
                .ignore();
        }
        pipe.exec(&mut connection).expect("Redis takes them");
    }
    let start = Instant::now();
    let node = Kamailio::start(config.param("redis_url", URL));
    wait_long(|| node.log().contains("keys read in"));
    let whole = start.elapsed();
    let log = node.log();
    let line = log
        .lines()
        .find(|line| line.contains("keys read in"))
        .unwrap_or_default();
    let said = line
        .split("Redis is there: ")
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    wait_long(|| node.stat("active_bans") == i64::from(KEYS));
    let status = node.kamcmd(&["sec.status"]).unwrap_or_default();
    let memory = status
        .lines()
        .find(|line| line.contains("memory:"))
        .unwrap_or_default();
    let note = format!("{said}; shared {}; {}", memory.trim(), resident(&status));
    node.stop();
    Row::latency(PART, name, &mut [whole], note)
}

/// A million takes longer than what tests wait for, on a busy machine.
fn wait_long(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "a million keys do not arrive");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The agent's own memory.
fn resident(status: &str) -> String {
    let pid = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("agent_pid: "));
    let path = format!("/proc/{}/smaps_rollup", pid.unwrap_or("self"));
    let rollup = std::fs::read_to_string(path).unwrap_or_default();
    let private = rollup
        .lines()
        .find(|line| line.starts_with("Private_Dirty"))
        .unwrap_or_default();
    format!(
        "agent {}",
        private
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    )
}
