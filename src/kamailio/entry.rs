//! The way in: how Kamailio finds the module, and the guard that every call from C goes through.
//!
//! `mod_register` runs in the main process while the configuration is read; the life-cycle hooks
//! run in the processes they are named after. Tables are built here once, from the one page that
//! `module.rs` is, and leaked, because the host keeps pointers to them.
//!
//! Architecture invariant: no panic reaches C. A panic there would abort the process, and in
//! Kamailio the death of any child stops the whole server.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use super::{
    Command, Function, Outcome, ParamValue, Rank, Statistic, Variables, counters, kemi, log,
    params, pv, rpc, script, str, sys,
};

/// The longest table that a [`Module`] may have: functions, KEMI names, parameters or commands.
pub const MAX_TABLE: usize = 64;

/// Everything that Kamailio sees of the module, on one page.
pub struct Module {
    /// The name in `modparam`, in KEMI (`KSR.<name>`) and in log lines.
    pub name: &'static str,
    /// Functions of the script, native and KEMI.
    pub functions: &'static [Function],
    /// Names of the parameters; all take integers and strings.
    pub parameters: &'static [&'static str],
    /// Takes one `modparam` line; see [`Outcome`].
    pub set_parameter: fn(&str, ParamValue<'_>) -> Outcome,
    /// Commands of `kamcmd` and JSON-RPC.
    pub commands: &'static [Command],
    /// The class of pseudo-variables.
    pub variables: Variables,
    /// Statistics, in the group that is called as the module.
    pub statistics: &'static [Statistic],
    /// Counts a panic that a guard caught; must not panic itself.
    pub count_panic: fn(),
    /// `mod_init`: in main, before any fork, after all parameters. An error stops the start.
    pub init: fn() -> Result<(), String>,
    /// `child_init`: in each process that Kamailio starts. An error stops the server.
    pub child_init: fn(Rank) -> Result<(), String>,
    /// In main, at the very end, after all other processes are gone.
    pub destroy: fn(),
}

static MODULE: OnceLock<&'static Module> = OnceLock::new();

/// The registered module; none before `mod_register`.
pub(super) fn module() -> Option<&'static Module> {
    MODULE.get().copied()
}

/// Runs the body of a call from C. A panic is logged, counted, and answered with `fallback`.
///
/// After a panic the module goes on as if the call had said `fallback`; what it shares with other
/// processes consists of single atomic words, so no half-done change can be left behind.
pub fn guard<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        if let Some(module) = module() {
            (module.count_panic)();
        }
        fallback
    })
}

/// Expands to an array of [`MAX_TABLE`] copies of a function that is generic over its index.
///
/// Kamailio calls back without saying which of our names it called, so each name needs a C
/// function of its own.
macro_rules! shim_table {
    ($shim:ident as $type:ty) => {
        $crate::kamailio::entry::shim_table!(@ $shim $type;
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
            61 62 63)
    };
    (@ $shim:ident $type:ty; $($index:literal)*) => { [$($shim::<$index> as $type),*] };
}
pub(super) use shim_table;

/// Declares the symbols that Kamailio's loader looks for, for one [`Module`] in a `static`.
#[macro_export]
macro_rules! export_module {
    ($module:path) => {
        /// Kamailio refuses a module whose two strings differ from its own.
        #[unsafe(no_mangle)]
        pub static module_version: $crate::kamailio::entry::HostString =
            $crate::kamailio::entry::HostString::VERSION;

        #[unsafe(no_mangle)]
        pub static module_flags: $crate::kamailio::entry::HostString =
            $crate::kamailio::entry::HostString::FLAGS;

        #[unsafe(no_mangle)]
        pub static module_interface_ver: ::std::ffi::c_uint =
            $crate::kamailio::entry::INTERFACE_VERSION;

        /// Filled in by `mod_register`, which the loader calls before it reads this.
        #[unsafe(no_mangle)]
        pub static exports: $crate::kamailio::entry::Exports =
            $crate::kamailio::entry::Exports::empty();

        /// The first function that Kamailio calls; 0 is success.
        #[unsafe(no_mangle)]
        pub extern "C" fn mod_register(
            _path: *mut ::std::ffi::c_char,
            _dlflags: *mut ::std::ffi::c_int,
            _reserved1: *mut ::std::ffi::c_void,
            _reserved2: *mut ::std::ffi::c_void,
        ) -> ::std::ffi::c_int {
            $crate::kamailio::entry::register(&$module, &exports)
        }
    };
}

/// A `char *` variable, as the loader wants to see it.
#[repr(transparent)]
pub struct HostString(*const c_char);

// SAFETY: The text is a constant that nobody writes to.
unsafe impl Sync for HostString {}

impl HostString {
    /// `kamailio 5.6.3 (x86_64/linux)`: the host that this build is for.
    pub const VERSION: HostString = HostString(sys::MODULE_VERSION.as_ptr());
    /// The host's compile flags.
    pub const FLAGS: HostString = HostString(sys::MODULE_FLAGS.as_ptr());
}

/// The version of the interface between host and modules.
pub const INTERFACE_VERSION: u32 = sys::SEC_INTERFACE_VERSION;

/// The structure that describes the module to the host.
#[repr(transparent)]
pub struct Exports(UnsafeCell<sys::module_exports_t>);

// SAFETY: It is written once, in the only thread there is while the configuration is read.
unsafe impl Sync for Exports {}

impl Exports {
    /// What the file holds before `mod_register` ran.
    pub const fn empty() -> Exports {
        Exports(UnsafeCell::new(sys::module_exports_t {
            name: std::ptr::null_mut(),
            dlflags: 0,
            cmds: std::ptr::null_mut(),
            params: std::ptr::null_mut(),
            rpc_methods: std::ptr::null_mut(),
            pv_items: std::ptr::null_mut(),
            response_f: None,
            init_mod_f: None,
            init_child_f: None,
            destroy_mod_f: None,
        }))
    }
}

/// Builds the host's tables from ours. 0 is success; anything else stops the start.
pub fn register(module: &'static Module, exports: &'static Exports) -> c_int {
    guard(-1, || {
        if MODULE.set(module).is_err() {
            log::error("the module is loaded twice");
            return -1;
        }
        install_panic_hook();
        match build_tables(module, exports) {
            Ok(()) => 0,
            Err(error) => {
                log::error(error);
                -1
            }
        }
    })
}

fn build_tables(module: &'static Module, exports: &Exports) -> Result<(), String> {
    for (what, length) in [
        ("functions", module.functions.len()),
        ("parameters", module.parameters.len()),
        ("commands", module.commands.len()),
    ] {
        if length > MAX_TABLE {
            return Err(format!("{length} {what}, of {MAX_TABLE} at most"));
        }
    }
    kemi::register(module)?;
    let table = sys::module_exports_t {
        name: str::leaked(module.name),
        dlflags: 0,
        cmds: script::table(module.functions),
        params: params::table(module.parameters),
        rpc_methods: rpc::table(module.commands),
        pv_items: pv::table(&module.variables),
        response_f: None,
        init_mod_f: Some(mod_init),
        init_child_f: Some(child_init),
        destroy_mod_f: Some(destroy),
    };
    // SAFETY: The loader reads the structure only after `mod_register` returned, in this thread.
    unsafe { *exports.0.get() = table };
    Ok(())
}

/// Panics go to Kamailio's log: a daemon's standard error is /dev/null.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        match panic.location() {
            Some(place) => log::error(format_args!("BUG: panic at {place}: {text}")),
            None => log::error(format_args!("BUG: panic: {text}")),
        }
    }));
}

/// Zero for success, else a log line and minus one.
fn report(outcome: Result<(), String>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            log::error(error);
            -1
        }
    }
}

unsafe extern "C" fn mod_init() -> c_int {
    guard(-1, || {
        let Some(module) = module() else { return -1 };
        report(counters::register(module).and_then(|()| (module.init)()))
    })
}

unsafe extern "C" fn child_init(rank: c_int) -> c_int {
    guard(-1, || {
        let Some(module) = module() else { return -1 };
        report((module.child_init)(Rank::from(rank)))
    })
}

unsafe extern "C" fn destroy() {
    guard((), || {
        if let Some(module) = module() {
            (module.destroy)();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let answer = guard(1, || -> i32 { panic!("on purpose") });
        std::panic::set_hook(hook);
        assert_eq!(answer, 1);
        assert_eq!(guard(1, || -7), -7);
    }
}
