//! Hostile messages over and over: whatever a process takes for one of them, it gives back.

use super::footprint::Footprint;
use super::{Extent, Trial};
use crate::host::{Client, Kamailio, isolate};

#[path = "../../../tests/hostile/barrage/mod.rs"]
mod barrage;

use barrage::messages::CLASSES;
use barrage::{Barrage, config};

/// What a process may grow by: the allocator's own fragments, and pages that it writes for the
/// first time.
const MOST_KB: i64 = 1024;

/// What a process may hold more of Kamailio's private memory, in bytes: it comes and goes by some
/// thousands, as pieces of another size are used again. If one message in five left its smallest piece
/// behind, it would be more, even in the short form.
const MOST_PRIVATE: i64 = 32 * 1024;

pub const HOSTILE: Trial = Trial {
    done: "malformed messages of every class, over and over, at a server that looks into all of them",
    expected: "no process ends or grows, no private memory of a worker is lost, a customer is served",
    run: hostile,
};

fn hostile(extent: &Extent) -> String {
    isolate();
    let (_list, config) = config();
    // The core complains of every single one, which would be a test of the disk.
    let server = Kamailio::start(config.memory_manager("fm").extra("debug=-3"));
    let all: Vec<Vec<u8>> = CLASSES
        .iter()
        .flat_map(|class| (class.messages)())
        .collect();
    let mut barrage = Barrage::new("198.51.100.1");
    let mut attacker = Client::udp("203.0.113.1");
    let mut round = |server: &Kamailio| {
        barrage.send(&mut attacker, &all);
        // The core keeps some texts of its last message: small ones, for the comparison.
        barrage.send(&mut attacker, &(CLASSES[0].messages)());
        (Footprint::of(server), private_memory(server))
    };
    // Once, so that every buffer has been as large as it gets.
    let (before, private_before) = round(&server);
    let ((mut now, mut private), mut sent) = (round(&server), all.len());
    while sent < extent.messages {
        (now, private) = round(&server);
        sent += all.len();
    }
    let memory = before.compare(&now, MOST_KB);
    let most = grown(&private_before, &private);
    assert!(
        most <= MOST_PRIVATE,
        "private memory: {private_before:?}, {private:?}"
    );
    assert_eq!(server.stat("panics"), 0);
    format!(
        "{sent} messages, {} requests of a customer answered between them; {memory}; of Kamailio's \
         private memory no worker holds more than {most} bytes more",
        barrage.asked
    )
}

/// Each process, and the bytes that it holds of Kamailio's private memory.
fn private_memory(server: &Kamailio) -> Vec<(i64, i64)> {
    let listed = server.kamcmd(&["pkg.stats"]).expect("it is told");
    let values = |name: &str| {
        let lines = listed.lines().map(str::trim);
        let values = lines.filter_map(|line| line.strip_prefix(name)?.parse().ok());
        values.collect::<Vec<i64>>()
    };
    let (pids, used) = (values("pid: "), values("real_used: "));
    assert!(!pids.is_empty() && pids.len() == used.len(), "{listed}");
    pids.into_iter().zip(used).collect()
}

/// By how many bytes that of any process has grown.
fn grown(before: &[(i64, i64)], now: &[(i64, i64)]) -> i64 {
    let pairs = before.iter().zip(now);
    let grown = pairs.map(|((pid, before), (same, now))| {
        assert_eq!(pid, same, "the processes are others");
        now - before
    });
    grown.max().unwrap_or_default()
}
