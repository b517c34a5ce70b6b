//! `extension_redis_key`: the name of the Redis sets that hold extensions.
//!
//! Read by its setter; asked by the agent which keys are meant. It never talks to Redis.
#![forbid(unsafe_code)]

use super::Config;
use super::parameter::Outcome;
use super::redis::{KEY, overlaps};
use super::value::Given;

/// What stands for the domain in the name of a key.
const DOMAIN: &str = "{domain}";
/// Longest name of a key, and longest domain in it, in bytes.
const NAME_MAX: usize = 128;
const DOMAIN_MAX: usize = 255;

/// One set, or one for each domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionKey {
    before: String,
    /// What follows the domain; none if there is one set for all domains.
    after: Option<String>,
}

impl ExtensionKey {
    fn parse(text: &str) -> ExtensionKey {
        match text.split_once(DOMAIN) {
            Some((before, after)) => ExtensionKey {
                before: before.into(),
                after: Some(after.into()),
            },
            None => ExtensionKey {
                before: text.into(),
                after: None,
            },
        }
    }

    /// What all its names begin with.
    pub fn prefix(&self) -> &str {
        &self.before
    }

    /// Whether each domain has a set of its own.
    pub fn by_domain(&self) -> bool {
        self.after.is_some()
    }

    /// The pattern that finds all sets; none if there is but one, which is [`ExtensionKey::prefix`].
    pub fn pattern(&self) -> Option<String> {
        let after = self.after.as_ref()?;
        Some(format!("{}*{after}", self.before))
    }

    /// The domain, in lower case, whose set a key is, empty for all of them; `None` if it is no such
    /// key.
    pub fn domain(&self, key: &[u8]) -> Option<Vec<u8>> {
        let rest = key.strip_prefix(self.before.as_bytes())?;
        let Some(after) = &self.after else {
            return rest.is_empty().then(Vec::new);
        };
        let domain = rest.strip_suffix(after.as_bytes())?;
        let reference = domain.starts_with(b"[") && domain.ends_with(b"]");
        let plain = |byte: &u8| match byte {
            b'[' | b']' | b':' => reference,
            _ => byte.is_ascii_alphanumeric() || b"-._".contains(byte),
        };
        let is_domain = (1..=DOMAIN_MAX).contains(&domain.len()) && domain.iter().all(plain);
        is_domain.then(|| domain.to_ascii_lowercase())
    }
}

/// `extension_redis_key`.
pub(super) fn set(config: &mut Config, given: Given<'_>) -> Outcome {
    let allowed = format!(
        "the name of a Redis set, {DOMAIN} once in it for one set per domain: a letter and up to \
         {NAME_MAX} {KEY}; what stands before {DOMAIN} may not be the start of \
         redis_whitelist_prefix, redis_ban_prefix or sec:, nor the other way round"
    );
    let text = given.text;
    let key = ExtensionKey::parse(text);
    let parts = [&*key.before, key.after.as_deref().unwrap_or_default()];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let named = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !named || text.len() > NAME_MAX || !parts.iter().all(|part| part.chars().all(plain)) {
        return Err(given.refuse("is not the name of such a key", allowed));
    }
    if let Some(other) = config
        .redis
        .prefixes()
        .find(|other| overlaps(key.prefix(), other))
    {
        return Err(given.refuse(format!("overlaps with \"{other}\""), allowed));
    }
    config.extensions.key = Some(key);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_others() {
        let one = ExtensionKey::parse("sip:users");
        assert_eq!((one.prefix(), one.pattern()), ("sip:users", None));
        assert_eq!(one.domain(b"sip:users"), Some(Vec::new()));
        for other in [&b"sip:users2"[..], b"sip:user", b"", b"sip:users:a.example"] {
            assert_eq!(one.domain(other), None);
        }
        let many = ExtensionKey::parse("sip:{domain}:users");
        assert_eq!(many.prefix(), "sip:");
        assert_eq!(many.pattern().as_deref(), Some("sip:*:users"));
        for (key, domain) in [
            (&b"sip:A.example:users"[..], Some(&b"a.example"[..])),
            (b"sip:192.0.2.1:users", Some(b"192.0.2.1")),
            (b"sip:[2001:DB8::1]:users", Some(b"[2001:db8::1]")),
            (b"sip::users", None),
            (b"sip:a.example", None),
            (b"sip:a.example:old:users", None),
            (b"sip:a example:users", None),
            (b"sip:\xff:users", None),
            (b"sip:*:users", None),
        ] {
            assert_eq!(many.domain(key).as_deref(), domain, "{key:?}");
        }
        let long = [b"sip:", &[b'a'; 256][..], b":users"].concat();
        assert_eq!(many.domain(&long), None);
        assert_eq!(many.domain(b"sip:users"), None, "the parts do not overlap");
    }
}
