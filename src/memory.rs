//! What this process has decided about the message at hand: a request is counted once, and
//! `$sec(…)` can be asked later.
//!
//! Used by `check.rs` in SIP workers; private to the process.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::engine::verdict::{Reason, Verdict};
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
    /// The verdict, whatever the mode made of it.
    pub verdict: Verdict,
    /// The rule that spoke.
    pub reason: Reason,
}

/// Addresses that one message may be checked for and is remembered with.
const ADDRESSES: usize = 4;

/// The message that was last checked, and the decisions about it in a ring.
struct Memory {
    message: (u32, i32),
    decisions: [Option<Last>; ADDRESSES],
    /// Where the next one goes.
    next: usize,
}

thread_local! {
    /// A request is counted once for an address, however often the script asks. It is read and
    /// written in place: copies of it would cost more than the rest of a check.
    static MEMORY: RefCell<Memory> = const {
        RefCell::new(Memory {
            message: (0, 0),
            decisions: [None; ADDRESSES],
            next: 0,
        })
    };
}

/// Remembers a decision about a message.
pub fn remember(message: &Message<'_>, last: Last) {
    MEMORY.with_borrow_mut(|memory| {
        if memory.message != message.key() {
            memory.message = message.key();
            memory.decisions = [None; ADDRESSES];
        }
        memory.decisions[memory.next] = Some(last);
        memory.next = (memory.next + 1) % ADDRESSES;
    });
}

/// What this message was answered about a source.
pub fn answer(message: &Message<'_>, key: Key) -> Option<i32> {
    MEMORY.with_borrow(|memory| {
        if memory.message != message.key() {
            return None;
        }
        let known = memory.decisions.iter().flatten();
        let mut of_source = known.filter(|last| last.key.source == key.source);
        of_source.next().map(|last| last.code)
    })
}

/// The newest decision about a message.
pub fn newest(message: &Message<'_>) -> Option<Last> {
    MEMORY.with_borrow(|memory| {
        let newest = (memory.next + ADDRESSES - 1) % ADDRESSES;
        memory.decisions[newest].filter(|_| memory.message == message.key())
    })
}
