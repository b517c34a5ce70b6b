//! What the engine answers: the verdict that a script sees, the reason, and the change to apply.
#![forbid(unsafe_code)]

use super::facts::Origin;
use super::policy::{MAX_LIMITS, Policy};
use crate::feed::FEEDS_MAX;

/// The answer to one request. The number is what `sec_check()` returns; never 0, which would end
/// a Kamailio script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Verdict {
    /// Let it through.
    Allow = 1,
    /// Let it through: whitelisted.
    AllowWhitelisted = 2,
    /// Let it through: it would be banned but for its name.
    AllowSpared = 3,
    /// Deny: the source was banned before.
    DenyBanned = -1,
    /// Deny: this very request led to a ban.
    DenyNewBan = -2,
    /// Deny: held while its name is looked up.
    DenyHeld = -3,
    /// Deny: over a limit, not banned.
    DenyLimited = -4,
    /// Deny: for what this request is; the source is not banned.
    DenyContent = -5,
}

impl Verdict {
    /// From the number that `as i8` gave; `None` if there is no such verdict.
    pub fn from_code(code: i8) -> Option<Verdict> {
        let all = [
            Verdict::Allow,
            Verdict::AllowWhitelisted,
            Verdict::AllowSpared,
            Verdict::DenyBanned,
            Verdict::DenyNewBan,
            Verdict::DenyHeld,
            Verdict::DenyLimited,
            Verdict::DenyContent,
        ];
        all.into_iter().find(|verdict| *verdict as i8 == code)
    }

    /// What the script gets.
    pub fn code(self) -> i32 {
        i32::from(self as i8)
    }

    /// Whether the request is to be refused.
    pub fn denies(self) -> bool {
        self.code() < 0
    }

    /// The word shown to operators.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::AllowWhitelisted => "allow, whitelisted",
            Verdict::AllowSpared => "allow, spared by reverse DNS",
            Verdict::DenyBanned => "deny, banned",
            Verdict::DenyNewBan => "deny, banned by this request",
            Verdict::DenyHeld => "deny, held while its name is looked up",
            Verdict::DenyLimited => "deny, over a limit",
            Verdict::DenyContent => "deny, for what it is",
        }
    }
}

/// Why, in one byte, so that it fits a ledger word: a rule of the module, a limit or a feed by index,
/// or a word of the script (see `shared::reasons`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reason(u8);

const _: () = assert!(Reason::FIRST_FEED as usize + FEEDS_MAX <= Reason::FIRST_WORD as usize);

impl Reason {
    /// Nothing to say.
    pub const NONE: Reason = Reason(0);
    /// The server's own address.
    pub const OWN: Reason = Reason(1);
    /// `whitelist` or `whitelist_file`.
    pub const LISTED: Reason = Reason(2);
    /// A dynamic whitelist entry.
    pub const WHITELISTED: Reason = Reason(3);
    /// The ceiling of a whitelist entry, `whitelist_rate`.
    pub const WHITELIST_RATE: Reason = Reason(4);
    /// The ceiling of a trusted source, `trust_rate`.
    pub const TRUST_RATE: Reason = Reason(5);
    /// Failed authentication.
    pub const AUTH: Reason = Reason(6);
    /// Failed authentication of many users from one whitelisted address.
    pub const WHITELIST_USERS: Reason = Reason(7);
    /// A ban without a reason of its own.
    pub const MANUAL: Reason = Reason(8);
    /// More words of the script than the module remembers.
    pub const OTHER: Reason = Reason(9);
    /// The User-Agent of a scanner, `agent_check`.
    pub const AGENT: Reason = Reason(10);
    /// Guesses at extensions.
    pub const EXTENSION: Reason = Reason(11);

    /// A name in a trusted domain.
    pub const RDNS: Reason = Reason(15);

    const FIRST_LIMIT: u8 = 16;
    const FIRST_FEED: u8 = Self::FIRST_LIMIT + MAX_LIMITS as u8;
    /// First number of a script's own words.
    pub const FIRST_WORD: u8 = 32;

    /// The limit with this index.
    pub fn limit(index: usize) -> Reason {
        Reason(Self::FIRST_LIMIT + index as u8)
    }

    /// The feed with this index.
    pub fn feed(index: usize) -> Reason {
        Reason(Self::FIRST_FEED + index.min(FEEDS_MAX - 1) as u8)
    }

    /// The word with this index.
    pub fn word(index: u8) -> Reason {
        Reason(Self::FIRST_WORD.saturating_add(index))
    }

    /// Whether a ban for it goes with the loss of a whitelist entry.
    pub fn revokes(self) -> bool {
        self == Reason::WHITELIST_RATE || self == Reason::WHITELIST_USERS
    }

    /// Which kind of rule bans for it.
    pub fn origin(self) -> Origin {
        let strike = self == Reason::AUTH
            || self == Reason::WHITELIST_USERS
            || self == Reason::EXTENSION
            || self.0 >= Self::FIRST_WORD
            || self == Reason::OTHER;
        match self.0 {
            Self::FIRST_FEED..Self::FIRST_WORD => Origin::Feed,
            _ if strike => Origin::Strike,
            _ => Origin::Rate,
        }
    }

    /// The number to store.
    pub fn number(self) -> u8 {
        self.0
    }

    /// From the number stored.
    pub fn from_number(number: u8) -> Reason {
        Reason(number)
    }

    /// The text shown to operators; `word` gives a script's own word by its index.
    pub fn text(self, policy: &Policy, word: impl Fn(u8) -> String) -> String {
        let plain = match self {
            Reason::NONE => "",
            Reason::OWN => "own address",
            Reason::LISTED => "whitelist",
            Reason::WHITELISTED => "whitelisted",
            Reason::WHITELIST_RATE => "whitelist_rate",
            Reason::TRUST_RATE => "trust_rate",
            Reason::AUTH => "auth",
            Reason::WHITELIST_USERS => "whitelist_users",
            Reason::MANUAL => "manual",
            Reason::AGENT => "agent",
            Reason::EXTENSION => "extension",
            Reason::RDNS => "rdns",
            Reason(number) if number >= Self::FIRST_WORD => return word(number - Self::FIRST_WORD),
            Reason(number) if number >= Self::FIRST_FEED => {
                let feed = policy.feeds.get(usize::from(number - Self::FIRST_FEED));
                return format!("feed:{}", feed.map_or("", |feed| &feed.name));
            }
            Reason(number) if number >= Self::FIRST_LIMIT => {
                let limit = policy.limits.get(usize::from(number - Self::FIRST_LIMIT));
                return format!("rate:{}", limit.map_or("", |limit| &limit.name));
            }
            _ => "other",
        };
        plain.into()
    }
}

/// A verdict, its reason, and what is to be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer. In shadow mode the caller lets the request through all the same.
    pub verdict: Verdict,
    /// The rule that spoke.
    pub reason: Reason,
    /// What the caller must write to the ledger.
    pub change: Change,
    /// The first limit or feed on trial (`action=shadow`) that would have refused it.
    pub shadowed: Option<Reason>,
}

impl Decision {
    /// The reason to tell: of a request that passes, what on trial would have refused it is worth more.
    #[inline]
    pub fn told(&self) -> Reason {
        let on_trial = self.shadowed.filter(|_| !self.verdict.denies());
        on_trial.unwrap_or(self.reason)
    }
}

/// A change to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// None.
    None,
    /// Ban the source.
    Ban(Sentence),
    /// Mute the user at the source.
    Mute(Sentence),
    /// Hold the source, and ask for its name; the sentence waits.
    Hold(Sentence),
    /// Delete its whitelist entry, take its trust, begin the cool-down, and ban it.
    Revoke(Sentence),
}

/// A ban to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Length in seconds.
    pub seconds: u64,
    /// Whether it rests on evidence that cannot be forged, and so counts as a repeat later.
    pub validated: bool,
}

impl Sentence {
    /// The how manieth ban it is, where `repeats` earlier ones are remembered.
    pub fn count(&self, repeats: u32) -> u32 {
        match self.validated {
            true => repeats + 1,
            false => repeats.max(1),
        }
    }
}
