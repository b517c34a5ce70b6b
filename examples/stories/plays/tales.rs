//! The stories themselves: who does what, in which order.
//!
//! The figures are those of life where a story can wait for them. Paces are chosen so that what only
//! counts requests has nothing to count where the story is about something else.

use super::world::{IMPOSTOR, PARTNER, World, keepalive, password, user};
use super::{Attacker, Customer, Outcome, Story};
use crate::host::{Client, Phone};

pub const SCANNER: Story = Story {
    title: "a scanner walks 100 to 999",
    tell: |world| scan(world, 900, 10_000.0),
};

pub const PATIENT_SCANNER: Story = Story {
    title: "the same, patiently: 10 a second, 150 of them",
    tell: |world| scan(world, 150, 10.0),
};

pub const GUESSER: Story = Story {
    title: "a password guesser, 5 a second, 40 passwords for one user",
    tell: guess,
};

pub const OFFICE: Story = Story {
    title: "one dead phone in an office of fifty",
    tell: office,
};

pub const HOTEL: Story = Story {
    title: "a hotel of twenty phones, and in it 250 guesses at one user's password, 50 a second",
    tell: |world| hotel(world, 250, 50.0, |_| user(200)),
};

pub const HOTEL_OF_NAMES: Story = Story {
    title: "the same hotel, and in it one guess at each of 40 users, 5 a second",
    tell: |world| hotel(world, 40, 5.0, |number| user(100 + number)),
};

pub const POWER_CUT: Story = Story {
    title: "a power cut at three offices, 300 phones come back at once",
    tell: power_cut,
};

pub const TYPING_ERROR: Story = Story {
    title: "a customer mistypes his extension: 701, 70011, then 7001",
    tell: typing_error,
};

pub const FORGED_FLOOD: Story = Story {
    title: "600 requests under a customer's forged address, 200 a second",
    tell: forged_flood,
};

pub const FORGED_LOGINS: Story = Story {
    title: "20 wrong logins under a customer's forged address, with challenges of the forger's own",
    tell: forged_logins,
};

pub const FALSE_NAME: Story = Story {
    title: "60 requests in half a second: a partner, and trusted.example.com.evil.net",
    tell: false_name,
};

/// Users 1, 2, … with the right passwords; all behind one address, or each at the next one.
fn customers(count: u32, address: impl Fn(u32) -> String) -> Vec<Customer> {
    let customer = |number| {
        let user = user(number);
        Customer::new(&user, &password(&user), &address(number))
    };
    (1..=count).map(customer).collect()
}

/// Customers at addresses of their own.
fn at_home(count: u32) -> Vec<Customer> {
    customers(count, |number| format!("198.51.100.{number}"))
}

fn scan(world: &mut World, count: u32, per_second: f64) -> Outcome {
    let mut customers = at_home(4);
    let mut scanner = Attacker::at("203.0.113.66");
    let mut pace = world.pace(per_second);
    for number in 0..count {
        if number % (count / 3) == 0 {
            world.register(&mut customers);
        }
        pace.wait();
        scanner.scan(world, &(100 + number).to_string());
    }
    end(world, customers, vec![scanner])
}

fn guess(world: &mut World) -> Outcome {
    let mut customers = at_home(1);
    let mut guesser = Attacker::at("203.0.113.77");
    let mut pace = world.pace(5.0);
    for number in 0..40 {
        if number % 10 == 0 {
            world.register(&mut customers);
        }
        pace.wait();
        guesser.guess(world, &user(1), &format!("guess-{number}"));
    }
    end(world, customers, vec![guesser])
}

/// The phones of the office register one after the other, and one of them tries all day.
fn office(world: &mut World) -> Outcome {
    const OFFICE: &str = "198.51.100.100";
    let mut customers = customers(49, |_| OFFICE.to_owned());
    let dead = user(50);
    let mut dead = Customer::new(&dead, "an old password", OFFICE);
    let mut pace = world.pace(5.0);
    for (index, customer) in customers.iter_mut().enumerate() {
        pace.wait();
        world.register([customer]);
        if index % 2 == 1 {
            pace.wait();
            world.register([&mut dead]);
        }
    }
    end(world, customers, Vec::new())
}

/// The guests work, and so does an attacker behind the same address.
fn hotel(world: &mut World, guesses: u32, per_second: f64, name: fn(u32) -> String) -> Outcome {
    const HOTEL: &str = "198.51.100.101";
    let mut guests = customers(20, |_| HOTEL.to_owned());
    let mut pace = world.pace(5.0);
    for guest in &mut guests {
        pace.wait();
        world.register([guest]);
    }
    let mut attacker = Attacker::at(HOTEL);
    let mut pace = world.pace(per_second);
    for number in 0..guesses {
        pace.wait();
        attacker.guess(world, &name(number), "123456");
        // One guest after the other says that it is still there.
        if number % 10 == 9 {
            let guest = (number / 10) as usize % guests.len();
            world.register([&mut guests[guest]]);
        }
    }
    // The others notice in the course of the evening.
    let mut pace = world.pace(5.0);
    for guest in &mut guests {
        pace.wait();
        world.register([guest]);
    }
    end(world, guests, vec![attacker])
}

/// The phones have registered over the day. Then all of them come back at the same moment.
fn power_cut(world: &mut World) -> Outcome {
    let mut phones = customers(300, |number| format!("198.51.100.{}", 110 + number % 3));
    let mut pace = world.pace(5.0);
    for phone in &mut phones[..3] {
        pace.wait();
        world.register([phone]);
    }
    world.register(&mut phones);
    end(world, phones, Vec::new())
}

/// The phone asks again and again, as phones do, until its owner has found the mistake.
fn typing_error(world: &mut World) -> Outcome {
    let mut customers = at_home(1);
    let mut pace = world.pace(0.5);
    for typed in ["701", "701", "70011", "70011", "7001", "7001"] {
        pace.wait();
        customers[0].types(typed);
        world.register(&mut customers);
    }
    end(world, customers, Vec::new())
}

fn forged_flood(world: &mut World) -> Outcome {
    let mut customers = at_home(1);
    world.register(&mut customers);
    let mut forged = Client::udp(customers[0].address());
    let mut pace = world.pace(200.0);
    for number in 0..600 {
        pace.wait();
        forged.send(&keepalive());
        world.settle();
        // What is answered goes to the customer, not to the forger.
        forged.arrived();
        if number % 100 == 99 {
            world.register(&mut customers);
        }
    }
    end(world, customers, Vec::new())
}

/// The forger asks for a challenge under his own address, and answers it under the customer's.
fn forged_logins(world: &mut World) -> Outcome {
    let mut customers = at_home(1);
    world.register(&mut customers);
    let mut pace = world.pace(5.0);
    for number in 0..20 {
        pace.wait();
        let mut own = Phone::new(&user(100 + number), "wrong", "203.0.113.88");
        let request = own.registration();
        let challenge = own.client().ask(&request);
        let answer = own.with_credentials(request, "REGISTER", &challenge);
        let answer = answer.expect("everybody is challenged");
        let mut forged = Client::udp(customers[0].address());
        forged.send(&answer);
        world.settle();
        if number % 5 == 4 {
            world.register(&mut customers);
        }
    }
    end(world, customers, Vec::new())
}

/// Both send far more than is allowed. The partner's name is confirmed; the other's only begins
/// as a trusted one does.
fn false_name(world: &mut World) -> Outcome {
    let mut partner = customers(1, |_| PARTNER.to_owned());
    let mut other = Attacker::at(IMPOSTOR);
    let mut pace = world.pace(120.0);
    let mut client = Client::udp(PARTNER);
    for _ in 0..60 {
        pace.wait();
        client.send(&keepalive());
        other.send(world, &keepalive());
    }
    world.register(&mut partner);
    end(world, partner, vec![other])
}

fn end(world: &mut World, mut customers: Vec<Customer>, attackers: Vec<Attacker>) -> Outcome {
    world.wait_for_service(&mut customers);
    Outcome {
        customers,
        attackers,
    }
}
