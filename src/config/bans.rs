//! `ban_time` and `ban_max_time`, which must agree, and the shortest prefixes.
//!
//! Called by the setters of `parameters`.
#![forbid(unsafe_code)]

use super::Config;
use super::parameter::Outcome;
use super::value::{Given, Span, YEAR};
use crate::cidr::MinPrefix;

/// Shortest prefixes of both families.
pub(super) fn min_prefix(given: Given<'_>) -> Result<MinPrefix, String> {
    let (v4, v6) = given.lengths(1..=32, 1..=128)?;
    Ok(MinPrefix { v4, v6 })
}

/// `ban_time`.
pub(super) fn set_time(config: &mut Config, given: Given<'_>) -> Outcome {
    let first = given.time(YEAR)?;
    let longest = config.policy.bans.longest;
    if config.is_given("ban_max_time") && first > longest {
        let allowed = format!("1 second to {}, which is ban_max_time", Span(longest));
        return Err(given.refuse("is longer than ban_max_time", allowed));
    }
    config.policy.bans.first = first;
    Ok(None)
}

/// `ban_max_time`.
pub(super) fn set_max_time(config: &mut Config, given: Given<'_>) -> Outcome {
    let longest = given.time(YEAR)?;
    let first = config.policy.bans.first;
    if config.is_given("ban_time") && longest < first {
        let allowed = format!("{}, which is ban_time, to 365 days", Span(first));
        return Err(given.refuse("is shorter than ban_time", allowed));
    }
    config.policy.bans.longest = longest;
    Ok(None)
}
