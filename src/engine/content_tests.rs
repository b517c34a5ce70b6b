//! What a request says, in its place among the rules.

use super::tests::{Fixed, NOW, banned, code, facts, over, requests, standing};
use super::*;

#[test]
fn a_scanner_is_denied_for_what_it_is() {
    let facts = Facts {
        scanner: true,
        validated: true,
        ..facts()
    };
    let trusted = Standing {
        trusted_until: NOW + 1,
        ..standing()
    };
    for standing in [standing(), trusted] {
        let mut rates = over();
        let decision = decide(&requests(), &facts, &standing, &mut rates);
        assert_eq!(code(&decision), (-5, Reason::AGENT));
        assert_eq!((decision.change, rates.charged.len()), (Change::None, 0));
        assert!(depends_on_content(&facts, &standing));
    }
    let whitelisted = Standing {
        whitelisted_until: NOW + 1,
        ..standing()
    };
    let within = &mut Fixed::default();
    for (standing, expected) in [(whitelisted, 2), (banned(), -1)] {
        let decision = decide(&requests(), &facts, &standing, within);
        assert_eq!(decision.verdict.code(), expected);
        assert!(!depends_on_content(&facts, &standing));
    }
    let own = Facts { own: true, ..facts };
    assert!(!depends_on_content(&own, &standing()));
}
