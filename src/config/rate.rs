//! `rate` and what depends on it: the named limits, the ceilings `whitelist_rate` and
//! `trust_rate`, and `ipv6_prefix`, which no limit may be narrower than.
//!
//! Called by the setters; never sees a request.
#![forbid(unsafe_code)]

use super::Config;
use super::compound::{Compound, Form};
use super::parameter::Outcome;
use super::value::{DAY, Given, Shown};
use crate::engine::policy::{Action, Count, Limit, MAX_LIMITS, METHODS, method_bit};
use crate::gcra::{Quota, TICKS_PER_SECOND};

/// The limit that is there without a line.
pub(super) const DEFAULT: &str = "name=burst;limit=30;window=2";
const DEFAULT_NAME: &str = "burst";
const DEFAULT_LIMIT: u64 = 30;
const DEFAULT_WINDOW: u64 = 2;

const FORM: Form = Form {
    keys: &["name", "limit", "window", "count", "per", "action"],
    flag: Some("off"),
    allowed: "name=<name>;limit=<requests>;window=<time>, and if wanted \
              ;count=requests|failures|<METHOD,METHOD> ;per=<IPv4>/<IPv6 prefix length> \
              ;action=ban|limit|shadow; or name=<name>;off",
};

const CEILING: Form = Form {
    keys: &["limit", "window"],
    flag: None,
    allowed: "limit=<requests>;window=<time>",
};

/// One `rate` as it was written.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    name: String,
    quota: Quota,
    count: Count,
    /// `per=`, if written.
    per: Option<(u8, u8)>,
    action: Action,
    /// Whether a line defined it, and not the default.
    written: bool,
}

impl Rate {
    /// The default.
    pub fn built_in() -> Rate {
        Rate {
            name: DEFAULT_NAME.to_string(),
            quota: Quota::new(DEFAULT_LIMIT, DEFAULT_WINDOW).expect("the default is in range"),
            count: Count::Requests,
            per: None,
            action: Action::Ban,
            written: false,
        }
    }

    /// For the engine. Without `per=`, sources are not taken together.
    pub fn limit(&self, ipv6_prefix: u8) -> Limit {
        Limit {
            name: self.name.clone(),
            quota: self.quota,
            count: self.count,
            per: self.per.unwrap_or((32, ipv6_prefix)),
            action: self.action,
        }
    }
}

/// `rate`: adds a limit, replaces the one of the same name, or removes it.
pub(super) fn set(config: &mut Config, given: Given<'_>) -> Outcome {
    let line = Compound::parse(given, &FORM)?;
    let name = name(line.required("name")?)?;
    let place = config.rates.iter().position(|rate| rate.name == name);
    if line.is_flagged() {
        if line.len() > 2 {
            return Err(line.refuse("has more than a name beside off".to_string()));
        }
        let Some(place) = place else {
            let names: Vec<&str> = config.rates.iter().map(|rate| &*rate.name).collect();
            let problem = format!("has the name of no rate (there are: {})", names.join(", "));
            return Err(line.refuse(problem));
        };
        config.rates.remove(place);
        return Ok(None);
    }
    let rate = read(config, name, &line)?;
    match place {
        None if config.rates.len() == MAX_LIMITS => {
            let problem = format!("is one too many: there are {MAX_LIMITS} rates already");
            let allowed = "four rates; name=<name>;off removes one, also the default burst";
            Err(given.refuse(problem, allowed))
        }
        None => {
            config.rates.push(rate);
            Ok(None)
        }
        Some(place) => {
            let before = std::mem::replace(&mut config.rates[place], rate);
            let name = Shown(name);
            let warning = format!("rate: {name} is given more than once; the last counts");
            Ok(before.written.then_some(warning))
        }
    }
}

fn read(config: &Config, name: &str, line: &Compound<'_>) -> Result<Rate, String> {
    let built_in = name == DEFAULT_NAME;
    let window = match line.optional("window") {
        None if built_in => DEFAULT_WINDOW,
        _ => line.required("window")?.time(DAY)?,
    };
    let quota = match line.optional("limit") {
        None if built_in => quota(line, DEFAULT_LIMIT, window)?,
        _ => limit(line, window)?,
    };
    let count = line.optional("count").map(count).transpose()?;
    let action = line.optional("action").map(action).transpose()?;
    let per = line.optional("per").map(|given| per(config, given));
    Ok(Rate {
        name: name.to_string(),
        quota,
        count: count.unwrap_or(Count::Requests),
        per: per.transpose()?,
        action: action.unwrap_or(Action::Ban),
        written: true,
    })
}

/// `limit=` and `window=`, both needed: `whitelist_rate`, `trust_rate`.
pub(super) fn ceiling(given: Given<'_>) -> Result<Quota, String> {
    let line = Compound::parse(given, &CEILING)?;
    let window = line.required("window")?.time(DAY)?;
    limit(&line, window)
}

/// `limit=` in a window whose seconds are known.
fn limit(line: &Compound<'_>, window: u64) -> Result<Quota, String> {
    let given = line.required("limit")?;
    let most = (TICKS_PER_SECOND * window).min(u64::from(u32::MAX));
    let unit = format!(", that is {TICKS_PER_SECOND} a second of the window");
    let requests = given.number(1..=most, &unit)?;
    quota(line, requests, window)
}

fn quota(line: &Compound<'_>, limit: u64, window: u64) -> Result<Quota, String> {
    Quota::new(limit, window).ok_or_else(|| line.refuse("is out of range".to_string()))
}

fn name(given: Given<'_>) -> Result<&str, String> {
    let text = given.text;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if text.len() <= Limit::NAME_MAX && text.bytes().all(known) {
        return Ok(text);
    }
    let allowed = format!("letters, digits, _ and -, {} at most", Limit::NAME_MAX);
    Err(given.refuse("is not a name", allowed))
}

fn count(given: Given<'_>) -> Result<Count, String> {
    match given.text {
        "requests" => return Ok(Count::Requests),
        "failures" => return Ok(Count::Failures),
        _ => {}
    }
    methods(given.text).map(Count::Methods).ok_or_else(|| {
        let methods = METHODS.join(", ");
        let allowed = format!("requests, failures, or methods joined by commas: {methods}");
        given.refuse("is not what can be counted", allowed)
    })
}

/// A set of methods, joined by commas.
pub(super) fn methods(text: &str) -> Option<u32> {
    let methods = text.split(',').map(str::trim);
    let named = |method: &&str| METHODS.contains(method);
    let bits = methods.map(|method| method_bit(Some(method).filter(named)?.as_bytes()));
    bits.reduce(|set, bit| Some(set? | bit?)).flatten()
}

fn action(given: Given<'_>) -> Result<Action, String> {
    match given.text {
        "ban" => Ok(Action::Ban),
        "limit" => Ok(Action::Limit),
        "shadow" => Ok(Action::Shadow),
        _ => Err(given.refuse("is not an action", "ban, limit, shadow")),
    }
}

/// `per=`: never narrower than a source, which for IPv6 is `ipv6_prefix`.
fn per(config: &Config, given: Given<'_>) -> Result<(u8, u8), String> {
    let narrowest = match config.is_given("ipv6_prefix") {
        true => config.policy.ipv6_prefix,
        false => 64,
    };
    given.lengths(8..=32, 16..=narrowest)
}

/// `ipv6_prefix`.
pub(super) fn set_ipv6_prefix(config: &mut Config, given: Given<'_>) -> Outcome {
    let length = given.number(48..=64, "")? as u8;
    let narrower = |rate: &&Rate| rate.per.is_some_and(|(_, v6)| v6 > length);
    if let Some(rate) = config.rates.iter().find(narrower) {
        let (v4, v6) = rate.per.unwrap_or_default();
        let problem = format!(
            "is shorter than per={v4}/{v6} of rate {}",
            Shown(&rate.name)
        );
        return Err(given.refuse(problem, format!("{v6} to 64, or a shorter per= before")));
    }
    config.policy.ipv6_prefix = length;
    Ok(None)
}

/// Ceilings that are stricter than an ordinary limit: trust or the whitelist would then be a
/// punishment.
pub(super) fn low_ceilings(config: &Config) -> Vec<String> {
    let policy = config.policy();
    let mut warnings = Vec::new();
    let ceilings = [
        ("trust_rate", policy.trust_rate),
        ("whitelist_rate", policy.whitelist_rate),
    ];
    for (parameter, ceiling) in ceilings {
        let ordinary = |limit: &&Limit| limit.count == Count::Requests;
        for limit in policy.limits.iter().filter(ordinary) {
            if is_stricter(&ceiling, &limit.quota) {
                let (written, other) = (written(&ceiling), written(&limit.quota));
                let name = Shown(&limit.name);
                warnings.push(format!(
                    "{parameter}: {written} is stricter than rate {name} with {other}"
                ));
            }
        }
    }
    warnings
}

/// Whether `a` allows less than `b`, both at once and over time.
fn is_stricter(a: &Quota, b: &Quota) -> bool {
    let each_second = |x: &Quota, y: &Quota| u64::from(x.limit()) * y.window_secs();
    a.limit() < b.limit() && each_second(a, b) < each_second(b, a)
}

fn written(quota: &Quota) -> String {
    format!("limit={};window={}", quota.limit(), quota.window_secs())
}
