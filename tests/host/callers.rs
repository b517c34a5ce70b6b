//! Callers: customers who go on all the time, so that a test sees whether anybody noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Client, Request};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Ten customers at work.
pub struct Callers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Callers {
    /// They send requests to the test server until they are told to stop.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || call(&told));
        Self { stop, thread }
    }

    /// How many requests there were, all of them answered and allowed, and the longest wait.
    ///
    /// # Panics
    /// When one of them was not.
    pub fn stop(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let (count, longest) = self.thread.join().expect("every caller is answered");
        let longest = longest.as_secs_f64() * 1000.0;
        format!("{count} of {count} requests of customers answered, in {longest:.0} ms at most")
    }
}

fn call(stop: &AtomicBool) -> (u32, Duration) {
    let address = |number| format!("198.18.0.{number}");
    let mut clients: Vec<Client> = (1..=10).map(|it| Client::udp(&address(it))).collect();
    let request = Request::call("sec_check", &[]);
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        for client in &mut clients {
            let sent = Instant::now();
            let answer = client.ask(&request);
            assert_eq!(answer.rc(), 1, "a customer is denied");
            longest = longest.max(sent.elapsed());
            count += 1;
            thread::sleep(PAUSE);
        }
        // Ten of them, twenty milliseconds each: at their limit of thirty in two seconds nobody is.
        thread::sleep(PAUSE * 20);
    }
    (count, longest)
}
