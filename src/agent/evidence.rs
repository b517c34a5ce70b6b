//! The agent's part in evidence: takes down who did what, so that a ban can be explained.
//!
//! A task of the agent, fed through a pipe of its own: a flood of offences fills that one, is dropped
//! and counted, and displaces nothing that the agent has to know.

use std::io;

use tokio::net::unix::pipe::Receiver;
use tokio::task::yield_now;

use crate::engine::facts::Origin;
use crate::node::Node;
use crate::shared::events::{Event, Kind, RECORD};
use crate::shared::evidence::{Deed, clean};

/// Records taken from the pipe at once.
const BATCH: usize = 64;
/// What happens so soon after the same is no second offence: the hold of a rate, and its ban.
const SAME_MS: u64 = 10_000;

/// Takes down offences as long as the agent runs.
pub async fn follow(node: &'static Node) {
    // The agent starts again when this task ends.
    let _ended = read(node).await;
}

async fn read(node: &'static Node) -> io::Result<()> {
    let offences = Receiver::from_owned_fd(node.offences.reader()?)?;
    loop {
        offences.readable().await?;
        let mut buffer = [0; RECORD * BATCH];
        let Ok(length) = offences.try_read(&mut buffer) else {
            continue;
        };
        let records = buffer[..length].as_chunks::<RECORD>().0;
        records
            .iter()
            .filter_map(Event::decode)
            .for_each(|event| note(node, &event));
        yield_now().await;
    }
}

/// Takes an event down, if it is one that somebody is to blame for: an offence, or going over a rate.
/// What an operator, a script or another node ordered is none.
pub fn note(node: &Node, event: &Event) {
    let key = node.key_of(event.source);
    let of_rate =
        matches!(event.kind, Kind::Ban | Kind::Hold | Kind::Revoke) && event.origin == Origin::Rate;
    if event.kind != Kind::Offence && !of_rate {
        return;
    }
    let (at, weight) = match of_rate {
        true => (node.now().ms(), 0),
        false => (event.at, event.count as u8),
    };
    let deed = Deed {
        at,
        reason: event.reason,
        weight,
        method: event.method,
        user: clean(event.text.bytes()),
        agent: clean(event.agent.bytes()),
    };
    if of_rate
        && node
            .evidence
            .read(key)
            .first()
            .is_some_and(|last| is_same(last, &deed))
    {
        return;
    }
    node.evidence.write(key, &deed, |source| {
        let now = node.now();
        let standing = node.ledger.standing(node.key_of(source), now);
        match standing.banned(now, true) {
            true => 2,
            false => u8::from(standing.strikes > 0 || standing.mutes),
        }
    });
}

fn is_same(last: &Deed, deed: &Deed) -> bool {
    let soon = deed.at.saturating_sub(last.at) < SAME_MS;
    let at = last.at;
    let deed = Deed { at, ..deed.clone() };
    soon && *last == deed
}
