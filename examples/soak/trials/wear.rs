//! Wear: everything at once for a long time, and nothing may grow.

use std::thread;
use std::time::{Duration, Instant};

use super::footprint::Footprint;
use super::{Extent, Trial};
use crate::host::{
    Client, Config, DNS, Dnsmasq, Kamailio, Redis, Request, SERVER, isolate, wait_until,
};

/// Sources that come again and again.
const POPULATION: u32 = 1 << 20;
/// Sources in one request of the walk.
const CHUNK: u32 = 1 << 16;
/// Bans in a round: a thousand a minute, even on a machine that manages two rounds a second.
const BANS: u32 = 9;
/// Keys that are set in Redis in a round; as many are deleted.
const KEYS: u32 = 250;
const ROUND: Duration = Duration::from_millis(250);
/// What a process may grow by: the allocator's own fragments.
const MOST_KB: i64 = 2048;

pub const WEAR: Trial = Trial {
    done: "a million sources, a thousand bans a minute, a thousand changes a second in Redis, look-ups",
    expected: "no process grows, no file stays open, Kamailio's shared memory is as before",
    run: wear,
};

fn config() -> Config {
    let route = "if ($rU == \"walk\") {\n\
         $var(n) = $(hdr(X-Start){s.int});\n$var(end) = $var(n) + $(hdr(X-Count){s.int});\n\
         while ($var(n) < $var(end)) {\n\
         $var(ip) = \"10.\" + ($var(n) >> 16) + \".\" + (($var(n) >> 8) & 255) + \".\" + ($var(n) & 255);\n\
         sec_check(\"$var(ip)\");\n$var(n) = $var(n) + 1;\n}\n}\n\
         if ($rU == \"strike\") {\nsec_strike(\"scan\", 10);\n}\n\
         if ($rU == \"ban\") {\nsec_ban(\"$hdr(X-Address)\", 30);\n}\n\
         if ($rU == \"check\") {\n$var(rc) = sec_check();\n}\n\
         sl_send_reply(\"200\", \"rc $var(rc)\");\n";
    Config::new()
        .memory_manager("fm")
        .extra("max_while_loops=100000000")
        .param("redis_url", "redis://127.0.0.1:6379")
        .param("rdns_trusted", "trusted.example.com")
        .param("resolver", DNS)
        .param("ban_time", 30)
        .route(route)
}

fn order(what: &str) -> Request {
    Request::new("OPTIONS", &format!("sip:{what}@{SERVER}"))
}

/// One server, and all who wear it out.
struct Load {
    server: Kamailio,
    script: Client,
    redis: Redis,
    round: u32,
}

impl Load {
    /// One quarter of a second of everything.
    fn round(&mut self) {
        let end = Instant::now() + ROUND;
        self.round = self.round.wrapping_add(1);
        let start = self.round * CHUNK % POPULATION;
        let walk = order("walk")
            .header("X-Start", &start.to_string())
            .header("X-Count", &CHUNK.to_string());
        assert_eq!(self.script.ask(&walk).code(), 200);
        for number in 0..BANS {
            let address = address("172.16", self.round * BANS + number);
            self.script.ask(&order("ban").header("X-Address", &address));
        }
        // Held, looked up, banned.
        let offender = address("172.20", self.round);
        Client::udp(&offender).ask(&order("strike"));
        let customer = format!("198.51.100.{}", self.round % 250 + 1);
        assert_eq!(Client::udp(&customer).ask(&order("check")).rc(), 1);
        self.churn();
        if self.round.is_multiple_of(4) {
            for command in ["sec.status", "sec.bans", "sec.top"] {
                self.server.kamcmd(&[command]).expect("it answers");
            }
        }
        thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    /// Keys that are set, and those of the round before deleted.
    fn churn(&self) {
        let mut pipe = redis::pipe();
        for number in 0..KEYS {
            let key = |round: u32| {
                let family = ["ban", "white_list"][(number % 2) as usize];
                format!("{family}:{}", address("172.24", round % 64 * KEYS + number))
            };
            let set = pipe.cmd("SET").arg(key(self.round)).arg(1);
            set.arg("EX").arg(20).ignore();
            pipe.cmd("DEL")
                .arg(key(self.round.wrapping_sub(1)))
                .ignore();
        }
        pipe.exec(&mut self.redis.connection())
            .expect("Redis takes them");
    }
}

fn address(network: &str, number: u32) -> String {
    format!("{network}.{}.{}", number >> 8 & 255, number & 255)
}

fn wear(extent: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let _names = Dnsmasq::start(&[]);
    let server = Kamailio::start(config());
    wait_until("the link to Redis", || server.stat("redis_up") == 1);
    let mut load = Load {
        server,
        script: Client::udp(SERVER),
        redis,
        round: 0,
    };
    // Until every source has come once, tables and allocators fill.
    let warm = Instant::now() + Duration::from_secs(extent.seconds / 4);
    while load.round <= POPULATION / CHUNK || Instant::now() < warm {
        load.round();
    }
    let before = Footprint::of(&load.server);
    let (first, lines) = (load.round, load.server.log().lines().count());
    let end = Instant::now() + Duration::from_secs(extent.seconds);
    while Instant::now() < end {
        load.round();
    }
    let rounds = load.round - first;
    let memory = before.compare(&Footprint::of(&load.server), MOST_KB);
    let lines = load.server.log().lines().count() - lines;
    format!(
        "{} s, {} checks, {} bans, {} key changes, {lines} log lines; {memory}",
        extent.seconds,
        rounds * CHUNK,
        load.server.stat("bans"),
        u64::from(rounds) * u64::from(KEYS) * 2
    )
}
