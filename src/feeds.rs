//! `sec.feeds`: each feed, what it holds, and what was wrong with it.
//!
//! Runs in the processes that answer commands, never in a SIP worker. It reads shared memory only.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::commands::open;
use crate::config::Feed;
use crate::kamailio::Rpc;
use crate::shared::feeds::FeedState;

/// `sec.feeds`.
pub fn feeds(rpc: &mut Rpc<'_>) {
    let Some((node, [])) = open(rpc, "sec.feeds", [], []) else {
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    for (number, feed) in node.feeds.list.iter().enumerate() {
        let state = node.feed_states.read(number);
        let age = match state.loaded {
            0 => -1,
            loaded => now.saturating_sub(loaded).cast_signed(),
        };
        rpc.structure()
            .text(c"name", &feed.name)
            .text(c"url", &feed.shown)
            .text(c"action", feed.action.word())
            .text(c"state", word(feed, &state, age))
            .int(c"entries", state.entries.cast_signed())
            .int(c"skipped", state.skipped.cast_signed())
            .text(c"skipped_lines", &state.reasons)
            .int(c"age", age)
            .int(c"next_try", state.next.saturating_sub(now).cast_signed())
            .int(c"failures", state.failures.cast_signed())
            .text(c"problem", &state.problem)
            .int(c"hits", node.hits(number).cast_signed());
    }
}

/// In a word: what holds, and whether it is what the publisher says now.
fn word(feed: &Feed, state: &FeedState, age: i64) -> &'static str {
    let ended = feed.ttl.is_some_and(|ttl| age >= ttl.cast_signed());
    match (age, state.problem.is_empty()) {
        (-1, _) => "not loaded",
        _ if ended => "too old",
        (_, true) => "loaded",
        (_, false) => "stale",
    }
}
