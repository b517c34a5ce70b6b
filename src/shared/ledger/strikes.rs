//! Strikes in one payload: weighted offences of the last window, counted by quarters of it, so
//! that old ones fade without a timer. `quarter number : 8 | five quarters : 5 × 8`, the running
//! one lowest: together they cover one window at least and a quarter more at most.
//!
//! Pure; used by the ledger. The quarter number wraps after 64 windows, so the agent's sweep clears
//! what has faded.
#![forbid(unsafe_code)]

const QUARTERS: u64 = 5;
const COUNTS_MASK: u64 = (1 << (8 * QUARTERS)) - 1;

/// The number of the running quarter.
fn quarter(now_ms: u64, window_ms: u64) -> u8 {
    (now_ms / (window_ms / 4).max(1)) as u8
}

/// The counts as they stand at `now_ms`: moved on by the quarters that have passed.
fn aged(payload: u64, now_ms: u64, window_ms: u64) -> [u8; 8] {
    let written = (payload >> (8 * QUARTERS)) as u8;
    let passed = u64::from(quarter(now_ms, window_ms).wrapping_sub(written));
    let counts = if passed < QUARTERS {
        (payload & COUNTS_MASK) << (8 * passed)
    } else {
        0
    };
    (counts & COUNTS_MASK).to_le_bytes()
}

fn pack(counts: [u8; 8], now_ms: u64, window_ms: u64) -> u64 {
    let counts = u64::from_le_bytes(counts) & COUNTS_MASK;
    u64::from(quarter(now_ms, window_ms)) << (8 * QUARTERS) | counts
}

/// Whether the payload was last changed in the window of `now_ms`, counted from the start.
pub(super) fn same_window(payload: u64, now_ms: u64, window_ms: u64) -> bool {
    let written = (payload >> (8 * QUARTERS)) as u8;
    written / 4 == quarter(now_ms, window_ms) / 4
}

/// The sum at `now_ms`.
pub(super) fn total(payload: u64, now_ms: u64, window_ms: u64) -> u32 {
    aged(payload, now_ms, window_ms)
        .iter()
        .map(|count| u32::from(*count))
        .sum()
}

/// One offence more, `weight` heavy; each quarter holds 255 at most.
pub(super) fn add(payload: u64, now_ms: u64, window_ms: u64, weight: u8) -> u64 {
    let mut counts = aged(payload, now_ms, window_ms);
    counts[0] = counts[0].saturating_add(weight);
    pack(counts, now_ms, window_ms)
}

/// The offences of `part` taken away, quarter by quarter.
pub(super) fn subtract(payload: u64, part: u64, now_ms: u64, window_ms: u64) -> u64 {
    let mut counts = aged(payload, now_ms, window_ms);
    for (count, less) in counts.iter_mut().zip(aged(part, now_ms, window_ms)) {
        *count = count.saturating_sub(less);
    }
    pack(counts, now_ms, window_ms)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WINDOW: u64 = 600_000;

    #[test]
    fn strikes_add_up_within_the_window_and_fade_after_it() {
        let mut payload = 0;
        for minute in 0..10 {
            payload = add(payload, minute * 60_000, WINDOW, 1);
        }
        assert_eq!(total(payload, 9 * 60_000, WINDOW), 10);
        assert_eq!(total(payload, 30 * 60_000, WINDOW), 0);
    }

    #[test]
    fn whoever_offends_ten_times_in_a_window_is_seen_to_do_so() {
        for start in 0..600 {
            let at = |n: u64| start * 1000 + n * 66_000;
            let payload = (0..10).fold(0, |payload, n| add(payload, at(n), WINDOW, 1));
            assert_eq!(total(payload, at(9), WINDOW), 10, "beginning at {start} s");
        }
    }

    #[test]
    fn weights_count_and_saturate() {
        let payload = add(add(0, 0, WINDOW, 3), 0, WINDOW, 5);
        assert_eq!(total(payload, 0, WINDOW), 8);
        let full = (0..9).fold(0, |payload, _| add(payload, 0, WINDOW, 200));
        assert_eq!(total(full, 0, WINDOW), 255);
    }

    #[test]
    fn a_users_own_strikes_can_be_taken_back() {
        let all = (0..5).fold(0, |payload, _| add(payload, 0, WINDOW, 1));
        let all = add(all, 200_000, WINDOW, 4);
        let own = add(add(0, 0, WINDOW, 1), 200_000, WINDOW, 4);
        assert_eq!(
            total(subtract(all, own, 300_000, WINDOW), 300_000, WINDOW),
            4
        );
        assert_eq!(
            total(subtract(own, all, 300_000, WINDOW), 300_000, WINDOW),
            0
        );
    }

    #[test]
    fn the_shortest_window_works() {
        let payload = add(0, 1000, 1000, 1);
        assert_eq!(total(payload, 1400, 1000), 1);
        assert_eq!(total(payload, 2400, 1000), 0);
    }
}
