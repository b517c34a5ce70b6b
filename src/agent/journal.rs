//! The one voice: a log line for each change of state, in words that grep well, and never more than
//! a hundred in a second. Complaints, which whoever sends nonsense can cause, have a budget of their
//! own, ten in a minute. The script's event routes hear of the same changes, and of all of them.
//!
//! Called by the agent with the events that workers and commands sent, or that Redis told of. It
//! shows texts of strangers in printable form only.

use crate::engine::facts::{Now, Origin};
use crate::kamailio::log;
use crate::node::Node;
use crate::shared::events::{Event, Kind};

/// Changes in a second; what is beyond is only counted.
const CHANGES: Budget = Budget::new(1000, 100);
/// Complaints in a minute.
const COMPLAINTS: Budget = Budget::new(60_000, 10);

/// So many lines in a time, and how many more there would have been.
struct Budget {
    period_ms: u64,
    lines_max: u32,
    period: u64,
    lines: u32,
    left_out: u64,
}

impl Budget {
    const fn new(period_ms: u64, lines_max: u32) -> Budget {
        Budget {
            period_ms,
            lines_max,
            period: 0,
            lines: 0,
            left_out: 0,
        }
    }

    /// Takes a line from what is left; whether there was one.
    fn take(&mut self) -> bool {
        let taken = self.lines < self.lines_max;
        match taken {
            true => self.lines += 1,
            false => self.left_out += 1,
        }
        taken
    }

    /// Begins a new period when it is time for it; how many lines the last one left out.
    fn renew(&mut self, now: Now) -> u64 {
        let period = now.ms() / self.period_ms;
        if period == self.period {
            return 0;
        }
        (self.period, self.lines) = (period, 0);
        std::mem::take(&mut self.left_out)
    }
}

pub struct Journal {
    node: &'static Node,
    changes: Budget,
    complaints: Budget,
}

impl Journal {
    pub fn new(node: &'static Node) -> Journal {
        Journal {
            node,
            changes: CHANGES,
            complaints: COMPLAINTS,
        }
    }

    /// Tells the event routes; writes the line of an event, or counts it if there were too many.
    pub fn write(&mut self, event: &Event, now: Now) {
        if let Some(routes) = &self.node.event_routes {
            routes.tell(self.node, event);
        }
        self.flush(now);
        let complains = matches!(event.kind, Kind::Full | Kind::Unreadable | Kind::Refused);
        let budget = match complains {
            true => &mut self.complaints,
            false => &mut self.changes,
        };
        if !budget.take() {
            return;
        }
        let line = line(event, &self.node.reason_text(event.reason));
        match complains {
            true => log::warn(line),
            false => log::at(self.node.log_level, line),
        }
    }

    /// Says what the last second and the last minute left out, once they are over.
    pub fn flush(&mut self, now: Now) {
        match self.changes.renew(now) {
            0 => {}
            more => log::at(
                self.node.log_level,
                format_args!("{more} more changes in that second"),
            ),
        }
        match self.complaints.renew(now) {
            0 => {}
            more => log::warn(format_args!(
                "{more} more complaints in that minute; the statistic errors counts all of them"
            )),
        }
    }
}

/// The line: what happened, to whom, and `name=value` for the rest.
fn line(event: &Event, reason: &str) -> String {
    let source = event.source;
    let mut line = match event.kind {
        Kind::Ban | Kind::BanNetwork => format!("ban {source}"),
        Kind::Mute => format!("mute a user at {source}"),
        Kind::Unban | Kind::UnbanNetwork => format!("unban {source}"),
        Kind::Revoke => format!("revoke {source}: it lost its whitelist entry and is banned"),
        Kind::Spare => format!("spare {source}: {} was looked up", event.address),
        Kind::NotSpared => format!("no exception for {source}: {} was looked up", event.address),
        Kind::Offence => format!("offence of {source}"),
        Kind::Hold => format!("hold {source}: {} is looked up", event.address),
        Kind::WhitelistAdd | Kind::WhitelistNetwork => format!("whitelist {source}"),
        Kind::WhitelistRemove | Kind::UnwhitelistNetwork => format!("unwhitelist {source}"),
        Kind::Reload => format!("reload {}", event.text.printable()),
        Kind::Mode => return mode(event),
        Kind::Refused => format!("refused for {source}: {}", event.text.printable()),
        Kind::Unreadable => {
            let text = event.text.printable();
            format!("the script gave \"{text}\" as an IP address; {source} was taken instead")
        }
        Kind::Full => format!(
            "no room in the ledger for {source}: ledger_size is too small for what is going on"
        ),
    };
    if matches!(
        event.kind,
        Kind::Refused | Kind::Unreadable | Kind::Full | Kind::Reload
    ) {
        return line;
    }
    let mut add = |name: &str, value: &str| {
        line.push_str(&format!(" {name}={value}"));
    };
    if !reason.is_empty() {
        add("reason", &quoted(reason));
    }
    match event.seconds {
        0 => {}
        Event::FOREVER => add("seconds", "unlimited"),
        seconds => add("seconds", &seconds.to_string()),
    }
    if event.count > 0 && matches!(event.kind, Kind::Ban | Kind::Revoke) {
        add("count", &event.count.to_string());
    }
    add("by", event.origin.word());
    if event.shadow {
        add("mode", "shadow");
    }
    let names = match event.kind {
        Kind::Spare => ["name", "agent"],
        Kind::NotSpared => ["names", "because"],
        _ => ["user", "agent"],
    };
    for (name, text) in names.into_iter().zip([&event.text, &event.agent]) {
        if !text.is_empty() {
            add(name, &format!("\"{}\"", text.printable()));
        }
    }
    line
}

fn mode(event: &Event) -> String {
    let by = match event.origin {
        Origin::Operator => " by operator",
        _ => "",
    };
    match event.seconds {
        0 => format!("mode enforce{by}; shadow bans are dropped"),
        _ => format!("mode shadow{by}; nothing is denied"),
    }
}

/// A reason with blanks in it is quoted, so that the line can be taken apart again.
fn quoted(text: &str) -> String {
    if text.contains(' ') {
        format!("\"{text}\"")
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::verdict::Reason;
    use crate::shared::events::Text;
    use crate::source::Source;

    fn event(kind: Kind) -> Event {
        let source = Source::new("192.0.2.1".parse().unwrap(), 64);
        Event {
            reason: Reason::AUTH,
            ..Event::new(kind, source, Origin::Strike)
        }
    }

    #[test]
    fn a_ban_says_who_why_how_long_and_what_was_seen() {
        let ban = Event {
            seconds: 300,
            count: 2,
            text: Text::new(b"100"),
            agent: Text::new(b"friendly-scanner"),
            ..event(Kind::Ban)
        };
        assert_eq!(
            line(&ban, "auth"),
            "ban 192.0.2.1 reason=auth seconds=300 count=2 by=strike user=\"100\" \
             agent=\"friendly-scanner\""
        );
    }

    #[test]
    fn a_strangers_text_cannot_break_the_line() {
        let ban = Event {
            agent: Text::new(b"a\" by=x\r\n\xff\\"),
            ..event(Kind::Ban)
        };
        assert_eq!(
            line(&ban, "two words"),
            "ban 192.0.2.1 reason=\"two words\" by=strike agent=\"a\\x22 by=x\\x0d\\x0a\\xff\\x5c\""
        );
    }

    #[test]
    fn shadow_and_endless_are_said() {
        let shadow = Event {
            shadow: true,
            seconds: 60,
            ..event(Kind::Ban)
        };
        assert!(line(&shadow, "auth").contains("mode=shadow"));
        let entry = Event {
            seconds: Event::FOREVER,
            ..event(Kind::WhitelistAdd)
        };
        assert_eq!(
            line(&entry, ""),
            "whitelist 192.0.2.1 seconds=unlimited by=strike"
        );
    }
}
