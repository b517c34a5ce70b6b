//! The ledger: one record for each address (and for each user at an address) that has a state of
//! its own: a ban, a whitelist entry, trust, strikes. Fixed in size, exact in its keys, without
//! locks.
//!
//! Called by SIP workers (one look per request, changes on offences), RPC processes and the agent
//! (`sweep`). It never waits, never allocates, and never matches an address by a short hash: the
//! fingerprints only say where looking is worth it.
//!
//! Sixteen records make a bucket; its sixteen 16-bit fingerprints share half a cache line, so a
//! source without a state costs one read. Two processes that insert the same key in the same instant
//! may, rarely, leave two records: readers take all of them together, and both fade.

mod ban;
mod bucket;
mod ceilings;
mod census;
mod denials;
mod guesses;
mod listing;
mod lookup;
mod mirror;
mod mutes;
mod offenders;
mod pending;
mod provenance;
mod slot;
mod strikes;
mod sweep;
mod users;

pub use census::Census;
pub use denials::Denials;
pub use mirror::{EXPIRING_MS, Mirrored, SAME_MS};
pub use mutes::Mute;
pub use pending::{Aspect, Pending};
pub use provenance::{Maker, Provenance};

use super::sync::{AtomicU64, Ordering::Relaxed};
use crate::engine::facts::{Ban, FOREVER, Now, Origin, Standing};
use crate::source::Source;
use ban::{SHADOW, VALIDATED, pack_origin, unpack_ban};
use bucket::Class;
use slot::{BESIDE, Meta, Slot, Update, WORDS, Word};

/// Records in a bucket.
const WAYS: usize = 16;
/// Fingerprints in a word.
const LANES: usize = 4;
/// How often a change is tried again when its record went to another owner meanwhile.
const TRIES: usize = 8;

/// There is no room that may be taken: every record of the bucket is worth more, or the share of
/// the whitelist is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A source and its place, computed once per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Who.
    pub source: Source,
    /// [`super::hash::Keys::source`] of it.
    pub hash: u64,
}

/// The table. Cheap to copy: all of it lies in the region.
#[derive(Clone, Copy)]
pub struct Ledger {
    tags: &'static [AtomicU64],
    words: &'static [AtomicU64],
    /// [`BESIDE`] words for each record.
    beside: &'static [AtomicU64],
    census: Census,
    /// `strike_window` in milliseconds.
    strike_window_ms: u64,
    /// Records in a bucket: [`WAYS`], fewer in models.
    ways: usize,
    /// The number of buckets less one. A division at each look-up would cost more than the look.
    bucket_mask: usize,
    agent: bool,
}

/// Where a source was found. It saves the next look for it; if the record has gone to another source
/// since, every change of it fails, and the source is looked for anew.
#[derive(Clone, Copy)]
pub struct Record(Slot, Meta);

/// Words that the region must hold for a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Fingerprints.
    pub tags: usize,
    /// Records, and what is kept beside them.
    pub words: usize,
}

impl Ledger {
    /// What a ledger of `records` records takes, rounded up to a power of two of buckets.
    pub fn size(records: usize) -> Size {
        let records = records.max(WAYS).next_power_of_two();
        Size {
            tags: records / LANES,
            words: records * (WORDS + BESIDE),
        }
    }

    /// A ledger over zeroed words of the region, sized by [`Ledger::size`].
    pub fn new(
        tags: &'static [AtomicU64],
        words: &'static [AtomicU64],
        census: Census,
        strike_window_secs: u64,
    ) -> Ledger {
        let records = tags.len() * LANES;
        let (words, beside) = words.split_at(records * WORDS);
        assert!(
            beside.len() == records * BESIDE,
            "a fingerprint for each record"
        );
        let strike_window_ms = strike_window_secs * 1000;
        Ledger {
            tags,
            words,
            beside,
            census,
            strike_window_ms,
            ways: WAYS,
            bucket_mask: records / WAYS - 1,
            agent: false,
        }
    }

    /// The same ledger as the agent uses it: what it claims can be recovered by its successor.
    pub fn for_agent(self) -> Ledger {
        Ledger {
            agent: true,
            ..self
        }
    }

    /// How many records there are.
    pub fn capacity(&self) -> usize {
        self.words.len() / WORDS
    }

    /// The counts of the last sweep.
    pub fn census(&self) -> Census {
        self.census
    }

    /// What is known of a source. Changes nothing.
    #[inline]
    pub fn standing(&self, key: Key, now: Now) -> Standing {
        let mut standing = Standing::default();
        self.add_standing(&key, now, &mut standing);
        standing
    }

    /// Adds what is known of a source to a standing that says nothing yet. Where it is kept, for whoever
    /// changes it next. In place and not as a value, because each copy of so large a thing costs as
    /// much as the look at the table.
    #[inline(always)]
    pub fn add_standing(&self, key: &Key, now: Now, standing: &mut Standing) -> Option<Record> {
        match self.is_stranger(key.hash) {
            true => None,
            false => self.add_records(key, now, standing),
        }
    }

    fn add_records(&self, key: &Key, now: Now, standing: &mut Standing) -> Option<Record> {
        let mut record = None;
        self.each(key, None, |slot, meta| {
            self.merge(standing, slot, meta, now);
            record.get_or_insert(Record(*slot, meta));
        });
        record
    }

    /// Records a ban. A ban that already holds stays as it is unless `replace` says otherwise (an
    /// operator's word); a shadow ban always gives way to a real one, and never takes the place of
    /// one. Whether it was recorded.
    ///
    /// # Errors
    /// [`Full`].
    pub fn ban(&self, key: Key, now: Now, ban: Ban, replace: bool) -> Result<bool, Full> {
        let class = if ban.validated {
            Class::Ban
        } else {
            Class::ForgeableBan
        };
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, None, class, now)?;
            let gives_way = match slot.payload(meta, Word::BanOrigin) & SHADOW != 0 {
                true => replace || !ban.shadow,
                false => replace && !ban.shadow,
            };
            let packed = ban.until << 8 | u64::from(ban.reason.number());
            match slot.update(meta, Word::Ban, |old| {
                (gives_way || old >> 8 <= now.ms()).then_some(packed)
            }) {
                Update::Kept(_) => return Ok(false),
                Update::Lost => continue,
                Update::Done(_) => {}
            }
            slot.update(meta, Word::BanOrigin, |_| Some(pack_origin(&ban)));
            slot.update(meta, Word::Provenance, |old| {
                provenance::made_by(old, Maker::default())
            });
            return Ok(true);
        }
        Err(Full)
    }

    /// Remembers a validated ban that ends at `until` for `memory_ms` after it.
    pub fn remember(&self, key: Key, now: Now, until: u64, memory_ms: u64) {
        let forget = until.saturating_add(memory_ms).min(FOREVER);
        self.change(key, Word::RepeatsOrUserHigh, |old| {
            let earlier = if old >> 8 > now.ms() { old & 0xff } else { 0 };
            Some(forget << 8 | (earlier + 1).min(0xff))
        });
    }

    /// Ends a ban or a hold and what led to it, also for the users of that address, and begins the grace.
    /// Whether there was anything to lift.
    pub fn unban(&self, key: Key, now: Now, grace_until: u64) -> bool {
        let mut lifted = false;
        self.each(&key, None, |slot, meta| {
            let held = |word| slot.update(meta, word, |old| (old != 0).then_some(0));
            if let Update::Done(old) = held(Word::Ban) {
                lifted |= old >> 8 > now.ms();
            }
            if let Update::Done(old) = held(Word::Strikes) {
                lifted |= strikes::total(old, now.ms(), self.strike_window_ms) > 0;
            }
            lifted |= lookup::release(slot, meta);
            for word in [
                Word::UsersOrUserLow,
                Word::RepeatsOrUserHigh,
                Word::Guesses,
                Word::Forgeable,
            ] {
                held(word);
            }
        });
        lifted |= self.forget_users(key, now);
        if lifted {
            self.change(key, Word::Grace, |_| Some(grace_until << 8));
        }
        lifted
    }

    /// Adds or extends a whitelist entry that ends at `until`.
    ///
    /// # Errors
    /// [`Full`]: the whitelist's share, a quarter of the ledger, is used up.
    pub fn whitelist(&self, key: Key, now: Now, until: u64, origin: Origin) -> Result<(), Full> {
        let new = !self.standing(key, now).whitelisted(now);
        if new && self.census.whitelisted() >= self.capacity() as u64 / 4 {
            return Err(Full);
        }
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, None, Class::Whitelist, now)?;
            let packed = until << 8 | u64::from(origin as u8);
            if slot.update(meta, Word::Whitelist, |_| Some(packed)) == Update::Lost {
                continue;
            }
            slot.update(meta, Word::Ceiling, |old| Some(mutes::with_time(old, 0)));
            if new {
                slot.update(meta, Word::Provenance, |old| provenance::since(old, now));
                self.census.whitelist_grew();
            }
            return Ok(());
        }
        Err(Full)
    }

    /// Deletes the whitelist entry. Whether there was one.
    pub fn unwhitelist(&self, key: Key, now: Now) -> bool {
        let mut removed = false;
        self.each(&key, None, |slot, meta| {
            let update = slot.update(meta, Word::Whitelist, |old| (old != 0).then_some(0));
            removed |= matches!(update, Update::Done(old) if old >> 8 > now.ms());
        });
        removed
    }

    /// Revokes: the whitelist entry and the trust are gone, the cool-down begins. An entry of a
    /// whole network stays, but not for a source that cools down. Whether this call did it
    /// (another process may have been faster).
    pub fn revoke(&self, key: Key, now: Now, cooldown_until: u64) -> bool {
        let own_entry = self.standing(key, now).whitelisted(now);
        let mut began = false;
        self.change(key, Word::Cooldown, |old| {
            began = old >> 8 <= now.ms();
            began.then_some(cooldown_until << 8)
        });
        self.change(key, Word::Trust, |_| Some(0));
        let removed = self.unwhitelist(key, now);
        if own_entry { removed } else { began }
    }

    fn merge(&self, standing: &mut Standing, slot: &Slot, meta: Meta, now: Now) {
        let time = |word| slot.payload(meta, word) >> 8;
        let ban = unpack_ban(slot, meta);
        if ban.until > standing.ban.until {
            standing.ban = ban;
        }
        standing.whitelisted_until = standing.whitelisted_until.max(time(Word::Whitelist));
        standing.trusted_until = standing.trusted_until.max(time(Word::Trust));
        standing.grace_until = standing.grace_until.max(time(Word::Grace));
        standing.cooldown_until = standing.cooldown_until.max(time(Word::Cooldown));
        lookup::merge(&mut standing.look_up, slot, meta, now);
        let counts = slot.payload(meta, Word::Strikes);
        if counts != 0 {
            standing.strikes += strikes::total(counts, now.ms(), self.strike_window_ms);
        }
        if !meta.is_user() {
            standing.mutes |= mutes::possible(slot.payload(meta, Word::Ceiling), now);
            let users = match counts {
                0 => 0,
                _ => slot.payload(meta, Word::UsersOrUserLow),
            };
            if users != 0 && strikes::same_window(counts, now.ms(), self.strike_window_ms) {
                standing.users = standing.users.max(users::estimate(users));
            }
            let near = guesses::forgiven(slot.payload(meta, Word::Guesses), now);
            standing.near_misses = standing.near_misses.max(near);
            let repeats = slot.payload(meta, Word::RepeatsOrUserHigh);
            if repeats >> 8 > now.ms() {
                standing.repeats = standing.repeats.max((repeats & 0xff) as u32);
                standing.repeats_until = standing.repeats_until.max(repeats >> 8);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod stress_tests;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;
