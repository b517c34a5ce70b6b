//! The static whitelist: `whitelist`, `whitelist_file`, and `whitelist_min_prefix`, which guards
//! them.
//!
//! Called by the setters. Entries mean exactly what they say: an IPv6 address is that address
//! alone, a network is written as a prefix, a DNS name stands for the addresses that it has.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::bans::min_prefix;
use super::list::{self, List, NAMES_MAX};
use super::parameter::Outcome;
use super::value::Given;
use super::{Config, ReadFile};
use crate::cidr::{MinPrefix, Prefix, PrefixMap};
use crate::domain::Domain;

const ALLOWED: &str = "IPv4 or IPv6 addresses or prefixes, or DNS names, joined by commas";
const FILE: &str = "whitelist_file";
const WANTED: &str = "one address, prefix or name";
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
        PrefixMap::set_of(self.entries())
    }

    /// Without the entries of the file, which are to be read anew.
    pub fn sources(&self, read_file: ReadFile) -> WhitelistSources {
        WhitelistSources {
            lines: self.lines.clone(),
            names: self.names.clone(),
            file: self.file.as_ref().map(|(path, _)| path.clone()),
            shortest: self.shortest,
            read_file,
        }
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

/// Where the entries of the static whitelist come from, for whoever puts them together anew while
/// the server runs.
#[derive(Clone, Debug)]
pub struct WhitelistSources {
    /// Addresses and prefixes of `whitelist`.
    pub lines: Vec<Prefix>,
    /// Names in `whitelist`.
    pub names: Vec<Domain>,
    /// `whitelist_file`.
    pub file: Option<String>,
    shortest: MinPrefix,
    read_file: ReadFile,
}

impl WhitelistSources {
    /// Reads `whitelist_file` as it is now; without one it is empty. May take as long as the file
    /// system takes.
    ///
    /// # Errors
    /// A sentence that names the file, and the line if it is one: what was known before stays.
    pub fn read_file(&self) -> Result<List, String> {
        let Some(path) = &self.file else {
            return Ok(List::default());
        };
        let (name, inside) = (FILE, None);
        let given = Given {
            name,
            text: path,
            inside,
        };
        let bytes = list::load(self.read_file, given, WANTED)?;
        let list = list::read(name, path, &bytes, self.shortest, GUARD)?;
        few_names(given, self.names.iter().chain(&list.names).cloned())?;
        Ok(list)
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
    let bytes = list::load(config.read_file, given, WANTED)?;
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
