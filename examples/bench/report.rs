//! The table and the JSON of a run.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// One line: what was measured, and its figures in the order they were taken.
pub struct Row {
    pub name: String,
    /// Nanoseconds.
    pub rounds: Vec<f64>,
}

impl Row {
    pub fn median(&self) -> f64 {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    }

    fn range(&self) -> (f64, f64) {
        let least = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.rounds.iter().copied().fold(0.0, f64::max);
        (least, most)
    }
}

/// How long something took, over many times.
pub struct Latency {
    pub name: String,
    /// Milliseconds of the middle and of the 99th percentile.
    pub p50: f64,
    pub p99: f64,
    pub note: Option<String>,
}

impl Latency {
    pub fn new(name: &str, times: &mut [Duration], note: Option<String>) -> Latency {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            let time = times.get(index.min(times.len().saturating_sub(1)));
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
        };
        Latency {
            name: name.into(),
            p50: at(0.5),
            p99: at(0.99),
            note,
        }
    }
}

/// A whole run.
pub struct Report {
    pub calls: Vec<Row>,
    pub fleet: Vec<Latency>,
}

impl Report {
    pub fn json(&self) -> String {
        let rows = |rows: &[Row]| -> Value {
            let row = |row: &Row| json!({"name": row.name, "median_ns": row.median(), "rounds_ns": row.rounds});
            rows.iter().map(row).collect()
        };
        let latency = |row: &Latency| json!({"name": row.name, "p50_ms": row.p50, "p99_ms": row.p99, "note": row.note});
        let fleet: Value = self.fleet.iter().map(latency).collect();
        json!({"calls": rows(&self.calls), "fleet": fleet}).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nA call inside the script, in nanoseconds (`-x fm`):")?;
        table(f, &self.calls)?;
        writeln!(f, "\nThe fleet's memory, in milliseconds (p50, p99):")?;
        for Latency {
            name,
            p50,
            p99,
            note,
        } in &self.fleet
        {
            let note = note.as_deref().unwrap_or_default();
            writeln!(f, "  {name:44} {p50:9.2} {p99:9.2}   {note}")?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    for row in rows {
        let (least, most) = row.range();
        writeln!(
            f,
            "  {:44} {:9.0}   ({least:.0}..{most:.0})",
            row.name,
            row.median()
        )?;
    }
    Ok(())
}
