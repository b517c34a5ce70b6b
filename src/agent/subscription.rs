//! One feed as the agent follows it: what is known of it, when it is fetched next, and what is said of
//! it in the log.
//!
//! Changed by the task `feeds` alone. It fetches nothing and publishes nothing.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::fetch::{Failure, Mark};
use crate::config::Feed;
use crate::config::feeds::Origin;
use crate::feed::{Copy, Entry};
use crate::kamailio::log;
use crate::shared::feeds::FeedState;

/// The first pause after a failure, in seconds; it doubles up to `refresh`.
pub const RETRY: u64 = 30;

/// A feed, and how it is.
pub struct Subscription {
    pub feed: &'static Feed,
    pub entries: Arc<Vec<Entry>>,
    pub mark: Mark,
    pub cursor: String,
    /// `None` while it is being fetched.
    pub due: Option<Instant>,
    /// An operator wants it now.
    pub forced: bool,
    /// And as it is, however little is left.
    pub confirmed: bool,
    pub state: FeedState,
}

impl Subscription {
    /// The list is as it was, and counts for another while.
    pub fn confirm(&mut self) {
        let now = unix();
        self.state.loaded = u64::from(now);
        if self.feed.ttl.is_some() {
            for entry in Arc::make_mut(&mut self.entries) {
                entry.seen = now;
            }
        }
    }

    /// All is well again, which is said if it was not.
    pub fn recovered(&mut self) {
        self.state.entries = self.entries.len() as u64;
        self.state.failures = 0;
        if !std::mem::take(&mut self.state.problem).is_empty() {
            log::warn(format_args!("feed {}: it is fine again", self.feed.name));
        }
    }

    /// Says what went wrong, once; the pause until the next try, in seconds.
    pub fn fail(&mut self, failure: Failure, has_list: bool) -> u64 {
        let Failure {
            problem,
            pause,
            mark,
        } = failure;
        // A server is asked for the whole list again; a file need not be read again as it is.
        if let (Some(mark), Origin::File(_)) = (mark, &self.feed.origin) {
            self.mark = *mark;
        }
        if self.state.problem != problem {
            let stays = match has_list {
                true => "the list before it stays",
                false => "there is no list yet",
            };
            log::warn(format_args!("feed {}: {problem}; {stays}", self.feed.name));
            self.state.problem = problem;
        }
        let doubled = RETRY << self.state.failures.min(12);
        self.state.failures += 1;
        let refresh = self.feed.refresh;
        pause.map_or(doubled.min(refresh), |pause| pause.max(1))
    }

    /// Sets when it is fetched next: after `pause` seconds, or as `refresh` says.
    pub fn wait(&mut self, pause: Option<u64>) {
        let seconds = pause.unwrap_or(self.feed.refresh);
        let ms = match self.forced {
            true => 0,
            false => spread(seconds * 1000),
        };
        self.due = Some(Instant::now() + Duration::from_millis(ms));
        self.state.next = u64::from(unix()) + ms.div_ceil(1000);
    }

    /// Begins with a copy.
    pub fn adopt(&mut self, copy: Copy) {
        let newest = copy.entries.iter().map(|entry| entry.seen).max();
        self.state.loaded = newest.map_or(0, u64::from);
        self.mark.etag = copy.etag;
        self.mark.modified = copy.modified;
        self.cursor = copy.cursor;
        self.state.entries = copy.entries.len() as u64;
        self.entries = Arc::new(copy.entries);
    }

    /// What holds now, to be kept.
    pub fn copy(&self) -> Copy {
        Copy {
            origin: self.feed.shown.clone(),
            etag: self.mark.etag.clone(),
            modified: self.mark.modified.clone(),
            cursor: self.cursor.clone(),
            entries: self.entries.to_vec(),
        }
    }

    /// Says how many entries hold.
    pub fn tell(&self, level: log::Level, how: &str) {
        let (name, entries) = (&self.feed.name, self.entries.len());
        let skipped = match self.state.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped ({})", self.state.reasons),
        };
        log::at(
            level,
            format_args!("feed {name}: {entries} entries, {how}{skipped}"),
        );
    }
}

/// Whether two lists name the same at the same places.
pub fn same(before: &[Entry], after: &[Entry]) -> bool {
    let place = |entry: &Entry| (entry.prefix, entry.line);
    before.iter().map(place).eq(after.iter().map(place))
}

/// A tenth more or less, so that a fleet does not ask at the same moment.
fn spread(ms: u64) -> u64 {
    let tenth = ms / 10;
    let dice = RandomState::new().hash_one(ms);
    (ms - tenth) + dice % (2 * tenth + 1)
}

/// Seconds since 1970.
pub fn unix() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u32::try_from(now.unwrap_or_default().as_secs()).unwrap_or(u32::MAX)
}
