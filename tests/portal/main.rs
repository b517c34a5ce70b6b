//! The customer's page, `examples/portal`: the real program, a real Redis, a small HTTP client,
//! and once a real browser.
//!
//! Every server is started by its test and stopped by its process id; everything is on loopback.
#![forbid(unsafe_code)]

mod browser;
mod client;
mod program;
mod store;

#[path = "../host/mod.rs"]
mod host;

mod accounts;
mod address;
mod allowances;
mod customer;
mod failures;
mod forms;
