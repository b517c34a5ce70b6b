//! The harness against a Kamailio without the module: what every other test relies on.
#![forbid(unsafe_code)]

mod host;

use std::time::Duration;

use host::{Client, Config, Kamailio, Launch, Request, SERVER, Waits, isolate};

#[test]
fn a_server_starts_answers_from_any_source_and_stops() {
    isolate();
    let server = Kamailio::start(Config::stock().listen("udp:[2001:db8::10]:5060"));
    for source in ["127.1.2.3", "10.9.8.7", "203.0.113.5", "2001:db8:5::1"] {
        let answer = Client::udp(source).ask(&Request::new("OPTIONS", &format!("sip:{SERVER}")));
        assert_eq!((answer.code(), answer.rc()), (200, 1), "from {source}");
    }
    let answer = Client::tcp("10.1.1.1").ask(&Request::new("OPTIONS", &format!("sip:{SERVER}")));
    assert_eq!(answer.rc(), 1);
    assert!(server.kamcmd(&["core.uptime"]).is_ok());
    assert_eq!(server.kamcmd(&["core.nothing"]).unwrap_err().code, 500);
    let uptime = server
        .jsonrpc("core.uptime", serde_json::json!([]))
        .unwrap();
    assert!(uptime["uptime"].is_number(), "{uptime}");
    let processes = server.processes();
    assert!(
        processes
            .iter()
            .any(|(_, name)| name.contains("udp receiver"))
    );
    assert!(server.all_processes().len() >= processes.len());
    let log = server.stop();
    assert!(log.contains("signal 15"), "{log}");
}

#[test]
fn a_burst_is_answered_in_order() {
    isolate();
    let _server = Kamailio::start(Config::stock());
    let request = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    assert_eq!(Client::udp("10.0.0.1").burst(500, &request), [1; 500]);
}

#[test]
fn the_other_ways_to_run_a_server() {
    isolate();
    let options = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    let single = Config::stock().launch(Launch::SingleProcess);
    let server = Kamailio::start(single);
    assert_eq!(Client::udp("10.0.0.1").ask(&options).rc(), 1);
    server.stop();
    let server = Kamailio::start(Config::stock().launch(Launch::Daemon { user: "nobody" }));
    assert_eq!(Client::udp("10.0.0.1").ask(&options).rc(), 1);
    let log = server.stop();
    assert!(!log.is_empty());
}

#[test]
fn a_faulty_configuration_is_reported() {
    let check = Config::stock().extra("nonsense").check();
    assert!(!check.accepted);
    assert!(check.log.contains("syntax error"), "{}", check.log);
    assert!(Config::stock().check().accepted);
}

#[test]
fn who_waits_at_every_request_is_told_from_who_was_unlucky() {
    let ms = Duration::from_millis;
    let waits = |late: usize, by: u64| -> Waits {
        let times = (0..1000).map(|number| ms(if number < late { by } else { 1 }));
        times.collect::<Vec<_>>().into()
    };
    let calm = waits(20, 9);
    let exceed = |waits: &Waits, share, floor| waits.exceed(&calm, share, ms(floor), 3);
    assert!(exceed(&waits(1000, 21), 0.5, 20), "at every request");
    assert!(!exceed(&waits(400, 21), 0.5, 20));
    assert!(exceed(&waits(200, 21), 0.9, 20), "at every fifth");
    assert!(!exceed(&waits(20, 99), 0.99, 100), "on a busy machine");
    assert!(exceed(&waits(20, 101), 0.99, 100));
    assert!(!exceed(&Waits::default(), 0.5, 20));
    assert!(
        !waits(1000, 21).exceed(&waits(1000, 8), 0.5, ms(20), 3),
        "where all is slow"
    );
}
