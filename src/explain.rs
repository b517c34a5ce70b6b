//! `sec.explain`: what would happen to a request from an address now, why, and what would change it.
//!
//! Runs in the processes that answer commands. It changes nothing: the limits are looked at, not
//! charged.

use std::net::IpAddr;

use crate::commands::{address, end, mode_word, open, unix};
use crate::engine::decide::{decide, users_left};
use crate::engine::facts::{FOREVER, Facts, Now, Standing};
use crate::engine::lookup::LookUp;
use crate::engine::policy::{Action, Count, Limit, METHODS, method_name};
use crate::engine::verdict::Verdict;
use crate::feed::Place;
use crate::kamailio::{Rpc, RpcStruct};
use crate::lists::Membership;
use crate::meters::Preview;
use crate::node::{Node, seconds_left};
use crate::shared::ledger::Key;
use crate::shared::snapshot::Network;

/// `sec.explain <ip>`.
pub fn explain(rpc: &mut Rpc<'_>) {
    let Some((node, [ip])) = open(rpc, "sec.explain", ["ip"], []) else {
        return;
    };
    let Some(address) = address(rpc, node, &ip) else {
        return;
    };
    let (key, now) = (node.key(address), node.now());
    let lists = node.membership(address, now);
    let shadow = node.status.shadow();
    let standing = node.standing_within(key, &lists, now);
    let facts = Facts {
        now,
        source: key.source,
        own: node.is_own(address),
        listed: lists.listed,
        validated: false,
        method: 0,
        scanner: false,
        shadow,
        loading: node.awaits_fleet(now),
        muted: false,
        feed: lists.feed.map(|place| place.feed),
    };
    let preview = &mut Preview(node.meters(&key, now));
    let decision = decide(&node.policy, &facts, &standing, preview);
    let mut reply = rpc.structure();
    reply
        .text(c"ip", &address.to_string())
        .text(c"source", &key.source.to_string())
        .text(c"verdict", decision.verdict.word())
        .text(c"reason", &node.reason_text(decision.reason))
        .text(
            c"advice",
            &advice(node, &standing, &lists, &facts, decision.verdict),
        )
        .text(c"mode", mode_word(facts.shadow));
    if standing.banned(now, true) {
        ban(node, &mut reply, &standing, &lists, (key, now));
    }
    if let Some(network) = lists.whitelist {
        reply
            .text(c"whitelisted_network", &network.prefix.to_string())
            .text(c"whitelisted_network_origin", network.origin.word());
    }
    matching(node, &mut reply, address, facts.own);
    if let Some(place) = lists.feed {
        feed(node, &mut reply, place);
    }
    if standing != Standing::default() {
        state(node, &mut reply, &standing, key, now);
    }
    names(node, &mut reply, &standing, key, now);
    offences(node, &mut reply, key, now);
    limits(node, &mut reply, key, now);
}

/// The lists of the configuration in which the address is.
fn matching(node: &Node, reply: &mut RpcStruct<'_>, address: IpAddr, own: bool) {
    let mut matching = Vec::new();
    if own {
        matching.push("addresses of this server".to_owned());
    }
    if node.lists.is_written(address) {
        matching.push("whitelist or whitelist_file".to_owned());
    }
    let names = node.names.read();
    let names = names
        .iter()
        .filter(|name| name.addresses.contains(&address));
    matching.extend(names.map(|name| format!("whitelist: {}", name.name)));
    if matching.is_empty() {
        return;
    }
    let mut lists = reply.list(c"lists");
    for list in &matching {
        lists.text(list);
    }
}

/// What the source did last, the newest first.
fn offences(node: &Node, reply: &mut RpcStruct<'_>, key: Key, now: Now) {
    let deeds = node.evidence.read(key);
    if deeds.is_empty() {
        return;
    }
    let mut offences = reply.list(c"offences");
    for deed in &deeds {
        offences
            .structure()
            .text(c"reason", &node.reason_text(deed.reason))
            .int(c"time", unix(deed.at, now))
            .int(c"strikes", i64::from(deed.weight))
            .text(c"method", method_name(deed.method))
            .text(c"user", &deed.user)
            .text(c"agent", &deed.agent);
    }
}

/// What reverse DNS said of the source, and of which of its addresses.
fn names(node: &Node, reply: &mut RpcStruct<'_>, standing: &Standing, key: Key, now: Now) {
    let Some(result) = standing.look_up.word() else {
        return;
    };
    let mut shown = reply.structure(c"rdns");
    shown.text(c"result", result);
    if let LookUp::Answered(_, until) = standing.look_up {
        shown.int(c"ttl", seconds_left(until, now));
        if let Some(host) = node.hosts.read(key) {
            shown
                .text(c"address", &host.address.to_string())
                .text(c"names", &host.names);
        }
    }
}

/// The ban that holds.
fn ban(
    node: &Node,
    reply: &mut RpcStruct<'_>,
    standing: &Standing,
    lists: &Membership,
    (key, now): (Key, Now),
) {
    let ban = &standing.ban;
    let mut shown = reply.structure(c"ban");
    let maker = match banned_with(lists, standing) {
        Some(network) => {
            shown.text(c"network", &network.prefix.to_string());
            network.maker
        }
        None => node.ledger.provenance(key).maker,
    };
    shown
        .text(c"reason", &node.reason_text(ban.reason))
        .text(c"origin", ban.origin.word())
        .text(c"node", &node.node_name(maker.node))
        .int(c"since", unix(ban.since, now))
        .int(c"until", end(ban.until, now))
        .int(c"ttl", seconds_left(ban.until, now))
        .text(
            c"evidence",
            if ban.validated {
                "validated"
            } else {
                "can be forged"
            },
        )
        .text(c"mode", mode_word(ban.shadow));
}

/// Where a feed names the address.
fn feed(node: &Node, reply: &mut RpcStruct<'_>, place: Place) {
    let Some(feed) = node.feeds.list.get(place.feed) else {
        return;
    };
    reply
        .structure(c"feed")
        .text(c"name", &feed.name)
        .int(c"line", i64::from(place.line))
        .text(c"action", feed.action.word());
}

/// What else is known of the source.
fn state(node: &Node, reply: &mut RpcStruct<'_>, standing: &Standing, key: Key, now: Now) {
    // Only where somebody may be muted is it worth looking who is.
    let mutes = match standing.mutes {
        true => node.ledger.mutes(key.source, now),
        false => Vec::new(),
    };
    let muted_until = mutes.iter().copied().max().unwrap_or(0);
    reply
        .int(
            c"whitelisted",
            seconds_left(standing.whitelisted_until, now),
        )
        .int(c"trusted", seconds_left(standing.trusted_until, now))
        .int(c"grace", seconds_left(standing.grace_until, now))
        .int(c"cooldown", seconds_left(standing.cooldown_until, now))
        .int(c"strikes", i64::from(standing.strikes))
        .int(c"strike_limit", i64::from(node.policy.strike_limit))
        .int(c"users_muted", mutes.len() as i64)
        .int(c"users_muted_ttl", seconds_left(muted_until, now))
        .int(c"users_failed", i64::from(standing.users))
        .int(c"near_misses", i64::from(standing.near_misses))
        .int(c"repeats", i64::from(standing.repeats));
}

/// Each limit, and how much of it is used.
fn limits(node: &Node, reply: &mut RpcStruct<'_>, key: Key, now: Now) {
    let meters = node.meters(&key, now);
    let mut limits = reply.list(c"limits");
    for (index, limit) in node.policy.limits.iter().enumerate() {
        limits
            .structure()
            .text(c"name", &limit.name)
            .int(c"level", i64::from(meters.level(index, limit)))
            .int(c"limit", i64::from(limit.quota.limit()))
            .int(c"window", limit.quota.window_secs().cast_signed())
            .text(c"count", &counted_word(limit))
            .text(c"action", action_word(limit.action));
    }
}

/// The network of which the ban holds for the address.
fn banned_with(lists: &Membership, standing: &Standing) -> Option<Network> {
    lists.ban.filter(|network| network.ban() == standing.ban)
}

/// What would free the address now, or what keeps it free.
fn advice(
    node: &Node,
    standing: &Standing,
    lists: &Membership,
    facts: &Facts,
    verdict: Verdict,
) -> String {
    let now = facts.now;
    let source = facts.source;
    match verdict {
        Verdict::DenyBanned if standing.cooling(now) => format!(
            "sec.unban {source}; it lost a whitelist entry and cannot get another for {} s",
            seconds_left(standing.cooldown_until, now)
        ),
        Verdict::DenyBanned => {
            let banned = match banned_with(lists, standing) {
                Some(network) => network.prefix.to_string(),
                None => source.to_string(),
            };
            format!("sec.unban {banned}, or sec.whitelist_add {source} to keep it free")
        }
        Verdict::DenyNewBan => {
            format!("the next request would ban it: sec.whitelist_add {source} prevents that")
        }
        Verdict::DenyHeld if standing.look_up == LookUp::Unknown => format!(
            "the next request would hold it until reverse DNS has answered: sec.whitelist_add \
             {source} prevents that"
        ),
        Verdict::DenyHeld => format!(
            "it waits for reverse DNS, a moment only; sec.unban {source} or sec.whitelist_add \
             {source} ends that"
        ),
        Verdict::DenyContent if lists.feed.is_some() => format!(
            "a feed lists it: sec.whitelist_add {source}, or whitelist, keeps it free in spite of that"
        ),
        Verdict::DenyContent => "it is refused for what it is, whoever sends it".into(),
        Verdict::DenyLimited => "it is over a limit; waiting frees it".into(),
        _ if facts.own => "nothing: it is this server's own address".into(),
        _ if facts.listed => "nothing: it is always allowed".into(),
        _ if standing.whitelisted_until == FOREVER => {
            format!("nothing: it is whitelisted until sec.whitelist_remove {source}")
        }
        Verdict::AllowSpared => "nothing: it is spared for its name in a trusted domain".into(),
        _ if standing.graced(now) => format!(
            "nothing is refused; it was unbanned, and offences do not count for {} s",
            seconds_left(standing.grace_until, now)
        ),
        _ if standing.strikes > 0 => outlook(node, standing, now),
        _ => "nothing is refused".into(),
    }
}

/// What would ban an address that has strikes.
fn outlook(node: &Node, standing: &Standing, now: Now) -> String {
    let policy = &node.policy;
    let strikes = match policy.strike_limit.saturating_sub(standing.strikes) {
        ..=1 => "one more strike".to_owned(),
        left => format!("{left} more strikes"),
    };
    match users_left(policy, standing, now) {
        0 => format!("nothing is refused; {strikes} would ban it"),
        users => {
            let muted = if standing.mutes {
                " but muted users"
            } else {
                ""
            };
            let others = match standing.trusted(now) {
                true => String::new(),
                false => format!(", {strikes} for anything else"),
            };
            let plural = if users == 1 { "" } else { "s" };
            format!(
                "nothing is refused{muted}; a failed login falls on its user alone; failures of \
                 {users} more user{plural} would ban the address{others}"
            )
        }
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Ban => "ban",
        Action::Limit => "limit",
        Action::Shadow => "shadow",
    }
}

fn counted_word(limit: &Limit) -> String {
    match limit.count {
        Count::Requests => "requests".into(),
        Count::Failures => "failures".into(),
        Count::Methods(bits) => {
            let names = METHODS.iter().enumerate();
            let named = names.filter(|(index, _)| bits >> index & 1 == 1);
            named.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
        }
    }
}
