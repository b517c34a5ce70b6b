//! The class of pseudo-variables, `$sec(…)`.
//!
//! Names are checked while the configuration is read, in the main process, so that a misspelt one
//! stops `kamailio -c`; values are asked for where the script runs. Nothing is settable.

use std::borrow::Cow;
use std::ffi::c_int;

use super::entry::{self, guard};
use super::message::Message;
use super::{log, str, sys};

/// What a pseudo-variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PvValue {
    /// `$null`.
    Null,
    /// An integer; the script sees it as text, too. Beyond the range of a C `int` it is clamped.
    Int(i64),
    /// Text; copied into one of the core's buffers, and cut when longer (8 KiB on 5.6).
    Text(Cow<'static, [u8]>),
}

impl From<&'static str> for PvValue {
    fn from(text: &'static str) -> PvValue {
        PvValue::Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl From<String> for PvValue {
    fn from(text: String) -> PvValue {
        PvValue::Text(Cow::Owned(text.into_bytes()))
    }
}

/// A class of read-only pseudo-variables.
pub struct Variables {
    /// The class: `sec` for `$sec(…)`.
    pub class: &'static str,
    /// The allowed inner names.
    pub names: &'static [&'static str],
    /// The value of the name at this place in `names`.
    pub get: fn(&Message<'_>, usize) -> PvValue,
}

/// The host's table of classes: ours, and the end.
pub(super) fn table(variables: &'static Variables) -> *mut sys::pv_export_t {
    let row = |name, getf: sys::pv_getf_t, parse: sys::pv_parse_name_f| sys::pv_export_t {
        name,
        type_: sys::SEC_PV_OTHER as _,
        getf,
        setf: None,
        parse_name: parse,
        parse_index: None,
        init_param: None,
        iparam: 0,
    };
    let end = sys::str_ {
        s: std::ptr::null_mut(),
        len: 0,
    };
    let table = vec![
        row(
            str::leaked_counted(variables.class),
            Some(get),
            Some(parse_name),
        ),
        row(end, None, None),
    ];
    table.leak().as_mut_ptr()
}

unsafe extern "C" fn parse_name(spec: *mut sys::pv_spec_t, name: *mut sys::str_) -> c_int {
    guard(-1, || {
        let Some(module) = entry::module() else {
            return -1;
        };
        // SAFETY: The core passes null or a name that lives until we return.
        let name = unsafe { name.as_ref().map_or(&[][..], |name| str::bytes(name)) };
        let variables = &module.variables;
        let Some(index) = variables
            .names
            .iter()
            .position(|known| known.as_bytes() == name)
        else {
            log::error(format_args!(
                "${}({}): no such name; allowed are {}",
                variables.class,
                String::from_utf8_lossy(name),
                variables.names.join(", ")
            ));
            return -1;
        };
        // SAFETY: The core passes the specification that it is filling in.
        unsafe { sys::sec_pv_name_set(spec, index as c_int) };
        0
    })
}

unsafe extern "C" fn get(
    msg: *mut sys::sip_msg,
    parameter: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> c_int {
    guard(-1, || {
        // SAFETY: `parameter` belongs to a specification that `parse_name` filled in.
        let index = unsafe { sys::sec_pv_name(parameter) } as usize;
        // SAFETY: The core passes null or the message that this process is working on.
        let held = match (entry::module(), unsafe { Message::from_raw(msg) }) {
            (Some(module), Some(message)) => (module.variables.get)(&message, index),
            _ => PvValue::Null,
        };
        // SAFETY: All three pointers are the core's own, passed on unchanged.
        unsafe { answer(msg, parameter, value, &held) }
    })
}

/// # Safety
/// The pointers must be those of the running call.
unsafe fn answer(
    msg: *mut sys::sip_msg,
    parameter: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
    held: &PvValue,
) -> c_int {
    match held {
        // SAFETY: The caller passes on the core's own pointers.
        PvValue::Null => unsafe { sys::pv_get_null(msg, parameter, value) },
        PvValue::Int(number) => {
            let number = (*number).clamp(i64::from(c_int::MIN), i64::from(c_int::MAX));
            // SAFETY: The caller passes on the core's own pointers.
            unsafe { sys::pv_get_sintval(msg, parameter, value, number as _) }
        }
        PvValue::Text(text) => {
            // SAFETY: The buffer is the core's next one of this process, and as long as it says;
            // `text` is ours and cannot overlap it.
            let mut copy = unsafe {
                let buffer = sys::pv_get_buffer();
                let room = usize::try_from(sys::pv_get_buffer_size()).unwrap_or(0);
                let length = text.len().min(room);
                std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, length);
                sys::str_ {
                    s: buffer,
                    len: length as c_int,
                }
            };
            // SAFETY: `copy` points into the core's buffer, which stays until it comes round.
            unsafe { sys::pv_get_strval(msg, parameter, value, &raw mut copy) }
        }
    }
}
