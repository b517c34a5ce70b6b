//! The RPC commands: what an operator asks and orders through `kamcmd` or JSON-RPC.
//!
//! Run in the processes that answer commands, never in a SIP worker. They read shared memory only,
//! and every refusal is a sentence.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::engine::facts::{Now, Origin, Standing};
use crate::engine::verdict::Reason;
use crate::kamailio::{Rpc, RpcStruct};
use crate::node::{Node, node, seconds_left};
use crate::orders;
use crate::shared::notes::Note;
use crate::shared::statistics::Count;
use crate::source::Source;

/// Entries of a list in one reply, unless the operator says otherwise.
const PAGE: i64 = 50;
/// The most entries that one reply holds: more would not fit the control socket's.
const PAGE_MAX: i64 = 200;
/// An agent that was not seen for so long is away.
const AGENT_SILENCE_MS_MAX: u64 = 3000;

/// `sec.status`.
pub fn status(rpc: &mut Rpc<'_>) {
    let Some((node, [])) = open(rpc, "sec.status", [], []) else {
        return;
    };
    let now = node.now();
    let census = node.ledger.census();
    let alive = node
        .status
        .agent_silence_ms(now)
        .is_some_and(|ms| ms <= AGENT_SILENCE_MS_MAX);
    let mut reply = rpc.structure();
    reply
        .text(c"version", env!("CARGO_PKG_VERSION"))
        .text(c"mode", mode_word(node.status.shadow()))
        .int(c"uptime", node.uptime().cast_signed())
        .int(c"memory", node.region_bytes() as i64)
        .int(c"sources", node.status.sources().cast_signed())
        .int(c"ledger_records", census.records().cast_signed())
        .int(c"ledger_size", node.ledger.capacity() as i64)
        .int(c"active_bans", census.bans().cast_signed())
        .int(c"active_whitelist", census.whitelisted().cast_signed())
        .int(c"trusted", census.trusted().cast_signed())
        .text(c"agent", if alive { "up" } else { "down" })
        .int(c"agent_pid", node.status.agent_pid().cast_signed())
        .int(
            c"agent_restarts",
            node.status.agent_starts().saturating_sub(1).cast_signed(),
        );
    redis_status(node, now, &mut reply);
    for (name, count) in [
        (c"checks", Count::Checks),
        (c"denied", Count::Denied),
        (c"evictions", Count::Evictions),
        (c"events_dropped", Count::EventsDropped),
        (c"errors", Count::Errors),
        (c"panics", Count::Panics),
    ] {
        reply.int(name, node.counted(count).cast_signed());
    }
}

/// The link to the fleet's memory.
fn redis_status(node: &Node, now: Now, reply: &mut RpcStruct<'_>) {
    if node.redis.url.is_none() {
        reply.text(c"redis", "not configured");
        return;
    }
    let status = node.status;
    let age = status.replica_age_ms(now).map_or(-1, u64::cast_signed);
    reply
        .text(c"redis", if status.link_up() { "up" } else { "down" })
        .text(c"redis_problem", &node.notes.read(Note::Redis))
        .int(c"redis_reconnects", status.reconnects().cast_signed())
        .int(c"replica_age_ms", age)
        .int(c"redis_keys", status.keys().cast_signed())
        .int(c"redis_unwritten", status.unwritten().cast_signed())
        .int(c"redis_garbage", status.garbage().cast_signed());
    let mut garbage = reply.list(c"redis_garbage_keys");
    for number in 0..Note::GARBAGE_MAX {
        let key = node.notes.read(Note::Garbage(number));
        if !key.is_empty() {
            garbage.text(&key);
        }
    }
}

/// `sec.ban <ip> [seconds] [reason]`.
pub fn ban(rpc: &mut Rpc<'_>) {
    let Some((node, [ip, seconds, reason])) = open(rpc, "sec.ban", ["ip"], ["seconds", "reason"])
    else {
        return;
    };
    let Some(address) = address(rpc, node, &ip) else {
        return;
    };
    let Some(seconds) = whole(rpc, "seconds", &seconds, 0) else {
        return;
    };
    let reason = match reason.as_str() {
        "" => Reason::MANUAL,
        text => node.words.reason(text.as_bytes()),
    };
    match orders::ban(node, address, seconds, reason, Origin::Operator) {
        Ok(()) => reply_with_ban(rpc, node, address),
        Err(refusal) => refuse(rpc, &ip, refusal),
    }
}

fn reply_with_ban(rpc: &mut Rpc<'_>, node: &Node, address: IpAddr) {
    let now = node.now();
    let key = node.key(address);
    let ban = node.ledger.standing(key, now).ban;
    rpc.structure()
        .text(c"ip", &key.source.to_string())
        .text(c"reason", &node.reason_text(ban.reason))
        .int(c"ttl", seconds_left(ban.until, now));
}

/// `sec.unban <ip>`.
pub fn unban(rpc: &mut Rpc<'_>) {
    let Some((node, [ip])) = open(rpc, "sec.unban", ["ip"], []) else {
        return;
    };
    let Some(address) = address(rpc, node, &ip) else {
        return;
    };
    let source = node.key(address).source;
    if orders::unban(node, address, Origin::Operator) {
        rpc.structure()
            .text(c"ip", &source.to_string())
            .text(c"done", "unbanned");
    } else {
        rpc.fault(404, &format!("{source} is not banned, and has no strikes"));
    }
}

/// `sec.bans [offset] [count]`.
pub fn bans(rpc: &mut Rpc<'_>) {
    list(
        rpc,
        "sec.bans",
        |_, standing, now| standing.banned(now, true),
        |rpc, node, entry, now| {
            let (source, standing) = entry;
            let ban = &standing.ban;
            rpc.structure()
                .text(c"ip", &source.to_string())
                .text(c"reason", &node.reason_text(ban.reason))
                .text(c"origin", ban.origin.word())
                .int(c"since", unix(ban.since, now))
                .int(c"ttl", seconds_left(ban.until, now))
                .int(c"repeats", i64::from(standing.repeats))
                .text(c"mode", mode_word(ban.shadow));
        },
    );
}

/// `sec.whitelist [offset] [count]`.
pub fn whitelist(rpc: &mut Rpc<'_>) {
    list(
        rpc,
        "sec.whitelist",
        |_, standing, now| standing.whitelisted(now),
        |rpc, _, entry, now| {
            let (source, standing) = entry;
            rpc.structure()
                .text(c"ip", &source.to_string())
                .int(c"ttl", seconds_left(standing.whitelisted_until, now));
        },
    );
}

/// `sec.whitelist_add <ip> [seconds]`.
pub fn whitelist_add(rpc: &mut Rpc<'_>) {
    let Some((node, [ip, seconds])) = open(rpc, "sec.whitelist_add", ["ip"], ["seconds"]) else {
        return;
    };
    let Some(address) = address(rpc, node, &ip) else {
        return;
    };
    let Some(seconds) = whole(rpc, "seconds", &seconds, 0) else {
        return;
    };
    match orders::whitelist_add(node, address, Some(seconds), Origin::Operator) {
        Ok(()) => {
            let (key, now) = (node.key(address), node.now());
            let until = node.ledger.standing(key, now).whitelisted_until;
            rpc.structure()
                .text(c"ip", &key.source.to_string())
                .int(c"ttl", seconds_left(until, now));
        }
        Err(refusal) => refuse(rpc, &ip, refusal),
    }
}

/// `sec.whitelist_remove <ip>`.
pub fn whitelist_remove(rpc: &mut Rpc<'_>) {
    let Some((node, [ip])) = open(rpc, "sec.whitelist_remove", ["ip"], []) else {
        return;
    };
    let Some(address) = address(rpc, node, &ip) else {
        return;
    };
    let source = node.key(address).source;
    if orders::whitelist_remove(node, address, Origin::Operator) {
        rpc.structure()
            .text(c"ip", &source.to_string())
            .text(c"done", "removed");
    } else if node.is_listed(address) {
        rpc.fault(400, &format!("{source} {}", orders::Refusal::Listed));
    } else {
        rpc.fault(404, &format!("{source} is not whitelisted"));
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

/// One page of the ledger's records that `wanted` picks.
fn list(
    rpc: &mut Rpc<'_>,
    command: &str,
    wanted: impl Fn(&Source, &Standing, Now) -> bool,
    show: impl Fn(&mut Rpc<'_>, &Node, &(Source, Standing), Now),
) {
    let Some((node, [offset, count])) = open(rpc, command, [], ["offset", "count"]) else {
        return;
    };
    let Some(offset) = whole(rpc, "offset", &offset, 0) else {
        return;
    };
    let Some(count) = whole(rpc, "count", &count, PAGE) else {
        return;
    };
    if offset < 0 || !(1..=PAGE_MAX).contains(&count) {
        let text = format!("{command}: offset from 0, count from 1 to {PAGE_MAX}");
        return rpc.fault(400, &text);
    }
    let now = node.now();
    let entries = node
        .ledger
        .entries(0, now)
        .map(|(_, source, standing)| (source, standing));
    let wanted = entries.filter(|(source, standing)| wanted(source, standing, now));
    for entry in wanted.skip(offset as usize).take(count as usize) {
        show(rpc, node, &entry, now);
    }
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
    let plain = match text.split_once('/') {
        Some((address, length)) if length == node.policy.ipv6_prefix.to_string() => address,
        _ => text,
    };
    match plain.parse::<IpAddr>() {
        Ok(address) if plain == text || address.is_ipv6() => Some(address.to_canonical()),
        _ => {
            rpc.fault(400, &format!("\"{text}\" is not an IP address"));
            None
        }
    }
}

/// A whole number among the arguments.
fn whole(rpc: &mut Rpc<'_>, name: &str, text: &str, default: i64) -> Option<i64> {
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
        orders::Refusal::Full => rpc.fault(503, &format!("{ip} {refusal}")),
        orders::Refusal::Seconds(_) => rpc.fault(400, &format!("seconds: {refusal}")),
        _ => rpc.fault(400, &format!("{ip} {refusal}")),
    }
}

/// Seconds since 1970 of a ledger time, by the wall clock of now.
pub fn unix(ms: u64, now: Now) -> i64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    wall.as_secs()
        .saturating_sub(now.ms().saturating_sub(ms) / 1000)
        .cast_signed()
}

pub fn mode_word(shadow: bool) -> &'static str {
    if shadow { "shadow" } else { "enforce" }
}
