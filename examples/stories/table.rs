//! What came of the stories, as the Markdown table of the README.

use std::fmt::Write;
use std::fs;

use super::plays::{Guard, Outcome, STORIES};

/// Two rows for each story.
pub fn table(played: &[((usize, Guard), Outcome)], ban_secs: i64) -> String {
    let mut text = format!(
        "Measured on {}; a ban lasts {ban_secs} seconds here.\n\n\
         | story | protection | customers cut off | told to wait | longest without service \
         | attackers let through | requests until the ban |\n|---|---|---|---|---|---|---|\n",
        machine()
    );
    for (index, story) in STORIES.iter().enumerate() {
        for (guard, name) in [(Guard::Sec, "`sec`"), (Guard::Pike, "pike + htable")] {
            let wanted = (index, guard);
            let Some((_, outcome)) = played.iter().find(|(part, _)| *part == wanted) else {
                continue;
            };
            let title = match guard {
                Guard::Sec => story.title,
                Guard::Pike => "",
            };
            writeln!(text, "| {title} | {name} | {}", row(outcome)).expect("text can be written");
        }
    }
    text
}

fn row(outcome: &Outcome) -> String {
    let (customers, attackers) = (outcome.customers.len(), outcome.attackers.len());
    let longest = outcome.longest().as_secs_f64();
    let longest = match longest > 0.0 {
        true => format!("{longest:.1} s"),
        false => "–".to_owned(),
    };
    let through = match attackers {
        0 => "–".to_owned(),
        all => format!("{} of {all}", outcome.let_through()),
    };
    let requests = outcome
        .stopped_at()
        .map_or("–".to_owned(), |it| it.to_string());
    format!(
        "{} of {customers} | {} | {longest} | {through} | {requests} |",
        outcome.cut_off(),
        outcome.put_off()
    )
}

/// The processor, the number of its cores here, and the version of Kamailio.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown processor", |it| {
        it.trim_matches([' ', '\t', ':'])
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {model}")
}
