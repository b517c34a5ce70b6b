//! One request, start to finish: facts from the message, standing from the ledger, a decision of
//! the engine, and its change written down. Also what else a script asks about or reports.
//!
//! Called by the script's functions in SIP workers. It never waits, never logs (the agent does),
//! and parses a header only where a state changes or the script left a user out.

use std::net::IpAddr;

use crate::engine::decide::{decide, decide_offence, depends_on_content};
use crate::engine::facts::{Facts, Offence, Origin, Standing};
use crate::engine::policy::method_bit;
use crate::engine::verdict::{Change, Decision, Reason, Sentence, Verdict};
use crate::event_routes;
use crate::kamailio::{Arg, Message, PvValue};
use crate::lists::Membership;
use crate::memory::{Last, memory, remember};
use crate::node::{Node, node, seconds_left};
use crate::orders;
use crate::script::{NO, YES, address, answer, number};
use crate::shared::events::{Event, Kind, Text};
use crate::shared::ledger::{Aspect, Key};
use crate::shared::statistics::Count;
use crate::top;
use crate::user_agents::{Pattern, Tier};

/// `sec_check([ip])`: the whole decision.
pub fn sec_check(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() || message.is_faked() {
        return YES;
    }
    let (address, given) = address(node, message, args);
    let key = node.key(address);
    if let Some(known) = memory(message, |last| last.key.source == key.source) {
        return known.code;
    }
    if !message.is_first_seen() {
        return YES; // it was counted when it came in, in another process
    }
    let (mut facts, lists) = facts(node, message, address, given, key);
    let standing = node.ledger.standing(key, facts.now);
    // Only where somebody may be muted is it worth asking who this claims to be.
    facts.muted = standing.mutes
        && user(node, message, &[]).is_some_and(|user| node.ledger.muted(key, user, facts.now));
    let standing = lists.join(standing, facts.now, facts.shadow);
    if node.policy.agent_check && depends_on_content(&facts, &standing) {
        facts.scanner = agent(node, message).is_some_and(|agent| agent.tier() == Tier::Scanner);
    }
    let decision = decide(
        &node.policy,
        &facts,
        &standing,
        &mut node.meters(key, facts.now),
    );
    let decision = apply(node, message, &facts, (address, key), &standing, decision);
    count(node, &decision, facts.shadow);
    top::note(node, key, facts.now, &decision, facts.shadow);
    let code = effective(decision.verdict, facts.shadow);
    remember(
        message,
        Last {
            address,
            key,
            code,
            decision,
        },
    );
    code
}

/// `is_whitelisted([ip])`: own, listed, or with an entry. Changes nothing.
pub fn is_whitelisted(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let (address, _) = address(node, message, args);
    let (key, now) = (node.key(address), node.now());
    let lists = node.membership(address, now);
    let entry = || {
        let standing = node.ledger.standing(key, now);
        let standing = lists.join(standing, now, node.status.shadow());
        standing.whitelisted(now)
    };
    answer(node.is_own(address) || lists.listed || entry())
}

/// `sec_is_banned([ip])`: whether `sec_check` would refuse it for a ban. Changes nothing.
pub fn is_banned(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let (address, _) = address(node, message, args);
    let (key, now) = (node.key(address), node.now());
    let lists = node.membership(address, now);
    if node.is_own(address) || lists.listed {
        return NO;
    }
    let standing = node.ledger.standing(key, now);
    let standing = lists.join(standing, now, node.status.shadow());
    answer(standing.banned(now, false) && !standing.whitelisted(now))
}

/// `sec_auth_failed([user])`: credentials answered our challenge, and were wrong.
pub fn auth_failed(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    offend(node, message, Reason::AUTH, 1, user(node, message, args))
}

/// `sec_auth_ok([user])`: they were right.
pub fn auth_ok(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() || message.is_faked() {
        return YES;
    }
    let Some(user) = user(node, message, args) else {
        return YES;
    };
    let key = node.key(message.source_ip());
    let now = node.now();
    let until = now.after(node.policy.trust_time);
    if node.ledger.succeed(key, user, now, until).is_err() {
        node.note_full(key.source, Origin::Script);
    }
    YES
}

/// `sec_strike(reason [, weight])`: any other offence that the script sees.
pub fn strike(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    let Some(weight) = number(node, message, args, 1, 1) else {
        return YES;
    };
    let reason = match args.first().map_or(&b""[..], |reason| reason.text()) {
        b"" => Reason::OTHER,
        text => node.words.reason(text),
    };
    // KEMI passes 0 for "the default", which is 1.
    let weight = weight.clamp(1, 200) as u8;
    offend(node, message, reason, weight, None)
}

/// `sec_check_agent()`: 1, or -1 for a known scanner, -2 for a suspect. Changes nothing.
pub fn check_agent(message: &Message<'_>, _: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() {
        return YES;
    }
    match agent(node, message).map(Pattern::tier) {
        None => YES,
        Some(Tier::Scanner) => -1,
        Some(Tier::Suspect) => -2,
    }
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
    let Some(last) = memory(message, |_| true) else {
        return PvValue::Null;
    };
    let now = node.now();
    let standing = node.standing(last.address, last.key, now);
    match name {
        Some(&"ip") => last.key.source.to_string().into(),
        Some(&"verdict") => PvValue::Int(i64::from(last.decision.verdict.code())),
        Some(&"reason") if last.decision.reason == Reason::AGENT => {
            let pattern = agent(node, message).map_or("", Pattern::text);
            format!("agent:{pattern}").into()
        }
        Some(&"reason") => node.reason_text(last.decision.reason).into(),
        Some(&"ban_ttl") => PvValue::Int(match standing.banned(now, true) {
            true => seconds_left(standing.ban.until, now),
            false => 0,
        }),
        Some(&"rdns") => standing.look_up.word().map_or(PvValue::Null, PvValue::from),
        Some(&"strikes") => PvValue::Int(i64::from(standing.strikes)),
        _ => PvValue::Null,
    }
}

/// An offence, reported by the script: 1, or -2 when it led to a ban.
fn offend(
    node: &Node,
    message: &Message<'_>,
    reason: Reason,
    weight: u8,
    user: Option<u128>,
) -> i32 {
    if !message.is_request() || message.is_faked() {
        return YES;
    }
    let address = message.source_ip();
    let key = node.key(address);
    let (mut facts, lists) = facts(node, message, address, false, key);
    // Credentials that answer our challenge came from who received it.
    facts.validated |= reason == Reason::AUTH;
    node.count(Count::Strikes, u64::from(weight));
    let before = node.ledger.standing(key, facts.now);
    if facts.own || facts.listed || before.graced(facts.now) {
        return YES;
    }
    let standing = node.ledger.strike(key, user, weight, facts.now);
    let standing = lists.join(standing, facts.now, facts.shadow);
    let meters = &mut node.meters(key, facts.now);
    let user_strikes = user.map_or(0, |user| node.ledger.user_strikes(key, user, facts.now));
    let reported = Offence {
        reason,
        user_strikes,
    };
    let decision = decide_offence(&node.policy, &facts, &standing, reported, meters);
    if let (Change::Mute(sentence), Some(user)) = (decision.change, user) {
        return mute(node, message, &facts, key, user, sentence);
    }
    let decision = apply(node, message, &facts, (address, key), &standing, decision);
    match decision.verdict {
        Verdict::DenyNewBan if !facts.shadow => Verdict::DenyNewBan.code(),
        _ => YES,
    }
}

/// Mutes a user: under the name that authentication was about, and under that of From, which is
/// what later requests are judged by.
fn mute(
    node: &Node,
    message: &Message<'_>,
    facts: &Facts,
    key: Key,
    failed: u128,
    sentence: Sentence,
) -> i32 {
    let event = Event {
        reason: Reason::AUTH,
        shadow: facts.shadow,
        seconds: sentence.seconds,
        text: Text::new(message.from_user().unwrap_or_default()),
        agent: Text::new(message.user_agent().unwrap_or_default()),
        ..Event::new(Kind::Mute, key.source, Origin::Strike)
    };
    node.tell(&event);
    if facts.shadow {
        return YES;
    }
    let until = facts.now.after(sentence.seconds);
    let names = [Some(failed), user(node, message, &[])];
    for name in names.into_iter().flatten() {
        if node.ledger.mute(key, name, facts.now, until).is_err() {
            node.note_full(key.source, Origin::Strike);
        }
    }
    Verdict::DenyNewBan.code()
}

/// Writes the change of a decision down. Who was too late to make a ban was denied by one.
fn apply(
    node: &Node,
    message: &Message<'_>,
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
        repeats: standing.repeats,
        text: Text::new(message.from_user().unwrap_or_default()),
        agent: Text::new(message.user_agent().unwrap_or_default()),
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

/// What the rules are told of a request, and what the lists say of its address.
fn facts(
    node: &Node,
    message: &Message<'_>,
    address: IpAddr,
    given: bool,
    key: Key,
) -> (Facts, Membership) {
    let now = node.now();
    let lists = node.membership(address, now);
    let facts = Facts {
        now,
        source: key.source,
        own: node.is_own(address),
        listed: lists.listed,
        // A handshake validates the address of the connection, not one that a header names.
        validated: !given && message.transport().is_validated(),
        method: method_bit(message.method()).unwrap_or(0),
        scanner: false,
        shadow: node.status.shadow(),
        loading: node.awaits_fleet(now),
        muted: false,
    };
    (facts, lists)
}

fn count(node: &Node, decision: &Decision, shadow: bool) {
    node.count(Count::Checks, 1);
    let denied = decision.verdict.denies();
    if decision.shadowed || denied && shadow {
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

/// The pattern that the request's User-Agent matches.
fn agent<'n>(node: &'n Node, message: &Message<'_>) -> Option<&'n Pattern> {
    node.user_agents.find(message.user_agent()?)
}

/// The user that authentication was about: the argument, or the user of From; with the domain
/// of From.
fn user(node: &Node, message: &Message<'_>, args: &[Arg<'_>]) -> Option<u128> {
    let given = args.first().map_or(&b""[..], |arg| arg.text());
    let user = if given.is_empty() {
        message.from_user()?
    } else {
        given
    };
    Some(node.user(user, message.from_domain().unwrap_or_default()))
}
