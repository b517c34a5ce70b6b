//! `sec`: a native Kamailio module that tells customers from attackers.

#[cfg(not(loom))]
mod agent;
#[cfg(not(loom))]
mod check;
pub mod cidr;
#[cfg(not(loom))]
mod commands;
pub mod config;
pub mod engine;
#[cfg(not(loom))]
mod explain;
pub mod gcra;
// The models of loom reach no host; its build needs neither Kamailio nor libclang.
#[cfg(not(loom))]
pub mod kamailio;
#[cfg(not(loom))]
pub mod module;
#[cfg(not(loom))]
mod node;
#[cfg(not(loom))]
mod orders;
#[cfg(not(loom))]
mod script;
pub mod shared;
pub mod source;
