//! `sec`: a native Kamailio module that tells customers from attackers.

pub mod cidr;
pub mod engine;
pub mod gcra;
pub mod shared;
pub mod source;
