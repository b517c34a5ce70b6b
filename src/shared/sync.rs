//! The atomics of the shared tables: those of the standard library, or loom's in its models.
//! Used by the tables only; nothing else in the crate names an atomic type.
#![forbid(unsafe_code)]

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU64, Ordering, fence};
