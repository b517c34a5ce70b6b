//! What this process has decided about the message at hand: a request is counted once, and
//! `$sec(…)` can be asked later.
//!
//! Used by `check.rs` in SIP workers; private to the process.

use std::cell::Cell;
use std::net::IpAddr;

use crate::engine::verdict::Decision;
use crate::kamailio::Message;
use crate::shared::ledger::Key;

/// A decision of this process.
#[derive(Clone, Copy)]
pub struct Last {
    /// The address that was asked about.
    pub address: IpAddr,
    /// Its source.
    pub key: Key,
    /// What the script was answered.
    pub code: i32,
    /// The decision.
    pub decision: Decision,
}

/// Addresses that one message may be checked for and is remembered with.
const ADDRESSES: usize = 4;

/// The message that was last checked, and the decisions about it, the newest first.
#[derive(Clone, Copy)]
struct Memory {
    message: (u32, i32),
    decisions: [Option<Last>; ADDRESSES],
}

thread_local! {
    /// A request is counted once for an address, however often the script asks.
    static MEMORY: Cell<Option<Memory>> = const { Cell::new(None) };
}

/// Remembers a decision about a message.
pub fn remember(message: &Message<'_>, last: Last) {
    let message = message.key();
    let known = MEMORY.get().filter(|memory| memory.message == message);
    let mut decisions = known.map_or([None; ADDRESSES], |memory| memory.decisions);
    decisions.rotate_right(1);
    decisions[0] = Some(last);
    MEMORY.set(Some(Memory { message, decisions }));
}

/// The newest decision about a message of which `wanted` holds.
pub fn memory(message: &Message<'_>, wanted: impl Fn(&Last) -> bool) -> Option<Last> {
    let memory = MEMORY
        .get()
        .filter(|memory| memory.message == message.key())?;
    memory.decisions.into_iter().flatten().find(wanted)
}
