//! Compound values: `name=burst;limit=30;window=2`, the form of Kamailio's own compound
//! parameters.
//!
//! Called by the setters of parameters that take one. Knows which keys there may be, not what
//! they mean.
#![forbid(unsafe_code)]

use super::value::{Given, Shown};

/// The form of one parameter's compound value.
pub(super) struct Form {
    /// `key=value` parts that may occur, each once, in any order.
    pub keys: &'static [&'static str],
    /// A part that stands without a value.
    pub flag: Option<&'static str>,
    /// What is allowed, for error sentences.
    pub allowed: &'static str,
}

/// A compound value taken apart.
pub(super) struct Compound<'a> {
    given: Given<'a>,
    form: &'a Form,
    parts: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Compound<'a> {
    /// Takes `given` apart. Blanks around keys and values are dropped.
    ///
    /// # Errors
    /// A sentence if a key is unknown or repeated, a value is missing or empty, or a part is.
    pub fn parse(given: Given<'a>, form: &'a Form) -> Result<Compound<'a>, String> {
        let mut parts: Vec<(&str, Option<&str>)> = Vec::new();
        for part in given.text.split(';') {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key.trim(), Some(value.trim())),
                None => (part.trim(), None),
            };
            let problem = match value {
                None if key.is_empty() => Some("has an empty part".to_string()),
                Some(_) if !form.keys.contains(&key) => {
                    Some(format!("has an unknown key {}", Shown(key)))
                }
                Some("") => Some(format!("has no value for {key}")),
                None if form.keys.contains(&key) => Some(format!("has no value for {key}")),
                None if form.flag != Some(key) => Some(format!("has an odd part {}", Shown(key))),
                _ if parts.iter().any(|&(seen, _)| seen == key) => Some(format!("has {key} twice")),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(given.refuse(problem, form.allowed));
            }
            parts.push((key, value));
        }
        Ok(Compound { given, form, parts })
    }

    /// The value of a key, if it is there.
    pub fn optional(&self, key: &'static str) -> Option<Given<'a>> {
        let &(key, value) = self.parts.iter().find(|&&(seen, _)| seen == key)?;
        Some(Given {
            name: self.given.name,
            text: value?,
            inside: Some((key, self.given.text)),
        })
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &'static str) -> Result<Given<'a>, String> {
        self.optional(key)
            .ok_or_else(|| self.refuse(format!("has no {key}=")))
    }

    /// Whether the flag is there.
    pub fn is_flagged(&self) -> bool {
        self.parts.iter().any(|&(_, value)| value.is_none())
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// An error sentence about the whole value.
    pub fn refuse(&self, problem: String) -> String {
        self.given.refuse(problem, self.form.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        keys: &["name", "limit"],
        flag: Some("off"),
        allowed: "name=…;limit=…",
    };

    fn parse(text: &str) -> Result<Compound<'_>, String> {
        let given = Given {
            name: "x",
            text,
            inside: None,
        };
        Compound::parse(given, &FORM)
    }

    #[test]
    fn parts_are_found_in_any_order() {
        let compound = parse("limit = 3 ; name=a=b;off").unwrap();
        assert_eq!(compound.optional("name").unwrap().text, "a=b");
        assert_eq!(compound.required("limit").unwrap().text, "3");
        assert!(compound.is_flagged());
        assert_eq!(compound.len(), 3);
    }

    #[test]
    fn every_slip_has_its_sentence() {
        for (text, problem) in [
            ("", "has an empty part"),
            (";", "has an empty part"),
            ("name=a;", "has an empty part"),
            ("name=a;;limit=3", "has an empty part"),
            ("name=a;limits=3", "has an unknown key \"limits\""),
            ("Name=a", "has an unknown key \"Name\""),
            ("=a", "has an unknown key \"\""),
            ("off=1", "has an unknown key \"off\""),
            ("name=", "has no value for name"),
            ("name", "has no value for name"),
            ("name=a;name=b", "has name twice"),
            ("off;off", "has off twice"),
            ("name=a on", ""),
            ("on", "has an odd part \"on\""),
        ] {
            let expected = format!("x: {} {problem}; allowed: name=…;limit=…", Shown(text));
            let found = parse(text).err().unwrap_or_default();
            let expected = if problem.is_empty() { "" } else { &expected };
            assert_eq!(found, expected, "{text}");
        }
        let missing = parse("name=a").unwrap().required("limit").err();
        assert_eq!(
            missing.as_deref(),
            Some("x: \"name=a\" has no limit=; allowed: name=…;limit=…")
        );
    }
}
