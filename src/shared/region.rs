//! The mapping itself: asked from the kernel once, in `mod_init`, before Kamailio forks; every
//! table takes its words from it and none ever gives them back.
//!
//! Called by the main process only. It never touches Kamailio's own shared memory.

use super::sync::AtomicU64;
use std::io;

/// Words in a cache line of 64 bytes; every slice begins at one.
pub const LINE: usize = 8;

/// A zeroed, pre-faulted, shared anonymous mapping, handed out in slices.
pub struct Region {
    words: &'static [AtomicU64],
    used: usize,
}

impl Region {
    /// Maps room for `words` words. The pages are touched at once, so that a machine without
    /// enough memory says so at start and no SIP worker ever waits for a page.
    ///
    /// # Errors
    /// What `mmap(2)` says, usually `ENOMEM`.
    pub fn new(words: usize) -> io::Result<Region> {
        let words = words.max(1).next_multiple_of(LINE);
        let bytes = words
            .checked_mul(size_of::<AtomicU64>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice; no file, no
        // existing memory is touched.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping holds `words` zeroed, page-aligned words, is never unmapped, and is
        // reached through atomics only, in every process that inherits it.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), words) };
        Ok(Region { words, used: 0 })
    }

    /// The next `words` words, beginning at a cache line.
    ///
    /// # Panics
    /// When the region is used up: whoever sized it left a table out.
    pub fn take(&mut self, words: usize) -> &'static [AtomicU64] {
        let start = self.used;
        let end = start + words;
        assert!(end <= self.words.len(), "the region was made too small");
        self.used = end.next_multiple_of(LINE);
        &self.words[start..end]
    }

    /// Bytes of the whole mapping.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::sync::Ordering;

    #[test]
    fn slices_are_zeroed_aligned_and_apart() {
        let mut region = Region::new(64).unwrap();
        let first = region.take(3);
        let second = region.take(8);
        assert!(
            first
                .iter()
                .chain(second)
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        assert_eq!(second.as_ptr().addr() % 64, 0);
        assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), 64);
    }

    #[test]
    #[should_panic(expected = "too small")]
    fn taking_more_than_there_is_is_a_mistake_of_ours() {
        Region::new(8).unwrap().take(9);
    }
}
