//! `make demo`: what `sec` does, shown on a real Kamailio with real SIP, in a few seconds.
//!
//! Runs `examples/kamailio.cfg` in a network of its own, lets phones work in the background, and
//! attacks. Each step prints what was done and what came back; the first one that does not turn
//! out as it should ends the demo with an error.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod customers;
mod fleet;
mod stage;

use std::time::Instant;

use customers::Customers;
use host::{Client, Config, Kamailio, Phone, Request, SERVER, Subscribers, wait_for};
use stage::Stage;

/// The registrar's users: name and password.
const USERS: [(&str, &str); 4] = [
    ("1001", "ocean"),
    ("1002", "forest"),
    ("1003", "meadow"),
    ("1004", "valley"),
];
/// Where the flood comes from.
const FLOODER: &str = "203.0.113.66";
/// Where the passwords are guessed.
const GUESSER: &str = "203.0.113.77";

fn main() {
    let start = Instant::now();
    let stage = Stage::new();
    match play(&stage) {
        Ok(()) => stage.end(start.elapsed()),
        Err(reason) => {
            stage.fail(&reason);
            std::process::exit(1);
        }
    }
}

fn play(stage: &Stage) -> Result<(), String> {
    host::isolate();
    let users = Subscribers::new(&USERS);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kamailio.cfg");
    let server = Kamailio::start(Config::of_file(file, &[&users.define(), "WORKERS=2"]));
    stage.title("A real Kamailio with the module `sec`, in a network of its own");
    stage.say("It is a small registrar: users log in with a password and call each other.");
    stage.say(&format!(
        "Its configuration is examples/kamailio.cfg, its address {SERVER}."
    ));

    stage.step("Phones register and call each other, from now on until the end");
    let customers = Customers::start(&USERS)?;
    stage.good("4 phones are registered, and the first calls went through.");

    flood(stage, &server)?;
    free(stage, &server)?;
    guess(stage, &server)?;
    look(stage, &server)?;

    stage.step("And the phones?");
    let (registrations, calls) = customers.stop()?;
    stage.good(&format!(
        "{registrations} registrations and {calls} calls in the meantime. None was disturbed."
    ));
    server.stop();
    fleet::play(stage, &users)
}

/// Forty requests at once: thirty are answered, then the address is banned.
fn flood(stage: &Stage, server: &Kamailio) -> Result<(), String> {
    stage.step(&format!("{FLOODER} sends 40 requests at once"));
    stage.say("The configuration allows 30 in 2 seconds.");
    let answered = burst(server, 40);
    stage.say(&format!(
        "{answered} were answered, {} met with silence.",
        40 - answered
    ));
    // A machine that stalls for a fifteenth of a second may let one more through.
    if !(30..=33).contains(&answered) {
        return Err(format!("expected 30 answers, got {answered}"));
    }
    let bans = stage.command(server, &["sec.bans"])?;
    if !bans.contains(FLOODER) {
        return Err(format!("{FLOODER} is not banned"));
    }
    stage.good(&format!(
        "The {}st request was one too many: the address is banned, the rest is dropped.",
        answered + 1
    ));
    Ok(())
}

/// The same address is put on the whitelist.
fn free(stage: &Stage, server: &Kamailio) -> Result<(), String> {
    stage.step("But it was a customer, whose phones all came back after a power cut");
    stage.command(server, &["sec.whitelist_add", FLOODER, "3600"])?;
    let answered = burst(server, 40);
    stage.say(&format!(
        "40 requests at once again: {answered} were answered."
    ));
    if answered != 40 {
        return Err(format!("expected 40 answers, got {answered}"));
    }
    stage.good("One command, from the operator or from a user portal, and he is free.");
    Ok(())
}

/// Wrong passwords, until nobody answers any more.
fn guess(stage: &Stage, server: &Kamailio) -> Result<(), String> {
    stage.step(&format!("{GUESSER} guesses the password of user 1001"));
    let bans = server.stat("bans");
    let mut guesser = Phone::new("1001", "password123", GUESSER);
    let refusal = |other| format!("a guess was answered with {other:?} instead of a challenge");
    let mut guesses = 0;
    while server.stat("bans") == bans {
        if guesses == 50 {
            return Err("50 wrong passwords, and no ban".to_owned());
        }
        guesser.try_to_register().map_err(refusal)?;
        guesses += 1;
        // Refused, or met with silence because this guess led to the ban.
        wait_for("the guess to be judged", || {
            let answer = guesser.client().receive_now().is_some();
            (answer || server.stat("bans") > bans).then_some(())
        });
    }
    stage.say(&format!(
        "After {guesses} wrong passwords there is no answer any more."
    ));
    if guesses != 10 {
        return Err(format!(
            "expected the ban at the tenth guess, not after {guesses}"
        ));
    }
    stage.good("The user himself, at his own address, notices nothing.");
    Ok(())
}

/// What the operator sees.
fn look(stage: &Stage, server: &Kamailio) -> Result<(), String> {
    stage.step("What the operator sees");
    let bans = stage.command(server, &["sec.bans"])?;
    if !bans.contains(GUESSER) {
        return Err(format!("{GUESSER} is not among the bans"));
    }
    if bans.contains(FLOODER) {
        return Err(format!("{FLOODER} is still banned"));
    }
    let explained = stage.command(server, &["sec.explain", GUESSER])?;
    if !explained.contains(GUESSER) {
        return Err(format!("sec.explain does not know {GUESSER}"));
    }
    stage.command(server, &["sec.whitelist"])?;
    stage.say("And in the log, one line for each thing that changed:");
    let lines = wait_for("the log to tell of the last ban", || {
        let log = server.log();
        let ours = |line: &&str| line.contains("NOTICE: sec: ");
        let lines: Vec<String> = log.lines().filter(ours).map(str::to_owned).collect();
        lines
            .iter()
            .any(|line| line.contains(GUESSER))
            .then_some(lines)
    });
    lines
        .iter()
        .for_each(|line| stage.output(line.trim_start()));
    stage.good("Who, why, for how long, and what would free him.");
    Ok(())
}

/// Sends so many requests at once from [`FLOODER`]; how many are answered.
fn burst(server: &Kamailio, count: usize) -> usize {
    let mut client = Client::udp(FLOODER);
    let denied_before = server.stat("denied");
    let request = Request::new("OPTIONS", &format!("sip:{SERVER}"));
    for _ in 0..count {
        client.send(&request);
    }
    // Only this address is denied anything, so every request is either answered or counted here.
    let mut answered = 0;
    wait_for("every request to be answered or denied", || {
        answered += usize::from(client.receive_now().is_some());
        let denied = usize::try_from(server.stat("denied") - denied_before).unwrap_or_default();
        (answered + denied == count).then_some(answered)
    })
}
