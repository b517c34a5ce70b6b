//! A customer: a phone that registers, and how long it had to do without.

use std::time::{Duration, Instant};

use crate::host::{Message, Phone, Request};

/// So long a silence is more than a packet that got lost: a phone has repeated itself by then.
const SILENCE: Duration = Duration::from_secs(1);

/// One phone of a customer.
pub struct Customer {
    address: String,
    password: String,
    phone: Phone,
    /// What was sent and not answered yet.
    pending: Option<Request>,
    /// Since when it has no service.
    without_since: Option<Instant>,
    /// Whether that is because nobody answered.
    silent: bool,
    longest_without: Duration,
    longest_silence: Duration,
    put_off: bool,
    /// When to try again, for one that was told to.
    pub(super) again_at: Instant,
}

impl Customer {
    pub fn new(user: &str, password: &str, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            password: password.to_owned(),
            phone: Phone::new(user, password, address),
            pending: None,
            without_since: None,
            silent: false,
            longest_without: Duration::ZERO,
            longest_silence: Duration::ZERO,
            put_off: false,
            again_at: Instant::now(),
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn was_cut_off(&self) -> bool {
        self.longest_silence >= SILENCE
    }

    pub fn was_put_off(&self) -> bool {
        self.put_off
    }

    pub fn longest_without(&self) -> Duration {
        self.longest_without
    }

    /// Types another extension into the phone; the password stays.
    pub fn types(&mut self, user: &str) {
        self.phone = Phone::new(user, &self.password, &self.address);
    }

    /// Whether its last request was answered as it should be.
    pub fn is_served(&self) -> bool {
        self.without_since.is_none()
    }

    /// Whether its last request was not answered at all.
    pub fn meets_silence(&self) -> bool {
        self.silent && !self.is_served()
    }

    /// Begins to register.
    pub(super) fn ask(&mut self) {
        let request = self.phone.registration();
        self.phone.client().send(&request);
        self.pending = Some(request);
    }

    /// Answers the challenge that came, if one did.
    pub(super) fn answer(&mut self, haste: f64) {
        let Some(request) = self.pending.take() else {
            return;
        };
        let arrived = self.phone.client().arrived().pop();
        let Some(challenge) = arrived else {
            return self.unserved(true);
        };
        match self
            .phone
            .with_credentials(request.clone(), "REGISTER", &challenge)
        {
            Some(answer) => {
                self.phone.client().send(&answer);
                self.pending = Some(answer);
            }
            None => self.judge(&challenge, haste),
        }
    }

    /// Looks at what came of the answer.
    pub(super) fn conclude(&mut self, haste: f64) {
        if self.pending.take().is_none() {
            return;
        }
        match self.phone.client().arrived().pop() {
            Some(answer) => self.judge(&answer, haste),
            None => self.unserved(true),
        }
    }

    /// Being told that the password or the name is wrong is service, too.
    fn judge(&mut self, answer: &Message, haste: f64) {
        if answer.code() != 503 {
            return self.served();
        }
        let seconds = answer.header("Retry-After").and_then(|it| it.parse().ok());
        let seconds: f64 = seconds.expect("a refusal says when to try again");
        self.again_at = Instant::now() + Duration::from_secs_f64(seconds / haste);
        self.put_off = true;
        self.unserved(false);
    }

    pub(super) fn served(&mut self) {
        self.note();
        self.without_since = None;
    }

    fn unserved(&mut self, silent: bool) {
        self.note();
        self.silent = silent;
        self.without_since.get_or_insert_with(Instant::now);
    }

    /// Adds the time up to now; the story calls it at its end, too.
    pub(super) fn note(&mut self) {
        let Some(since) = self.without_since else {
            return;
        };
        self.longest_without = self.longest_without.max(since.elapsed());
        if self.silent {
            self.longest_silence = self.longest_silence.max(since.elapsed());
        }
    }
}
