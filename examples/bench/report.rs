//! What a run has measured: the table, the JSON, and whether the targets were met.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

/// One line: what was measured, and its figures in the order they were taken.
#[derive(Clone)]
pub struct Row {
    /// The part of the run that it belongs to.
    pub part: String,
    pub name: String,
    pub unit: String,
    pub rounds: Vec<f64>,
    /// What else is worth saying.
    pub note: String,
}

impl Row {
    pub fn new(part: &str, name: &str, unit: &str, rounds: Vec<f64>) -> Row {
        Row {
            part: part.into(),
            name: name.into(),
            unit: unit.into(),
            rounds,
            note: String::new(),
        }
    }

    /// The middle and the 99th percentile of many times, as two figures of one row.
    pub fn latency(part: &str, name: &str, times: &mut [Duration], note: String) -> Row {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        let p99 = format!("p99 {:.2}", at(0.99));
        let note = [p99, note].into_iter().filter(|part| !part.is_empty());
        Row {
            note: note.collect::<Vec<_>>().join("; "),
            ..Row::new(part, name, "ms", vec![at(0.5)])
        }
    }

    pub fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// The least and the most of the rounds.
    pub fn range(&self) -> (f64, f64) {
        let least = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.rounds.iter().copied().fold(0.0, f64::max);
        (least, most)
    }

    fn json(&self) -> Value {
        json!({
            "part": self.part, "name": self.name, "unit": self.unit, "median": self.median(),
            "rounds": self.rounds, "note": self.note,
        })
    }

    fn read(value: &Value) -> Option<Row> {
        let text = |name: &str| Some(value[name].as_str()?.to_owned());
        let rounds = value["rounds"].as_array()?;
        Some(Row {
            part: text("part")?,
            name: text("name")?,
            unit: text("unit")?,
            rounds: rounds.iter().filter_map(Value::as_f64).collect(),
            note: text("note")?,
        })
    }
}

pub fn median(rounds: &[f64]) -> f64 {
    let mut rounds = rounds.to_vec();
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A figure of three significant digits or so.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

/// A whole run.
pub struct Report {
    /// The machine that it was taken on.
    pub machine: String,
    pub rows: Vec<Row>,
}

impl Report {
    pub fn row(&self, part: &str, name: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.part == part && row.name == name)
    }

    pub fn json(&self) -> String {
        let rows: Value = self.rows.iter().map(Row::json).collect();
        format!("{:#}\n", json!({"machine": self.machine, "rows": rows}))
    }

    /// A report from its JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Report, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let rows = value["rows"].as_array().ok_or("it has no rows")?;
        Ok(Report {
            machine: value["machine"].as_str().unwrap_or_default().into(),
            rows: rows.iter().filter_map(Row::read).collect(),
        })
    }

    /// This run beside an older one: medians and their ratio; those whose ranges do not meet are
    /// marked.
    pub fn beside(&self, old: &Report) -> String {
        let mut text = format!("old: {}\nnew: {}\n", old.machine, self.machine);
        let mut part = "";
        for row in &self.rows {
            let Some(before) = old.row(&row.part, &row.name) else {
                continue;
            };
            if row.part != part {
                part = &row.part;
                let _ = writeln!(text, "\n{part}");
            }
            let ratio = row.median() / before.median();
            let ((least, most), (old_least, old_most)) = (row.range(), before.range());
            let mark = match () {
                () if least > old_most && ratio > 1.1 => "  slower",
                () if most < old_least && ratio < 0.9 => "  faster",
                () => "",
            };
            let (old, new) = (figure(before.median()), figure(row.median()));
            let unit = &row.unit;
            let _ = writeln!(
                text,
                "  {:56} {old:>9} {new:>9} {unit:3} {ratio:6.2}{mark}",
                row.name
            );
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        let mut part = "";
        for row in &self.rows {
            if row.part != part {
                part = &row.part;
                writeln!(f, "\n{part}")?;
            }
            let (least, most) = row.range();
            let range = match row.rounds.len() {
                1 => String::new(),
                _ => format!("({}..{})", figure(least), figure(most)),
            };
            let line = format!(
                "  {:56} {:>9} {:7} {range:16} {}",
                row.name,
                figure(row.median()),
                row.unit,
                row.note
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
