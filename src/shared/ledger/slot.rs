//! One record of the ledger: sixteen words, two cache lines, and the protocol by which they change.
//!
//! Used by the ledger only. Word 0, *meta*, is `fingerprint : 16 | generation : 32 | kind : 1 | length :
//! 8 | state : 3` (bits 48, 16, 11, 3 and 0). The key words are written only by the process that holds the record
//! claimed; every other word is `generation (low 16 bits) : 16 | payload : 48` and changes only by
//! compare-and-swap against the generation in which its writer found it. So a writer that was
//! delayed while its record was given away cannot touch the next owner: its swap fails, or it is
//! overwritten before the record goes live, and it learns of both by looking at meta again.
//!
//! A payload that is a time is `until : 40 | extra : 8`, in ledger milliseconds.
#![forbid(unsafe_code)]

use super::super::sync::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};

/// A fingerprint is set after its record is filled and read before it: whoever sees it sees the key.
pub(super) const TAG_SET: super::super::sync::Ordering = Release;
/// See [`TAG_SET`].
pub(super) const TAG_READ: super::super::sync::Ordering = Acquire;

/// Words in a record.
pub(super) const WORDS: usize = 16;
/// Its words beside it.
pub(super) const BESIDE: usize = 3;

/// The words of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Meta = 0,
    KeyHigh = 1,
    /// Written as the second half of the key.
    #[expect(dead_code, reason = "named for the layout; written through KeyHigh")]
    KeyLow = 2,
    /// Of an address: earlier bans that are remembered (time, count). Of a user: its identity.
    RepeatsOrUserHigh = 3,
    /// Of an address: bitmap of the users that failed. Of a user: its identity.
    UsersOrUserLow = 4,
    /// Ban: until, reason.
    Ban = 5,
    /// Ban: since, flags and origin.
    BanOrigin = 6,
    /// Whitelist entry: until, origin.
    Whitelist = 7,
    /// Trust: until.
    Trust = 8,
    /// Arrival time of the source's own ceiling, in rate ticks, and above it until when some user
    /// of the address may be muted (see `mutes`).
    Ceiling = 9,
    /// Grace after an unban: until.
    Grace = 10,
    /// No whitelisting: until.
    Cooldown = 11,
    /// Weighted offences (see `strikes`).
    Strikes = 12,
    /// What changed here and is not yet known to the fleet (see `pending`).
    Pending = 13,
    /// A name that is looked up, or what became of it (see `lookup`).
    LookUp = 14,
    /// Of an address: guesses at extensions (see `guesses`).
    Guesses = 15,
    /// How often it was refused lately (see `denials`). This word and the next ones are not in the record
    /// but beside the records: no request that passes reads them.
    Denials = 16,
    /// Where its ban and its entry come from (see `provenance`).
    Provenance = 17,
    /// Those of its strikes that could be forged. Read when there is one more.
    Forgeable = 18,
}

/// The words that carry the generation.
pub(super) const CHANGING: [Word; 16] = [
    Word::RepeatsOrUserHigh,
    Word::UsersOrUserLow,
    Word::Ban,
    Word::BanOrigin,
    Word::Whitelist,
    Word::Trust,
    Word::Ceiling,
    Word::Grace,
    Word::Cooldown,
    Word::Strikes,
    Word::Pending,
    Word::LookUp,
    Word::Guesses,
    Word::Denials,
    Word::Provenance,
    Word::Forgeable,
];

const STATE_BITS: u64 = 0b111;
const GENERATION_SHIFT: u32 = 16;
const TAG_SHIFT: u32 = 48;
const PAYLOAD_BITS: u32 = 48;
const PAYLOAD_MASK: u64 = (1 << PAYLOAD_BITS) - 1;

/// Life of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum State {
    /// Free.
    Empty = 0,
    /// A Kamailio process fills it; if that process dies, Kamailio stops. Never stolen.
    Claimed = 1,
    /// Readable.
    Live = 2,
    /// A process looks whether it can be spared; still readable, and writers bring it back.
    Retiring = 3,
    /// The agent is taking it out of the tables.
    Clearing = 4,
    /// The agent fills it; recovered by its successor if it dies.
    ClaimedByAgent = 5,
}

/// The meta word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta(u64);

impl Meta {
    pub(super) fn state(self) -> u64 {
        self.0 & STATE_BITS
    }

    pub(super) fn is(self, state: State) -> bool {
        self.state() == state as u64
    }

    pub(super) fn with(self, state: State) -> Meta {
        Meta(self.0 & !STATE_BITS | state as u64)
    }

    /// Prefix length of the key.
    pub(super) fn length(self) -> u8 {
        (self.0 >> 3) as u8
    }

    /// Whether the record is of a user at an address, not of the address itself.
    pub(super) fn is_user(self) -> bool {
        self.0 >> 11 & 1 == 1
    }

    /// The fingerprint of the key, known as soon as the record is claimed.
    pub(super) fn tag(self) -> u16 {
        (self.0 >> TAG_SHIFT) as u16
    }

    /// The next owner's meta.
    pub(super) fn next(self, tag: u16, length: u8, user: bool, state: State) -> Meta {
        let generation = (self.0 >> GENERATION_SHIFT) as u32;
        let generation = u64::from(generation.wrapping_add(1)) << GENERATION_SHIFT;
        let kind = u64::from(user) << 11 | u64::from(length) << 3;
        Meta(u64::from(tag) << TAG_SHIFT | generation | kind | state as u64)
    }

    fn stamp(self) -> u64 {
        (self.0 >> GENERATION_SHIFT) << PAYLOAD_BITS
    }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// Written; the payload before.
    Done(u64),
    /// The change was not wanted after all; the payload as it is.
    Kept(u64),
    /// The record went to another owner: find it again.
    Lost,
}

/// A record in place.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    words: &'static [AtomicU64],
    beside: &'static [AtomicU64],
}

impl Slot {
    /// Over the words of a record, and those beside it.
    pub(super) fn new(words: &'static [AtomicU64], beside: &'static [AtomicU64]) -> Slot {
        Slot { words, beside }
    }

    fn word(&self, word: Word) -> &'static AtomicU64 {
        match (word as usize).checked_sub(WORDS) {
            Some(beside) => &self.beside[beside],
            None => &self.words[word as usize],
        }
    }

    /// The meta word now.
    pub(super) fn meta(&self) -> Meta {
        Meta(self.word(Word::Meta).load(Acquire))
    }

    /// Moves meta on, unless it changed.
    pub(super) fn shift(&self, from: Meta, to: Meta) -> bool {
        let swapped = self
            .word(Word::Meta)
            .compare_exchange(from.0, to.0, AcqRel, Acquire);
        swapped.is_ok()
    }

    /// Fills a record that this process has claimed, and makes it live.
    pub(super) fn fill(&self, claimed: Meta, key: u128, user: Option<u128>) {
        fence(Release); // whoever reads the new key also sees that meta moved on
        self.set_plain(Word::KeyHigh, key);
        for word in CHANGING {
            self.word(word).store(claimed.stamp(), Relaxed);
        }
        if let Some(user) = user {
            self.set_plain(Word::RepeatsOrUserHigh, user);
        }
    }

    /// Ends [`Slot::fill`]: readers may come.
    pub(super) fn publish(&self, claimed: Meta) {
        self.word(Word::Meta)
            .store(claimed.with(State::Live).0, Release);
    }

    fn set_plain(&self, first: Word, value: u128) {
        self.words[first as usize].store((value >> 64) as u64, Relaxed);
        self.words[first as usize + 1].store(value as u64, Relaxed);
    }

    fn plain(&self, first: Word) -> u128 {
        let high = self.words[first as usize].load(Relaxed);
        let low = self.words[first as usize + 1].load(Relaxed);
        u128::from(high) << 64 | u128::from(low)
    }

    /// The key, if the record is live: `(meta as live, key, user)`.
    pub(super) fn key(&self) -> Option<(Meta, u128, Option<u128>)> {
        let meta = self.meta();
        if !meta.is(State::Live) && !meta.is(State::Retiring) {
            return None;
        }
        let key = self.plain(Word::KeyHigh);
        let user = meta.is_user().then(|| self.plain(Word::RepeatsOrUserHigh));
        fence(Acquire);
        let again = Meta(self.word(Word::Meta).load(Relaxed));
        let live = meta.with(State::Live);
        (again.with(State::Live) == live).then_some((live, key, user))
    }

    /// The payload of a word in this generation; 0 if it is of another one.
    pub(super) fn payload(&self, meta: Meta, word: Word) -> u64 {
        let value = self.word(word).load(Acquire);
        if value & !PAYLOAD_MASK == meta.stamp() {
            value & PAYLOAD_MASK
        } else {
            0
        }
    }

    /// Changes one word of a live record by `change(payload)`, and makes sure that the record
    /// was not taken away before the change counted.
    pub(super) fn update(
        &self,
        meta: Meta,
        word: Word,
        mut change: impl FnMut(u64) -> Option<u64>,
    ) -> Update {
        let target = self.word(word);
        let mut value = target.load(Acquire);
        loop {
            if value & !PAYLOAD_MASK != meta.stamp() {
                return Update::Lost;
            }
            let before = value & PAYLOAD_MASK;
            let Some(after) = change(before) else {
                return Update::Kept(before);
            };
            let next = meta.stamp() | after & PAYLOAD_MASK;
            match target.compare_exchange_weak(value, next, AcqRel, Acquire) {
                Ok(_) if self.stays(meta) => return Update::Done(before),
                Ok(_) => return Update::Lost,
                Err(changed) => value = changed,
            }
        }
    }

    /// After a change: the record is live, or was about to retire and is brought back. Together
    /// with the same fence in [`Slot::retire`], either we see the retirement or it sees our change.
    fn stays(&self, meta: Meta) -> bool {
        fence(SeqCst);
        loop {
            let now = self.meta();
            if now == meta {
                return true;
            }
            if now != meta.with(State::Retiring) {
                return false;
            }
            if self.shift(now, meta) {
                return true;
            }
        }
    }

    /// Takes a live record from its address if `spare` still says so after writers were warned.
    /// On success its meta is `owned`, and it is the caller's to fill or to release. A process
    /// that dies in between leaves a record that is readable and that writers bring back.
    pub(super) fn retire(&self, live: Meta, owned: Meta, spare: impl FnOnce() -> bool) -> bool {
        let retiring = live.with(State::Retiring);
        if !self.shift(live, retiring) {
            return false;
        }
        fence(SeqCst);
        if spare() {
            return self.shift(retiring, owned);
        }
        self.shift(retiring, live);
        false
    }

    /// Frees a record that [`Slot::retire`] gave to this process, or that a dead agent left.
    pub(super) fn release(&self, owned: Meta) {
        self.word(Word::Meta)
            .store(owned.with(State::Empty).0, Release);
    }
}
