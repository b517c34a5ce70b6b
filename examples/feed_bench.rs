//! A feed of 1,000,000 mixed prefixes: how long it takes to load, how much memory it takes, and
//! nanoseconds per look-up, hit and miss, where SIP workers look: in shared memory.
//!
//! `cargo run --release --example feed_bench [file]`; with a file, the list is also written there.
//! Half are IPv4 addresses, a fifth IPv4 networks, the rest IPv6 addresses and networks.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use sec::feed::{Format, Guard, List, Place, merge, read};
use sec::shared::region::Region;
use sec::shared::snapshot::{Section, Snapshot, prefix_words};

const PREFIXES: usize = 1_000_000;
const QUERIES: usize = 1 << 20;
/// Questions in a row, which take less than a millisecond.
const BATCH: usize = 1 << 11;
/// Each measurement is repeated so often, and the median counts.
const RUNS: usize = 7;
/// The default of `snapshot_size`, in MB.
const SNAPSHOT: usize = 64;

/// A small generator (xorshift64*): the same list in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// An IPv4 address between 11.0.0.0 and 98.255.255.255, where nothing is reserved.
    fn v4(&mut self) -> u32 {
        let roll = self.roll() >> 32;
        (0x0b00_0000 + roll % 0x5800_0000) as u32
    }

    /// An IPv6 address in 2a00::/12, where half of the world's providers are.
    fn v6(&mut self) -> u128 {
        0x2a00 << 112
            | u128::from(self.roll() >> 4) << 56
            | u128::from(self.roll()) & ((1 << 64) - 1)
    }

    fn address(&mut self) -> IpAddr {
        match self.roll() >> 40 & 3 {
            0 => Ipv6Addr::from(self.v6()).into(),
            _ => Ipv4Addr::from(self.v4()).into(),
        }
    }
}

fn list(dice: &mut Dice) -> String {
    let mut text = String::new();
    for number in 0..PREFIXES {
        let (v4, v6) = (Ipv4Addr::from(dice.v4()), Ipv6Addr::from(dice.v6()));
        let _ = match number % 10 {
            0..5 => writeln!(text, "{v4}"),
            5 | 6 => writeln!(text, "{v4}/{}", 20 + dice.roll() % 9),
            7 => writeln!(text, "{v6}"),
            _ => writeln!(text, "{v6}/{}", 40 + dice.roll() % 25),
        };
    }
    text
}

/// The median of some runs, in milliseconds.
fn timed<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        last = Some(run());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], last.expect("it was run"))
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut dice = Dice(0x5ec);
    let text = list(&mut dice);
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(&path, &text).expect("the list can be written");
    }
    let guard = Guard::new(&[]);
    let (reading_ms, reading) = timed(|| read(&Format::List, text.as_bytes(), &guard, 1));
    let reading = reading.expect("it is a list");
    let entries = &reading.entries;
    println!(
        "{} lines, {:.1} MB of text: {} entries, {} skipped",
        PREFIXES,
        text.len() as f64 / 1e6,
        entries.len(),
        reading.skipped
    );
    let lists = [List {
        feed: 0,
        strictness: 2,
        entries,
    }];
    let (merging_ms, words) = timed(|| prefix_words(&merge(&lists, &guard)));
    println!(
        "read {reading_ms:.0} ms, put into a map {merging_ms:.0} ms, {:.1} MB in shared memory, \
         {:.1} MB of entries in the agent",
        words.len() as f64 * 8.0 / 1e6,
        size_of_val(&entries[..]) as f64 / 1e6
    );
    let size = Snapshot::words(SNAPSHOT);
    let mut region = Region::new(size).expect("there is memory");
    let snapshot = Snapshot::new(region.take(size));
    look_up(snapshot, &mut dice, "an empty snapshot", false);
    let mut writer = snapshot.writer();
    writer
        .set(Section::Feeds, Some(words))
        .expect("it fits the default snapshot_size");
    for what in ["of the feed", "after it, to the other arena", "after that"] {
        let small = vec![0; 1000];
        writer.set(Section::Bans, Some(small)).expect("it fits");
        let start = Instant::now();
        writer.publish();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        println!("a publication {what}: {ms:.3} ms");
    }
    println!("resident: {} MB", resident_kb() / 1024);
    look_up(snapshot, &mut dice, "miss, random addresses", false);
    let mut hits: Vec<IpAddr> = (0..QUERIES)
        .map(|_| entries[dice.roll() as usize % entries.len()].prefix)
        .map(|prefix| prefix.first_address())
        .collect();
    measure(snapshot, "hit, random entries", &hits, Some(true));
    hits.truncate(1024);
    let few: Vec<IpAddr> = (0..QUERIES).map(|at| hits[at % hits.len()]).collect();
    measure(snapshot, "hit, a thousand of them", &few, Some(true));
    let words = words_of(snapshot);
    println!(
        "a random cache line of as much memory: {:.1} ns",
        physical(words)
    );
}

/// How many words the feed takes, to compare with a plain table of that size.
fn words_of(snapshot: Snapshot) -> usize {
    let words = snapshot.read(&[Section::Feeds], |view| {
        view.words(Section::Feeds).map_or(0, <[_]>::len)
    });
    words.unwrap_or(0)
}

fn look_up(snapshot: Snapshot, dice: &mut Dice, what: &str, hit: bool) {
    let addresses: Vec<IpAddr> = (0..QUERIES).map(|_| dice.address()).collect();
    measure(snapshot, what, &addresses, (hit).then_some(true));
}

fn measure(snapshot: Snapshot, what: &str, addresses: &[IpAddr], all: Option<bool>) {
    let ask = |address: &&IpAddr| {
        let read = snapshot.read(&[Section::Feeds], |view| {
            let value = view.prefixes(Section::Feeds)?.get(**address)?;
            Place::of(value)
        });
        black_box(read).ok().flatten().is_some()
    };
    let mut found = 0;
    let ns = batches(addresses, |batch| found += batch.iter().filter(ask).count());
    println!("{what}: {ns:.1} ns ({found} of {} found)", addresses.len());
    assert!(all.is_none() || found == addresses.len());
}

/// Nanoseconds for each item: the median of batches that are short enough for nobody to come in
/// between.
fn batches<T>(items: &[T], mut run: impl FnMut(&[T])) -> f64 {
    let mut times: Vec<f64> = items
        .chunks_exact(BATCH)
        .map(|batch| {
            let start = Instant::now();
            run(batch);
            start.elapsed().as_secs_f64() * 1e9 / BATCH as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds of one read at a random place of so many words, when the next place is known only
/// after it: what memory takes at least.
fn physical(words: usize) -> f64 {
    let mut dice = Dice(7);
    // One cycle through all cache lines (Sattolo's shuffle); each line says which one is next.
    let lines = (words / 8).max(2);
    let mut next: Vec<usize> = (0..lines).collect();
    for line in (1..lines).rev() {
        next.swap(line, dice.roll() as usize % line);
    }
    let mut table = vec![0; lines * 8];
    for (line, next) in next.into_iter().enumerate() {
        table[line * 8] = next * 8;
    }
    let mut place = 0;
    let steps: Vec<()> = vec![(); QUERIES];
    let ns = batches(&steps, |batch| {
        for () in batch {
            place = black_box(table[place]);
        }
    });
    assert!(place < table.len());
    ns
}
