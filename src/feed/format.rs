//! What a feed looks like: `format=` of the parameter.
//!
//! Called by `config`; read by whoever reads a list.
#![forbid(unsafe_code)]

/// Most columns of a line in which an address is looked for.
const COLUMN_MAX: usize = 1000;
/// Most steps of a pointer.
const STEPS_MAX: usize = 16;

/// How a list is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One address or prefix a line; `#` and `;` begin a comment, further columns are ignored.
    List,
    /// Lines of columns; the address stands in this one, counted from 1.
    Csv(usize),
    /// JSON; the steps of a pointer (RFC 6901) to the addresses, `*` for each element.
    Json(Vec<String>),
    /// APIBAN's protocol: pages of addresses behind a cursor.
    Apiban,
}

impl Format {
    /// What is allowed, for error sentences.
    pub const ALLOWED: &str = "list, csv:<column from 1>, json:/<pointer> with * for each element, \
                               as json:/prefixes/*/ip, and apiban";

    /// Reads `list`, `csv:2`, `json:/data/*/ip`, `apiban`.
    pub fn parse(text: &str) -> Option<Format> {
        match text.split_once(':') {
            None => match text {
                "list" => Some(Format::List),
                "apiban" => Some(Format::Apiban),
                _ => None,
            },
            Some(("csv", column)) => {
                let digits = column.bytes().all(|byte| byte.is_ascii_digit());
                let column = column.parse().ok().filter(|_| digits)?;
                (1..=COLUMN_MAX)
                    .contains(&column)
                    .then_some(Format::Csv(column))
            }
            Some(("json", pointer)) => steps(pointer).map(Format::Json),
            Some(_) => None,
        }
    }
}

/// The steps of a pointer; `/` alone is the whole document.
fn steps(pointer: &str) -> Option<Vec<String>> {
    let below = pointer.strip_prefix('/')?;
    if below.is_empty() {
        return Some(Vec::new());
    }
    let steps: Vec<String> = below
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    (steps.len() <= STEPS_MAX).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read() {
        let json = |steps: &[&str]| {
            let steps = steps.iter().map(|step| (*step).to_string());
            Some(Format::Json(steps.collect()))
        };
        for (text, format) in [
            ("list", Some(Format::List)),
            ("apiban", Some(Format::Apiban)),
            ("csv:1", Some(Format::Csv(1))),
            ("csv:0", None),
            ("csv:+1", None),
            ("csv:", None),
            ("csv", None),
            ("csv:1001", None),
            ("json:/", json(&[])),
            ("json:/a~1b/*/~01", json(&["a/b", "*", "~1"])),
            ("json:ip", None),
            ("json", None),
            ("xml", None),
            ("list:1", None),
        ] {
            assert_eq!(Format::parse(text), format, "{text}");
        }
    }
}
