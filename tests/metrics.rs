//! Metrics: scraped by Prometheus, pushed to statsd and to a real Graphite; and receivers that
//! refuse, hang, go away, or have no address.
#![forbid(unsafe_code)]

mod host;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use socket2::{Domain, Socket, Type};

use host::{Carbon, Client, Config, Kamailio, Request, SERVER, isolate, wait_for, wait_until};

const STATSD: &str = "127.0.0.1:8125";
const GRAPHITE: &str = "127.0.0.1:2003";
const README: &str = include_str!("../README.md");
const DASHBOARD: &str = include_str!("../examples/grafana-dashboard.json");

fn config() -> Config {
    Config::new()
        .param("rate", "name=burst;limit=30;window=1h")
        .param("metrics_interval", 1)
}

fn flood() {
    let check = Request::call("sec_check", &[]);
    let codes = Client::udp("198.51.100.66").burst(40, &check);
    assert_eq!(codes[29..32], [1, -2, -1]);
}

/// The names of all statistics.
fn statistics(server: &Kamailio) -> Vec<String> {
    let listed = server.kamcmd(&["stats.get_statistics", "sec:"]).unwrap();
    let names = listed.lines().filter_map(|line| line.split_once('='));
    let names = names.filter_map(|(name, _)| name.trim().strip_prefix("sec:"));
    names.map(str::to_owned).collect()
}

/// What a statsd receives.
struct Statsd(UdpSocket);

impl Statsd {
    fn start() -> Statsd {
        let socket = UdpSocket::bind(STATSD).expect("the port is free");
        socket
            .set_read_timeout(Some(host::PATIENCE))
            .expect("a time limit can be set");
        Statsd(socket)
    }

    /// The gauges of one datagram.
    fn receive(&self) -> HashMap<String, u64> {
        let mut buffer = [0; 65_536];
        // A signal to another thread of the test may end the wait early.
        let length = loop {
            match self.0.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("metrics come"),
            }
        };
        assert!(length <= 1432, "{length} bytes in a datagram");
        let text = String::from_utf8(buffer[..length].to_vec()).expect("it is text");
        let gauge = |line: &str| {
            let (name, rest) = line.split_once(':').expect("a name");
            let value = rest.strip_suffix("|g").expect("a gauge");
            (name.to_owned(), value.parse().expect("an unsigned number"))
        };
        text.split('\n').map(gauge).collect()
    }

    /// Receives until a gauge has this value.
    fn wait_for(&self, name: &str, value: u64) {
        wait_until(&format!("{name} to be {value}"), || {
            self.receive().get(name) == Some(&value)
        });
    }
}

#[test]
fn statsd_gets_every_statistic() {
    isolate();
    let statsd = Statsd::start();
    // A name, as an operator writes it.
    let config = config().param("statsd", "localhost:8125");
    let server = Kamailio::start(config);
    flood();
    statsd.wait_for("kamailio.sec.checks", 40);
    statsd.wait_for("kamailio.sec.denied", 10);
    let mut seen = HashMap::new();
    let names = statistics(&server);
    wait_until("all of them", || {
        seen.extend(statsd.receive());
        names
            .iter()
            .all(|name| seen.contains_key(&format!("kamailio.sec.{name}")))
    });
    assert_eq!(seen.len(), names.len(), "{seen:?}");
    let status = server.kamcmd(&["sec.status"]).unwrap();
    assert!(status.contains("statsd: localhost:8125"), "{status}");
    server.stop();
}

#[test]
fn the_prefix_tells_nodes_apart() {
    isolate();
    let statsd = Statsd::start();
    let config = config()
        .param("statsd", STATSD)
        .param("metrics_prefix", "voip.node-1");
    let _server = Kamailio::start(config);
    assert!(statsd.receive().contains_key("voip.node-1.checks"));
}

#[test]
fn a_real_graphite_keeps_them() {
    isolate();
    let mut carbon = Carbon::start();
    let server = Kamailio::start(config().param("graphite", GRAPHITE));
    flood();
    let kept = |carbon: &Carbon, name: &str, value: f64| {
        wait_until(&format!("{name} to be {value} in Graphite"), || {
            carbon.last(&format!("kamailio.sec.{name}")) == Some(value)
        });
    };
    kept(&carbon, "checks", 40.0);
    kept(&carbon, "denied", 10.0);
    for name in statistics(&server) {
        wait_for(&name, || carbon.last(&format!("kamailio.sec.{name}")));
    }
    // It goes away, which is said once; it comes back, and is found again.
    carbon.kill();
    let gone = format!("graphite {GRAPHITE} gets no metrics");
    wait_until("a line about it", || server.log().contains(&gone));
    let status = server.kamcmd(&["sec.status"]).unwrap();
    assert!(
        status.contains("graphite_problem: Connection refused"),
        "{status}"
    );
    flood_again();
    carbon.restart();
    kept(&carbon, "checks", 50.0);
    let back = format!("graphite {GRAPHITE} takes metrics again");
    wait_until("a line about that", || server.log().contains(&back));
    assert_eq!(server.log().matches(&gone).count(), 1);
    let status = server.kamcmd(&["sec.status"]).unwrap();
    assert!(!status.contains("refused"), "{status}");
    server.stop();
}

fn flood_again() {
    let check = Request::call("sec_check", &[]);
    assert_eq!(Client::udp("198.51.100.66").burst(10, &check), [-1; 10]);
}

#[test]
fn a_statsd_that_is_not_there_yet_is_found_later() {
    isolate();
    let server = Kamailio::start(config().param("statsd", STATSD));
    let said = |count: usize, text: &str| {
        let line = format!("statsd {STATSD} {text}");
        wait_until(&line, || server.log().matches(&line).count() == count);
    };
    let problem = |expected: &str| {
        wait_until(&format!("the problem to be {expected:?}"), || {
            server.status("statsd_problem") == expected
        });
    };
    let refused = "nobody listens there (connection refused)";
    flood();
    for round in 1..=2 {
        problem(refused);
        said(round, &format!("gets no metrics: {refused}"));
        let statsd = Statsd::start();
        statsd.wait_for("kamailio.sec.checks", 40);
        problem("");
        said(round, "takes metrics again");
    }
    let log = server.stop();
    assert_eq!(log.matches("gets no metrics").count(), 2, "{log}");
}

#[test]
fn a_name_without_an_address_is_told_once_and_harms_nobody() {
    isolate();
    let statsd = Statsd::start();
    let config = config()
        .param("statsd", STATSD)
        .param("graphite", "graphite.invalid:2003");
    let server = Kamailio::start(config);
    let line = "graphite graphite.invalid:2003 gets no metrics: its name has no address";
    wait_until("a line about it", || server.log().contains(line));
    flood();
    for _ in 0..3 {
        statsd.wait_for("kamailio.sec.checks", 40);
    }
    assert_eq!(server.log().matches(line).count(), 1);
    let log = server.stop();
    assert!(!log.contains("killed"), "{log}");
}

#[test]
fn who_accepts_and_never_reads_and_who_never_accepts_hold_up_nothing() {
    isolate();
    let statsd = Statsd::start();
    let silent = listener(GRAPHITE);
    let server = Kamailio::start(config().param("statsd", STATSD).param("graphite", GRAPHITE));
    // The first is taken from the queue and never read.
    let connection = silent.accept().expect("it is called");
    flood();
    statsd.wait_for("kamailio.sec.checks", 40);
    // Of the others nobody takes any: the queue fills, and then nothing is answered at all.
    let line = "gets no metrics: it does not accept connections";
    wait_until("a line about it", || server.log().contains(line));
    flood_again();
    statsd.wait_for("kamailio.sec.checks", 50);
    drop(connection);
    let log = server.stop();
    assert!(!log.contains("killed"), "{log}");
}

/// A listener with the shortest queue.
fn listener(address: &str) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let address: SocketAddr = address.parse().expect("an address");
    socket.bind(&address.into()).expect("the port is free");
    socket.listen(1).expect("it can listen");
    socket
}

/// The configuration that the README gives for Prometheus, in a server of its own.
fn prometheus() -> (tempfile::TempDir, Config) {
    let (_, chapter) = README.split_once("### Prometheus").expect("a section");
    let (_, block) = chapter.split_once("```cfg\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let modules = ["kex", "sl", "pv", "ctl", "sec"];
    let modules = modules
        .map(|name| format!("loadmodule \"{name}.so\"\n"))
        .concat();
    let text = format!(
        "#!KAMAILIO\nlog_stderror=yes\nchildren=1\n{modules}\
         modparam(\"ctl\", \"binrpc\", CTL)\n{block}\n\
         request_route {{\n    sec_check();\n    exit;\n}}\n"
    );
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("kamailio.cfg");
    fs::write(&file, text).expect("it can be written");
    (directory, Config::of_file(file, &[]))
}

fn scrape() -> String {
    let mut stream = TcpStream::connect((SERVER, 5060)).expect("Kamailio takes HTTP");
    stream
        .set_read_timeout(Some(host::PATIENCE))
        .expect("a time limit can be set");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {SERVER}:5060\r\nAccept: */*\r\n\r\n"
    )
    .expect("the request can be sent");
    let mut answer = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length
                .and_then(|text| text.trim().parse().ok())
                .expect("a length");
            if body.len() >= length {
                return body.to_owned();
            }
        }
        let count = stream.read(&mut chunk).expect("the answer comes");
        assert!(count > 0, "the connection ended in the answer: {text}");
        answer.extend_from_slice(&chunk[..count]);
    }
}

#[test]
fn prometheus_scrapes_every_statistic_as_the_readme_says() {
    isolate();
    let (_directory, config) = prometheus();
    let server = Kamailio::start(config);
    let mut client = Client::udp("198.51.100.66");
    for _ in 0..40 {
        client.send(&Request::new("OPTIONS", &format!("sip:{SERVER}")));
    }
    wait_until("all to be decided", || server.stat("checks") == 40);
    let scraped = scrape();
    let mut found = HashMap::new();
    for line in scraped.lines().filter(|line| line.starts_with("kamailio_")) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, value, _time] = fields[..] else {
            panic!("no sample: {line}");
        };
        found.insert(name.to_owned(), value.parse::<f64>().expect("a number"));
    }
    for name in statistics(&server) {
        assert!(
            found.contains_key(&format!("kamailio_sec_{name}")),
            "{name}: {scraped}"
        );
    }
    assert_eq!(found["kamailio_sec_checks"], 40.0);
    assert!(found["kamailio_sec_denied"] >= 1.0);
    let shown = dashboard();
    assert!(shown.len() > 10, "{shown:?}");
    for name in shown {
        assert!(found.contains_key(&name), "the dashboard shows {name}");
    }
}

/// The metrics that the dashboard's panels ask for.
fn dashboard() -> Vec<String> {
    let board: serde_json::Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let panels = board["panels"].as_array().expect("panels");
    let mut names = Vec::new();
    for panel in panels {
        assert!(panel["title"].is_string(), "a panel without a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let asked = target["expr"].as_str().expect("a query");
            let words =
                asked.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let own = words.filter(|word| word.starts_with("kamailio_"));
            let before = names.len();
            names.extend(own.map(str::to_owned));
            assert!(names.len() > before, "{asked}");
        }
    }
    names
}
