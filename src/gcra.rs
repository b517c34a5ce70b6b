//! The arithmetic of a rate limit: the generic cell rate algorithm (ITU-T I.371, ATM Forum TM 4.0)
//! in its virtual-scheduling form, on a 36-bit arrival time that wraps.
//!
//! Pure: called for each request by the rate tables and the ledger; knows neither clock nor memory.
//! It never calls a source *over* that kept within its limit in every window.
#![forbid(unsafe_code)]

/// Length of one tick of rate time in nanoseconds: 16 µs.
pub const TICK_NS: u64 = 16_000;
/// Ticks in a second: the highest rate that can be expressed.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000 / TICK_NS;
/// Bits of a stored arrival time; it wraps every 12.7 days.
pub const TIME_BITS: u32 = 36;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// `limit` requests in `window` ticks, prepared for the check.
///
/// The emission interval is `window / limit` rounded down to a tick, the tolerance `limit - 1`
/// intervals. Where the division is exact this is the window less one interval; where it is not,
/// it is the tolerance that lets exactly `limit` requests of a burst pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Ticks that one request costs.
    interval: u64,
    /// Debt in ticks up to which a request is still within.
    tolerance: u64,
    limit: u32,
    window_ticks: u64,
}

/// What one request did to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Within the limit; the arrival time to store.
    Within(u64),
    /// Over the limit; nothing is to be stored.
    Over,
}

impl Quota {
    /// `limit` requests in `window_secs` seconds. `None` unless 1 s ≤ window ≤ 1 day and
    /// 1 ≤ limit ≤ 62,500 a second.
    pub fn new(limit: u64, window_secs: u64) -> Option<Quota> {
        if !(1..=86_400).contains(&window_secs) {
            return None;
        }
        let window_ticks = window_secs * TICKS_PER_SECOND;
        if limit == 0 || limit > window_ticks {
            return None;
        }
        let interval = window_ticks / limit;
        let limit = u32::try_from(limit).ok()?;
        Some(Quota {
            interval,
            tolerance: (u64::from(limit) - 1) * interval,
            limit,
            window_ticks,
        })
    }

    /// The number of requests.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// The window in seconds.
    pub fn window_secs(&self) -> u64 {
        self.window_ticks / TICKS_PER_SECOND
    }

    /// Charges one request at `now` to the stored arrival time `stored` (both in ticks, of which
    /// the low 36 bits count).
    #[inline]
    pub fn charge(&self, stored: u64, now: u64) -> Charge {
        let debt = self.debt(stored, now);
        if debt > self.tolerance {
            return Charge::Over;
        }
        Charge::Within(now.wrapping_add(debt + self.interval) & TIME_MASK)
    }

    /// Ticks by which the stored arrival time lies ahead of `now`. Anything beyond what this quota
    /// could have written is an expired, wrapped or foreign time and counts as none.
    #[inline]
    pub fn debt(&self, stored: u64, now: u64) -> u64 {
        let ahead = stored.wrapping_sub(now) & TIME_MASK;
        if ahead > self.tolerance + self.interval {
            0
        } else {
            ahead
        }
    }

    /// How many requests the debt at `now` stands for, rounded up: what an operator reads as
    /// "23 of 30".
    pub fn level(&self, stored: u64, now: u64) -> u32 {
        self.debt(stored, now).div_ceil(self.interval) as u32
    }

    /// The debt as a share of the window, in 2^-16: comparable between unlike limits.
    #[inline]
    pub fn relative_debt(&self, stored: u64, now: u64) -> u64 {
        (self.debt(stored, now) << 16) / self.window_ticks
    }

    /// Takes `requests` requests back from a stored arrival time (never below `now`).
    pub fn refund(&self, stored: u64, now: u64, requests: u32) -> u64 {
        let debt = self
            .debt(stored, now)
            .saturating_sub(self.interval * u64::from(requests));
        now.wrapping_add(debt) & TIME_MASK
    }
}

/// Whether a stored arrival time may still matter, whatever the quota that wrote it: it lies ahead
/// of `now`, though not by more than the longest window. Zero was never written.
pub fn is_ahead(stored: u64, now: u64) -> bool {
    let ahead = stored.wrapping_sub(now) & TIME_MASK;
    stored & TIME_MASK != 0 && (1..=86_400 * TICKS_PER_SECOND).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs arrival times (ticks) through a quota; says of each whether it was within.
    fn run(quota: Quota, arrivals: &[u64]) -> Vec<bool> {
        let mut stored = arrivals[0];
        let verdict = |&now: &u64| match quota.charge(stored, now) {
            Charge::Within(next) => {
                stored = next;
                true
            }
            Charge::Over => false,
        };
        arrivals.iter().map(verdict).collect()
    }

    fn first_denied(quota: Quota, interval_ns: u64) -> Option<usize> {
        let start = 5_000_000_000u64;
        let arrivals: Vec<u64> = (0..5000)
            .map(|n| (start + n * interval_ns) / TICK_NS)
            .collect();
        run(quota, &arrivals)
            .iter()
            .position(|within| !within)
            .map(|index| index + 1)
    }

    #[test]
    fn a_burst_passes_exactly_the_limit() {
        for (limit, window) in [(1, 1), (7, 2), (30, 2), (100, 300), (700, 2), (60_000, 2)] {
            let quota = Quota::new(limit, window).unwrap();
            let passed = run(quota, &vec![99; 2 * limit as usize])
                .iter()
                .filter(|w| **w)
                .count();
            assert_eq!(passed as u64, limit, "{limit} in {window} s");
        }
    }

    #[test]
    fn a_steady_excess_is_denied_where_the_readme_says() {
        let quota = Quota::new(30, 2).unwrap();
        let second = 1_000_000_000;
        assert_eq!(first_denied(quota, second / 1000), Some(31));
        assert_eq!(first_denied(quota, second / 500), Some(31));
        assert_eq!(first_denied(quota, second / 100), Some(36));
        assert_eq!(first_denied(quota, second / 31), Some(58));
        assert_eq!(first_denied(quota, second / 15), None);
    }

    #[test]
    fn limits_outside_the_range_do_not_exist() {
        for (limit, window) in [(0, 2), (1, 0), (1, 86_401), (62_501, 1), (u64::MAX, 86_400)] {
            assert_eq!(Quota::new(limit, window), None, "{limit} in {window} s");
        }
        assert!(Quota::new(62_500, 1).is_some());
        assert!(Quota::new(1, 86_400).is_some());
    }

    #[test]
    fn time_wraps_without_a_wrong_denial() {
        let quota = Quota::new(3, 2).unwrap();
        let wrap = 1u64 << TIME_BITS;
        let verdicts = run(quota, &[wrap - 2, wrap - 1, wrap, wrap + 1, wrap + 125_000]);
        assert_eq!(verdicts, [true, true, true, false, true]);
    }

    #[test]
    fn an_absurd_stored_time_heals_itself() {
        let quota = Quota::new(3, 2).unwrap();
        assert!(matches!(quota.charge(1 << 35, 7), Charge::Within(_)));
        assert_eq!(quota.level(1 << 35, 7), 0);
    }

    #[test]
    fn refunds_give_back_and_stop_at_nothing() {
        let quota = Quota::new(10, 10).unwrap();
        let Charge::Within(one) = quota.charge(50, 50) else {
            panic!("the first request passes")
        };
        let Charge::Within(two) = quota.charge(one, 50) else {
            panic!("so does the second")
        };
        assert_eq!(quota.level(two, 50), 2);
        assert_eq!(quota.level(quota.refund(two, 50, 1), 50), 1);
        assert_eq!(quota.level(quota.refund(two, 50, 9), 50), 0);
    }

    proptest! {
        /// Against an exact sliding log of all requests: who keeps within `limit` in every window
        /// is never over.
        #[test]
        fn nobody_within_the_limit_is_ever_over(
            limit in 1u64..40,
            window in 1u64..20,
            steps in prop::collection::vec(0u64..2_000_000, 1..400),
        ) {
            let quota = Quota::new(limit, window).unwrap();
            let window_ticks = window * TICKS_PER_SECOND;
            let mut now = 1000;
            let mut log: Vec<u64> = Vec::new();
            let mut stored = now;
            for step in steps {
                now += step % (window_ticks / 2);
                let recent = log.iter().filter(|t| **t + window_ticks > now).count() as u64;
                if recent >= limit {
                    continue; // this request would break the promise, so it is not made
                }
                log.push(now);
                match quota.charge(stored, now) {
                    Charge::Within(next) => stored = next,
                    Charge::Over => prop_assert!(false, "over with {recent} in the window"),
                }
            }
        }

        /// Twice the limit inside one window is always noticed.
        #[test]
        fn twice_the_limit_in_a_window_is_always_over(
            limit in 1u64..2000,
            window in 1u64..300,
            start in 0u64..(1 << 37),
        ) {
            let quota = Quota::new(limit, window).unwrap();
            let gap = window * TICKS_PER_SECOND / (2 * limit);
            let arrivals: Vec<u64> = (0..2 * limit + 1).map(|n| start + n * gap).collect();
            prop_assert!(run(quota, &arrivals).contains(&false));
        }
    }
}
