//! Trials: what goes wrong in life, done to a real server on purpose, and what has to come of it.
//!
//! Shared by `make soak`, which runs them at full length and prints a line for each, and by
//! `tests/trials.rs`, which runs them briefly. A trial that finds something else than it expects
//! panics with a sentence; otherwise it says what it saw.
#![allow(dead_code, reason = "each program uses its own part of the trials")]

mod floods;
mod footprint;
mod hostile;
mod names;
mod outages;
mod packets;
mod processes;
mod wear;

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Forged sources of a flood.
    pub sources: u32,
    /// Addresses that are banned at once.
    pub bans: u32,
    /// Offenders that are looked up at once.
    pub offenders: u32,
    /// Hostile messages.
    pub messages: usize,
    /// How often a process is killed.
    pub kills: u32,
    /// How long the wear lasts; the faults of Redis take half as long.
    pub seconds: u64,
}

/// One fault.
pub struct Trial {
    /// What is done.
    pub done: &'static str,
    /// What has to come of it.
    pub expected: &'static str,
    /// Does it, in a network of the calling thread's own, and says what was seen.
    pub run: fn(&Extent) -> String,
}

/// Several faults, one after the other, at the same servers.
pub struct Series {
    /// What is done.
    pub done: &'static str,
    /// Does it, in a network of the calling thread's own, and says what was seen of each.
    pub run: fn(&Extent) -> Vec<Row>,
}

/// One of them.
pub struct Row {
    pub done: String,
    pub expected: String,
    pub seen: String,
}

/// All of those.
pub const SERIES: [Series; 1] = [outages::OUTAGES];

/// All that are one fault.
pub const TRIALS: [Trial; 20] = [
    processes::AGENT_KILLED,
    processes::AGENT_STOPPED,
    processes::AGENT_HUNG,
    processes::AGENT_WITHOUT_MEMORY,
    processes::WORKER_KILLED,
    processes::END_WITH_EVERYTHING_HUNG,
    processes::RESTART_WITH_REDIS,
    floods::FORGED_IPV4,
    floods::FORGED_IPV6,
    floods::FORGED_OFFENDERS,
    packets::PACKETS,
    floods::BANS,
    floods::BANS_WITHOUT_REDIS,
    floods::BANS_IN_SHADOW,
    floods::NETWORKS,
    names::SILENT,
    names::SLOW,
    names::ANSWERING,
    hostile::HOSTILE,
    wear::WEAR,
];
