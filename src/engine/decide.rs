//! The rules, in their order: own address, static whitelist, dynamic whitelist with its ceiling,
//! ban, hold, feed, scanner, rates (a trusted source has a ceiling of its own), and for offences strikes;
//! an offence ends in grace, a limit, a hold until reverse DNS has answered, or a ban.
//!
//! Pure; called once per request by `check.rs`. It counts nothing itself: charging a limit is the
//! caller's [`Rates`].
#![forbid(unsafe_code)]

use super::facts::{FOREVER, Facts, Now, Offence, Standing};
use super::lookup::{Exception, Hold};
use super::policy::{Action, Count, FeedAction, Limit, Policy, Scope};
use super::verdict::{Change, Decision, Reason, Sentence, Verdict};
use crate::gcra::Quota;

/// The counters that a decision may have to charge, as far as it gets.
pub trait Rates {
    /// Charges one event to the limit with this index; whether it is within.
    fn charge(&mut self, index: usize, limit: &Limit) -> bool;
    /// Whether the limit with this index would let one more event pass; charges nothing.
    fn within(&mut self, index: usize, limit: &Limit) -> bool;
    /// Charges one request to the ceiling that this source has of its own.
    fn charge_ceiling(&mut self, quota: &Quota) -> bool;
}

/// Decides on a request.
#[inline]
pub fn decide(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    rates: &mut impl Rates,
) -> Decision {
    if let Some(reason) = always_allowed(facts) {
        return answer(Verdict::AllowWhitelisted, reason);
    }
    if standing.whitelisted(facts.now) {
        return whitelisted(policy, facts, standing, rates);
    }
    if standing.banned(facts.now, facts.shadow) {
        return answer(Verdict::DenyBanned, standing.ban.reason);
    }
    if let Some(decision) = held(policy, facts, standing) {
        return decision;
    }
    if facts.muted {
        return answer(Verdict::DenyContent, Reason::AUTH);
    }
    let rule = facts.feed.and_then(|feed| policy.feeds.get(feed));
    let on_trial = match rule.map(|rule| rule.action) {
        // A strike is the caller's to add.
        None | Some(FeedAction::Strike) => None,
        Some(FeedAction::Deny) => return answer(Verdict::DenyContent, listed(facts)),
        Some(FeedAction::Ban) => return banned_by_feed(policy, facts, standing),
        Some(FeedAction::Shadow) => Some(listed(facts)),
    };
    by_content_and_rate(policy, facts, standing, rates, on_trial)
}

/// What the request says of itself, and how many there are; `shadowed` by a feed on trial.
#[inline]
fn by_content_and_rate(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    rates: &mut impl Rates,
    shadowed: Option<Reason>,
) -> Decision {
    let refusal = if facts.scanner {
        answer(Verdict::DenyContent, Reason::AGENT)
    } else if standing.trusted(facts.now) && !rates.charge_ceiling(&policy.trust_rate) {
        answer(Verdict::DenyLimited, Reason::TRUST_RATE)
    } else {
        return limited(policy, facts, standing, rates, shadowed);
    };
    Decision {
        shadowed,
        ..refusal
    }
}

/// Whether anything but the sender counts: if not, nobody need look at what the request says.
pub fn depends_on_content(facts: &Facts, standing: &Standing) -> bool {
    always_allowed(facts).is_none()
        && !standing.whitelisted(facts.now)
        && !standing.banned(facts.now, facts.shadow)
}

/// Whether a request from a listed address is a strike: the feed says so, and nothing frees it. Trust
/// and grace exempt.
pub fn feed_strikes(policy: &Policy, facts: &Facts, standing: &Standing) -> bool {
    let rule = facts.feed.and_then(|feed| policy.feeds.get(feed));
    rule.is_some_and(|rule| rule.action == FeedAction::Strike)
        && depends_on_content(facts, standing)
        && !facts.muted
        && !standing.trusted(facts.now)
        && !standing.graced(facts.now)
}

/// Decides on an offence that was reported and has been added to `standing`.
pub fn decide_offence(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    reported: Offence,
    rates: &mut impl Rates,
) -> Decision {
    if let Some(listed) = always_allowed(facts) {
        return answer(Verdict::AllowWhitelisted, listed);
    }
    if standing.whitelisted(facts.now) {
        let many = standing.users >= policy.strike_limit;
        return match many && standing.whitelisted_until != FOREVER {
            true => revoke(policy, facts, standing, Reason::WHITELIST_USERS),
            false => answer(Verdict::AllowWhitelisted, Reason::WHITELISTED),
        };
    }
    if standing.banned(facts.now, facts.shadow) {
        return answer(Verdict::DenyBanned, standing.ban.reason);
    }
    if let Some(decision) = held(policy, facts, standing) {
        return decision;
    }
    let mut shadowed = None;
    for (index, limit) in policy.limits.iter().enumerate() {
        if limit.count != Count::Failures || rates.charge(index, limit) {
            continue;
        }
        let reason = Reason::limit(index);
        match limit.action {
            Action::Ban => {
                let facts = &resting_on(facts, standing.forgeable == 0);
                return offence(policy, facts, standing, reason);
            }
            Action::Limit => {} // the next request is refused
            Action::Shadow => shadowed = shadowed.or(Some(reason)),
        }
    }
    if falls_on_user(policy, facts, standing, reported) {
        let mute = reported.user_strikes >= policy.strike_limit && !standing.graced(facts.now);
        let decision = match mute {
            true => muted(policy),
            false => answer(Verdict::Allow, Reason::NONE),
        };
        return Decision {
            shadowed,
            ..decision
        };
    }
    if standing.strikes >= policy.strike_limit {
        let firm = standing.strikes.saturating_sub(standing.forgeable);
        let facts = &resting_on(facts, firm >= policy.strike_limit);
        let decision = offence(policy, facts, standing, reported.reason);
        return Decision {
            shadowed,
            ..decision
        };
    }
    Decision {
        shadowed,
        ..answer(Verdict::Allow, Reason::NONE)
    }
}

/// The facts as they count where a ban rests on earlier offences, too: however firm the last one is,
/// without the forged ones there might be no ban.
fn resting_on(facts: &Facts, firm: bool) -> Facts {
    Facts {
        validated: facts.validated && firm,
        ..*facts
    }
}

/// Whether failed authentications are the user's own affair still: the same user failing hundreds
/// of times where others log in is one phone with an old password. Many different users failing
/// are a scanner's, wherever that is; and so is one who goes on failing while he is muted, because he does
/// not get so far unless he hides who he is.
fn falls_on_user(policy: &Policy, facts: &Facts, standing: &Standing, reported: Offence) -> bool {
    let hides = reported.muted && reported.user_strikes >= 2 * policy.strike_limit;
    reported.reason == Reason::AUTH && !hides && users_left(policy, standing, facts.now) > 0
}

/// How many more users have to fail before failed authentications are the address' affair; 0 if they
/// are already.
pub fn users_left(policy: &Policy, standing: &Standing, now: Now) -> u32 {
    let users_max = match policy.scope {
        Scope::User => policy.scope_users,
        Scope::Ip if standing.trusted(now) => policy.strike_limit,
        Scope::Ip => 0,
    };
    users_max.saturating_sub(standing.users)
}

/// The longest mute, in seconds: a day, as far as the ledger looks ahead.
const MUTE_MAX: u64 = 86_400;

/// A mute does not grow: mostly it is one phone with an old password.
fn muted(policy: &Policy) -> Decision {
    let sentence = Sentence {
        seconds: policy.bans.first.min(MUTE_MAX),
        validated: true,
    };
    Decision {
        change: Change::Mute(sentence),
        ..answer(Verdict::DenyNewBan, Reason::AUTH)
    }
}

fn always_allowed(facts: &Facts) -> Option<Reason> {
    if facts.own {
        Some(Reason::OWN)
    } else if facts.listed {
        Some(Reason::LISTED)
    } else {
        None
    }
}

/// The dynamic whitelist wins over everything, up to its ceiling: beyond it an entry with an end
/// is revoked, and one without only limits.
fn whitelisted(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    rates: &mut impl Rates,
) -> Decision {
    if rates.charge_ceiling(&policy.whitelist_rate) {
        return answer(Verdict::AllowWhitelisted, Reason::WHITELISTED);
    }
    if standing.whitelisted_until == FOREVER {
        return answer(Verdict::DenyLimited, Reason::WHITELIST_RATE);
    }
    if facts.shadow && standing.banned(facts.now, true) {
        return answer(Verdict::DenyBanned, standing.ban.reason);
    }
    revoke(policy, facts, standing, Reason::WHITELIST_RATE)
}

/// The ordinary limits, in their order; the first that is exceeded speaks.
#[inline]
fn limited(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    rates: &mut impl Rates,
    mut shadowed: Option<Reason>,
) -> Decision {
    let trusted = standing.trusted(facts.now);
    for (index, limit) in policy.limits.iter().enumerate() {
        let within = match limit.count {
            Count::Requests => trusted || rates.charge(index, limit),
            Count::Methods(methods) => methods & facts.method == 0 || rates.charge(index, limit),
            Count::Failures => limit.action != Action::Limit || rates.within(index, limit),
        };
        if within {
            continue;
        }
        let reason = Reason::limit(index);
        match limit.action {
            Action::Shadow => shadowed = shadowed.or(Some(reason)),
            Action::Limit => {
                return Decision {
                    shadowed,
                    ..answer(Verdict::DenyLimited, reason)
                };
            }
            Action::Ban => {
                return Decision {
                    shadowed,
                    ..offence(policy, facts, standing, reason)
                };
            }
        }
    }
    Decision {
        shadowed,
        ..allowed(policy, facts, standing)
    }
}

/// A source waits for what reverse DNS says of it: nobody lets it through meanwhile. When the
/// answer is overdue, the ban that was due begins.
fn held(policy: &Policy, facts: &Facts, standing: &Standing) -> Option<Decision> {
    match standing.look_up.exception(policy, facts.now, facts.shadow) {
        Exception::Held(hold) => Some(answer(Verdict::DenyHeld, hold.reason)),
        Exception::Due(hold) if !excused(facts, standing, hold.reason) => Some(Decision {
            change: Change::Ban(sentence(policy, standing, hold.validated)),
            ..answer(Verdict::DenyNewBan, hold.reason)
        }),
        _ => None,
    }
}

/// The sentence that a hold ends with when its answer is no exception; none if something else has
/// come between.
pub fn overdue(
    policy: &Policy,
    facts: &Facts,
    standing: &Standing,
    hold: &Hold,
) -> Option<Sentence> {
    let freed = always_allowed(facts).is_some()
        || standing.whitelisted(facts.now)
        || standing.banned(facts.now, facts.shadow)
        || excused(facts, standing, hold.reason);
    (!freed).then(|| sentence(policy, standing, hold.validated))
}

/// Grace, trust, and a fleet that is not known yet turn a ban into a refusal; credentials that
/// failed our own challenge are stronger than trust.
fn excused(facts: &Facts, standing: &Standing, reason: Reason) -> bool {
    let trusted = standing.trusted(facts.now) && reason != Reason::AUTH;
    trusted || facts.loading || standing.graced(facts.now)
}

fn listed(facts: &Facts) -> Reason {
    facts.feed.map_or(Reason::NONE, Reason::feed)
}

/// A source that a feed bans. Where something excuses it from the ban, it is refused all the same.
fn banned_by_feed(policy: &Policy, facts: &Facts, standing: &Standing) -> Decision {
    let decision = offence(policy, facts, standing, listed(facts));
    match decision.verdict {
        Verdict::DenyLimited => answer(Verdict::DenyContent, decision.reason),
        _ => decision,
    }
}

/// What an offence leads to: a refusal, a hold, or a ban.
fn offence(policy: &Policy, facts: &Facts, standing: &Standing, reason: Reason) -> Decision {
    if excused(facts, standing, reason) {
        return answer(Verdict::DenyLimited, reason);
    }
    let sentence = sentence(policy, standing, facts.validated);
    let (verdict, change) = match standing.look_up.exception(policy, facts.now, facts.shadow) {
        Exception::Spared => (Verdict::DenyLimited, Change::None),
        Exception::Open if policy.rdns.asks => (Verdict::DenyHeld, Change::Hold(sentence)),
        _ => (Verdict::DenyNewBan, Change::Ban(sentence)),
    };
    Decision {
        change,
        ..answer(verdict, reason)
    }
}

/// Nothing speaks against it; whether it is its name that speaks for it.
#[inline]
fn allowed(policy: &Policy, facts: &Facts, standing: &Standing) -> Decision {
    match standing.look_up.exception(policy, facts.now, facts.shadow) {
        Exception::Spared => answer(Verdict::AllowSpared, Reason::RDNS),
        _ => answer(Verdict::Allow, Reason::NONE),
    }
}

fn revoke(policy: &Policy, facts: &Facts, standing: &Standing, reason: Reason) -> Decision {
    Decision {
        change: Change::Revoke(sentence(policy, standing, facts.validated)),
        ..answer(Verdict::DenyNewBan, reason)
    }
}

/// What could be forged is banned for `ban_time` at most and is no repeat.
fn sentence(policy: &Policy, standing: &Standing, validated: bool) -> Sentence {
    let repeats = if validated { standing.repeats } else { 0 };
    Sentence {
        seconds: policy.bans.seconds(repeats),
        validated,
    }
}

fn answer(verdict: Verdict, reason: Reason) -> Decision {
    Decision {
        verdict,
        reason,
        change: Change::None,
        shadowed: None,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "content_tests.rs"]
mod content_tests;

#[cfg(test)]
#[path = "feed_tests.rs"]
mod feed_tests;

#[cfg(test)]
#[path = "offence_tests.rs"]
mod offence_tests;
