//! Tables for the exception that reverse DNS makes.

use super::*;
use crate::engine::lookup::{Answer, Hold, LookUp};

fn asking(spare_no_name: bool) -> Policy {
    let mut policy = requests();
    policy.rdns.asks = true;
    policy.rdns.spare_no_name = spare_no_name;
    policy
}

fn knowing(look_up: LookUp) -> Standing {
    Standing {
        look_up,
        ..standing()
    }
}

fn hold(until: u64) -> Hold {
    Hold {
        until,
        reason: Reason::AUTH,
        shadow: false,
        validated: true,
    }
}

fn sentence(seconds: u64, validated: bool) -> Sentence {
    Sentence { seconds, validated }
}

#[test]
fn a_name_is_asked_for_only_before_a_ban() {
    let decision = decide(&asking(false), &facts(), &standing(), &mut over());
    assert_eq!(code(&decision), (-3, Reason::limit(0)));
    assert_eq!(decision.change, Change::Hold(sentence(300, false)));
    let within = decide(&asking(false), &facts(), &standing(), &mut Fixed::default());
    assert_eq!(
        (within.verdict, within.change),
        (Verdict::Allow, Change::None)
    );
    for excused in [
        Standing {
            trusted_until: NOW + 1,
            ..standing()
        },
        Standing {
            grace_until: NOW + 1,
            ..standing()
        },
    ] {
        let decision = decide(&asking(false), &facts(), &excused, &mut over());
        assert_eq!(
            (decision.verdict.code(), decision.change),
            (-4, Change::None)
        );
    }
}

#[test]
fn whoever_is_held_waits() {
    let held = knowing(LookUp::Held(hold(NOW + 1)));
    let mut rates = Fixed::default();
    let decision = decide(&asking(false), &facts(), &held, &mut rates);
    assert_eq!(
        (code(&decision), decision.change),
        ((-3, Reason::AUTH), Change::None)
    );
    assert!(rates.charged.is_empty());
    let offence = decide_offence(&asking(false), &facts(), &held, auth(), &mut rates);
    assert_eq!(
        (code(&offence), offence.change),
        ((-3, Reason::AUTH), Change::None)
    );
}

#[test]
fn the_whitelist_and_a_ban_speak_before_a_hold() {
    let held = LookUp::Held(hold(NOW + 1));
    let entry = Standing {
        whitelisted_until: NOW + 1,
        ..knowing(held)
    };
    let decision = decide(&asking(false), &facts(), &entry, &mut Fixed::default());
    assert_eq!(decision.verdict, Verdict::AllowWhitelisted);
    let ban = Standing {
        look_up: held,
        ..banned()
    };
    let decision = decide(&asking(false), &facts(), &ban, &mut Fixed::default());
    assert_eq!(decision.verdict, Verdict::DenyBanned);
}

#[test]
fn a_hold_that_nobody_answers_becomes_the_ban_that_was_due() {
    let overdue = Standing {
        repeats: 1,
        ..knowing(LookUp::Held(hold(NOW)))
    };
    let within = &mut Fixed::default();
    let decision = decide(&asking(false), &facts(), &overdue, within);
    assert_eq!(code(&decision), (-2, Reason::AUTH));
    assert_eq!(decision.change, Change::Ban(sentence(600, true)));
    let spared = decide(&asking(true), &facts(), &overdue, within);
    assert_eq!(
        (code(&spared), spared.change),
        ((3, Reason::RDNS), Change::None)
    );
    // What has been due for as long as a first ban lasts is over.
    let later = Facts {
        now: Now::from_ns((NOW + 300_000) * 1_000_000),
        ..facts()
    };
    let forgotten = decide(&asking(false), &later, &overdue, within);
    assert_eq!(forgotten.verdict, Verdict::Allow);
    let again = decide(&asking(false), &later, &overdue, &mut over());
    assert_eq!(again.verdict, Verdict::DenyHeld);
}

#[test]
fn trust_and_grace_that_came_meanwhile_count() {
    let overdue = |reason| Standing {
        trusted_until: NOW + 1,
        ..knowing(LookUp::Held(Hold {
            reason,
            ..hold(NOW)
        }))
    };
    let within = &mut Fixed::default();
    let requests = overdue(Reason::limit(0));
    assert_eq!(
        decide(&asking(false), &facts(), &requests, within).verdict,
        Verdict::Allow
    );
    let guesses = overdue(Reason::AUTH);
    assert_eq!(
        decide(&asking(false), &facts(), &guesses, within).verdict,
        Verdict::DenyNewBan
    );
}

#[test]
fn the_answer_decides() {
    // What a request gets that is within the limits, and one that is over.
    for (answer, spare, expected) in [
        (Answer::Trusted, false, (3, -4)),
        (Answer::Untrusted, false, (1, -2)),
        (Answer::Nameless, false, (1, -2)),
        (Answer::Trusted, true, (3, -4)),
        (Answer::Untrusted, true, (1, -2)),
        (Answer::Nameless, true, (3, -4)),
    ] {
        let known = knowing(LookUp::Answered(answer, NOW + 1));
        let policy = asking(spare);
        let within = decide(&policy, &facts(), &known, &mut Fixed::default());
        let beyond = decide(&policy, &facts(), &known, &mut over());
        let codes = (within.verdict.code(), beyond.verdict.code());
        assert_eq!(codes, expected, "{answer:?} {spare}");
        let strikes = Standing {
            strikes: 10,
            ..known
        };
        let rates = &mut Fixed::default();
        let offence = decide_offence(&policy, &facts(), &strikes, auth(), rates);
        assert_eq!(offence.verdict.code(), expected.1);
        let old = knowing(LookUp::Answered(answer, NOW));
        assert_eq!(
            decide(&policy, &facts(), &old, &mut over()).verdict,
            Verdict::DenyHeld
        );
    }
}

#[test]
fn a_hold_of_shadow_mode_means_nothing_outside() {
    let shadowed = knowing(LookUp::Held(Hold {
        shadow: true,
        ..hold(NOW + 1)
    }));
    let within = &mut Fixed::default();
    assert_eq!(
        decide(&asking(false), &facts(), &shadowed, within).verdict,
        Verdict::Allow
    );
    let shadow = Facts {
        shadow: true,
        ..facts()
    };
    let decision = decide(&asking(false), &shadow, &shadowed, within);
    assert_eq!(decision.verdict, Verdict::DenyHeld);
}
