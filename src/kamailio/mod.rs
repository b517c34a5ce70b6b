//! The border to Kamailio: everything that crosses between its C and our Rust, made safe.
//!
//! Used by the face (`module.rs`) and the glue (`check.rs`, `commands.rs`, `agent/`), in every
//! process of the server. One file per thing that Kamailio offers; `sys` holds the raw bindings
//! and is not visible outside.
//!
//! Architecture invariant: this directory and `shared/` are the only ones with `unsafe` code, and
//! nothing here decides anything: it translates. It never lets a panic through to C.

pub mod clock;
pub mod counters;
pub mod entry;
pub mod events;
mod kemi;
pub mod log;
pub mod message;
mod params;
pub mod pipe;
pub mod process;
pub mod pv;
pub mod rpc;
pub mod script;
pub mod sockets;
mod str;
mod sys;

pub use counters::Statistic;
pub use entry::Module;
pub use message::{Message, Transport};
pub use params::{Outcome, ParamValue};
pub use process::Rank;
pub use pv::{PvValue, Variables};
pub use rpc::{Command, Reply, Rpc, RpcList, RpcStruct};
pub use script::{Arg, Function, Kind};
