//! The lines of the state file: what is in the ledger and in the books of networks as text, and back.
//!
//! Used by `state.rs`. Times are written as those of the clock on the wall, because the ledger's begin
//! anew with the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use super::networks::Networks;
use crate::cidr::Prefix;
use crate::engine::facts::{Ban, FOREVER, Now, Origin, Standing};
use crate::networks::is_source;
use crate::node::Node;
use crate::shared::ledger::Maker;
use crate::shared::snapshot::{Network, Section};
use crate::source::Source;

/// First line of the file. In version 2 a ban or a whitelist entry may be one of a network.
const HEADER: &str = "sec-state 2";
/// The first lines of files that are understood.
const HEADERS: [&str; 2] = ["sec-state 1", HEADER];
/// What stands for "without an end".
const NEVER: &str = "never";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A ban: its beginning and end, count of earlier ones apart.
    Ban {
        source: Source,
        since: u64,
        until: u64,
        origin: String,
        validated: bool,
        reason: String,
    },
    /// A time at an address: whitelist entry, cool-down, trust.
    Time {
        what: What,
        source: Source,
        until: u64,
    },
    /// Earlier bans.
    Repeats {
        source: Source,
        until: u64,
        count: u8,
    },
}

impl Line {
    /// Whom it is about, and when that ends.
    fn about(&self) -> (Source, u64) {
        match self {
            Line::Ban { source, until, .. }
            | Line::Time { source, until, .. }
            | Line::Repeats { source, until, .. } => (*source, *until),
        }
    }
}

/// What a [`Line::Time`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Whitelist,
    Cooldown,
    Trust,
}

const TIMES: [(What, &str); 3] = [
    (What::Whitelist, "whitelist"),
    (What::Cooldown, "cooldown"),
    (What::Trust, "trust"),
];

/// Reads all lines, or says what is wrong with the first that is not one.
pub fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = text.lines();
    match lines.next() {
        Some(header) if HEADERS.contains(&header) => {}
        Some(other) if other.starts_with("sec-state ") => {
            return Err(format!("a newer version wrote it (\"{}\")", shown(other)));
        }
        _ => return Err("it does not begin as such a file does".into()),
    }
    let mut parsed = Vec::new();
    for (number, line) in (2..).zip(lines) {
        if let Some(count) = line.strip_prefix("end ") {
            return match count.parse() == Ok(parsed.len()) {
                true => Ok(parsed),
                false => Err("it does not hold as many lines as it says".into()),
            };
        }
        let read = parse_line(line).ok_or_else(|| format!("line {number}, \"{}\"", shown(line)))?;
        parsed.push(read);
    }
    Err("its end is missing".into())
}

/// How many lines a file holds, or what is wrong with it: for `tests/fuzz`.
#[cfg(fuzzing)]
pub fn lines(text: &str) -> Result<usize, String> {
    parse(text).map(|lines| lines.len())
}

fn shown(line: &str) -> String {
    line.escape_debug().take(80).collect()
}

fn parse_line(line: &str) -> Option<Line> {
    let (word, rest) = line.split_once(' ')?;
    let (address, rest) = rest.split_once(' ')?;
    let source = Prefix::parse(address).ok()?.0.source();
    let end = |text: &str| {
        if text == NEVER {
            Some(u64::MAX)
        } else {
            text.parse().ok()
        }
    };
    match word {
        "ban" => {
            let mut fields = rest.splitn(5, ' ');
            Some(Line::Ban {
                source,
                since: fields.next()?.parse().ok()?,
                until: end(fields.next()?)?,
                origin: fields.next()?.into(),
                validated: fields.next()?.parse().ok()?,
                reason: fields.next()?.into(),
            })
        }
        "repeats" => {
            let (until, count) = rest.split_once(' ')?;
            Some(Line::Repeats {
                source,
                until: end(until)?,
                count: count.parse().ok()?,
            })
        }
        _ => {
            let (what, _) = *TIMES.iter().find(|(_, name)| *name == word)?;
            Some(Line::Time {
                what,
                source,
                until: end(rest)?,
            })
        }
    }
}

/// Puts a line into the ledger or the books, unless its time is over. Whether it did.
pub fn restore(node: &Node, networks: &Networks, line: &Line, now: Now, wall: u64) -> bool {
    let ledger_time = |unix: u64| match unix {
        u64::MAX => FOREVER,
        unix => (now.ms() + unix.saturating_sub(wall)).min(FOREVER - 1),
    };
    let (source, until) = line.about();
    let (key, until) = (node.key_of(source), ledger_time(until));
    if until <= now.ms() {
        return false;
    }
    let prefix = Prefix::of(source).filter(|p| !is_source(*p, node.policy.ipv6_prefix));
    match line {
        Line::Ban {
            since,
            origin,
            validated,
            reason,
            ..
        } => {
            let ban = Ban {
                since: now.ms().saturating_sub(wall.saturating_sub(*since)),
                until,
                reason: node.reason_from(reason),
                origin: Origin::from_word(origin),
                shadow: false,
                validated: *validated,
            };
            match prefix {
                Some(prefix) => restore_network(networks, Section::Bans, prefix, &ban),
                None => node.ledger.ban(key, now, ban, false).is_ok(),
            }
        }
        Line::Repeats { count, .. } => node.ledger.restore_repeats(key, now, until, *count).is_ok(),
        Line::Time { what, .. } => match (what, prefix) {
            (What::Whitelist, Some(prefix)) => {
                let (since, origin) = (now.ms(), Origin::Operator);
                let entry = Ban {
                    since,
                    until,
                    origin,
                    ..Ban::default()
                };
                restore_network(networks, Section::Whitelist, prefix, &entry)
            }
            (What::Whitelist, None) => {
                let entry = node.ledger.whitelist(key, now, until, Origin::Operator);
                entry.is_ok()
            }
            (What::Cooldown, _) => node.ledger.mirror_cooldown(key, now, until).is_ok(),
            (What::Trust, _) => node.ledger.restore_trust(key, now, until).is_ok(),
        },
    }
}

/// Enters a network with what is known of its ban, or of its entry.
fn restore_network(networks: &Networks, section: Section, prefix: Prefix, ban: &Ban) -> bool {
    let network = Network {
        prefix,
        since: ban.since,
        until: ban.until,
        reason: ban.reason,
        origin: ban.origin,
        maker: Maker::default(),
        shadow: false,
        pending: false,
    };
    networks.change(|books| books.restore(section, network))
}

/// The whole file.
pub fn write(node: &Node, networks: &Networks, now: Now, wall: u64) -> String {
    let mut lines = Vec::new();
    let clock = Clock { now, wall };
    for (_, source, standing) in node.ledger.entries(0, now) {
        lines_of(node, source, &standing, clock, &mut lines);
    }
    networks.look(|books| {
        let holds = |network: &&Network| network.holds(now, false);
        for network in books.bans.iter().filter(holds) {
            let source = network.prefix.source();
            lines.push(ban_line(node, source, &network.ban(), clock));
        }
        for network in books.whitelist.iter().filter(holds) {
            let end = clock.end(network.until);
            lines.push(format!("whitelist {} {end}", network.prefix));
        }
    });
    let count = lines.len();
    lines.insert(0, HEADER.into());
    lines.push(format!("end {count}\n"));
    lines.join("\n")
}

/// Ledger times in the file: milliseconds since 1970.
#[derive(Clone, Copy)]
struct Clock {
    now: Now,
    wall: u64,
}

impl Clock {
    /// Whole seconds: the same entry is the same line whenever it is written.
    fn unix(self, ms: u64) -> u64 {
        (self.wall + ms).saturating_sub(self.now.ms()) / 1000 * 1000
    }

    fn end(self, ms: u64) -> String {
        match ms {
            FOREVER => NEVER.into(),
            ms => self.unix(ms).to_string(),
        }
    }
}

fn ban_line(node: &Node, source: Source, ban: &Ban, clock: Clock) -> String {
    format!(
        "ban {source} {} {} {} {} {}",
        clock.unix(ban.since),
        clock.end(ban.until),
        ban.origin.word(),
        ban.validated,
        node.reason_text(ban.reason)
    )
}

fn lines_of(
    node: &Node,
    source: Source,
    standing: &Standing,
    clock: Clock,
    lines: &mut Vec<String>,
) {
    let (now, ban) = (clock.now, &standing.ban);
    if standing.banned(now, false) && !ban.shadow {
        lines.push(ban_line(node, source, ban, clock));
    }
    if standing.repeats > 0 {
        let until = clock.end(standing.repeats_until);
        lines.push(format!("repeats {source} {until} {}", standing.repeats));
    }
    for (what, name) in TIMES {
        let until = match what {
            What::Whitelist => standing.whitelisted_until,
            What::Cooldown => standing.cooldown_until,
            What::Trust => standing.trusted_until,
        };
        if until > now.ms() {
            lines.push(format!("{name} {source} {}", clock.end(until)));
        }
    }
}

/// The clock on the wall, in milliseconds since 1970.
pub fn wall_ms() -> u64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "remembered_tests.rs"]
mod tests;
