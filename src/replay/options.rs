//! The command line of `sec-replay`.
//!
//! Called once at its start.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// Sources and changes in the tables, unless said otherwise.
const COUNT: usize = 20;

/// What `--help` prints.
pub const HELP: &str = "\
sec-replay --config FILE [options] CAPTURE

Runs the modparam(\"sec\", ...) lines of a Kamailio configuration over captured SIP traffic, and says
who would have been denied, when, why, and for how long. It changes nothing and asks nobody.

  CAPTURE              pcap or pcapng, such as `tcpdump -w CAPTURE udp port 5060` writes
  --config FILE        the configuration; included files are followed
  --define NAME[=VAL]  as Kamailio's -A; repeatable
  --local ADDRESS      an address of the server; repeatable. Without it: the address that most
                       requests went to, one of each family
  --svg FILE           also draws a timeline
  --csv FILE           also writes every request with its verdict
  --count N            lines in each table; 0 is all of them (20)
  --help, --version
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A replay.
    Replay(Box<Options>),
    /// A text to print, and that is all.
    Text(String),
}

/// What a replay is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The capture.
    pub capture: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// The server's addresses.
    pub local: Vec<IpAddr>,
    /// Where the timeline goes.
    pub svg: Option<PathBuf>,
    /// Where the verdicts go.
    pub csv: Option<PathBuf>,
    /// Lines in a table.
    pub count: usize,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A sentence.
pub fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut options = Options {
        count: COUNT,
        ..Options::default()
    };
    let mut captures: Vec<PathBuf> = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (name, joined) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text.as_str(), None),
        };
        let mut value = || {
            let value = joined.clone().or_else(|| arguments.next());
            value.ok_or_else(|| format!("{name} needs a value; see --help"))
        };
        match name {
            "--help" | "-h" => return Ok(Asked::Text(HELP.into())),
            "--version" => {
                return Ok(Asked::Text(format!(
                    "sec-replay {}\n",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            "--config" => options.config = value()?.into(),
            "--svg" => options.svg = Some(value()?.into()),
            "--csv" => options.csv = Some(value()?.into()),
            "--define" => options.defines.push(value()?.to_string_lossy().into()),
            "--local" => {
                let text = value()?.to_string_lossy().into_owned();
                let address: Result<IpAddr, _> = text.trim_matches(['[', ']']).parse();
                let address =
                    address.map_err(|_| format!("--local: \"{text}\" is not an IP address"))?;
                options.local.push(address.to_canonical());
            }
            "--count" => {
                let text = value()?.to_string_lossy().into_owned();
                let count = text.parse();
                options.count =
                    count.map_err(|_| format!("--count: \"{text}\" is not a number"))?;
            }
            _ if name.starts_with("--") => {
                return Err(format!("there is no option {name}; see --help"));
            }
            _ => captures.push(argument.into()),
        }
    }
    if options.config.as_os_str().is_empty() {
        return Err("--config FILE is missing; see --help".into());
    }
    let Ok([capture]) = <[PathBuf; 1]>::try_from(captures) else {
        return Err("one capture is needed, after the options; see --help".into());
    };
    options.capture = capture;
    Ok(Asked::Replay(Box::new(options)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Asked, String> {
        read(words.iter().map(OsString::from))
    }

    #[test]
    fn options_come_in_any_order() {
        let expected = Options {
            capture: "a.pcap".into(),
            config: "k.cfg".into(),
            defines: vec!["A=b=c".into()],
            local: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            svg: Some("o.svg".into()),
            csv: None,
            count: 7,
        };
        let words = [
            "--count=7",
            "a.pcap",
            "--config",
            "k.cfg",
            "--define",
            "A=b=c",
            "--local",
        ];
        let more = [
            "::ffff:192.0.2.1",
            "--local=[2001:db8::1]",
            "--svg",
            "o.svg",
        ];
        let asked = asked(&[&words[..], &more].concat());
        assert_eq!(asked, Ok(Asked::Replay(Box::new(expected))));
    }

    #[test]
    fn mistakes_are_named() {
        for (words, part) in [
            (&["a.pcap"][..], "--config FILE is missing"),
            (&["--config", "k.cfg"], "one capture is needed"),
            (&["--config", "k.cfg", "a", "b"], "one capture is needed"),
            (&["--config"], "--config needs a value"),
            (
                &["--local", "here"],
                "--local: \"here\" is not an IP address",
            ),
            (&["--count", "-1"], "--count: \"-1\" is not a number"),
            (&["--confg", "k.cfg"], "there is no option --confg"),
        ] {
            let error = asked(words).expect_err("it is refused");
            assert!(error.contains(part), "{error}");
        }
        assert!(matches!(asked(&["--help"]), Ok(Asked::Text(text)) if text.contains("--svg")));
    }
}
