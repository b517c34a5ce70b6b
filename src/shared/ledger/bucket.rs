//! Finding and making records: fingerprints, buckets, and who gives way in a full one.
//!
//! Used by the ledger only.
#![forbid(unsafe_code)]

use super::slot::{Meta, Slot, State, WORDS, Word};
use super::{
    AtomicU64, BESIDE, Full, Key, LANES, Ledger, Relaxed, Update, denials, guesses, lookup, mutes,
    strikes,
};
use crate::engine::facts::{FOREVER, Now};
use crate::engine::lookup::{Answer, LookUp};
use crate::gcra;
#[cfg(not(loom))]
use crate::shared::region::fetch_ahead;

/// How much a record is worth, least first: in a full bucket the least valuable gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nothing in it holds any more.
    Dead,
    /// Only a count of refusals, for a list: gives way to anything else.
    Denied,
    /// Strikes, grace, a ceiling in use: soon forgotten anyway.
    Strikes,
    /// Its name is looked up, or spares it a ban.
    Held,
    /// A first ban on evidence that can be forged.
    ForgeableBan,
    /// A first ban.
    Ban,
    /// Banned more than once, or cooling down after a revocation.
    Repeat,
    /// A user logged in from there.
    Trusted,
    /// Never gives way.
    Whitelist,
}

/// Looks at a record that another process is making: a few microseconds, and only when two insert
/// the same address in the same instant. A model explores all instants anyway.
const SPINS: usize = if cfg!(loom) { 1 } else { 1000 };

impl Ledger {
    /// The first place of the bucket of a hash.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        // Other bits than the rate table uses, so that neighbours there are none here.
        (hash.rotate_left(32) as usize & self.bucket_mask) * self.ways
    }

    fn lane(&self, place: usize) -> (usize, u32) {
        (place / LANES, 16 * (place % LANES) as u32)
    }

    /// The fingerprint at a place; 0 is none.
    pub(super) fn tag(&self, place: usize) -> u16 {
        let (word, shift) = self.lane(place);
        (self.tags[word].load(Relaxed) >> shift) as u16
    }

    /// Sets a fingerprint. Its lane belongs to the owner of the record; the neighbours do not.
    pub(super) fn set_tag(&self, place: usize, tag: u16) {
        let (word, shift) = self.lane(place);
        let word = &self.tags[word];
        let mut value = word.load(Relaxed);
        loop {
            let next = value & !(0xffff << shift) | u64::from(tag) << shift;
            match word.compare_exchange_weak(value, next, super::slot::TAG_SET, Relaxed) {
                Ok(_) => return,
                Err(changed) => value = changed,
            }
        }
    }

    pub(super) fn slot(&self, place: usize) -> Slot {
        Slot::new(
            &self.words[place * WORDS..][..WORDS],
            &self.beside[place * BESIDE..][..BESIDE],
        )
    }

    /// Has the fingerprints fetched that the first look at a key will read.
    #[cfg(not(loom))]
    #[inline]
    pub fn fetch_ahead(&self, hash: u64) {
        let first = self.first(hash);
        fetch_ahead(&self.tags[first / LANES]);
    }

    /// Whether there is no record of an address with this hash, as the fingerprints say of nearly
    /// everybody.
    #[inline(always)]
    pub(super) fn is_stranger(&self, hash: u64) -> bool {
        let wanted = fingerprint(hash, None);
        let mut tags = self.tags_of(hash).iter();
        tags.all(|tags| !may_contain(tags.load(super::slot::TAG_READ), wanted))
    }

    #[inline(always)]
    fn tags_of(&self, hash: u64) -> &'static [AtomicU64] {
        &self.tags[self.first(hash) / LANES..][..self.ways.div_ceil(LANES)]
    }

    /// Calls `visit` for each live record of this key.
    #[inline]
    pub(super) fn each(&self, key: &Key, user: Option<u128>, mut visit: impl FnMut(&Slot, Meta)) {
        let wanted = fingerprint(key.hash, user);
        let first = self.first(key.hash);
        for (word, tags) in self.tags_of(key.hash).iter().enumerate() {
            let tags = tags.load(super::slot::TAG_READ);
            if !may_contain(tags, wanted) {
                continue;
            }
            for lane in 0..LANES {
                if (tags >> (16 * lane)) as u16 == wanted {
                    self.visit_match(first + word * LANES + lane, key, user, &mut visit);
                }
            }
        }
    }

    fn visit_match(
        &self,
        place: usize,
        key: &Key,
        user: Option<u128>,
        visit: &mut impl FnMut(&Slot, Meta),
    ) {
        let slot = self.slot(place);
        if let Some((meta, bits, who)) = slot.key()
            && bits == key.source.bits()
            && meta.length() == key.source.length()
            && who == user
        {
            visit(&slot, meta);
        }
    }

    /// The first live record of this key.
    pub(super) fn find(&self, key: Key, user: Option<u128>) -> Option<(Slot, Meta)> {
        let mut found = None;
        self.each(&key, user, |slot, meta| {
            found.get_or_insert((*slot, meta));
        });
        found
    }

    /// The record of this key; one that another process is just making is waited for, a moment
    /// and no longer: its maker may be dead.
    fn find_or_await(&self, key: Key, user: Option<u128>) -> Option<(Slot, Meta)> {
        let tag = fingerprint(key.hash, user);
        let first = self.first(key.hash);
        for _ in 0..SPINS {
            let found = self.find(key, user);
            let in_the_making = || {
                (first..first + self.ways).any(|place| {
                    let meta = self.slot(place).meta();
                    let claimed = meta.is(State::Claimed) || meta.is(State::ClaimedByAgent);
                    claimed && meta.tag() == tag
                })
            };
            if found.is_some() || !in_the_making() {
                return found;
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The record of this key, made if there is none: in a free place of its bucket, or in that
    /// of the least valuable record. A newcomer of `class` never displaces a repeat offender or a
    /// trusted source worth more than itself, and nobody displaces a whitelist entry.
    pub(super) fn find_or_insert(
        &self,
        key: Key,
        user: Option<u128>,
        class: Class,
        now: Now,
    ) -> Result<(Slot, Meta), Full> {
        for _ in 0..super::TRIES {
            if let Some(found) = self.find_or_await(key, user) {
                return Ok(found);
            }
            let Some((place, meta, worth)) = self.victim(key.hash, now) else {
                return Err(Full);
            };
            let protected = worth.0 > class && (worth.0 >= Class::Repeat || class <= Class::Denied);
            if worth.0 == Class::Whitelist || protected {
                return Err(Full);
            }
            let owner = if self.agent {
                State::ClaimedByAgent
            } else {
                State::Claimed
            };
            let tag = fingerprint(key.hash, user);
            let claimed = meta.next(tag, key.source.length(), user.is_some(), owner);
            let slot = self.slot(place);
            let taken = if meta.is(State::Empty) {
                slot.shift(meta, claimed)
            } else {
                slot.retire(meta, claimed, || self.worth(&slot, meta, now) <= worth)
            };
            if !taken {
                continue;
            }
            if worth.0 > Class::Denied {
                self.census.evicted();
            }
            slot.fill(claimed, key.source.bits(), user);
            self.set_tag(place, tag);
            slot.publish(claimed);
            return Ok((slot, claimed.with(State::Live)));
        }
        Err(Full)
    }

    /// The place in the bucket that can best be spared, with what its record is worth.
    fn victim(&self, hash: u64, now: Now) -> Option<(usize, Meta, (Class, u64))> {
        let first = self.first(hash);
        let mut least: Option<(usize, Meta, (Class, u64))> = None;
        for place in first..first + self.ways {
            let slot = self.slot(place);
            let meta = slot.meta();
            if meta.is(State::Empty) {
                return Some((place, meta, (Class::Dead, 0)));
            }
            if !meta.is(State::Live) {
                continue; // another process has it in hand
            }
            let worth = self.worth(&slot, meta, now);
            if least.is_none_or(|(_, _, smallest)| worth < smallest) {
                least = Some((place, meta, worth));
            }
        }
        least
    }

    /// What a record is worth: its class, and within a class how long it will still hold.
    pub(super) fn worth(&self, slot: &Slot, meta: Meta, now: Now) -> (Class, u64) {
        let until = |word| {
            let time = slot.payload(meta, word) >> 8;
            if time > now.ms() { time } else { 0 }
        };
        let repeats = slot.payload(meta, Word::RepeatsOrUserHigh);
        let repeats = if meta.is_user() || repeats >> 8 <= now.ms() {
            0
        } else {
            repeats
        };
        let ban = until(Word::Ban);
        let validated = slot.payload(meta, Word::BanOrigin) & super::VALIDATED != 0;
        let counts = slot.payload(meta, Word::Strikes);
        let counted = strikes::total(counts, now.ms(), self.strike_window_ms);
        if until(Word::Whitelist) > 0 {
            (Class::Whitelist, until(Word::Whitelist))
        } else if until(Word::Trust) > 0 {
            (Class::Trusted, until(Word::Trust))
        } else if repeats & 0xff > 1 || until(Word::Cooldown) > 0 {
            (Class::Repeat, (repeats >> 8).max(until(Word::Cooldown)))
        } else if slot.payload(meta, Word::Pending) != 0 {
            (Class::Ban, ban)
        } else if ban > 0 {
            (
                if validated {
                    Class::Ban
                } else {
                    Class::ForgeableBan
                },
                ban,
            )
        } else if !meta.is_user() && mutes::possible(slot.payload(meta, Word::Ceiling), now) {
            // Without it nobody would look for the users that are muted there.
            (Class::ForgeableBan, FOREVER)
        } else if let Some(until) = named(lookup::known(slot, meta, now)) {
            (Class::Held, until)
        } else if counted > 0
            || repeats > 0
            || until(Word::Grace) > 0
            || lookup::known(slot, meta, now) != LookUp::Unknown
            || !guesses::is_faded(slot.payload(meta, Word::Guesses), now)
            || gcra::is_ahead(slot.payload(meta, Word::Ceiling), now.ticks())
        {
            (Class::Strikes, u64::from(counted) + (repeats & 0xff))
        } else {
            match denials::count(slot.payload(meta, Word::Denials), now) {
                0 => (Class::Dead, 0),
                count => (Class::Denied, count),
            }
        }
    }

    /// Forgets the users that failed at this address: they live in its bucket. Whether one was muted.
    pub(super) fn forget_users(&self, key: Key, now: Now) -> bool {
        let mut muted = false;
        let first = self.first(key.hash);
        for place in first..first + self.ways {
            let slot = self.slot(place);
            if let Some((meta, bits, Some(_))) = slot.key()
                && bits == key.source.bits()
                && meta.length() == key.source.length()
            {
                slot.update(meta, Word::Strikes, |_| Some(0));
                let mute = slot.update(meta, Word::Ban, |old| (old != 0).then_some(0));
                muted |= matches!(mute, Update::Done(old) if old >> 8 > now.ms());
            }
        }
        muted
    }
}

/// Until when a source is held, or spared for its name.
fn named(known: LookUp) -> Option<u64> {
    match known {
        LookUp::Held(hold) => Some(hold.until),
        LookUp::Answered(Answer::Trusted, until) => Some(until),
        LookUp::Answered(..) | LookUp::Unknown => None,
    }
}

/// 16 bits of the hash, never 0. A user's record has another one than its address, so that looking
/// for the address does not stumble over its users.
#[inline]
fn fingerprint(hash: u64, user: Option<u128>) -> u16 {
    let own = (hash >> 16) as u16;
    let mixed = user.map_or(own, |user| own ^ (user as u16) ^ 0x5a5a);
    mixed.max(1)
}

/// Whether one of the four lanes equals `wanted` (a zero lane in the difference).
#[inline]
fn may_contain(tags: u64, wanted: u16) -> bool {
    const ONES: u64 = 0x0001_0001_0001_0001;
    let difference = tags ^ (u64::from(wanted) * ONES);
    difference.wrapping_sub(ONES) & !difference & (ONES << 15) != 0
}
