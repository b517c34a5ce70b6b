//! What reverse DNS said of a source, or is just asked: one word of its record, so that the ban
//! that waits, and the answer that ends the waiting, are never seen half.
//!
//! Held by SIP workers, answered by the agent. The payload is `until : 32 | shadow : 1 |
//! validated : 1 | (free) : 3 | state : 3 | reason : 8`, the time in steps of 256 ms. A hold that
//! nobody answers ends by its time, whoever lives or dies.
#![forbid(unsafe_code)]

use super::bucket::Class;
use super::slot::{Meta, Slot, Update, Word};
use super::{Full, Key, Ledger, TRIES};
use crate::engine::facts::Now;
use crate::engine::lookup::{Answer, Hold, LookUp};
use crate::engine::verdict::Reason;
use crate::source::Source;

/// Milliseconds are rounded up to so many bits of them.
const STEP_BITS: u32 = 8;
const TIME_SHIFT: u32 = 16;
const SHADOW: u64 = 1 << 15;
const VALIDATED: u64 = 1 << 14;
const STATE_SHIFT: u32 = 8;
const STATE: u64 = 0b111;

const HELD: u64 = 1;
const ANSWERS: [(u64, Answer); 3] = [
    (2, Answer::Trusted),
    (3, Answer::Untrusted),
    (4, Answer::Nameless),
];

fn pack(until: u64, state: u64) -> u64 {
    until.div_ceil(1 << STEP_BITS) << TIME_SHIFT | state << STATE_SHIFT
}

fn pack_hold(hold: &Hold) -> u64 {
    let flags = (u64::from(hold.shadow) * SHADOW) | (u64::from(hold.validated) * VALIDATED);
    pack(hold.until, HELD) | flags | u64::from(hold.reason.number())
}

fn pack_answer(answer: Answer, until: u64) -> u64 {
    let state = ANSWERS.into_iter().find(|(_, known)| *known == answer);
    pack(until, state.map_or(0, |(state, _)| state))
}

fn unpack(payload: u64) -> LookUp {
    let until = payload >> TIME_SHIFT << STEP_BITS;
    match payload >> STATE_SHIFT & STATE {
        HELD => LookUp::Held(Hold {
            until,
            reason: Reason::from_number(payload as u8),
            shadow: payload & SHADOW != 0,
            validated: payload & VALIDATED != 0,
        }),
        state => ANSWERS
            .into_iter()
            .find(|(known, _)| *known == state)
            .map_or(LookUp::Unknown, |(_, answer)| {
                LookUp::Answered(answer, until)
            }),
    }
}

/// What a record knows now; an answer that is too old counts as none.
pub(super) fn known(slot: &Slot, meta: Meta, now: Now) -> LookUp {
    match unpack(slot.payload(meta, Word::LookUp)) {
        LookUp::Answered(_, until) if until <= now.ms() => LookUp::Unknown,
        known => known,
    }
}

/// Adds what a record knows to what others of the same source do: a hold counts first.
pub(super) fn merge(found: &mut LookUp, slot: &Slot, meta: Meta, now: Now) {
    match known(slot, meta, now) {
        LookUp::Unknown => {}
        held @ LookUp::Held(_) => *found = held,
        answered if *found == LookUp::Unknown => *found = answered,
        LookUp::Answered(..) => {}
    }
}

impl Ledger {
    /// Holds a source. One that is held already stays so, unless that is over or was in shadow
    /// mode only. Whether this call did it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn hold(&self, key: Key, now: Now, hold: Hold) -> Result<bool, Full> {
        for _ in 0..TRIES {
            let (slot, meta) = self.find_or_insert(key, None, Class::Held, now)?;
            let update = slot.update(meta, Word::LookUp, |old| {
                let stays = match unpack(old) {
                    LookUp::Held(old) => old.until > now.ms() && (!old.shadow || hold.shadow),
                    LookUp::Answered(_, until) => until > now.ms(),
                    LookUp::Unknown => false,
                };
                (!stays).then(|| pack_hold(&hold))
            });
            match update {
                Update::Done(_) => return Ok(true),
                Update::Kept(_) => return Ok(false),
                Update::Lost => {}
            }
        }
        Err(Full)
    }

    /// Keeps what DNS said until `until`, if the source is still known. The hold that it ended.
    pub fn answer(&self, key: Key, answer: Answer, until: u64) -> Option<Hold> {
        let mut ended = None;
        self.each(&key, None, |slot, meta| {
            let update = slot.update(meta, Word::LookUp, |old| {
                (old != 0).then(|| pack_answer(answer, until))
            });
            if let Update::Done(old) = update
                && let LookUp::Held(hold) = unpack(old)
            {
                ended = Some(hold);
            }
        });
        ended
    }

    /// Ends a hold without an answer, as nobody gave one: until `until` nobody asks again.
    pub fn end_hold(&self, key: Key, until: u64) {
        self.change(key, Word::LookUp, |old| {
            let held = matches!(unpack(old), LookUp::Held(_));
            held.then(|| pack_answer(Answer::Nameless, until))
        });
    }

    /// The sources that are held, or were and nobody answered.
    pub fn holds(self) -> impl Iterator<Item = (Source, Hold)> {
        (0..self.capacity()).filter_map(move |place| {
            if self.tag(place) == 0 {
                return None;
            }
            let slot = self.slot(place);
            let (meta, bits, user) = slot.key()?;
            match unpack(slot.payload(meta, Word::LookUp)) {
                LookUp::Held(hold) if user.is_none() => {
                    Some((Source::from_parts(bits, meta.length()), hold))
                }
                _ => None,
            }
        })
    }
}

/// Forgets a hold, for an unban; an answer stays. Whether there was one.
pub(super) fn release(slot: &Slot, meta: Meta) -> bool {
    let update = slot.update(meta, Word::LookUp, |old| {
        matches!(unpack(old), LookUp::Held(_)).then_some(0)
    });
    matches!(update, Update::Done(_))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::facts::{Ban, Origin};
    use crate::shared::ledger::tests::{at, key, ledger};

    fn hold(until: u64) -> Hold {
        Hold {
            until,
            reason: Reason::AUTH,
            shadow: false,
            validated: true,
        }
    }

    fn look_up(ledger: &Ledger, ms: u64) -> LookUp {
        ledger.standing(key(1), at(ms)).look_up
    }

    #[test]
    fn a_hold_is_made_once_and_says_what_waits() {
        let ledger = ledger(64);
        let first = hold(2560);
        assert_eq!(ledger.hold(key(1), at(1000), first), Ok(true));
        assert_eq!(ledger.hold(key(1), at(1001), hold(5120)), Ok(false));
        assert_eq!(look_up(&ledger, 1002), LookUp::Held(first));
        assert_eq!(ledger.holds().collect::<Vec<_>>(), [(key(1).source, first)]);
        assert_eq!(
            look_up(&ledger, 90_000),
            LookUp::Held(first),
            "kept until it is dealt with"
        );
        assert_eq!(ledger.hold(key(1), at(2560), hold(5120)), Ok(true));
    }

    #[test]
    fn times_are_rounded_up() {
        let ledger = ledger(64);
        ledger.hold(key(1), at(0), hold(1001)).unwrap();
        let LookUp::Held(held) = look_up(&ledger, 1) else {
            panic!("not held");
        };
        assert!((1001..=1256).contains(&held.until), "{held:?}");
    }

    #[test]
    fn an_answer_ends_the_hold_and_is_kept_for_its_time() {
        for answer in [Answer::Trusted, Answer::Untrusted, Answer::Nameless] {
            let ledger = ledger(64);
            assert_eq!(ledger.answer(key(1), answer, 5120), None);
            assert_eq!(look_up(&ledger, 1), LookUp::Unknown, "nobody asked");
            ledger.hold(key(1), at(1), hold(2560)).unwrap();
            assert_eq!(ledger.answer(key(1), answer, 5120), Some(hold(2560)));
            assert_eq!(look_up(&ledger, 5119), LookUp::Answered(answer, 5120));
            assert_eq!(ledger.hold(key(1), at(5119), hold(9984)), Ok(false));
            assert_eq!(look_up(&ledger, 5120), LookUp::Unknown);
            assert_eq!(
                ledger.answer(key(1), answer, 9984),
                None,
                "nothing was held"
            );
        }
    }

    #[test]
    fn an_unban_releases_and_the_sweep_keeps_what_waits() {
        let ledger = ledger(64);
        ledger.hold(key(1), at(1), hold(2560)).unwrap();
        ledger.sweep(at(90_000));
        assert_eq!(ledger.holds().count(), 1);
        assert!(ledger.unban(key(1), at(2), 3));
        assert_eq!(look_up(&ledger, 3), LookUp::Unknown);
        assert!(!ledger.unban(key(1), at(2), 3));
        ledger.hold(key(1), at(4), hold(2560)).unwrap();
        ledger.end_hold(key(1), 5120);
        assert_eq!(
            look_up(&ledger, 5),
            LookUp::Answered(Answer::Nameless, 5120)
        );
        ledger.sweep(at(5120));
        assert_eq!(ledger.entries(0, at(5120)).count(), 0);
    }

    #[test]
    fn shadow_holds_give_way_and_are_dropped_with_shadow_bans() {
        let ledger = ledger(64);
        let shadow = Hold {
            shadow: true,
            ..hold(2560)
        };
        ledger.hold(key(1), at(1), shadow).unwrap();
        assert_eq!(ledger.hold(key(1), at(2), shadow), Ok(false));
        assert_eq!(ledger.hold(key(1), at(2), hold(2560)), Ok(true));
        ledger.hold(key(2), at(1), shadow).unwrap();
        ledger.drop_shadow_bans(at(3));
        assert_eq!(look_up(&ledger, 3), LookUp::Held(hold(2560)));
        assert_eq!(ledger.standing(key(2), at(3)).look_up, LookUp::Unknown);
    }

    #[test]
    fn holds_give_way_before_bans() {
        let ledger = ledger(16);
        let in_one_bucket = |n: u32| {
            let mut key = key(n);
            key.hash = u64::from(n) << 16;
            key
        };
        for n in 0..15 {
            let ban = Ban {
                until: 90_000,
                origin: Origin::Rate,
                ..Ban::default()
            };
            ledger.ban(in_one_bucket(n), at(1), ban, false).unwrap();
        }
        ledger.hold(in_one_bucket(15), at(1), hold(2560)).unwrap();
        ledger
            .ban(
                in_one_bucket(16),
                at(2),
                Ban {
                    until: 9,
                    ..Ban::default()
                },
                false,
            )
            .unwrap();
        assert_eq!(ledger.holds().count(), 0);
        assert!(
            ledger
                .standing(in_one_bucket(3), at(2))
                .banned(at(2), false)
        );
    }
}
