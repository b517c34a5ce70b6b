//! Offences that were reported: strikes, failed logins, mutes.

use super::tests::*;
use super::*;
use crate::engine::facts::*;
use crate::engine::policy::*;

#[test]
fn strikes_lead_to_a_ban_at_their_limit() {
    for (strikes, verdict) in [(9, 1), (10, -2), (200, -2)] {
        let offender = Standing {
            strikes,
            ..standing()
        };
        let decision = decide_offence(
            &requests(),
            &facts(),
            &offender,
            auth(),
            &mut Fixed::default(),
        );
        assert_eq!(decision.verdict.code(), verdict, "{strikes} strikes");
    }
}

#[test]
fn trust_spares_strikes_but_not_failed_credentials() {
    let offender = Standing {
        strikes: 10,
        trusted_until: NOW + 1,
        ..standing()
    };
    for (reason, verdict) in [(Reason::word(0), -4), (Reason::AUTH, -2)] {
        let decision = decide_offence(
            &requests(),
            &facts(),
            &offender,
            because(reason),
            &mut Fixed::default(),
        );
        assert_eq!(decision.verdict.code(), verdict, "{reason:?}");
    }
}

#[test]
fn failed_logins_of_many_users_revoke_an_entry_that_ends() {
    for (users, until, revoked) in [
        (9, NOW + 1, false),
        (10, NOW + 1, true),
        (10, FOREVER, false),
    ] {
        let entry = Standing {
            whitelisted_until: until,
            users,
            strikes: 99,
            ..standing()
        };
        let decision = decide_offence(&requests(), &facts(), &entry, auth(), &mut Fixed::default());
        assert_eq!(
            matches!(decision.change, Change::Revoke(_)),
            revoked,
            "{users} users"
        );
    }
}

#[test]
fn a_failures_limit_counts_failures_and_can_refuse_requests() {
    let policy = policy(vec![limit("fails", Count::Failures, Action::Limit)]);
    let mut rates = Fixed::default();
    assert_eq!(
        decide(&policy, &facts(), &standing(), &mut rates).verdict,
        Verdict::Allow
    );
    assert!(rates.charged.is_empty());
    decide_offence(&policy, &facts(), &standing(), auth(), &mut rates);
    assert_eq!(rates.charged, [0]);
    let decision = decide(&policy, &facts(), &standing(), &mut over());
    assert_eq!(code(&decision), (-4, Reason::limit(0)));
}

#[test]
fn one_dead_phone_is_muted_where_others_log_in() {
    let office = Standing {
        strikes: 200,
        users: 1,
        trusted_until: NOW + 1,
        ..standing()
    };
    let offence = |strikes| Offence {
        reason: Reason::AUTH,
        user_strikes: strikes,
        muted: false,
    };
    let judge = |standing: &Standing, strikes| {
        decide_offence(
            &requests(),
            &facts(),
            standing,
            offence(strikes),
            &mut Fixed::default(),
        )
    };
    assert_eq!(judge(&office, 9).verdict, Verdict::Allow);
    let decision = judge(&office, 10);
    assert_eq!(code(&decision), (-2, Reason::AUTH));
    assert!(matches!(decision.change, Change::Mute(_)));
    // It comes back each time that the mute ends, for days.
    assert!(matches!(judge(&office, 200).change, Change::Mute(_)));
    let hiding = Offence {
        muted: true,
        ..offence(20)
    };
    let decision = decide_offence(
        &requests(),
        &facts(),
        &office,
        hiding,
        &mut Fixed::default(),
    );
    assert!(
        matches!(decision.change, Change::Ban(_)),
        "nobody gets so far who does not hide"
    );
    let scanner = Standing {
        users: 10,
        ..office
    };
    assert!(
        matches!(judge(&scanner, 1).change, Change::Ban(_)),
        "many users are a scanner's"
    );
    let nobody = Standing {
        trusted_until: 0,
        ..office
    };
    assert!(
        matches!(judge(&nobody, 10).change, Change::Ban(_)),
        "nobody has logged in there"
    );
}

#[test]
fn a_limit_of_failures_that_owes_anything_to_forgers_makes_no_firm_ban() {
    let policy = policy(vec![limit("wrong", Count::Failures, Action::Ban)]);
    let firm = Facts {
        validated: true,
        ..facts()
    };
    for (forgeable, validated) in [(0, true), (1, false)] {
        let standing = Standing {
            strikes: 5,
            forgeable,
            ..standing()
        };
        let decision = decide_offence(&policy, &firm, &standing, auth(), &mut over());
        let Change::Ban(sentence) = decision.change else {
            panic!("{decision:?}");
        };
        assert_eq!(sentence.validated, validated);
    }
}

#[test]
fn with_the_scope_of_a_user_the_address_comes_later() {
    let policy = Policy {
        scope: Scope::User,
        ..requests()
    };
    for (users, muted) in [(1, true), (2, true), (3, false)] {
        let offender = Standing {
            strikes: 30,
            users,
            ..standing()
        };
        let decision = decide_offence(&policy, &facts(), &offender, auth(), &mut Fixed::default());
        assert_eq!(
            matches!(decision.change, Change::Mute(_)),
            muted,
            "{users} users"
        );
        assert_eq!(
            matches!(decision.change, Change::Ban(_)),
            !muted,
            "{users} users"
        );
    }
}

#[test]
fn a_muted_user_is_denied_and_the_whitelist_wins() {
    let facts = Facts {
        muted: true,
        ..facts()
    };
    let decision = decide(&requests(), &facts, &standing(), &mut Fixed::default());
    assert_eq!(code(&decision), (-5, Reason::AUTH));
    let entry = Standing {
        whitelisted_until: NOW + 1,
        ..standing()
    };
    let decision = decide(&requests(), &facts, &entry, &mut Fixed::default());
    assert_eq!(decision.verdict, Verdict::AllowWhitelisted);
}

#[path = "lookup_tests.rs"]
mod lookup;
