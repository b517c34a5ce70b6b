//! Who is signed in: random names in cookies, kept in this process.
//!
//! Used by `site`. A restart signs everybody out and loses nothing else: what must survive it is
//! in Redis. The number of sessions is bounded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

/// How long a session lives after it was last used.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How many there may be; the one that was unused for longest makes room.
const MOST: usize = 10_000;

/// A user who has signed in.
#[derive(Clone)]
pub struct Session {
    /// `user@domain`.
    pub account: String,
    /// What every form of this session has to carry.
    pub token: String,
    used: Instant,
}

/// All users who have signed in.
#[derive(Default)]
pub struct Sessions {
    by_name: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// Begins a session; its name is the secret that the cookie keeps.
    pub fn begin(&self, account: String) -> String {
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                sessions.remove(&name);
            }
        }
        let name = secret();
        let session = Session {
            account,
            token: secret(),
            used: Instant::now(),
        };
        sessions.insert(name.clone(), session);
        name
    }

    /// The living session of this name; it lives on from now.
    pub fn find(&self, name: &str) -> Option<Session> {
        let mut sessions = self.lock();
        let session = sessions.get_mut(name)?;
        if session.used.elapsed() >= IDLE {
            sessions.remove(name);
            return None;
        }
        session.used = Instant::now();
        Some(session.clone())
    }

    /// Ends a session.
    pub fn end(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        // Every change is a single call on the map, so one that panicked left it whole.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two cookies.
#[derive(Clone, Copy)]
pub enum Cookie {
    /// Names the session.
    Session,
    /// Repeats the token of the sign-in form, before there is a session.
    Form,
}

impl Cookie {
    /// Its name; under https browsers accept it from this very host only.
    fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Cookie::Session, true) => "__Host-portal",
            (Cookie::Session, false) => "portal",
            (Cookie::Form, true) => "__Host-portal-form",
            (Cookie::Form, false) => "portal-form",
        }
    }

    /// Its value in a request.
    pub fn of(self, headers: &HeaderMap, https: bool) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter();
        let mut pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == self.name(https))?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// The header value that sets it for as long as the browser runs; an empty value removes it.
    pub fn set(self, value: &str, https: bool) -> String {
        let name = self.name(https);
        let secure = if https { "; Secure" } else { "" };
        let end = if value.is_empty() { "; Max-Age=0" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}")
    }
}

/// 256 random bits in hexadecimal.
///
/// # Panics
/// When the operating system has no random numbers: better no portal than one with known secrets.
pub fn secret() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
