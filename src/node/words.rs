//! Words of a node: reasons, and the names of the fleet's nodes, as numbers and as operators read them.

use super::Node;
use crate::engine::verdict::Reason;
use crate::shared::ledger::Maker;

/// The number of this node itself.
const OWN: u8 = 0;
/// The number of whoever made a ban in Redis without saying which node it is: somebody by hand.
const NAMELESS: u8 = u8::MAX;

impl Node {
    /// The reason that is the script's or the operator's own word.
    pub fn reason_named(&self, text: &[u8]) -> Reason {
        self.words.number(text).map_or(Reason::OTHER, Reason::word)
    }

    /// Who made a ban, as its value in Redis says: the name of a node ("" if it gives none), and the
    /// how manieth ban of the address it is.
    pub fn maker(&self, name: &str, count: u8) -> Maker {
        let node = match name {
            "" => NAMELESS,
            name if name == self.name => OWN,
            name => match self.nodes.number(name.as_bytes()) {
                Some(number) => number + 1,
                None => NAMELESS - 1, // beyond those that are kept
            },
        };
        Maker { node, count }
    }

    /// The name of a node of the fleet.
    pub fn node_name(&self, number: u8) -> String {
        match number {
            OWN => self.name.clone(),
            NAMELESS => String::new(),
            number => self.nodes.text(number - 1),
        }
    }

    /// The reason that [`Node::reason_text`] would show as `text`.
    pub fn reason_from(&self, text: &str) -> Reason {
        let own = (0..Reason::FIRST_WORD).map(Reason::from_number);
        let mut own = own.filter(|reason| *reason != Reason::NONE && *reason != Reason::OTHER);
        let known = own.find(|reason| self.reason_text(*reason) == text);
        known.unwrap_or_else(|| self.reason_named(text.as_bytes()))
    }

    /// A reason as operators read it.
    pub fn reason_text(&self, reason: Reason) -> String {
        reason.text(&self.policy, |word| self.words.text(word))
    }
}
