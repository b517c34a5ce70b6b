//! Stories of customers and attackers, played against a registrar that is protected in one of two
//! ways: by `sec`, or by pike and an htable.
//!
//! Shared by `make stories`, which plays them against both and prints what came of it, and by
//! `tests/stories.rs`, which asserts what `sec` made of them. All that is measured is what goes over
//! the wire: who was answered, who was not, and for how long.
#![allow(dead_code, reason = "each program uses its own part of the stories")]

mod attacker;
mod customer;
mod pace;
mod peer;
mod tales;
mod world;

use std::time::Duration;

pub use attacker::Attacker;
pub use customer::Customer;
pub use world::{Guard, Terms, World};

/// One story.
#[derive(Clone, Copy)]
pub struct Story {
    /// What happens, in a few words.
    pub title: &'static str,
    tell: fn(&mut World) -> Outcome,
}

/// All of them, in the order of the table.
pub const STORIES: [Story; 11] = [
    tales::SCANNER,
    tales::PATIENT_SCANNER,
    tales::GUESSER,
    tales::OFFICE,
    tales::HOTEL,
    tales::HOTEL_OF_NAMES,
    tales::POWER_CUT,
    tales::TYPING_ERROR,
    tales::FORGED_FLOOD,
    tales::FORGED_LOGINS,
    tales::FALSE_NAME,
];

impl Story {
    /// Plays it in a network of the calling thread's own; the world at its end, and what came of it.
    pub fn play(&self, guard: Guard, terms: Terms) -> (World, Outcome) {
        let mut world = World::new(guard, terms);
        let outcome = (self.tell)(&mut world);
        (world, outcome)
    }
}

/// Who took part, and what became of them.
pub struct Outcome {
    pub customers: Vec<Customer>,
    pub attackers: Vec<Attacker>,
}

impl Outcome {
    /// How many customers met with silence.
    pub fn cut_off(&self) -> usize {
        let cut_off = |customer: &&Customer| customer.was_cut_off();
        self.customers.iter().filter(cut_off).count()
    }

    /// How many were told to come back later.
    pub fn put_off(&self) -> usize {
        let put_off = |customer: &&Customer| customer.was_put_off();
        self.customers.iter().filter(put_off).count()
    }

    /// The longest time for which a customer had no service, for whatever reason.
    pub fn longest(&self) -> Duration {
        let times = self.customers.iter().map(Customer::longest_without);
        times.max().unwrap_or_default()
    }

    /// How many attackers nobody stopped.
    pub fn let_through(&self) -> usize {
        let free = |attacker: &&Attacker| attacker.stopped_at().is_none();
        self.attackers.iter().filter(free).count()
    }

    /// The request with which the silence began, for the attacker that got furthest.
    pub fn stopped_at(&self) -> Option<u32> {
        self.attackers.iter().filter_map(Attacker::stopped_at).max()
    }
}
