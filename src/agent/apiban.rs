//! APIBAN's pages, one round of them: from the cursor on, until there is nothing new.
//!
//! Runs in a thread of the agent, as `fetch` does. A key may ask eleven times in two minutes: a round
//! asks ten times at most, and the next one comes when that time is over.

use super::fetch::{Client, Failure, Mark};
use crate::config::Feed;
use crate::config::feeds::Origin;
use crate::feed::{Answer, Entry, FIRST_ID, Guard, REASONS_MAX};

/// Questions in a round.
const PAGES_MAX: usize = 10;
/// Seconds in which one may ask so often.
pub const PACE: u64 = 120;

/// What a round brought.
#[derive(Default)]
pub struct Round {
    pub entries: Vec<Entry>,
    pub skipped: u64,
    pub reasons: Vec<String>,
    /// Where the next one begins.
    pub cursor: String,
    /// There is more, but not in this round.
    pub more: bool,
    /// What ended it too early.
    pub failure: Option<Failure>,
}

/// Asks from `cursor` on; an empty one begins at the beginning.
pub fn follow(feed: &Feed, cursor: &str, guard: &Guard, now: u32) -> Round {
    let mut round = Round {
        cursor: cursor.to_string(),
        ..Round::default()
    };
    let Origin::Web(url) = &feed.origin else {
        return round;
    };
    let client = match Client::new(url.reveal()) {
        Ok(client) => client,
        Err(failure) => {
            round.failure = Some(failure);
            return round;
        }
    };
    for _ in 0..PAGES_MAX {
        let id = match round.cursor.as_str() {
            "" => FIRST_ID,
            cursor => cursor,
        };
        let page = format!("{}{id}", url.reveal());
        match ask(&client, &page, guard, now) {
            Err(failure) => {
                round.failure = Some(failure);
                return round;
            }
            Ok(Answer::Page(reading, next)) if next != id => {
                round.entries.extend(reading.entries);
                round.skipped += reading.skipped;
                round.reasons.extend(reading.reasons);
                round.reasons.truncate(REASONS_MAX);
                round.cursor = next;
            }
            // A cursor that stands still has nothing behind it.
            Ok(_) => return round,
        }
    }
    round.more = true;
    round
}

fn ask(client: &Client, page: &str, guard: &Guard, now: u32) -> Result<Answer, Failure> {
    let answer = client.get(page, &Mark::default())?;
    match Answer::read(answer.status.as_u16(), &answer.bytes, guard, now) {
        Answer::Refused(problem) => Err(answer.failure(problem)),
        page => Ok(page),
    }
}
