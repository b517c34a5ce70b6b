//! The static whitelist: `whitelist`, `whitelist_file`, and `whitelist_min_prefix`, which guards
//! them.
//!
//! Called by the setters. Entries mean exactly what they say: an IPv6 address is that address
//! alone, a network is written as a prefix, a DNS name stands for the addresses that it has.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::Config;
use super::list::{self, List, NAMES_MAX};
use super::parameters::{Outcome, min_prefix};
use super::value::Given;
use crate::cidr::{MinPrefix, Prefix, PrefixMap, PrefixMapBuilder};
use crate::domain::Domain;

const ALLOWED: &str = "IPv4 or IPv6 addresses or prefixes, or DNS names, joined by commas";
const GUARD: &str = "whitelist_min_prefix";

/// The entries, by where they came from: a second `whitelist_file` replaces the first.
#[derive(Clone, Debug)]
pub(super) struct Whitelist {
    lines: Vec<Prefix>,
    names: Vec<Domain>,
    file: Option<(String, List)>,
    /// `whitelist_min_prefix`.
    pub shortest: MinPrefix,
}

impl Default for Whitelist {
    fn default() -> Whitelist {
        Whitelist {
            lines: Vec::new(),
            names: Vec::new(),
            file: None,
            shortest: MinPrefix { v4: 8, v6: 19 },
        }
    }
}

impl Whitelist {
    /// All entries, for look-ups.
    pub fn map(&self) -> PrefixMap {
        let mut builder = PrefixMapBuilder::new();
        for &prefix in self.entries() {
            builder.insert(prefix, NonZeroU32::MIN);
        }
        builder.build()
    }

    /// `whitelist_file`.
    pub fn path(&self) -> Option<&str> {
        self.file.as_ref().map(|(path, _)| &**path)
    }

    fn entries(&self) -> impl Iterator<Item = &Prefix> {
        let file = self.file.iter().flat_map(|(_, list)| &list.prefixes);
        self.lines.iter().chain(file)
    }

    /// The names, each once.
    pub fn names(&self) -> Vec<Domain> {
        let file = self.file.iter().flat_map(|(_, list)| &list.names);
        let names: BTreeSet<&Domain> = self.names.iter().chain(file).collect();
        names.into_iter().cloned().collect()
    }
}

/// `whitelist`.
pub(super) fn add(config: &mut Config, given: Given<'_>) -> Outcome {
    let shortest = config.whitelist.shortest;
    let (mut entries, mut names) = (Vec::new(), Vec::new());
    let mut warnings = Vec::new();
    for text in given.text.split(',').map(str::trim_ascii) {
        let entry = Given { text, ..given };
        if Domain::is_meant(text) {
            names.push(Domain::parse(text).map_err(|error| entry.refuse(error, ALLOWED))?);
            continue;
        }
        let parsed = Prefix::parse(text);
        let (prefix, host_bits) = parsed.map_err(|error| entry.refuse(error, ALLOWED))?;
        if !shortest.allows(prefix) {
            let allowed = format!("{shortest} or longer, or a shorter {GUARD} before");
            return Err(entry.refuse(format!("is shorter than {GUARD}"), allowed));
        }
        if host_bits {
            warnings.push(format!("whitelist: \"{text}\" is taken as {prefix}"));
        }
        entries.push(prefix);
    }
    let whitelist = &mut config.whitelist;
    few_names(given, whitelist.names().into_iter().chain(names.clone()))?;
    whitelist.lines.append(&mut entries);
    whitelist.names.append(&mut names);
    Ok((!warnings.is_empty()).then(|| warnings.join("; ")))
}

/// `whitelist_file`.
pub(super) fn set_file(config: &mut Config, given: Given<'_>) -> Outcome {
    let path = given.text;
    let bytes = list::load(config.read_file, given, "one address, prefix or name")?;
    let list = list::read(given.name, path, &bytes, config.whitelist.shortest, GUARD)?;
    let warning = list.warning.clone();
    let whitelist = &mut config.whitelist;
    few_names(given, whitelist.names.iter().chain(&list.names).cloned())?;
    whitelist.file = Some((path.to_string(), list));
    Ok(warning)
}

/// Refuses more names than are looked up.
fn few_names(given: Given<'_>, names: impl Iterator<Item = Domain>) -> Result<(), String> {
    match names.collect::<BTreeSet<_>>().len() {
        ..=NAMES_MAX => Ok(()),
        count => {
            let problem = format!("makes {count} DNS names in the whitelist");
            Err(given.refuse(problem, format!("{NAMES_MAX} in all")))
        }
    }
}

/// `whitelist_min_prefix`.
pub(super) fn set_min_prefix(config: &mut Config, given: Given<'_>) -> Outcome {
    let shortest = min_prefix(given)?;
    let short = |prefix: &&Prefix| !shortest.allows(**prefix);
    if let Some(prefix) = config.whitelist.entries().find(short) {
        let problem = format!("is longer than the whitelist's {prefix}");
        return Err(given.refuse(problem, "no more than every whitelist entry has"));
    }
    config.whitelist.shortest = shortest;
    Ok(None)
}
