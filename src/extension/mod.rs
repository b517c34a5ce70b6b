//! Extensions: does a user exist here, does it at least resemble one that does, or is somebody
//! guessing?
//!
//! Called by SIP workers for the users of requests. A listed name is known, whatever it looks
//! like. Another number is judged by the dial plan's masks, another name by its similarity to those
//! that are listed. Pure: the lists come in as columns, and a look-up neither allocates nor panics,
//! whatever the user and whatever the columns hold.
#![forbid(unsafe_code)]

mod bag;
mod mask;
mod name;
mod names;
pub mod shrinkage;
mod similarity;
mod table;
mod union;

pub use mask::{Mask, MaskError};
pub use name::{NAME_MAX, Name, NameError};
pub use names::{Names, NamesBuilder};
pub use similarity::similarity;
pub use table::{Lists, NameTable};
pub use union::{Doubt, Union};

use crate::cidr::Column;

/// What a user is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Listed.
    Known,
    /// Not listed, but a number that a mask matches.
    Match,
    /// One slip away from a mask, or similar to a listed name.
    Near,
    /// Like nothing that there is.
    Far,
    /// There is nothing to judge it by: no list for its domain (for a name that is no number, masks
    /// do not count), or one that is not to be trusted.
    Nothing,
}

/// The dial plan and the lists, as far as one look-up needs them.
#[derive(Clone, Copy, Debug)]
pub struct Extensions<'a, Q> {
    /// `extension_pattern`.
    pub masks: &'a [Mask],
    /// `extension_file`, `extension_redis_key`.
    pub names: NameTable<Q>,
}

impl<Q: Column<u64>> Extensions<'_, Q> {
    /// Judges the user part of a URI, escapes and all, whose host is `domain`. A listed name of at
    /// least `threshold` percent similarity makes it near.
    ///
    /// A number is judged by the masks alone, if there are any. What is no name (too long, not
    /// UTF-8) is far, if there is anything to judge by; no user at all is nothing.
    pub fn judge(&self, user: &[u8], domain: &[u8], threshold: u32) -> Judgement {
        let lists = self.names.lists(domain);
        if lists.is_some_and(|lists| lists.is_suspended()) {
            return Judgement::Nothing;
        }
        let name = match Name::read(user) {
            Ok(name) => name,
            Err(NameError::Empty) => return Judgement::Nothing,
            Err(_) if lists.is_none() && self.masks.is_empty() => return Judgement::Nothing,
            Err(_) => return Judgement::Far,
        };
        if lists.is_some_and(|lists| self.names.contains(lists, &name)) {
            return Judgement::Known;
        }
        if name.is_number() && !self.masks.is_empty() {
            return mask::judge(self.masks, &name);
        }
        match lists {
            None => Judgement::Nothing,
            Some(lists) if self.names.resembles(lists, &name, threshold) => Judgement::Near,
            Some(_) => Judgement::Far,
        }
    }
}

#[cfg(test)]
mod tests;
