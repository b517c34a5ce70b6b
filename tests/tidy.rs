//! The order of the source itself: layers, unsafe code, sizes, and the README against the exports.
//!
//! Reads files as text and runs nothing. The layers are those of the map in `src/lib.rs`: an arrow
//! points downward only, from the face over the glue and the border to the pure core.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file: its path below the package, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// Its lines without comments; strings stay.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    /// The top-level module of a file below `src`: `kamailio` for `src/kamailio/rpc.rs`.
    fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        below.split(['/', '.']).next()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

/// Where a module stands. A higher one may use a lower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Layer {
    Pure,
    Border,
    Glue,
    Face,
}

fn layer(module: &str) -> Option<Layer> {
    Some(match module {
        "engine" | "config" | "gcra" | "source" | "cidr" | "domain" | "extension" | "feed"
        | "request" | "credentials" | "user_agents" => Layer::Pure,
        "kamailio" | "shared" => Layer::Border,
        "check" | "offences" | "content" | "directory" | "script" | "orders" | "networks"
        | "commands" | "listings" | "explain" | "top" | "event_routes" | "faults" | "lists"
        | "feeds" | "node" | "meters" | "memory" | "files" | "report" | "agent" | "replay" => {
            Layer::Glue
        }
        "lib" | "module" | "bin" => Layer::Face,
        _ => return None,
    })
}

fn files(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be read") {
            let path: PathBuf = entry.expect("an entry can be read").path();
            // What a run of the fuzzer has built is not our source.
            if path.is_dir() && path.ends_with("target") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(root).expect("it is below the package");
                found.push(File {
                    path: path.display().to_string(),
                    text,
                });
            }
        }
    }
    assert!(!found.is_empty(), "no Rust files in {folder}");
    found
}

fn all_files() -> Vec<File> {
    ["src", "tests", "examples"]
        .iter()
        .flat_map(|folder| files(folder))
        .collect()
}

/// The top-level modules that a line of code names after `crate::`, macros left out.
fn named_modules(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (place, _) in line.match_indices("crate::") {
        let after = &line[place + "crate::".len()..];
        // `use crate::{a::X, b::{Y, Z}};`: the names at the first level of the group.
        let group = after.strip_prefix('{');
        let mut depth = 0;
        let parts = group.unwrap_or(after).split(|letter| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            letter == ',' && depth == 0
        });
        let wanted = if group.is_some() { usize::MAX } else { 1 };
        for part in parts.take(wanted) {
            let end = part
                .trim_start()
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let part = part.trim_start();
            let name = &part[..end.unwrap_or(part.len())];
            let is_macro = part[name.len()..].starts_with('!');
            if !name.is_empty() && !is_macro {
                names.push(name);
            }
        }
    }
    names
}

#[test]
fn named_modules_are_found() {
    assert_eq!(
        named_modules("use crate::engine::policy::Limit;"),
        ["engine"]
    );
    assert_eq!(
        named_modules("use crate::{cidr::{A, B}, gcra};"),
        ["cidr", "gcra"]
    );
    assert_eq!(
        named_modules("crate::export_module!(crate::module::SEC);"),
        ["module"]
    );
    assert!(named_modules("fn plain() {}").is_empty());
}

#[test]
fn arrows_point_downward_only() {
    for file in files("src") {
        let own = file.module().expect("it is below src");
        let mine = layer(own).unwrap_or_else(|| panic!("{} is in no layer", file.path));
        // A `use` may go over several lines; the text is searched as one.
        let code: String = file.code().map(|(_, line)| line).collect();
        for name in named_modules(&code) {
            let Some(other) = layer(name) else { continue };
            // The two sides of the border do not know each other.
            let beside = other == mine && mine != Layer::Border;
            let allowed = name == own || other < mine || beside;
            assert!(
                allowed,
                "{} ({mine:?}) uses crate::{name} ({other:?})",
                file.path
            );
        }
    }
}

#[test]
fn unsafe_code_is_at_the_border_only() {
    for file in all_files() {
        let border = ["src/kamailio/", "src/shared/"];
        if border.iter().any(|folder| file.path.starts_with(folder)) || file.path == "tests/tidy.rs"
        {
            continue;
        }
        for (number, line) in file.code() {
            let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            assert!(
                !words.any(|word| word == "unsafe"),
                "{}:{number}: {line}",
                file.path
            );
        }
    }
}

#[test]
fn the_pure_core_forbids_it() {
    for file in files("src") {
        if file.module().and_then(layer) == Some(Layer::Pure) && !file.is_test() {
            let forbids = file.text.contains("#![forbid(unsafe_code)]");
            assert!(forbids, "{} lacks #![forbid(unsafe_code)]", file.path);
        }
    }
}

#[test]
fn files_and_functions_are_short() {
    for file in all_files() {
        let lines: Vec<&str> = file.text.lines().collect();
        // A scenario test is a list of stories: it may be longer than what runs in a server.
        let most = if file.path.starts_with("tests/") {
            600
        } else {
            400
        };
        let (path, length) = (&file.path, lines.len());
        assert!(length < most, "{path} has {length} lines, allowed: {most}");
        for start in 0..lines.len() {
            let length = function_length(&lines[start..]).unwrap_or_default();
            let place = format!("{}:{}", file.path, start + 1);
            assert!(length < 70, "{place} is a function of {length} lines");
        }
    }
}

/// The lines of the function that starts at the first of these, if one does.
fn function_length(lines: &[&str]) -> Option<usize> {
    let first = lines[0].trim_start();
    let keyword = first.split_whitespace().position(|word| word == "fn")?;
    if keyword > 5 || first.starts_with("//") {
        return None;
    }
    // Without a body, as in a trait, there is nothing to measure.
    let opening = lines.iter().find(|line| line.ends_with(['{', '}', ';']))?;
    if !opening.ends_with('{') {
        return None;
    }
    // Formatted code closes a function with a brace at its own indentation.
    let indent = lines[0].len() - first.len();
    let end = format!("{}}}", " ".repeat(indent));
    Some(lines.iter().position(|line| *line == end)? + 1)
}

#[test]
fn every_file_says_what_it_is() {
    for file in all_files() {
        assert!(
            file.text.starts_with("//!"),
            "{} does not say what it is",
            file.path
        );
        let vague = ["util", "utils", "helper", "helpers", "manager", "common"];
        let stem = file
            .path
            .trim_end_matches(".rs")
            .rsplit('/')
            .next()
            .unwrap_or_default();
        assert!(
            !vague.contains(&stem),
            "{} is not a noun of the domain",
            file.path
        );
    }
}
