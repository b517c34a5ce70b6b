//! One request, start to finish: facts from the message, standing from the ledger, a decision of
//! the engine, and its change written down. Also what else a script asks about.
//!
//! Called by the script's functions in SIP workers. It never waits, never logs (the agent does),
//! and parses a header only where a state changes, a user is muted, or the script left a user out.

use std::net::IpAddr;

use crate::content;
use crate::credentials;
use crate::engine::decide::{decide, depends_on_content, feed_strikes};
use crate::engine::facts::{Facts, Now, Standing};
use crate::engine::policy::method_number;
use crate::engine::verdict::{Change, Decision, Reason, Verdict};
use crate::event_routes;
use crate::kamailio::{Arg, Message, PvValue};
use crate::lists::Membership;
use crate::memory::{self, Last};
use crate::meters::SourceMeters;
use crate::node::{Node, node, seconds_left};
use crate::offences::{self, Report};
use crate::orders;
use crate::request::Request;
use crate::script::{NO, YES, address, answer};
use crate::shared::events::{Event, Kind, Text};
use crate::shared::ledger::{Aspect, Key, Record};
use crate::shared::statistics::Count;
use crate::source::Address;
use crate::top;
use crate::user_agents::Pattern;

/// `sec_check([ip])`: the whole decision.
pub fn sec_check(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() || message.is_faked() {
        return YES;
    }
    let (address, given) = address(node, message, args);
    let key = node.key(address);
    node.fetch_ahead(key);
    if let Some(code) = memory::answer(message, key) {
        return code;
    }
    if !message.is_first_seen() {
        return YES; // it was counted when it came in, in another process
    }
    let (place, now) = ((address, key), node.now());
    let lists = node.membership(address, now);
    let mut facts = facts(node, message, &place, now, &lists);
    // A handshake validates the address of the connection, not one that a header names.
    facts.validated &= !given;
    let decision = judge(node, message, &place, &mut facts, &lists);
    let code = effective(decision.verdict, facts.shadow);
    let verdict = decision.verdict;
    let reason = decision.told();
    memory::remember(
        message,
        &Last {
            address,
            key,
            code,
            verdict,
            reason,
        },
    );
    code
}

/// `sec_check()` as if this message had not been checked before: what a loop of the bench measures.
#[cfg(feature = "bench")]
pub fn sec_check_anew(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    memory::forget();
    sec_check(message, args)
}

/// Decides on a request, writes down what changes with that, and counts it.
#[inline]
pub fn judge(
    node: &Node,
    request: &impl Request,
    place: &(Address, Key),
    facts: &mut Facts,
    lists: &Membership,
) -> Decision {
    let (address, key) = place;
    let now = facts.now;
    let mut standing = Standing::default();
    let record = node.ledger.add_standing(key, now, &mut standing);
    // Only where somebody may be muted is it worth asking who this claims to be.
    facts.muted = standing.mutes && is_muted(node, request, facts, *key);
    lists.join(&mut standing, now, facts.shadow);
    if node.policy.agent_check && depends_on_content(facts, &standing) {
        facts.scanner = content::is_scanner(node, request);
    }
    if let Some(feed) = facts.feed
        && let Some(denied) = listed(
            node,
            request,
            facts,
            feed,
            ((*address).into(), *key),
            &standing,
            lists,
        )
    {
        // And written down.
        settle(node, key, record, facts, &denied);
        return denied;
    }
    let mut meters = SourceMeters {
        record: &record,
        ..node.meters(key, now)
    };
    let mut decision = decide(&node.policy, facts, &standing, &mut meters);
    if decision.change != Change::None {
        decision = apply(
            node,
            request,
            facts,
            ((*address).into(), *key),
            &standing,
            decision,
        );
    }
    if decision.verdict == Verdict::Allow
        && content::is_guess(node, request, facts, &standing, *key)
    {
        decision = guessed(node, request, place, facts, lists, decision);
    }
    settle(node, key, record, facts, &decision);
    decision
}

/// Strikes a source for a guess at an extension, in a request that would pass otherwise.
#[cold]
fn guessed(
    node: &Node,
    request: &impl Request,
    (address, key): &(Address, Key),
    facts: &Facts,
    lists: &Membership,
    decision: Decision,
) -> Decision {
    let guess = Report {
        reason: Reason::EXTENSION,
        weight: node.policy.extensions.weight,
        user: None,
        name: content::judged(request, facts).0,
    };
    let place = ((*address).into(), *key);
    let struck = offences::struck(node, request, facts, place, lists, guess);
    let shadowed = decision.shadowed.or(struck.shadowed);
    Decision { shadowed, ..struck }
}

/// Counts a decision, and takes down who was refused.
#[inline(always)]
fn settle(node: &Node, key: &Key, record: Option<Record>, facts: &Facts, decision: &Decision) {
    count(node, decision, facts.shadow);
    if decision.verdict.denies() || decision.shadowed.is_some() {
        top::note(node, (*key, record), facts.now, decision, facts.shadow);
    }
}

/// Whether the request comes from a user who is muted at its address, by its From or by whom it wants
/// to log in as: a guesser writes what he likes into From.
#[cold]
pub fn is_muted(node: &Node, request: &impl Request, facts: &Facts, key: Key) -> bool {
    let muted = |user| node.ledger.muted(key, user, facts.now, facts.shadow);
    let domain = request.from_domain().unwrap_or_default();
    muted(user(node, request, b""))
        || credentials::users(request.received()).any(|name| muted(node.user(name, domain)))
}

/// Counts a request from a listed address, and strikes its source if the feed says so: the decision,
/// if that ends it.
#[cold]
fn listed(
    node: &Node,
    request: &impl Request,
    facts: &Facts,
    feed: usize,
    place: (IpAddr, Key),
    standing: &Standing,
    lists: &Membership,
) -> Option<Decision> {
    if depends_on_content(facts, standing) {
        node.count(Count::FeedHits, 1);
        node.count_hit(feed);
    }
    let strike = Report {
        reason: Reason::feed(feed),
        weight: 1,
        user: None,
        name: None,
    };
    feed_strikes(&node.policy, facts, standing)
        .then(|| offences::struck(node, request, facts, place, lists, strike))
        .filter(|decision| decision.verdict.denies())
}

/// `is_whitelisted([ip])`: own, listed, or with an entry. Changes nothing.
pub fn is_whitelisted(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let (address, _) = address(node, message, args);
    let (key, now) = (node.key(address), node.now());
    let lists = node.membership(address, now);
    let entry = || node.standing_within(key, &lists, now).whitelisted(now);
    answer(node.is_own(address) || lists.listed || entry())
}

/// `sec_is_banned([ip])`: whether `sec_check` would refuse it for a ban, which shadow mode does to nobody.
/// Changes nothing.
pub fn is_banned(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let (address, _) = address(node, message, args);
    let (key, now) = (node.key(address), node.now());
    let lists = node.membership(address, now);
    if node.is_own(address) || lists.listed {
        return NO;
    }
    let standing = node.standing_within(key, &lists, now);
    let refused = standing.banned(now, false) && !standing.whitelisted(now);
    answer(refused && !node.status.shadow())
}

/// The names of `$sec(…)`, in the order that [`variable`] counts them.
pub const VARIABLES: &[&str] = &["ip", "verdict", "reason", "ban_ttl", "strikes", "rdns"];

/// `$sec(…)`: the last decision on this message in this process, or the event that a route is run
/// for; null without one.
pub fn variable(message: &Message<'_>, index: usize) -> PvValue {
    let Some(node) = node() else {
        return PvValue::Null;
    };
    let name = VARIABLES.get(index);
    if let (Some(event), Some(name)) = (event_routes::current(), name) {
        return event_routes::variable(node, &event, name);
    }
    let Some(last) = memory::newest(message) else {
        return PvValue::Null;
    };
    let now = node.now();
    let standing = node.standing(last.address.into(), last.key, now);
    match name {
        Some(&"ip") => last.key.source.to_string().into(),
        Some(&"verdict") => PvValue::Int(i64::from(last.verdict.code())),
        Some(&"reason") if last.reason == Reason::AGENT => {
            let pattern = content::agent(node, message).map_or("", Pattern::text);
            format!("agent:{pattern}").into()
        }
        Some(&"reason") => node.reason_text(last.reason).into(),
        Some(&"ban_ttl") => PvValue::Int(match standing.banned(now, true) {
            true => seconds_left(standing.ban.until, now),
            false => 0,
        }),
        Some(&"rdns") => standing.look_up.word().map_or(PvValue::Null, PvValue::from),
        Some(&"strikes") => PvValue::Int(i64::from(standing.strikes)),
        _ => PvValue::Null,
    }
}

/// Writes the change of a decision down. Who was too late to make a ban was denied by one.
#[cold]
pub fn apply(
    node: &Node,
    request: &impl Request,
    facts: &Facts,
    (address, key): (IpAddr, Key),
    standing: &Standing,
    decision: Decision,
) -> Decision {
    let (kind, sentence) = match decision.change {
        Change::None | Change::Mute(_) => return decision,
        Change::Ban(sentence) => (Kind::Ban, sentence),
        Change::Hold(sentence) => (Kind::Hold, sentence),
        Change::Revoke(sentence) => (Kind::Revoke, sentence),
    };
    if kind == Kind::Revoke && !facts.shadow {
        let cooldown_until = facts.now.after(node.policy.whitelist_cooldown);
        if !node.ledger.revoke(key, facts.now, cooldown_until) {
            return Decision {
                verdict: Verdict::DenyBanned,
                ..decision
            };
        }
        node.mark(key, Aspect::Whitelist, facts.now);
        node.mark(key, Aspect::Cooldown, facts.now);
        node.count(Count::Revocations, 1);
    }
    let event = Event {
        address,
        reason: decision.reason,
        shadow: facts.shadow,
        seconds: sentence.seconds,
        count: sentence.count(standing.repeats),
        method: method_number(facts.method),
        text: Text::new(request.from_user().unwrap_or_default()),
        agent: Text::new(request.user_agent().unwrap_or_default()),
        ..Event::new(kind, key.source, decision.reason.origin())
    };
    if kind == Kind::Hold {
        orders::hold(node, key, facts.now, sentence, &event);
        return decision;
    }
    if orders::impose(node, key, facts.now, sentence, &event) {
        decision
    } else {
        Decision {
            verdict: Verdict::DenyBanned,
            ..decision
        }
    }
}

/// What the rules are told of a request, and of its address by the lists.
#[inline]
pub fn facts(
    node: &Node,
    request: &impl Request,
    (address, key): &(Address, Key),
    now: Now,
    lists: &Membership,
) -> Facts {
    Facts {
        now,
        source: key.source,
        own: node.is_own(*address),
        listed: lists.listed,
        validated: request.is_validated(),
        method: request.method_bit(),
        scanner: false,
        shadow: node.status.shadow(),
        loading: node.awaits_fleet(now),
        muted: false,
        feed: lists.feed.map(|place| place.feed),
    }
}

#[inline]
fn count(node: &Node, decision: &Decision, shadow: bool) {
    let denied = decision.verdict.denies();
    if denied && shadow || !denied && decision.shadowed.is_some() {
        node.count(Count::ShadowDenied, 1);
    }
    node.count(
        if denied && !shadow {
            Count::Denied
        } else {
            Count::Allowed
        },
        1,
    );
    if decision.verdict == Verdict::AllowWhitelisted {
        node.count(Count::WhitelistHits, 1);
    }
}

/// What the script gets: in shadow mode nothing is denied.
fn effective(verdict: Verdict, shadow: bool) -> i32 {
    if shadow && verdict.denies() {
        YES
    } else {
        verdict.code()
    }
}

/// The user that authentication was about: the one given, or the user of From (none is one user, too);
/// with the domain of From.
pub fn user(node: &Node, request: &impl Request, given: &[u8]) -> u128 {
    let user = match given {
        b"" => request.from_user().unwrap_or_default(),
        given => given,
    };
    node.user(user, request.from_domain().unwrap_or_default())
}
