//! Callers: customers who go on all the time, so that a test sees whether anybody noticed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Client, Request, wait_until};

/// How many there are.
const CALLERS: usize = 10;
/// Between two requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Ten customers at work.
pub struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Waits>,
}

impl Callers {
    /// They send requests to the test server until they are told to stop.
    pub fn start() -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        let (told, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let thread = thread::spawn(move || call(&told, &count));
        Self {
            stop,
            answered,
            thread,
        }
    }

    /// Waits until each of them was answered once more, whatever is wrong meanwhile.
    pub fn wait_for_answers(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        // One may have been under way.
        wait_until("an answer to each customer", || {
            self.answered.load(Ordering::Relaxed) > before + CALLERS
        });
    }

    /// How long each waited: all of them were answered, and allowed.
    ///
    /// # Panics
    /// When one of them was not.
    pub fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every caller is answered")
    }
}

fn call(stop: &AtomicBool, answered: &AtomicUsize) -> Waits {
    let address = |number| format!("198.18.0.{number}");
    let mut clients: Vec<Client> = (1..=CALLERS).map(|it| Client::udp(&address(it))).collect();
    let request = Request::call("sec_check", &[]);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for client in &mut clients {
            let sent = Instant::now();
            let answer = client.ask(&request);
            assert_eq!(answer.rc(), 1, "a customer is denied");
            times.push(sent.elapsed());
            answered.fetch_add(1, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
        // Ten of them, twenty milliseconds each: at their limit of thirty in two seconds nobody is.
        thread::sleep(PAUSE * 20);
    }
    Waits::from(times)
}

/// How long customers waited for their answers.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// The shortest first.
    sorted: Vec<Duration>,
}

impl From<Vec<Duration>> for Waits {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }
}

impl Waits {
    /// How many answers there were.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The time within which this share of them came; none if none came.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let place = (self.count() as f64 * share) as usize;
        self.sorted.get(place).copied()
    }

    /// Whether this share of them took longer than in `calm`: at least so long, and so many times as
    /// long as there.
    pub fn exceed(&self, calm: &Self, share: f64, floor: Duration, times: u32) -> bool {
        let usual = calm.within(share).unwrap_or_default();
        self.within(share) >= Some(floor.max(usual * times))
    }

    /// The time of such a share in milliseconds, for a report.
    pub fn shown(&self, share: f64) -> String {
        let time = self.within(share);
        time.map_or("-".to_owned(), |time| {
            format!("{:.1}", time.as_secs_f64() * 1000.0)
        })
    }

    /// All these as well.
    pub fn add(&mut self, others: Self) {
        self.sorted.extend(others.sorted);
        self.sorted.sort_unstable();
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, p99) = (self.count(), self.shown(0.99));
        let longest = self.sorted.last().copied().unwrap_or_default();
        let longest = longest.as_secs_f64() * 1000.0;
        write!(
            f,
            "{count} of {count} requests of customers answered, p99 {p99} ms, in {longest:.0} ms at most"
        )
    }
}
