//! Commands of `kamcmd` (binrpc) and JSON-RPC: arguments in, a reply or a fault out.
//!
//! A handler runs in the process that answers the command, never in a SIP worker's request path,
//! so it may allocate; it sees only shared memory. Arguments are positional and read as text:
//! `kamcmd` sends `300` as an integer and `192.0.2.1` as a string, and both arrive as bytes.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;

use super::entry::{self, MAX_TABLE, guard};
use super::{str, sys};

/// Whether a command answers with one value or with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// One structure or value; JSON-RPC gives it as `"result": {…}`.
    One,
    /// Any number of values, none included; JSON-RPC gives `"result": […]`.
    List,
}

/// One command.
pub struct Command {
    /// Its full name, `sec.status`.
    pub name: &'static str,
    /// What `system.methodHelp` says: arguments and effect in a sentence.
    pub help: &'static str,
    /// The shape of the reply.
    pub reply: Reply,
    /// Reads the arguments and replies, or faults.
    pub run: fn(&mut Rpc<'_>),
}

/// The host's table of commands.
pub(super) fn table(commands: &[Command]) -> *mut sys::rpc_export_t {
    let shims: [Shim; MAX_TABLE] = entry::shim_table!(call as Shim);
    let mut table: Vec<sys::rpc_export_t> = Vec::new();
    for (command, shim) in commands.iter().zip(shims) {
        let help: &[*const c_char] =
            vec![str::leaked(command.help).cast_const(), std::ptr::null()].leak();
        table.push(sys::rpc_export_t {
            name: str::leaked(command.name),
            function: Some(shim),
            doc_str: help.as_ptr().cast_mut().cast(),
            flags: match command.reply {
                Reply::One => 0,
                Reply::List => sys::SEC_RPC_ARRAY,
            },
        });
    }
    table.push(sys::rpc_export_t {
        name: std::ptr::null(),
        function: None,
        doc_str: std::ptr::null_mut(),
        flags: 0,
    });
    table.leak().as_mut_ptr()
}

type Shim = unsafe extern "C" fn(*mut sys::rpc_t, *mut c_void);

unsafe extern "C" fn call<const I: usize>(api: *mut sys::rpc_t, context: *mut c_void) {
    let done = guard(false, || {
        // SAFETY: The transport passes its functions and a context for the length of the call.
        let mut rpc = unsafe { Rpc::from_raw(api, context) };
        if let Some(command) = entry::module().and_then(|module| module.commands.get(I)) {
            (command.run)(&mut rpc);
        }
        true
    });
    if !done {
        guard((), || {
            // SAFETY: The same pointers, still valid; what the handler added before it failed is
            // the transport's own.
            let mut rpc = unsafe { Rpc::from_raw(api, context) };
            rpc.fault(500, "internal error, see the log");
        });
    }
}

/// One call of a command.
pub struct Rpc<'a> {
    api: &'a sys::rpc_t,
    context: *mut c_void,
}

impl Rpc<'_> {
    /// # Safety
    /// Both pointers must be those that the transport passed, valid for the lifetime.
    unsafe fn from_raw<'a>(api: *mut sys::rpc_t, context: *mut c_void) -> Rpc<'a> {
        // SAFETY: The caller vouches for the pointer; transports never pass null.
        let api = unsafe { &*api };
        Rpc { api, context }
    }

    /// The next argument as text; none when there are no more.
    ///
    /// Numbers arrive in decimal, a negative one with its sign. What is neither text nor a number
    /// (JSON `true`, `null`, an object) arrives as `?`, so that it is refused like other nonsense
    /// and does not pass for an absent argument.
    pub fn argument(&mut self) -> Option<String> {
        // Of all transports only the control socket keeps the types of arguments apart, turns no
        // fraction into text, and loses the sign of an integer when it does.
        if self.api.capabilities.is_none() {
            let (mut fraction, mut integer) = (0.0_f64, 0);
            if self.scan(c"*f", &raw mut fraction) {
                return Some(fraction.to_string());
            }
            if self.scan::<c_int>(c"*d", &raw mut integer) {
                return Some(integer.to_string());
            }
        }
        let mut text = sys::str_ {
            s: std::ptr::null_mut(),
            len: 0,
        };
        if self.scan(c"*.S", &raw mut text) {
            // SAFETY: The transport's text lives at least until the next call; it is copied here.
            let text = String::from_utf8_lossy(unsafe { str::bytes(&text) });
            return Some(signed(&text).unwrap_or_else(|| text.into_owned()));
        }
        let mut skipped: c_int = 0;
        self.scan(c"*d", &raw mut skipped).then(|| "?".to_owned())
    }

    /// Asks for one optional argument of the type that the format names.
    fn scan<T>(&mut self, format: &CStr, value: *mut T) -> bool {
        let Some(scan) = self.api.scan else {
            return false;
        };
        // SAFETY: The formats used above ask for one value of the type that `value` points to.
        unsafe { scan(self.context, format.as_ptr().cast_mut(), value) > 0 }
    }

    /// Refuses the call: 400 bad input, 404 not there, 503 not possible now. Ends the reply.
    pub fn fault(&mut self, code: u16, text: &str) {
        let Some(fault) = self.api.fault else { return };
        let text = terminated(text);
        let format = c"%s".as_ptr().cast_mut();
        // SAFETY: The format takes one terminated string, and the transport copies it.
        unsafe {
            fault(
                self.context,
                c_int::from(code.cast_signed()),
                format,
                text.as_ptr(),
            )
        };
    }

    /// Adds a text to the reply.
    pub fn text(&mut self, text: &str) {
        let mut text = str::borrowed(text.as_bytes());
        if let Some(add) = self.api.add {
            // SAFETY: The format takes one counted string, and the transport copies it.
            unsafe { add(self.context, c"S".as_ptr().cast_mut(), &raw mut text) };
        }
    }

    /// Adds an empty structure to the reply, to be filled in.
    pub fn structure(&mut self) -> RpcStruct<'_> {
        let mut handle = std::ptr::null_mut::<c_void>();
        if let Some(add) = self.api.add {
            // SAFETY: The format takes one place for a handle.
            unsafe { add(self.context, c"{".as_ptr().cast_mut(), &raw mut handle) };
        }
        RpcStruct {
            api: self.api,
            handle,
            call: PhantomData,
        }
    }
}

/// A structure of the reply: named members in the order they are added.
pub struct RpcStruct<'a> {
    api: &'a sys::rpc_t,
    /// Null when the transport ran out of room; then nothing more is added.
    handle: *mut c_void,
    call: PhantomData<&'a mut ()>,
}

impl RpcStruct<'_> {
    /// Adds a text member.
    pub fn text(&mut self, name: &CStr, text: &str) -> &mut Self {
        let mut text = str::borrowed(text.as_bytes());
        self.add(c"S", name, &raw mut text);
        self
    }

    /// Adds an integer member.
    pub fn int(&mut self, name: &CStr, number: i64) -> &mut Self {
        let Some(add) = self.api.struct_add else {
            return self;
        };
        let (name, handle) = (name.as_ptr(), self.handle);
        if handle.is_null() {
            return self;
        }
        match c_int::try_from(number) {
            // SAFETY: The format takes a name and an `int`.
            Ok(number) => unsafe { add(handle, c"d".as_ptr().cast_mut(), name, number) },
            // SAFETY: The format takes a name and a `long long`.
            Err(_) => unsafe { add(handle, c"L".as_ptr().cast_mut(), name, number) },
        };
        self
    }

    /// Adds a structure as a member.
    pub fn structure(&mut self, name: &CStr) -> RpcStruct<'_> {
        let mut handle = std::ptr::null_mut::<c_void>();
        self.add(c"{", name, &raw mut handle);
        RpcStruct {
            api: self.api,
            handle,
            call: PhantomData,
        }
    }

    /// Adds a list as a member.
    pub fn list(&mut self, name: &CStr) -> RpcList<'_> {
        let mut handle = std::ptr::null_mut::<c_void>();
        self.add(c"[", name, &raw mut handle);
        RpcList {
            api: self.api,
            handle,
            call: PhantomData,
        }
    }

    fn add<T>(&mut self, format: &CStr, name: &CStr, value: *mut T) {
        if let Some(add) = self.api.struct_add
            && !self.handle.is_null()
        {
            // SAFETY: All formats used here take a name and one pointer to what they say.
            unsafe {
                add(
                    self.handle,
                    format.as_ptr().cast_mut(),
                    name.as_ptr(),
                    value,
                )
            };
        }
    }
}

/// A list inside a structure.
pub struct RpcList<'a> {
    api: &'a sys::rpc_t,
    /// Null when the transport ran out of room; then nothing more is added.
    handle: *mut c_void,
    call: PhantomData<&'a mut ()>,
}

impl RpcList<'_> {
    /// Appends a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let mut text = str::borrowed(text.as_bytes());
        self.add(c"S", &raw mut text);
        self
    }

    /// Appends a structure.
    pub fn structure(&mut self) -> RpcStruct<'_> {
        let mut handle = std::ptr::null_mut::<c_void>();
        self.add(c"{", &raw mut handle);
        RpcStruct {
            api: self.api,
            handle,
            call: PhantomData,
        }
    }

    fn add<T>(&mut self, format: &CStr, value: *mut T) {
        if let Some(add) = self.api.array_add
            && !self.handle.is_null()
        {
            // SAFETY: All formats used here take one pointer to what they say.
            unsafe { add(self.handle, format.as_ptr().cast_mut(), value) };
        }
    }
}

/// JSON-RPC prints a negative number as an unsigned one of 64 bits.
fn signed(text: &str) -> Option<String> {
    let number = text.parse::<u64>().ok()?.cast_signed();
    (number < 0).then(|| number.to_string())
}

/// A terminated copy; text after a zero byte is dropped.
fn terminated(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_sign_is_found_again() {
        assert_eq!(signed("18446744073709551611").as_deref(), Some("-5"));
        for text in [
            "5",
            "9223372036854775807",
            "99999999999999999999",
            "-5",
            "x",
            "",
        ] {
            assert_eq!(signed(text), None, "{text}");
        }
    }

    #[test]
    fn a_fault_ends_at_a_zero_byte() {
        assert_eq!(terminated("a\0b").as_c_str(), c"a");
    }
}
