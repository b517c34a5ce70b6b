//! Where memory is kept: `redis_url` and the prefixes of its keys for a fleet, `state_file` for a node
//! by itself.
//!
//! Called by the setters of `parameters`. It only reads the address; nobody is connected to here.
#![forbid(unsafe_code)]

use super::Config;
use super::parameter::Outcome;
use super::value::Given;

/// What lives under it belongs to the nodes themselves.
const OWN_PREFIX: &str = "sec:";
/// Longest prefix of keys, in bytes.
const PREFIX_MAX: usize = 64;
/// What a name is made of behind its first letter.
pub(super) const KEY: &str = "letters, digits, '_', '-', '.' and ':'";

/// The server and the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis_url`; none means that this node remembers for itself.
    pub url: Option<String>,
    /// `redis_whitelist_prefix`.
    pub whitelist_prefix: String,
    /// `redis_ban_prefix`.
    pub ban_prefix: String,
}

impl Redis {
    /// What the keys begin with that this module keeps for itself.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        [&*self.whitelist_prefix, &*self.ban_prefix, OWN_PREFIX].into_iter()
    }
}

impl Default for Redis {
    fn default() -> Redis {
        Redis {
            url: None,
            whitelist_prefix: "white_list:".into(),
            ban_prefix: "ban:".into(),
        }
    }
}

pub(super) fn set_url(config: &mut Config, given: Given<'_>) -> Outcome {
    let allowed =
        "redis://[user:password@]host[:port][/db], rediss://… for TLS, redis+unix:///path";
    let known = ["redis://", "rediss://", "redis+unix://"];
    if !known.iter().any(|scheme| given.text.starts_with(scheme)) {
        return Err(hidden(given).refuse("is not the address of a Redis server", allowed));
    }
    if given.text.contains('#') {
        // To the client that is a wish, such as not to verify a certificate.
        let problem = "has a '#', which ends an address; in a password write %23";
        return Err(hidden(given).refuse(problem, allowed));
    }
    if let Err(problem) = understood(given.text) {
        let problem = format!("is not understood ({problem})");
        return Err(hidden(given).refuse(problem, allowed));
    }
    if config.state_file.is_some() {
        let allowed = "one of them: a fleet remembers in Redis, a single node in its state_file";
        return Err(hidden(given).refuse("is given beside state_file", allowed));
    }
    config.redis.url = Some(given.text.into());
    Ok(None)
}

#[cfg(not(loom))]
fn understood(url: &str) -> Result<(), String> {
    use redis::IntoConnectionInfo as _;
    url.into_connection_info()
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(loom)]
fn understood(_url: &str) -> Result<(), String> {
    Ok(())
}

pub(super) fn set_state_file(config: &mut Config, given: Given<'_>) -> Outcome {
    if !given.text.starts_with('/')
        || given.text.contains(['\0', '\n'])
        || given.text.ends_with('/')
    {
        return Err(given.refuse("is not the path of a file", "an absolute path"));
    }
    if config.redis.url.is_some() {
        let allowed = "one of them: a fleet remembers in Redis, a single node in its state_file";
        return Err(given.refuse("is given beside redis_url", allowed));
    }
    config.state_file = Some(given.text.into());
    Ok(None)
}

/// The value without its password, for the log.
fn hidden(given: Given<'_>) -> Given<'_> {
    let text = without_password(given.text);
    Given { text, ..given }
}

/// A text without what may be a password in it if it is the address of a server: what stands before
/// the last `@`, and behind the first `?`.
pub(super) fn without_password(text: &str) -> &str {
    match (text.rfind('@'), text.find('?')) {
        // One of them belongs to a password, and nobody knows which.
        (Some(at), Some(query)) if query < at => "…",
        (at, query) => &text[at.map_or(0, |at| at + 1)..query.unwrap_or(text.len())],
    }
}

pub(super) fn set_whitelist_prefix(config: &mut Config, given: Given<'_>) -> Outcome {
    let other = ("redis_ban_prefix", &*config.redis.ban_prefix);
    config.redis.whitelist_prefix = prefix(config, given, other)?;
    Ok(None)
}

pub(super) fn set_ban_prefix(config: &mut Config, given: Given<'_>) -> Outcome {
    let other = ("redis_whitelist_prefix", &*config.redis.whitelist_prefix);
    config.redis.ban_prefix = prefix(config, given, other)?;
    Ok(None)
}

/// Whether keys with one of these beginnings may have the other one, too.
pub(super) fn overlaps(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn prefix(
    config: &Config,
    given: Given<'_>,
    (other_name, other): (&str, &str),
) -> Result<String, String> {
    let allowed = format!(
        "a letter and up to {PREFIX_MAX} {KEY}; neither it nor {other_name} nor {OWN_PREFIX} nor \
         extension_redis_key may be the start of another"
    );
    let text = given.text;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let named = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !named || text.len() > PREFIX_MAX || !text.chars().all(plain) {
        return Err(given.refuse("cannot begin a key", allowed));
    }
    if overlaps(text, other) || overlaps(text, OWN_PREFIX) {
        let problem = format!("overlaps with {other_name} or {OWN_PREFIX}");
        return Err(given.refuse(problem, allowed));
    }
    let key = config.extensions.key.as_ref();
    if key.is_some_and(|key| overlaps(text, key.prefix())) {
        return Err(given.refuse("overlaps with extension_redis_key", allowed));
    }
    Ok(text.into())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::config::{Config, Value};

    fn set(name: &str, text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        config.set(name, Value::Text(text)).map(|_| config)
    }

    #[test]
    fn urls_are_read_and_their_passwords_never_shown() {
        for url in [
            "redis://127.0.0.1",
            "rediss://h:6380/1",
            "redis+unix:///run/redis.sock?db=2",
        ] {
            assert_eq!(
                set("redis_url", url).unwrap().redis().url.as_deref(),
                Some(url)
            );
        }
        for url in [
            "",
            "127.0.0.1:6379",
            "http://x",
            "redis://",
            "redis://u:secret@h/abc",
            "redis:u:secret@h",
            "redis:u:sec?secret@h",
            "redis+unix:/run/redis.sock?pass=secret",
            "redis+unix:///run/redis.sock?db=x&pass=secret",
            "redis+unix:///run/redis.sock?pass=p@secret#",
        ] {
            let error = set("redis_url", url).unwrap_err();
            assert!(
                error.contains("redis_url") && error.contains("redis+unix"),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_what_cannot_be_a_password_is_shown() {
        for (text, shown) in [
            ("redis://127.0.0.1", "redis://127.0.0.1"),
            ("redis://u:secret@h:1/2", "h:1/2"),
            ("redis://u:s@cr@t@h:1/2", "h:1/2"),
            ("redis:u:secret@h", "h"),
            (
                "redis+unix:///run/r.sock?pass=secret",
                "redis+unix:///run/r.sock",
            ),
            ("redis+unix:///run/r.sock?pass=s@cret", "…"),
            ("redis://u:s?cret@h", "…"),
            ("redis://u:secret@h?pass=secret", "h"),
        ] {
            assert_eq!(super::without_password(text), shown);
        }
    }

    #[test]
    fn prefixes_must_not_overlap() {
        assert_eq!(
            set("redis_ban_prefix", "x:").unwrap().redis().ban_prefix,
            "x:"
        );
        for text in [
            "",
            "white_list:",
            "white",
            "white_list:x",
            "sec:",
            "s",
            "a b",
            "a*",
            "é",
        ] {
            let error = set("redis_ban_prefix", text).unwrap_err();
            assert!(
                error.contains("redis_ban_prefix") && error.contains("allowed"),
                "{error}"
            );
        }
    }
}
