//! The chart of a run: how the cost of a call grows with the number of sources.

use std::fmt::Write as _;

use super::report::{Report, figure};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// Around the plot: left, right, top, bottom.
const MARGIN: [f64; 4] = [70.0, 30.0, 60.0, 60.0];
const POPULATIONS: [&str; 5] = ["1k", "16k", "131k", "1M", "4M"];
const LINES: [(&str, &str); 2] = [("pike_check_ip", "#c2410c"), ("sec_check", "#1d4ed8")];
/// Nanoseconds at the bottom and at the top, as powers of ten.
const SCALE: (f64, f64) = (1.0, 5.0);

/// The chart as SVG; `None` if that part was not measured.
pub fn svg(report: &Report) -> Option<String> {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"26\" font-size=\"16\">Nanoseconds of a call in the script, by number of \
         sources</text>\n<text x=\"{}\" y=\"44\" fill=\"#555\">{}</text>\n",
        MARGIN[0], MARGIN[0], report.machine
    );
    for power in SCALE.0 as i32..=SCALE.1 as i32 {
        let y = y(10_f64.powi(power));
        let (left, right) = (MARGIN[0], WIDTH - MARGIN[1]);
        let _ = writeln!(
            text,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 4.0,
            10_u64.pow(power as u32)
        );
    }
    for (place, population) in POPULATIONS.iter().enumerate() {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{population}</text>",
            x(place),
            HEIGHT - MARGIN[3] + 22.0
        );
    }
    for (name, colour) in LINES {
        text += &line(report, name, colour)?;
    }
    let _ = writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">sources, asked about at \
         random</text>\n</svg>",
        WIDTH / 2.0,
        HEIGHT - 14.0
    );
    Some(text)
}

fn line(report: &Report, name: &str, colour: &str) -> Option<String> {
    let mut points = Vec::new();
    for (place, population) in POPULATIONS.iter().enumerate() {
        let wanted = format!("{name}, {population} sources at random");
        if let Some(row) = report.rows.iter().find(|row| row.name == wanted) {
            points.push((x(place), row.median()));
        }
    }
    let (end, value) = *points.last()?;
    let path: Vec<String> = points
        .iter()
        .map(|(x, value)| format!("{x:.1},{:.1}", y(*value)))
        .collect();
    let mut text = format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\n",
        path.join(" ")
    );
    for (x, value) in &points {
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" \
             fill=\"{colour}\">{}</text>",
            y(*value),
            y(*value) - 9.0,
            figure(*value)
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
        end - 12.0,
        y(value) + 22.0
    );
    Some(text)
}

fn x(place: usize) -> f64 {
    let step = (WIDTH - MARGIN[0] - MARGIN[1]) / POPULATIONS.len() as f64;
    MARGIN[0] + step * (place as f64 + 0.5)
}

fn y(value: f64) -> f64 {
    let share = (value.max(1.0).log10() - SCALE.0) / (SCALE.1 - SCALE.0);
    let height = HEIGHT - MARGIN[2] - MARGIN[3];
    HEIGHT - MARGIN[3] - share.clamp(0.0, 1.0) * height
}
