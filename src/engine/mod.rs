//! The engine: from facts to a verdict. Pure: time, policy and what is known of a source come in
//! as arguments, a [`verdict::Decision`] goes out; whoever called applies the change it names.
//!
//! Called by `check.rs` in the SIP workers and by tools that replay traffic in virtual time. It
//! never reads a clock, never touches shared memory and never logs.
#![forbid(unsafe_code)]

pub mod decide;
pub mod facts;
pub mod lookup;
pub mod policy;
pub mod verdict;
