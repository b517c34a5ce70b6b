//! A domain name as operators write it and as DNS answers it: checked, and compared label by label.
//!
//! Called by `config` for `rdns_trusted` and names in a whitelist, and by the agent for the names
//! that DNS gives. Pure; it never asks DNS.
#![forbid(unsafe_code)]

use std::fmt;

/// Longest name in characters (RFC 1035, 2.3.4, without the final dot).
pub const NAME_MAX: usize = 253;
/// Longest label.
const LABEL_MAX: usize = 63;

/// A host's or a domain's name: lower case, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainError {
    /// Nothing at all, or two dots in a row.
    Empty,
    /// A label of more than 63 characters, or a name of more than 253.
    Long,
    /// Something else than letters, digits, `-`, `_`, or a `-` at the end of a label.
    Character,
    /// The last label is a number, as in an IP address.
    Numeric,
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DomainError::Empty => "has an empty label",
            DomainError::Long => "is too long (63 characters a label, 253 in all)",
            DomainError::Character => {
                "has something else than letters, digits, '-' and '_' (write international names \
                 as xn--…)"
            }
            DomainError::Numeric => "ends in a number",
        })
    }
}

impl Domain {
    /// Reads a name in either case, with or without the final dot.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn parse(text: &str) -> Result<Domain, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > NAME_MAX {
            return Err(DomainError::Long);
        }
        for label in text.split('.') {
            check(label)?;
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DomainError::Numeric);
        }
        Ok(Domain(text.to_ascii_lowercase()))
    }

    /// Whether `text` was meant to be a name of several labels rather than an address.
    pub fn is_meant(text: &str) -> bool {
        let text = text.strip_suffix('.').unwrap_or(text);
        let Some((_, last)) = text.rsplit_once('.') else {
            return false;
        };
        let named = last.contains(|c: char| c.is_alphabetic() || c == '-');
        named && !text.contains(['/', ':']) && !text.contains(char::is_whitespace)
    }

    /// The name without the final dot.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Labels in it.
    pub fn labels(&self) -> usize {
        self.0.split('.').count()
    }

    /// Whether `name` is this domain or lies in it, on the boundary of a label.
    pub fn contains(&self, name: &Domain) -> bool {
        match name.0.strip_suffix(&self.0) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }
}

fn check(label: &str) -> Result<(), DomainError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() {
        Err(DomainError::Empty)
    } else if label.len() > LABEL_MAX {
        Err(DomainError::Long)
    } else if !label.bytes().all(plain) || label.starts_with('-') || label.ends_with('-') {
        Err(DomainError::Character)
    } else {
        Ok(())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn names_are_read_in_any_spelling() {
        for text in ["sip.Example.COM", "sip.example.com."] {
            assert_eq!(domain(text).text(), "sip.example.com");
        }
        for text in ["xn--bcher-kva.example", "_sip._udp.example.com", "a", "1.a"] {
            assert_eq!(domain(text).to_string(), text);
        }
        assert_eq!(domain("sip.example.com").labels(), 3);
    }

    #[test]
    fn what_is_no_name_is_told_apart() {
        for (text, error) in [
            ("", DomainError::Empty),
            (".", DomainError::Empty),
            (".example.com", DomainError::Empty),
            ("a..b", DomainError::Empty),
            ("a.b..", DomainError::Empty),
            ("192.0.2.300", DomainError::Numeric),
            ("*.example.com", DomainError::Character),
            ("-a.example.com", DomainError::Character),
            ("bücher.example", DomainError::Character),
            ("a b.example", DomainError::Character),
            ("a.b\0", DomainError::Character),
        ] {
            assert_eq!(Domain::parse(text), Err(error), "{text:?}");
        }
        let label = "x".repeat(64);
        assert_eq!(Domain::parse(&label), Err(DomainError::Long));
        let name = vec!["x".repeat(63); 4].join(".");
        assert_eq!(Domain::parse(&name), Err(DomainError::Long));
        assert!(Domain::parse(&name[..NAME_MAX]).is_ok());
    }

    #[test]
    fn a_suffix_ends_at_a_label() {
        let trusted = domain("trusted.example.com");
        for (name, expected) in [
            ("trusted.example.com", true),
            ("crawl-1.TRUSTED.example.com.", true),
            ("a.b.trusted.example.com", true),
            ("untrusted.example.com", false),
            ("x-trusted.example.com", false),
            ("example.com", false),
            ("trusted.example.com.evil.net", false),
            ("evil.net", false),
        ] {
            assert_eq!(trusted.contains(&domain(name)), expected, "{name}");
        }
    }

    #[test]
    fn an_address_that_is_mistyped_is_no_name() {
        for (text, expected) in [
            ("sip.example.com", true),
            ("bücher.example", true),
            ("a..b", true),
            ("192.0.2.300", false),
            ("192.0.2", false),
            ("2001:db8::g.a", false),
            ("192.0.2.1/a.b", false),
            ("a.b c.d", false),
            ("foo", false),
            ("", false),
        ] {
            assert_eq!(Domain::is_meant(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}", other in ".{0,20}") {
            if let (Ok(name), Ok(domain)) = (Domain::parse(&text), Domain::parse(&other)) {
                prop_assert!(name.contains(&name));
                prop_assert_eq!(domain.contains(&name) && name.contains(&domain), name == domain);
            }
            Domain::is_meant(&text);
        }
    }
}
