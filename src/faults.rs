//! What goes wrong on purpose: in the build with the feature `fault-injection` alone, for the tests of
//! the guards.
//!
//! The script's `sec_test_panic()` and the command `sec.test_panic` panic where they run. The command
//! with the name of a task sends an order to the agent, which panics there.

use std::ffi::c_int;

use tokio::sync::watch;

use crate::engine::facts::Origin;
use crate::kamailio::{Arg, Message, Rpc};
use crate::networks;
use crate::node::node;
use crate::shared::events::{Event, Kind};

/// What the text of such an order begins with: no list has that name.
const MARK: &[u8] = b"panic:";

thread_local! {
    /// Where the agent is to panic.
    static PLACE: watch::Sender<String> = watch::Sender::default();
}

/// `sec_test_panic()`.
pub fn function(_message: &Message<'_>, _args: &[Arg<'_>]) -> c_int {
    panic!("on purpose, in a script function")
}

/// `sec.test_panic [task]`.
pub fn command(rpc: &mut Rpc<'_>) {
    let (Some(place), Some(node)) = (rpc.argument(), node()) else {
        panic!("on purpose, in a command")
    };
    let order = [MARK, place.as_bytes()].concat();
    let order = String::from_utf8_lossy(&order);
    if networks::reload(node, &order, false, Origin::Operator).is_err() {
        rpc.fault(503, "there is no agent that could panic");
    }
}

/// Whether this is the order to panic: the task that it names does so at its next step.
pub fn obey(event: &Event) -> bool {
    let place = event.text.bytes().strip_prefix(MARK);
    let Some(place) = place.filter(|_| event.kind == Kind::Reload) else {
        return false;
    };
    let place = String::from_utf8_lossy(place).into_owned();
    PLACE.with(|wanted| wanted.send_replace(place));
    here("events");
    true
}

/// Panics if that was ordered for this place.
pub fn here(place: &str) {
    let wanted = PLACE.with(|wanted| *wanted.borrow() == place);
    assert!(!wanted, "on purpose, in {place}");
}

/// A task that panics, wherever it waits, when that is ordered.
pub async fn task(name: &str, task: impl Future<Output = ()>) {
    let mut wanted = PLACE.with(watch::Sender::subscribe);
    tokio::select! {
        biased;
        _ = wanted.wait_for(|wanted| wanted == name) => panic!("on purpose, in {name}"),
        () = task => {}
    }
}
