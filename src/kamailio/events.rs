//! The script's routes for events of the module: `event_route[…]` of the native script, or one
//! function of a KEMI script.
//!
//! Looked up in `mod_init`, run in the event process only, one event at a time. Each run has a
//! faked message of its own, as the core's other event routes have; nothing of it is left for the
//! next one. A route may take as long as it likes: no SIP worker waits for it.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use super::{log, str, sys};

/// The routes that the script has for a list of events, found once.
pub struct Routes {
    /// The event's name, and the place of its native route.
    events: Vec<(sys::str_, Option<c_int>)>,
    /// The function of a KEMI script that hears of all events.
    callback: Option<sys::str_>,
}

// SAFETY: The strings are leaked and never written to, so any thread may read them.
unsafe impl Sync for Routes {}
// SAFETY: As above; nothing in it belongs to a thread.
unsafe impl Send for Routes {}

impl Routes {
    /// Looks the native routes up, in the order of `names`, and keeps the name of the KEMI
    /// function. Only in `mod_init`: by then the script has been read.
    pub fn find(names: &[&str], callback: Option<&str>) -> Routes {
        let find = |name: &&str| {
            let name = str::leaked_counted(name);
            // SAFETY: The name is terminated and stays, and the list of routes is complete.
            let place = unsafe { sys::sec_event_route(name.s) };
            (name, (place >= 0).then_some(place))
        };
        Routes {
            events: names.iter().map(find).collect(),
            callback: callback
                .filter(|_| has_kemi_engine())
                .map(str::leaked_counted),
        }
    }

    /// Whether anybody listens to the event at this place of the list.
    pub fn listens(&self, event: usize) -> bool {
        let native = |(_, route): &(_, Option<c_int>)| route.is_some();
        self.callback.is_some() || self.events.get(event).is_some_and(native)
    }

    /// Whether anybody listens to anything.
    pub fn is_empty(&self) -> bool {
        !(0..self.events.len()).any(|event| self.listens(event))
    }

    /// Runs the native route of an event, and the KEMI function. Only in a process that
    /// [`super::process::start`] made with [`super::process::Setup::Script`].
    pub fn run(&self, event: usize) {
        let Some((name, route)) = self.events.get(event) else {
            return;
        };
        let mut message = MaybeUninit::<sys::sip_msg>::zeroed();
        let message = message.as_mut_ptr();
        // SAFETY: The place has room for a message, which the core fills in.
        if unsafe { sys::faked_msg_get_new(message) } < 0 {
            log::error("no message for an event route");
            return;
        }
        // SAFETY: It reads and writes a number of this process, which has one thread.
        let before = unsafe { sys::route_type };
        // SAFETY: As above.
        unsafe { sys::route_type = sys::SEC_EVENT_ROUTE as c_int };
        if let Some(route) = route {
            // SAFETY: The route is one that was found, and the message was just made.
            unsafe { sys::sec_event_route_run(*route, message) };
        }
        if let Some(callback) = &self.callback {
            // SAFETY: The message was just made, and both names are terminated and stay.
            unsafe { call(message, callback, name) };
        }
        // SAFETY: The number is the one that was read before the run; the message is freed once,
        // by its only owner, together with what the script left beside it in this process.
        unsafe {
            sys::route_type = before;
            sys::free_sip_msg(message);
            sys::ksr_msg_env_reset();
        }
    }
}

/// Whether the routes of the script are in a language of KEMI.
pub fn has_kemi_engine() -> bool {
    // SAFETY: It returns a pointer that is set while the configuration is read.
    !unsafe { sys::sr_kemi_eng_get() }.is_null()
}

/// # Safety
/// `message` must be valid, and both texts terminated.
unsafe fn call(message: *mut sys::sip_msg, function: &sys::str_, event: &sys::str_) {
    let (mut function, mut event) = (*function, *event);
    let kind = sys::SEC_EVENT_ROUTE as c_int;
    // SAFETY: The engine is the core's own; it gets copies of the texts' places, so nothing of ours
    // is written to.
    let done = unsafe {
        sys::sr_kemi_route(
            sys::sr_kemi_eng_get(),
            message,
            kind,
            &raw mut function,
            &raw mut event,
        )
    };
    if done < 0 {
        // SAFETY: The caller vouches for the text.
        let name = unsafe { str::bytes(&function) };
        log::error(format_args!(
            "event_callback: the script's function {} cannot be run",
            String::from_utf8_lossy(name)
        ));
    }
}
