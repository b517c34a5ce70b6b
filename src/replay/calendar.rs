//! Times and numbers as people read them: UTC, lengths of time, digits in groups.
//!
//! Called by the replay's table and timeline.
#![forbid(unsafe_code)]

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;
const DAY_SECS: u64 = 86_400;

/// `2026-11-20 08:15:02.123`, from nanoseconds since 1970; UTC.
pub fn moment(time_ns: u64) -> String {
    let milliseconds = time_ns / 1_000_000 % 1000;
    format!("{}.{milliseconds:03}", second(time_ns))
}

/// `2026-11-20 08:15:02`.
pub fn second(time_ns: u64) -> String {
    let (year, month, day) = date(time_ns / SECOND_NS / DAY_SECS);
    format!("{year:04}-{month:02}-{day:02} {}", clock(time_ns))
}

/// `08:15:02`.
pub fn clock(time_ns: u64) -> String {
    let seconds = time_ns / SECOND_NS % DAY_SECS;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// The civil date of a day counted from 1970-01-01: years that begin in March, in eras of 400
/// years (Howard Hinnant, `chrono`-Compatible Low-Level Date Algorithms, `civil_from_days`).
fn date(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// A length of time in its two largest units: `2 d 3 h`, `5 min`, `40 s`, `120 ms`.
pub fn length(ns: u64) -> String {
    let seconds = ns / SECOND_NS;
    if seconds == 0 {
        return format!("{} ms", ns / 1_000_000);
    }
    let units = [(DAY_SECS, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units
        .iter()
        .position(|(unit, _)| seconds >= *unit)
        .unwrap_or(3);
    let (unit, name) = units[largest];
    let first = format!("{} {name}", seconds / unit);
    match units.get(largest + 1) {
        Some((smaller, name)) if seconds % unit / smaller > 0 => {
            format!("{first} {} {name}", seconds % unit / smaller)
        }
        _ => first,
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 packet`, `2,000 packets`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_767_225_599, "2025-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(second(seconds * SECOND_NS), text);
        }
        assert_eq!(moment(1_002_003_004), "1970-01-01 00:00:01.002");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, text) in [
            (1, "1 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3601, "1 h"),
            (5400, "1 h 30 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(length(seconds * SECOND_NS), text);
        }
        assert_eq!(length(120_000_000), "120 ms");
    }

    #[test]
    fn digits_come_in_groups() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(
            (counted(1, "source"), counted(0, "source")),
            ("1 source".into(), "0 sources".into())
        );
    }
}
