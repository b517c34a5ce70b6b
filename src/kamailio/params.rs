//! `modparam("sec", …)`: from Kamailio's typed setters to one Rust function.
//!
//! Called in the main process while the configuration is read, also under `kamailio -c`. Every
//! parameter takes an integer and a string, so that `300` and `"5m"` both arrive. Never keeps a
//! value itself.

use std::ffi::{CStr, c_int, c_uint, c_void};

use super::entry::{self, MAX_TABLE, guard};
use super::{log, str, sys};

/// What stands behind the parameter's name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamValue<'a> {
    /// `modparam("sec", "ban_time", 300)`.
    Int(i64),
    /// `modparam("sec", "ban_time", "5m")`.
    Text(&'a str),
}

/// What a setter says to a value: nothing, a warning that is logged, or why it is refused.
///
/// A refusal is logged as an error and stops the start, also of `kamailio -c`. The sentence names
/// the parameter, the value and what is allowed.
pub type Outcome = Result<Option<String>, String>;

/// The host's table of parameters: each name once per type.
pub(super) fn table(names: &[&str]) -> *mut sys::param_export_t {
    let shims: [Shim; MAX_TABLE] = entry::shim_table!(set as Shim);
    let mut table: Vec<sys::param_export_t> = Vec::new();
    for (name, shim) in names.iter().zip(shims) {
        for kind in [sys::SEC_PARAM_STRING, sys::SEC_PARAM_INT] {
            table.push(sys::param_export_t {
                name: str::leaked(name),
                type_: kind,
                param_pointer: shim as *mut c_void,
            });
        }
    }
    table.push(sys::param_export_t {
        name: std::ptr::null_mut(),
        type_: 0,
        param_pointer: std::ptr::null_mut(),
    });
    table.leak().as_mut_ptr()
}

type Shim = unsafe extern "C" fn(c_uint, *mut c_void) -> c_int;

unsafe extern "C" fn set<const I: usize>(kind: c_uint, value: *mut c_void) -> c_int {
    // SAFETY: The core passes the value that belongs to `kind`.
    guard(-1, || unsafe { take(I, kind, value) })
}

/// # Safety
/// `value` must be a C `int` in a pointer when `kind` says so, else null or a terminated string.
unsafe fn take(index: usize, kind: c_uint, value: *mut c_void) -> c_int {
    let Some(module) = entry::module() else {
        return -1;
    };
    let Some(name) = module.parameters.get(index) else {
        return -1;
    };
    let outcome = if kind == sys::SEC_PARAM_INT {
        (module.set_parameter)(name, ParamValue::Int(i64::from(value as usize as c_int)))
    } else if value.is_null() {
        (module.set_parameter)(name, ParamValue::Text(""))
    } else {
        // SAFETY: The core passes a zero-terminated string that outlives this call.
        let text = unsafe { CStr::from_ptr(value.cast()) };
        match text.to_str() {
            Ok(text) => (module.set_parameter)(name, ParamValue::Text(text)),
            Err(_) => Err(format!("{name}: {text:?} is not valid UTF-8")),
        }
    };
    match outcome {
        Ok(None) => 0,
        Ok(Some(warning)) => {
            log::warn(warning);
            0
        }
        Err(error) => {
            log::error(error);
            -1
        }
    }
}
