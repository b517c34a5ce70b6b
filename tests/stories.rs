//! The stories of `make stories`, and what `sec` has to make of each: who is banned, who is muted,
//! who is only told to wait, and who never notices anything.
//!
//! Real Kamailio, real Redis, real name server. Phones and attackers act faster than in life; no
//! verdict here depends on how fast.
#![forbid(unsafe_code)]

mod host;

#[path = "../examples/stories/plays/mod.rs"]
mod plays;

use host::wait_until;
use plays::{Guard, Outcome, STORIES, Terms, World};

/// Long enough for no ban to end in the middle of a story.
const TERMS: Terms = Terms {
    ban_secs: 300,
    haste: 5.0,
};

/// The story whose title has these words, as `sec` judges it.
fn play(words: &str, terms: Terms) -> (World, Outcome) {
    let mut found = STORIES.iter().filter(|story| story.title.contains(words));
    let story = found.next().expect("there is such a story");
    assert!(found.next().is_none(), "`{words}` names two stories");
    story.play(Guard::Sec, terms)
}

/// Nobody but the attacker notices anything, and he is banned at this request.
fn only_the_attacker(words: &str, request: u32, address: &str, reason: &str) -> World {
    let (world, outcome) = play(words, TERMS);
    assert_eq!((outcome.cut_off(), outcome.put_off()), (0, 0), "{words}");
    assert_eq!(outcome.stopped_at(), Some(request), "{words}");
    let known = world.server.kamcmd(&["sec.explain", address]).unwrap();
    assert!(known.contains(&format!("reason: {reason}")), "{known}");
    wait_until("the ban in Redis", || {
        world.redis.get(&format!("ban:{address}")).is_some()
    });
    assert_eq!(world.server.stat("bans"), 1, "{words}");
    world
}

#[test]
fn a_scanner_is_banned_at_the_fourth_wrong_extension() {
    only_the_attacker("walks 100", 4, "203.0.113.66", "extension");
}

#[test]
fn patience_does_not_help_a_scanner() {
    only_the_attacker("patiently", 4, "203.0.113.66", "extension");
}

#[test]
fn a_guesser_is_banned_at_the_tenth_password() {
    // The tenth is refused as the others were, while his name is looked up: two requests each.
    only_the_attacker("password guesser", 21, "203.0.113.77", "auth");
}

#[test]
fn one_dead_phone_is_muted_and_the_office_works_on() {
    let (world, outcome) = play("dead phone", TERMS);
    assert_eq!((outcome.cut_off(), outcome.customers.len()), (0, 49));
    assert_eq!(world.server.stat("bans"), 0);
    wait_until("the mute in the log", || {
        let log = world.server.log();
        log.contains("sec: mute a user at 198.51.100.100") && log.contains("user=\"7050\"")
    });
}

#[test]
fn in_a_hotel_the_user_is_muted_whose_password_is_guessed() {
    let (world, outcome) = play("250 guesses", TERMS);
    assert_eq!((outcome.cut_off(), outcome.put_off()), (0, 0));
    assert_eq!(outcome.stopped_at(), Some(20));
    assert_eq!(world.server.stat("bans"), 0);
}

#[test]
fn many_names_from_a_hotel_cost_it_one_ban() {
    let terms = Terms {
        ban_secs: 2,
        ..TERMS
    };
    let (world, outcome) = play("each of 40 users", terms);
    assert!(world.server.stat("bans") >= 1);
    assert!(
        outcome.customers.iter().all(|guest| guest.is_served()),
        "it ends"
    );
}

#[test]
fn after_a_power_cut_phones_are_told_to_wait_and_nobody_is_banned() {
    let (world, outcome) = play("power cut", TERMS);
    assert_eq!((outcome.cut_off(), outcome.customers.len()), (0, 300));
    assert!(outcome.customers.iter().all(|phone| phone.is_served()));
    assert_eq!(world.server.stat("bans"), 0);
}

#[test]
fn a_typing_error_is_forgiven() {
    let (world, outcome) = play("mistypes", TERMS);
    assert_eq!((outcome.cut_off(), outcome.put_off()), (0, 0));
    assert_eq!(world.server.stat("bans"), 0);
}

#[test]
fn a_forged_flood_bans_no_customer() {
    let (world, outcome) = play("600 requests", TERMS);
    assert_eq!(outcome.cut_off(), 0);
    assert!(outcome.customers[0].is_served(), "when it is over");
    assert_eq!(world.server.stat("bans"), 0);
}

#[test]
fn a_challenge_cannot_be_answered_under_another_address() {
    let (world, outcome) = play("wrong logins", TERMS);
    assert_eq!((outcome.cut_off(), outcome.put_off()), (0, 0));
    assert_eq!(world.server.stat("bans"), 0);
    assert_eq!(world.server.stat("strikes"), 0, "the forger proved nothing");
}

#[test]
fn a_name_that_only_begins_like_a_trusted_one_spares_nobody() {
    let (world, outcome) = play("evil.net", TERMS);
    assert_eq!(outcome.let_through(), 0);
    assert!(outcome.stopped_at() > Some(30), "thirty are allowed");
    let known = world.server.kamcmd(&["sec.explain", "203.0.113.80"]);
    let known = known.unwrap();
    assert!(known.contains("evil.net; untrusted"), "{known}");
    let known = world.server.kamcmd(&["sec.explain", "198.51.100.80"]);
    let known = known.unwrap();
    assert!(known.contains("result: trusted"), "{known}");
    assert_eq!(world.server.stat("bans"), 1);
    assert!(outcome.customers[0].is_served(), "the partner is back");
}
