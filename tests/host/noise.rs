//! Noise: keys of bans that others change all the time, thousands a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::Connection;

/// Changes a second.
const RATE: u32 = 5000;

/// Somebody at work, until told to stop or Redis is gone.
pub struct Noise {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Noise {
    /// Bans by keys, [`RATE`] of them a second, in a network of their own.
    pub fn start(connection: Connection) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || make(connection, &told));
        Self { stop, thread }
    }

    /// No more of it.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the noise ends");
    }
}

fn make(mut connection: Connection, stop: &AtomicBool) {
    let start = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut pipe = redis::pipe();
        for _ in 0..50 {
            let address = format!("ban:10.200.{}.{}", number >> 8 & 255, number & 255);
            let set = pipe.cmd("SET").arg(address).arg(number);
            set.arg("EX").arg(600).ignore();
            number += 1;
        }
        if pipe.exec(&mut connection).is_err() {
            return;
        }
        let due = Duration::from_secs_f64(f64::from(number) / f64::from(RATE));
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
}
