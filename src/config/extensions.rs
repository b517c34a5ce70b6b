//! The dial plan and the names of extensions, and what guessing at them costs.
//!
//! Called by the setters, and by the agent when lists change; `extension` knows what a mask and a
//! name are.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::extension_key::ExtensionKey;
use super::parameter::Outcome;
use super::value::Given;
use super::{Config, ReadFile, list, rate};
use crate::engine::policy::{Guessing, METHODS};
use crate::extension::{Mask, Names, NamesBuilder};

const FILE: &str = "extension_file";
const WANTED: &str = "one name";
/// Most names of a list.
pub const NAMES_MAX: usize = list::ENTRIES_MAX;
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

/// `extension_pattern`, `extension_file` and `extension_redis_key`.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    masks: Vec<Mask>,
    /// The path, and what is there.
    file: Option<(String, Arc<NamesBuilder>)>,
    pub key: Option<ExtensionKey>,
}

impl Extensions {
    pub fn masks(&self) -> &[Mask] {
        &self.masks
    }

    pub fn sources(&self, read_file: ReadFile) -> ExtensionSources {
        ExtensionSources {
            file: self.file.clone(),
            key: self.key.clone(),
            read_file,
        }
    }

    /// The names of the file, indexed.
    pub fn names(&self) -> Names {
        match &self.file {
            Some((_, names)) => NamesBuilder::clone(names).build(),
            None => Names::default(),
        }
    }

    /// Whether nothing says which extensions there are.
    pub fn is_unset(&self) -> bool {
        self.masks.is_empty() && self.file.is_none() && self.key.is_none()
    }
}

/// Where the names come from, for whoever puts them together anew while the server runs.
#[derive(Clone, Debug)]
pub struct ExtensionSources {
    /// `extension_file`: its path, and the names that it had at the start.
    pub file: Option<(String, Arc<NamesBuilder>)>,
    /// `extension_redis_key`.
    pub key: Option<ExtensionKey>,
    read_file: ReadFile,
}

impl ExtensionSources {
    /// Whether users may be judged by what was known at the start: by masks alone, or by a file that
    /// names somebody. Names in Redis are never known then.
    pub fn judge_at_start(&self) -> bool {
        let named = |(_, names): &(String, Arc<NamesBuilder>)| !names.is_empty();
        self.key.is_none() && self.file.as_ref().is_none_or(named)
    }

    /// Reads `extension_file` as it is now. May take as long as the file system takes.
    ///
    /// # Errors
    /// A sentence that names the file, and the line if it is one: what was known before stays.
    pub fn read_file(&self) -> Result<NamesBuilder, String> {
        let Some((path, _)) = &self.file else {
            return Ok(NamesBuilder::new());
        };
        let given = Given {
            name: FILE,
            text: path,
            inside: None,
        };
        let bytes = list::load(self.read_file, given, WANTED)?;
        read(FILE, path, &bytes)
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
    let extensions = &config.extensions;
    if extensions.key.is_some() && config.redis.url.is_none() {
        let sentence = "extension_redis_key: there is no redis_url, so no user is judged";
        return Some(sentence.into());
    }
    let named = about.into_iter().find(|name| config.is_given(name))?;
    extensions.is_unset().then(|| {
        format!(
            "{named}: no user is judged without an extension_pattern, an extension_file or an \
             extension_redis_key"
        )
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
    let bytes = list::load(config.read_file, given, WANTED)?;
    let names = read(given.name, path, &bytes)?;
    let empty = names.is_empty();
    config.extensions.file = Some((path.to_string(), Arc::new(names)));
    Ok(empty.then(|| format!("extension_file: \"{path}\" has no name: nobody is judged")))
}

/// Reads a list of names from the bytes of the file at `path`.
///
/// # Errors
/// A sentence that names the file and the first bad line, or the limit in the file's way.
pub fn read(parameter: &str, path: &str, bytes: &[u8]) -> Result<NamesBuilder, String> {
    let mut names = NamesBuilder::new();
    list::each(parameter, path, bytes, NAMES_MAX, |entry| {
        insert(&mut names, entry.bytes, b"")
            .map_err(|problem| format!("{problem}; allowed: {ENTRY}"))
    })?;
    names.settle();
    Ok(names)
}

/// Adds an entry of a list that is one of `domain`, or of all domains if that is empty.
///
/// # Errors
/// What is wrong with it, to follow the entry in a sentence.
pub fn insert(names: &mut NamesBuilder, entry: &[u8], domain: &[u8]) -> Result<(), String> {
    let odd = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
    if entry.iter().any(odd) {
        return Err("has a blank or a control character".into());
    }
    let (name, own) = match entry.iter().rposition(|&byte| byte == b'@') {
        Some(at) => (&entry[..at], Some(&entry[at + 1..])),
        None => (entry, None),
    };
    if own.is_some_and(|own| own.is_empty() || own.len() > DOMAIN_MAX) {
        return Err("has no domain behind its @, or too long a one".into());
    }
    if own.is_some_and(|own| !domain.is_empty() && !own.eq_ignore_ascii_case(domain)) {
        return Err("is of another domain than its list".into());
    }
    let inserted = names.insert(own.unwrap_or(domain), name);
    inserted.map_err(|error| error.to_string())
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
