//! `agent_file`: the patterns of User-Agents.
//!
//! Called by the setter; `user_agents` knows what a pattern is.
#![forbid(unsafe_code)]

use super::Config;
use super::list;
use super::parameter::Outcome;
use super::value::Given;
use crate::user_agents::{PATTERNS_MAX, Pattern};

const ALLOWED: &str = "scanner or suspect, a blank, and a text with which a User-Agent begins, \
                       =text for all of it, *text for any place in it; # starts a comment";

/// `agent_file`.
pub(super) fn set_file(config: &mut Config, given: Given<'_>) -> Outcome {
    let path = given.text;
    let bytes = list::load(config.read_file, given, "one pattern")?;
    let mut patterns: Vec<Pattern> = Vec::new();
    list::each(given.name, path, &bytes, PATTERNS_MAX, |entry| {
        let pattern = entry.text().parse();
        patterns.push(pattern.map_err(|error| format!("{error}; allowed: {ALLOWED}"))?);
        Ok(())
    })?;
    let empty = patterns.is_empty();
    config.agents = Some(patterns);
    Ok(empty.then(|| format!("agent_file: \"{path}\" has no pattern: no User-Agent is known")))
}
