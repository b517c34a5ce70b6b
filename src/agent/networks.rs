//! The agent's part in networks: carries out the orders about them, keeps the books, and publishes
//! them for all processes.
//!
//! Two tasks of the agent: one publishes, at once after a pause and then at most every 50 ms, and
//! ends what has ended; the other reads `whitelist_file` anew when it is told to. A book that does not
//! fit is put back to what is published, and that is said.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::journal::Journal;
use crate::cidr::{Prefix, PrefixMap};
use crate::commands::WHITELIST_FILE;
use crate::config::WhitelistSources;
use crate::domain::Domain;
use crate::engine::facts::{FOREVER, Now, Origin};
use crate::kamailio::log;
use crate::node::Node;
use crate::orders;
use crate::shared::events::{Event, Kind};
use crate::shared::notes::Note;
use crate::shared::snapshot::{Network, Section, TooLarge, Writer, prefix_words};
use crate::shared::statistics::Count;

/// Between two publications, if they are quick.
const PAUSE: Duration = Duration::from_millis(50);
/// A pause is so many times longer than the last publication took.
const IDLE: u32 = 4;
/// Nothing is to be done before that: then the clock is looked at again.
const LOOK: Duration = Duration::from_secs(3600);

/// A handle to the books, for each task of the agent that changes them.
#[derive(Clone)]
pub struct Networks {
    books: Rc<RefCell<Books>>,
    changed: Rc<Notify>,
    reload: Rc<Notify>,
    /// Tells of the names in the static whitelist, when it was read anew.
    names: Rc<watch::Sender<Vec<Domain>>>,
}

struct Books {
    node: &'static Node,
    journal: Rc<RefCell<Journal>>,
    writer: Writer,
    bans: Book,
    whitelist: Book,
    /// Another list was set and is not published yet.
    others: bool,
    published: Instant,
    pause: Duration,
}

impl Networks {
    /// With what an earlier agent has published.
    pub fn recover(
        node: &'static Node,
        journal: Rc<RefCell<Journal>>,
        names: watch::Sender<Vec<Domain>>,
    ) -> Networks {
        let books = Books {
            node,
            journal,
            writer: node.lists.snapshot.writer(),
            bans: published(node, Section::Bans),
            whitelist: published(node, Section::Whitelist),
            others: false,
            published: Instant::now() - PAUSE,
            pause: PAUSE,
        };
        Networks {
            books: Rc::new(RefCell::new(books)),
            changed: Rc::default(),
            reload: Rc::default(),
            names: Rc::new(names),
        }
    }

    /// Carries out what an event orders. False if it orders nothing here: then it is others' to
    /// write down.
    pub fn obey(&self, event: &Event) -> bool {
        let mut books = self.books.borrow_mut();
        let prefix = || Prefix::of(event.source);
        match event.kind {
            Kind::BanNetwork => prefix().into_iter().for_each(|p| books.ban(p, event)),
            Kind::UnbanNetwork => prefix().into_iter().for_each(|p| books.unban(p, event)),
            Kind::WhitelistNetwork => prefix().into_iter().for_each(|p| books.free(p, event)),
            Kind::UnwhitelistNetwork => prefix().into_iter().for_each(|p| books.unfree(p, event)),
            Kind::Reload if event.text.bytes() == WHITELIST_FILE.as_bytes() => {
                self.reload.notify_one();
            }
            Kind::Reload => {}
            Kind::Mode if event.seconds == 0 => {
                books.bans.remove_all(|network| network.shadow);
                self.changed.notify_one();
                return false;
            }
            _ => return false,
        }
        self.changed.notify_one();
        true
    }

    /// Replaces a list that is not one of networks; `None` takes it away. It is published with the
    /// next change, or within the pause.
    ///
    /// # Errors
    /// [`TooLarge`]; the list before it stays.
    pub fn set(&self, section: Section, words: Option<Vec<u64>>) -> Result<(), TooLarge> {
        let mut books = self.books.borrow_mut();
        books.writer.set(section, words)?;
        books.others = true;
        self.changed.notify_one();
        Ok(())
    }

    /// Publishes what changes, and ends what ends; runs for ever.
    pub async fn publish(self) {
        loop {
            let wait = self.books.borrow_mut().tend();
            tokio::select! {
                _ = sleep(wait) => {}
                _ = self.changed.notified() => {}
            }
        }
    }

    /// Reads `whitelist_file` anew each time that it is asked to; runs for ever.
    pub async fn reload(self) {
        let node = self.books.borrow().node;
        loop {
            self.reload.notified().await;
            let sources = node.whitelist_sources.clone();
            let read = spawn_blocking(move || read_whitelist(&sources)).await;
            let read = read.unwrap_or_else(|_| Err("the reading has failed".into()));
            let outcome = read.and_then(|list| {
                let set = self.set(Section::Listed, Some(list.words));
                set.map_err(|error| error.to_string())?;
                self.names.send_replace(list.names);
                Ok(list.text)
            });
            match outcome {
                Ok(text) => {
                    node.notes.write(Note::WhitelistFile, &text);
                    log::at(node.log_level, format_args!("{WHITELIST_FILE}: {text}"));
                }
                Err(text) => {
                    let text = format!("{text}; the list before it stays");
                    node.notes.write(Note::WhitelistFile, &text);
                    log::error(text);
                }
            }
        }
    }
}

/// The static whitelist, read anew.
struct Listed {
    words: Vec<u64>,
    names: Vec<Domain>,
    /// What to say about it.
    text: String,
}

fn read_whitelist(sources: &WhitelistSources) -> Result<Listed, String> {
    let file = sources.read_file()?;
    let map = PrefixMap::set_of(sources.lines.iter().chain(&file.prefixes));
    let warning = file.warning.map(|warning| format!("; {warning}"));
    let entries = file.prefixes.len() + file.names.len();
    let mut names = sources.names.clone();
    names.extend(file.names);
    Ok(Listed {
        words: prefix_words(&map),
        names,
        text: format!("{entries} entries read anew{}", warning.unwrap_or_default()),
    })
}

fn published(node: &Node, section: Section) -> Book {
    let read = node.lists.snapshot.read(&[section], |view| {
        let networks = view.networks(section)?;
        Some(networks.iter().collect::<Vec<Network>>())
    });
    Book::new(section, read.ok().flatten().unwrap_or_default())
}

impl Books {
    fn ban(&mut self, prefix: Prefix, event: &Event) {
        self.bans.insert(network(prefix, event, self.node.now()));
        self.node.count(Count::Bans, 1);
        self.tell(Kind::Ban, prefix, event);
    }

    fn unban(&mut self, prefix: Prefix, event: &Event) {
        if let Some(ban) = self.bans.remove(prefix) {
            self.lifted(&ban, event.origin);
        }
    }

    fn lifted(&self, ban: &Network, origin: Origin) {
        let source = ban.prefix.source();
        let event = Event {
            reason: ban.reason,
            ..Event::new(Kind::Unban, source, origin)
        };
        self.node.count(Count::Unbans, 1);
        self.tell(Kind::Unban, ban.prefix, &event);
    }

    /// Whitelists, and cancels the bans inside; but not of a source that has lost an entry and is
    /// still cooling down.
    fn free(&mut self, prefix: Prefix, event: &Event) {
        let (node, now) = (self.node, self.node.now());
        self.whitelist.insert(network(prefix, event, now));
        self.tell(Kind::WhitelistAdd, prefix, event);
        let inside = |ban: &Network| prefix.contains_prefix(ban.prefix);
        for ban in self.bans.remove_all(inside) {
            self.lifted(&ban, event.origin);
        }
        let banned = node.ledger.entries(0, now).filter(|(_, source, standing)| {
            let inside = Prefix::of(*source).is_some_and(|source| prefix.contains_prefix(source));
            inside && standing.banned(now, true) && !standing.cooling(now)
        });
        let banned: Vec<_> = banned.map(|(_, source, _)| source).collect();
        for source in banned {
            orders::lift(node, node.key_of(source), now, event.origin);
        }
    }

    fn unfree(&mut self, prefix: Prefix, event: &Event) {
        if self.whitelist.remove(prefix).is_some() {
            self.tell(Kind::WhitelistRemove, prefix, event);
        }
    }

    fn tell(&self, kind: Kind, prefix: Prefix, event: &Event) {
        let source = prefix.source();
        let event = Event {
            kind,
            source,
            ..*event
        };
        self.journal.borrow_mut().write(&event, self.node.now());
    }

    /// Does what is due; how long until something will be, unless something changes.
    fn tend(&mut self) -> Duration {
        let now = self.node.now();
        self.bans.expire(now);
        self.whitelist.expire(now);
        if self.bans.changed() || self.whitelist.changed() || self.others {
            let rest = self.pause.saturating_sub(self.published.elapsed());
            if !rest.is_zero() {
                return rest;
            }
            self.publish();
        }
        let ends = self.bans.ends().min(self.whitelist.ends());
        // The clock is coarse: a little later is surely not too early.
        let wait = Duration::from_millis(ends.saturating_sub(now.ms()).saturating_add(5));
        wait.min(LOOK)
    }

    fn publish(&mut self) {
        let began = Instant::now();
        for book in [&mut self.bans, &mut self.whitelist] {
            if !book.changed() {
                continue;
            }
            if let Err(error) = self.writer.set(book.section, book.words()) {
                log::error(format_args!(
                    "{error}; what was ordered last is not carried out"
                ));
                *book = published(self.node, book.section);
            }
        }
        self.others = false;
        self.writer.publish();
        self.published = Instant::now();
        self.pause = PAUSE.max(began.elapsed() * IDLE);
    }
}

fn network(prefix: Prefix, event: &Event, now: Now) -> Network {
    let until = match event.seconds {
        Event::FOREVER => FOREVER,
        seconds => now.after(seconds),
    };
    Network {
        prefix,
        since: now.ms(),
        until,
        reason: event.reason,
        origin: event.origin,
        shadow: event.shadow,
    }
}
