//! The lists about addresses: the static whitelist, feeds, and the networks that are banned or
//! whitelisted.
//!
//! Asked by SIP workers for each request and by RPC processes; written by the agent, through the
//! snapshot. Without an agent the static whitelist holds as it was at the start.

use std::net::IpAddr;

use crate::cidr::{Prefix, PrefixMap, Run};
use crate::engine::facts::{Now, Standing};
use crate::feed::Place;
use crate::shared::snapshot::{Network, Section, Snapshot, Unread, View};
use crate::source::Address;

/// What a request is looked up in.
const ASKED: [Section; 5] = [
    Section::Listed,
    Section::Feeds,
    Section::Named,
    Section::Whitelist,
    Section::Bans,
];

/// The lists.
pub struct Lists {
    /// What the agent has published.
    pub snapshot: Snapshot,
    /// The static whitelist of the start. It counts until the agent publishes another, and whenever
    /// that one cannot be read.
    at_start: PrefixMap,
}

/// What the lists say of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// It is in the static whitelist.
    pub listed: bool,
    /// The narrowest whitelisted network around it.
    pub whitelist: Option<Network>,
    /// The narrowest banned network around it.
    pub ban: Option<Network>,
    /// Where a feed names it.
    pub feed: Option<Place>,
    /// The snapshot changed too often while it was read: only `listed` says something, and maybe
    /// what it said at the start.
    pub unread: bool,
}

impl Membership {
    /// Adds what holds for the networks around a source to what is known of it.
    #[inline]
    pub fn join(&self, standing: &mut Standing, now: Now, shadow: bool) {
        if self.whitelist.is_none() && self.ban.is_none() {
            return;
        }
        let whitelisted_until = self.whitelist.map_or(0, |network| network.until);
        let ban = self.ban.map(|network| network.ban()).unwrap_or_default();
        standing.within_networks(whitelisted_until, ban, now, shadow);
    }
}

impl Lists {
    /// With the static whitelist of the start.
    pub fn new(snapshot: Snapshot, at_start: PrefixMap) -> Lists {
        Lists { snapshot, at_start }
    }

    /// What they say of an address now; with nothing published, after one load from shared memory.
    #[inline]
    pub fn about(&self, address: impl Into<Address>, now: Now, shadow: bool) -> Membership {
        let address = address.into();
        let look = |view: &View<'_>| self.look(view, address, now, shadow);
        match self.snapshot.read(&ASKED, look) {
            Ok(membership) => membership,
            Err(unread) => Membership {
                listed: !self.at_start.is_empty() && self.at_start.value_of(address).is_some(),
                unread: unread == Unread::Busy,
                ..Membership::default()
            },
        }
    }

    fn look(&self, view: &View<'_>, address: Address, now: Now, shadow: bool) -> Membership {
        let find = |section| {
            let networks = view.networks(section)?;
            networks.find(address, |network| network.holds(now, shadow))
        };
        let is_in = |section| {
            let table = view.prefixes(section)?;
            Some(table.value_of(address).is_some())
        };
        let listed = is_in(Section::Listed);
        Membership {
            listed: listed.unwrap_or_else(|| self.at_start.value_of(address).is_some())
                || is_in(Section::Named).unwrap_or(false),
            whitelist: find(Section::Whitelist),
            ban: find(Section::Bans),
            feed: view
                .prefixes(Section::Feeds)
                .and_then(|table| table.value_of(address))
                .and_then(Place::of),
            unread: false,
        }
    }

    /// Whether an address is in `whitelist` or `whitelist_file` as it is written there, and not for a
    /// DNS name.
    pub fn is_written(&self, address: IpAddr) -> bool {
        let published = self.snapshot.read(&[Section::Listed], |view| {
            Some(view.prefixes(Section::Listed)?.get(address).is_some())
        });
        let published = published.ok().flatten();
        published.unwrap_or_else(|| self.at_start.get(address).is_some())
    }

    /// Whether the static whitelist holds for the whole of a network.
    pub fn cover(&self, prefix: Prefix) -> bool {
        let covers = |section| {
            let published = self.snapshot.read(&[section], |view| {
                let table = view.prefixes(section)?;
                Some(table.covers(prefix))
            });
            published.ok().flatten()
        };
        let written = covers(Section::Listed);
        written.unwrap_or_else(|| self.at_start.table().covers(prefix))
            || covers(Section::Named).unwrap_or(false)
    }

    /// The addresses in a prefix that are in the static whitelist.
    pub fn listed_in(&self, prefix: Prefix) -> Vec<Run> {
        let runs = |section| {
            let published = self.snapshot.read(&[section], |view| {
                let table = view.prefixes(section)?;
                Some(table.runs_in(prefix))
            });
            published.ok().flatten()
        };
        let written = runs(Section::Listed);
        let mut listed = written.unwrap_or_else(|| self.at_start.table().runs_in(prefix));
        listed.extend(runs(Section::Named).unwrap_or_default());
        listed
    }

    /// The narrowest network of a section that holds for the whole of `prefix`.
    pub fn network_around(&self, section: Section, prefix: Prefix, now: Now) -> Option<Network> {
        let wanted =
            |network: &Network| network.holds(now, true) && network.prefix.contains_prefix(prefix);
        self.network(section, prefix, wanted)
    }

    /// The entry of exactly this network.
    pub fn network_of(&self, section: Section, prefix: Prefix, now: Now) -> Option<Network> {
        let wanted = |network: &Network| network.holds(now, true) && network.prefix == prefix;
        self.network(section, prefix, wanted)
    }

    fn network(
        &self,
        section: Section,
        prefix: Prefix,
        wanted: impl Fn(&Network) -> bool,
    ) -> Option<Network> {
        let address = prefix.first_address();
        let found = self.snapshot.read(&[section], |view| {
            view.networks(section)?.find(address, &wanted)
        });
        found.ok().flatten()
    }

    /// All rows of a section, in the order of their prefixes, those included that do not hold.
    pub fn rows(&self, section: Section) -> Vec<Network> {
        self.walk(section, |rows| rows.collect())
    }

    /// How many networks of a section hold.
    pub fn count(&self, section: Section, now: Now) -> u64 {
        self.page(section, now, usize::MAX, 0).0
    }

    /// One page of the networks of a section that hold, in the order of their addresses, and how
    /// many there are in all.
    pub fn page(
        &self,
        section: Section,
        now: Now,
        offset: usize,
        count: usize,
    ) -> (u64, Vec<Network>) {
        self.walk(section, |rows| {
            let mut all = 0;
            let mut page = Vec::new();
            for network in rows.filter(|network| network.holds(now, true)) {
                if all >= offset && page.len() < count {
                    page.push(network);
                }
                all += 1;
            }
            (all as u64, page)
        })
    }

    /// What `look` finds in the rows of a section; nothing if they cannot be read.
    fn walk<T: Default>(
        &self,
        section: Section,
        look: impl Fn(&mut dyn Iterator<Item = Network>) -> T,
    ) -> T {
        let read = self.snapshot.read(&[section], |view| {
            let networks = view.networks(section)?;
            Some(look(&mut networks.iter()))
        });
        read.ok().flatten().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::facts::{FOREVER, Origin};
    use crate::engine::verdict::Reason;
    use crate::shared::ledger::Maker;
    use crate::shared::region::Region;
    use crate::shared::snapshot::{Writer, network_words, prefix_words};

    fn set_of(prefixes: &[&str]) -> PrefixMap {
        let prefixes: Vec<Prefix> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        PrefixMap::set_of(&prefixes)
    }

    fn lists(at_start: &[&str]) -> Lists {
        let words = Snapshot::words(1);
        let snapshot = Snapshot::new(Region::new(words).unwrap().take(words));
        Lists::new(snapshot, set_of(at_start))
    }

    fn put(writer: &mut Writer, section: Section, words: Vec<u64>) {
        writer.set(section, Some(words)).unwrap();
        writer.publish();
    }

    fn network(prefix: &str, until: u64) -> Network {
        Network {
            prefix: prefix.parse().unwrap(),
            since: 1,
            until,
            reason: Reason::MANUAL,
            origin: Origin::Operator,
            maker: Maker::default(),
            shadow: false,
            pending: false,
        }
    }

    fn at(ms: u64) -> Now {
        Now::from_ns(ms * 1_000_000)
    }

    fn listed(lists: &Lists, address: &str) -> bool {
        lists
            .about(address.parse::<IpAddr>().unwrap(), at(1), false)
            .listed
    }

    #[test]
    fn the_list_of_the_start_counts_until_another_is_published() {
        let lists = lists(&["10.0.0.0/8"]);
        assert!(listed(&lists, "10.0.0.1") && lists.cover("10.1.0.0/16".parse().unwrap()));
        let mut writer = lists.snapshot.writer();
        // Networks alone change nothing about it.
        let words = network_words([network("10.2.0.0/16", 9)].iter());
        put(&mut writer, Section::Bans, words);
        assert!(listed(&lists, "10.0.0.1"));
        put(
            &mut writer,
            Section::Listed,
            prefix_words(&set_of(&["11.0.0.0/8"])),
        );
        assert!(!listed(&lists, "10.0.0.1") && listed(&lists, "11.0.0.1"));
        assert!(!lists.cover("10.1.0.0/16".parse().unwrap()));
        put(&mut writer, Section::Listed, prefix_words(&set_of(&[])));
        assert!(!listed(&lists, "10.0.0.1") && !listed(&lists, "11.0.0.1"));
    }

    #[test]
    fn the_addresses_of_names_count_besides() {
        let lists = lists(&["10.0.0.0/8"]);
        let mut writer = lists.snapshot.writer();
        put(
            &mut writer,
            Section::Named,
            prefix_words(&set_of(&["192.0.2.1"])),
        );
        assert!(listed(&lists, "192.0.2.1") && listed(&lists, "10.0.0.1"));
        assert!(!listed(&lists, "192.0.2.2"));
    }

    #[test]
    fn networks_are_found_around_and_exactly_while_they_hold() {
        let lists = lists(&[]);
        let networks = [network("10.0.0.0/8", FOREVER), network("10.1.0.0/16", 5)];
        let mut writer = lists.snapshot.writer();
        put(&mut writer, Section::Bans, network_words(networks.iter()));
        let address: IpAddr = "10.1.2.3".parse().unwrap();
        let ban = |ms| lists.about(address, at(ms), false).ban;
        assert_eq!((ban(4), ban(5)), (Some(networks[1]), Some(networks[0])));
        let prefix: Prefix = "10.1.0.0/16".parse().unwrap();
        let section = Section::Bans;
        assert_eq!(lists.network_of(section, prefix, at(4)), Some(networks[1]));
        assert_eq!(lists.network_of(section, prefix, at(5)), None);
        let around = lists.network_around(section, prefix, at(5));
        assert_eq!(around, Some(networks[0]));
        assert_eq!(lists.page(section, at(4), 1, 9), (2, vec![networks[1]]));
        assert_eq!(lists.page(section, at(5), 0, 9), (1, vec![networks[0]]));
        assert_eq!(lists.count(Section::Whitelist, at(1)), 0);
    }
}
