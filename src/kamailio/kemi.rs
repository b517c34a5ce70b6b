//! The functions under `KSR.sec` for Lua, Python and the other KEMI engines.
//!
//! Built from the same list as the native functions. KEMI looks a name up without regard to the
//! number of arguments, so each name has exactly one signature. The shims run where the script
//! runs; they allocate nothing.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use super::entry::{self, MAX_TABLE, Module, guard};
use super::script::{self, Arg, FALLBACK, Kind, Run};
use super::{str, sys};

/// What each KEMI name calls, in the order of the table.
static RUNS: OnceLock<Vec<Run>> = OnceLock::new();

/// Announces the functions to the core; an error when a signature has no shim.
pub(super) fn register(module: &'static Module) -> Result<(), String> {
    let mut runs: Vec<Run> = Vec::new();
    let mut table: Vec<sys::sr_kemi_t> = Vec::new();
    for function in module.functions {
        for (name, kinds) in function.kemi {
            let shim = shim(runs.len(), kinds)
                .ok_or_else(|| format!("KEMI function {name}: no shim for {kinds:?}"))?;
            let mut types = [0; 6];
            for (place, kind) in types.iter_mut().zip(*kinds) {
                *place = match kind {
                    Kind::Text => sys::SR_KEMIP_STR as c_int,
                    Kind::Number => sys::SR_KEMIP_INT as c_int,
                };
            }
            table.push(sys::sr_kemi_t {
                mname: str::leaked_counted(module.name),
                fname: str::leaked_counted(name),
                rtype: sys::SR_KEMIP_INT as c_int,
                func: shim.cast_mut(),
                ptypes: types,
            });
            runs.push(function.run);
        }
    }
    table.push(sys::sr_kemi_t {
        mname: str::borrowed(b""),
        fname: sys::str_ {
            s: std::ptr::null_mut(),
            len: 0,
        },
        rtype: 0,
        func: std::ptr::null_mut(),
        ptypes: [0; 6],
    });
    if RUNS.set(runs).is_err() {
        return Err("the KEMI functions are registered already".to_owned());
    }
    // SAFETY: The table ends with an empty row and lives as long as the process.
    match unsafe { sys::sr_kemi_modules_add(table.leak().as_mut_ptr()) } {
        0.. => Ok(()),
        _ => Err("the core takes no more KEMI modules".to_owned()),
    }
}

/// The C function for the name number `index`, by its signature.
fn shim(index: usize, kinds: &[Kind]) -> Option<*const c_void> {
    let none: [None_; MAX_TABLE] = entry::shim_table!(none as None_);
    let s: [S; MAX_TABLE] = entry::shim_table!(s as S);
    let sn: [Sn; MAX_TABLE] = entry::shim_table!(sn as Sn);
    let sns: [Sns; MAX_TABLE] = entry::shim_table!(sns as Sns);
    let ss: [Ss; MAX_TABLE] = entry::shim_table!(ss as Ss);
    let snn: [Snn; MAX_TABLE] = entry::shim_table!(snn as Snn);
    if index >= MAX_TABLE {
        return None;
    }
    match kinds {
        [] => Some(none[index] as *const c_void),
        [Kind::Text] => Some(s[index] as *const c_void),
        [Kind::Text, Kind::Number] => Some(sn[index] as *const c_void),
        [Kind::Text, Kind::Number, Kind::Text] => Some(sns[index] as *const c_void),
        [Kind::Text, Kind::Text] => Some(ss[index] as *const c_void),
        [Kind::Text, Kind::Number, Kind::Number] => Some(snn[index] as *const c_void),
        _ => None,
    }
}

type Msg = *mut sys::sip_msg;
type Str = *mut sys::str_;
type None_ = unsafe extern "C" fn(Msg) -> c_int;
type S = unsafe extern "C" fn(Msg, Str) -> c_int;
type Sn = unsafe extern "C" fn(Msg, Str, c_int) -> c_int;
type Sns = unsafe extern "C" fn(Msg, Str, c_int, Str) -> c_int;
type Ss = unsafe extern "C" fn(Msg, Str, Str) -> c_int;
type Snn = unsafe extern "C" fn(Msg, Str, c_int, c_int) -> c_int;

unsafe extern "C" fn none<const I: usize>(msg: Msg) -> c_int {
    // SAFETY: The engine passes its current message.
    guard(FALLBACK, || unsafe { call(I, msg, &[]) })
}

unsafe extern "C" fn s<const I: usize>(msg: Msg, a: Str) -> c_int {
    // SAFETY: The engine passes its current message and strings that live until we return.
    guard(FALLBACK, || unsafe { call(I, msg, &[text(a)]) })
}

unsafe extern "C" fn sn<const I: usize>(msg: Msg, a: Str, b: c_int) -> c_int {
    // SAFETY: The engine passes its current message and strings that live until we return.
    guard(FALLBACK, || unsafe { call(I, msg, &[text(a), number(b)]) })
}

unsafe extern "C" fn sns<const I: usize>(msg: Msg, a: Str, b: c_int, c: Str) -> c_int {
    // SAFETY: The engine passes its current message and strings that live until we return.
    guard(FALLBACK, || unsafe {
        call(I, msg, &[text(a), number(b), text(c)])
    })
}

unsafe extern "C" fn ss<const I: usize>(msg: Msg, a: Str, b: Str) -> c_int {
    // SAFETY: The engine passes its current message and strings that live until we return.
    guard(FALLBACK, || unsafe { call(I, msg, &[text(a), text(b)]) })
}

unsafe extern "C" fn snn<const I: usize>(msg: Msg, a: Str, b: c_int, c: c_int) -> c_int {
    // SAFETY: The engine passes its current message and strings that live until we return.
    guard(FALLBACK, || unsafe {
        call(I, msg, &[text(a), number(b), number(c)])
    })
}

/// # Safety
/// `msg` must be null or the message that this process is working on.
unsafe fn call(index: usize, msg: Msg, args: &[Arg<'_>]) -> c_int {
    match RUNS.get().and_then(|runs| runs.get(index)) {
        // SAFETY: The caller vouches for `msg`.
        Some(run) => unsafe { script::run(*run, msg, args) },
        None => FALLBACK,
    }
}

/// # Safety
/// `text` must be null or a counted string that lives for `'a`.
unsafe fn text<'a>(text: Str) -> Arg<'a> {
    // SAFETY: The caller guarantees null or a valid string.
    let bytes = unsafe { text.as_ref().map_or(&[][..], |text| str::bytes(text)) };
    if bytes.is_empty() {
        Arg::Default
    } else {
        Arg::Text(bytes)
    }
}

fn number<'a>(number: c_int) -> Arg<'a> {
    Arg::Number(i64::from(number))
}
