//! The program `nft`, run as a child process: JSON in, JSON out, as libnftables-json(5) has it.
//!
//! Used by `firewall.rs`. No shell is involved, what is read from the child is bounded in size and
//! in time, and a child that hangs is ended. With the agent's death its input ends, and half a
//! transaction is none.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::blocklist::Barred;
use crate::config::NftSets;
use crate::engine::facts::{FOREVER, Now};

/// Where the program may be. Not where the environment says: this is run with rights.
const PLACES: [&str; 4] = [
    "/usr/sbin/nft",
    "/sbin/nft",
    "/usr/bin/nft",
    "/usr/local/sbin/nft",
];
/// How long it may take: a quarter of a million addresses are a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes that are read of what it says.
const OUTPUT_MAX: u64 = 1 << 16;
/// Longest complaint of it that is repeated, in characters.
const COMPLAINT_MAX: usize = 120;

/// How to run it.
pub struct Nft {
    places: &'static [&'static str],
}

impl Nft {
    /// The one that is installed.
    pub fn new() -> Nft {
        Nft { places: &PLACES }
    }

    /// Whether the sets are there and can take addresses and networks with an end.
    ///
    /// # Errors
    /// A sentence that names the set, or what is missing.
    pub async fn verify(&self, sets: &NftSets) -> Result<(), String> {
        for (kind, set) in pairs(sets) {
            let place = place(sets, set);
            let command = json!({"nftables": [{"list": {"set": place}}]});
            // Terse: without what is in it.
            let said = self.run(&["-t"], &command).await;
            let said = said.map_err(|problem| explained(problem, sets, set))?;
            verify_one(&said, kind)
                .map_err(|problem| format!("the set {} {problem}", named(sets, set)))?;
        }
        Ok(())
    }

    /// Makes the bans what the sets hold, all in one transaction.
    ///
    /// # Errors
    /// A sentence; then the sets hold what they held.
    pub async fn fill(&self, sets: &NftSets, bans: &[Barred], now: Now) -> Result<(), String> {
        let mut commands = Vec::new();
        for (kind, set) in pairs(sets) {
            commands.push(json!({"flush": {"set": place(sets, set)}}));
            let wanted = bans.iter().filter(|ban| ban.prefix.is_ipv4() == kind.ipv4);
            let elements: Vec<Value> = wanted.map(|ban| element(ban, now)).collect();
            if !elements.is_empty() {
                let mut place = place(sets, set);
                place["elem"] = Value::Array(elements);
                commands.push(json!({"add": {"element": place}}));
            }
        }
        let filled = self.run(&[], &json!({"nftables": commands})).await;
        filled
            .map(drop)
            .map_err(|problem| explained(problem, sets, "?"))
    }

    async fn run(&self, options: &[&str], commands: &Value) -> Result<String, Problem> {
        let program = self.places.iter().find(|place| {
            let found = std::fs::metadata(place);
            found.is_ok_and(|found| found.is_file())
        });
        let program = program.ok_or(Problem::NoProgram)?;
        let done = timeout(PATIENCE, converse(program, options, commands)).await;
        let done = done.map_err(|_| Problem::Silent)?;
        let (said, complaint, success) = done.map_err(Problem::NotRun)?;
        match success {
            true => Ok(said),
            false => Err(Problem::Refused(complaint)),
        }
    }
}

/// Runs it once: what it said, what it complained about, and whether it did what it was told.
async fn converse(
    program: &str,
    options: &[&str],
    commands: &Value,
) -> io::Result<(String, String, bool)> {
    let mut child = Command::new(program)
        .args(options)
        .args(["-j", "-f", "-"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    let (output, complaints) = (child.stdout.take(), child.stderr.take());
    let text = commands.to_string();
    let write = async {
        if let Some(mut input) = input {
            // A child that ends before it has read everything says why.
            let _ = input.write_all(text.as_bytes()).await;
        }
    };
    let (_, said, complaint, status) =
        tokio::join!(write, start_of(output), start_of(complaints), child.wait());
    Ok((said, complaint, status?.success()))
}

/// The start of what a child says; the rest is read and dropped, so that it does not wait for us.
async fn start_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut start = Vec::new();
    if let Some(mut stream) = stream {
        let read = (&mut stream).take(OUTPUT_MAX).read_to_end(&mut start).await;
        if read.is_ok() {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
    String::from_utf8_lossy(&start).into_owned()
}

/// Why it did not work.
#[derive(Debug)]
enum Problem {
    /// The program is not installed.
    NoProgram,
    /// It cannot be run.
    NotRun(io::Error),
    /// It did not end in time.
    Silent,
    /// It ended with an error, and this.
    Refused(String),
}

/// What a set has to be.
#[derive(Clone, Copy)]
struct Kind {
    ipv4: bool,
    type_name: &'static str,
}

fn pairs(sets: &NftSets) -> impl Iterator<Item = (Kind, &str)> {
    let kind = |ipv4, type_name| Kind { ipv4, type_name };
    let v4 = sets
        .v4
        .iter()
        .map(move |set| (kind(true, "ipv4_addr"), set));
    let v6 = sets
        .v6
        .iter()
        .map(move |set| (kind(false, "ipv6_addr"), set));
    v4.chain(v6).map(|(kind, set)| (kind, set.as_str()))
}

fn place(sets: &NftSets, set: &str) -> Value {
    json!({"family": sets.family, "table": sets.table, "name": set})
}

fn named(sets: &NftSets, set: &str) -> String {
    format!("{} {} {set}", sets.family, sets.table)
}

/// One ban as an element, with what is left of its time.
fn element(ban: &Barred, now: Now) -> Value {
    let address = ban.prefix.first_address().to_string();
    let value = match ban.prefix.is_address() {
        true => json!(address),
        false => json!({"prefix": {"addr": address, "len": ban.prefix.length()}}),
    };
    if ban.value == FOREVER {
        return value;
    }
    let left = ban.value.saturating_sub(now.ms()).div_ceil(1000).max(1);
    json!({"elem": {"val": value, "timeout": left}})
}

/// What is wrong with a set, by what `list set` said of it.
fn verify_one(said: &str, kind: Kind) -> Result<(), String> {
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let listed = said["nftables"].as_array().into_iter().flatten();
    let set = listed.map(|part| &part["set"]).find(|set| set.is_object());
    let set = set.ok_or("is not shown by nft")?;
    let type_name = kind.type_name;
    if set["type"] != type_name {
        return Err(format!("is not of the type {type_name}"));
    }
    for flag in ["timeout", "interval"] {
        let has = |flags: &Value| match flags {
            Value::Array(flags) => flags.iter().any(|one| one == flag),
            one => one == flag,
        };
        if !has(&set["flags"]) {
            return Err(format!("lacks the flag {flag}"));
        }
    }
    Ok(())
}

/// A problem as a sentence.
fn explained(problem: Problem, sets: &NftSets, set: &str) -> String {
    match problem {
        Problem::NoProgram => format!("there is no program nft ({})", PLACES.join(", ")),
        Problem::NotRun(error) => format!("nft cannot be run: {error}"),
        Problem::Silent => format!("nft did not end within {} s", PATIENCE.as_secs()),
        Problem::Refused(complaint) if complaint.contains("Operation not permitted") => {
            "no right to change the firewall: the server lacks CAP_NET_ADMIN".into()
        }
        Problem::Refused(complaint) if complaint.contains("No such file") && set != "?" => {
            format!("there is no set {}", named(sets, set))
        }
        Problem::Refused(complaint) => {
            let line = complaint.lines().find(|line| !line.trim().is_empty());
            let line = line.unwrap_or("no reason").trim();
            let line = line.strip_prefix("internal:0:0-0: ").unwrap_or(line);
            let line: String = line.chars().take(COMPLAINT_MAX).collect();
            format!("nft refuses: {line}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cidr::Block;

    fn sets() -> NftSets {
        NftSets {
            family: "inet".into(),
            table: "filter".into(),
            v4: Some("a".into()),
            v6: None,
        }
    }

    #[test]
    fn an_element_has_what_is_left_of_its_time() {
        let now = Now::from_ns(5_000_000_000);
        for (prefix, until, expected) in [
            (
                "192.0.2.1",
                65_000,
                json!({"elem": {"val": "192.0.2.1", "timeout": 60}}),
            ),
            (
                "192.0.2.1",
                5_001,
                json!({"elem": {"val": "192.0.2.1", "timeout": 1}}),
            ),
            ("192.0.2.1", FOREVER, json!("192.0.2.1")),
            (
                "2001:db8::/64",
                6_000,
                json!({"elem": {
                    "val": {"prefix": {"addr": "2001:db8::", "len": 64}}, "timeout": 1
                }}),
            ),
        ] {
            let prefix = prefix.parse().unwrap();
            let ban = Block {
                prefix,
                value: until,
            };
            assert_eq!(element(&ban, now), expected);
        }
    }

    #[test]
    fn a_set_of_the_wrong_kind_is_named() {
        let kind = Kind {
            ipv4: true,
            type_name: "ipv4_addr",
        };
        let listed = |set: Value| json!({"nftables": [{"metainfo": {}}, {"set": set}]}).to_string();
        let both = json!(["interval", "timeout"]);
        let right = listed(json!({"type": "ipv4_addr", "flags": both}));
        assert_eq!(verify_one(&right, kind), Ok(()));
        for (said, problem) in [
            (String::new(), "is not shown"),
            ("{\"nftables\":[]}".into(), "is not shown"),
            (
                listed(json!({"type": "ipv6_addr", "flags": both})),
                "the type ipv4_addr",
            ),
            (
                listed(json!({"type": ["ipv4_addr", "inet_service"], "flags": both})),
                "the type ipv4_addr",
            ),
            (listed(json!({"type": "ipv4_addr"})), "the flag timeout"),
            (
                listed(json!({"type": "ipv4_addr", "flags": ["timeout"]})),
                "the flag interval",
            ),
            (
                listed(json!({"type": "ipv4_addr", "flags": "interval"})),
                "the flag timeout",
            ),
        ] {
            let error = verify_one(&said, kind).unwrap_err();
            assert!(error.contains(problem), "{said}: {error}");
        }
    }

    #[test]
    fn what_it_complains_about_becomes_one_line() {
        for (complaint, sentence) in [
            (
                "internal:0:0-0: Error: Could not process rule: No space left on device\n\n",
                "nft refuses: Error: Could not process rule: No space left on device",
            ),
            (
                "internal:0:0-0: Error: No such file or directory\n",
                "there is no set inet filter a",
            ),
            (
                "Operation not permitted (you must be root)\nnetlink: Error: cache\n",
                "no right to change the firewall: the server lacks CAP_NET_ADMIN",
            ),
            ("", "nft refuses: no reason"),
        ] {
            let problem = Problem::Refused(complaint.into());
            assert_eq!(explained(problem, &sets(), "a"), sentence);
        }
        let long = explained(Problem::Refused("x".repeat(5000)), &sets(), "a");
        assert!(long.len() < 160, "{long}");
    }

    fn run(places: &'static [&'static str], sets: &NftSets) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(Nft { places }.verify(sets))
    }

    #[test]
    fn a_program_that_is_missing_or_talks_nonsense_is_no_set() {
        let missing = run(&["/nonexistent/nft"], &sets()).unwrap_err();
        assert!(missing.starts_with("there is no program nft"), "{missing}");
        // Programs that ignore what they are told.
        let nonsense = run(&["/bin/true"], &sets()).unwrap_err();
        assert_eq!(nonsense, "the set inet filter a is not shown by nft");
        let refused = run(&["/bin/false"], &sets()).unwrap_err();
        assert_eq!(refused, "nft refuses: no reason");
        let not_a_program = run(&["/etc/passwd"], &sets()).unwrap_err();
        assert!(
            not_a_program.starts_with("nft cannot be run"),
            "{not_a_program}"
        );
    }
}
