//! One answer of APIBAN: a page of addresses and the cursor behind it, the end, or a refusal.
//!
//! `GET <base>/<key>/banned/<id>` answers `{"ipaddress": ["192.0.2.1", …], "ID": "<next id>"}`, 250
//! addresses at most, the oldest first; behind the last page 400 with `["no new bans"]`. Some
//! refusals have a bare text instead of the array.
#![forbid(unsafe_code)]

use serde_json::Value;

use super::reading::Collector;
use super::{Guard, Reading};

/// The cursor that stands before everything.
pub const FIRST_ID: &str = "100";
/// Longest cursor in bytes: it becomes a part of the next address.
const ID_MAX: usize = 64;

/// What a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Addresses, and the cursor behind them.
    Page(Reading, String),
    /// There is nothing new.
    End,
    /// No page; why.
    Refused(String),
}

impl Answer {
    /// Reads the body of an answer with this HTTP status, that came at `seen`.
    pub fn read(status: u16, bytes: &[u8], guard: &Guard, seen: u32) -> Answer {
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
            return Answer::Refused(format!("HTTP status {status}, and no JSON"));
        };
        let texts: Vec<&str> = match document.get("ipaddress") {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if status == 400 && texts.iter().any(|text| text.contains("no new bans")) {
            return Answer::End;
        }
        if status != 200 {
            let id = document.get("ID").and_then(Value::as_str);
            let words: Vec<&str> = texts.into_iter().chain(id).collect();
            let words: String = words.join(", ").chars().take(80).collect();
            let words = words.escape_debug();
            return Answer::Refused(format!("HTTP status {status}: {words}"));
        }
        let id = match document.get("ID") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => String::new(),
        };
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if id.is_empty() || id == "none" || id.len() > ID_MAX || !plain {
            return Answer::Refused("an answer without a usable ID".into());
        }
        let mut collector = Collector::new(guard, seen);
        for (number, text) in (1..).zip(texts) {
            collector.take("entry", number, text.trim().as_bytes());
        }
        match collector.finish() {
            Ok(reading) => Answer::Page(reading, id),
            Err(problem) => Answer::Refused(problem),
        }
    }
}
