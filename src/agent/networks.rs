//! The agent's part in networks: has the orders about them carried out, and publishes the books for
//! all processes.
//!
//! Two tasks of the agent: one publishes, at once after a pause and then at most every 50 ms, and
//! takes out what has ended; the other reads `whitelist_file` anew when it is told to. Of a book that
//! does not fit, what came last is left out, and that is said.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::books::Books;
use crate::cidr::{Prefix, PrefixMap};
use crate::commands::WHITELIST_FILE;
use crate::config::WhitelistSources;
use crate::domain::Domain;
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::events::{Event, Kind};
use crate::shared::notes::Note;
use crate::shared::snapshot::{Section, TooLarge, Writer, prefix_words};
use crate::shared::statistics::Count;

/// Between two publications, if they are quick.
const PAUSE: Duration = Duration::from_millis(50);
/// A pause is so many times longer than the last publication took.
const IDLE: u32 = 4;
/// Before networks are taken out that have ended.
const TIDY: Duration = Duration::from_secs(1);
/// Nothing is to be done before that: then the clock is looked at again.
const LOOK: Duration = Duration::from_secs(3600);

/// A handle to the books, for each task of the agent that changes them.
#[derive(Clone)]
pub struct Networks {
    desk: Rc<RefCell<Desk>>,
    changed: Rc<Notify>,
    reload: Rc<Notify>,
    /// Tells of the names in the static whitelist, when it was read anew.
    names: Rc<watch::Sender<Vec<Domain>>>,
}

struct Desk {
    node: &'static Node,
    writer: Writer,
    books: Books,
    /// Another list was set and is not published yet.
    others: bool,
    published: Instant,
    pause: Duration,
}

impl Networks {
    /// With what an earlier agent has published.
    pub fn recover(
        node: &'static Node,
        books: Books,
        names: watch::Sender<Vec<Domain>>,
    ) -> Networks {
        let desk = Desk {
            node,
            writer: node.lists.snapshot.writer(),
            books,
            others: false,
            published: Instant::now() - PAUSE,
            pause: PAUSE,
        };
        Networks {
            desk: Rc::new(RefCell::new(desk)),
            changed: Rc::default(),
            reload: Rc::default(),
            names: Rc::new(names),
        }
    }

    /// Carries out what an event orders. False if it orders nothing here: then it is others' to
    /// write down.
    pub fn obey(&self, event: &Event) -> bool {
        match event.kind {
            Kind::Reload => {
                if event.text.bytes() == WHITELIST_FILE.as_bytes() {
                    self.reload.notify_one();
                }
                true
            }
            Kind::Mode => {
                if event.seconds == 0 {
                    self.change(|books| books.bans.remove_all(|network| network.shadow));
                }
                false
            }
            Kind::WhitelistAdd => {
                let prefix = Prefix::of(event.source).into_iter();
                prefix.for_each(|p| self.change(|books| books.cancel(p, event.origin)));
                false
            }
            _ => self.change(|books| books.obey(event)),
        }
    }

    /// Does something to the books; it is published within the pause.
    pub fn change<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let outcome = change(&mut self.desk.borrow_mut().books);
        self.changed.notify_one();
        outcome
    }

    /// Looks something up in the books.
    pub fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.desk.borrow().books)
    }

    /// Replaces a list that is not one of networks; `None` takes it away. It is published with the
    /// next change, or within the pause.
    ///
    /// # Errors
    /// [`TooLarge`]; the list before it stays.
    pub fn set(&self, section: Section, words: Option<Vec<u64>>) -> Result<(), TooLarge> {
        let mut desk = self.desk.borrow_mut();
        desk.writer.set(section, words)?;
        desk.others = true;
        self.changed.notify_one();
        Ok(())
    }

    /// The words of a list as they will be published, or are.
    pub fn words(&self, section: Section) -> Vec<u64> {
        self.desk.borrow().writer.words(section).to_vec()
    }

    /// Publishes what changes, and ends what ends; runs for ever.
    pub async fn publish(self) {
        loop {
            let wait = self.desk.borrow_mut().tend();
            tokio::select! {
                _ = sleep(wait) => {}
                _ = self.changed.notified() => {}
            }
        }
    }

    /// Reads `whitelist_file` anew each time that it is asked to; runs for ever.
    pub async fn reload(self) {
        let node = self.desk.borrow().node;
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

impl Desk {
    /// Does what is due; how long until something will be, unless something changes.
    fn tend(&mut self) -> Duration {
        let now = self.node.now();
        let books = &mut self.books;
        let changed = books.changed() || self.others;
        if changed || books.ends() <= now.ms() {
            // Readers see for themselves what has ended: taking it out is not urgent.
            let pause = if changed {
                self.pause
            } else {
                self.pause.max(TIDY)
            };
            let rest = pause.saturating_sub(self.published.elapsed());
            if !rest.is_zero() {
                return rest;
            }
            books.cancel_in_ledger();
            books.bans.expire(now);
            books.whitelist.expire(now);
            if self.others || books.changed() {
                self.publish();
            }
        }
        // The clock is coarse: a little later is surely not too early.
        let wait = self.books.ends().saturating_sub(now.ms()).saturating_add(5);
        Duration::from_millis(wait).min(LOOK)
    }

    fn publish(&mut self) {
        let began = Instant::now();
        self.put(Section::Whitelist);
        self.put(Section::Bans);
        self.others = false;
        self.writer.publish();
        self.published = Instant::now();
        self.pause = PAUSE.max(began.elapsed() * IDLE);
    }

    /// Hands a book to the writer; what came last is left out if there is no room for it.
    fn put(&mut self, section: Section) {
        let book = self.books.of_mut(section);
        let (said, mut left_out, mut problem) = (book.full, 0, None);
        while book.changed() {
            let outcome = self.writer.set(section, book.words());
            book.full = problem.is_some();
            let Err(error) = outcome else {
                book.published();
                continue;
            };
            problem = Some(error);
            let count = book.leave_out(error.excess());
            left_out += count;
            if count == 0 {
                *book = Book::new(self.node.lists.rows(section));
                book.full = true;
            }
        }
        let Some(error) = problem else {
            return;
        };
        self.node.count(Count::Errors, left_out as u64);
        if !said {
            log::error(format_args!(
                "{error}; {left_out} networks that came last are left out, and so are others \
                 until there is room"
            ));
        }
    }
}
