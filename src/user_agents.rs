//! User-Agents of scanners: a built-in list, or the operator's own, in two tiers.
//!
//! Asked by SIP workers about the value of a request's User-Agent header; made once, when Kamailio
//! starts. Pure; a look-up neither allocates nor panics, and looks at no more than [`VALUE_MAX`]
//! bytes. A User-Agent is written by its sender: a known one tells, an absent or innocent one says
//! nothing.
//!
//! All patterns are in one automaton (Aho and Corasick, 1975), so that the cost depends on the
//! value alone, not on the length of the list. The crate for it has no dependencies without its
//! default features, is what Rust's regular expressions rest on, and folds case while it builds.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use aho_corasick::AhoCorasick;

/// The most bytes of a value that are looked at.
pub const VALUE_MAX: usize = 256;
/// Longest pattern in bytes.
pub const PATTERN_MAX: usize = 128;
/// Most patterns of a list.
pub const PATTERNS_MAX: usize = 10_000;

/// How sure a pattern is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Real products that are misused, and names that a product might bear.
    Suspect,
    /// Nothing else calls itself so.
    Scanner,
}

/// Where in the value the text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Whole,
    Anywhere,
}

/// One line of a list: `scanner sipcli` (a value that begins so), `scanner =smap` (exactly this
/// value), `scanner *sipvicious` (anywhere in it); `suspect …` likewise. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tier: Tier,
    place: Place,
    text: String,
}

/// Why a line is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not begin with a tier.
    Tier,
    /// Nothing behind the tier, or behind `=` or `*`.
    Empty,
    /// More than [`PATTERN_MAX`] bytes.
    Long,
    /// Something that cannot stand in a line of SIP.
    Control,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::Tier => f.write_str("does not begin with a tier"),
            PatternError::Empty => f.write_str("has no text"),
            PatternError::Long => write!(f, "has more than {PATTERN_MAX} bytes"),
            PatternError::Control => f.write_str("has a control character"),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(line: &str) -> Result<Pattern, PatternError> {
        let line = line.trim_ascii();
        let (tier, rest) = line
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((line, ""));
        let tier = match tier {
            "scanner" => Tier::Scanner,
            "suspect" => Tier::Suspect,
            _ => return Err(PatternError::Tier),
        };
        let rest = rest.trim_ascii();
        let (place, text) = if let Some(text) = rest.strip_prefix('=') {
            (Place::Whole, text.trim_ascii())
        } else if let Some(text) = rest.strip_prefix('*') {
            (Place::Anywhere, text.trim_ascii())
        } else {
            (Place::Start, rest)
        };
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > PATTERN_MAX {
            return Err(PatternError::Long);
        }
        if text.contains(char::is_control) {
            return Err(PatternError::Control);
        }
        let text = text.to_string();
        Ok(Pattern { tier, place, text })
    }
}

impl Pattern {
    /// How sure it is.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What it looks for.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn matches(&self, found: std::ops::Range<usize>, length: usize) -> bool {
        match self.place {
            Place::Anywhere => true,
            Place::Start => found.start == 0,
            Place::Whole => found.start == 0 && found.end == length,
        }
    }
}

/// The list that holds without `agent_file`. Products that customers use are suspects at most.
const BUILT_IN: &str = "
    scanner *friendly-scanner
    scanner *sipvicious
    scanner friendly-request
    scanner sipcli
    scanner VaxSIPUserAgent
    scanner VaxIPUserAgent
    scanner VaxUserAgent
    scanner pplsip
    scanner sundayddr
    scanner iWar
    scanner sip-scan
    scanner SIPScan
    scanner siparmyknife
    scanner =smap
    scanner SIVuS
    scanner Nsauditor
    scanner Gulp
    scanner sippts
    scanner voiphopper
    scanner svmap
    scanner svwar
    scanner svcrack
    scanner Nmap NSE
    scanner VoIPSec
    scanner UsaAirport
    scanner zxcvfdf11
    scanner fdgddfg546df4g8d5f
    scanner NiceGuy
    scanner QNQ
    suspect sipsak
    suspect SimpleSIP
    suspect SIP Call
    suspect Ozeki
    suspect Conaito
    suspect PortSIP
    suspect siptest
    suspect Custom SIP
    suspect SipReg
    suspect sipsorcery
    suspect SipClient
    suspect =PBX
    suspect =Trixbox
    suspect =opensip
";

/// A list, ready to be asked.
#[derive(Clone, Debug)]
pub struct UserAgents {
    patterns: Vec<Pattern>,
    automaton: AhoCorasick,
}

impl UserAgents {
    /// The list that holds without one of the operator's.
    pub fn built_in() -> UserAgents {
        let lines = BUILT_IN.lines().filter(|line| !line.trim().is_empty());
        let patterns = lines.map(|line| line.parse().expect("a built-in pattern"));
        UserAgents::new(patterns.collect())
    }

    /// The list of these patterns, which replaces the built-in one.
    ///
    /// # Panics
    /// With many more patterns than [`PATTERNS_MAX`]: the automaton has its limits.
    pub fn new(patterns: Vec<Pattern>) -> UserAgents {
        let texts = patterns.iter().map(|pattern| &pattern.text);
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(texts)
            .expect("the patterns are few and short");
        UserAgents {
            patterns,
            automaton,
        }
    }

    /// The pattern that a value of the User-Agent header matches, a scanner's before a suspect's,
    /// and of several the longest.
    pub fn find(&self, value: &[u8]) -> Option<&Pattern> {
        let seen = &value[..value.len().min(VALUE_MAX)];
        let found = self.automaton.find_overlapping_iter(seen);
        let patterns = found.filter_map(|found| {
            let pattern = self.patterns.get(found.pattern().as_usize())?;
            let matches = pattern.matches(found.range(), value.len());
            matches.then_some(pattern)
        });
        patterns.max_by_key(|pattern| (pattern.tier, pattern.text.len()))
    }

    /// How many patterns it has.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl PartialEq for UserAgents {
    fn eq(&self, other: &UserAgents) -> bool {
        self.patterns == other.patterns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(lines: &str) -> UserAgents {
        let patterns = lines.split('|').map(|line| line.parse().unwrap());
        UserAgents::new(patterns.collect())
    }

    fn found(list: &UserAgents, value: &[u8]) -> Option<(Tier, String)> {
        let pattern = list.find(value)?;
        Some((pattern.tier(), pattern.text().to_string()))
    }

    #[test]
    fn the_built_in_list_knows_scanners_and_suspects() {
        let list = UserAgents::built_in();
        for (value, tier) in [
            ("friendly-scanner", Some(Tier::Scanner)),
            ("FRIENDLY-SCANNER/2", Some(Tier::Scanner)),
            ("not so friendly-scanner", Some(Tier::Scanner)),
            ("Mozilla (sipvicious)", Some(Tier::Scanner)),
            ("sipcli/v1.8", Some(Tier::Scanner)),
            ("VaxSIPUserAgent/3.1", Some(Tier::Scanner)),
            ("smap", Some(Tier::Scanner)),
            ("Nmap NSE", Some(Tier::Scanner)),
            ("sipsak 0.9.7", Some(Tier::Suspect)),
            ("PortSIP VoIP SDK", Some(Tier::Suspect)),
            ("pbx", Some(Tier::Suspect)),
            ("smapper", None),
            ("my sipcli", None),
            ("Asterisk PBX 20.1", None),
            ("PBX 3000", None),
            ("Cisco-SIPGateway/IOS-12.x", None),
            ("eyeBeam release 1", None),
            ("CSipSimple", None),
            ("Yealink SIP-T46S 66.86.0.15", None),
            ("", None),
        ] {
            let found = list.find(value.as_bytes()).map(Pattern::tier);
            assert_eq!(found, tier, "{value}");
        }
    }

    #[test]
    fn a_pattern_stands_at_the_start_is_the_whole_or_stands_anywhere() {
        let list = list("scanner bad|scanner =evil one|scanner *wicked|suspect  wick");
        for (value, expected) in [
            ("Bad thing", Some("bad")),
            ("a bad thing", None),
            ("EVIL ONE", Some("evil one")),
            ("evil one/2", None),
            ("most wicked", Some("wicked")),
            ("wicked", Some("wicked")),
            ("wick", Some("wick")),
        ] {
            let found = list.find(value.as_bytes()).map(Pattern::text);
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn scanners_count_before_suspects_and_long_before_short() {
        let list = list("suspect sip-something|scanner sip|scanner sip-s|scanner =sip-some");
        let found = |value: &[u8]| found(&list, value);
        assert_eq!(
            found(b"sip-something"),
            Some((Tier::Scanner, "sip-s".into()))
        );
        assert_eq!(found(b"sip-some"), Some((Tier::Scanner, "sip-some".into())));
    }

    #[test]
    fn only_the_beginning_of_a_value_is_looked_at() {
        let list = list("scanner *late|scanner =early");
        let mut long = vec![b'x'; VALUE_MAX];
        long.extend_from_slice(b"late");
        assert_eq!(list.find(&long), None);
        assert!(list.find(&long[VALUE_MAX - 9..]).is_some());
        let mut exact = b"early".to_vec();
        exact.resize(VALUE_MAX + 5, b' ');
        assert_eq!(list.find(&exact), None);
    }

    #[test]
    fn broken_lines_are_told() {
        for (line, expected) in [
            ("", PatternError::Tier),
            ("sipcli", PatternError::Tier),
            ("Scanner sipcli", PatternError::Tier),
            ("scannersipcli", PatternError::Tier),
            ("scanner", PatternError::Empty),
            ("scanner  ", PatternError::Empty),
            ("suspect =", PatternError::Empty),
            ("suspect * ", PatternError::Empty),
            ("scanner a\u{1}b", PatternError::Control),
            (
                &format!("scanner {}", "x".repeat(PATTERN_MAX + 1)),
                PatternError::Long,
            ),
        ] {
            assert_eq!(line.parse::<Pattern>(), Err(expected), "{line}");
        }
    }

    #[test]
    fn an_empty_list_finds_nothing() {
        let list = UserAgents::new(Vec::new());
        assert!(list.is_empty());
        assert_eq!(list.find(b"friendly-scanner"), None);
        assert_ne!(list, UserAgents::built_in());
    }

    proptest! {
        #[test]
        fn the_automaton_answers_as_a_loop_does(
            lines in prop::collection::vec("(scanner|suspect) [=*]?[abc]{1,4}", 0..30),
            value in "[abcABC]{0,12}",
        ) {
            let patterns: Vec<Pattern> = lines.iter().map(|line| line.parse().unwrap()).collect();
            let value = value.to_ascii_lowercase();
            let matching = patterns.iter().filter(|pattern| match pattern.place {
                Place::Start => value.starts_with(&pattern.text),
                Place::Whole => value == pattern.text,
                Place::Anywhere => value.contains(&pattern.text),
            });
            let expected = matching.map(|pattern| (pattern.tier, pattern.text.len())).max();
            let list = UserAgents::new(patterns.clone());
            let found = list.find(value.to_ascii_uppercase().as_bytes());
            prop_assert_eq!(found.map(|pattern| (pattern.tier, pattern.text.len())), expected);
        }

        #[test]
        fn nothing_panics(value in prop::collection::vec(any::<u8>(), 0..600), line: String) {
            let _ = UserAgents::built_in().find(&value);
            let _ = line.parse::<Pattern>();
        }
    }
}
