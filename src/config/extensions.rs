//! The dial plan and the names of extensions, and what guessing at them costs.
//!
//! Called by the setters; `extension` knows what a mask and a name are.
#![forbid(unsafe_code)]

use super::parameter::Outcome;
use super::value::Given;
use super::{Config, list, rate};
use crate::engine::policy::{Guessing, METHODS};
use crate::extension::{Mask, Names, NamesBuilder};

/// Most `extension_pattern` lines.
const MASKS_MAX: usize = 64;
/// Longest domain in bytes.
const DOMAIN_MAX: usize = 255;
/// At this threshold a number of four digits resembles all numbers with one other digit.
const LENIENT: u32 = 75;

const MASK: &str = "digits, X (0 to 9), Z (1 to 9), N (2 to 9), [2-5], and at the end . for one or \
                    more, as 7XXX, [2-5]XXX, _9.";
const ENTRY: &str = "the name of an extension of at most 64 characters without blanks, as 7001 or \
                     john.smith, and @domain behind it if it exists there only; # starts a comment";

/// What the rule costs without a line.
pub(super) const RULE: Guessing = Guessing {
    threshold: 80,
    methods: 1 << 5,
    weight: 3,
    forgive: 5,
};

/// `extension_pattern` and `extension_file`.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    masks: Vec<Mask>,
    /// The path, and what is there.
    file: Option<(String, NamesBuilder)>,
}

impl Extensions {
    pub fn masks(&self) -> &[Mask] {
        &self.masks
    }

    pub fn path(&self) -> Option<&str> {
        self.file.as_ref().map(|(path, _)| &**path)
    }

    /// The names of the file, indexed.
    pub fn names(&self) -> Names {
        match &self.file {
            Some((_, names)) => names.clone().build(),
            None => Names::default(),
        }
    }

    fn is_unset(&self) -> bool {
        self.masks.is_empty() && self.file.is_none()
    }
}

/// Parameters about a rule that has nothing to judge by.
pub(super) fn idle(config: &Config) -> Option<String> {
    let about = [
        "extension_threshold",
        "extension_methods",
        "extension_weight",
        "extension_forgive",
    ];
    let named = about.into_iter().find(|name| config.is_given(name))?;
    config.extensions.is_unset().then(|| {
        format!("{named}: no user is judged without an extension_pattern or an extension_file")
    })
}

/// `extension_pattern`.
pub(super) fn add_mask(config: &mut Config, given: Given<'_>) -> Outcome {
    let mask: Result<Mask, _> = given.text.parse();
    let mask = mask.map_err(|error| given.refuse(error, MASK))?;
    let masks = &mut config.extensions.masks;
    if masks.len() == MASKS_MAX {
        return Err(given.refuse("is one too many", format!("{MASKS_MAX} patterns")));
    }
    masks.push(mask);
    Ok(None)
}

/// `extension_file`.
pub(super) fn set_file(config: &mut Config, given: Given<'_>) -> Outcome {
    let path = given.text;
    let bytes = list::load(config.read_file, given, "one name")?;
    let names = read(given.name, path, &bytes)?;
    let empty = names.is_empty();
    config.extensions.file = Some((path.to_string(), names));
    Ok(empty.then(|| format!("extension_file: \"{path}\" has no name: nobody is judged by it")))
}

/// Reads a list of names from the bytes of the file at `path`.
///
/// # Errors
/// A sentence that names the file and the first bad line, or the limit in the file's way.
pub fn read(parameter: &str, path: &str, bytes: &[u8]) -> Result<NamesBuilder, String> {
    let mut names = NamesBuilder::new();
    list::each(parameter, path, bytes, list::ENTRIES_MAX, |entry| {
        let text = entry.bytes;
        let odd = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
        let refuse = |problem: String| format!("{problem}; allowed: {ENTRY}");
        if text.iter().any(odd) {
            return Err(refuse("has a blank or a control character".into()));
        }
        let (name, domain) = match text.iter().rposition(|&byte| byte == b'@') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, &b""[..]),
        };
        if text.ends_with(b"@") || domain.len() > DOMAIN_MAX {
            return Err(refuse(
                "has no domain behind its @, or too long a one".into(),
            ));
        }
        let inserted = names.insert(domain, name);
        inserted.map_err(|error| refuse(error.to_string()))
    })?;
    Ok(names)
}

/// `extension_threshold`.
pub(super) fn set_threshold(config: &mut Config, given: Given<'_>) -> Outcome {
    let threshold = given.number(1..=100, " percent")? as u32;
    config.policy.extensions.threshold = threshold;
    Ok((threshold <= LENIENT).then(|| {
        format!(
            "extension_threshold: at {LENIENT} and below a number of four digits resembles all \
             its neighbours, unless an extension_pattern judges it"
        )
    }))
}

/// `extension_methods`.
pub(super) fn set_methods(config: &mut Config, given: Given<'_>) -> Outcome {
    config.policy.extensions.methods = rate::methods(given.text).ok_or_else(|| {
        let allowed = format!("methods joined by commas: {}", METHODS.join(", "));
        given.refuse("is not a list of methods", allowed)
    })?;
    Ok(None)
}

/// `extension_weight`.
pub(super) fn set_weight(config: &mut Config, given: Given<'_>) -> Outcome {
    config.policy.extensions.weight = given.number(1..=200, " strikes")? as u8;
    Ok(None)
}

/// `extension_forgive`.
pub(super) fn set_forgive(config: &mut Config, given: Given<'_>) -> Outcome {
    let most = u64::from(Guessing::FORGIVE_MAX);
    config.policy.extensions.forgive = given.number(0..=most, " an hour")? as u32;
    Ok(None)
}
