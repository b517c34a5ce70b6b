//! How often a source was refused within the last day: what `sec.top` lists.
//!
//! Written by whoever refuses, read by the command. Refusing has to stay cheap under a flood, so the
//! count is a floating one (Csűrös, 2010): exact up to 255, and beyond that a refusal is written by
//! chance only, the rarer the more there were. A million refusals write two thousand times, and the
//! count is right to about a twentieth.
//!
//! Payload: `(free) : 18 | time : 8 | reason : 8 | shadow : 1 | exponent : 5 | mantissa : 8`, the
//! time in units of ten minutes.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Update, Word};
use super::{Key, Ledger, Record, TRIES};
use crate::engine::facts::Now;
use crate::engine::verdict::Reason;

const MANTISSA: u64 = 0xff;
const EXPONENT_MAX: u64 = 31;
const UNIT_MS: u64 = 600_000;
/// A day: then a source that was not refused any more is forgotten.
const UNITS_MAX: u64 = 144;
/// One newcomer in so many takes the place of somebody else's count.
const NEWCOMERS: u64 = 16;

/// What is known of the refusals of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denials {
    /// How many: exact up to 255, beyond that an estimate.
    pub count: u64,
    /// Why, the last time that was written.
    pub reason: Reason,
    /// None of them took effect: shadow mode, or a limit with `action=shadow`.
    pub shadow: bool,
}

impl Denials {
    pub(super) fn read(payload: u64, now: Now) -> Denials {
        if payload == 0 || has_faded(payload, now) {
            return Denials::default();
        }
        Denials {
            count: (payload & MANTISSA) << exponent(payload),
            reason: Reason::from_number((payload >> 14) as u8),
            shadow: payload >> 13 & 1 == 1,
        }
    }
}

fn exponent(payload: u64) -> u64 {
    payload >> 8 & EXPONENT_MAX
}

fn unit(now: Now) -> u64 {
    (now.ms() / UNIT_MS) & 0xff
}

fn has_faded(payload: u64, now: Now) -> bool {
    unit(now).wrapping_sub(payload >> 22) & 0xff > UNITS_MAX
}

/// Whether a payload says anything at this time.
pub(super) fn count(payload: u64, now: Now) -> u64 {
    Denials::read(payload, now).count
}

/// The payload without what has faded; `None` if there is nothing to clear.
pub(super) fn faded(payload: u64, now: Now) -> Option<u64> {
    (payload != 0 && has_faded(payload, now)).then_some(0)
}

/// The payload after one more refusal; `None` if this one is not written.
fn next(
    payload: u64,
    now: Now,
    reason: Reason,
    shadow: bool,
    mut chance: impl FnMut() -> u64,
) -> Option<u64> {
    let known = Denials::read(payload, now);
    let (mut mantissa, mut exponent) = (payload & MANTISSA, exponent(payload));
    if known.count == 0 || known.shadow && !shadow {
        (mantissa, exponent) = (1, 0);
    } else if shadow && !known.shadow {
        return None; // what did take effect matters more
    } else if chance() & ((1 << exponent) - 1) == 0 {
        mantissa += 1;
        if mantissa > MANTISSA {
            mantissa = if exponent < EXPONENT_MAX {
                128
            } else {
                MANTISSA
            };
            exponent = (exponent + 1).min(EXPONENT_MAX);
        }
    } else if unit(now) == payload >> 22 & 0xff {
        return None;
    }
    let told = u64::from(reason.number()) << 14 | u64::from(shadow) << 13;
    Some(unit(now) << 22 | told | exponent << 8 | mantissa)
}

impl Ledger {
    /// Counts a refusal, in `record` if the source was found there; `chance` gives random numbers. A source without a record gets one that
    /// gives way to anything else, or none.
    pub fn count_denial(
        &self,
        (key, mut record): (Key, Option<Record>),
        now: Now,
        reason: Reason,
        shadow: bool,
        mut chance: impl FnMut() -> u64,
    ) {
        for _ in 0..TRIES {
            let known = record.take().map(|Record(slot, meta)| (slot, meta));
            let found = known.or_else(|| self.find(key, None)).or_else(|| {
                let class = match chance().is_multiple_of(NEWCOMERS) {
                    true => Class::Denied,
                    false => Class::Dead,
                };
                self.find_or_insert(key, None, class, now).ok()
            });
            let Some((slot, meta)) = found else { return };
            let update = slot.update(meta, Word::Denials, |old| {
                next(old, now, reason, shadow, &mut chance)
            });
            if update != Update::Lost {
                return;
            }
        }
    }

    /// Forgets the refusals of a source: it was freed.
    pub fn forget_denials(&self, key: Key) {
        self.change(key, Word::Denials, |old| (old != 0).then_some(0));
    }

    /// Forgets what only shadow mode would have refused: it is over.
    pub fn drop_shadow_denials(&self) {
        for place in 0..self.capacity() {
            let slot = self.slot(place);
            if let Some((meta, _, None)) = slot.key() {
                slot.update(meta, Word::Denials, |old| (old >> 13 & 1 == 1).then_some(0));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::tests::{key, ledger};
    use super::*;
    use crate::engine::facts::{Ban, Origin};

    fn at(minutes: u64) -> Now {
        Now::from_ns(minutes * 60_000_000_000)
    }

    /// A generator of the kind that the server uses.
    fn generator(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    #[test]
    fn a_few_are_counted_exactly() {
        let mut payload = 0;
        for count in 1..=255 {
            payload = next(payload, at(5), Reason::AUTH, false, || 1).unwrap();
            let known = Denials::read(payload, at(5));
            assert_eq!((known.count, known.reason), (count, Reason::AUTH));
        }
    }

    #[test]
    fn many_are_estimated_and_seldom_written() {
        for seed in 1..20 {
            let mut chance = generator(seed << 40 | 0x9e37_79b9);
            let (mut payload, mut written) = (0, 0);
            for _ in 0..1_000_000 {
                if let Some(changed) = next(payload, at(5), Reason::AUTH, false, &mut chance) {
                    payload = changed;
                    written += 1;
                }
            }
            let count = Denials::read(payload, at(5)).count;
            assert!((750_000..1_250_000).contains(&count), "{count}");
            assert!((1500..2500).contains(&written), "{written}");
        }
    }

    #[test]
    fn the_count_ends_where_it_cannot_grow() {
        let full = EXPONENT_MAX << 8 | MANTISSA;
        let same = next(full, at(0), Reason::NONE, false, || 0).unwrap();
        assert_eq!(Denials::read(same, at(0)).count, 255 << 31);
    }

    #[test]
    fn a_day_later_it_is_forgotten() {
        let payload = next(0, at(15), Reason::AUTH, false, || 1).unwrap();
        assert_eq!(count(payload, at(15 + 24 * 60)), 1);
        assert_eq!(faded(payload, at(15 + 24 * 60)), None);
        assert_eq!(count(payload, at(30 + 24 * 60)), 0);
        assert_eq!(faded(payload, at(30 + 24 * 60)), Some(0));
        let again = next(payload | 7, at(30 + 24 * 60), Reason::AUTH, false, || 1);
        assert_eq!(count(again.unwrap(), at(30 + 24 * 60)), 1);
        assert_eq!(faded(0, at(0)), None);
    }

    #[test]
    fn who_goes_on_is_not_forgotten_however_rarely_it_is_written() {
        let many = 20 << 8 | 200;
        let later = next(many, at(10), Reason::AUTH, false, || 1).unwrap();
        assert_eq!(count(later, at(10)), count(many, at(0)));
        assert_eq!(next(later, at(11), Reason::AUTH, false, || 1), None);
    }

    fn deny(ledger: Ledger, number: u32, minutes: u64) {
        let displace = || NEWCOMERS;
        ledger.count_denial(
            (key(number), None),
            at(minutes),
            Reason::AUTH,
            false,
            displace,
        );
    }

    fn counted(ledger: Ledger, minutes: u64) -> u64 {
        let all = ledger.all_denials(at(minutes));
        all.map(|(_, denials)| denials.count).sum()
    }

    #[test]
    fn a_source_without_a_state_is_counted_and_gives_way_to_anything() {
        let ledger = ledger(16);
        for number in 0..20 {
            deny(ledger, number, 1);
        }
        assert_eq!(counted(ledger, 1), 16, "one bucket is full");
        for number in 100..116 {
            ledger.strike(key(number), None, 1, at(1));
        }
        assert_eq!(counted(ledger, 1), 0);
        assert_eq!(ledger.census().evictions(), 0, "nothing of worth was lost");
        deny(ledger, 1, 1);
        assert_eq!(counted(ledger, 1), 0, "no strike gave way to a count");
        deny(ledger, 100, 1);
        assert_eq!(counted(ledger, 1), 1, "what has a state is counted");
    }

    #[test]
    fn most_newcomers_displace_nobody() {
        let ledger = ledger(16);
        for number in 0..16 {
            deny(ledger, number, 1);
            deny(ledger, number, 1);
        }
        ledger.count_denial((key(99), None), at(1), Reason::AUTH, false, || 1);
        assert_eq!(counted(ledger, 1), 32);
        deny(ledger, 99, 1);
        assert_eq!(counted(ledger, 1), 31);
    }

    #[test]
    fn the_sweep_keeps_it_for_a_day_and_counts_it_as_nothing() {
        let ledger = ledger(64);
        deny(ledger, 1, 1);
        ledger.for_agent().sweep(at(24 * 60));
        assert_eq!(
            (counted(ledger, 24 * 60), ledger.census().records()),
            (1, 0)
        );
        ledger.for_agent().sweep(at(25 * 60));
        assert_eq!(counted(ledger, 1), 0, "its place is free");
    }

    #[test]
    fn a_count_beside_a_ban_fades_alone() {
        let ledger = ledger(64);
        let ban = Ban {
            since: 1,
            until: u64::MAX >> 24,
            reason: Reason::MANUAL,
            origin: Origin::Operator,
            ..Ban::default()
        };
        ledger.ban(key(1), at(1), ban, true).unwrap();
        deny(ledger, 1, 1);
        ledger.for_agent().sweep(at(25 * 60));
        assert_eq!(ledger.census().bans(), 1);
        // The time has come round: what was not cleared would seem new.
        assert_eq!(counted(ledger, 1 + 256 * 10), 0);
    }

    #[test]
    fn the_freed_and_the_shadows_are_forgotten() {
        let ledger = ledger(64);
        deny(ledger, 1, 1);
        deny(ledger, 2, 1);
        ledger.count_denial((key(3), None), at(1), Reason::AUTH, true, || 1);
        ledger.forget_denials(key(1));
        ledger.drop_shadow_denials();
        let left: Vec<_> = ledger.all_denials(at(1)).collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].0, key(2).source);
    }

    #[test]
    fn what_took_effect_matters_more_than_a_shadow() {
        let shadow = next(0, at(0), Reason::AUTH, true, || 1).unwrap();
        let shadow = next(shadow, at(0), Reason::AUTH, true, || 1).unwrap();
        let known = Denials::read(shadow, at(0));
        assert!(known.shadow && known.count == 2);
        let real = next(shadow, at(0), Reason::MANUAL, false, || 1).unwrap();
        let expected = Denials {
            count: 1,
            reason: Reason::MANUAL,
            shadow: false,
        };
        assert_eq!(Denials::read(real, at(0)), expected);
        assert_eq!(next(real, at(0), Reason::AUTH, true, || 1), None);
    }
}
