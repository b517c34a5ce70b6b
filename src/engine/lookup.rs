//! The exception that reverse DNS makes: what is known of a source's name, and what that means for
//! a source that is to be banned.
//!
//! Read from the ledger, judged by `decide`. Pure: it is the agent that asks DNS.
#![forbid(unsafe_code)]

use super::facts::{Now, Origin};
use super::policy::Policy;
use super::verdict::Reason;

/// What is known of a source's name. Times are ledger times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookUp {
    /// Nothing: nobody asked, or the answer is too old.
    #[default]
    Unknown,
    /// It is being asked for, and the source held meanwhile.
    Held(Hold),
    /// The answer.
    Answered(Answer, u64),
}

/// What DNS said. It counts until the time beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A name under a trusted domain, and that name has the address.
    Trusted,
    /// Names, but none such.
    Untrusted,
    /// No name, or no answer in time.
    Nameless,
}

impl Answer {
    /// The word shown to operators and to the script.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Trusted => "trusted",
            Answer::Untrusted => "untrusted",
            Answer::Nameless => "none",
        }
    }
}

/// A ban that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// When the waiting ends, with or without an answer.
    pub until: u64,
    /// Why the source is to be banned.
    pub reason: Reason,
    /// In shadow mode.
    pub shadow: bool,
    /// On evidence that cannot be forged.
    pub validated: bool,
}

impl Hold {
    /// Who is going to make the ban.
    pub fn origin(&self) -> Origin {
        self.reason.origin()
    }

    /// Whether the ban is due: nobody has answered, though somebody should have. What has been
    /// due for longer than a first ban lasts is over, too.
    pub fn is_due(&self, policy: &Policy, now: Now) -> bool {
        let over = self.until.saturating_add(policy.bans.first * 1000);
        self.until <= now.ms() && now.ms() < over
    }
}

/// What it means for a source that is to be banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Its name has to be asked for first, if names make exceptions at all.
    Open,
    /// It waits for an answer.
    Held(Hold),
    /// The answer is overdue: it is banned as it was to be.
    Due(Hold),
    /// It is not banned.
    Spared,
    /// It is banned.
    Refused,
}

impl LookUp {
    /// The word for `$sec(rdns)`; none if nothing is known.
    pub fn word(self) -> Option<&'static str> {
        match self {
            LookUp::Unknown => None,
            LookUp::Held(_) => Some("held"),
            LookUp::Answered(answer, _) => Some(answer.word()),
        }
    }

    /// What it means now. A hold of shadow mode means nothing outside of it.
    pub fn exception(self, policy: &Policy, now: Now, shadow: bool) -> Exception {
        match self {
            LookUp::Held(hold) if hold.shadow && !shadow => Exception::Open,
            LookUp::Held(hold) if hold.until > now.ms() => Exception::Held(hold),
            LookUp::Held(hold) if !hold.is_due(policy, now) => Exception::Open,
            // No answer in time is no name.
            LookUp::Held(_) if policy.rdns.spare_no_name => Exception::Spared,
            LookUp::Held(hold) => Exception::Due(hold),
            LookUp::Answered(_, until) if until <= now.ms() => Exception::Open,
            LookUp::Answered(Answer::Trusted, _) => Exception::Spared,
            LookUp::Answered(Answer::Nameless, _) if policy.rdns.spare_no_name => Exception::Spared,
            LookUp::Answered(..) => Exception::Refused,
            LookUp::Unknown => Exception::Open,
        }
    }
}
