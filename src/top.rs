//! The book of refusals: `sec_check` writes who was refused, `sec.top` lists who was it most.
//!
//! Writing runs in SIP workers and mostly writes nothing (see the ledger's `denials`); the list is
//! made in the processes that answer commands.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::commands::{mode_word, open, whole};
use crate::engine::facts::Now;
use crate::engine::verdict::Decision;
use crate::kamailio::{Rpc, clock, process};
use crate::listings::PAGE_MAX;
use crate::node::{Node, seconds_left};
use crate::shared::ledger::{Denials, Key, Record};
use crate::source::Source;

/// Sources in one reply, unless the operator says otherwise.
const COUNT: i64 = 10;
/// The furthest that a page may begin.
const OFFSET_MAX: i64 = 10_000;

/// Writes down that a request was refused, or would have been.
pub fn note(
    node: &Node,
    place: (Key, Option<Record>),
    now: Now,
    decision: &Decision,
    shadow: bool,
) {
    if decision.verdict.denies() {
        let reason = decision.reason;
        node.ledger.count_denial(place, now, reason, shadow, chance);
    } else if let Some(reason) = decision.shadowed {
        node.ledger.count_denial(place, now, reason, true, chance);
    }
}

/// State of this process' random numbers; 0 before the first.
static CHANCE: AtomicU64 = AtomicU64::new(0);

/// A random number: which of many refusals is written. Whoever guesses it only spoils a count.
fn chance() -> u64 {
    let mut state = match CHANCE.load(Relaxed) {
        0 => clock::now_ns() ^ u64::from(process::own_pid().0.unsigned_abs()) << 40 | 1,
        state => state,
    };
    // Marsaglia's xorshift.
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    CHANCE.store(state, Relaxed);
    state
}

/// `sec.top [count] [offset]`.
pub fn top(rpc: &mut Rpc<'_>) {
    let Some((node, [count, offset])) = open(rpc, "sec.top", [], ["count", "offset"]) else {
        return;
    };
    let Some(count) = whole(rpc, "count", &count, COUNT) else {
        return;
    };
    let Some(offset) = whole(rpc, "offset", &offset, 0) else {
        return;
    };
    if !(1..=PAGE_MAX).contains(&count) || !(0..=OFFSET_MAX).contains(&offset) {
        let text = format!("sec.top: count from 1 to {PAGE_MAX}, offset from 0 to {OFFSET_MAX}");
        return rpc.fault(400, &text);
    }
    let now = node.now();
    let (count, offset) = (count as usize, offset as usize);
    let all = node.ledger.all_denials(now);
    for (source, denials) in worst(all, offset + count).into_iter().skip(offset) {
        let standing = node.standing(source.address(), node.key_of(source), now);
        let banned = standing.banned(now, true);
        rpc.structure()
            .text(c"ip", &source.to_string())
            .int(c"denied", denials.count.cast_signed())
            .text(c"reason", &node.reason_text(denials.reason))
            .int(
                c"ban_ttl",
                if banned {
                    seconds_left(standing.ban.until, now)
                } else {
                    0
                },
            )
            .text(c"mode", mode_word(denials.shadow));
    }
}

/// The `most` that were refused most often, the worst first; never more than twice as many in
/// memory.
fn worst(all: impl Iterator<Item = (Source, Denials)>, most: usize) -> Vec<(Source, Denials)> {
    let order = |(source, denials): &(Source, Denials)| {
        (
            std::cmp::Reverse(denials.count),
            source.bits(),
            source.length(),
        )
    };
    let mut found = Vec::new();
    for one in all {
        found.push(one);
        if found.len() >= 2 * most {
            found.sort_unstable_by_key(order);
            found.truncate(most);
        }
    }
    found.sort_unstable_by_key(order);
    found.truncate(most);
    found
}
