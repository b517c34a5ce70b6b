//! What a feed says of an address, in its place among the rules.

use super::tests::{Fixed, NOW, banned, code, facts, over, requests, standing};
use super::*;
use crate::engine::policy::FeedRule;

/// One feed, with this action.
fn feeds(action: FeedAction) -> Policy {
    let name = "list".into();
    Policy {
        feeds: vec![FeedRule { name, action }],
        ..requests()
    }
}

fn named() -> Facts {
    Facts {
        feed: Some(0),
        scanner: true,
        ..facts()
    }
}

fn trusted() -> Standing {
    Standing {
        trusted_until: NOW + 1,
        ..standing()
    }
}

#[test]
fn who_is_listed_is_denied_before_scanners_and_rates() {
    for standing in [standing(), trusted()] {
        let mut rates = over();
        let decision = decide(&feeds(FeedAction::Deny), &named(), &standing, &mut rates);
        assert_eq!(code(&decision), (-5, Reason::feed(0)));
        assert_eq!((decision.change, rates.charged.len()), (Change::None, 0));
    }
}

#[test]
fn whitelists_and_bans_come_first_whatever_the_action() {
    let whitelisted = Standing {
        whitelisted_until: NOW + 1,
        ..standing()
    };
    let own = Facts {
        own: true,
        ..named()
    };
    let fixed = Facts {
        listed: true,
        ..named()
    };
    let muted = Facts {
        muted: true,
        ..named()
    };
    for action in FeedAction::ALL {
        let policy = feeds(action);
        for (facts, standing, expected) in [
            (own, standing(), (2, Reason::OWN)),
            (fixed, standing(), (2, Reason::LISTED)),
            (named(), whitelisted, (2, Reason::WHITELISTED)),
            (named(), banned(), (-1, Reason::AUTH)),
            (muted, standing(), (-5, Reason::AUTH)),
        ] {
            let decision = decide(&policy, &facts, &standing, &mut Fixed::default());
            assert_eq!(code(&decision), expected, "{action:?}");
            assert!(!feed_strikes(&policy, &facts, &standing), "{action:?}");
        }
    }
}

#[test]
fn a_ban_of_a_feed_is_one_like_any_other() {
    let policy = feeds(FeedAction::Ban);
    let repeated = Standing {
        repeats: 2,
        ..standing()
    };
    for (validated, seconds) in [(false, 300), (true, 1200)] {
        let facts = Facts {
            validated,
            ..named()
        };
        let decision = decide(&policy, &facts, &repeated, &mut Fixed::default());
        assert_eq!(code(&decision), (-2, Reason::feed(0)));
        let sentence = Sentence { seconds, validated };
        assert_eq!(decision.change, Change::Ban(sentence));
    }
    let graced = Standing {
        grace_until: NOW + 1,
        ..standing()
    };
    let loading = Facts {
        loading: true,
        ..named()
    };
    for (facts, standing) in [
        (named(), trusted()),
        (named(), graced),
        (loading, standing()),
    ] {
        let decision = decide(&policy, &facts, &standing, &mut Fixed::default());
        assert_eq!(code(&decision), (-5, Reason::feed(0)));
        assert_eq!(decision.change, Change::None);
    }
}

#[test]
fn mild_feeds_leave_it_to_the_other_rules() {
    for (action, shadowed) in [
        (FeedAction::Shadow, Some(Reason::feed(0))),
        (FeedAction::Strike, None),
    ] {
        let policy = feeds(action);
        let decision = decide(&policy, &named(), &standing(), &mut Fixed::default());
        assert_eq!(code(&decision), (-5, Reason::AGENT));
        assert_eq!(decision.shadowed, shadowed);
        let facts = Facts {
            scanner: false,
            ..named()
        };
        let decision = decide(&policy, &facts, &standing(), &mut Fixed::default());
        assert_eq!(
            (decision.verdict, decision.shadowed),
            (Verdict::Allow, shadowed)
        );
        let strikes = action == FeedAction::Strike;
        assert_eq!(feed_strikes(&policy, &facts, &standing()), strikes);
        assert!(!feed_strikes(&policy, &facts, &trusted()));
    }
    let unlisted = Facts {
        feed: None,
        ..named()
    };
    assert!(!feed_strikes(
        &feeds(FeedAction::Strike),
        &unlisted,
        &standing()
    ));
}
