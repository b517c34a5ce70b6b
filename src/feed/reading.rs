//! A list read: lines, columns or JSON to entries; what makes no sense is skipped and counted, and
//! the first few of such lines are kept to be shown.
//!
//! Called by the agent in a thread of its own, with bytes that a stranger may have written.
#![forbid(unsafe_code)]

use serde_json::Value;

use super::{BYTES_MAX, Entry, Format, Guard};
use crate::cidr::Prefix;

/// Lines that are kept to be shown.
pub const REASONS_MAX: usize = 3;
/// Largest JSON document in bytes: in memory it is a multiple of that.
const JSON_MAX: usize = 16 << 20;
/// Longest piece of a line that is shown, in characters.
const SHOWN_MAX: usize = 40;
/// Some editors write it before the first line of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// In the order of their prefixes, each once.
    pub entries: Vec<Entry>,
    /// Lines that are no entries.
    pub skipped: u64,
    /// What was wrong with the first of them, at most [`REASONS_MAX`].
    pub reasons: Vec<String>,
}

/// Reads a list that was fetched at `seen`, in seconds since 1970. An empty one is fine.
///
/// # Errors
/// A sentence, if it is no list of this format: then nothing in it counts.
pub fn read(format: &Format, bytes: &[u8], guard: &Guard, seen: u32) -> Result<Reading, String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("it is larger than {} MiB", BYTES_MAX >> 20));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.trim_ascii_start().starts_with(b"<") {
        return Err("it is a page of HTML, not a list".into());
    }
    let mut collector = Collector::new(guard, seen);
    match format {
        Format::List => lines(bytes, |number, line| {
            let end = |byte: &u8| byte.is_ascii_whitespace() || b",;#".contains(byte);
            let end = line.iter().position(end).unwrap_or(line.len());
            collector.take("line", number, &line[..end]);
        }),
        Format::Csv(column) => columns(bytes, *column, &mut collector),
        Format::Json(steps) => json(bytes, steps, &mut collector)?,
        Format::Apiban => return Err("pages of APIBAN are read one by one".into()),
    }
    collector.finish()
}

/// What makes a list doubtful beside the one before it, if anything does. `max_shrink` in percent;
/// 100 takes an empty list, too.
pub fn shrunk(before: usize, after: usize, max_shrink: u8) -> Option<String> {
    if max_shrink >= 100 {
        return None;
    }
    if after == 0 {
        return Some("it is empty".into());
    }
    let least = before as u128 * u128::from(100 - max_shrink);
    (after as u128 * 100 < least).then(|| {
        format!(
            "it has shrunk from {before} to {after} entries, by more than max_shrink={max_shrink}"
        )
    })
}

/// Collects entries.
pub(super) struct Collector<'a> {
    guard: &'a Guard,
    seen: u32,
    reading: Reading,
}

impl<'a> Collector<'a> {
    pub fn new(guard: &'a Guard, seen: u32) -> Collector<'a> {
        Collector {
            guard,
            seen,
            reading: Reading::default(),
        }
    }

    /// Takes an entry, or counts it as skipped; `what` is a line or an element.
    pub fn take(&mut self, what: &str, number: usize, text: &[u8]) {
        let parsed = str::from_utf8(text).ok().map(|text| text.parse::<Prefix>());
        let problem = match parsed {
            Some(Ok(prefix)) => match self.guard.refuses(prefix) {
                None => {
                    self.reading.entries.push(Entry {
                        prefix,
                        line: u32::try_from(number).unwrap_or(u32::MAX),
                        seen: self.seen,
                    });
                    return;
                }
                Some(why) => why.to_string(),
            },
            Some(Err(error)) => error.to_string(),
            None => "is not text".into(),
        };
        self.skip(what, number, &shown(text), &problem);
    }

    fn skip(&mut self, what: &str, number: usize, text: &str, problem: &str) {
        self.reading.skipped += 1;
        if self.reading.reasons.len() < REASONS_MAX {
            let reason = format!("{what} {number}: {text} {problem}");
            self.reading.reasons.push(reason);
        }
    }

    /// The reading, its entries in order.
    ///
    /// # Errors
    /// A sentence, if there was something, but no entry.
    pub fn finish(mut self) -> Result<Reading, String> {
        let reading = &mut self.reading;
        if let (true, Some(first)) = (reading.entries.is_empty(), reading.reasons.first()) {
            return Err(format!("it has no valid entry; {first}"));
        }
        // Of equals the first line stays: the sort is stable.
        reading.entries.sort_by_key(|entry| entry.prefix);
        reading.entries.dedup_by_key(|entry| entry.prefix);
        Ok(self.reading)
    }
}

/// Each line that is neither blank nor a comment, without the blanks around it.
fn lines(bytes: &[u8], mut take: impl FnMut(usize, &[u8])) {
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b";") {
            take(number, line);
        }
    }
}

/// A column of each line. The first line says what separates columns, and may be a heading.
fn columns(bytes: &[u8], column: usize, collector: &mut Collector<'_>) {
    let mut separator = None;
    lines(bytes, |number, line| {
        let is_first = separator.is_none();
        let separator = *separator.get_or_insert_with(|| separator_of(line));
        let text = field(line, separator, column);
        let is_heading = |text: &[u8]| {
            let parsed = str::from_utf8(text).map(str::parse::<Prefix>);
            !matches!(parsed, Ok(Ok(_)))
        };
        match text {
            Some(text) if is_first && is_heading(text) => {}
            Some(text) => collector.take("line", number, text),
            None => collector.skip("line", number, "", &format!("has no column {column}")),
        }
    });
}

/// The first byte outside quotes that may separate columns.
fn separator_of(line: &[u8]) -> u8 {
    let mut quoted = false;
    let found = line.iter().find(|&&byte| {
        quoted ^= byte == b'"';
        !quoted && b",;\t|".contains(&byte)
    });
    found.copied().unwrap_or(b',')
}

/// A column of a line (RFC 4180), without quotes and blanks.
fn field(line: &[u8], separator: u8, column: usize) -> Option<&[u8]> {
    let mut quoted = false;
    let mut fields = line.split(|&byte| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    });
    let text = fields.nth(column - 1)?.trim_ascii();
    let inside = text
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    Some(inside.unwrap_or(text).trim_ascii())
}

/// The texts to which the steps lead.
fn json(bytes: &[u8], steps: &[String], collector: &mut Collector<'_>) -> Result<(), String> {
    if bytes.len() > JSON_MAX {
        let most = JSON_MAX >> 20;
        return Err(format!("it is larger than {most} MiB, too large for JSON"));
    }
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut number = 0;
    if walk(&document, steps, &mut number, collector) {
        return Ok(());
    }
    Err(format!("it has nothing at /{}", steps.join("/")))
}

/// Whether there was anything at the end of the steps.
fn walk(
    value: &Value,
    steps: &[String],
    number: &mut usize,
    collector: &mut Collector<'_>,
) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        match value {
            Value::Array(elements) => {
                for element in elements {
                    element_at(element, number, collector);
                }
            }
            single => element_at(single, number, collector),
        }
        return true;
    };
    match value {
        Value::Array(elements) if step == "*" => {
            // An element without such a member is no entry: some name an IPv4, others an IPv6 prefix.
            let found = elements
                .iter()
                .filter(|element| walk(element, rest, number, collector));
            found.count() > 0 || elements.is_empty()
        }
        Value::Object(members) if step == "*" => {
            let found = members
                .values()
                .filter(|member| walk(member, rest, number, collector));
            found.count() > 0 || members.is_empty()
        }
        Value::Object(members) => members
            .get(step)
            .is_some_and(|member| walk(member, rest, number, collector)),
        Value::Array(elements) => step
            .parse()
            .ok()
            .and_then(|index: usize| elements.get(index))
            .is_some_and(|element| walk(element, rest, number, collector)),
        _ => false,
    }
}

fn element_at(element: &Value, number: &mut usize, collector: &mut Collector<'_>) {
    *number += 1;
    match element {
        Value::String(text) => collector.take("entry", *number, text.trim().as_bytes()),
        other => {
            let kind = match other {
                Value::Object(_) => "is an object: name its member, as /*/ip",
                _ => "is not a text",
            };
            let text = shown(other.to_string().as_bytes());
            collector.skip("entry", *number, &text, kind);
        }
    }
}

/// In quotes, short and without control characters.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * SHOWN_MAX)]);
    let short: String = text.chars().take(SHOWN_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", short.escape_debug())
}
