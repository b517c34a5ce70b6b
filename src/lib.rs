//! `sec`: a native Kamailio module that tells customers from attackers.

pub mod cidr;
pub mod config;
pub mod engine;
pub mod gcra;
// The models of loom reach no host; its build needs neither Kamailio nor libclang.
#[cfg(not(loom))]
pub mod kamailio;
#[cfg(not(loom))]
pub mod module;
pub mod shared;
pub mod source;
