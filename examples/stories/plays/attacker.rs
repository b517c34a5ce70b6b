//! Somebody who sends what he should not, and how far he got.

use super::world::World;
use crate::host::{Client, Phone, Request, SERVER};

/// One address that attacks.
pub struct Attacker {
    address: &'static str,
    client: Client,
    sent: u32,
    stopped_at: Option<u32>,
}

impl Attacker {
    pub fn at(address: &'static str) -> Self {
        Self {
            address,
            client: Client::udp(address),
            sent: 0,
            stopped_at: None,
        }
    }

    /// The request with which the silence began that lasted; none if the last one was answered.
    pub fn stopped_at(&self) -> Option<u32> {
        self.stopped_at
    }

    /// Sends a request. That he shall come back later is no answer that would be of use to him.
    pub fn send(&mut self, world: &mut World, request: &Request) {
        self.client.send(request);
        world.settle();
        let answers = self.client.arrived();
        self.note(answers.iter().any(|answer| answer.code() != 503));
    }

    /// Asks whether there is such a user, as a scanner does.
    pub fn scan(&mut self, world: &mut World, user: &str) {
        let who = format!("<sip:{user}@{SERVER}>");
        let request = Request::new("REGISTER", &format!("sip:{SERVER}"))
            .header("From", &format!("{who};tag={}", self.sent))
            .header("To", &who)
            .header("Contact", &format!("<sip:{user}@{}>", self.client.local()))
            // As any phone calls itself: a name that gives him away is the least of his worries.
            .header("User-Agent", "Yealink SIP-T46S 66.85.0.5");
        self.send(world, &request);
    }

    /// Tries a password: asks, is challenged, answers.
    pub fn guess(&mut self, world: &mut World, user: &str, password: &str) {
        let mut phone = Phone::new(user, password, self.address);
        let request = phone.registration();
        phone.client().send(&request);
        world.settle();
        let challenge = phone.client().arrived().pop();
        let answer = challenge.and_then(|it| phone.with_credentials(request, "REGISTER", &it));
        self.note(answer.is_some());
        if let Some(request) = answer {
            phone.client().send(&request);
            world.settle();
            let answered = phone.client().arrived().pop();
            self.note(answered.is_some_and(|answer| answer.code() != 503));
        }
    }

    fn note(&mut self, answered: bool) {
        self.sent += 1;
        match answered {
            true => self.stopped_at = None,
            false => {
                self.stopped_at.get_or_insert(self.sent);
            }
        }
    }
}
