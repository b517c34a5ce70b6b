//! What a script orders and gives: bans, whitelist entries, counters of its own, and the arguments of
//! all functions, read with care.
//!
//! Called by the script's functions in SIP workers. It never waits and never logs: what makes no
//! sense is told to the agent, which does.

use std::net::IpAddr;

use crate::engine::facts::Origin;
use crate::engine::verdict::Reason;
use crate::gcra::Quota;
use crate::kamailio::{Arg, Message};
use crate::networks::{self, Target};
use crate::node::{Node, node};
use crate::orders;
use crate::request::Request;
use crate::shared::events::{Event, Kind, Text};
use crate::shared::statistics::Count;
use crate::source::Address;

/// Returned on success, and where there is nothing to decide about.
pub const YES: i32 = 1;
/// "No", or "refused".
pub const NO: i32 = -1;

/// Who gives these orders.
const BY: Origin = Origin::Script;

/// `sec_ban([ip [, seconds [, reason]]])`.
pub fn sec_ban(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let target = target(node, message, args);
    let Some(seconds) = number(node, message, args, 1, 0) else {
        return NO;
    };
    let reason = match args.get(2).map_or(&b""[..], |reason| reason.text()) {
        b"" => Reason::MANUAL,
        text => node.reason_named(text),
    };
    let outcome = match target {
        Target::Address(address) => orders::ban(node, address, seconds, reason, BY),
        Target::Network(prefix) => networks::ban(node, prefix, seconds, reason, BY),
    };
    carried_out(node, target, "sec_ban", outcome.map(|()| true))
}

/// `sec_unban([ip])`.
pub fn sec_unban(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let target = target(node, message, args);
    let outcome = match target {
        Target::Address(address) => networks::unban_address(node, address, BY),
        Target::Network(prefix) => networks::unban(node, prefix, BY),
    };
    carried_out(node, target, "sec_unban", outcome)
}

/// `sec_whitelist_add([ip [, seconds]])`.
pub fn sec_whitelist_add(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let target = target(node, message, args);
    let Some(seconds) = number(node, message, args, 1, 0) else {
        return NO;
    };
    let outcome = match target {
        Target::Address(address) => orders::whitelist_add(node, address, Some(seconds), BY),
        Target::Network(prefix) => networks::whitelist_add(node, prefix, Some(seconds), BY),
    };
    carried_out(node, target, "sec_whitelist_add", outcome.map(|()| true))
}

/// `sec_whitelist_remove([ip])`.
pub fn sec_whitelist_remove(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return NO };
    let target = target(node, message, args);
    let outcome = match target {
        Target::Address(address) => Ok(orders::whitelist_remove(node, address, BY)),
        Target::Network(prefix) => networks::whitelist_remove(node, prefix, BY),
    };
    carried_out(node, target, "sec_whitelist_remove", outcome)
}

/// `sec_count(key, limit, seconds)`: a counter under any key.
pub fn sec_count(message: &Message<'_>, args: &[Arg<'_>]) -> i32 {
    let Some(node) = node() else { return YES };
    let Some(limit) = number(node, message, args, 1, -1) else {
        return YES;
    };
    let Some(seconds) = number(node, message, args, 2, -1) else {
        return YES;
    };
    let parts = (u64::try_from(limit), u64::try_from(seconds));
    let quota = match parts {
        (Ok(limit), Ok(seconds)) => Quota::new(limit, seconds),
        _ => None,
    };
    let Some(quota) = quota else {
        refused(
            node,
            message.source_ip(),
            &format!("sec_count: {limit} in {seconds} s"),
        );
        return YES;
    };
    let key = args.first().map_or(&b""[..], |key| key.text());
    let charged = node
        .counts
        .charge(&quota, 0, node.count_hash(key), node.now());
    if charged.evicted {
        node.count(Count::Evictions, 1);
    }
    answer(charged.within)
}

/// The address that a function is about, and whether the script named another one than the
/// source. What cannot be read falls back to the source and is told to the operator, so that a
/// missing header is no way around.
#[inline(always)]
pub fn address(node: &Node, message: &Message<'_>, args: &[Arg<'_>]) -> (Address, bool) {
    match args.first() {
        None | Some(Arg::Default) => (message.source_address(), false),
        Some(given) => named_address(node, message, *given),
    }
}

fn named_address(node: &Node, message: &Message<'_>, given: Arg<'_>) -> (Address, bool) {
    let (source, text) = (message.source_address(), given.text().trim_ascii());
    let unbracketed = text
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let parsed = std::str::from_utf8(unbracketed.unwrap_or(text)).ok();
    match parsed.and_then(|text| text.parse::<Address>().ok()) {
        Some(given) => (given, given != source),
        None => {
            let key = node.key(source);
            let text = Text::new(text);
            node.complain(&Event {
                text,
                ..Event::new(Kind::Unreadable, key.source, Origin::Script)
            });
            (source, false)
        }
    }
}

/// The address or the network that an order is about; read with the same care.
fn target(node: &Node, message: &Message<'_>, args: &[Arg<'_>]) -> Target {
    let text = args.first().map_or(&b""[..], |arg| arg.text()).trim_ascii();
    let prefix = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.contains('/'));
    match prefix.map(|text| networks::target(text, node.policy.ipv6_prefix)) {
        Some(Ok(target)) => target,
        _ => Target::Address(address(node, message, args).0.into()),
    }
}

/// A number among the arguments, or what stands for an absent one. `None`, told to the operator,
/// if it is not a number.
pub fn number(
    node: &Node,
    message: &Message<'_>,
    args: &[Arg<'_>],
    index: usize,
    default: i64,
) -> Option<i64> {
    match args.get(index) {
        None | Some(Arg::Default | Arg::Text(b"")) => Some(default),
        Some(arg) => arg.number().or_else(|| {
            let text = String::from_utf8_lossy(arg.text());
            refused(
                node,
                message.source_ip(),
                &format!("\"{text}\" is not a number"),
            );
            None
        }),
    }
}

fn carried_out(
    node: &Node,
    target: Target,
    order: &str,
    outcome: Result<bool, orders::Refusal>,
) -> i32 {
    let refusal = match outcome {
        Ok(done) => return answer(done),
        Err(refusal) => refusal,
    };
    match target {
        Target::Address(address) => refused(node, address, &format!("{order}: {refusal}")),
        Target::Network(prefix) => {
            let text = format!("{order}: {prefix} {refusal}");
            refused(node, prefix.first_address(), &text);
        }
    }
    NO
}

/// Tells the operator about an order of the script that makes no sense.
fn refused(node: &Node, address: IpAddr, text: &str) {
    let (key, text) = (node.key(address), Text::new(text.as_bytes()));
    node.complain(&Event {
        text,
        ..Event::new(Kind::Refused, key.source, Origin::Script)
    });
}

pub fn answer(yes: bool) -> i32 {
    if yes { YES } else { NO }
}
