//! One parameter: what the list knows of it.
#![forbid(unsafe_code)]

use super::Config;
use super::value::Given;

/// What a setter answers: a warning, or an error sentence.
pub(super) type Outcome = Result<Option<String>, String>;

type Setter = fn(&mut Config, Given<'_>) -> Outcome;

/// One `modparam("sec", "<name>", …)`.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As users type it.
    pub name: &'static str,
    /// As the README shows it; `none` where there is none.
    pub default: &'static str,
    /// Whether further lines add to the first; otherwise the last one counts.
    pub repeatable: bool,
    /// What it means, in a phrase.
    pub about: &'static str,
    pub(super) set: Setter,
}

impl Parameter {
    pub(super) const fn once(
        name: &'static str,
        default: &'static str,
        about: &'static str,
        set: Setter,
    ) -> Parameter {
        Parameter {
            name,
            default,
            repeatable: false,
            about,
            set,
        }
    }

    pub(super) const fn repeatable(
        name: &'static str,
        default: &'static str,
        about: &'static str,
        set: Setter,
    ) -> Parameter {
        let repeatable = true;
        Parameter {
            repeatable,
            ..Parameter::once(name, default, about, set)
        }
    }
}
