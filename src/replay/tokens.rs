//! Kamailio's configuration language as far as a list of parameters needs it: comments, strings,
//! numbers, words, and the lines of its preprocessor.
//!
//! Called by `configuration.rs`, one piece at a time. It knows no grammar; which branch of a
//! condition counts is its caller's to say.
#![forbid(unsafe_code)]

/// A piece of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A string, without its quotes and escapes.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A name.
    Word(String),
    /// Anything else.
    Mark(char),
    /// A line of the preprocessor: its word, and the rest.
    Directive(String, String),
}

/// A text that is taken apart.
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Tokens<'a> {
    /// From the beginning.
    pub fn new(text: &'a str) -> Tokens<'a> {
        Tokens {
            text,
            at: 0,
            line: 1,
        }
    }

    /// The line of the piece that comes next, or was last.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Skips to the next line of the preprocessor: what is between does not count.
    pub fn next_directive(&mut self) -> Option<Token> {
        loop {
            let rest = &self.text[self.at..];
            let next = rest.find(['#', '!', '\n'])?;
            self.skip(next);
            if let Some(directive) = self.directive() {
                return Some(directive);
            }
            self.skip(1);
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        let skipped = &self.text[self.at..self.at + bytes];
        self.line += skipped.matches('\n').count();
        self.at += bytes;
    }

    fn skip_past(&mut self, end: &str) {
        let rest = self.rest();
        self.skip(rest.find(end).map_or(rest.len(), |at| at + end.len()));
    }

    /// `#!word rest of the line`, `!!` likewise; a backslash before the line's end continues it.
    fn directive(&mut self) -> Option<Token> {
        let rest = self.rest();
        let after = rest
            .strip_prefix("#!")
            .or_else(|| rest.strip_prefix("!!"))?;
        let word_end = after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let word = &after[..word_end.unwrap_or(after.len())];
        let mut value = String::new();
        let mut rest = &after[word.len()..];
        loop {
            let end = rest.find('\n').unwrap_or(rest.len());
            let line = rest[..end].trim_end_matches('\r');
            rest = &rest[end..];
            match line.strip_suffix('\\') {
                Some(line) if !rest.is_empty() => {
                    value.push_str(line);
                    rest = &rest[1..];
                }
                _ => {
                    value.push_str(line);
                    break;
                }
            }
        }
        let length = self.rest().len() - rest.len();
        self.skip(length);
        Some(Token::Directive(word.to_lowercase(), value.trim().into()))
    }

    /// A string in double quotes, where a backslash escapes, or in single ones, where it does not.
    fn string(&mut self, quote: char) -> Token {
        let mut text = String::new();
        let mut escaped = false;
        let rest = &self.rest()[1..];
        let mut length = 1;
        for letter in rest.chars() {
            length += letter.len_utf8();
            match letter {
                letter if escaped => {
                    escaped = false;
                    text.push(match letter {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        other => other,
                    });
                }
                '\\' if quote == '"' => escaped = true,
                letter if letter == quote => break,
                letter => text.push(letter),
            }
        }
        self.skip(length);
        Token::Text(text)
    }

    fn number(&mut self) -> Token {
        let rest = self.rest();
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric());
        let text = &rest[..end.unwrap_or(rest.len())];
        self.skip(text.len());
        let lower = text.to_lowercase();
        let parsed = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
            (Some(digits), _) => i64::from_str_radix(digits, 16),
            (_, Some(digits)) if !digits.is_empty() => i64::from_str_radix(digits, 8),
            _ => lower.parse(),
        };
        parsed.map_or_else(|_| Token::Word(text.into()), Token::Number)
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.skip(first.len_utf8());
                continue;
            }
            if let Some(directive) = self.directive() {
                return Some(directive);
            }
            if first == '#' || rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                self.skip(2);
                self.skip_past("*/");
            } else if first == '"' || first == '\'' {
                return Some(self.string(first));
            } else if first.is_ascii_digit() {
                return Some(self.number());
            } else if first.is_ascii_alphabetic() || first == '_' {
                let end =
                    rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                self.skip(word.len());
                return Some(Token::Word(word.into()));
            } else {
                self.skip(first.len_utf8());
                return Some(Token::Mark(first));
            }
        }
    }
}
