//! Keyed hashes: SipHash-1-3 (Aumasson, Bernstein) with a key that is drawn at each start, so
//! that nobody outside can aim at a place in a table or at another's key.
//!
//! Made in `mod_init`, inherited by every process; does no I/O after that.

use crate::source::Source;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher128};
use std::hash::Hasher;
use std::io;

/// The keys of one start.
#[derive(Clone)]
pub struct Keys {
    table: SipHasher13,
    user: SipHasher128,
}

impl Keys {
    /// Draws fresh keys from the kernel.
    ///
    /// # Errors
    /// What `getrandom(2)` says; it does not fail on a running system.
    pub fn random() -> io::Result<Keys> {
        let mut seed = [0u8; 32];
        // SAFETY: the buffer is ours and as long as said.
        let drawn = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
        if usize::try_from(drawn) != Ok(seed.len()) {
            return Err(io::Error::last_os_error());
        }
        Ok(Keys::from_seed(&seed))
    }

    /// Keys from a seed of one's own: for tests and for replays that must repeat.
    pub fn from_seed(seed: &[u8; 32]) -> Keys {
        let half = |start: usize| std::array::from_fn(|index| seed[start + index]);
        Keys {
            table: SipHasher13::new_with_key(&half(0)),
            user: SipHasher128::new_with_key(&half(16)),
        }
    }

    /// The place of a source: all tables derive theirs from it.
    #[inline(always)]
    pub fn source(&self, source: Source) -> u64 {
        // The upper half of a prefix has room for its length.
        let bits = source.bits() ^ u128::from(source.length()) << 64;
        self.table.hash(&bits.to_le_bytes())
    }

    /// The place of a counter's key.
    pub fn key(&self, key: &[u8]) -> u64 {
        let mut hasher = self.table;
        hasher.write(key);
        hasher.write_u8(0xff);
        hasher.finish()
    }

    /// The identity of a user at an address: long enough to stand for the name itself.
    pub fn user(&self, user: &[u8], domain: &[u8]) -> u128 {
        let mut hasher = self.user;
        hasher.write_usize(user.len());
        hasher.write(user);
        hasher.write(domain);
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_meet_and_unlike_ones_part() {
        let keys = Keys::from_seed(&[7; 32]);
        let source = |text: &str| keys.source(Source::new(text.parse().unwrap(), 64));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_ne!(keys.user(b"ab", b"c"), keys.user(b"a", b"bc"));
        assert_ne!(keys.key(b"a"), keys.key(b"b"));
        assert_ne!(keys.key(b"a"), Keys::from_seed(&[8; 32]).key(b"a"));
    }
}
