//! The shared-memory border: what all processes of one Kamailio see, in one anonymous mapping
//! made before any of them is forked, and never grown.
//!
//! Architecture invariant: everything here is words of atomics. No lock, no pointer, no heap
//! type; a process killed between any two instructions leaves nothing that another could wait
//! for. Lock-free operations on such atomics are address-free, so they work across processes
//! (the C++ standard's note in [atomics.lockfree]; Rust's atomics follow it).
//! All-zero memory is the valid empty state of every table.

pub mod ledger;
pub mod line;
pub mod snapshot;
pub mod sync;

#[cfg(not(loom))]
pub mod events;
#[cfg(not(loom))]
pub mod evidence;
#[cfg(all(test, loom))]
mod exploration;
#[cfg(not(loom))]
pub mod feeds;
#[cfg(all(test, not(loom)))]
mod forks;
#[cfg(not(loom))]
pub mod hash;
#[cfg(not(loom))]
pub mod hosts;
#[cfg(not(loom))]
pub mod names;
#[cfg(not(loom))]
pub mod notes;
#[cfg(not(loom))]
pub mod rates;
#[cfg(not(loom))]
pub mod region;
#[cfg(not(loom))]
pub mod statistics;
#[cfg(not(loom))]
pub mod status;
#[cfg(not(loom))]
pub mod words;

#[cfg(all(test, not(loom)))]
mod thread_tests;
