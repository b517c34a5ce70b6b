//! The RPC commands: what an operator asks and orders through `kamcmd` or JSON-RPC.
//!
//! Run in the processes that answer commands, never in a SIP worker. They read shared memory only,
//! and every refusal is a sentence.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cidr::Prefix;
use crate::engine::facts::{FOREVER, Now, Origin};
use crate::engine::verdict::Reason;
use crate::extension::shrinkage::Origin as Lists;
use crate::kamailio::Rpc;
use crate::networks::{self, Target};
use crate::node::{Node, node, seconds_left};
use crate::orders;
use crate::shared::snapshot::Section;

/// Who gives these orders.
const BY: Origin = Origin::Operator;
/// The list that `sec.reload` reads anew, by its parameter.
pub const WHITELIST_FILE: &str = "whitelist_file";

/// `sec.ban <ip> [seconds] [reason]`.
pub fn ban(rpc: &mut Rpc<'_>) {
    let Some((node, [ip, seconds, reason])) = open(rpc, "sec.ban", ["ip"], ["seconds", "reason"])
    else {
        return;
    };
    let Some(target) = target(rpc, node, &ip) else {
        return;
    };
    let Some(seconds) = whole(rpc, "seconds", &seconds, 0) else {
        return;
    };
    let reason = match reason.as_str() {
        "" => Reason::MANUAL,
        text => node.reason_named(text.as_bytes()),
    };
    let outcome = match target {
        Target::Address(address) => orders::ban(node, address, seconds, reason, BY),
        Target::Network(prefix) => networks::ban(node, prefix, seconds, reason, BY),
    };
    if let Err(refusal) = outcome {
        return refuse(rpc, &ip, refusal);
    }
    let (reason, seconds) = match target {
        Target::Address(address) => {
            let (key, now) = (node.key(address), node.now());
            let ban = node.ledger.standing(key, now).ban;
            (ban.reason, seconds_left(ban.until, now))
        }
        Target::Network(_) if seconds == 0 => (reason, node.policy.bans.first.cast_signed()),
        Target::Network(_) => (reason, seconds),
    };
    rpc.structure()
        .text(c"ip", &shown(node, target))
        .text(c"reason", &node.reason_text(reason))
        .int(c"ttl", seconds);
}

/// `sec.unban <ip>`.
pub fn unban(rpc: &mut Rpc<'_>) {
    let Some((node, [ip])) = open(rpc, "sec.unban", ["ip"], []) else {
        return;
    };
    let Some(target) = target(rpc, node, &ip) else {
        return;
    };
    let outcome = match target {
        Target::Address(address) => networks::unban_address(node, address, BY),
        Target::Network(prefix) => networks::unban(node, prefix, BY),
    };
    let shown = shown(node, target);
    match outcome {
        Ok(true) => done(rpc, &shown, "unbanned"),
        Ok(false) => match around(node, Section::Bans, target) {
            Some(wider) => rpc.fault(404, &format!("{shown} is banned with {wider}: unban that")),
            None if matches!(target, Target::Network(_)) => {
                rpc.fault(404, &format!("{shown} is not banned"));
            }
            None => rpc.fault(404, &format!("{shown} is not banned, and has no strikes")),
        },
        Err(refusal) => refuse(rpc, &ip, refusal),
    }
}

/// `sec.whitelist_add <ip> [seconds]`.
pub fn whitelist_add(rpc: &mut Rpc<'_>) {
    let Some((node, [ip, seconds])) = open(rpc, "sec.whitelist_add", ["ip"], ["seconds"]) else {
        return;
    };
    let Some(target) = target(rpc, node, &ip) else {
        return;
    };
    let Some(seconds) = whole(rpc, "seconds", &seconds, 0) else {
        return;
    };
    let outcome = match target {
        Target::Address(address) => orders::whitelist_add(node, address, Some(seconds), BY),
        Target::Network(prefix) => networks::whitelist_add(node, prefix, Some(seconds), BY),
    };
    if let Err(refusal) = outcome {
        return refuse(rpc, &ip, refusal);
    }
    let seconds = match target {
        Target::Address(address) => {
            let (key, now) = (node.key(address), node.now());
            seconds_left(node.ledger.standing(key, now).whitelisted_until, now)
        }
        Target::Network(_) if seconds == 0 => node.policy.whitelist_time.cast_signed(),
        Target::Network(_) => seconds,
    };
    rpc.structure()
        .text(c"ip", &shown(node, target))
        .int(c"ttl", seconds);
}

/// `sec.whitelist_remove <ip>`.
pub fn whitelist_remove(rpc: &mut Rpc<'_>) {
    let Some((node, [ip])) = open(rpc, "sec.whitelist_remove", ["ip"], []) else {
        return;
    };
    let Some(target) = target(rpc, node, &ip) else {
        return;
    };
    let (outcome, listed) = match target {
        Target::Address(address) => (
            Ok(orders::whitelist_remove(node, address, BY)),
            node.membership(address, node.now()).listed,
        ),
        Target::Network(prefix) => (
            networks::whitelist_remove(node, prefix, BY),
            node.lists.cover(prefix),
        ),
    };
    let shown = shown(node, target);
    match outcome {
        Ok(true) => done(rpc, &shown, "removed"),
        Ok(false) if listed => rpc.fault(400, &format!("{shown} {}", orders::Refusal::Listed)),
        Ok(false) => match around(node, Section::Whitelist, target) {
            Some(wider) => {
                rpc.fault(
                    404,
                    &format!("{shown} is whitelisted with {wider}: remove that"),
                );
            }
            None => rpc.fault(404, &format!("{shown} is not whitelisted")),
        },
        Err(refusal) => refuse(rpc, &ip, refusal),
    }
}

/// `sec.reload [list] [confirm]`.
pub fn reload(rpc: &mut Rpc<'_>) {
    let Some((node, [wanted, confirm])) = open(rpc, "sec.reload", [], ["list", "confirm"]) else {
        return;
    };
    if !["", "confirm"].contains(&&*confirm) {
        let text =
            format!("sec.reload: \"{confirm}\" is not \"confirm\", and nothing else is allowed");
        return rpc.fault(400, &text);
    }
    let extensions = &node.extension_sources;
    let lists = [
        (WHITELIST_FILE, node.whitelist_sources.file.is_some()),
        (Lists::File.word(), extensions.file.is_some()),
        (Lists::Redis.word(), extensions.key.is_some()),
    ];
    let lists = lists.iter().filter(|(_, there)| *there);
    let feeds = node.feeds.list.iter().map(|feed| &*feed.name);
    let known: Vec<&str> = lists.map(|(name, _)| *name).chain(feeds).collect();
    let names: Vec<&str> = match wanted.as_str() {
        "" => known.clone(),
        name => known
            .iter()
            .copied()
            .filter(|known| *known == name)
            .collect(),
    };
    if names.is_empty() {
        let lists = if known.is_empty() {
            "none is configured".into()
        } else {
            format!("allowed: {}", known.join(", "))
        };
        let text = match wanted.as_str() {
            "" => format!("sec.reload: there is no list to reload; {lists}"),
            name => format!("sec.reload: \"{name}\" is not a list to reload; {lists}"),
        };
        return rpc.fault(400, &text);
    }
    for name in &names {
        if let Err(refusal) = networks::reload(node, name, confirm == "confirm", BY) {
            return rpc.fault(503, &format!("sec.reload: {name} {refusal}"));
        }
    }
    rpc.structure().text(c"reloading", &names.join(", "));
}

fn done(rpc: &mut Rpc<'_>, shown: &str, word: &str) {
    rpc.structure().text(c"ip", shown).text(c"done", word);
}

/// The network that holds for all of the target, and for more.
fn around(node: &Node, section: Section, target: Target) -> Option<Prefix> {
    let prefix = match target {
        Target::Address(address) => address.into(),
        Target::Network(prefix) => prefix,
    };
    let network = node.lists.network_around(section, prefix, node.now())?;
    Some(network.prefix)
}

/// A target as lists show it.
fn shown(node: &Node, target: Target) -> String {
    match target {
        Target::Address(address) => node.key(address).source.to_string(),
        Target::Network(prefix) => prefix.to_string(),
    }
}

/// `sec.mode [enforce|shadow]`.
pub fn mode(rpc: &mut Rpc<'_>) {
    let Some((node, [wanted])) = open(rpc, "sec.mode", [], ["mode"]) else {
        return;
    };
    match wanted.as_str() {
        "" => {}
        "enforce" => orders::set_mode(node, false, Origin::Operator),
        "shadow" => orders::set_mode(node, true, Origin::Operator),
        other => {
            let text = format!("sec.mode: \"{other}\" is not a mode; allowed: enforce, shadow");
            return rpc.fault(400, &text);
        }
    }
    rpc.structure()
        .text(c"mode", mode_word(node.status.shadow()));
}

/// The node and the arguments of a command: the needed ones, then the optional ones, empty where
/// they are left out. A wrong number of them is refused here.
pub fn open<const N: usize, const O: usize, const ALL: usize>(
    rpc: &mut Rpc<'_>,
    command: &str,
    needed: [&str; N],
    optional: [&str; O],
) -> Option<(&'static Node, [String; ALL])> {
    let Some(node) = node() else {
        rpc.fault(503, "the module has not started");
        return None;
    };
    let mut arguments = [const { String::new() }; ALL];
    let mut given = 0;
    while let Some(argument) = rpc.argument() {
        if given == ALL {
            rpc.fault(
                400,
                &format!("{command}: too many arguments; {}", usage(needed, optional)),
            );
            return None;
        }
        arguments[given] = argument;
        given += 1;
    }
    if given < N {
        rpc.fault(
            400,
            &format!("{command}: too few arguments; {}", usage(needed, optional)),
        );
        return None;
    }
    Some((node, arguments))
}

fn usage<const N: usize, const O: usize>(needed: [&str; N], optional: [&str; O]) -> String {
    let needed = needed.iter().map(|name| format!("<{name}>"));
    let words: Vec<String> = needed
        .chain(optional.iter().map(|name| format!("[{name}]")))
        .collect();
    if words.is_empty() {
        "it takes none".into()
    } else {
        format!("it takes {}", words.join(" "))
    }
}

/// An address among the arguments. An IPv6 prefix of the length at which sources are taken
/// together is fine, too: that is how such a source is shown.
pub fn address(rpc: &mut Rpc<'_>, node: &Node, text: &str) -> Option<IpAddr> {
    match networks::target(text, node.policy.ipv6_prefix) {
        Ok(Target::Address(address)) => Some(address),
        _ => {
            rpc.fault(400, &format!("\"{text}\" is not an IP address"));
            None
        }
    }
}

/// An address or a network among the arguments.
fn target(rpc: &mut Rpc<'_>, node: &Node, text: &str) -> Option<Target> {
    match networks::target(text, node.policy.ipv6_prefix) {
        Ok(target) => Some(target),
        Err(error) => {
            rpc.fault(400, &format!("\"{text}\" {error}"));
            None
        }
    }
}

/// A whole number among the arguments.
pub fn whole(rpc: &mut Rpc<'_>, name: &str, text: &str, default: i64) -> Option<i64> {
    if text.is_empty() {
        return Some(default);
    }
    let number = text.parse().ok();
    if number.is_none() {
        rpc.fault(400, &format!("{name}: \"{text}\" is not a whole number"));
    }
    number
}

fn refuse(rpc: &mut Rpc<'_>, ip: &str, refusal: orders::Refusal) {
    match refusal {
        orders::Refusal::Full | orders::Refusal::NoAgent | orders::Refusal::Busy => {
            rpc.fault(503, &format!("{ip} {refusal}"));
        }
        orders::Refusal::Seconds(_) => rpc.fault(400, &format!("seconds: {refusal}")),
        _ => rpc.fault(400, &format!("{ip} {refusal}")),
    }
}

/// Seconds since 1970 of a ledger time, by the wall clock of now.
pub fn unix(ms: u64, now: Now) -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_unix = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    let ahead = ms.cast_signed() - now.ms().cast_signed();
    now_unix.saturating_add(ahead).div_euclid(1000)
}

/// The Unix time at which something ends that may be [`FOREVER`]: then -1.
pub fn end(until: u64, now: Now) -> i64 {
    match until {
        FOREVER => -1,
        until => unix(until, now),
    }
}

pub fn mode_word(shadow: bool) -> &'static str {
    if shadow { "shadow" } else { "enforce" }
}
