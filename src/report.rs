//! `sec.status`: how the node is, in one answer.
//!
//! Runs in the processes that answer commands, never in a SIP worker. It reads shared memory only.

use crate::commands::{mode_word, open};
use crate::engine::facts::Now;
use crate::kamailio::{Rpc, RpcStruct};
use crate::node::Node;
use crate::shared::feeds::FeedState;
use crate::shared::notes::Note;
use crate::shared::statistics::Count;

/// `sec.status`.
pub fn status(rpc: &mut Rpc<'_>) {
    let Some((node, [])) = open(rpc, "sec.status", [], []) else {
        return;
    };
    let now = node.now();
    let census = node.ledger.census();
    let mut reply = rpc.structure();
    reply
        .text(c"version", env!("CARGO_PKG_VERSION"))
        .text(c"mode", mode_word(node.status.shadow()))
        .int(c"uptime", node.uptime().cast_signed())
        .int(c"memory", node.region_bytes() as i64)
        .int(c"sources", node.status.sources().cast_signed())
        .int(c"table_size", node.table_size as i64)
        .int(c"ledger_records", census.records().cast_signed())
        .int(c"ledger_size", node.ledger.capacity() as i64)
        .int(c"active_bans", node.active_bans().cast_signed())
        .int(c"active_whitelist", node.active_whitelist().cast_signed())
        .int(c"trusted", census.trusted().cast_signed())
        .text(c"agent", if node.has_agent(now) { "up" } else { "down" })
        .int(c"agent_pid", node.status.agent_pid().cast_signed())
        .int(
            c"agent_restarts",
            node.status.agent_starts().saturating_sub(1).cast_signed(),
        );
    if node.whitelist_sources.file.is_some() {
        let note = node.notes.read(Note::WhitelistFile);
        reply.text(
            c"whitelist_file",
            if note.is_empty() {
                "as at the start"
            } else {
                &note
            },
        );
    }
    let names = node.names.read();
    if !names.is_empty() {
        let stale = names.iter().filter(|name| name.is_stale()).count();
        let resolved = names.iter().filter(|name| name.state() == "resolved");
        reply
            .int(c"whitelist_names", names.len() as i64)
            .int(c"whitelist_names_resolved", resolved.count() as i64)
            .int(c"whitelist_names_stale", stale as i64);
    }
    let lists = &node.lists.snapshot;
    reply
        .int(c"lists_published", lists.generation().cast_signed())
        .int(c"lists_bytes", 8 * lists.used() as i64)
        .int(c"lists_bytes_max", 8 * lists.capacity() as i64);
    extensions_status(node, &mut reply);
    feeds_status(node, &mut reply);
    redis_status(node, now, &mut reply);
    dns_status(node, &mut reply);
    metrics_status(node, &mut reply);
    outlets_status(node, &mut reply);
    for (name, count) in [
        (c"checks", node.checks()),
        (c"denied", node.counted(Count::Denied)),
        (c"evictions", node.evictions()),
        (c"events_dropped", node.counted(Count::EventsDropped)),
        (c"errors", node.counted(Count::Errors)),
        (c"panics", node.counted(Count::Panics)),
    ] {
        reply.int(name, count.cast_signed());
    }
}

/// By what users are judged, and why not.
fn extensions_status(node: &Node, reply: &mut RpcStruct<'_>) {
    let (directory, sources) = (&node.directory, &node.extension_sources);
    let word = if directory.is_off() { "off" } else { "on" };
    reply
        .text(c"extensions", word)
        .int(c"extension_masks", directory.masks() as i64)
        .int(c"extension_names", directory.names() as i64);
    let note = |note, otherwise: &str| match node.notes.read(note) {
        text if text.is_empty() => otherwise.to_owned(),
        text => text,
    };
    if sources.file.is_some() || sources.key.is_some() {
        reply.text(c"extension_problem", &node.notes.read(Note::Extensions));
    }
    if sources.file.is_some() {
        let text = note(Note::ExtensionFile, "as at the start");
        reply.text(c"extension_file", &text);
    }
    if sources.key.is_some() {
        let text = note(Note::ExtensionSets, "not read yet");
        reply.text(c"extension_redis_key", &text);
    }
}

/// The feeds, all together.
fn feeds_status(node: &Node, reply: &mut RpcStruct<'_>) {
    let count = node.feeds.list.len();
    if count == 0 {
        return;
    }
    let states: Vec<FeedState> = (0..count).map(|feed| node.feed_states.read(feed)).collect();
    let entries: u64 = states.iter().map(|state| state.entries).sum();
    let problems = states.iter().filter(|state| !state.problem.is_empty());
    reply
        .int(c"feeds", count as i64)
        .int(c"feed_entries", entries.cast_signed())
        .int(c"feed_problems", problems.count() as i64);
}

/// The link to the fleet's memory.
fn redis_status(node: &Node, now: Now, reply: &mut RpcStruct<'_>) {
    if node.redis.url.is_none() {
        reply.text(c"redis", "not configured");
        return;
    }
    let status = node.status;
    let age = status.replica_age_ms(now).map_or(-1, u64::cast_signed);
    reply
        .text(c"redis", if status.link_up() { "up" } else { "down" })
        .text(c"redis_problem", &node.notes.read(Note::Redis))
        .int(c"redis_reconnects", status.reconnects().cast_signed())
        .int(c"replica_age_ms", age)
        .int(c"redis_keys", status.keys().cast_signed())
        .int(c"redis_unwritten", status.unwritten().cast_signed())
        .int(c"redis_garbage", status.garbage().cast_signed());
    let mut garbage = reply.list(c"redis_garbage_keys");
    for number in 0..Note::GARBAGE_MAX {
        let key = node.notes.read(Note::Garbage(number));
        if !key.is_empty() {
            garbage.text(&key);
        }
    }
}

/// What names are looked up for, and by whom; what came of it.
fn dns_status(node: &Node, reply: &mut RpcStruct<'_>) {
    let (asks, named) = (node.policy.rdns.asks, !node.names.read().is_empty());
    reply.text(
        c"dns",
        match (asks, named) {
            (false, false) => "not used",
            (true, false) => "for rdns_trusted",
            (false, true) => "for whitelist",
            (true, true) => "for rdns_trusted and whitelist",
        },
    );
    if asks || named {
        let server = node.rdns.resolver.map(|address| address.to_string());
        reply.text(c"resolver", server.as_deref().unwrap_or("system"));
    }
    if asks {
        reply
            .int(
                c"rdns_lookups",
                node.counted(Count::RdnsLookups).cast_signed(),
            )
            .int(
                c"rdns_spared",
                node.counted(Count::RdnsSpared).cast_signed(),
            );
    }
}

/// Who gets metrics, and why not.
fn metrics_status(node: &Node, reply: &mut RpcStruct<'_>) {
    if let Some(receiver) = &node.metrics.statsd {
        reply
            .text(c"statsd", &receiver.to_string())
            .text(c"statsd_problem", &node.notes.read(Note::Statsd));
    }
    if let Some(receiver) = &node.metrics.graphite {
        reply
            .text(c"graphite", &receiver.to_string())
            .text(c"graphite_problem", &node.notes.read(Note::Graphite));
    }
}

/// Where bans go besides this node, and why not.
fn outlets_status(node: &Node, reply: &mut RpcStruct<'_>) {
    if let Some(path) = &node.outlets.file {
        reply
            .text(c"feed_export", path)
            .text(c"feed_export_problem", &node.notes.read(Note::Export));
    }
    if let Some(sets) = &node.outlets.sets {
        reply
            .text(c"nft_set", &sets.to_string())
            .text(c"nft_set_problem", &node.notes.read(Note::NftSet));
    }
}
