//! Outages: a real Redis behind a relay, and what can go wrong with it in life.
//!
//! Shared by the trial of `make soak`, which does one after the other, and by `make bench`, which
//! measures some of them beside the peers.

use std::time::Duration;

use nix::sys::signal::Signal;
use redis::Connection;

use super::{Clock, Line, Noise, Redis, Relay, wait_until};

/// Redis, and what stands around it.
pub struct Outage {
    pub redis: Redis,
    /// Whoever is led through it can be cut off, or made to wait.
    pub relay: Relay,
    /// The clock of a node that was shown it.
    pub clock: Clock,
    /// A connection that was made before the fault.
    admin: Option<Connection>,
    noise: Option<Noise>,
}

/// What goes wrong, and how it is put right.
pub struct Fault {
    /// In the words of reports.
    pub name: &'static str,
    /// Whether a node behind the relay loses its link by it, if only for a moment.
    pub cuts: bool,
    /// Lets it go wrong.
    pub begin: fn(&mut Outage),
    /// Puts it right.
    pub mend: fn(&mut Outage),
}

impl Outage {
    /// Nothing is wrong yet. The relay listens on this port.
    pub fn new(port: u16) -> Self {
        Self {
            redis: Redis::start(),
            relay: Relay::start(port, 6379),
            clock: Clock::new("+0"),
            admin: None,
            noise: None,
        }
    }

    fn ask(&self, words: &str) {
        self.redis.run::<()>(words);
    }

    fn slow(&self, ms: u64) {
        self.relay.set(Line::Slow(Duration::from_millis(ms)));
    }

    fn open(&mut self) {
        self.relay.set(Line::Open);
    }

    fn limit_output(&self, limit: &str) {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("client-output-buffer-limit").arg(limit);
        self.redis.ask::<()>(&set);
    }

    /// Begins to change keys, and goes on.
    fn make_noise(&mut self) {
        self.noise = Some(Noise::start(self.redis.connection()));
        wait_until("the noise", || self.redis.run::<u32>("DBSIZE") > 1500);
    }

    /// No noise any more.
    pub fn quiet(&mut self) {
        if let Some(noise) = self.noise.take() {
            noise.stop();
        }
    }

    fn change_password(&mut self) {
        // One that is made later would have to know it.
        let mut connection = self.redis.connection();
        let mut pipe = redis::pipe();
        let password = ["SET", "requirepass", "other"];
        pipe.cmd("CONFIG").arg(&password);
        kill_others(&mut pipe);
        pipe.exec(&mut connection).expect("Redis takes it");
        self.admin = Some(connection);
    }

    fn take_password_back(&mut self) {
        let mut connection = self.admin.take().expect("it was changed");
        let none = ["SET", "requirepass", ""];
        let done = redis::cmd("CONFIG").arg(&none).exec(&mut connection);
        done.expect("Redis takes it");
    }

    /// Changes that nodes are told of in one piece, longer than what the server holds for a client
    /// whatever its limit is: they may be behind by one byte more.
    fn flood_output(&mut self) {
        self.limit_output("normal 1 0 0");
        let mut pipe = redis::pipe();
        pipe.atomic();
        for number in 0..1500 {
            let key = format!("ban:10.210.{}.{}", number >> 8, number & 255);
            pipe.cmd("SET").arg(key).arg(1).arg("EX").arg(600).ignore();
        }
        pipe.exec(&mut self.redis.connection())
            .expect("Redis takes them");
    }
}

fn kill_others(pipe: &mut redis::Pipeline) {
    let others = ["KILL", "TYPE", "normal", "SKIPME", "yes"];
    pipe.cmd("CLIENT").arg(&others);
}

/// A fault that leaves the link alone.
const fn nuisance(name: &'static str, begin: fn(&mut Outage), mend: fn(&mut Outage)) -> Fault {
    Fault {
        name,
        cuts: false,
        begin,
        mend,
    }
}

/// A fault that breaks it.
const fn breach(name: &'static str, begin: fn(&mut Outage), mend: fn(&mut Outage)) -> Fault {
    Fault {
        cuts: true,
        ..nuisance(name, begin, mend)
    }
}

pub const NOTHING: Fault = nuisance("nothing wrong", |_| {}, |_| {});
pub const REFUSED: Fault = breach("refused", |it| it.relay.set(Line::Cut), Outage::open);
pub const KILLED: Fault = breach("killed", |it| it.redis.kill(), |it| it.redis.restart());
pub const HUNG: Fault = breach(
    "hung",
    |it| it.redis.signal(Signal::SIGSTOP),
    |it| it.redis.signal(Signal::SIGCONT),
);
pub const SLOW_20: Fault = nuisance("slow by 20 ms", |it| it.slow(20), Outage::open);
pub const SLOW_100: Fault = nuisance("slow by 100 ms", |it| it.slow(100), Outage::open);
pub const SLOW_500: Fault = nuisance("slow by 500 ms", |it| it.slow(500), Outage::open);
pub const FULL: Fault = nuisance(
    "full (maxmemory)",
    |it| it.ask("CONFIG SET maxmemory 1"),
    |it| it.ask("CONFIG SET maxmemory 0"),
);
pub const READ_ONLY: Fault = nuisance(
    "a read-only replica",
    |it| it.ask("REPLICAOF 127.0.0.1 1"),
    |it| it.ask("REPLICAOF NO ONE"),
);
pub const FAILED_OVER: Fault = breach(
    "failed over to an empty server",
    |it| it.redis.restart(),
    |_| {},
);
pub const PASSWORD: Fault = breach(
    "password changed, connections closed",
    Outage::change_password,
    Outage::take_password_back,
);
pub const KICKED: Fault = breach(
    "CLIENT KILL",
    |it| {
        let mut pipe = redis::pipe();
        kill_others(&mut pipe);
        let done = pipe.exec(&mut it.redis.connection());
        done.expect("Redis takes it");
    },
    |_| {},
);
pub const OUTPUT: Fault = breach("output buffer limit exceeded", Outage::flood_output, |it| {
    it.limit_output("normal 0 0 0")
});
pub const FLUSHED: Fault = nuisance("FLUSHALL", |it| it.ask("FLUSHALL"), |_| {});
pub const CHANGES_FLUSHED: Fault = nuisance(
    "5,000 changes a second, and FLUSHALL",
    |it| {
        it.make_noise();
        it.ask("FLUSHALL");
    },
    Outage::quiet,
);
pub const CHANGES_KILLED: Fault = breach(
    "5,000 changes a second, and killed",
    |it| {
        it.make_noise();
        it.redis.kill();
    },
    |it| {
        it.quiet();
        it.redis.restart();
    },
);
pub const CLOCK_SET: Fault = nuisance(
    "the clock of a node set two hours ahead, and back",
    |it| it.clock.set("+2h"),
    |it| it.clock.set("+0"),
);
