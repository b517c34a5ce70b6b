//! The operator's rules as plain values: what `modparam` lines become after `config` checked
//! them. Read by the engine in every process; never changed after start.
#![forbid(unsafe_code)]

use crate::gcra::Quota;

/// At most this many limits: two bits of a rate word hold the index.
pub const MAX_LIMITS: usize = 4;

/// All the rules. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `rate`, in the order of definition.
    pub limits: Vec<Limit>,
    /// `ipv6_prefix`: 48…64.
    pub ipv6_prefix: u8,
    /// `ban_time`, `ban_factor`, `ban_max_time`, `ban_memory`.
    pub bans: Bans,
    /// `strike_limit`: so many weighted offences within `strike_window` lead to a ban.
    pub strike_limit: u32,
    /// `strike_window` in seconds.
    pub strike_window: u64,
    /// `ban_scope`: whether a user is muted before its whole address is banned.
    pub scope: Scope,
    /// `ban_scope_users`: from so many users on it is the address.
    pub scope_users: u32,
    /// `whitelist_time`: life in seconds of an entry added without one.
    pub whitelist_time: u64,
    /// `whitelist_rate`: ceiling of a dynamic whitelist entry.
    pub whitelist_rate: Quota,
    /// `whitelist_cooldown`: seconds for which a revoked entry cannot be added again.
    pub whitelist_cooldown: u64,
    /// `trust_time`: seconds of trust after a successful authentication.
    pub trust_time: u64,
    /// `trust_rate`: ceiling of a trusted source instead of the ordinary `requests` limits.
    pub trust_rate: Quota,
    /// `unban_grace`: seconds after an unban in which offences limit but do not ban.
    pub unban_grace: u64,
    /// `agent_check`: requests whose User-Agent is a scanner's are refused.
    pub agent_check: bool,
    /// `extension_methods` and its kin: what guessing at extensions costs.
    pub extensions: Guessing,
    /// `rdns_trusted` and its kin: whose names spare them a ban.
    pub rdns: Rdns,
    /// `feed`, in the order of definition: what being listed means.
    pub feeds: Vec<FeedRule>,
}

/// A feed, as far as a request notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRule {
    /// `name=`.
    pub name: String,
    /// `action=`.
    pub action: FeedAction,
}

/// `action=` of a feed, from mild to strict: what a request from a listed address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FeedAction {
    /// It is only counted.
    Shadow,
    /// A strike; then the other rules.
    Strike,
    /// It is refused, as long as the address is listed.
    Deny,
    /// The source is banned.
    Ban,
}

impl FeedAction {
    /// All of them, in the order in which they are listed.
    pub const ALL: [FeedAction; 4] = [
        FeedAction::Deny,
        FeedAction::Ban,
        FeedAction::Strike,
        FeedAction::Shadow,
    ];

    /// As users type it.
    pub fn word(self) -> &'static str {
        match self {
            FeedAction::Shadow => "shadow",
            FeedAction::Strike => "strike",
            FeedAction::Deny => "deny",
            FeedAction::Ban => "ban",
        }
    }
}

/// What `sec_check` makes of users that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guessing {
    /// `extension_threshold`: from this similarity on, in percent, a name is near.
    pub threshold: u32,
    /// `extension_methods`: a set of [`method_bit`]s. For REGISTER the user of To is judged, for
    /// others that of From.
    pub methods: u32,
    /// `extension_weight`: strikes for a user that resembles none.
    pub weight: u8,
    /// `extension_forgive`: near misses of different users that are forgiven per source and hour.
    pub forgive: u32,
}

impl Guessing {
    /// The most near misses that can be forgiven: the ledger tells so many apart.
    pub const FORGIVE_MAX: u32 = 20;
}

/// The exception that reverse DNS makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rdns {
    /// Whether a source that is to be banned is looked up first: there are trusted domains.
    pub asks: bool,
    /// How long it is held meanwhile, at most, in milliseconds.
    pub hold_ms: u64,
    /// `rdns_no_name=spare`: who has no name is not banned either.
    pub spare_no_name: bool,
}

/// `ban_scope`: who is cut off for failed authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The address; but where somebody has logged in, the user first.
    Ip,
    /// The user at that address first.
    User,
}

/// How bans grow. Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bans {
    /// `ban_time`: the first ban.
    pub first: u64,
    /// `ban_factor`: each repeat is so many times longer.
    pub factor: u64,
    /// `ban_max_time`: the ceiling.
    pub longest: u64,
    /// `ban_memory`: how long an offender is remembered after a ban ended.
    pub memory: u64,
}

impl Bans {
    /// Seconds of the ban after `repeats` earlier ones.
    pub fn seconds(&self, repeats: u32) -> u64 {
        let grown = (0..repeats.min(64)).fold(self.first, |secs, _| {
            secs.saturating_mul(self.factor).min(self.longest)
        });
        grown.min(self.longest)
    }
}

/// One `rate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `name=`: at most [`Limit::NAME_MAX`] bytes of `[A-Za-z0-9_-]`.
    pub name: String,
    /// `limit=` and `window=`.
    pub quota: Quota,
    /// `count=`.
    pub count: Count,
    /// `per=<v4>/<v6>`: prefix lengths at which sources are taken together.
    pub per: (u8, u8),
    /// `action=`.
    pub action: Action,
}

impl Limit {
    /// Longest name in bytes.
    pub const NAME_MAX: usize = 24;
}

/// `count=`: what a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Every request.
    Requests,
    /// Offences reported by `sec_auth_failed` and `sec_strike`.
    Failures,
    /// Requests of these methods: a set of [`method_bit`]s.
    Methods(u32),
}

/// `action=`: what being over a limit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The source is banned.
    Ban,
    /// The request is denied, the source stays.
    Limit,
    /// It is only counted.
    Shadow,
}

/// The methods that `count=` can name: RFC 3261 and its extensions, in the order of Kamailio's own bits.
pub const METHODS: [&str; 14] = [
    "INVITE",
    "CANCEL",
    "ACK",
    "BYE",
    "INFO",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "REFER",
    "PUBLISH",
];

/// The bit of a method in [`Count::Methods`]; `None` for a method that is not in [`METHODS`]. In any
/// case, as the core reads it, or whoever writes it small would be no part of a limit.
pub fn method_bit(method: &[u8]) -> Option<u32> {
    let index = METHODS
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(method))?;
    Some(1 << index)
}

/// A number for the method with this bit: its place in [`METHODS`], from 1; 0 for any other.
pub fn method_number(bit: u32) -> u8 {
    match bit.trailing_zeros() as usize {
        place if place < METHODS.len() => place as u8 + 1,
        _ => 0,
    }
}

/// The method with this number; empty for any other.
pub fn method_name(number: u8) -> &'static str {
    let place = usize::from(number).checked_sub(1);
    let name = place.and_then(|place| METHODS.get(place));
    name.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_grow_to_their_ceiling() {
        let bans = Bans {
            first: 300,
            factor: 2,
            longest: 86_400,
            memory: 86_400,
        };
        assert_eq!(bans.seconds(0), 300);
        assert_eq!(bans.seconds(1), 600);
        assert_eq!(bans.seconds(3), 2400);
        assert_eq!(bans.seconds(30), 86_400);
        assert_eq!(bans.seconds(u32::MAX), 86_400);
    }

    #[test]
    fn methods_are_numbered_and_read_in_any_case() {
        for method in METHODS {
            let bit = method_bit(method.as_bytes()).unwrap();
            assert_eq!(method_name(method_number(bit)), method);
        }
        assert_eq!(
            (method_number(0), method_name(0), method_name(99)),
            (0, "", "")
        );
        assert_eq!(method_bit(b"INVITE"), Some(1));
        assert_eq!(method_bit(b"invite"), Some(1));
        assert_eq!(method_bit(b"INVITES"), None);
        assert_eq!(method_bit(b""), None);
    }
}
