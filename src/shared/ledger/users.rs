//! How many different users failed, from a bitmap of 48 bits: linear counting (Whang, Vander-Zanden
//! and Taylor, 1990). Right to about one user up to twenty. Each `strike_window` begins anew: in an
//! office where one phone fails all the time, ten typing errors of ten days are no scanner.
//!
//! Pure; used by the ledger.
#![forbid(unsafe_code)]

const BITS: u32 = 48;

/// The bitmap with one more user in it.
pub(super) fn add(bitmap: u64, user: u128) -> u64 {
    bitmap | 1 << (user % u128::from(BITS))
}

/// The estimate; a full bitmap is read as four users for each bit.
pub(super) fn estimate(bitmap: u64) -> u32 {
    let zeros = BITS - (bitmap & ((1 << BITS) - 1)).count_ones();
    if zeros == 0 {
        return 4 * BITS;
    }
    let share = f64::from(BITS) / f64::from(zeros);
    (f64::from(BITS) * share.ln()).round() as u32
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::hash::Keys;

    #[test]
    fn estimates_are_close() {
        let keys = Keys::from_seed(&[3; 32]);
        for count in [0u32, 1, 3, 10, 20] {
            let bitmap = (0..count).fold(0, |bitmap, n| {
                add(bitmap, keys.user(format!("user{n}").as_bytes(), b"x"))
            });
            let estimate = estimate(bitmap);
            assert!(
                estimate.abs_diff(count) <= 1 + count / 5,
                "{count} users: {estimate}"
            );
        }
    }

    #[test]
    fn the_same_user_again_is_nobody_new() {
        let bitmap = add(0, 77);
        assert_eq!(add(bitmap, 77), bitmap);
        assert_eq!(estimate(bitmap), 1);
        assert_eq!(estimate(u64::MAX), 192);
    }
}
