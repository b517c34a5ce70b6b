//! The README against the module: it lists exactly what the module exports, with the real
//! defaults, and every example line is one that the module takes.
//!
//! Parameters come from the crate. The other names stand in `src/module.rs` and `src/check.rs`,
//! which a test cannot link without Kamailio, so they are read from the source text.
#![forbid(unsafe_code)]

#[path = "../host/mod.rs"]
mod host;

mod map;
mod scripts;

use sec::config::{Config, PARAMETERS, Value};

const README: &str = include_str!("../../README.md");
const MODULE: &str = include_str!("../../src/module.rs");
const CHECK: &str = include_str!("../../src/check.rs");

/// A part of the README: its heading without the number signs, and the text below it.
struct Section<'a> {
    heading: &'a str,
    text: &'a str,
}

impl<'a> Section<'a> {
    /// The name that the heading begins with.
    fn name(&self) -> &'a str {
        let end = self.heading.find(['(', ' ']).unwrap_or(self.heading.len());
        &self.heading[..end]
    }

    /// The lines between code fences.
    fn code(&self) -> Vec<&'a str> {
        let blocks = self.text.split("\n```").skip(1).step_by(2);
        blocks.flat_map(str::lines).collect()
    }
}

/// The part below `## <heading>`.
fn chapter(heading: &str) -> &'static str {
    let start = README
        .find(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("the README has no chapter {heading}"));
    let text = &README[start + 1..];
    &text[..text.find("\n## ").unwrap_or(text.len())]
}

/// The parts below the `### ` headings of a chapter.
fn sections(chapter: &str) -> Vec<Section<'_>> {
    let parts = chapter.split("\n### ").skip(1);
    let section = |part| {
        let (heading, text) = str::split_once(part, '\n').expect("a heading ends");
        Section { heading, text }
    };
    parts.map(section).collect()
}

/// The first column of the table under the heading row `| <title> |`, without code marks.
fn column<'a>(chapter: &'a str, title: &str) -> Vec<&'a str> {
    let head = format!("| {title} |");
    let rows = chapter.lines().skip_while(|line| !line.starts_with(&head));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let name = cells.next().unwrap_or_default().trim().trim_matches('`');
        let meaning = cells.next().unwrap_or_default().trim();
        assert!(!meaning.is_empty(), "{name} has no meaning in the README");
        name
    })
    .collect()
}

/// The pieces of a list in the source that begin with `opening`; what exists only in the builds
/// for tests and for the bench is left out.
fn entries(list: &str, opening: &str) -> Vec<&'static str> {
    let start = MODULE.find(list).expect("the list is in module.rs");
    let text = &MODULE[start..];
    let text = &text[..text.find("\n];").expect("a list ends")];
    let mut pieces = text.split(opening);
    let mut before = pieces.next().unwrap_or_default();
    let mut found = Vec::new();
    for piece in pieces {
        let attribute = before.rsplit_once('\n').map_or(before, |(head, _)| head);
        let extra = ["fault-injection", "bench"].iter().any(|feature| {
            attribute
                .trim_end()
                .ends_with(&format!("#[cfg(feature = \"{feature}\")]"))
        });
        if !extra {
            found.push(piece);
        }
        before = piece;
    }
    found
}

/// The texts in double quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// What stands between two marks.
fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let start = text
        .find(open)
        .unwrap_or_else(|| panic!("{open} in {text}"))
        + open.len();
    &text[start..][..text[start..].find(close).unwrap_or(text.len() - start)]
}

/// `modparam("sec", "<name>", <value>)` with the value as it stands there.
fn modparam(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim().strip_prefix("modparam(\"sec\", \"")?;
    let (name, rest) = rest.split_once("\", ")?;
    Some((name, rest.split(')').next()?.trim()))
}

/// Sets a parameter as Kamailio would.
fn set(config: &mut Config, name: &str, value: &str) -> Result<Option<String>, String> {
    match value.parse() {
        Ok(number) => config.set(name, Value::Number(number)),
        Err(_) => config.set(name, Value::Text(value.trim_matches('"'))),
    }
}

fn config() -> Config {
    Config::with_files(|path, _| {
        let line: &[u8] = match path {
            "/etc/kamailio/agents.list" => b"scanner sipcli\n",
            "/etc/kamailio/extensions.list" => b"7001\n",
            _ => b"192.0.2.1\n",
        };
        Ok(line.to_vec())
    })
}

#[test]
fn the_parameters_are_the_modules_own() {
    let listed = sections(chapter("Parameters"));
    let names: Vec<&str> = listed.iter().map(Section::name).collect();
    let known: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    assert_eq!(names, known);
    for (section, parameter) in listed.iter().zip(PARAMETERS) {
        let Section { heading, text } = section;
        assert!(
            ["(string)", "(int or string)"]
                .iter()
                .any(|kind| heading.ends_with(kind)),
            "{heading}: no type"
        );
        let default = format!("\nDefault: `{}`\n", parameter.default);
        assert!(
            text.contains(&default),
            "{heading}: the default is {}",
            parameter.default
        );
        let examples = section.code();
        assert!(
            examples
                .iter()
                .filter_map(|line| modparam(line))
                .any(|(name, _)| name == parameter.name),
            "{heading}: no example"
        );
        let number = examples.iter().filter_map(|line| modparam(line));
        for (_, value) in number.filter(|(_, value)| !value.starts_with('"')) {
            assert!(
                heading.ends_with("(int or string)"),
                "{heading}: the example is {value}"
            );
        }
    }
}

#[test]
fn every_example_line_is_taken() {
    let mut seen = 0;
    for (name, value) in README.lines().filter_map(modparam) {
        let outcome = set(&mut config(), name, value);
        assert_eq!(outcome, Ok(None), "{name} {value}");
        seen += 1;
    }
    assert!(seen > PARAMETERS.len(), "only {seen} lines were found");
}

#[test]
fn the_defaults_are_the_real_ones() {
    for parameter in PARAMETERS
        .iter()
        .filter(|parameter| parameter.default != "none")
    {
        let mut config = config();
        let before = (config.policy(), sizes(&config));
        let outcome = set(&mut config, parameter.name, parameter.default);
        assert_eq!(outcome, Ok(None), "{}", parameter.name);
        assert_eq!(
            (config.policy(), sizes(&config)),
            before,
            "{}",
            parameter.name
        );
    }
}

/// What is not in the policy.
fn sizes(config: &Config) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        [
            config.table_size(),
            config.ledger_size(),
            config.count_table_size(),
        ],
        config.mode(),
        config.log_level(),
        config.ban_min_prefix(),
        config.whitelist_min_prefix(),
        config.metrics().clone(),
    )
}

#[test]
fn the_functions_are_the_modules_own() {
    let listed = sections(chapter("Functions"));
    let listed: Vec<&Section> = listed.iter().filter(|s| s.heading.contains('(')).collect();
    let mut expected = Vec::new();
    for entry in entries("const FUNCTIONS", "    Function {") {
        let (least, most) = between(entry, "args: ", ",")
            .split_once("..=")
            .expect("a range");
        for name in quoted(between(entry, "script: &[", "]")) {
            expected.push((name, least.to_string(), most.to_string(), entry));
        }
    }
    let names: Vec<&str> = listed.iter().map(|section| section.name()).collect();
    let known: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, known);
    for (section, (name, least, most, entry)) in listed.iter().zip(&expected) {
        let (least_listed, most_listed) = arguments(section.heading);
        assert_eq!(
            (&least_listed.to_string(), &most_listed.to_string()),
            (least, most),
            "{name}"
        );
        assert!(
            section.code().iter().any(|line| line.contains(name)),
            "{name}: no example"
        );
        let returns = |line: &str| line.starts_with("Returns ") || line.starts_with("| returns |");
        assert!(
            section.text.lines().any(returns),
            "{name}: no return values"
        );
        let line = section.text.lines().find(|line| line.starts_with("KEMI: "));
        let line = line.unwrap_or_else(|| panic!("{name}: no KEMI name"));
        assert_eq!(kemi_listed(line), kemi_exported(entry), "{name}");
    }
}

/// The least and the most arguments of `name(a [, b [, c]])`.
fn arguments(heading: &str) -> (usize, usize) {
    let inside = heading
        .split_once('(')
        .map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let count = |text: &str| {
        text.split(',')
            .filter(|part| !part.trim().is_empty())
            .count()
    };
    let needed = inside.split('[').next().unwrap_or_default();
    (count(needed), count(&inside.replace(['[', ']'], "")))
}

/// `KSR.sec.<name>(a, b)` as names with numbers of arguments.
fn kemi_listed(line: &str) -> Vec<(String, usize)> {
    let calls = line.split("KSR.sec.").skip(1);
    let call = |call: &str| {
        let (name, rest) = call.split_once('(').expect("a call");
        let inside = rest.split(')').next().unwrap_or_default();
        (
            name.to_string(),
            inside.split(',').filter(|part| !part.is_empty()).count(),
        )
    };
    calls.map(call).collect()
}

/// The same from the list in the source: `("check_ip", &[TEXT])`.
fn kemi_exported(entry: &str) -> Vec<(String, usize)> {
    let text = &entry[entry.find("kemi: ").expect("every function has KEMI names")..];
    let text = &text[..text.find("run:").unwrap_or(text.len())];
    let names = text.split("(\"").skip(1);
    let name = |part: &str| {
        let (name, rest) = part.split_once('"').expect("a name ends");
        let kinds = rest.split(']').next().unwrap_or_default();
        (
            name.to_string(),
            kinds.matches("TEXT").count() + kinds.matches("NUMBER").count(),
        )
    };
    names.map(name).collect()
}

#[test]
fn the_commands_are_the_modules_own() {
    let listed = sections(chapter("RPC commands"));
    let expected: Vec<String> = entries("const COMMANDS", "    Command {")
        .iter()
        .map(|entry| {
            let help = quoted(between(entry, "help: ", "reply:"))[0];
            let usage = help.split(": ").next().unwrap_or_default();
            usage.replace(['<', '>'], "")
        })
        .collect();
    let headings: Vec<&str> = listed.iter().map(|section| section.heading).collect();
    assert_eq!(headings, expected);
    for section in &listed {
        let call = format!("# kamcmd {}", section.name());
        assert!(
            section.code().iter().any(|line| line.starts_with(&call)),
            "{call}: no output"
        );
    }
}

#[test]
fn the_pseudo_variables_are_the_modules_own() {
    let listed = column(chapter("Pseudo-variables"), "name");
    let list = between(CHECK, "pub const VARIABLES: &[&str] = &[", "]");
    let expected: Vec<String> = quoted(list)
        .iter()
        .map(|name| format!("$sec({name})"))
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_statistics_are_the_modules_own() {
    let listed = column(chapter("Statistics"), "statistic");
    let entries = entries("const STATISTICS", "    statistic(");
    let expected: Vec<&str> = entries.iter().map(|entry| quoted(entry)[0]).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_table_of_contents_is_complete() {
    let listed: Vec<&str> = README
        .lines()
        .filter_map(|line| line.split_once(". [")?.1.split_once("](#"))
        .map(|(title, _)| title)
        .collect();
    let chapters: Vec<&str> = README
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(listed, chapters);
}
