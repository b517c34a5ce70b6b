//! The mapping itself: asked from the kernel once, in `mod_init`, before Kamailio forks; every
//! table takes its words from it and none ever gives them back.
//!
//! Called by the main process only. It never touches Kamailio's own shared memory.

use super::sync::{AtomicU64, Ordering::Relaxed};
use std::io;

/// Words in a cache line of 64 bytes; every slice begins at one.
pub const LINE: usize = 8;

/// Words in the smallest page there is.
const PAGE: usize = 4096 / size_of::<AtomicU64>();

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
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice; no file, no
        // existing memory is touched.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // Large pages spare a random read its second miss; a system that gives none stays as it is.
        // SAFETY: advice about the mapping just made, which changes nothing that can be read.
        let _advised = unsafe { libc::madvise(base, bytes, libc::MADV_HUGEPAGE) };
        // SAFETY: the mapping holds `words` zeroed, page-aligned words, is never unmapped, and is
        // reached through atomics only, in every process that inherits it.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), words) };
        for page in words.chunks(PAGE) {
            page[0].store(0, Relaxed);
        }
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

/// Asks the processor for the cache line of a word that will soon be read.
#[inline]
pub(super) fn fetch_ahead(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint about an address that is valid, being that of a reference.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
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
