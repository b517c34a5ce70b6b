//! The lists that an operator pages through: `sec.bans` and `sec.whitelist`.
//!
//! Run in the processes that answer commands, never in a SIP worker. Names in the static whitelist
//! come first, then networks, in the order of their addresses, then single sources in the order of the ledger.

use std::net::IpAddr;

use crate::commands::{end, mode_word, open, unix, whole};
use crate::engine::facts::{Now, Standing};
use crate::kamailio::Rpc;
use crate::node::{Node, seconds_left};
use crate::shared::names::Name;
use crate::shared::snapshot::{Network, Section};
use crate::source::Source;

/// Entries of a list in one reply, unless the operator says otherwise.
const PAGE: i64 = 50;
/// The most entries that one reply holds: more would not fit the control socket's.
pub const PAGE_MAX: i64 = 200;

/// One entry: of a name, of a network, or of a source with what is known of it.
enum Entry {
    Name(Name),
    Network(Network),
    Source(Source, Standing),
}

/// `sec.bans [offset] [count]`.
pub fn bans(rpc: &mut Rpc<'_>) {
    list(
        rpc,
        "sec.bans",
        Section::Bans,
        |standing, now| standing.banned(now, true),
        |rpc, node, entry, now| {
            let (ip, ban, maker) = match entry {
                Entry::Network(network) => {
                    (network.prefix.to_string(), network.ban(), network.maker)
                }
                Entry::Source(source, standing) => {
                    let mut maker = node.ledger.provenance(node.key_of(*source)).maker;
                    maker.count = maker.count.max(standing.repeats.min(255) as u8);
                    (source.to_string(), standing.ban, maker)
                }
                Entry::Name(_) => return, // names are not banned
            };
            rpc.structure()
                .text(c"ip", &ip)
                .text(c"reason", &node.reason_text(ban.reason))
                .text(c"origin", ban.origin.word())
                .text(c"node", &node.node_name(maker.node))
                .int(c"since", unix(ban.since, now))
                .int(c"until", end(ban.until, now))
                .int(c"ttl", seconds_left(ban.until, now))
                .int(c"count", i64::from(maker.count.max(1)))
                .text(c"mode", mode_word(ban.shadow));
        },
    );
}

/// `sec.whitelist [offset] [count]`.
pub fn whitelist(rpc: &mut Rpc<'_>) {
    list(
        rpc,
        "sec.whitelist",
        Section::Whitelist,
        |standing, now| standing.whitelisted(now),
        |rpc, node, entry, now| {
            let (ip, origin, since, until) = match entry {
                Entry::Name(name) => return show_name(rpc, name, now),
                Entry::Network(network) => {
                    let Network { since, until, .. } = *network;
                    (network.prefix.to_string(), network.origin, since, until)
                }
                Entry::Source(source, standing) => {
                    let from = node.ledger.provenance(node.key_of(*source));
                    let (since, until) = (from.whitelisted_since, standing.whitelisted_until);
                    (source.to_string(), from.whitelisted_by, since, until)
                }
            };
            rpc.structure()
                .text(c"ip", &ip)
                .text(c"origin", origin.word())
                .int(c"since", unix(since, now))
                .int(c"until", end(until, now))
                .int(c"ttl", seconds_left(until, now));
        },
    );
}

/// A name of the static whitelist.
fn show_name(rpc: &mut Rpc<'_>, name: &Name, now: Now) {
    let addresses: Vec<String> = name.addresses.iter().map(IpAddr::to_string).collect();
    rpc.structure()
        .text(c"name", &name.name)
        .text(c"ip", &addresses.join(", "))
        .text(c"state", name.state())
        .int(c"age", name.age(now))
        .text(c"problem", &name.problem);
}

/// One page: of the names in the static whitelist, of the networks of a section, and of the ledger's records that `wanted` picks.
fn list(
    rpc: &mut Rpc<'_>,
    command: &str,
    section: Section,
    wanted: impl Fn(&Standing, Now) -> bool,
    show: impl Fn(&mut Rpc<'_>, &Node, &Entry, Now),
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
    let refused = match (offset, count) {
        (..0, _) => Some(format!(
            "offset: {offset} is out of range; allowed: 0 and more"
        )),
        (_, 1..=PAGE_MAX) => None,
        _ => Some(format!(
            "count: {count} is out of range; allowed: 1 to {PAGE_MAX}"
        )),
    };
    if let Some(text) = refused {
        rpc.fault(400, &format!("{command}: {text}"));
        return;
    }
    let (offset, count) = (offset as usize, count as usize);
    let now = node.now();
    let names = match section {
        Section::Whitelist => node.names.read(),
        _ => Vec::new(),
    };
    let skipped = names.len().min(offset);
    let (offset, mut rest) = (offset - skipped, count);
    for name in names.into_iter().skip(skipped).take(count) {
        rest -= 1;
        show(rpc, node, &Entry::Name(name), now);
    }
    let (all, networks) = node.lists.page(section, now, offset, rest);
    rest -= networks.len();
    for network in networks {
        show(rpc, node, &Entry::Network(network), now);
    }
    let entries = node.ledger.entries(0, now);
    let wanted = entries.filter(|(_, _, standing)| wanted(standing, now));
    let skip = offset.saturating_sub(all as usize);
    for (_, source, standing) in wanted.skip(skip).take(rest) {
        show(rpc, node, &Entry::Source(source, standing), now);
    }
}
