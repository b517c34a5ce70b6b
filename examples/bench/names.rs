//! Microseconds of one look-up among 100,000 names, by kind of query: p50 and p99, in this process.
//!
//! Half of the names are `first.last`, a fifth
//! departments with a number, the rest numbers of four to six digits.

use sec::extension::{Extensions, Judgement, Mask, Names, NamesBuilder};
use std::hint::black_box;
use std::time::Instant;

use super::report::Row;

const PART: &str = "A user among 100,000 names (median)";
const NAMES: usize = 100_000;
const QUERIES: usize = 2_000;
/// Each query is timed so often, and the least counts: the rest is other work on the machine.
const RUNS: usize = 5;

/// A small generator (xorshift64*): the same names in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len())]
    }

    /// Something that can be said, of so many syllables.
    fn word(&mut self, syllables: usize) -> String {
        let starts = [
            "b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "j",
        ];
        let sounds = ["a", "e", "i", "o", "u", "an", "er", "io", "el"];
        let parts = (0..syllables).map(|_| self.pick(&starts).to_string() + self.pick(&sounds));
        parts.collect()
    }
}

fn names(dice: &mut Dice) -> Vec<String> {
    let departments = [
        "sales",
        "support",
        "reception",
        "lobby",
        "warehouse",
        "billing",
        "pbx",
    ];
    (0..NAMES)
        .map(|index| match index % 10 {
            0..5 => {
                let (first, last) = (2 + dice.roll(2), 2 + dice.roll(3));
                format!("{}.{}", dice.word(first), dice.word(last))
            }
            5 | 6 => format!("{}-{}", dice.pick(&departments), dice.roll(9999)),
            _ => (1000 + dice.roll(999_000)).to_string(),
        })
        .collect()
}

/// One character taken away, doubled or changed.
fn slip(dice: &mut Dice, name: &str) -> String {
    let mut slip: Vec<char> = name.chars().collect();
    let place = dice.roll(slip.len());
    match dice.roll(3) {
        0 => drop(slip.remove(place)),
        1 => slip.insert(place, slip[place]),
        _ => slip[place] = 'x',
    }
    slip.into_iter().collect()
}

/// What is meant to cost: letters in the proportions of the list, of its usual lengths, that make
/// no name.
fn hostile(dice: &mut Dice, list: &[String]) -> String {
    let mut letters: Vec<char> = list[dice.roll(list.len())].chars().collect();
    let other: Vec<char> = list[dice.roll(list.len())].chars().collect();
    let half = letters.len() / 2;
    letters.truncate(half);
    letters.extend(other.iter().rev().take(other.len() / 2 + 1));
    for place in (1..letters.len()).rev() {
        letters.swap(place, dice.roll(place + 1));
    }
    letters.into_iter().collect()
}

fn measured(kind: &str, names: &Names, masks: &[Mask], queries: &[String]) -> Row {
    let extensions = Extensions {
        masks,
        names: names.table(),
    };
    let mut judged = [0usize; 5];
    let mut micros: Vec<f64> = queries
        .iter()
        .map(|query| {
            let once = |_| {
                let start = Instant::now();
                let judgement = extensions.judge(black_box(query.as_bytes()), b"example.com", 80);
                (start.elapsed().as_nanos() as f64 / 1000.0, judgement)
            };
            let (least, judgement) = (0..RUNS)
                .map(once)
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("it was run");
            judged[judgement as usize] += 1;
            least
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    assert_eq!(judged[Judgement::Nothing as usize], 0, "there is a list");
    let at = |part: f64| micros[((micros.len() - 1) as f64 * part) as usize];
    Row {
        note: format!("p99 {:.2}, max {:.2}", at(0.99), at(1.0)),
        ..Row::new(PART, kind, "µs", vec![at(0.5)])
    }
}

pub fn measure() -> Vec<Row> {
    let mut dice = Dice(0x5ec);
    let list = names(&mut dice);
    let mut builder = NamesBuilder::new();
    for name in &list {
        builder.insert(b"", name.as_bytes()).expect("a name");
    }
    let start = Instant::now();
    let names = builder.build();
    let indexing = start.elapsed().as_secs_f64() * 1e3;
    let megabytes = names.words().len() as f64 * 8.0 / 1e6;
    let mut rows = vec![Row {
        note: format!("{} names, {megabytes:.1} MB", names.table().len()),
        ..Row::new(PART, "making the index", "ms", vec![indexing])
    }];
    let mut queries = |make: &mut dyn FnMut(&mut Dice) -> String| -> Vec<String> {
        (0..QUERIES).map(|_| make(&mut dice)).collect()
    };
    let hits = queries(&mut |dice| list[dice.roll(list.len())].clone());
    let near = queries(&mut |dice| {
        let name = dice.roll(list.len());
        slip(dice, &list[name])
    });
    let far = queries(&mut |dice| match dice.roll(4) {
        0 => dice.roll(1000).to_string(),
        1 => dice.word(2) + "zzqq",
        2 => format!("admin{}", dice.roll(100)),
        _ => format!("{}_{}", dice.word(2), dice.word(2).to_uppercase()),
    });
    let adversarial = queries(&mut |dice| hostile(dice, &list));
    let fixed: Vec<String> = [
        "a".repeat(12),
        "a".repeat(64),
        "%61%64".repeat(20),
        "admin%27%20or%201".into(),
        "1000000".into(),
        "\u{1f600}".repeat(16),
        "%".repeat(3000),
    ]
    .into();
    let masks: Vec<Mask> = ["7XXX", "[2-5]XXX", "_9."]
        .map(|mask| mask.parse().expect("a mask"))
        .into();
    rows.extend([
        measured("hit", &names, &[], &hits),
        measured("near", &names, &[], &near),
        measured("far", &names, &[], &far),
        measured("adversarial, shuffled", &names, &[], &adversarial),
        measured("adversarial, odd", &names, &[], &fixed),
        measured("far, with masks", &names, &masks, &far),
    ]);
    rows
}
