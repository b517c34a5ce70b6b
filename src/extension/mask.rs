//! Dial-plan masks: `7XXX`, `[2-5]XXX`, `_9.`, and how a number stands to them.
//!
//! Parsed by `config`, asked by SIP workers about numbers that no list has. The syntax is that of
//! dial plans: X is 0 to 9, Z 1 to 9, N 2 to 9, `[…]` any of these, a `.` at the end one or more of
//! anything, a leading `_` means nothing. It never allocates when asked, and its cost is bounded by
//! the masks and [`NAME_MAX`].
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use super::Judgement;
use super::name::{NAME_MAX, Name};

/// What can be dialled, in the order of the bits of a [`Place`].
const DIALLED: &[u8; 13] = b"0123456789+*#";
const DIGITS: u16 = 0x3ff;
const ANYTHING: u16 = 0x1fff;

/// What may stand in one place of a number, one bit for each of [`DIALLED`].
type Place = u16;

/// A mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    text: String,
    places: Vec<Place>,
    /// The last place stands for one or more.
    open: bool,
}

/// Why a text is no mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskError {
    /// No place in it.
    Empty,
    /// More places than a name can have.
    Long,
    /// Something else than digits, `+`, `*`, `#`, X, Z, N, `[…]` and `.`.
    Character(char),
    /// A `.` that is not the end.
    Open,
    /// A `[` without `]`, an empty one, or a range in it that goes backwards.
    Class,
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskError::Empty => f.write_str("has no digit"),
            MaskError::Long => write!(f, "has more than {NAME_MAX} digits"),
            MaskError::Character(odd) => write!(f, "has an odd '{}'", odd.escape_debug()),
            MaskError::Open => f.write_str("has a '.' before its end"),
            MaskError::Class => f.write_str("has a broken [...]"),
        }
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Mask {
    type Err = MaskError;

    fn from_str(text: &str) -> Result<Mask, MaskError> {
        let mut places = Vec::new();
        let mut open = false;
        let mut rest = text.strip_prefix('_').unwrap_or(text);
        while let Some(first) = rest.chars().next() {
            if open {
                return Err(MaskError::Open);
            }
            rest = &rest[first.len_utf8()..];
            let place = match first {
                '[' => {
                    let (class, behind) = rest.split_once(']').ok_or(MaskError::Class)?;
                    rest = behind;
                    class_place(class.as_bytes())?
                }
                '.' => {
                    open = true;
                    ANYTHING
                }
                'X' | 'x' => DIGITS,
                'Z' | 'z' => DIGITS & !0b1,
                'N' | 'n' => DIGITS & !0b11,
                other => dialled(u32::from(other)).ok_or(MaskError::Character(other))?,
            };
            places.push(place);
        }
        match places.len() {
            0 => Err(MaskError::Empty),
            length if length > NAME_MAX => Err(MaskError::Long),
            _ => Ok(Mask {
                text: text.to_string(),
                places,
                open,
            }),
        }
    }
}

/// The inside of `[…]`: digits and ranges of digits.
fn class_place(class: &[u8]) -> Result<Place, MaskError> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    let mut place = 0;
    let mut rest = class;
    while let [first, behind @ ..] = rest {
        let (last, behind) = match behind {
            [b'-', last, behind @ ..] => (last, behind),
            _ => (first, behind),
        };
        let range = digit(*first).zip(digit(*last));
        let (first, last) = range
            .filter(|(first, last)| first <= last)
            .ok_or(MaskError::Class)?;
        place |= (first..=last).fold(0, |bits, digit| bits | 1 << digit);
        rest = behind;
    }
    if place == 0 {
        return Err(MaskError::Class);
    }
    Ok(place)
}

/// The bit of what can be dialled.
fn dialled(point: u32) -> Option<Place> {
    let index = DIALLED
        .iter()
        .position(|&known| u32::from(known) == point)?;
    Some(1 << index)
}

/// The best that any mask says of a number.
pub(super) fn judge(masks: &[Mask], number: &Name) -> Judgement {
    let mut dialled_bits = [0; NAME_MAX];
    let digits = &mut dialled_bits[..number.points().len()];
    for (digit, &point) in digits.iter_mut().zip(number.points()) {
        *digit = dialled(point).unwrap_or(0);
    }
    let mut near = false;
    for mask in masks {
        if mask.matches(digits) {
            return Judgement::Match;
        }
        near = near || mask.is_near(digits);
    }
    if near {
        Judgement::Near
    } else {
        Judgement::Far
    }
}

impl Mask {
    /// What may stand in a place; the last one of an open mask goes on for ever.
    fn place(&self, index: usize) -> Place {
        match self.places.get(index) {
            Some(&place) => place,
            None if self.open => ANYTHING,
            None => 0,
        }
    }

    fn is_fixed(&self, index: usize) -> bool {
        self.place(index).is_power_of_two()
    }

    fn fits(&self, index: usize, digit: Place) -> bool {
        self.place(index) & digit != 0
    }

    fn matches(&self, digits: &[Place]) -> bool {
        let long_enough = digits.len() >= self.places.len();
        let pairs = || digits.iter().enumerate();
        long_enough && pairs().all(|(index, &digit)| self.fits(index, digit))
    }

    /// Whether one digit is missing, extra, swapped or wrong, and all fixed ones are in place.
    fn is_near(&self, digits: &[Place]) -> bool {
        let length = self.places.len();
        if digits.len() + 1 == length {
            return self.lacks_one(digits);
        }
        if digits.len() < length {
            return false;
        }
        let same = digits.len() == length || self.open;
        let longer = digits.len() == length + 1 || (self.open && digits.len() > length);
        (same && self.has_one_wrong(digits)) || (longer && self.has_one_extra(digits))
    }

    /// How many digits from the first on fit.
    fn fitting(&self, digits: &[Place]) -> usize {
        let pairs = digits.iter().enumerate();
        pairs
            .take_while(|&(index, &digit)| self.fits(index, digit))
            .count()
    }

    /// A digit of the mask is missing: those before it fit, and those behind it one place later.
    fn lacks_one(&self, digits: &[Place]) -> bool {
        let fitting = self.fitting(digits);
        let mut missing = (0..=fitting).filter(|&index| !self.is_fixed(index));
        missing.any(|index| {
            let mut behind = digits.iter().enumerate().skip(index);
            behind.all(|(index, &digit)| self.fits(index + 1, digit))
        })
    }

    /// One digit is extra: those before it fit, and those behind it one place earlier. It stands
    /// beside a place that is not fixed: what is fixed begins, ends and hangs together as it did.
    fn has_one_extra(&self, digits: &[Place]) -> bool {
        let fitting = self.fitting(digits).min(digits.len() - 1);
        let ends = |index: usize| index >= self.places.len() && !self.open;
        let beside_variable = |index: usize| {
            let before = index > 0 && !self.is_fixed(index - 1);
            before || (!ends(index) && !self.is_fixed(index))
        };
        let mut extra = (0..=fitting).filter(|&index| beside_variable(index));
        extra.any(|index| {
            let mut behind = digits.iter().enumerate().skip(index + 1);
            behind.all(|(index, &digit)| self.fits(index - 1, digit))
        })
    }

    /// One digit is wrong, or two neighbours are swapped.
    fn has_one_wrong(&self, digits: &[Place]) -> bool {
        let wrong = self.fitting(digits);
        if wrong >= digits.len() || self.is_fixed(wrong) {
            return false;
        }
        let fits_from = |first: usize| {
            let mut behind = digits.iter().enumerate().skip(first);
            behind.all(|(index, &digit)| self.fits(index, digit))
        };
        if fits_from(wrong + 1) {
            return true;
        }
        let next = wrong + 1;
        let Some(&other) = digits.get(next) else {
            return false;
        };
        !self.is_fixed(next)
            && self.fits(wrong, other)
            && self.fits(next, digits[wrong])
            && fits_from(next + 1)
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
