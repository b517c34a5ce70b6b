//! `make stories`: customers and attackers at a registrar, protected by `sec`, and by pike and an
//! htable, under the same traffic.
//!
//! Each story is played twice in real Kamailios, each in a network of its own, with a real Redis and
//! a real name server. What is counted is what goes over the wire. Prints the table of the README.
#![forbid(unsafe_code)]

#[path = "../../tests/host/mod.rs"]
mod host;

mod plays;
mod table;

use std::sync::Mutex;
use std::thread;

use plays::{Guard, Outcome, STORIES, Terms};

/// A ban is five minutes in life; nobody has to wait for that here.
const TERMS: Terms = Terms {
    ban_secs: 20,
    haste: 1.0,
};
/// Servers at the same time: they mostly wait.
const AT_ONCE: usize = 6;

fn main() {
    let mut parts: Vec<(usize, Guard)> = Vec::new();
    for story in 0..STORIES.len() {
        parts.extend([(story, Guard::Sec), (story, Guard::Pike)]);
    }
    let waiting = Mutex::new(parts.iter().rev().copied().collect::<Vec<_>>());
    let played: Mutex<Vec<((usize, Guard), Outcome)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((story, guard)) = next(&waiting) {
                    // A network belongs to a thread: the next story takes a new one.
                    let (_world, outcome) = STORIES[story].play(guard, TERMS);
                    eprintln!("{guard:?}: {}", STORIES[story].title);
                    let mut played = played.lock().expect("nobody panicked");
                    played.push(((story, guard), outcome));
                }
            });
        }
    });
    let played = played.into_inner().expect("nobody panicked");
    print!("{}", table::table(&played, TERMS.ban_secs));
}

fn next(waiting: &Mutex<Vec<(usize, Guard)>>) -> Option<(usize, Guard)> {
    waiting.lock().expect("nobody panicked").pop()
}
