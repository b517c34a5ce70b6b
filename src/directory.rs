//! The directory: which extensions there are, and what a user is to it.
//!
//! Asked by SIP workers. The dial plan's masks are private memory of the start, and so are the
//! names of the start; they count until the agent publishes others in the snapshot. While names are
//! missing that are in Redis, nobody is judged.

use crate::extension::{Extensions, Judgement, Mask, NameTable, Names};
use crate::shared::snapshot::{Section, Snapshot, Unread};

/// The extensions.
pub struct Directory {
    snapshot: Snapshot,
    masks: Vec<Mask>,
    at_start: Names,
    /// Whether they may be judged by until the agent has published others.
    judge_at_start: bool,
}

impl Directory {
    /// With the masks and the names of the start; `judge_at_start` says whether these are all that
    /// there are.
    pub fn new(
        snapshot: Snapshot,
        masks: Vec<Mask>,
        at_start: Names,
        judge_at_start: bool,
    ) -> Directory {
        Directory {
            snapshot,
            masks,
            at_start,
            judge_at_start,
        }
    }

    /// What a user of a domain is; from `threshold` percent on a name is near. While the names
    /// cannot be read, nobody is judged.
    pub fn judge(&self, user: &[u8], domain: &[u8], threshold: u32) -> Judgement {
        let published = self.snapshot.read(&[Section::Extensions], |view| {
            let names = NameTable::new(view.column(Section::Extensions)?);
            let masks = &self.masks;
            Some(Extensions { masks, names }.judge(user, domain, threshold))
        });
        match published {
            Ok(Some(judgement)) => judgement,
            Err(Unread::Busy) => Judgement::Nothing,
            Ok(None) | Err(Unread::Absent) if !self.judge_at_start => Judgement::Nothing,
            Ok(None) | Err(Unread::Absent) => {
                let (masks, names) = (&*self.masks, self.at_start.table());
                Extensions { masks, names }.judge(user, domain, threshold)
            }
        }
    }

    /// How many masks there are.
    pub fn masks(&self) -> usize {
        self.masks.len()
    }

    /// How many names there are, those of all domains together.
    pub fn names(&self) -> usize {
        let published = self.snapshot.read(&[Section::Extensions], |view| {
            Some(NameTable::new(view.column(Section::Extensions)?).len())
        });
        let names = published.ok().flatten();
        names.unwrap_or_else(|| self.at_start.table().len())
    }

    /// Whether nobody is judged in any domain: there is nothing to judge by, or it is not to be
    /// trusted.
    pub fn is_off(&self) -> bool {
        let published = self.snapshot.read(&[Section::Extensions], |view| {
            Some(NameTable::new(view.column(Section::Extensions)?).is_suspended())
        });
        let suspended = published.ok().flatten().unwrap_or(!self.judge_at_start);
        suspended || self.masks.is_empty() && self.names() == 0
    }
}
