//! The second act of the demo: two servers and one Redis. What one of them, the customer's portal or
//! an operator decides holds everywhere, and when Redis is gone the calls go on.

use std::time::{Duration, Instant};

use super::customers::Customers;
use super::host::{Client, Config, Kamailio, Redis, Request, SERVER, Subscribers, wait_for};
use super::stage::Stage;

/// The second server.
const SECOND: &str = "192.0.2.11";
/// A customer behind a busy address.
const CUSTOMER: &str = "203.0.113.20";
/// Somebody who floods while Redis is away.
const FLOODER: &str = "203.0.113.21";
/// The ceiling of a whitelist entry, by default: 300 requests in two seconds.
const TOO_MANY: usize = 700;

pub fn play(stage: &Stage, users: &Subscribers) -> Result<(), String> {
    let mut redis = Redis::start();
    let first = server(users, None);
    let second = server(users, Some(SECOND));
    println!();
    stage.title("Now two servers, and a real Redis that they share");
    let customers = Customers::start(&super::USERS)?;

    share(stage, &second)?;
    portal(stage, &redis)?;
    explode(stage, &redis)?;
    outage(stage, &mut redis, &first)?;

    let (registrations, calls) = customers.stop()?;
    stage.good(&format!(
        "{registrations} registrations and {calls} calls in the meantime. None was disturbed."
    ));
    first.stop();
    second.stop();
    Ok(())
}

fn server(users: &Subscribers, address: Option<&str>) -> Kamailio {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kamailio.cfg");
    let redis = "REDIS=\"redis://127.0.0.1:6379\"";
    let config = Config::of_file(file, &[&users.define(), "WORKERS=2", redis]);
    let server = Kamailio::start(match address {
        Some(address) => config.at(address),
        None => config,
    });
    wait_for("the link to Redis", || {
        (server.stat("redis_up") == 1).then_some(())
    });
    server
}

/// Whether a request from `source` is answered by the server at `server`.
fn answered(source: &str, server: &str) -> bool {
    let mut client = Client::udp_to(source, server);
    client.send(&Request::new("OPTIONS", &format!("sip:{server}")));
    let end = Instant::now() + Duration::from_millis(20);
    while Instant::now() < end {
        if client.receive_now().is_some() {
            return true;
        }
    }
    false
}

/// Sends requests until the answer is as wished; how long that took.
fn until_answered(source: &str, server: &str, wished: bool) -> Duration {
    let start = Instant::now();
    wait_for("the servers to agree", || {
        (answered(source, server) == wished).then_some(())
    });
    start.elapsed()
}

fn burst(source: &str, count: usize) {
    let mut client = Client::udp(source);
    for _ in 0..count {
        client.send(&Request::new("OPTIONS", &format!("sip:{SERVER}")));
        client.receive_now();
    }
}

fn share(stage: &Stage, second: &Kamailio) -> Result<(), String> {
    stage.step(&format!("{CUSTOMER} floods the first server, {SERVER}"));
    burst(CUSTOMER, 60);
    wait_for("the second server to know", || {
        second
            .kamcmd(&["sec.bans"])
            .ok()
            .filter(|bans| bans.contains(CUSTOMER))
    });
    stage.command(second, &["sec.bans"])?;
    if answered(CUSTOMER, SECOND) {
        return Err(format!("the second server still answers {CUSTOMER}"));
    }
    stage.good("The second server has never seen him, and bans him, too.");
    Ok(())
}

fn portal(stage: &Stage, redis: &Redis) -> Result<(), String> {
    stage.step("He is a customer, and frees his own address from the portal");
    let set = format!("SET white_list:{CUSTOMER} 1 EX 3600");
    stage.say(&format!("$ redis-cli {set}"));
    let start = Instant::now();
    redis.run::<()>(&set);
    until_answered(CUSTOMER, SERVER, true);
    let first = start.elapsed();
    until_answered(CUSTOMER, SECOND, true);
    stage.good(&format!(
        "His next request was answered {:.1} ms later, and the ban is gone everywhere.",
        first.as_secs_f64() * 1000.0
    ));
    Ok(())
}

fn explode(stage: &Stage, redis: &Redis) -> Result<(), String> {
    stage.step("But then a bot in his network sends hundreds of requests a second");
    burst(CUSTOMER, TOO_MANY);
    until_answered(CUSTOMER, SECOND, false);
    wait_for("the key to go", || {
        redis
            .get(&format!("white_list:{CUSTOMER}"))
            .is_none()
            .then_some(())
    });
    stage.say("The entry is gone from Redis, the address is banned on both servers.");
    stage.say(&format!("$ redis-cli SET white_list:{CUSTOMER} 1 EX 3600"));
    redis.run::<()>(&format!("SET white_list:{CUSTOMER} 1 EX 3600"));
    wait_for("the entry to be refused", || {
        redis
            .get(&format!("white_list:{CUSTOMER}"))
            .is_none()
            .then_some(())
    });
    if answered(CUSTOMER, SERVER) {
        return Err("a revoked entry could be added again at once".into());
    }
    stage.good("Nor can it be added again during the cool-down of ten minutes.");
    Ok(())
}

fn outage(stage: &Stage, redis: &mut Redis, first: &Kamailio) -> Result<(), String> {
    stage.step("Redis is stopped, with calls going on");
    redis.kill();
    wait_for("the loss to be noticed", || {
        (first.stat("redis_up") == 0).then_some(())
    });
    burst(FLOODER, 60);
    until_answered(FLOODER, SERVER, false);
    stage.say(&format!("{FLOODER} floods, and is banned as ever."));
    redis.restart();
    wait_for("the ban to be written", || {
        redis.get(&format!("ban:{FLOODER}"))
    });
    until_answered(FLOODER, SECOND, false);
    stage.good("Redis is back, empty: the ban made meanwhile is there, and on the second server.");
    Ok(())
}
