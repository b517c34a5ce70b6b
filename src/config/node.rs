//! What concerns the node as a whole: the sizes of its tables, its log, its events.
//!
//! Called by the setters of `parameters`.
#![forbid(unsafe_code)]

use super::Config;
use super::parameter::Outcome;
use super::value::Given;

/// Longest name of a script's function, in bytes.
const FUNCTION_MAX: usize = 64;

/// A table's size: at least 1024 entries and, for the tables' masks, a power of two.
pub(super) fn table(given: Given<'_>, most: u64, unit: &str) -> Result<usize, String> {
    let size = given.number(1024..=most, unit)?;
    usize::try_from(size.next_power_of_two())
        .map_err(|_| given.refuse("is too large for this machine", "less"))
}

/// `event_callback`.
pub(super) fn set_event_callback(config: &mut Config, given: Given<'_>) -> Outcome {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':');
    let named = given
        .text
        .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !named || given.text.len() > FUNCTION_MAX || !given.text.chars().all(letter) {
        let allowed =
            format!("a letter or '_', and up to {FUNCTION_MAX} letters, digits, '_', '.' and ':'");
        return Err(given.refuse("is not the name of a function", allowed));
    }
    config.event_callback = Some(given.text.into());
    Ok(None)
}

/// `log_level`.
pub(super) fn set_log_level(config: &mut Config, given: Given<'_>) -> Outcome {
    config.log_level = match given.text {
        "-1" => -1,
        "0" => 0,
        "1" => 1,
        "2" => 2,
        "3" => 3,
        _ => {
            let allowed = "-1 (error), 0 (warning), 1 (notice), 2 (info), 3 (debug)";
            return Err(given.refuse("is not a log level", allowed));
        }
    };
    Ok(None)
}
