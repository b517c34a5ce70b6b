//! Traffic in time: so many requests a second, and no more in all than a story says.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until the next request is due.
pub struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    pub fn new(per_second: f64) -> Self {
        Self {
            every: Duration::from_secs_f64(per_second.recip()),
            next: Instant::now(),
        }
    }

    /// Nobody catches up on what he missed: a machine that stalls makes the traffic slower.
    pub fn wait(&mut self) {
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        self.next = self.next.max(now) + self.every;
    }
}
