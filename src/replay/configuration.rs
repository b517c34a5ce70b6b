//! The `modparam("sec", …)` lines of a Kamailio configuration, in their order: through comments,
//! definitions, conditions, substitutions and included files.
//!
//! Called by the replay before it reads a packet. What it cannot follow becomes a note, never a
//! line that is silently left out: `#!ifexp`, `modparamx`, environment variables, substitutions by
//! a pattern.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::tokens::{Token, Tokens};
use crate::config::{Config, Value};
use crate::files;

/// The longest configuration file, in bytes.
const FILE_MAX: usize = 16 << 20;
/// Files within files, as in Kamailio.
const DEPTH_MAX: usize = 10;
/// What is said of each `#!ifexp`.
const IFEXP: &str = "#!ifexp is not evaluated: it is taken as true, and its #!else is left out";

/// A parameter as a file sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// File and line, for messages.
    pub place: String,
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: Setting,
}

/// The value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// In quotes.
    Text(String),
    /// Without.
    Number(i64),
}

/// What a configuration says about the module.
#[derive(Debug, Default)]
pub struct Configuration {
    /// Its lines.
    pub lines: Vec<Line>,
    /// What could not be followed, a sentence each.
    pub notes: Vec<String>,
    /// Whether it loads the module.
    pub loads: bool,
}

impl Configuration {
    /// Reads a file. `defines` are `NAME` or `NAME=value`, as after Kamailio's `-A`.
    ///
    /// # Errors
    /// A sentence: a file that cannot be read, or has nothing to do with the module.
    pub fn read(path: &Path, defines: &[String]) -> Result<Configuration, String> {
        let mut reader = Reader::default();
        for define in defines {
            let (name, value) = define.split_once('=').unwrap_or((define, ""));
            reader
                .defines
                .insert(name.trim().into(), value.trim().into());
        }
        let text = load(path).map_err(|error| format!("{}: {error}", path.display()))?;
        reader.file(path, &text)?;
        let found = reader.found;
        if found.lines.is_empty() && !found.loads {
            return Err(format!(
                "{}: neither loads sec.so nor sets a parameter of it; is it the right file, and does \
                 it need a --define?",
                path.display()
            ));
        }
        Ok(found)
    }

    /// The checked configuration, and warnings.
    ///
    /// # Errors
    /// What `kamailio -c` would say about a value, after its file and line.
    pub fn apply(&self) -> Result<(Config, Vec<String>), String> {
        let mut config = Config::with_files(|path, most| files::read(Path::new(path), most));
        let mut warnings = Vec::new();
        for line in &self.lines {
            let value = match &line.value {
                Setting::Text(text) => Value::Text(text),
                Setting::Number(number) => Value::Number(*number),
            };
            match config.set(&line.name, value) {
                Ok(warning) => {
                    warnings.extend(warning.map(|text| format!("{}: {text}", line.place)));
                }
                Err(error) => return Err(format!("{}: {error}", line.place)),
            }
        }
        warnings.extend(config.warnings());
        Ok((config, warnings))
    }

    /// Whether a parameter is set.
    pub fn sets(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }
}

fn load(path: &Path) -> Result<String, String> {
    let bytes = files::read(path, FILE_MAX).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > FILE_MAX {
        return Err(format!("is longer than {FILE_MAX} bytes"));
    }
    // A comment may be in any encoding.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Default)]
struct Reader {
    found: Configuration,
    defines: HashMap<String, String>,
    substitutions: Vec<(String, String)>,
    /// The conditions that enclose what is read: whether what is inside counts.
    branches: Vec<bool>,
    depth: usize,
    /// The pieces of the statement at hand.
    pieces: Vec<Token>,
}

impl Reader {
    fn file(&mut self, path: &Path, text: &str) -> Result<(), String> {
        let mut tokens = Tokens::new(text);
        loop {
            let next = if self.counts() {
                tokens.next()
            } else {
                tokens.next_directive()
            };
            let Some(token) = next else { return Ok(()) };
            let place = format!("{}:{}", path.display(), tokens.line());
            match token {
                Token::Directive(word, rest) => self.directive(path, &place, &word, &rest)?,
                token => self.take(path, &place, token, 0)?,
            }
        }
    }

    /// Takes a piece that counts; a defined name stands for its value.
    fn take(&mut self, path: &Path, place: &str, token: Token, depth: usize) -> Result<(), String> {
        let token = match token {
            Token::Word(word) => {
                let word = self.substituted(word);
                if let Some(value) = self.defines.get(&word).cloned()
                    && depth < DEPTH_MAX
                {
                    for token in Tokens::new(&value) {
                        self.take(path, place, token, depth + 1)?;
                    }
                    return Ok(());
                }
                Token::Word(word)
            }
            Token::Text(text) => Token::Text(self.substituted(text)),
            other => other,
        };
        if let Token::Word(word) = &token
            && [
                "modparam",
                "modparamx",
                "loadmodule",
                "include_file",
                "import_file",
            ]
            .contains(&word.as_str())
        {
            self.pieces.clear();
        } else if self.pieces.is_empty() {
            return Ok(());
        }
        self.pieces.push(token);
        self.statement(path, place)
    }

    /// Acts on the pieces so far if they are a whole statement.
    fn statement(&mut self, path: &Path, place: &str) -> Result<(), String> {
        let Some(Token::Word(keyword)) = self.pieces.first().cloned() else {
            return Ok(());
        };
        let inner: Vec<Token> = self.pieces[1..].to_vec();
        match keyword.as_str() {
            "modparam" | "modparamx" => {
                if inner.last() == Some(&Token::Mark(')')) {
                    self.pieces.clear();
                    self.modparam(place, &keyword, &inner);
                }
            }
            _ => {
                let texts = inner.iter().find_map(|token| match token {
                    Token::Text(text) => Some(text.clone()),
                    _ => None,
                });
                let waits = inner.is_empty() || inner == [Token::Mark('(')];
                if !waits {
                    self.pieces.clear();
                }
                match (keyword.as_str(), texts) {
                    ("loadmodule", Some(file)) => {
                        let file = file.rsplit('/').next().unwrap_or_default().to_owned();
                        self.found.loads |= file == "sec.so" || file == "sec";
                    }
                    (_, Some(file)) => self.include(path, place, &keyword, &file)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// `("module", "name", value)`.
    fn modparam(&mut self, place: &str, keyword: &str, inner: &[Token]) {
        let [Token::Mark('('), Token::Text(modules), rest @ ..] = inner else {
            return;
        };
        // The core takes the first string for a pattern.
        let mut modules = modules
            .split('|')
            .map(|name| name.trim().trim_matches(['^', '$', '(', ')']));
        if !modules.any(|name| name == "sec") {
            return;
        }
        let comma = Token::Mark(',');
        let (name, value) = match rest {
            [
                first,
                Token::Text(name),
                second,
                value @ ..,
                Token::Mark(')'),
            ] if (first, second) == (&comma, &comma) => (name, value),
            _ => return self.note(place, "this line for sec cannot be read, and is left out"),
        };
        let value = match value {
            [Token::Text(text)] => Setting::Text(text.clone()),
            [Token::Number(number)] => Setting::Number(*number),
            [Token::Mark('-'), Token::Number(number)] => Setting::Number(-number),
            [Token::Word(word)] if ["yes", "true", "on", "enable"].contains(&word.as_str()) => {
                Setting::Number(1)
            }
            [Token::Word(word)] if ["no", "false", "off", "disable"].contains(&word.as_str()) => {
                Setting::Number(0)
            }
            _ => {
                let text = format!("the value of {name} cannot be read, and is left out");
                return self.note(place, &text);
            }
        };
        if keyword == "modparamx" {
            self.note(
                place,
                &format!("{name} is taken as written: modparamx is not evaluated"),
            );
        }
        let (place, name) = (place.to_owned(), name.clone());
        self.found.lines.push(Line { place, name, value });
    }

    fn include(
        &mut self,
        path: &Path,
        place: &str,
        keyword: &str,
        file: &str,
    ) -> Result<(), String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("{place}: more than {DEPTH_MAX} files within files"));
        }
        let beside = path.parent().unwrap_or(Path::new("")).join(file);
        let tried = [PathBuf::from(file), beside];
        let found = tried.iter().find(|path| path.exists());
        let Some(found) = found else {
            return match keyword {
                "import_file" => Ok(()),
                _ => Err(format!(
                    "{place}: {keyword} \"{file}\": there is no such file"
                )),
            };
        };
        let text = load(found).map_err(|error| format!("{place}: {}: {error}", found.display()))?;
        self.depth += 1;
        let open = self.branches.len();
        self.file(found, &text)?;
        self.branches.truncate(open);
        self.depth -= 1;
        Ok(())
    }

    fn directive(
        &mut self,
        path: &Path,
        place: &str,
        word: &str,
        rest: &str,
    ) -> Result<(), String> {
        let name = rest.split_whitespace().next().unwrap_or_default();
        let counts = self.counts();
        let known = self.defines.contains_key(name);
        match word {
            "ifdef" => self.branches.push(known),
            "ifndef" => self.branches.push(!known),
            "ifexp" => {
                if counts {
                    self.note(place, IFEXP);
                }
                self.branches.push(true);
            }
            "else" => {
                if let Some(taken) = self.branches.last_mut() {
                    *taken = !*taken;
                }
            }
            "endif" => {
                self.branches.pop();
            }
            _ if !counts => {}
            "define" | "def" | "trydefine" | "trydef" if known => {}
            "define" | "def" | "trydefine" | "trydef" | "redefine" | "redef"
                if !name.is_empty() =>
            {
                let value = rest[name.len()..].trim();
                self.defines.insert(name.into(), value.into());
            }
            "subst" | "substdef" | "substdefs" => self.substitute(place, word, rest),
            "include_file" | "import_file" => {
                return self.include(path, place, word, rest.trim_matches(['"', '\'']));
            }
            "defenv" | "defenvs" | "trydefenv" | "trydefenvs" | "substdefenv" | "defexp"
            | "defexps" => self.note(place, &format!("#!{word} is not followed")),
            _ => {}
        }
        Ok(())
    }

    /// `"/name/value/flags"`, whatever separates; `substdef` also defines the name.
    fn substitute(&mut self, place: &str, word: &str, rest: &str) {
        let text = rest.trim_matches(['"', '\'']);
        let parts = text
            .chars()
            .next()
            .map(|mark| text.split(mark).collect::<Vec<_>>());
        let (name, value) = match parts.as_deref() {
            Some([_, name, value, _flags]) if !name.is_empty() => (*name, *value),
            _ => {
                return self.note(
                    place,
                    &format!("#!{word} cannot be read, and is not followed"),
                );
            }
        };
        let plain = name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !plain {
            return self.note(
                place,
                &format!("#!{word} by the pattern {name} is not followed"),
            );
        }
        self.substitutions.push((name.into(), value.into()));
        let quoted = format!("\"{value}\"");
        match word {
            "substdef" => self.defines.insert(name.into(), value.into()),
            "substdefs" => self.defines.insert(name.into(), quoted),
            _ => None,
        };
    }

    fn substituted(&self, text: String) -> String {
        let all = self.substitutions.iter();
        all.fold(text, |text, (name, value)| text.replace(name, value))
    }

    /// Whether every condition around what is read holds.
    fn counts(&self) -> bool {
        self.branches.iter().all(|taken| *taken)
    }

    fn note(&mut self, place: &str, text: &str) {
        self.found.notes.push(format!("{place}: {text}"));
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
