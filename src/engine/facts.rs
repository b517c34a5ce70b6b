//! What the engine is told: the facts of one request, and the standing of its source.
#![forbid(unsafe_code)]

use super::lookup::LookUp;
use super::verdict::Reason;
use crate::source::Source;

/// A moment on the host's monotonic clock, counted from the start of Kamailio, so that all
/// processes agree and nobody's wall clock matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    ns: u64,
}

impl Now {
    /// From nanoseconds since the start.
    pub fn from_ns(ns: u64) -> Now {
        Now { ns }
    }

    /// Rate time: ticks of 16 µs (see [`crate::gcra`]).
    #[inline]
    pub fn ticks(self) -> u64 {
        self.ns / crate::gcra::TICK_NS
    }

    /// Ledger time: milliseconds.
    #[inline]
    pub fn ms(self) -> u64 {
        self.ns / 1_000_000
    }

    /// The ledger time that lies `seconds` ahead, always before [`FOREVER`].
    pub fn after(self, seconds: u64) -> u64 {
        self.ms()
            .saturating_add(seconds.saturating_mul(1000))
            .min(FOREVER - 1)
    }
}

/// The ledger time of what does not end by itself: 2^40 − 1 ms, 34 years after the start.
pub const FOREVER: u64 = (1 << 40) - 1;

/// One request, as far as a rule may ask.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When it came.
    pub now: Now,
    /// Who is charged.
    pub source: Source,
    /// The address is one that the server itself listens on.
    pub own: bool,
    /// The address is in `whitelist` or `whitelist_file`.
    pub listed: bool,
    /// The source cannot be forged: TCP, TLS, WS, SCTP, or credentials that answer our challenge.
    pub validated: bool,
    /// [`super::policy::method_bit`] of the method, 0 for any other.
    pub method: u32,
    /// `mode=shadow`: decide, but nothing is denied.
    pub shadow: bool,
    /// The user that it claims to come from, or wants to log in as, is muted at this address.
    pub muted: bool,
    /// The User-Agent is a scanner's. Only looked at with `agent_check`, and where it matters:
    /// see [`super::decide::depends_on_content`].
    pub scanner: bool,
    /// The feed that lists the address, by its number in [`super::policy::Policy::feeds`].
    pub feed: Option<usize>,
    /// The fleet's whitelist is not known yet: limit, but do not ban.
    pub loading: bool,
}

/// An offence that the script reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// [`Reason::AUTH`] for a failed authentication, or the script's own word.
    pub reason: Reason,
    /// Weighted offences of the same user at the same address; 0 if no user is known.
    pub user_strikes: u32,
    /// The user was muted at that address already, and came to a login all the same.
    pub muted: bool,
}

/// What the ledger knows of a source. All times are ledger times (ms); 0 means "not at all".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The ban, if one was ever recorded; it may have ended.
    pub ban: Ban,
    /// End of the dynamic whitelist entry; [`FOREVER`] for one without an end.
    pub whitelisted_until: u64,
    /// End of the trust earned by a successful authentication.
    pub trusted_until: u64,
    /// End of the grace after an unban.
    pub grace_until: u64,
    /// Until when the address cannot be whitelisted again.
    pub cooldown_until: u64,
    /// Weighted offences within `strike_window`.
    pub strikes: u32,
    /// Those of them on evidence that could be forged. Only known where an offence was just added.
    pub forgeable: u32,
    /// Some user at this address may be muted.
    pub mutes: bool,
    /// Estimate of the different users that failed to authenticate.
    pub users: u32,
    /// Different near misses of extensions that were forgiven in this hour.
    pub near_misses: u32,
    /// Earlier validated bans that are still remembered.
    pub repeats: u32,
    /// Until when they are.
    pub repeats_until: u64,
    /// What reverse DNS said of it, or is just asked.
    pub look_up: LookUp,
}

/// A ban in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ban {
    /// When it began.
    pub since: u64,
    /// When it ends; [`FOREVER`] for one without an end.
    pub until: u64,
    /// Why.
    pub reason: Reason,
    /// By whom.
    pub origin: Origin,
    /// Made in shadow mode: it denies nothing.
    pub shadow: bool,
    /// It rests on evidence that cannot be forged.
    pub validated: bool,
}

/// Who made a ban or an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// A `rate`, or the ceiling of a whitelist entry.
    #[default]
    Rate = 0,
    /// `strike_limit`.
    Strike = 1,
    /// The script: `sec_ban()`, `sec_whitelist_add()`.
    Script = 2,
    /// An operator: RPC.
    Operator = 3,
    /// A key in Redis: another node, the portal, or somebody by hand.
    Redis = 4,
    /// A feed.
    Feed = 5,
}

impl Origin {
    /// The word shown to operators.
    pub fn word(self) -> &'static str {
        match self {
            Origin::Rate => "rate",
            Origin::Strike => "strike",
            Origin::Script => "script",
            Origin::Operator => "operator",
            Origin::Redis => "redis",
            Origin::Feed => "feed",
        }
    }

    /// From the word; an unknown one is read as an operator's.
    pub fn from_word(word: &str) -> Origin {
        let known = [
            Origin::Rate,
            Origin::Strike,
            Origin::Script,
            Origin::Redis,
            Origin::Feed,
        ];
        let named = known.into_iter().find(|origin| origin.word() == word);
        named.unwrap_or(Origin::Operator)
    }

    /// From the number that `as u8` gave; an unknown one is read as a rate.
    pub fn from_number(number: u8) -> Origin {
        [
            Origin::Rate,
            Origin::Strike,
            Origin::Script,
            Origin::Operator,
            Origin::Redis,
            Origin::Feed,
        ]
        .into_iter()
        .find(|origin| *origin as u8 == number)
        .unwrap_or_default()
    }
}

impl Standing {
    /// Adds what holds for a network around the source: the end of its whitelist entry
    /// (0: there is none) and its ban (one that has ended: there is none).
    ///
    /// A source that went over the ceiling of such an entry has lost it for itself, as long as its
    /// cool-down or the ban for it lasts; the entry stays for the others. A ban of its own speaks
    /// before one of the network.
    pub fn within_networks(&mut self, whitelisted_until: u64, ban: Ban, now: Now, shadow: bool) {
        let banned = self.banned(now, shadow);
        if !self.has_lost_networks(now, shadow) {
            self.whitelisted_until = self.whitelisted_until.max(whitelisted_until);
        }
        if !banned && ban.until > now.ms() && (!ban.shadow || shadow) {
            self.ban = ban;
        }
    }

    /// Whether whitelist entries of networks are void for this source, because it went over the
    /// ceiling of one.
    pub fn has_lost_networks(&self, now: Now, shadow: bool) -> bool {
        self.cooling(now) || self.banned(now, shadow) && self.ban.reason.revokes()
    }

    /// Whether a ban holds now. A shadow ban holds in shadow mode only.
    pub fn banned(&self, now: Now, shadow: bool) -> bool {
        self.ban.until > now.ms() && (!self.ban.shadow || shadow)
    }

    /// Whether a dynamic whitelist entry holds now.
    pub fn whitelisted(&self, now: Now) -> bool {
        self.whitelisted_until > now.ms()
    }

    /// Whether a successful authentication is still trusted.
    pub fn trusted(&self, now: Now) -> bool {
        self.trusted_until > now.ms()
    }

    /// Whether an unban happened a moment ago.
    pub fn graced(&self, now: Now) -> bool {
        self.grace_until > now.ms()
    }

    /// Whether the address must not be whitelisted yet.
    pub fn cooling(&self, now: Now) -> bool {
        self.cooldown_until > now.ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(mut standing: Standing, until: u64, ban: Ban, now: Now, shadow: bool) -> Standing {
        standing.within_networks(until, ban, now, shadow);
        standing
    }

    fn at(ms: u64) -> Now {
        Now::from_ns(ms * 1_000_000)
    }

    fn ban(until: u64, reason: Reason) -> Ban {
        Ban {
            until,
            reason,
            ..Ban::default()
        }
    }

    #[test]
    fn what_holds_for_a_network_holds_for_its_sources() {
        let network = ban(50, Reason::MANUAL);
        let standing = within(Standing::default(), 90, network, at(10), false);
        assert!(standing.whitelisted(at(10)) && standing.banned(at(10), false));
        assert_eq!(standing.ban, network);
        let over = within(Standing::default(), 0, network, at(50), false);
        assert_eq!(over, Standing::default());
    }

    #[test]
    fn the_longer_entry_and_the_sources_own_ban_count() {
        let own = Standing {
            whitelisted_until: 100,
            ban: ban(20, Reason::AUTH),
            ..Standing::default()
        };
        let network = ban(50, Reason::MANUAL);
        let standing = within(own, 90, network, at(10), false);
        assert_eq!((standing.whitelisted_until, standing.ban), (100, own.ban));
        let later = within(own, FOREVER, network, at(30), false);
        assert_eq!((later.whitelisted_until, later.ban), (FOREVER, network));
    }

    #[test]
    fn shadow_bans_of_a_network_hold_in_shadow_mode_only() {
        let network = Ban {
            shadow: true,
            ..ban(50, Reason::MANUAL)
        };
        for shadow in [true, false] {
            let standing = within(Standing::default(), 0, network, at(10), shadow);
            assert_eq!(standing.banned(at(10), shadow), shadow);
        }
    }

    #[test]
    fn who_went_over_the_ceiling_has_lost_the_networks_entry() {
        let cooling = Standing {
            cooldown_until: 60,
            ..Standing::default()
        };
        let banned = Standing {
            ban: ban(60, Reason::WHITELIST_RATE),
            ..Standing::default()
        };
        let otherwise = Standing {
            ban: ban(60, Reason::AUTH),
            ..Standing::default()
        };
        let whitelisted = |standing: Standing, ms| {
            let joined = within(standing, FOREVER, Ban::default(), at(ms), false);
            joined.whitelisted(at(ms))
        };
        assert!(!whitelisted(cooling, 59) && whitelisted(cooling, 60));
        assert!(!whitelisted(banned, 59) && whitelisted(banned, 60));
        assert!(whitelisted(otherwise, 1));
    }
}
