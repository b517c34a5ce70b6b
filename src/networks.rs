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
use crate::orders::{self, Refusal, checked};
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
    let address = prefix.is_address() || is_source(prefix, ipv6_prefix);
    Ok(match address {
        true => Target::Address(prefix.first_address()),
        false => Target::Network(prefix),
    })
}

/// Whether a prefix is just one source.
pub fn is_source(prefix: Prefix, ipv6_prefix: u8) -> bool {
    let length = if prefix.is_ipv4() { 32 } else { ipv6_prefix };
    prefix.length() == length
}

/// Whether a network is small enough for a section.
///
/// # Errors
/// [`Refusal::Short`].
pub fn check_length(node: &Node, section: Section, prefix: Prefix) -> Result<(), Refusal> {
    let (parameter, shortest) = match section {
        Section::Bans => ("ban_min_prefix", node.ban_min_prefix),
        _ => ("whitelist_min_prefix", node.whitelist_min_prefix),
    };
    match shortest.allows(prefix) {
        true => Ok(()),
        false => Err(Refusal::Short(parameter, shortest)),
    }
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
    check_length(node, Section::Bans, prefix)?;
    let around = || node.lists.network_around(Section::Whitelist, prefix, now);
    orders::unless_free(node.lists.cover(prefix), || around().is_some())?;
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

/// Lifts the ban of an address, as [`orders::unban`], and also that of the one IPv6 address alone,
/// which only a key in Redis can make.
///
/// # Errors
/// [`Refusal`].
pub fn unban_address(node: &Node, address: IpAddr, origin: Origin) -> Result<bool, Refusal> {
    let lifted = orders::unban(node, address, origin);
    let alone = Prefix::from(address);
    let banned = node.lists.network_of(Section::Bans, alone, node.now());
    match banned {
        Some(_) => unban(node, alone, origin),
        None => Ok(lifted),
    }
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
    check_length(node, Section::Whitelist, prefix)?;
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

/// Has the agent read a list anew; `confirms` says that it is as it is to be, however little of it is
/// left.
///
/// # Errors
/// [`Refusal`].
pub fn reload(node: &Node, list: &str, confirms: bool, origin: Origin) -> Result<(), Refusal> {
    let nobody = node.key(IpAddr::from([0, 0, 0, 0])).source;
    let event = Event {
        text: Text::new(list.as_bytes()),
        seconds: u64::from(confirms),
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
    let now = node.now();
    if !node.has_agent(now) {
        return Err(Refusal::NoAgent);
    }
    let at = now.ms();
    if node.order(&Event { at, ..*event }) {
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
