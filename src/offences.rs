//! Offences: what the script reports, and what the rules find in a request; added to what is known
//! of the source, and what follows from that.
//!
//! Called by the script's functions and by `check.rs`, in SIP workers. It never waits and never logs
//! (the agent does).

use std::net::IpAddr;

use crate::check::{apply, facts, is_muted, user};
use crate::engine::decide::decide_offence;
use crate::engine::facts::{Facts, Now, Offence, Origin};
use crate::engine::policy::method_number;
use crate::engine::verdict::{Change, Decision, Reason, Sentence, Verdict};
use crate::kamailio::{Arg, Message};
use crate::lists::Membership;
use crate::node::{Node, node};
use crate::request::Request;
use crate::script::{YES, number};
use crate::shared::events::{Event, Kind, Text};
use crate::shared::ledger::{Key, Mute};
use crate::shared::statistics::Count;

/// `sec_auth_failed([user])`: credentials answered our challenge, and were wrong.
pub fn auth_failed(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    let given = Some(text(args)).filter(|given| !given.is_empty());
    let report = wrong_password(Some(user(node, message, text(args))), given);
    offend(node, message, report)
}

/// `sec_auth_ok([user])`: they were right.
pub fn auth_ok(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    if !message.is_request() || message.is_faked() {
        return YES;
    }
    let user = user(node, message, text(args));
    trust(node, message.source_ip(), user, node.now());
    YES
}

/// What `sec_auth_failed` reports of a user, whose name may be another than that in From.
pub fn wrong_password(user: Option<u128>, name: Option<&[u8]>) -> Report<'_> {
    Report {
        reason: Reason::AUTH,
        weight: 1,
        user,
        name,
    }
}

/// Trusts the source of an address, from which a user logged in.
pub fn trust(node: &Node, address: IpAddr, user: u128, now: Now) {
    let key = node.key(address);
    let until = now.after(node.policy.trust_time);
    if node.ledger.succeed(key, user, now, until).is_err() {
        node.note_full(key.source, Origin::Script);
    }
}

/// The first argument; empty without one.
fn text<'a>(args: &'a [Arg<'_>]) -> &'a [u8] {
    args.first().map_or(b"", |arg| arg.text())
}

/// `sec_strike(reason [, weight])`: any other offence that the script sees.
pub fn strike(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    let Some(weight) = number(node, message, args, 1, 1) else {
        return YES;
    };
    let reason = match args.first().map_or(&b""[..], |reason| reason.text()) {
        b"" => Reason::OTHER,
        text => node.reason_named(text),
    };
    let report = Report {
        reason,
        // KEMI passes 0 for "the default", which is 1.
        weight: weight.clamp(1, 200) as u8,
        user: None,
        name: None,
    };
    offend(node, message, report)
}

/// An offence.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// What for.
    pub reason: Reason,
    /// In strikes.
    pub weight: u8,
    /// Whose it was, if authentication told.
    pub user: Option<u128>,
    /// The user that it was about, if that is not the one of From.
    pub name: Option<&'a [u8]>,
}

/// An offence, reported by the script: 1, or -2 when it led to a ban.
fn offend(node: &Node, message: &Message<'_>, report: Report<'_>) -> i32 {
    match message.is_request() && !message.is_faked() {
        true => offended(node, message, node.now(), report),
        false => YES,
    }
}

/// The same for any request, at a given moment.
pub fn offended(node: &Node, request: &impl Request, now: Now, report: Report<'_>) -> i32 {
    let address = request.source_ip();
    let key = node.key(address);
    let lists = node.membership(address, now);
    let mut facts = facts(node, request, &(address.into(), key), now, &lists);
    // Credentials that answer our challenge came from who received it.
    facts.validated |= report.reason == Reason::AUTH;
    let before = node.ledger.standing(key, facts.now);
    if facts.own || facts.listed || before.graced(facts.now) {
        node.count(Count::Strikes, u64::from(report.weight));
        return YES;
    }
    if facts.shadow && before.mutes && is_muted(node, request, &facts, key) {
        return YES; // were it enforced, it would not have come so far
    }
    let decision = struck(node, request, &facts, (address, key), &lists, report);
    if let (Change::Mute(sentence), Some(user)) = (decision.change, report.user) {
        return mute(node, request, &facts, key, (user, report.name), sentence);
    }
    let banned = match decision.verdict {
        Verdict::DenyNewBan => true,
        // Perhaps another process was faster, with the same offence of the same source; or there was
        // no room for a ban.
        Verdict::DenyBanned => node.standing(address, key, now).banned(now, false),
        _ => false,
    };
    match banned && !facts.shadow {
        true => Verdict::DenyNewBan.code(),
        false => YES,
    }
}

/// Adds an offence to what is known of its source, and does what follows from that.
pub fn struck(
    node: &Node,
    request: &impl Request,
    facts: &Facts,
    (address, key): (IpAddr, Key),
    lists: &Membership,
    report: Report<'_>,
) -> Decision {
    let Report {
        reason,
        weight,
        user,
        name,
    } = report;
    node.note_offence(&Event {
        address,
        reason,
        at: facts.now.ms(),
        count: weight.into(),
        method: method_number(facts.method),
        text: Text::new(name.or_else(|| request.from_user()).unwrap_or_default()),
        agent: Text::new(request.user_agent().unwrap_or_default()),
        ..Event::new(Kind::Offence, key.source, Origin::Strike)
    });
    node.count(Count::Strikes, u64::from(weight));
    let muted = |user| node.ledger.muted(key, user, facts.now, facts.shadow);
    let muted = user.is_some_and(muted);
    let mut standing = node.ledger.strike(key, user, weight, facts.now);
    let forgeable = if facts.validated { 0 } else { weight };
    standing.forgeable = node.ledger.count_forgeable(key, forgeable, facts.now);
    lists.join(&mut standing, facts.now, facts.shadow);
    let user_strikes = user.map_or(0, |user| node.ledger.user_strikes(key, user, facts.now));
    let reported = Offence {
        reason,
        user_strikes,
        muted,
    };
    let meters = &mut node.meters(&key, facts.now);
    let decision = decide_offence(&node.policy, facts, &standing, reported, meters);
    apply(node, request, facts, (address, key), &standing, decision)
}

/// Mutes the user that authentication was about: not the one of From, where it is another, because
/// whoever guesses writes there what he likes.
fn mute(
    node: &Node,
    request: &impl Request,
    facts: &Facts,
    key: Key,
    (failed, name): (u128, Option<&[u8]>),
    sentence: Sentence,
) -> i32 {
    let event = Event {
        reason: Reason::AUTH,
        shadow: facts.shadow,
        seconds: sentence.seconds,
        text: Text::new(name.or_else(|| request.from_user()).unwrap_or_default()),
        agent: Text::new(request.user_agent().unwrap_or_default()),
        ..Event::new(Kind::Mute, key.source, Origin::Strike)
    };
    // Told once, however long the user goes on.
    if !node.ledger.muted(key, failed, facts.now, facts.shadow) {
        node.tell(&event);
    }
    let mute = Mute {
        until: facts.now.after(sentence.seconds),
        shadow: facts.shadow,
    };
    if node.ledger.mute(key, failed, facts.now, mute).is_err() {
        node.note_full(key.source, Origin::Strike);
    }
    match facts.shadow {
        true => YES,
        false => Verdict::DenyNewBan.code(),
    }
}
