//! Bars, as SVG: one group per cell, one bar per engine.

use crate::report::Row;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const LABELS: f64 = 250.0;
const BAR: f64 = 16.0;
const COLOURS: [&str; 6] = ["#1f6feb", "#7fb0ff", "#b35900", "#3a7d44", "#8250df", "#57606a"];

/// Draws `value` of every row. `title` names the unit.
pub fn bars(rows: &[Row], title: &str, value: impl Fn(&Row) -> f64) -> String {
    let mut engines: Vec<&str> = Vec::new();
    for row in rows {
        if !engines.contains(&row.engine.as_str()) {
            engines.push(&row.engine);
        }
    }
    let most = rows.iter().map(&value).filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-9);
    let scale = (WIDTH - LABELS - 90.0) / most;
    let mut body = String::new();
    let (mut y, mut cell) = (64.0, String::new());
    for row in rows {
        let name = row.cell.to_string();
        if name != cell {
            y += 10.0;
            let _ = writeln!(body, "<text x=\"8\" y=\"{:.0}\">{}</text>", y + 12.0, escape(&name));
            cell = name;
        }
        let number = value(row);
        let long = if number.is_finite() { number * scale } else { 0.0 };
        let which = engines.iter().position(|engine| *engine == row.engine).unwrap_or(0);
        let colour = COLOURS[which % COLOURS.len()];
        let _ = writeln!(
            body,
            "<rect x=\"{LABELS}\" y=\"{y:.0}\" width=\"{long:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            BAR - 3.0,
            LABELS + long + 6.0,
            y + 12.0,
            figure(number)
        );
        y += BAR;
    }
    let mut legend = String::new();
    for (number, engine) in engines.iter().enumerate() {
        let x = LABELS + number as f64 * 150.0;
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            legend,
            "<rect x=\"{x}\" y=\"40\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"51\">{}</text>",
            x + 18.0,
            escape(engine)
        );
    }
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"8\" y=\"24\" font-size=\"16\">{}</text>\n{legend}{body}</svg>\n",
        escape(title)
    )
}

fn figure(number: f64) -> String {
    match number {
        number if !number.is_finite() => "no result".into(),
        number if number >= 1000.0 => format!("{number:.0}"),
        number => format!("{number:.1}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    #[test]
    fn a_bar_for_each_row() {
        let row = |engine: &str| Row {
            cell: Cell::default(),
            engine: engine.into(),
            runs: Vec::new(),
            syscalls: None,
        };
        let svg = bars(&[row("a<b"), row("c")], "us per message", |_| 2.0);
        assert_eq!(svg.matches("height=\"13\"").count(), 2);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
    }
}
