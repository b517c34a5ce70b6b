//! Feeds: `feed` and `feed_dir`.
//!
//! Called by the setters of `parameters`. It reads what is written there; the lists themselves are
//! fetched by the agent. A key, and whatever else in an address may be secret, is never repeated in
//! a sentence.
#![forbid(unsafe_code)]

use std::fmt;

use super::Config;
use super::compound::{Compound, Form};
use super::parameter::Outcome;
use super::value::{DAY, Given, Shown, YEAR};
use crate::engine::policy::{FeedAction, FeedRule, Limit};
use crate::feed::{FEEDS_MAX, Format};

const FORM: Form = Form {
    keys: &[
        "name",
        "url",
        "format",
        "refresh",
        "ttl",
        "action",
        "key",
        "max_shrink",
    ],
    flag: None,
    allowed: "name=<name>;url=file:///path or http(s)://…, and as wanted format=, refresh=, ttl=, \
              action=, key=, max_shrink=",
};
const URL: &str = "file:///<absolute path>, http://<host>… or https://<host>…; {key} in it stands for \
                   the key";
/// Lists that `sec.reload` knows by their parameters.
const RESERVED: [&str; 3] = ["whitelist_file", "extension_file", "extension_redis_key"];
const APIBAN: &str = "https://apiban.org/api";
/// Where the key goes.
const KEY: &str = "{key}";
/// Longest address in bytes, and longest key.
const URL_MAX: usize = 1024;

/// Seconds between two looks: at a file, at a server, at APIBAN.
const REFRESH: (u64, u64, u64) = (5, 3600, 300);
/// Life of an entry of APIBAN, which never says that one is gone.
const APIBAN_TTL: u64 = 7 * DAY;
const MAX_SHRINK: u8 = 50;

/// Where a feed comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, by its absolute path.
    File(String),
    /// A server, by its whole address, secrets included.
    Web(Secret),
}

/// A text that shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, to be used and not to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// One `feed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// `name=`.
    pub name: String,
    /// `url=`, with the key in its place. For APIBAN the part before the cursor.
    pub origin: Origin,
    /// The address as operators may see it: without key, user, password and query.
    pub shown: String,
    /// `format=`.
    pub format: Format,
    /// `refresh=` in seconds.
    pub refresh: u64,
    /// `ttl=` in seconds: how long an entry counts after the feed last named it.
    pub ttl: Option<u64>,
    /// `action=`.
    pub action: FeedAction,
    /// `max_shrink=` in percent.
    pub max_shrink: u8,
}

/// All feeds, and where their copies are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feeds {
    /// In the order of definition.
    pub list: Vec<Feed>,
    /// `feed_dir`.
    pub folder: Option<String>,
}

impl Feeds {
    /// What the engine has to know of them.
    pub(super) fn rules(&self) -> Vec<FeedRule> {
        let rule = |feed: &Feed| FeedRule {
            name: feed.name.clone(),
            action: feed.action,
        };
        self.list.iter().map(rule).collect()
    }
}

/// `feed`.
pub(super) fn add(config: &mut Config, given: Given<'_>) -> Outcome {
    let safe = without_secrets(given.text);
    let line = Compound::parse(
        Given {
            text: &safe,
            ..given
        },
        &FORM,
    )?;
    let feed = read(&line, given.text)?;
    let feeds = &mut config.feeds.list;
    let name = Shown(&feed.name).to_string();
    if let Some(place) = feeds.iter().position(|known| known.name == feed.name) {
        feeds[place] = feed;
        return Ok(Some(format!(
            "feed: {name} is given more than once; the last counts"
        )));
    }
    if feeds.len() == FEEDS_MAX {
        let problem = format!("is one too many: there are {FEEDS_MAX} feeds already");
        return Err(line.refuse(problem));
    }
    let plain = matches!(&feed.origin, Origin::Web(url) if url.reveal().starts_with("http://"));
    let warning = plain.then(|| {
        format!("feed: {name} comes over http: whoever is on the way can add to it or change it")
    });
    feeds.push(feed);
    Ok(warning)
}

fn read(line: &Compound<'_>, whole: &str) -> Result<Feed, String> {
    let name = name(line.required("name")?)?.to_string();
    let format = match line.optional("format") {
        None => Format::List,
        Some(given) => Format::parse(given.text)
            .ok_or_else(|| given.refuse("is not a format", Format::ALLOWED))?,
    };
    let apiban = format == Format::Apiban;
    let key = raw(whole, "key").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%+=".contains(&byte);
    if key.len() > URL_MAX || !key.bytes().all(plain) {
        return Err(line.refuse("has a key that does not fit into an address".into()));
    }
    if apiban && key.is_empty() {
        return Err(line.refuse("has no key=, which APIBAN asks for".into()));
    }
    let (origin, shown) = origin(line, whole, key, apiban)?;
    let (file, web, page) = REFRESH;
    let refresh = match (line.optional("refresh"), &origin) {
        (Some(given), _) => given.time(30 * DAY)?,
        (None, Origin::File(_)) => file,
        (None, Origin::Web(_)) if apiban => page,
        (None, Origin::Web(_)) => web,
    };
    let ttl = line.optional("ttl").map(|given| given.time(YEAR));
    let max_shrink = match line.optional("max_shrink") {
        None => MAX_SHRINK,
        Some(given) => given.number(0..=100, ", in percent")? as u8,
    };
    Ok(Feed {
        name,
        origin,
        shown,
        refresh,
        ttl: ttl.transpose()?.or(apiban.then_some(APIBAN_TTL)),
        action: line
            .optional("action")
            .map_or(Ok(FeedAction::Deny), action)?,
        format,
        max_shrink,
    })
}

/// Where it comes from, and how that is shown.
fn origin(
    line: &Compound<'_>,
    whole: &str,
    key: &str,
    apiban: bool,
) -> Result<(Origin, String), String> {
    let given = match line.optional("url") {
        Some(given) => given,
        None if apiban => line.required("name")?,
        None => return Err(line.required("url").err().unwrap_or_default()),
    };
    let url = raw(whole, "url").unwrap_or(APIBAN);
    if let Some(path) = url.strip_prefix("file://") {
        let usable = path.starts_with('/') && !path.contains(['\0', '\n']) && !path.ends_with('/');
        if !usable || apiban || !key.is_empty() {
            return Err(given.refuse("is not where this feed can come from", URL));
        }
        return Ok((Origin::File(path.into()), url.into()));
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.map_or("", |rest| {
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    });
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#');
    if !is_host(host) || !plain || url.len() > URL_MAX {
        return Err(given.refuse("is not the address of a list", URL));
    }
    if !apiban && url.contains(KEY) == key.is_empty() {
        let problem = match key.is_empty() {
            true => "names {key}, and there is no key=",
            false => "does not say where the key goes",
        };
        return Err(given.refuse(problem, URL));
    }
    let shown = hidden(url).trim_end_matches("?…").to_string();
    let mut full = url.replace(KEY, key);
    if apiban {
        if !url.contains(KEY) {
            full = format!("{}/{key}", full.trim_end_matches('/'));
        }
        full.push_str("/banned/");
    }
    Ok((Origin::Web(Secret(full)), shown))
}

/// Whether a host, and perhaps user, password and port, could be one.
fn is_host(text: &str) -> bool {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, port)) => (name, port.strip_prefix(':')),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    !name.is_empty() && name.bytes().all(known) && port
}

fn name(given: Given<'_>) -> Result<&str, String> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let most = Limit::NAME_MAX;
    let text = given.text;
    if text.len() <= most && text.bytes().all(known) && !RESERVED.contains(&text) {
        return Ok(text);
    }
    let allowed = format!(
        "letters, digits, _ and -, {most} at most, but not {}",
        RESERVED.join(", ")
    );
    Err(given.refuse("is not a name", allowed))
}

fn action(given: Given<'_>) -> Result<FeedAction, String> {
    let known = FeedAction::ALL;
    let action = known.into_iter().find(|action| action.word() == given.text);
    action.ok_or_else(|| given.refuse("is not an action", known.map(FeedAction::word).join(", ")))
}

/// `feed_dir`.
pub(super) fn set_dir(config: &mut Config, given: Given<'_>) -> Outcome {
    let plain = given.text.starts_with('/') && !given.text.contains(['\0', '\n']);
    if !plain {
        return Err(given.refuse("is not the path of a directory", "an absolute path"));
    }
    config.feeds.folder = Some(given.text.into());
    Ok(None)
}

/// What stands behind `<key>=`, as it was written.
fn raw<'a>(whole: &'a str, key: &str) -> Option<&'a str> {
    let parts = whole.split(';').filter_map(|part| part.split_once('='));
    let mut found = parts.filter(|(name, _)| name.trim() == key);
    found.next().map(|(_, value)| value.trim())
}

/// The value with `…` for whatever may be secret in it.
fn without_secrets(whole: &str) -> String {
    let parts = whole.split(';').map(|part| match part.split_once('=') {
        Some((name, value)) if name.trim() == "key" && !value.trim().is_empty() => {
            format!("{name}=…")
        }
        Some((name, value)) if name.trim() == "url" => format!("{name}={}", hidden(value)),
        _ => part.to_string(),
    });
    parts.collect::<Vec<_>>().join(";")
}

/// An address without user, password and query.
fn hidden(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.trim() != "file" => (scheme, rest),
        _ => return url.to_string(),
    };
    let (path, more) = match rest.split_once('?') {
        Some((path, _)) => (path, "?…"),
        None => (rest, ""),
    };
    let host = path.find('/').unwrap_or(path.len());
    let host = path[..host].rfind('@').map_or(path, |at| &path[at + 1..]);
    format!("{scheme}://{host}{more}")
}
