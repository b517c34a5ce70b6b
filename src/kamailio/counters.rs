//! The group of statistics that `stats.get_statistics sec:` and `xhttp_prom` show.
//!
//! Registered in `mod_init`; the core calls back in the process that answers the question. The
//! values live in our shared memory and not in the core's per-process rows, so that processes that
//! Kamailio does not know can count too.

use std::ffi::{c_long, c_void};

use super::entry::{self, Module, guard};
use super::{str, sys};

/// One statistic.
pub struct Statistic {
    /// Its name in the group.
    pub name: &'static str,
    /// One sentence for `cnt.help`.
    pub help: &'static str,
    /// Reads the value: in any process, without waiting.
    pub read: fn() -> i64,
}

/// All statistics of the module; none before `mod_register`.
pub fn all() -> &'static [Statistic] {
    entry::module().map_or(&[], |module| module.statistics)
}

/// Announces all statistics of the module.
pub(super) fn register(module: &'static Module) -> Result<(), String> {
    for statistic in module.statistics {
        // SAFETY: The strings are leaked and the statistic is static, so all pointers stay valid;
        // the core allows registration until the first fork, and this runs in `mod_init`.
        let outcome = unsafe {
            sys::counter_register(
                std::ptr::null_mut(),
                str::leaked(module.name),
                str::leaked(statistic.name),
                0,
                Some(read),
                std::ptr::from_ref(statistic).cast_mut().cast::<c_void>(),
                str::leaked(statistic.help),
                0,
            )
        };
        if outcome < 0 {
            return Err(format!(
                "the core does not take the statistic {}",
                statistic.name
            ));
        }
    }
    Ok(())
}

unsafe extern "C" fn read(_handle: sys::counter_handle_t, statistic: *mut c_void) -> c_long {
    guard(0, || {
        // SAFETY: The pointer is the one that was registered, to a static that is never written.
        let statistic = unsafe { statistic.cast::<Statistic>().as_ref() };
        statistic.map_or(0, |statistic| (statistic.read)() as c_long)
    })
}
