//! Orders: what a script or an operator wants done to an address, checked against what must not
//! happen, written down, and told to the agent.
//!
//! Called by the script functions in SIP workers and by the commands in RPC processes. It never
//! acts by itself; what the rules decide is applied by `check.rs` with [`impose`].

use std::fmt;
use std::net::IpAddr;

use crate::cidr::MinPrefix;
use crate::engine::facts::{Ban, FOREVER, Now, Origin};
use crate::engine::lookup::Hold;
use crate::engine::verdict::{Reason, Sentence};
use crate::node::{Node, seconds_left};
use crate::shared::events::{Event, Kind};
use crate::shared::ledger::{Aspect, Key};
use crate::shared::statistics::Count;

/// The longest time that an order may name: one year, in seconds.
pub const SECONDS_MAX: i64 = 365 * 86_400;

/// How long an answer that did not come in time counts as "no name".
pub const NAMELESS_SECS: u64 = 60;

/// Why an order is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server's own address is never banned.
    Own,
    /// `whitelist` and `whitelist_file` are changed in the configuration.
    Listed,
    /// The whitelist wins: remove the entry first.
    Whitelisted,
    /// The entry was revoked; so many seconds are left of the cool-down.
    Cooling(i64),
    /// A time out of range.
    Seconds(i64),
    /// The ledger has no room.
    Full,
    /// A network that is too large, by the parameter of that name.
    Short(&'static str, MinPrefix),
    /// A network is banned or freed by the agent, and there is none at the moment.
    NoAgent,
    /// There is an agent, but it has more to do than it can take.
    Busy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Own => f.write_str("is an address of this server, which is always allowed"),
            Refusal::Listed => f.write_str("is in whitelist or whitelist_file, always allowed"),
            Refusal::Whitelisted => {
                f.write_str("is whitelisted, and the whitelist wins; remove that entry first")
            }
            Refusal::Cooling(seconds) => write!(
                f,
                "was whitelisted and lost that entry; it can be added again in {seconds} s"
            ),
            Refusal::Seconds(seconds) => write!(
                f,
                "{seconds} is not a time; allowed are 1 to {SECONDS_MAX} seconds, 0 for the default"
            ),
            Refusal::Full => f.write_str("does not fit: the ledger is full (ledger_size)"),
            Refusal::Short(parameter, shortest) => {
                write!(f, "is shorter than {parameter} {shortest} allows")
            }
            Refusal::NoAgent => {
                f.write_str("needs the agent, which is down; it comes back by itself")
            }
            Refusal::Busy => f.write_str("cannot be handed to the agent now; try again"),
        }
    }
}

/// Bans an address for `seconds` (0: `ban_time`), whatever it has done. Such a ban replaces one
/// that holds, counts as no repeat, and is as firm as one on validated evidence.
///
/// # Errors
/// [`Refusal`].
pub fn ban(
    node: &Node,
    address: IpAddr,
    seconds: i64,
    reason: Reason,
    origin: Origin,
) -> Result<(), Refusal> {
    let seconds = checked(seconds, node.policy.bans.first)?;
    let now = node.now();
    let key = node.key(address);
    may_ban(node, address, key, now)?;
    let shadow = node.status.shadow();
    let ban = Ban {
        since: now.ms(),
        until: now.after(seconds),
        reason,
        origin,
        shadow,
        validated: true,
    };
    if node.ledger.ban(key, now, ban, true).is_err() {
        node.note_full(key.source, origin);
        return Err(Refusal::Full);
    }
    node.count(Count::Bans, 1);
    if !shadow {
        node.mark(key, Aspect::Ban, now);
    }
    node.tell(&Event {
        reason,
        shadow,
        seconds,
        ..Event::new(Kind::Ban, key.source, origin)
    });
    Ok(())
}

fn may_ban(node: &Node, address: IpAddr, key: Key, now: Now) -> Result<(), Refusal> {
    if node.is_own(address) {
        return Err(Refusal::Own);
    }
    let listed = node.membership(address, now).listed;
    let whitelisted = || node.standing(address, key, now).whitelisted(now);
    unless_free(listed, whitelisted)
}

/// What is always allowed, or whitelisted, is not banned by an order.
///
/// # Errors
/// [`Refusal::Listed`], [`Refusal::Whitelisted`].
pub fn unless_free(listed: bool, whitelisted: impl FnOnce() -> bool) -> Result<(), Refusal> {
    if listed {
        Err(Refusal::Listed)
    } else if whitelisted() {
        Err(Refusal::Whitelisted)
    } else {
        Ok(())
    }
}

/// Lifts a ban and everything that led to it. Whether there was anything to lift.
pub fn unban(node: &Node, address: IpAddr, origin: Origin) -> bool {
    lift(node, node.key(address), node.now(), origin)
}

/// Lifts, tells the agent, and the fleet.
pub fn lift(node: &Node, key: Key, now: Now, origin: Origin) -> bool {
    let standing = node.ledger.standing(key, now);
    if !lift_quietly(node, key, now) {
        return false;
    }
    if standing.banned(now, true) {
        let Ban { reason, shadow, .. } = standing.ban;
        if !shadow {
            node.mark(key, Aspect::Ban, now);
        }
        node.tell(&Event {
            reason,
            shadow,
            ..Event::new(Kind::Unban, key.source, origin)
        });
    }
    true
}

/// Lifts what holds on this node: the fleet knows already.
pub fn lift_quietly(node: &Node, key: Key, now: Now) -> bool {
    let banned = node.ledger.standing(key, now).banned(now, true);
    let lifted = node
        .ledger
        .unban(key, now, now.after(node.policy.unban_grace));
    if lifted {
        node.meters(&key, now).forget();
        node.ledger.forget_denials(key);
        node.count(Count::Unbans, u64::from(banned));
    }
    lifted
}

/// Whitelists an address for `seconds` (0: `whitelist_time`; `None`: until it is removed), and
/// cancels its ban.
///
/// # Errors
/// [`Refusal`].
pub fn whitelist_add(
    node: &Node,
    address: IpAddr,
    seconds: Option<i64>,
    origin: Origin,
) -> Result<(), Refusal> {
    let now = node.now();
    let key = node.key(address);
    let seconds = match seconds {
        Some(seconds) => Some(checked(seconds, node.policy.whitelist_time)?),
        None => None,
    };
    let standing = node.ledger.standing(key, now);
    if standing.cooling(now) {
        return Err(Refusal::Cooling(seconds_left(standing.cooldown_until, now)));
    }
    let until = seconds.map_or(FOREVER, |seconds| now.after(seconds));
    if node.ledger.whitelist(key, now, until, origin).is_err() {
        node.note_full(key.source, origin);
        return Err(Refusal::Full);
    }
    node.mark(key, Aspect::Whitelist, now);
    lift(node, key, now, origin);
    let seconds = seconds.unwrap_or(Event::FOREVER);
    node.tell(&Event {
        seconds,
        ..Event::new(Kind::WhitelistAdd, key.source, origin)
    });
    Ok(())
}

/// Removes a whitelist entry. Whether there was one.
pub fn whitelist_remove(node: &Node, address: IpAddr, origin: Origin) -> bool {
    let key = node.key(address);
    let now = node.now();
    let removed = node.ledger.unwhitelist(key, now);
    if removed {
        node.mark(key, Aspect::Whitelist, now);
        node.tell(&Event::new(Kind::WhitelistRemove, key.source, origin));
    }
    removed
}

/// Switches the mode for all processes. Back to enforcing, shadow bans are dropped.
pub fn set_mode(node: &Node, shadow: bool, origin: Origin) {
    if node.status.set_shadow(shadow) == shadow {
        return;
    }
    if !shadow {
        node.ledger.drop_shadow_bans(node.now());
        node.ledger.drop_shadow_denials();
    }
    let nobody = node.key(IpAddr::from([0, 0, 0, 0])).source;
    let seconds = u64::from(shadow);
    node.tell(&Event {
        seconds,
        ..Event::new(Kind::Mode, nobody, origin)
    });
}

/// Holds a source until the agent has found out its name, or the time for that is over.
pub fn hold(node: &Node, key: Key, now: Now, sentence: Sentence, event: &Event) {
    let hold = Hold {
        until: now.ms() + node.policy.rdns.hold_ms,
        reason: event.reason,
        shadow: event.shadow,
        validated: sentence.validated,
    };
    match node.ledger.hold(key, now, hold) {
        Ok(true) => node.tell(event),
        Ok(false) => {} // another process was faster, and has asked
        Err(_) => node.note_full(key.source, event.origin),
    }
}

/// Writes down a sentence of the engine. False if another process was faster, or there is no
/// room: then nothing is told.
pub fn impose(node: &Node, key: Key, now: Now, sentence: Sentence, event: &Event) -> bool {
    let ban = Ban {
        since: now.ms(),
        until: now.after(sentence.seconds),
        reason: event.reason,
        origin: event.origin,
        shadow: event.shadow,
        validated: sentence.validated,
    };
    match node.ledger.ban(key, now, ban, false) {
        Ok(true) => {}
        Ok(false) => return false,
        Err(_) => {
            node.note_full(key.source, event.origin);
            return false;
        }
    }
    if node.policy.rdns.asks {
        node.ledger.end_hold(key, now.after(NAMELESS_SECS));
    }
    if sentence.validated && !event.shadow {
        node.ledger
            .remember(key, now, ban.until, node.policy.bans.memory * 1000);
    }
    if !event.shadow {
        node.mark(key, Aspect::Ban, now);
    }
    node.count(Count::Bans, 1);
    node.tell(event);
    true
}

/// A time that an order names; 0 stands for the default.
pub fn checked(seconds: i64, default: u64) -> Result<u64, Refusal> {
    match seconds {
        0 => Ok(default),
        1..=SECONDS_MAX => Ok(seconds.unsigned_abs()),
        _ => Err(Refusal::Seconds(seconds)),
    }
}
