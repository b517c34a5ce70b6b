//! The bans that hold now, as programs outside can apply them: prefixes that do not overlap, with
//! everything taken out that is never denied.
//!
//! Called by the tasks that hand bans on (`export.rs`, `firewall.rs`). Reads the ledger and the
//! lists; changes nothing.

use crate::cidr::{Block, Prefix, Run, outermost, without};
use crate::engine::facts::Now;
use crate::node::Node;
use crate::shared::snapshot::{Network, Section};

/// A prefix, and until when it is banned, as a ledger time.
pub type Barred = Block<u64>;

/// What `sec_check` would deny now because of a ban. In shadow mode that is nothing; a mute is a
/// ban of a user, not of an address.
///
/// A prefix inside another is not there; when the ban around it ends first, it is from then on.
pub fn of(node: &Node, now: Now) -> Vec<Barred> {
    if node.status.shadow() {
        return Vec::new();
    }
    let mut bans = Vec::new();
    let mut spared: Vec<Prefix> = own(node).collect();
    for (_, source, known) in node.ledger.entries(0, now) {
        let Some(prefix) = Prefix::of(source) else {
            continue;
        };
        if known.whitelisted(now) {
            spared.push(prefix);
        }
        if known.banned(now, false) {
            // Who went over the ceiling of a network's entry has lost it for itself alone.
            let lost = known.has_lost_networks(now, false);
            bans.push((prefix, known.ban.until, lost));
        }
    }
    let networks = networks(node, Section::Bans, now);
    let networks = networks.iter().filter(|network| network.holds(now, false));
    bans.extend(networks.map(|network| (network.prefix, network.until, false)));
    let spared = Runs::of(spared.into_iter());
    let around = Runs::of(whitelisted(node, now).into_iter());
    let pieces = bans.into_iter().flat_map(|(prefix, until, lost)| {
        let mut gaps = node.lists.listed_in(prefix);
        gaps.extend(spared.touching(prefix));
        if !lost {
            gaps.extend(around.touching(prefix));
        }
        let pieces = without(prefix, gaps).into_iter();
        pieces.map(move |prefix| Block {
            prefix,
            value: until,
        })
    });
    outermost(pieces.collect())
}

fn own(node: &Node) -> impl Iterator<Item = Prefix> {
    let whole = |address: std::net::IpAddr| {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Prefix::new(address, length).ok()
    };
    node.own_addresses().into_iter().filter_map(whole)
}

fn whitelisted(node: &Node, now: Now) -> Vec<Prefix> {
    let networks = networks(node, Section::Whitelist, now);
    networks.iter().map(|network| network.prefix).collect()
}

fn networks(node: &Node, section: Section, now: Now) -> Vec<Network> {
    node.lists.page(section, now, 0, usize::MAX).1
}

/// Addresses, to be found by prefix; the families apart, because in 128 bits an IPv6 prefix can lie
/// around all of IPv4.
struct Runs {
    v4: Vec<Run>,
    v6: Vec<Run>,
}

impl Runs {
    fn of(prefixes: impl Iterator<Item = Prefix>) -> Runs {
        let blocks = prefixes.map(|prefix| Block { prefix, value: () });
        let blocks = outermost(blocks.collect());
        let of_family = |ipv4| {
            let blocks = blocks.iter().filter(|one| one.prefix.is_ipv4() == ipv4);
            blocks.map(|one| Run::from(one.prefix)).collect()
        };
        Runs {
            v4: of_family(true),
            v6: of_family(false),
        }
    }

    /// Those with an address inside a prefix.
    fn touching(&self, prefix: Prefix) -> &[Run] {
        let runs = match prefix.is_ipv4() {
            true => &self.v4,
            false => &self.v6,
        };
        let whole = Run::from(prefix);
        let first = runs.partition_point(|run| run.last < whole.first);
        let behind = runs.partition_point(|run| run.first <= whole.last);
        runs.get(first..behind).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_by_the_prefixes_that_they_touch() {
        let prefixes = [
            "::/19",
            "10.0.0.0/24",
            "10.0.0.7",
            "10.2.0.0/16",
            "10.9.0.1",
        ];
        let runs = Runs::of(prefixes.iter().map(|text| text.parse().unwrap()));
        assert_eq!((runs.v4.len(), runs.v6.len()), (3, 1));
        for (text, count) in [
            ("10.0.0.7", 1),
            ("10.0.1.0", 0),
            ("10.0.0.0/8", 3),
            ("10.2.3.0/24", 1),
            ("10.9.0.0/16", 1),
            ("11.0.0.0/8", 0),
            ("::1", 1),
            ("2001:db8::/32", 0),
        ] {
            let prefix = text.parse().unwrap();
            assert_eq!(runs.touching(prefix).len(), count, "{text}");
        }
    }
}
