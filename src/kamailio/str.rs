//! Kamailio's strings: counted (`str`) and zero-terminated, to and from Rust's slices.
//!
//! Used by every file of the border, in every process. Never copies when it reads; what it leaks
//! it leaks once, at start, for tables that the host keeps pointers to.

use std::ffi::{CString, c_char};

use super::sys;

/// The bytes of a counted string; none for a null pointer or a length below one.
///
/// # Safety
/// A non-null `s` must point to `len` readable bytes that stay unchanged for `'a`.
pub unsafe fn bytes<'a>(text: &sys::str_) -> &'a [u8] {
    match usize::try_from(text.len) {
        // SAFETY: The caller guarantees `len` readable bytes, and `s` is not null here.
        Ok(len) if len > 0 && !text.s.is_null() => unsafe {
            std::slice::from_raw_parts(text.s.cast::<u8>(), len)
        },
        _ => &[],
    }
}

/// A counted string over borrowed bytes, for a call that copies or only reads them.
///
/// Longer text than a C `int` can count is cut; nothing that reaches here is.
pub fn borrowed(text: &[u8]) -> sys::str_ {
    sys::str_ {
        s: text.as_ptr().cast_mut().cast::<c_char>(),
        len: i32::try_from(text.len()).unwrap_or(i32::MAX),
    }
}

/// A zero-terminated copy that lives as long as the process, for the host's tables.
///
/// A zero byte inside ends it early; names in our tables have none.
pub fn leaked(text: &str) -> *mut c_char {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).map_or(std::ptr::null_mut(), CString::into_raw)
}

/// The same as a counted string.
pub fn leaked_counted(text: &str) -> sys::str_ {
    sys::str_ {
        s: leaked(text),
        len: i32::try_from(text.len()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_or_empty_string_has_no_bytes() {
        let null = sys::str_ {
            s: std::ptr::null_mut(),
            len: 0,
        };
        let null_with_length = sys::str_ {
            s: std::ptr::null_mut(),
            len: 7,
        };
        let negative = sys::str_ {
            s: c"abc".as_ptr().cast_mut(),
            len: -1,
        };
        for text in [null, null_with_length, negative] {
            // SAFETY: No byte is read from a null pointer or a negative length.
            assert_eq!(unsafe { bytes(&text) }, b"");
        }
    }

    #[test]
    fn borrowed_bytes_come_back() {
        // SAFETY: The literal is readable and never changes.
        assert_eq!(unsafe { bytes(&borrowed(b"sip:a@b")) }, b"sip:a@b");
    }
}
