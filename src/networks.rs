//! Orders about whole networks: checked here against what must not happen, carried out by the agent,
//! because only it writes the lists that all processes read.
//!
//! Called by the script functions in SIP workers and by the commands in RPC processes. An order takes
//! effect within 100 ms; without a living agent it is refused.

use std::net::IpAddr;

use crate::cidr::{Prefix, PrefixError};
use crate::engine::facts::Origin;
use crate::engine::verdict::Reason;
use crate::node::Node;
use crate::orders::{Refusal, checked};
use crate::shared::events::{Event, Kind, Text};
use crate::shared::snapshot::Section;
use crate::source::Source;

/// How long the effect of an order may not show yet, in milliseconds.
const UNDER_WAY_MS: u64 = 100;

/// Whom an order is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One address; in IPv6 it stands for its source.
    Address(IpAddr),
    /// A network.
    Network(Prefix),
}

/// Reads an address or a prefix. A prefix that is one source, as it is shown in lists, is that
/// source.
///
/// # Errors
/// What is wrong with the text.
pub fn target(text: &str, ipv6_prefix: u8) -> Result<Target, PrefixError> {
    let (prefix, _) = Prefix::parse(text)?;
    let source = !prefix.is_ipv4() && prefix.length() == ipv6_prefix;
    Ok(match prefix.is_address() || source {
        true => Target::Address(prefix.first_address()),
        false => Target::Network(prefix),
    })
}

/// Bans a network for `seconds` (0: `ban_time`). Addresses in it that are whitelisted, or the
/// server's own, stay free.
///
/// # Errors
/// [`Refusal`].
pub fn ban(
    node: &Node,
    prefix: Prefix,
    seconds: i64,
    reason: Reason,
    origin: Origin,
) -> Result<(), Refusal> {
    let seconds = checked(seconds, node.policy.bans.first)?;
    let now = node.now();
    if !node.ban_min_prefix.allows(prefix) {
        return Err(Refusal::Short("ban_min_prefix", node.ban_min_prefix));
    }
    if node.lists.cover(prefix) {
        return Err(Refusal::Listed);
    }
    let whitelisted = node.lists.network_around(Section::Whitelist, prefix, now);
    if whitelisted.is_some() {
        return Err(Refusal::Whitelisted);
    }
    let shadow = node.status.shadow();
    let event = Event {
        reason,
        shadow,
        seconds,
        ..Event::new(Kind::BanNetwork, prefix.source(), origin)
    };
    order_entry(node, Section::Bans, &event)
}

/// Lifts the ban of exactly this network; bans of networks and addresses in it stay. Whether there
/// was one.
///
/// # Errors
/// [`Refusal`].
pub fn unban(node: &Node, prefix: Prefix, origin: Origin) -> Result<bool, Refusal> {
    take_back(node, Section::Bans, Kind::UnbanNetwork, prefix, origin)
}

/// Whitelists a network for `seconds` (0: `whitelist_time`; `None`: until it is removed), and
/// cancels the bans in it.
///
/// # Errors
/// [`Refusal`].
pub fn whitelist_add(
    node: &Node,
    prefix: Prefix,
    seconds: Option<i64>,
    origin: Origin,
) -> Result<(), Refusal> {
    let seconds = match seconds {
        Some(seconds) => checked(seconds, node.policy.whitelist_time)?,
        None => Event::FOREVER,
    };
    let shortest = node.whitelist_min_prefix;
    if !shortest.allows(prefix) {
        return Err(Refusal::Short("whitelist_min_prefix", shortest));
    }
    let event = Event::new(Kind::WhitelistNetwork, prefix.source(), origin);
    order_entry(node, Section::Whitelist, &Event { seconds, ..event })
}

/// Removes the whitelist entry of exactly this network. Whether there was one.
///
/// # Errors
/// [`Refusal`].
pub fn whitelist_remove(node: &Node, prefix: Prefix, origin: Origin) -> Result<bool, Refusal> {
    let (section, kind) = (Section::Whitelist, Kind::UnwhitelistNetwork);
    take_back(node, section, kind, prefix, origin)
}

/// Has the agent read a list anew.
///
/// # Errors
/// [`Refusal`].
pub fn reload(node: &Node, list: &str, origin: Origin) -> Result<(), Refusal> {
    let nobody = node.key(IpAddr::from([0, 0, 0, 0])).source;
    let event = Event {
        text: Text::new(list.as_bytes()),
        ..Event::new(Kind::Reload, nobody, origin)
    };
    order(node, &event)
}

fn take_back(
    node: &Node,
    section: Section,
    kind: Kind,
    prefix: Prefix,
    origin: Origin,
) -> Result<bool, Refusal> {
    let now = node.now();
    let known = node.lists.network_of(section, prefix, now).is_some();
    order(node, &Event::new(kind, prefix.source(), origin))?;
    // What was ordered a moment ago may not show yet, and is taken back all the same.
    let about = about(node, section, prefix.source());
    let under_way = node.status.take_under_way(about, now, UNDER_WAY_MS);
    Ok(known || under_way)
}

/// An order that makes an entry.
fn order_entry(node: &Node, section: Section, event: &Event) -> Result<(), Refusal> {
    order(node, event)?;
    let about = about(node, section, event.source);
    node.status.set_under_way(about, node.now());
    Ok(())
}

fn about(node: &Node, section: Section, network: Source) -> u64 {
    node.key_of(network).hash ^ section as u64
}

fn order(node: &Node, event: &Event) -> Result<(), Refusal> {
    if !node.has_agent(node.now()) {
        return Err(Refusal::NoAgent);
    }
    if node.order(event) {
        Ok(())
    } else {
        Err(Refusal::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_no_network() {
        let address = |text: &str| Target::Address(text.parse().unwrap());
        let network = |text: &str| Target::Network(text.parse().unwrap());
        for (text, expected) in [
            ("192.0.2.1", address("192.0.2.1")),
            ("::ffff:192.0.2.1", address("192.0.2.1")),
            ("192.0.2.1/32", address("192.0.2.1")),
            ("192.0.2.7/24", network("192.0.2.0/24")),
            ("[2001:db8::1]", address("2001:db8::1")),
            ("2001:db8::1/128", address("2001:db8::1")),
            ("2001:db8::1/64", address("2001:db8::")),
            ("2001:db8::/65", network("2001:db8::/65")),
            ("2001:db8::/48", network("2001:db8::/48")),
        ] {
            assert_eq!(target(text, 64), Ok(expected), "{text}");
        }
        assert_eq!(target("", 64), Err(PrefixError::Address));
        assert_eq!(target("10.0.0.0/33", 64), Err(PrefixError::Length));
    }
}
