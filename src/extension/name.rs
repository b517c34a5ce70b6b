//! The name of an extension: percent-escapes decoded, case folded, as code points.
//!
//! Made by SIP workers from the user part of a URI, and by whoever reads a list. It neither
//! allocates nor panics, and looks at no more than the bytes that a name can have.
#![forbid(unsafe_code)]

use std::fmt;

/// Longest name in code points: as many as Kamailio's own table of subscribers holds.
pub const NAME_MAX: usize = 64;
/// A code point takes four bytes at most.
const BYTES_MAX: usize = 4 * NAME_MAX;

/// A name as it is compared. Never empty.
#[derive(Clone, Copy)]
pub struct Name {
    points: [u32; NAME_MAX],
    length: usize,
    /// Not ASCII alone.
    wide: bool,
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is no text.
    Empty,
    /// More than [`NAME_MAX`] code points.
    Long,
    /// With its escapes decoded it is not UTF-8.
    Encoding,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty => f.write_str("is empty"),
            NameError::Long => write!(f, "has more than {NAME_MAX} characters"),
            NameError::Encoding => f.write_str("is not UTF-8"),
        }
    }
}

impl Name {
    /// Reads the user part of a URI or an entry of a list. A `%` without two hexadecimal digits
    /// behind it stands for itself.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn read(text: &[u8]) -> Result<Name, NameError> {
        let mut bytes = [0; BYTES_MAX];
        let mut length = 0;
        let mut rest = text;
        while let Some((byte, behind)) = decoded(rest) {
            *bytes.get_mut(length).ok_or(NameError::Long)? = byte;
            length += 1;
            rest = behind;
        }
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| NameError::Encoding)?;
        Name::fold(text)
    }

    /// Folds the case of a text without escapes; folding again changes nothing.
    pub(super) fn fold(text: &str) -> Result<Name, NameError> {
        let mut name = Name {
            points: [0; NAME_MAX],
            length: 0,
            wide: !text.is_ascii(),
        };
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for point in text.chars() {
            if point.is_ascii() {
                name.push(point.to_ascii_lowercase())?;
                continue;
            }
            // There and back again, as ß, ς and the Kelvin sign have more than two forms.
            for point in point.to_uppercase().flat_map(char::to_lowercase) {
                name.push(point)?;
            }
        }
        name.wide = name.points().iter().any(|&point| point > 0x7f);
        Ok(name)
    }

    fn push(&mut self, point: char) -> Result<(), NameError> {
        *self.points.get_mut(self.length).ok_or(NameError::Long)? = u32::from(point);
        self.length += 1;
        Ok(())
    }

    /// Its code points, one to [`NAME_MAX`].
    #[inline]
    pub fn points(&self) -> &[u32] {
        &self.points[..self.length]
    }

    /// The same as characters.
    pub fn chars(&self) -> impl Iterator<Item = char> {
        self.points().iter().copied().filter_map(char::from_u32)
    }

    /// Whether it can be dialled: digits, `+`, `*` and `#` alone.
    pub fn is_number(&self) -> bool {
        let dialled = |point: &u32| matches!(point, 0x30..=0x39 | 0x2b | 0x2a | 0x23);
        self.points().iter().all(dialled)
    }

    /// Whether code points beyond ASCII are in it.
    #[inline]
    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    /// The words in which a list keeps it.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        let per_word = per_word(self.wide);
        let bits = 64 / per_word;
        self.points().chunks(per_word).map(move |points| {
            let joined = points.iter().rev();
            joined.fold(0, |word, &point| word << bits | u64::from(point))
        })
    }
}

/// How many code points a list keeps in a word.
#[inline]
pub(super) fn per_word(wide: bool) -> usize {
    if wide { 2 } else { 8 }
}

/// The first byte, its escape undone, and what follows it.
fn decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if let [b'%', high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        return Some(((high << 4 | low) as u8, rest));
    }
    text.split_first().map(|(&byte, rest)| (byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<String, NameError> {
        Ok(Name::read(text)?.chars().collect())
    }

    #[test]
    fn escapes_are_decoded_and_case_is_folded() {
        for (text, expected) in [
            (&b"Ana"[..], "ana"),
            (b"%41n%61", "ana"),
            (b"a%20b%2b", "a b+"),
            (b"50%", "50%"),
            (b"%4", "%4"),
            (b"%zz%", "%zz%"),
            (b"%2541", "%41"),
            (b"%00", "\0"),
            ("Jos\u{c9}".as_bytes(), "jos\u{e9}"),
            (b"jos%C3%89", "jos\u{e9}"),
            (
                "Stra\u{df}e \u{3a3}\u{3c2}".as_bytes(),
                "strasse \u{3c3}\u{3c3}",
            ),
            ("\u{212a}".as_bytes(), "k"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_told() {
        for (text, expected) in [
            (vec![], NameError::Empty),
            (vec![b'a'; NAME_MAX + 1], NameError::Long),
            (b"%61".repeat(NAME_MAX + 1), NameError::Long),
            (vec![b'a'; 60_000], NameError::Long),
            (
                "\u{df}".repeat(NAME_MAX / 2 + 1).into_bytes(),
                NameError::Long,
            ),
            (vec![0xff], NameError::Encoding),
            (b"%ff".to_vec(), NameError::Encoding),
            (b"%c3".to_vec(), NameError::Encoding),
        ] {
            assert_eq!(read(&text), Err(expected), "{text:?}");
        }
        assert!(read(&[b'a'; NAME_MAX]).is_ok());
        assert!(read("\u{1f600}".repeat(NAME_MAX).as_bytes()).is_ok());
    }

    #[test]
    fn numbers_are_what_a_telephone_dials() {
        for (text, expected) in [
            ("7001", true),
            ("+34911234567", true),
            ("*43#", true),
            ("70o1", false),
            ("\u{667}", false),
        ] {
            let name = Name::read(text.as_bytes()).unwrap();
            assert_eq!(name.is_number(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "[^%]{1,20}") {
            if let Ok(once) = read(text.as_bytes()) {
                prop_assert_eq!(read(once.as_bytes()), Ok(once));
            }
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
