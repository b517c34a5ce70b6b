//! The value of one parameter, or of one key inside a compound value, and what can be read from
//! it: numbers, times, pairs of prefix lengths.
//!
//! Called by the setters of `parameters`. Every failure is a sentence that names the parameter,
//! the value and what is allowed; nothing here panics on any text.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::RangeInclusive;

/// A day in seconds.
pub(super) const DAY: u64 = 86_400;
/// Longest time that a parameter may name, in seconds.
pub(super) const YEAR: u64 = 365 * DAY;
/// Longest piece of a value that an error repeats, in characters.
const SHOWN_MAX: usize = 120;

/// A parameter's value as Kamailio hands it over: a number or a string, whichever was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `modparam("sec", "ban_time", 300)`
    Number(i64),
    /// `modparam("sec", "ban_time", "5m")`
    Text(&'a str),
}

/// A text on its way into a parameter: where it was given, to be able to say so.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// The parameter.
    pub name: &'static str,
    /// The text to read, without blanks around it.
    pub text: &'a str,
    /// For a key inside a compound value: the key and the whole value.
    pub inside: Option<(&'a str, &'a str)>,
}

impl<'a> Given<'a> {
    /// The error sentence: `ban_time: "-5" is not a time; allowed: …`.
    pub fn refuse(&self, problem: impl fmt::Display, allowed: impl fmt::Display) -> String {
        let text = Shown(self.text);
        match self.inside {
            None => format!("{}: {text} {problem}; allowed: {allowed}", self.name),
            Some((key, whole)) => {
                let (name, whole) = (self.name, Shown(whole));
                format!("{name}: {key} {text} in {whole} {problem}; allowed: {allowed}")
            }
        }
    }

    /// A whole number in `range`; `unit` ends the sentence about what is allowed.
    pub fn number(&self, range: RangeInclusive<u64>, unit: &str) -> Result<u64, String> {
        let allowed = || {
            let (least, most) = (range.start(), range.end());
            format!("a whole number from {least} to {most}{unit}")
        };
        if !is_digits(self.text) {
            return Err(self.refuse("is not a number", allowed()));
        }
        match self.text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.refuse("is out of range", allowed())),
        }
    }

    /// A time in seconds, at least one second.
    pub fn time(&self, most: u64) -> Result<u64, String> {
        let allowed = || {
            let most = Span(most);
            format!("1 second to {most}, as 300, \"300s\", \"5m\", \"1h\", \"1d\"")
        };
        let seconds = seconds(self.text).map_err(|problem| self.refuse(problem, allowed()))?;
        match seconds {
            Some(seconds) if (1..=most).contains(&seconds) => Ok(seconds),
            _ => Err(self.refuse("is out of range", allowed())),
        }
    }

    /// As [`Given::time`], and 0 for "never".
    pub fn time_or_zero(&self, most: u64) -> Result<u64, String> {
        match self.text {
            "0" => Ok(0),
            _ => self.time(most).map_err(|error| error + "; or 0 for none"),
        }
    }

    /// `16/32`: a prefix length of each family.
    pub fn lengths(
        &self,
        v4: RangeInclusive<u8>,
        v6: RangeInclusive<u8>,
    ) -> Result<(u8, u8), String> {
        let length = |text: &str, range: &RangeInclusive<u8>| {
            let length = is_digits(text).then(|| text.parse().ok()).flatten()?;
            range.contains(&length).then_some(length)
        };
        let pair = self.text.split_once('/');
        let read = pair.and_then(|(left, right)| Some((length(left, &v4)?, length(right, &v6)?)));
        read.ok_or_else(|| {
            let allowed = format!(
                "an IPv4 prefix length from {} to {}, a slash, an IPv6 one from {} to {}, as 24/48",
                v4.start(),
                v4.end(),
                v6.start(),
                v6.end()
            );
            self.refuse("is not a pair of prefix lengths", allowed)
        })
    }
}

/// A time's seconds; `None` if they are too many to count.
fn seconds(text: &str) -> Result<Option<u64>, &'static str> {
    let (digits, unit) = match text.chars().next_back() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        Some('d') => (&text[..text.len() - 1], DAY),
        _ => (text, 1),
    };
    if !is_digits(digits) {
        return Err("is not a time");
    }
    let number: Option<u64> = digits.parse().ok();
    Ok(number.and_then(|number| number.checked_mul(unit)))
}

/// Whether a text is digits alone: `str::parse` would also take `+5`.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text in quotes, short and without control characters, as it may stand in a log line.
pub(super) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        let start = rest.by_ref().take(SHOWN_MAX).flat_map(char::escape_debug);
        let start: String = start.collect();
        let more = if rest.next().is_some() { "…" } else { "" };
        write!(f, "\"{start}{more}\"")
    }
}

/// Seconds in words: `1 day`, `5 minutes`, `90 seconds`.
pub(super) struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
        let fits = |&(length, _): &(u64, _)| self.0 >= length && self.0.is_multiple_of(length);
        let (length, unit) = units.into_iter().find(fits).unwrap_or((1, "second"));
        let plural = if self.0 == length { "" } else { "s" };
        write!(f, "{} {unit}{plural}", self.0 / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given<'_> {
        Given {
            name: "x",
            text,
            inside: None,
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("1", 1),
            ("300", 300),
            ("300s", 300),
            ("5m", 300),
            ("1h", 3600),
            ("1d", 86_400),
            ("365d", YEAR),
            ("007", 7),
        ] {
            assert_eq!(given(text).time(YEAR), Ok(seconds), "{text}");
        }
        for text in [
            "", "s", "-5", "+5", "5 m", "5M", "1h30m", "1.5h", "1w", "٣", "5µ", "0x10", "5m\0",
        ] {
            let allowed = "1 second to 365 days, as 300, \"300s\", \"5m\", \"1h\", \"1d\"";
            let shown = Shown(text);
            let error = format!("x: {shown} is not a time; allowed: {allowed}");
            assert_eq!(given(text).time(YEAR), Err(error));
        }
        for text in [
            "0",
            "0s",
            "366d",
            "99999999999999999999",
            "18446744073709551615d",
        ] {
            let error = given(text).time(YEAR).unwrap_err();
            assert!(
                error.contains("is out of range; allowed: 1 second to"),
                "{error}"
            );
        }
        assert_eq!(given("0").time_or_zero(YEAR), Ok(0));
        assert!(
            given("-1")
                .time_or_zero(YEAR)
                .unwrap_err()
                .ends_with("; or 0 for none")
        );
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!(given("7").number(1..=9, ""), Ok(7));
        assert_eq!(
            given("10").number(1..=9, " apples"),
            Err("x: \"10\" is out of range; allowed: a whole number from 1 to 9 apples".into())
        );
        for text in ["", " ", "-1", "+1", "1.0", "one", "1 2"] {
            let error = given(text).number(1..=9, "").unwrap_err();
            assert!(error.contains("is not a number"), "{error}");
        }
    }

    #[test]
    fn pairs_of_lengths() {
        assert_eq!(given("16/32").lengths(1..=32, 1..=128), Ok((16, 32)));
        for text in [
            "", "16", "16/", "/32", "0/32", "33/32", "16/129", "16/32/8", "+16/32", "a/b",
        ] {
            let error = given(text).lengths(1..=32, 1..=128).unwrap_err();
            assert!(error.contains("is not a pair of prefix lengths"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(Shown("a\r\n\u{202e}\"").to_string(), r#""a\r\n\u{202e}\"""#);
        let long = "x".repeat(5000);
        assert_eq!(Shown(&long).to_string().chars().count(), SHOWN_MAX + 3);
    }

    #[test]
    fn spans_in_words() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (300, "5 minutes"),
            (7200, "2 hours"),
            (DAY, "1 day"),
            (YEAR, "365 days"),
        ] {
            assert_eq!(Span(seconds).to_string(), words);
        }
    }
}
