//! The customers of the demo: phones that work while others attack.
//!
//! One thread drives them all: it registers each phone and lets them call each other in turn until
//! it is told to stop, and remembers the first thing that went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::host::{Phone, wait_until};

/// Between two calls: slow enough to be people, fast enough to notice a disturbance.
const PAUSE: Duration = Duration::from_millis(40);

/// What the phones have done so far.
#[derive(Default)]
struct Work {
    registrations: AtomicU32,
    calls: AtomicU32,
    stop: AtomicBool,
}

/// Phones at work.
pub struct Customers {
    work: Arc<Work>,
    thread: JoinHandle<Result<(), String>>,
}

impl Customers {
    /// Starts one phone for each user and waits for the first calls.
    ///
    /// # Errors
    /// What did not work, if it was the very first thing.
    pub fn start(users: &'static [(&str, &str)]) -> Result<Self, String> {
        let work = Arc::new(Work::default());
        let mine = Arc::clone(&work);
        let thread = thread::spawn(move || toil(users, &mine));
        wait_until("the first calls", || {
            thread.is_finished() || work.calls.load(Ordering::Relaxed) >= 2
        });
        let customers = Self { work, thread };
        if customers.thread.is_finished() {
            return customers.stop().and(Err("the phones gave up".to_owned()));
        }
        Ok(customers)
    }

    /// Lets them finish; how many registrations and calls there were.
    ///
    /// # Errors
    /// The first one that failed.
    pub fn stop(self) -> Result<(u32, u32), String> {
        self.work.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(result) => result?,
            Err(_) => return Err("the phones broke down".to_owned()),
        }
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        Ok((count(&self.work.registrations), count(&self.work.calls)))
    }
}

/// Registers and calls until told to stop.
fn toil(users: &[(&str, &str)], work: &Work) -> Result<(), String> {
    let mut phones: Vec<Phone> = (1..)
        .zip(users)
        .map(|(host, (user, password))| Phone::new(user, password, &format!("198.51.100.{host}")))
        .collect();
    while !work.stop.load(Ordering::Relaxed) {
        for phone in &mut phones {
            phone.register().map_err(|answer| match answer {
                Some(answer) => format!("a phone could not register: {}", answer.text()),
                None => "a phone got no answer to its registration".to_owned(),
            })?;
            work.registrations.fetch_add(1, Ordering::Relaxed);
        }
        for pair in phones.chunks_exact_mut(2) {
            let [caller, callee] = pair else { continue };
            caller.call(callee)?;
            callee.call(caller)?;
            work.calls.fetch_add(2, Ordering::Relaxed);
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}
