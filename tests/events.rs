//! The script's routes for bans, unbans and revocations, in a real Kamailio: who hears of what, in
//! which process, and what happens when nobody listens or the listener is slow.
#![forbid(unsafe_code)]

mod host;

use host::{Client, Config, Engine, Kamailio, Launch, Redis, Request, isolate, wait_until};
use nix::sys::signal::Signal;

const URL: &str = "redis://127.0.0.1:6379";
const ATTACKER: &str = "198.51.100.66";
const CUSTOMER: &str = "198.51.100.7";

/// A native route for each event that writes a line.
const ROUTES: &str = r#"
event_route[sec:ban] {
    xlog("L_NOTICE", "heard sec:ban $sec(ip) $sec(reason) $sec(ban_ttl)\n");
    $var(verdict) = sec_check();
    if ($var(verdict) != 1 || $sec(verdict) != $null) { xlog("L_NOTICE", "heard nonsense\n"); }
}
event_route[sec:unban] {
    xlog("L_NOTICE", "heard sec:unban $sec(ip) $sec(reason) $sec(ban_ttl)\n");
}
event_route[sec:revoke] {
    xlog("L_NOTICE", "heard sec:revoke $sec(ip) $sec(reason) $sec(ban_ttl)\n");
}
"#;

/// A server with limits that need no time, so that it does not matter how fast this machine is.
fn config() -> Config {
    Config::new()
        .param("rate", "name=burst;limit=30;window=1h")
        .param("whitelist_rate", "limit=5;window=1h")
}

fn check() -> Request {
    Request::call("sec_check", &[])
}

/// What the routes wrote, in order.
fn heard(server: &Kamailio) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter_map(|line| line.split_once("heard "));
    lines.map(|(_, text)| text.trim().to_owned()).collect()
}

fn wait_to_hear(server: &Kamailio, expected: &[&str]) {
    wait_until(&format!("{expected:?}"), || {
        heard(server).len() >= expected.len()
    });
    assert_eq!(heard(server), expected);
}

fn has_event_process(server: &Kamailio) -> bool {
    let mut processes = server.processes().into_iter();
    processes.any(|(_, name)| name == "sec events")
}

/// Bans by a worker and by the operator, unbans by both, and a revocation. The functions are called
/// by their native names with `sec_`, by those of KEMI without it.
fn change_things(server: &Kamailio, prefix: &str) {
    let check = Request::call(&format!("{prefix}check"), &[]);
    let codes = Client::udp(ATTACKER).burst(40, &check);
    assert_eq!(codes[29..32], [1, -2, -1], "a worker bans");
    let order = |words: &[&str]| server.kamcmd(words).expect("the command is carried out");
    order(&["sec.ban", CUSTOMER, "60", "toll fraud"]);
    order(&["sec.unban", ATTACKER]);
    order(&["sec.whitelist_add", CUSTOMER]);
    let codes = Client::udp(CUSTOMER).burst(6, &check);
    assert_eq!(codes[4..], [2, -2], "over its ceiling");
    let mut script = Client::udp("198.51.100.200");
    assert_eq!(script.call(&format!("{prefix}unban"), &[CUSTOMER]), 1);
}

const CHANGES: [&str; 6] = [
    "sec:ban 198.51.100.66 rate:burst 300",
    "sec:ban 198.51.100.7 toll fraud 60",
    "sec:unban 198.51.100.66 rate:burst 0",
    "sec:unban 198.51.100.7 toll fraud 0",
    "sec:revoke 198.51.100.7 whitelist_rate 300",
    "sec:unban 198.51.100.7 whitelist_rate 0",
];

#[test]
fn native_routes_hear_of_workers_and_operators() {
    isolate();
    let server = Kamailio::start(config().extra(ROUTES));
    assert!(has_event_process(&server));
    change_things(&server, "sec_");
    wait_to_hear(&server, &CHANGES);
    let (dropped, panics) = (server.stat("events_dropped"), server.stat("panics"));
    assert_eq!((dropped, panics), (0, 0));
    let log = server.stop();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn one_process_does_everything_but_that() {
    isolate();
    let launch = Launch::SingleProcess;
    let server = Kamailio::start(config().extra(ROUTES).launch(launch));
    change_things(&server, "sec_");
    wait_to_hear(&server, &CHANGES);
    server.stop();
}

#[test]
fn a_function_in_lua_or_python_hears_of_all() {
    isolate();
    for engine in [Engine::Lua, Engine::Python] {
        let config = config().engine(engine);
        let server = Kamailio::start(config.param("event_callback", "ksr_sec_event"));
        change_things(&server, "");
        wait_to_hear(&server, &CHANGES);
        server.stop();
    }
}

#[test]
fn routes_hear_of_other_nodes() {
    isolate();
    let redis = Redis::start();
    let server = Kamailio::start(config().param("redis_url", URL).extra(ROUTES));
    wait_until("the link to Redis", || server.stat("redis_up") == 1);
    let value = r#"{"reason":"scanner","node":"b","at":1,"count":3}"#;
    let ban = format!("ban:{ATTACKER}");
    redis.ask::<()>(redis::cmd("SET").arg(&ban).arg(value));
    wait_to_hear(&server, &["sec:ban 198.51.100.66 scanner -1"]);
    redis.run::<()>(&format!("DEL {ban}"));
    let first = [
        "sec:ban 198.51.100.66 scanner -1",
        "sec:unban 198.51.100.66 scanner 0",
    ];
    wait_to_hear(&server, &first);
    // A revocation is two keys, and one event, in whatever order they come.
    let value = r#"{"reason":"whitelist_rate","node":"b","at":1,"count":1}"#;
    for (number, first) in [(7, "ban"), (8, "sec:revoked")] {
        let ip = format!("198.51.100.{number}");
        let set = |name: &str, value: &str| {
            let mut set = redis::cmd("SET");
            redis.ask::<()>(set.arg(format!("{name}:{ip}")).arg(value).arg("EX").arg(60));
        };
        let is_known = || server.kamcmd(&["sec.explain", &ip]).unwrap();
        if first == "ban" {
            set("ban", value);
            wait_until("the ban", || is_known().contains("ban: {"));
        }
        set("sec:revoked", "whitelist_rate");
        wait_until("the revocation", || heard(&server).len() == number - 4);
        set("ban", value);
        wait_until("the ban", || is_known().contains("ban: {"));
        let revoke = format!("sec:revoke {ip} ");
        assert!(
            heard(&server)[number - 5].starts_with(&revoke),
            "{:?}",
            heard(&server)
        );
    }
    redis.run::<()>(&format!("SET {ban} last"));
    wait_until("the last ban", || heard(&server).len() == 5);
    assert!(heard(&server)[4].starts_with("sec:ban 198.51.100.66 "));
}

#[test]
fn a_whole_network_is_one_event() {
    isolate();
    let server = Kamailio::start(config().extra(ROUTES));
    let order = |words: &[&str]| server.kamcmd(words).expect("the command is carried out");
    order(&["sec.ban", "203.0.113.0/24", "60", "toll fraud"]);
    let ban = "sec:ban 203.0.113.0/24 toll fraud 60";
    wait_to_hear(&server, &[ban]);
    order(&["sec.unban", "203.0.113.0/24"]);
    wait_to_hear(&server, &[ban, "sec:unban 203.0.113.0/24 toll fraud 0"]);
}

#[test]
fn nobody_listens_to_a_shadow() {
    isolate();
    let server = Kamailio::start(config().extra(ROUTES).param("mode", "shadow"));
    assert_eq!(Client::udp(ATTACKER).burst(40, &check()), [1; 40]);
    wait_until("the shadow ban's line", || {
        server.log().contains("ban 198.51.100.66")
    });
    let order = |words: &[&str]| server.kamcmd(words).expect("it is carried out");
    order(&["sec.unban", ATTACKER]);
    wait_until("the line of its end", || {
        server
            .log()
            .contains("unban 198.51.100.66 reason=rate:burst by=operator mode=shadow")
    });
    order(&["sec.mode", "enforce"]);
    order(&["sec.ban", CUSTOMER]);
    wait_to_hear(&server, &["sec:ban 198.51.100.7 manual 300"]);
}

#[test]
fn without_a_route_there_is_no_process() {
    isolate();
    let other = "event_route[sec:other] {\n    exit;\n}\n";
    let server = Kamailio::start(config().extra(other).param("event_callback", "unused"));
    assert!(!has_event_process(&server));
    let warned = |line: &str| line.contains("WARNING") && line.contains("event_callback");
    assert!(server.log().lines().any(warned), "{}", server.log());
    server.kamcmd(&["sec.ban", CUSTOMER]).expect("it bans");
    assert_eq!(server.stat("events_dropped"), 0);
}

#[test]
fn only_what_has_a_route_is_told() {
    isolate();
    let unban = "event_route[sec:unban] {\n    xlog(\"L_NOTICE\", \"heard $sec(ip)\\n\");\n}\n";
    let server = Kamailio::start(config().extra(unban));
    change_things(&server, "sec_");
    wait_to_hear(&server, &[ATTACKER, CUSTOMER, CUSTOMER]);
}

#[test]
fn a_function_that_is_not_there_does_no_harm() {
    isolate();
    for engine in [Engine::Lua, Engine::Python] {
        let config = config().engine(engine);
        let server = Kamailio::start(config.param("event_callback", "ksr_nowhere"));
        server.kamcmd(&["sec.ban", CUSTOMER]).expect("it bans");
        wait_until("the agent's line", || server.log().contains("ban 198"));
        let mut script = Client::udp("198.51.100.200");
        assert_eq!(script.call("is_banned_ip", &[CUSTOMER]), 1, "calls go on");
        assert!(has_event_process(&server));
        server.stop();
    }
}

#[test]
fn a_slow_route_delays_nobody_and_what_does_not_fit_is_counted() {
    isolate();
    let slow = "loadmodule \"cfgutils.so\"\nevent_route[sec:ban] {\n    \
                xlog(\"L_NOTICE\", \"heard $sec(ip)\\n\");\n    sleep(\"1000\");\n}\n";
    let server = Kamailio::start(config().extra(slow));
    let mut script = Client::udp("198.51.100.200");
    for number in 0..1000 {
        let address = format!("10.1.{}.{}", number / 256, number % 256);
        assert_eq!(script.call("sec_ban", &[&address, "600"]), 1, "{address}");
    }
    wait_until("what does not fit", || server.stat("events_dropped") > 100);
    assert_eq!(heard(&server), ["10.1.0.0"], "the first is being worked on");
    wait_until("the lines to end", || server.log().contains("more changes"));
    let codes = Client::udp(ATTACKER).burst(40, &check());
    assert_eq!(codes[29..32], [1, -2, -1]);
    wait_until("the agent's line about it", || {
        server.log().contains("ban 198.51.100.66")
    });
    // A route that sleeps does not hold up the end either.
    server.stop();
}

#[test]
fn a_new_agent_goes_on_telling() {
    isolate();
    let server = Kamailio::start(config().extra(ROUTES));
    server.signal(server.agent(), Signal::SIGKILL);
    server.kamcmd(&["sec.ban", CUSTOMER]).expect("it bans");
    wait_to_hear(&server, &["sec:ban 198.51.100.7 manual 300"]);
}

#[test]
fn the_source_is_known_in_a_request_too() {
    isolate();
    let route = "    sec_check();\n    xlog(\"L_NOTICE\", \"heard $sec(ip) $sec(verdict)\\n\");\n    \
                 sl_send_reply(\"200\", \"rc 1\");\n";
    let config = config().route(route).listen("udp:[2001:db8::10]:5060");
    let server = Kamailio::start(config);
    assert_eq!(Client::udp("2001:db8:5:6::77").ask(&check()).rc(), 1);
    wait_to_hear(&server, &["2001:db8:5:6::/64 1"]);
}
