//! The cost of a turn of a loop inside the script: one request runs the loop, and the time until
//! its answer is divided by the turns.
//!
//! A [`Bench`] is one server with several loops, of which the first does nothing: its time is taken
//! off the others. They take turns in rounds, so that what else the machine does hits all of them.

use std::time::Instant;

use super::host::{Client, Config, Kamailio, Request, SERVER, isolate};
use super::report::{Row, median};

/// Rounds of which the median counts.
const ROUNDS: usize = 7;
/// Turns in the body of the loop.
pub const UNROLLED: usize = 10;

/// One loop.
pub struct Loop {
    /// Unique in its server; letters and digits. The request names it.
    pub id: String,
    /// What the report calls it.
    pub name: String,
    /// The script's lines for [`UNROLLED`] turns.
    pub body: String,
    /// Turns in one round.
    pub turns: usize,
    /// Turns that fill the tables before the first round.
    pub warm: usize,
    /// A second worker runs these lines at the same time.
    pub beside: Option<String>,
}

impl Loop {
    /// The same line, unrolled.
    pub fn of(id: &str, name: &str, line: &str, turns: usize) -> Loop {
        Loop {
            id: id.into(),
            name: name.into(),
            body: format!("{line}\n").repeat(UNROLLED),
            turns,
            warm: turns,
            beside: None,
        }
    }

    /// One line for each of ten hosts of a network, whose last number stands for `{}`.
    pub fn over_hosts(id: &str, name: &str, line: &str, turns: usize) -> Loop {
        let lines = (1..=UNROLLED).map(|host| line.replace("{}", &host.to_string()) + "\n");
        Loop {
            body: lines.collect(),
            ..Loop::of(id, name, "", turns)
        }
    }

    /// The script's block that runs it when it is asked to.
    pub fn script(&self) -> String {
        let block = |id: &str, body: &str| {
            let rounds = self.turns / UNROLLED;
            format!(
                "if ($rU == \"{id}\") {{\n$var(i) = 0;\n\
                 while ($var(i) < {rounds}) {{\n$var(i) = $var(i) + 1;\n{body}}}\n}}\n"
            )
        };
        let beside = self.beside.as_ref();
        let second = beside.map(|body| block(&self.second(), body));
        block(&self.id, &self.body) + &second.unwrap_or_default()
    }

    fn second(&self) -> String {
        format!("{}beside", self.id)
    }

    /// Nanoseconds of one turn.
    fn run(&self, method: &str) -> f64 {
        let second = self.beside.as_ref().map(|_| self.second());
        let ids = [Some(self.id.clone()), second];
        let mut clients: Vec<(Client, Request)> = (1..)
            .zip(ids.into_iter().flatten())
            .map(|(host, id)| {
                let request = Request::new(method, &format!("sip:{id}@{SERVER}"))
                    .header("To", &format!("<sip:7000@{SERVER}>"));
                (Client::udp(&format!("10.255.0.{host}")), request)
            })
            .collect();
        let start = Instant::now();
        for (client, request) in &mut clients {
            client.send(request);
        }
        for (client, _) in &mut clients {
            let answer = super::host::wait_for("the end of the loop", || client.receive());
            assert_eq!(answer.code(), 200, "{}", self.name);
        }
        start.elapsed().as_nanos() as f64 / self.turns as f64
    }
}

/// A server and its loops; the first loop is the empty one.
pub struct Bench {
    pub part: &'static str,
    pub config: Config,
    pub loops: Vec<Loop>,
    pub method: &'static str,
    /// Commands of the operator, before the first loop.
    pub orders: Vec<Vec<String>>,
    /// What `sec.feeds` says when the server is ready.
    pub ready: Option<&'static str>,
}

impl Bench {
    pub fn new(part: &'static str, config: Config, loops: Vec<Loop>) -> Bench {
        Bench {
            part,
            config,
            loops,
            method: "OPTIONS",
            orders: Vec::new(),
            ready: None,
        }
    }

    /// Runs them all; a row for each loop but those named `empty`, less the last empty one before it.
    pub fn measure(self) -> Vec<Row> {
        isolate();
        let Bench {
            part,
            config,
            loops,
            method,
            orders,
            ready,
        } = self;
        let route: String = loops.iter().map(Loop::script).collect();
        let config = config
            .memory_manager("fm")
            .extra("max_while_loops=100000000")
            .route(&(route + "sl_send_reply(\"200\", \"OK\");\n"));
        let server = Kamailio::start(config);
        for order in &orders {
            let words: Vec<&str> = order.iter().map(String::as_str).collect();
            let done = server.kamcmd(&words);
            assert!(done.is_ok(), "{order:?}: {done:?}");
        }
        if let Some(ready) = ready {
            super::host::wait_until("the feeds", || {
                let feeds = server.kamcmd(&["sec.feeds"]);
                feeds.is_ok_and(|feeds| feeds.contains(ready))
            });
        }
        for each in &loops {
            for _ in 0..each.warm.div_ceil(each.turns) {
                each.run(method);
            }
        }
        let mut times = vec![Vec::new(); loops.len()];
        for _ in 0..ROUNDS {
            for (times, each) in times.iter_mut().zip(&loops) {
                times.push(each.run(method));
            }
        }
        server.stop();
        let mut empty = 0.0;
        let mut rows = Vec::new();
        for (times, each) in times.into_iter().zip(loops) {
            if each.name == "empty" {
                empty = median(&times);
                continue;
            }
            let rounds = times.iter().map(|time| (time - empty).max(0.0)).collect();
            rows.push(Row::new(part, &each.name, "ns", rounds));
        }
        rows
    }
}
