//! Functions of the configuration script: one list, from which both the native table here and the
//! KEMI table in `kemi.rs` are made.
//!
//! The shims run in whatever process executes the script, mostly SIP workers. They evaluate the
//! arguments and call the function; they allocate nothing and take no lock.

use std::ffi::{c_char, c_int, c_void};
use std::ops::RangeInclusive;

use super::entry::{self, MAX_TABLE, guard};
use super::message::Message;
use super::{log, str, sys};

/// The answer of a function that panicked, or that was called without a message: "allow". Zero
/// would end the script, and a negative answer would cut off customers because of our bug.
pub const FALLBACK: c_int = 1;

/// The most arguments that a function takes.
pub const MAX_ARGS: usize = 3;

/// What the core puts in the place of a pseudo-variable that is null.
const NULL_TEXT: &[u8] = b"<null>";

/// One argument, as the script gave it.
///
/// In the native script every argument is text, with pseudo-variables already replaced; what
/// is null (an absent header) is empty text. KEMI passes integers as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// A string; may be empty, may be any bytes.
    Text(&'a [u8]),
    /// An integer of a KEMI script.
    Number(i64),
    /// The empty string of a KEMI script, where functions have one signature each: the default.
    /// In the native script an argument that is left out is not there, and one that is empty is a
    /// header that was missing.
    Default,
}

impl<'a> Arg<'a> {
    /// The text of a text argument; empty for anything else.
    pub fn text(self) -> &'a [u8] {
        match self {
            Arg::Text(text) => text,
            Arg::Number(_) | Arg::Default => b"",
        }
    }

    /// The number of a number, or of a text that is one in decimal (blanks around are fine);
    /// `None` for anything else, empty text included.
    pub fn number(self) -> Option<i64> {
        match self {
            Arg::Number(number) => Some(number),
            Arg::Default => None,
            Arg::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        }
    }
}

/// The type of an argument in a KEMI signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Arg::Text`].
    Text,
    /// [`Arg::Number`].
    Number,
}

/// What a script function does. The result goes to the script: positive is true, negative is
/// false, zero would end the script and must not be returned.
pub type Run = fn(&Message<'_>, &[Arg<'_>]) -> c_int;

/// One function with all its names.
pub struct Function {
    /// Names in the native script.
    pub script: &'static [&'static str],
    /// How many arguments the native names take: one table entry for each number.
    pub args: RangeInclusive<usize>,
    /// Names under `KSR.<module>`, each with its one signature; KEMI has no overloading. Possible
    /// signatures: none, text, text+number, text+number+text, text+text, text+number+number.
    pub kemi: &'static [(&'static str, &'static [Kind])],
    /// Called with as many arguments as the script gave.
    pub run: Run,
}

/// The host's table of functions.
pub(super) fn table(functions: &[Function]) -> *mut sys::cmd_export_t {
    let bare: [Shim2; MAX_TABLE] = entry::shim_table!(call0 as Shim2);
    let short: [Shim2; MAX_TABLE] = entry::shim_table!(call2 as Shim2);
    let long: [Shim3; MAX_TABLE] = entry::shim_table!(call3 as Shim3);
    let mut table: Vec<sys::cmd_export_t> = Vec::new();
    for (index, function) in functions.iter().enumerate() {
        for name in function.script {
            for count in function.args.clone() {
                let pointer = match count {
                    0 => bare[index] as *const c_void,
                    1..=2 => short[index] as *const c_void,
                    _ => long[index] as *const c_void,
                };
                table.push(sys::cmd_export_t {
                    name: str::leaked(name),
                    // SAFETY: The core keeps one pointer type for all arities and casts it back
                    // to the one with `param_no` parameters before it calls.
                    function: Some(unsafe { std::mem::transmute::<*const c_void, Shim2>(pointer) }),
                    param_no: count as c_int,
                    fixup: (count > 0).then_some(sys::fixup_spve_all),
                    free_fixup: (count > 0).then_some(sys::fixup_free_spve_all),
                    flags: sys::SEC_ANY_ROUTE,
                });
            }
        }
    }
    table.push(sys::cmd_export_t {
        name: std::ptr::null_mut(),
        function: None,
        param_no: 0,
        fixup: None,
        free_fixup: None,
        flags: 0,
    });
    table.leak().as_mut_ptr()
}

type Shim2 = unsafe extern "C" fn(*mut sys::sip_msg, *mut c_char, *mut c_char) -> c_int;
type Shim3 =
    unsafe extern "C" fn(*mut sys::sip_msg, *mut c_char, *mut c_char, *mut c_char) -> c_int;

unsafe extern "C" fn call0<const I: usize>(
    msg: *mut sys::sip_msg,
    _: *mut c_char,
    _: *mut c_char,
) -> c_int {
    guard(FALLBACK, || {
        let function = entry::module().and_then(|module| module.functions.get(I));
        // SAFETY: The core passes its current message.
        function.map_or(FALLBACK, |function| unsafe { run(function.run, msg, &[]) })
    })
}

unsafe extern "C" fn call2<const I: usize>(
    msg: *mut sys::sip_msg,
    first: *mut c_char,
    second: *mut c_char,
) -> c_int {
    // SAFETY: The core passes its current message and what the fixup made of each argument.
    guard(FALLBACK, || unsafe {
        call(I, msg, [first, second, std::ptr::null_mut()])
    })
}

unsafe extern "C" fn call3<const I: usize>(
    msg: *mut sys::sip_msg,
    first: *mut c_char,
    second: *mut c_char,
    third: *mut c_char,
) -> c_int {
    // SAFETY: The core passes its current message and what the fixup made of each argument.
    guard(FALLBACK, || unsafe { call(I, msg, [first, second, third]) })
}

/// # Safety
/// `msg` must be null or the message that this process is working on, and each of `given` null or
/// a parameter that `fixup_spve_all` prepared; the first null ends the list.
unsafe fn call(index: usize, msg: *mut sys::sip_msg, given: [*mut c_char; MAX_ARGS]) -> c_int {
    let Some(function) = entry::module().and_then(|module| module.functions.get(index)) else {
        return FALLBACK;
    };
    let mut args = [Arg::Text(b""); MAX_ARGS];
    let mut count = 0;
    for (arg, parameter) in args
        .iter_mut()
        .zip(given)
        .take_while(|(_, given)| !given.is_null())
    {
        let mut value = sys::str_ {
            s: std::ptr::null_mut(),
            len: 0,
        };
        // SAFETY: Both pointers come from the core, and `value` outlives the call.
        if unsafe { sys::sec_parameter(msg, parameter, &raw mut value) } >= 0 {
            // SAFETY: The text belongs to the message, the script, or the core's rotating
            // buffers, none of which changes while the function runs.
            let text = unsafe { str::bytes(&value) };
            *arg = Arg::Text(if text == NULL_TEXT { b"" } else { text });
        }
        count += 1;
    }
    // SAFETY: The caller vouches for `msg`.
    unsafe { run(function.run, msg, &args[..count]) }
}

/// # Safety
/// `msg` must be null or the message that this process is working on.
pub(super) unsafe fn run(run: Run, msg: *mut sys::sip_msg, args: &[Arg<'_>]) -> c_int {
    // SAFETY: The caller vouches for `msg`, and it is not kept beyond this call.
    match unsafe { Message::from_raw(msg) } {
        Some(message) => run(&message, args),
        None => {
            log::error("called where there is no message: nothing is checked");
            FALLBACK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arg;

    #[test]
    fn a_number_is_read_from_both_kinds_of_argument() {
        assert_eq!(Arg::Number(-3).number(), Some(-3));
        assert_eq!(Arg::Text(b" 300 ").number(), Some(300));
        for text in [&b""[..], b"5m", b"1.5", b"\xff", b"99999999999999999999"] {
            assert_eq!(Arg::Text(text).number(), None, "{text:?}");
        }
    }

    #[test]
    fn a_number_has_no_text() {
        assert_eq!(Arg::Number(7).text(), b"");
        assert_eq!(Arg::Text(b"7").text(), b"7");
    }
}
