//! What is known from elsewhere, taken over into the ledger: bans, whitelist entries and cool-downs
//! that live as keys in Redis, or what a state file remembers.
//!
//! Called by the agent only. It never touches an aspect that waits to be written by this node, and
//! never marks one: what comes from the fleet need not go there.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Aspect, Full, Key, Ledger, Maker, TRIES, pack_origin, provenance};
use crate::engine::facts::{Ban, Now, Origin};

/// Times that differ by less, in milliseconds, come from the same key, read twice.
pub const SAME_MS: u64 = 1500;
/// A ban that ends so soon anyway, in milliseconds, was not lifted: its key expired.
pub const EXPIRING_MS: u64 = 1500;

/// What taking over changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// Something new.
    New,
    /// It was so already, or this node's own change has precedence.
    Same,
}

impl Ledger {
    /// Takes a ban over that `maker` made.
    ///
    /// # Errors
    /// [`Full`].
    pub fn mirror_ban(&self, key: Key, now: Now, ban: Ban, maker: Maker) -> Result<Mirrored, Full> {
        let standing = self.standing(key, now);
        let same = standing.banned(now, false)
            && standing.ban.until.abs_diff(ban.until) < SAME_MS
            && standing.ban.reason == ban.reason;
        if same || self.pending(key).has(Aspect::Ban) {
            return Ok(Mirrored::Same);
        }
        let packed = ban.until << 8 | u64::from(ban.reason.number());
        self.mirror(key, now, Class::Ban, Word::Ban, packed)?;
        self.change(key, Word::BanOrigin, |_| Some(pack_origin(&ban)));
        self.change(key, Word::Provenance, |old| provenance::made_by(old, maker));
        let known = standing.banned(now, false);
        Ok(if known { Mirrored::Same } else { Mirrored::New })
    }

    /// Takes a whitelist entry over.
    ///
    /// # Errors
    /// [`Full`]: the whitelist's share is used up.
    pub fn mirror_whitelist(&self, key: Key, now: Now, until: u64) -> Result<Mirrored, Full> {
        let standing = self.standing(key, now);
        let held = standing.whitelisted(now);
        let same = held && standing.whitelisted_until.abs_diff(until) < SAME_MS;
        if same || self.pending(key).has(Aspect::Whitelist) {
            return Ok(Mirrored::Same);
        }
        if held {
            // Its ceiling goes on: whoever renews an entry gets no fresh allowance by it.
            let packed = until << 8 | u64::from(Origin::Redis as u8);
            self.mirror(key, now, Class::Whitelist, Word::Whitelist, packed)?;
            return Ok(Mirrored::Same);
        }
        self.whitelist(key, now, until, Origin::Redis)?;
        Ok(Mirrored::New)
    }

    /// Takes a cool-down over: the entry and the trust of that address are gone here, too.
    ///
    /// # Errors
    /// [`Full`].
    pub fn mirror_cooldown(&self, key: Key, now: Now, until: u64) -> Result<Mirrored, Full> {
        let standing = self.standing(key, now);
        if standing.cooling(now) && standing.cooldown_until.abs_diff(until) < SAME_MS {
            return Ok(Mirrored::Same);
        }
        self.mirror(key, now, Class::Repeat, Word::Cooldown, until << 8)?;
        self.change(key, Word::Trust, |_| Some(0));
        self.unwhitelist(key, now);
        Ok(Mirrored::New)
    }

    /// The fleet knows of no cool-down any more.
    pub fn end_cooldown(&self, key: Key) {
        if !self.pending(key).has(Aspect::Cooldown) {
            self.change(key, Word::Cooldown, |old| (old != 0).then_some(0));
        }
    }

    /// Remembers earlier bans that were made before a restart.
    ///
    /// # Errors
    /// [`Full`].
    pub fn restore_repeats(&self, key: Key, now: Now, until: u64, count: u8) -> Result<(), Full> {
        let packed = until << 8 | u64::from(count);
        self.mirror(key, now, Class::Repeat, Word::RepeatsOrUserHigh, packed)
    }

    /// Trusts a source that was trusted before a restart.
    ///
    /// # Errors
    /// [`Full`].
    pub fn restore_trust(&self, key: Key, now: Now, until: u64) -> Result<(), Full> {
        self.mirror(key, now, Class::Trusted, Word::Trust, until << 8)
    }

    fn mirror(
        &self,
        key: Key,
        now: Now,
        class: Class,
        word: Word,
        packed: u64,
    ) -> Result<(), Full> {
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, None, class, now)?;
            if slot.update(meta, word, |_| Some(packed)) != Update::Lost {
                return Ok(());
            }
        }
        Err(Full)
    }
}
