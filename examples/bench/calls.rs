//! The cost of a call inside the script: hot sources, sources at random, sources with a state, and
//! what lists and further rates add; `sec` beside what else is asked about a source.
//!
//! `sec_check` counts an address once a message and remembers the last four: so a loop goes through
//! ten addresses or more before it comes back to the first. The loop about one source calls a function
//! that only the build for the bench has: it forgets the message and is then the same.

use std::fmt::Write as _;
use std::path::Path;

use super::host::Config;
use super::loops::{Bench, Loop, UNROLLED};
use super::report::Row;

/// Turns in one round.
const TURNS: usize = 200_000;
/// A limit that no loop reaches: every charge costs what it costs.
const ENDLESS: &str = "limit=4000000000;window=1d";
/// Populations, as powers of two.
const POPULATIONS: [(u32, &str); 5] = [
    (10, "1k"),
    (14, "16k"),
    (17, "131k"),
    (20, "1M"),
    (22, "4M"),
];
const EXTENSIONS: usize = 100_000;
/// Entries of the lists that peers go through.
const LISTED: usize = 10_000;

/// Ten sources in turn, and those that have a state.
pub fn hot() -> Vec<Row> {
    let hosts = |id: &str, name: &str, net: &str, function: &str| {
        Loop::over_hosts(id, name, &format!("{function}(\"{net}.{{}}\");"), TURNS)
    };
    let loops = vec![
        Loop::of("empty", "empty", "", TURNS),
        Loop::of(
            "pikereq",
            "pike_check_req, one source",
            "pike_check_req();",
            TURNS,
        ),
        hosts(
            "pike",
            "pike_check_ip, ten sources",
            "10.1.0",
            "pike_check_ip",
        ),
        Loop::of(
            "anew",
            "sec_check, the request's own source",
            "sec_check_anew();",
            TURNS,
        ),
        hosts("sec", "sec_check, ten sources", "10.1.0", "sec_check"),
        hosts(
            "banned",
            "sec_check, ten banned sources",
            "10.2.0",
            "sec_check",
        ),
        hosts(
            "entry",
            "sec_check, ten with a whitelist entry",
            "10.3.0",
            "sec_check",
        ),
        Loop::of(
            "own",
            "sec_is_banned, the request's own source",
            "sec_is_banned();",
            TURNS,
        ),
        hosts(
            "isbanned",
            "sec_is_banned, ten sources",
            "10.1.0",
            "sec_is_banned",
        ),
    ];
    let config = pike(endless())
        .param("whitelist_rate", ENDLESS)
        .param("ban_max_time", "1d");
    let mut bench = Bench::new("Hot sources, a call in the script", config, loops);
    for host in 1..=UNROLLED {
        bench.orders.push(words(&format!("sec.ban 10.2.0.{host}")));
        bench
            .orders
            .push(words(&format!("sec.whitelist_add 10.3.0.{host}")));
    }
    bench.measure()
}

/// Ten sources in the static whitelist.
pub fn listed() -> Vec<Row> {
    let (name, line) = (
        "sec_check, ten in the static whitelist",
        "sec_check(\"10.4.0.{}\");",
    );
    let loops = vec![
        Loop::of("empty", "empty", "", TURNS),
        Loop::over_hosts("listed", name, line, TURNS),
    ];
    let config = endless().param("whitelist", "10.4.0.0/24");
    Bench::new("Hot sources, a call in the script", config, loops).measure()
}

/// The same with four rates instead of one.
pub fn four_rates() -> Vec<Row> {
    let rate = |name: &str| format!("name={name};{ENDLESS}");
    let config = endless()
        .param("rate", &*rate("second"))
        .param("rate", &*rate("third"))
        .param("rate", &*rate("fourth"));
    let line = "sec_check(\"10.1.0.{}\");";
    let loops = vec![
        Loop::of("empty", "empty", "", TURNS),
        Loop::over_hosts("four", "sec_check, ten sources, four rates", line, TURNS),
    ];
    Bench::new("Hot sources, a call in the script", config, loops).measure()
}

/// A REGISTER of a user who exists, among many.
pub fn extensions() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("extensions");
    let mut list = String::from("7000\n");
    for number in 0..EXTENSIONS {
        let _ = writeln!(list, "user{number}");
    }
    std::fs::write(&file, list).expect("the list can be written");
    let line = "sec_check(\"10.1.0.{}\");";
    let loops = vec![
        Loop::of("empty", "empty", "", TURNS),
        Loop::over_hosts(
            "extensions",
            "sec_check, ten sources, 100,000 extensions",
            line,
            TURNS,
        ),
    ];
    let config = endless().param("extension_file", &*file);
    let mut bench = Bench::new("Hot sources, a call in the script", config, loops);
    bench.method = "REGISTER";
    bench.measure()
}

/// What else a script may ask about a source, with lists of ten thousand.
pub fn peers() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let config = lists(endless(), folder.path());
    let turns = 20_000;
    let loops = vec![
        Loop::of("empty", "empty", "", turns),
        Loop::of(
            "permissions",
            "permissions, allow_source_address, 10,000 subnets",
            "allow_source_address(\"1\");",
            turns,
        ),
        Loop::of(
            "secfilter",
            "secfilter, secf_check_ip, 10,000 entries",
            "secf_check_ip();",
            turns,
        ),
        Loop::of(
            "htable",
            "htable, $sht(ipban=>$si), empty",
            "if ($sht(ipban=>$si) != $null) exit;",
            turns,
        ),
    ];
    Bench::new("Peers, a call in the script", config, loops).measure()
}

/// Sources at random out of more and more, each time in a server of its own: what the tables hold
/// is what was asked about.
pub fn populations() -> Vec<Row> {
    let apart = |(bits, name): (u32, &'static str)| {
        let thread = std::thread::spawn(move || population(bits, name));
        thread.join().expect("it is measured")
    };
    POPULATIONS.into_iter().flat_map(apart).collect()
}

fn population(bits: u32, population: &str) -> Vec<Row> {
    let mut loops = Vec::new();
    let mut add = |id: &str, name: &str, question: &str| {
        loops.push(Loop {
            warm: 1 << bits,
            ..Loop::of(id, name, &walk(bits, question), TURNS)
        });
    };
    add("empty", "empty", "");
    if bits <= 20 {
        let name = format!("pike_check_ip, {population} sources at random");
        add("pike", &name, "pike_check_ip(\"$var(ip)\");");
    }
    let name = format!("sec_check, {population} sources at random");
    add("sec", &name, "sec_check(\"$var(ip)\");");
    let config = pike(endless()).param("table_size", 4 << 20).memory(768);
    Bench::new("Sources at random, a call in the script", config, loops).measure()
}

/// One worker, and two at once: about the same ten sources, and about ten others.
pub fn workers() -> Vec<Row> {
    let over = |id: &str, name: &str, body: &str| Loop::over_hosts(id, name, body, TURNS);
    let mut loops = Vec::new();
    for (id, beside) in [
        ("one", None),
        ("same", Some("10.1.0")),
        ("other", Some("10.2.0")),
    ] {
        let said = match id {
            "one" => "one worker",
            "same" => "two at once, the same ten sources",
            _ => "two at once, ten sources each",
        };
        let mut add = |function: &str| {
            let line = |net: &str| match function {
                "empty" => String::new(),
                _ => format!("{function}(\"{net}.{{}}\");"),
            };
            let name = match function {
                "empty" => function.to_owned(),
                _ => format!("{function}, {said}"),
            };
            let short = function.split('_').next().unwrap_or_default();
            let beside = beside.map(|net| over("", "", &line(net)).body);
            loops.push(Loop {
                beside,
                ..over(&format!("{short}{id}"), &name, &line("10.1.0"))
            });
        };
        add("empty");
        add("pike_check_ip");
        add("sec_check");
    }
    let config = pike(endless()).workers(2);
    Bench::new("Two workers, a call in the script", config, loops).measure()
}

/// The next address of a walk through a population: a full-period linear congruence, so that
/// neighbours in time are not neighbours in memory.
fn walk(bits: u32, question: &str) -> String {
    let mask = (1_u32 << bits) - 1;
    format!(
        "$var(n) = ($var(n) * 1664525 + 1013904223) & {mask};\n\
         $var(ip) = \"10.\" + ($var(n) >> 16) + \".\" + (($var(n) >> 8) & 255) + \".\" + ($var(n) & 255);\n\
         {question}"
    )
}

/// A server whose limit nobody reaches.
pub fn endless() -> Config {
    Config::new().param("rate", &*format!("name=burst;{ENDLESS}"))
}

fn pike(config: Config) -> Config {
    config
        .extra("loadmodule \"pike.so\"")
        .extra("modparam(\"pike\", \"reqs_density_per_unit\", 60000)")
        .extra("modparam(\"pike\", \"sampling_time_unit\", 2)")
}

/// The lists of `permissions` and `secfilter`, and an empty `htable`.
pub fn lists(config: Config, folder: &Path) -> Config {
    let mut addresses = String::new();
    let mut filter = String::from("id(int,auto) action(int) type(int) data(string)\n");
    for number in 0..LISTED {
        let (high, low) = (number >> 8, number & 255);
        let _ = writeln!(addresses, "1 20.{high}.{low}.0 24 0");
        let _ = writeln!(filter, "{number}:0:3:20.{high}.{low}.");
    }
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("the list can be written");
    };
    write("address", &addresses);
    write("secfilter", &filter);
    write(
        "version",
        "id(int,auto) table_name(string) table_version(int)\n0:secfilter:1\n",
    );
    let folder = folder.display();
    config
        .memory(128)
        .extra("loadmodule \"db_text.so\"\nloadmodule \"permissions.so\"")
        .extra("loadmodule \"secfilter.so\"\nloadmodule \"htable.so\"")
        .extra(&format!(
            "modparam(\"permissions\", \"address_file\", \"{folder}/address\")"
        ))
        .extra("modparam(\"permissions\", \"max_subnets\", 20000)")
        .extra(&format!(
            "modparam(\"secfilter\", \"db_url\", \"text://{folder}\")"
        ))
        .extra("modparam(\"htable\", \"htable\", \"ipban=>size=16;autoexpire=300;\")")
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}
