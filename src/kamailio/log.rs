//! Lines to Kamailio's own log, with its levels, prefix and facility.
//!
//! Called in every process of the server, by one thread each; in the agent after [`keep`]. A SIP worker
//! logs only what is wrong with the configuration or the script, never one line per packet. The
//! text is never used as a format, and control characters in it cannot forge a second line.

use std::fmt::Display;

use super::sys;

/// What the core's `debug` parameter compares with, from serious to chatty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// `LM_ERR`: something failed.
    Error = -1,
    /// `LM_WARN`: it works, but somebody should look.
    Warn = 0,
    /// `LM_NOTICE`: the default of a production server shows it.
    Notice = 1,
    /// `LM_INFO`.
    Info = 2,
    /// `LM_DBG`.
    Debug = 3,
}

impl Level {
    /// The level of a number as in `modparam("sec", "log_level", 1)`; the nearest one when out of
    /// range.
    pub fn from_number(number: i64) -> Level {
        match number {
            ..=-1 => Level::Error,
            0 => Level::Warn,
            1 => Level::Notice,
            2 => Level::Info,
            3.. => Level::Debug,
        }
    }
}

/// What decides which lines a process writes, and how the system log files them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The core's `debug`, or what is said of this module alone.
    pub level: i32,
    /// The core's `log_facility`.
    pub facility: i32,
}

/// What this process goes by; only where Kamailio's configuration is followed.
pub fn settings() -> Settings {
    // SAFETY: They read the configuration of this process, which Kamailio knows.
    let (level, facility) = unsafe { (sys::sec_log_level(), sys::sec_log_facility()) };
    Settings { level, facility }
}

/// From now on this process goes by these, and never looks into Kamailio's configuration: for one
/// that does not follow it.
pub fn keep(settings: Settings) {
    // SAFETY: It sets variables of this process alone.
    unsafe { sys::sec_log_keep(settings.level, settings.facility) };
}

/// Logs at level `ERR`.
pub fn error(text: impl Display) {
    at(Level::Error, text);
}

/// Logs at level `WARN`.
pub fn warn(text: impl Display) {
    at(Level::Warn, text);
}

/// Logs at level `NOTICE`.
pub fn notice(text: impl Display) {
    at(Level::Notice, text);
}

/// Logs at level `INFO`.
pub fn info(text: impl Display) {
    at(Level::Info, text);
}

/// Logs at level `DBG`.
pub fn debug(text: impl Display) {
    at(Level::Debug, text);
}

/// Logs one line, `LEVEL: sec: text`. Formats nothing when the level is switched off.
pub fn at(level: Level, text: impl Display) {
    let level = level as i32;
    // SAFETY: The core's log functions may be called at any time in one thread of a process.
    if unsafe { sys::sec_log_enabled(level) } == 0 {
        return;
    }
    let mut line = text.to_string().into_bytes();
    defang(&mut line);
    let length = i32::try_from(line.len()).unwrap_or(i32::MAX);
    // SAFETY: `line` holds `length` bytes, and the callee only prints them.
    unsafe { sys::sec_log(level, line.as_ptr().cast(), length) };
}

/// A line is one line, whatever a stranger put into a header.
fn defang(line: &mut [u8]) {
    for byte in line {
        if byte.is_ascii_control() {
            *byte = b'?';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_cannot_start_a_second_line() {
        let mut line = b"agent: x\r\n 0(1) ERROR: forged\0".to_vec();
        defang(&mut line);
        assert_eq!(line, b"agent: x?? 0(1) ERROR: forged?");
    }

    #[test]
    fn levels_are_clamped() {
        assert_eq!(Level::from_number(-9), Level::Error);
        assert_eq!(Level::from_number(1), Level::Notice);
        assert_eq!(Level::from_number(9), Level::Debug);
    }
}
