//! The table and the JSON of a run.

use std::fmt;

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

/// A whole run.
pub struct Report {
    pub calls: Vec<Row>,
    pub requests: Vec<Row>,
}

impl Report {
    pub fn json(&self) -> String {
        let rows = |rows: &[Row]| -> Value {
            let row = |row: &Row| json!({"name": row.name, "median_ns": row.median(), "rounds_ns": row.rounds});
            rows.iter().map(row).collect()
        };
        json!({"calls": rows(&self.calls), "requests": rows(&self.requests)}).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nA call inside the script, in nanoseconds (`-x fm`):")?;
        table(f, &self.calls)?;
        writeln!(
            f,
            "\nCPU of a whole request over the empty route, in nanoseconds (`-x fm`):"
        )?;
        table(f, &self.requests)
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
