//! The agent's books of banned and of whitelisted networks, and what an order, or a key in Redis,
//! does to them.
//!
//! Used by the agent's tasks through `networks.rs`, which publishes them. What was ordered on this
//! node is marked until it is written to Redis; everything else follows Redis. It writes nothing
//! there itself.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::mpsc::Sender;

use super::book::Book;
use super::journal::Journal;
use crate::cidr::{Prefix, PrefixMap};
use crate::engine::facts::{FOREVER, Now, Origin};
use crate::networks::check_length;
use crate::node::Node;
use crate::orders;
use crate::shared::events::{Event, Kind};
use crate::shared::ledger::{EXPIRING_MS, Maker, SAME_MS};
use crate::shared::snapshot::{Network, Section};
use crate::shared::statistics::Count;

pub struct Books {
    node: &'static Node,
    journal: Rc<RefCell<Journal>>,
    /// To the fleet's history, if there is a fleet.
    link: Option<Sender<Event>>,
    pub bans: Book,
    pub whitelist: Book,
    /// Whitelisted, but the bans of sources inside are not lifted yet.
    freed: Vec<(Prefix, Origin)>,
}

impl Books {
    /// With what an earlier agent has published.
    pub fn recover(
        node: &'static Node,
        journal: Rc<RefCell<Journal>>,
        link: Option<Sender<Event>>,
    ) -> Books {
        let book = |section| Book::new(node.lists.rows(section));
        Books {
            node,
            journal,
            link,
            bans: book(Section::Bans),
            whitelist: book(Section::Whitelist),
            freed: Vec::new(),
        }
    }

    /// The book of a section of networks.
    pub fn of(&self, section: Section) -> &Book {
        match section {
            Section::Bans => &self.bans,
            _ => &self.whitelist,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, section: Section) -> &mut Book {
        match section {
            Section::Bans => &mut self.bans,
            _ => &mut self.whitelist,
        }
    }

    /// Carries out what an event orders. False if it orders nothing here.
    pub fn obey(&mut self, event: &Event) -> bool {
        let Some(prefix) = Prefix::of(event.source) else {
            return false;
        };
        match event.kind {
            Kind::BanNetwork => self.ban(prefix, event),
            Kind::UnbanNetwork => self.remove(Section::Bans, prefix, event.origin, event.at),
            Kind::WhitelistNetwork => self.free(prefix, event),
            Kind::UnwhitelistNetwork => {
                self.remove(Section::Whitelist, prefix, event.origin, event.at);
            }
            _ => return false,
        }
        true
    }

    fn ban(&mut self, prefix: Prefix, event: &Event) {
        // What only shadow mode bans takes the place of no ban that holds, and of no order that the fleet
        // does not know yet.
        let now = self.node.now();
        let holds = |known: &Network| known.pending || known.holds(now, false);
        if !event.shadow || !self.bans.get(prefix).is_some_and(holds) {
            self.bans.insert(self.ordered(prefix, event));
        }
        self.node.count(Count::Bans, 1);
        self.tell(Kind::Ban, event);
    }

    /// Whitelists, and cancels the bans inside.
    fn free(&mut self, prefix: Prefix, event: &Event) {
        self.whitelist.insert(self.ordered(prefix, event));
        self.tell(Kind::WhitelistAdd, event);
        self.cancel(prefix, event.origin);
        self.freed.push((prefix, event.origin));
    }

    /// The row that an order makes.
    fn ordered(&self, prefix: Prefix, event: &Event) -> Network {
        let end = event.at.saturating_add(event.seconds.saturating_mul(1000));
        Network {
            prefix,
            since: event.at,
            until: match event.seconds {
                Event::FOREVER => FOREVER,
                _ => end.min(FOREVER - 1),
            },
            reason: event.reason,
            origin: event.origin,
            maker: Maker::default(),
            shadow: event.shadow,
            pending: self.has_fleet() && !event.shadow,
        }
    }

    fn has_fleet(&self) -> bool {
        self.node.redis.url.is_some()
    }

    /// Takes out exactly this network, for the whole fleet, as it was ordered at `at`.
    fn remove(&mut self, section: Section, prefix: Prefix, origin: Origin, at: u64) {
        let now = self.node.now();
        let shared = self.has_fleet();
        let book = self.of_mut(section);
        let Some(network) = book.get(prefix).filter(|n| n.holds(now, true)).copied() else {
            return;
        };
        match shared && !network.shadow {
            true => book.insert(Network::removed(prefix, at, origin)),
            false => drop(book.remove(prefix)),
        }
        let kind = match section {
            Section::Bans => {
                self.node.count(Count::Unbans, 1);
                Kind::Unban
            }
            _ => Kind::WhitelistRemove,
        };
        let event = Event::new(kind, prefix.source(), origin);
        let Network { reason, shadow, .. } = network;
        self.tell(
            kind,
            &Event {
                reason,
                shadow,
                ..event
            },
        );
    }

    /// Lifts the bans of networks inside one that is whitelisted.
    pub fn cancel(&mut self, prefix: Prefix, origin: Origin) {
        let now = self.node.now();
        for ban in self.bans.inside(prefix) {
            self.remove(Section::Bans, ban.prefix, origin, now.ms());
        }
    }

    /// Lifts the bans of sources in the networks that were whitelisted since the last time; but not
    /// of one that has lost an entry and is still cooling down. One walk through the ledger, however
    /// many networks there are.
    pub fn cancel_in_ledger(&mut self) {
        let freed = std::mem::take(&mut self.freed);
        if freed.is_empty() {
            return;
        }
        let (node, now) = (self.node, self.node.now());
        let map = PrefixMap::set_of(freed.iter().map(|(prefix, _)| prefix));
        let inside = |source| Prefix::of(source).is_some_and(|prefix| map.table().covers(prefix));
        let banned = node.ledger.entries(0, now).filter(|(_, source, standing)| {
            standing.banned(now, true) && !standing.cooling(now) && inside(*source)
        });
        let banned: Vec<_> = banned.map(|(_, source, _)| source).collect();
        for source in banned {
            let contains =
                |whole: &Prefix| Prefix::of(source).is_some_and(|p| whole.contains_prefix(p));
            let by = freed.iter().find(|(prefix, _)| contains(prefix));
            let origin = by.map_or(Origin::Redis, |(_, origin)| *origin);
            orders::lift(node, node.key_of(source), now, origin);
        }
    }

    /// Takes over what the fleet knows of a network. What changed, for the journal.
    pub fn mirror(&mut self, section: Section, network: Network) -> Option<Event> {
        let now = self.node.now();
        let prefix = network.prefix;
        let known = self.of(section).get(prefix).copied();
        let known = known.filter(|known| known.pending || known.holds(now, false));
        let same = known.is_some_and(|known| {
            let same =
                known.until.abs_diff(network.until) < SAME_MS && known.reason == network.reason;
            known.pending || same
        });
        if same {
            return None;
        }
        self.of_mut(section).insert(network);
        let kind = match section {
            Section::Bans => Kind::Ban,
            _ => {
                self.cancel(prefix, network.origin);
                self.freed.push((prefix, network.origin));
                Kind::WhitelistAdd
            }
        };
        let event = Event {
            reason: network.reason,
            seconds: match network.until {
                FOREVER => Event::FOREVER,
                until => until.saturating_sub(now.ms()).div_ceil(1000),
            },
            ..Event::new(kind, prefix.source(), network.origin)
        };
        known.is_none().then_some(event)
    }

    /// The fleet knows nothing of a network: then it is gone here, too, unless this node has just
    /// ordered it.
    pub fn gone(&mut self, section: Section, prefix: Prefix, now: Now) -> Option<Event> {
        let book = self.of_mut(section);
        let followed = |network: &&Network| !network.pending && !network.shadow;
        let network = *book.get(prefix).filter(followed)?;
        book.remove(prefix);
        let expiring = network.until.saturating_sub(now.ms()) < EXPIRING_MS;
        let kind = match section {
            Section::Bans if expiring => return None,
            Section::Bans => {
                self.node.count(Count::Unbans, 1);
                Kind::Unban
            }
            _ => Kind::WhitelistRemove,
        };
        let reason = network.reason;
        let event = Event::new(kind, prefix.source(), Origin::Redis);
        Some(Event { reason, ..event })
    }

    /// Removes what a full reading has not seen.
    pub fn keep(&mut self, section: Section, seen: impl Fn(Prefix) -> bool, now: Now) {
        let missing = self
            .of(section)
            .iter()
            .filter(|network| !seen(network.prefix));
        let missing: Vec<Prefix> = missing.map(|network| network.prefix).collect();
        for prefix in missing {
            self.gone(section, prefix, now);
        }
    }

    /// The fleet knows of a row that it was told of.
    pub fn settle(&mut self, section: Section, written: &Network) {
        let now = self.node.now();
        self.of_mut(section).settle(written, now);
    }

    /// Enters what a state file remembers. Whether it may stand there.
    pub fn restore(&mut self, section: Section, network: Network) -> bool {
        let fits = check_length(self.node, section, network.prefix).is_ok();
        if fits {
            self.of_mut(section).insert(network);
        }
        fits
    }

    /// Whether they differ from what is published.
    pub fn changed(&self) -> bool {
        self.bans.changed() || self.whitelist.changed()
    }

    /// When the next network ends.
    pub fn ends(&self) -> u64 {
        self.bans.ends().min(self.whitelist.ends())
    }

    /// How many changes the fleet does not know.
    pub fn unwritten(&self) -> usize {
        self.bans.unwritten() + self.whitelist.unwritten()
    }

    /// Tells the journal and the history of what was done to the network of an event.
    fn tell(&self, kind: Kind, event: &Event) {
        let event = Event { kind, ..*event };
        self.journal.borrow_mut().write(&event, self.node.now());
        if let Some(link) = &self.link {
            // A full queue loses a line of history; the change itself is marked.
            let _ = link.try_send(event);
        }
    }
}
