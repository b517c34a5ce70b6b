//! Processes that die, hang, or have no memory left; the end of a server, and its next start.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use super::{Extent, Trial};
use crate::host::{
    Callers, Client, Config, Kamailio, PATIENCE, Redis, Request, SERVER, isolate, wait_until,
};

const URL: &str = "redis://127.0.0.1:6379";

pub const AGENT_KILLED: Trial = Trial {
    done: "the agent killed -9, again and again, with a ban made while it is away",
    expected: "calls go on, another agent comes, the ban is in Redis and in the log",
    run: agent_killed,
};

pub const AGENT_STOPPED: Trial = Trial {
    done: "the agent stopped (SIGSTOP) while 1000 addresses are banned",
    expected: "calls go on, what the pipe cannot hold is counted, all bans reach Redis later",
    run: agent_stopped,
};

pub const AGENT_HUNG: Trial = Trial {
    done: "the agent hangs for good, with a ban made meanwhile",
    expected: "calls go on, it is killed after half a minute, and its successor writes the ban",
    run: agent_hung,
};

pub const AGENT_WITHOUT_MEMORY: Trial = Trial {
    done: "the agent gets no more memory (RLIMIT_AS), and 20,000 bans come from Redis",
    expected: "it dies, calls go on, its successor takes all of them over",
    run: agent_without_memory,
};

pub const WORKER_KILLED: Trial = Trial {
    done: "a worker killed -9 at a random instant of a flood",
    expected: "Kamailio ends by its own rule, long before its alarm of 60 s; nothing keeps the port",
    run: worker_killed,
};

pub const END_WITH_EVERYTHING_HUNG: Trial = Trial {
    done: "SIGTERM while Redis hangs and the agent is stopped",
    expected: "the server ends, and leaves nothing behind",
    run: end_with_everything_hung,
};

pub const RESTART_WITH_REDIS: Trial = Trial {
    done: "a restart of the server, with Redis",
    expected: "bans and whitelist entries hold as before",
    run: restart_with_redis,
};

fn node(config: Config) -> Kamailio {
    let server = Kamailio::start(config.param("redis_url", URL));
    wait_until("the link to Redis", || server.stat("redis_up") == 1);
    server
}

fn bans_in(redis: &Redis) -> usize {
    redis.run::<Vec<String>>("KEYS ban:*").len()
}

fn agent_killed(extent: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let server = node(Config::new().workers(2));
    let callers = Callers::start();
    for kill in 1..=extent.kills {
        let agent = server.agent();
        server.signal(agent, Signal::SIGKILL);
        let offender = format!("203.0.113.{kill}");
        server
            .kamcmd(&["sec.ban", &offender, "600"])
            .expect("it bans");
        wait_until("another agent", || server.agent() != agent);
        wait_until("the ban in Redis", || bans_in(&redis) == kill as usize);
        wait_until("the line in the log", || {
            server.log().contains(&format!("sec: ban {offender} "))
        });
    }
    format!("{} agents died; {}", extent.kills, callers.stop())
}

fn agent_stopped(_: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let server = node(Config::new().workers(2));
    let callers = Callers::start();
    let agent = server.agent();
    server.signal(agent, Signal::SIGSTOP);
    let mut script = Client::udp("192.0.2.200");
    for number in 0..1000 {
        let offender = format!("10.0.{}.{}", number >> 8, number & 255);
        assert_eq!(script.call("sec_ban", &[&offender, "600"]), 1);
    }
    let dropped = server.stat("events_dropped");
    assert!(dropped > 0, "the pipe holds fewer than 1000 events");
    server.signal(agent, Signal::SIGCONT);
    wait_until("all bans in Redis", || bans_in(&redis) == 1000);
    wait_until("all bans to be counted", || {
        server.stat("active_bans") == 1000
    });
    assert_eq!(server.agent(), agent, "the same agent goes on");
    format!(
        "{dropped} events dropped and counted, 1000 bans in Redis; {}",
        callers.stop()
    )
}

fn agent_hung(_: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let server = node(Config::new().workers(2));
    let callers = Callers::start();
    let agent = server.agent();
    let start = Instant::now();
    server.signal(agent, Signal::SIGSTOP);
    server
        .kamcmd(&["sec.ban", "203.0.113.1", "600"])
        .expect("it bans");
    // Longer than anything else may take: the supervisor has the same patience with an agent that is
    // merely slow.
    while server.log().matches("it is killed").count() == 0 {
        callers.wait_for_answers();
        assert!(start.elapsed() < 3 * PATIENCE, "nobody noticed");
    }
    let noticed = start.elapsed();
    wait_until("another agent", || server.agent() != agent);
    wait_until("the ban in Redis", || bans_in(&redis) == 1);
    wait_until("the line in the log", || {
        server.log().contains("sec: ban 203.0.113.1 ")
    });
    format!("killed after {} s; {}", noticed.as_secs(), callers.stop())
}

fn agent_without_memory(_: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let server = node(Config::new().workers(2));
    let callers = Callers::start();
    let agent = server.agent();
    let done = Command::new("prlimit")
        .args(["--pid", &agent.to_string(), "--as=4096"])
        .status();
    assert!(done.expect("`prlimit` of util-linux can be run").success());
    let mut pipe = redis::pipe();
    for number in 0..20_000 {
        let key = format!("ban:10.1.{}.{}", number >> 8, number & 255);
        pipe.cmd("SET").arg(key).arg(1).arg("EX").arg(600).ignore();
    }
    pipe.exec(&mut redis.connection())
        .expect("Redis takes them");
    wait_until("another agent", || server.agent() != agent);
    wait_until("all of them", || server.stat("active_bans") == 20_000);
    let restarts = server.log().matches("it is started again").count();
    format!(
        "{restarts} agent died, 20000 bans taken over; {}",
        callers.stop()
    )
}

fn worker_killed(extent: &Extent) -> String {
    isolate();
    let mut longest = Duration::ZERO;
    for kill in 0..extent.kills {
        let server = Kamailio::start(Config::new().workers(4));
        let processes = server.processes().into_iter();
        let workers: Vec<i32> = processes
            .filter(|(_, name)| name.contains("udp receiver"))
            .map(|(pid, _)| pid)
            .collect();
        let stop = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| flood(kill, &stop));
            // Anything that differs from run to run will do.
            let random = SystemTime::now().duration_since(UNIX_EPOCH);
            let random = random.expect("it is after 1970").subsec_micros();
            thread::sleep(Duration::from_millis(u64::from(random % 100)));
            let worker = workers[random as usize / 100 % workers.len()];
            let killed = Instant::now();
            server.signal(worker, Signal::SIGKILL);
            // It fails when a process is left.
            server.wait_for_end();
            stop.store(true, Ordering::Relaxed);
            killed.elapsed()
        });
        longest = longest.max(ended);
        UdpSocket::bind((SERVER, 5060)).expect("the port is free");
        TcpListener::bind((SERVER, 5060)).expect("the port is free");
    }
    format!(
        "{} times, over after {:.1} s at most",
        extent.kills,
        longest.as_secs_f64()
    )
}

/// Requests from many sources, which change states all the time; answers are of no interest.
fn flood(round: u32, stop: &AtomicBool) {
    let mut number = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        let source = format!("203.0.113.{}", number % 200 + 1);
        let socket = UdpSocket::bind((source.as_str(), 0)).expect("any address is local");
        for branch in 0..40 {
            let text = format!(
                "OPTIONS sip:sec_check@{SERVER} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {source};branch=z9hG4bK{round}-{number}-{branch}\r\n\
                 From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {round}-{number}-{branch}\r\n\
                 CSeq: 1 OPTIONS\r\nX-N: 0\r\nContent-Length: 0\r\n\r\n"
            );
            // Nobody may listen any more.
            let _sent = socket.send_to(text.as_bytes(), (SERVER, 5060));
        }
        number += 1;
    }
}

fn end_with_everything_hung(_: &Extent) -> String {
    isolate();
    let redis = Redis::start();
    let server = node(Config::new());
    server
        .kamcmd(&["sec.ban", "203.0.113.1", "600"])
        .expect("it bans");
    redis.signal(Signal::SIGSTOP);
    server.signal(server.agent(), Signal::SIGSTOP);
    let start = Instant::now();
    // It fails when a process is left.
    server.stop();
    redis.signal(Signal::SIGCONT);
    format!("over after {:.1} s", start.elapsed().as_secs_f64())
}

fn restart_with_redis(_: &Extent) -> String {
    isolate();
    let _redis = Redis::start();
    let server = node(Config::new());
    server
        .kamcmd(&["sec.ban", "203.0.113.1", "600"])
        .expect("it bans");
    server
        .kamcmd(&["sec.whitelist_add", "203.0.113.2", "600"])
        .expect("it adds");
    // The last words of a server that ends are said to Redis, too.
    server
        .kamcmd(&["sec.ban", "203.0.113.3", "600"])
        .expect("it bans");
    server.stop();
    let server = node(Config::new());
    let verdict = |source| {
        Client::udp(source)
            .ask(&Request::call("sec_check", &[]))
            .rc()
    };
    for (source, expected) in [("203.0.113.1", -1), ("203.0.113.2", 2), ("203.0.113.3", -1)] {
        wait_until("the verdict of before", || verdict(source) == expected);
    }
    server.stop();
    "two bans and an entry hold".to_owned()
}
