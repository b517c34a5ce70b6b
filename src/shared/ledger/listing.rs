//! The records one by one, for commands that list them and for the agent.
//!
//! Read only; a page begins where the last one ended.
#![forbid(unsafe_code)]

use super::slot::Word;
use super::{Denials, Ledger};
use crate::engine::facts::{Now, Standing};
use crate::source::Source;

impl Ledger {
    /// The records in place order from `start`: `(place, source, standing)` of addresses that have
    /// a state now. For listings; pages by place.
    pub fn entries(
        self,
        start: usize,
        now: Now,
    ) -> impl Iterator<Item = (usize, Source, Standing)> {
        (start..self.capacity()).filter_map(move |place| {
            if self.tag(place) == 0 {
                return None;
            }
            let slot = self.slot(place);
            let (meta, bits, user) = slot.key()?;
            let mut standing = Standing::default();
            self.merge(&mut standing, &slot, meta, now);
            user.is_none()
                .then(|| (place, Source::from_parts(bits, meta.length()), standing))
        })
    }

    /// Until when users are muted at a source, one for each. Looks at every record: for commands.
    pub fn mutes(self, source: Source, now: Now) -> Vec<u64> {
        let places = (0..self.capacity()).filter(|place| self.tag(*place) != 0);
        let until = places.filter_map(|place| {
            let slot = self.slot(place);
            let (meta, bits, user) = slot.key()?;
            let of_source = Source::from_parts(bits, meta.length()) == source && user.is_some();
            of_source.then(|| slot.payload(meta, Word::Ban) >> 8)
        });
        until.filter(|until| *until > now.ms()).collect()
    }

    /// The sources that were refused, with how often.
    pub fn all_denials(self, now: Now) -> impl Iterator<Item = (Source, Denials)> {
        (0..self.capacity()).filter_map(move |place| {
            if self.tag(place) == 0 {
                return None;
            }
            let slot = self.slot(place);
            let (meta, bits, user) = slot.key()?;
            let denials = Denials::read(slot.payload(meta, Word::Denials), now);
            let source = Source::from_parts(bits, meta.length());
            (user.is_none() && denials.count > 0).then_some((source, denials))
        })
    }
}
