//! The supervisor: the one process of ours that Kamailio knows. It forks the agent, starts it again
//! when it dies or hangs, and ends it when the server stops.
//!
//! Runs in its own process from `child_init` of the main process to the end of the server. It has
//! no thread, no network and no state: it must not die, because Kamailio stops when it does.

use std::time::{Duration, Instant};

use crate::kamailio::log;
use crate::kamailio::process::{self, Fate, Fork, Pid};
use crate::node::Node;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// First and longest pause before the agent is started again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// An agent that lived so long was healthy: the next pause is the first one again.
const HEALTHY: Duration = Duration::from_secs(60);
/// Looks in a row without a sign of life after which the agent hangs: half a minute, in which it
/// should have given a hundred. Looks and not a clock, because a machine or a group of processes that
/// was stopped for an hour goes on with both of us as if nothing had been.
const LOOKS_MAX: u32 = 600;
/// How long the agent may take to end.
const GOODBYE: Duration = Duration::from_secs(5);

/// The supervisor's whole life; the result is its exit status.
pub fn run(node: &'static Node) -> i32 {
    process::catch_stop();
    let server = process::parent_pid();
    let mut pause = PAUSES.0;
    publish_log(node);
    while !over(server) {
        let started = Instant::now();
        let fate = match start_agent(node) {
            Ok(agent) => {
                let fate = watch(node, agent, server);
                node.status.agent_ended();
                process::forward_stop_to(None);
                fate
            }
            Err(error) => {
                log::error(format_args!("the agent cannot be forked: {error}"));
                Fate::Unknown
            }
        };
        if over(server) {
            break;
        }
        if started.elapsed() >= HEALTHY {
            pause = PAUSES.0;
        }
        let seconds = pause.as_secs();
        let how = ended(fate);
        log::warn(format_args!(
            "the agent {how}; it is started again in {seconds} s"
        ));
        wait(node, pause, server);
        pause = (pause * 2).min(PAUSES.1);
    }
    0
}

fn start_agent(node: &'static Node) -> std::io::Result<Pid> {
    let supervisor = process::own_pid();
    match process::fork()? {
        Fork::Parent(agent) => {
            process::forward_stop_to(Some(agent));
            Ok(agent)
        }
        Fork::Child => process::exit(super::work_guarded(node, supervisor)),
    }
}

/// The agent's signs of life, as seen in one look after the other.
#[derive(Default)]
struct Pulse {
    last: u64,
    looks: u32,
}

impl Pulse {
    /// Takes the sign of life that is there now. Whether the agent hangs: true once, then again
    /// after as long.
    fn hangs(&mut self, beat: u64) -> bool {
        self.looks = match beat == self.last {
            true => self.looks + 1,
            false => 0,
        };
        self.last = beat;
        let hangs = self.looks == LOOKS_MAX;
        if hangs {
            self.looks = 0;
        }
        hangs
    }
}

/// Follows the agent to its end.
fn watch(node: &Node, agent: Pid, server: Pid) -> Fate {
    let mut deadline: Option<Instant> = None;
    let mut pulse = Pulse::default();
    loop {
        match process::fate(agent) {
            Fate::Running => {}
            end => return end,
        }
        if over(server) && deadline.is_none() {
            process::terminate(agent);
            deadline = Some(Instant::now() + GOODBYE);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            process::kill(agent);
        }
        if pulse.hangs(node.status.agent_beat()) && deadline.is_none() {
            let seconds = (LOOK * LOOKS_MAX).as_secs();
            log::warn(format_args!(
                "the agent has not worked for {seconds} s: it is killed"
            ));
            process::kill(agent);
        }
        look(node);
    }
}

fn wait(node: &Node, pause: Duration, server: Pid) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !over(server) {
        look(node);
    }
}

fn look(node: &Node) {
    process::follow_configuration();
    publish_log(node);
    std::thread::sleep(LOOK);
}

/// Tells the agent, which has no part in Kamailio's configuration, what to log.
fn publish_log(node: &Node) {
    let settings = log::settings();
    node.status.set_log(settings.level, settings.facility);
}

/// The server stops, or is gone without having said so.
fn over(server: Pid) -> bool {
    process::stopping() || process::parent_pid() != server
}

fn ended(fate: Fate) -> String {
    match fate {
        Fate::Exited(status) => format!("ended with status {status}"),
        Fate::Killed(signal) => format!("was killed by signal {signal}"),
        Fate::Running | Fate::Unknown => "is gone".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_hangs_after_half_a_minute_without_a_beat() {
        assert_eq!(LOOK * LOOKS_MAX, Duration::from_secs(30));
        let mut pulse = Pulse::default();
        // The first sign may be late, but not by more.
        let mut silent = |beat, looks| (0..looks).filter(|_| pulse.hangs(beat)).count();
        assert_eq!(silent(0, LOOKS_MAX - 1), 0);
        assert_eq!(silent(5, LOOKS_MAX), 0, "the first of them is the beat");
        // However late by the clock: the machine was suspended.
        assert_eq!(silent(9_000_000, LOOKS_MAX), 0);
        assert_eq!(silent(9_000_000, 1), 1);
        assert_eq!(silent(9_000_000, LOOKS_MAX - 1), 0, "said and done once");
        assert_eq!(silent(9_000_000, 1), 1);
    }

    #[test]
    fn an_agent_that_works_never_hangs() {
        let mut pulse = Pulse::default();
        let beats = (0..100_000_u64).map(|look| look / 500);
        assert_eq!(beats.filter(|beat| pulse.hangs(*beat)).count(), 0);
    }
}
