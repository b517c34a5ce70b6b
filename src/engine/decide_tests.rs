//! Tables for the rules: facts and standing in, decision out.

use super::*;
use crate::engine::facts::{Ban, Now};
use crate::engine::policy::{Bans, Guessing, Rdns, method_bit};
use crate::source::Source;

pub(super) const NOW: u64 = 50_000;

pub(super) fn limit(name: &str, count: Count, action: Action) -> Limit {
    let quota = Quota::new(30, 2).unwrap();
    Limit {
        name: name.into(),
        quota,
        count,
        per: (32, 64),
        action,
    }
}

pub(super) fn policy(limits: Vec<Limit>) -> Policy {
    Policy {
        limits,
        ipv6_prefix: 64,
        bans: Bans {
            first: 300,
            factor: 2,
            longest: 86_400,
            memory: 86_400,
        },
        strike_limit: 10,
        strike_window: 600,
        scope: Scope::Ip,
        scope_users: 3,
        whitelist_time: 3600,
        whitelist_rate: Quota::new(300, 2).unwrap(),
        whitelist_cooldown: 600,
        trust_time: 3600,
        trust_rate: Quota::new(120, 2).unwrap(),
        unban_grace: 60,
        rdns: Rdns {
            asks: false,
            hold_ms: 2000,
            spare_no_name: false,
        },
        agent_check: false,
        extensions: Guessing {
            threshold: 80,
            methods: 0,
            weight: 3,
            forgive: 5,
        },
        feeds: Vec::new(),
    }
}

pub(super) fn facts() -> Facts {
    Facts {
        now: Now::from_ns(NOW * 1_000_000),
        source: Source::new("192.0.2.1".parse().unwrap(), 64),
        own: false,
        listed: false,
        validated: false,
        method: method_bit(b"REGISTER").unwrap(),
        shadow: false,
        scanner: false,
        loading: false,
        muted: false,
        feed: None,
    }
}

pub(super) fn standing() -> Standing {
    Standing::default()
}

pub(super) fn because(reason: Reason) -> Offence {
    Offence {
        reason,
        user_strikes: 10,
        muted: false,
    }
}

pub(super) fn auth() -> Offence {
    because(Reason::AUTH)
}

pub(super) fn banned() -> Standing {
    let ban = Ban {
        until: NOW + 9,
        reason: Reason::AUTH,
        ..Ban::default()
    };
    Standing { ban, ..standing() }
}

/// Rates that are within or over, and remember what was charged.
#[derive(Default)]
pub(super) struct Fixed {
    pub(super) over: Vec<usize>,
    pub(super) over_ceiling: bool,
    pub(super) charged: Vec<usize>,
    pub(super) ceilings: Vec<u32>,
}

impl Rates for Fixed {
    fn charge(&mut self, index: usize, _: &Limit) -> bool {
        self.charged.push(index);
        !self.over.contains(&index)
    }
    fn within(&mut self, index: usize, _: &Limit) -> bool {
        !self.over.contains(&index)
    }
    fn charge_ceiling(&mut self, quota: &Quota) -> bool {
        self.ceilings.push(quota.limit());
        !self.over_ceiling
    }
}

pub(super) fn requests() -> Policy {
    policy(vec![limit("burst", Count::Requests, Action::Ban)])
}

pub(super) fn over() -> Fixed {
    Fixed {
        over: vec![0, 1, 2, 3],
        over_ceiling: true,
        ..Fixed::default()
    }
}

pub(super) fn code(decision: &Decision) -> (i32, Reason) {
    (decision.verdict.code(), decision.reason)
}

#[test]
fn own_and_listed_addresses_pass_uncounted() {
    for (own, listed, reason) in [(true, false, Reason::OWN), (false, true, Reason::LISTED)] {
        let mut rates = over();
        let facts = Facts {
            own,
            listed,
            ..facts()
        };
        let decision = decide(&requests(), &facts, &banned(), &mut rates);
        assert_eq!(code(&decision), (2, reason));
        assert!(rates.charged.is_empty() && rates.ceilings.is_empty());
        let offence = decide_offence(&requests(), &facts, &standing(), auth(), &mut rates);
        assert_eq!(offence.change, Change::None);
    }
}

#[test]
fn the_whitelist_wins_over_a_ban_and_the_limits() {
    let entry = Standing {
        whitelisted_until: NOW + 1,
        ..banned()
    };
    let mut rates = Fixed {
        over: vec![0],
        ..Fixed::default()
    };
    let decision = decide(&requests(), &facts(), &entry, &mut rates);
    assert_eq!(code(&decision), (2, Reason::WHITELISTED));
    assert_eq!((rates.charged.len(), rates.ceilings), (0, vec![300]));
}

#[test]
fn an_entry_over_its_ceiling_is_revoked_only_if_it_has_an_end() {
    let ends = Standing {
        whitelisted_until: NOW + 1,
        ..standing()
    };
    let decision = decide(&requests(), &facts(), &ends, &mut over());
    assert_eq!(code(&decision), (-2, Reason::WHITELIST_RATE));
    let expected = Sentence {
        seconds: 300,
        validated: false,
    };
    assert_eq!(decision.change, Change::Revoke(expected));

    let forever = Standing {
        whitelisted_until: FOREVER,
        ..standing()
    };
    let decision = decide(&requests(), &facts(), &forever, &mut over());
    assert_eq!(code(&decision), (-4, Reason::WHITELIST_RATE));
    assert_eq!(decision.change, Change::None);
}

#[test]
fn a_banned_source_is_denied_without_a_charge() {
    let mut rates = Fixed::default();
    let decision = decide(&requests(), &facts(), &banned(), &mut rates);
    assert_eq!(code(&decision), (-1, Reason::AUTH));
    assert!(rates.charged.is_empty());
}

#[test]
fn a_shadow_ban_holds_in_shadow_mode_only() {
    let mut shadow = banned();
    shadow.ban.shadow = true;
    let enforcing = decide(&requests(), &facts(), &shadow, &mut Fixed::default());
    assert_eq!(enforcing.verdict, Verdict::Allow);
    let facts = Facts {
        shadow: true,
        ..facts()
    };
    let shadowing = decide(&requests(), &facts, &shadow, &mut Fixed::default());
    assert_eq!(shadowing.verdict, Verdict::DenyBanned);
}

#[test]
fn an_exceeded_limit_bans_limits_or_only_counts() {
    let expected = [
        (Action::Ban, -2, None),
        (Action::Limit, -4, None),
        (Action::Shadow, 1, Some(Reason::limit(0))),
    ];
    for (action, code, shadowed) in expected {
        let policy = policy(vec![limit("x", Count::Requests, action)]);
        let decision = decide(&policy, &facts(), &standing(), &mut over());
        assert_eq!(
            (decision.verdict.code(), decision.shadowed),
            (code, shadowed),
            "{action:?}"
        );
        let changes = matches!(decision.change, Change::Ban(_));
        assert_eq!(changes, action == Action::Ban);
    }
}

#[test]
fn method_limits_count_their_methods() {
    let invites = Count::Methods(method_bit(b"INVITE").unwrap());
    let policy = policy(vec![limit("calls", invites, Action::Ban)]);
    let mut rates = over();
    let decision = decide(&policy, &facts(), &standing(), &mut rates);
    assert_eq!((decision.verdict, rates.charged.len()), (Verdict::Allow, 0));
    let facts = Facts {
        method: method_bit(b"INVITE").unwrap(),
        ..facts()
    };
    let decision = decide(&policy, &facts, &standing(), &mut rates);
    assert_eq!(code(&decision), (-2, Reason::limit(0)));
}

#[test]
fn only_validated_evidence_makes_bans_grow() {
    for (validated, seconds) in [(false, 300), (true, 1200)] {
        let facts = Facts {
            validated,
            ..facts()
        };
        let repeat = Standing {
            repeats: 2,
            ..standing()
        };
        let decision = decide(&requests(), &facts, &repeat, &mut over());
        assert_eq!(
            decision.change,
            Change::Ban(Sentence { seconds, validated })
        );
    }
}

#[test]
fn a_trusted_source_is_limited_and_never_banned_by_requests() {
    let trusted = Standing {
        trusted_until: NOW + 1,
        ..standing()
    };
    let mut within = Fixed {
        over: vec![0],
        ..Fixed::default()
    };
    assert_eq!(
        decide(&requests(), &facts(), &trusted, &mut within).verdict,
        Verdict::Allow
    );
    assert_eq!((within.charged.len(), within.ceilings), (0, vec![120]));

    let decision = decide(&requests(), &facts(), &trusted, &mut over());
    assert_eq!(code(&decision), (-4, Reason::TRUST_RATE));

    let registers = Count::Methods(method_bit(b"REGISTER").unwrap());
    let policy = policy(vec![limit("r", registers, Action::Ban)]);
    let mut rates = Fixed {
        over: vec![0],
        ..Fixed::default()
    };
    let decision = decide(&policy, &facts(), &trusted, &mut rates);
    assert_eq!(
        (code(&decision), decision.change),
        ((-4, Reason::limit(0)), Change::None)
    );
}

#[test]
fn grace_limits_instead_of_banning() {
    let graced = Standing {
        grace_until: NOW + 1,
        ..standing()
    };
    let decision = decide(&requests(), &facts(), &graced, &mut over());
    assert_eq!(
        (code(&decision), decision.change),
        ((-4, Reason::limit(0)), Change::None)
    );
}

#[test]
fn until_the_fleet_is_known_sources_are_limited() {
    let facts = Facts {
        loading: true,
        ..facts()
    };
    let decision = decide(&requests(), &facts, &standing(), &mut over());
    assert_eq!(
        (code(&decision), decision.change),
        ((-4, Reason::limit(0)), Change::None)
    );
}

#[test]
fn a_revocation_in_shadow_mode_is_decided_once() {
    let facts = Facts {
        shadow: true,
        ..facts()
    };
    let mut entry = Standing {
        whitelisted_until: NOW + 1,
        ..banned()
    };
    entry.ban.shadow = true;
    let decision = decide(&requests(), &facts, &entry, &mut over());
    assert_eq!(
        (decision.verdict, decision.change),
        (Verdict::DenyBanned, Change::None)
    );
}
