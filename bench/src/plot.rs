//! Bars, as SVG: one group per cell, one bar per engine. Where engines are far apart the scale is
//! logarithmic, and every bar has its number.

use crate::report::Row;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
/// Left of the bars, for the names of the cells: at least so much, and so much for a letter.
const LABELS: f64 = 200.0;
const LETTER: f64 = 6.6;
/// Right of the longest bar: its number.
const NUMBERS: f64 = 70.0;
const TOP: f64 = 84.0;
const BAR: f64 = 16.0;
/// From this ratio of the largest to the smallest on, a linear scale would hide the small ones.
const LOG_FROM: f64 = 8.0;
const COLOURS: [&str; 6] = ["#1f6feb", "#7fb0ff", "#b35900", "#3a7d44", "#8250df", "#57606a"];

/// All pictures of a report with their file names; `caption` tells where it was measured.
pub fn all(rows: &[Row], caption: &str) -> Vec<(&'static str, String)> {
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let picture = |title: &str, value: &dyn Fn(&Row) -> f64| bars(rows, title, caption, value);
    let mut pictures = vec![
        ("cpu", picture("Engine CPU, microseconds per message (less is better)", &Row::cpu)),
        (
            "speed",
            picture("Messages delivered per second (more is better)", &|row: &Row| {
                row.median(|run| run.delivered)
            }),
        ),
    ];
    if rows.iter().any(|row| row.latency(1, |latency| Some(latency.accept)).is_some()) {
        let accept = |row: &Row| number(row.latency(1, |latency| Some(latency.accept)));
        let deliver = |row: &Row| number(row.latency(1, |latency| latency.deliver));
        let half = "at half of full load, ms (less is better)";
        let (due, there) =
            (format!("Due to accepted, p99, {half}"), format!("Due to delivered, p99, {half}"));
        pictures.push(("accept-latency", picture(&due, &accept)));
        pictures.push(("delivery-latency", picture(&there, &deliver)));
    }
    pictures
}

/// Where bars begin, and how long they are.
struct Scale {
    left: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(values: &[f64], left: f64) -> Scale {
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let least = values.iter().copied().filter(|v| *v > 0.0).fold(most, f64::min);
        match most / least >= LOG_FROM {
            // From a whole decade on, and the smallest is at least the double of that.
            true => Scale {
                left,
                log: true,
                from: (least.log10() - 2f64.log10()).floor(),
                to: most.log10(),
            },
            false => Scale { left, log: false, from: 0.0, to: most },
        }
    }

    /// Pixels.
    fn long(&self, value: f64) -> f64 {
        let value = if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let share = (value - self.from) / (self.to - self.from);
        share.clamp(0.0, 1.0) * (WIDTH - self.left - NUMBERS)
    }

    /// Where lines are drawn.
    fn marks(&self) -> Vec<f64> {
        if self.log {
            let decades = self.from.ceil() as i32..=self.to.floor() as i32;
            return decades.map(|exponent| 10f64.powi(exponent)).collect();
        }
        let step = 10f64.powf(self.to.log10().floor());
        let step = [step / 5.0, step / 2.0, step, step * 2.0]
            .into_iter()
            .find(|step| self.to / step <= 6.0)
            .unwrap_or(step);
        (0..=(self.to / step) as u32).map(|n| f64::from(n) * step).collect()
    }
}

/// Draws `value` of every row that has one. `title` names the unit.
pub fn bars(rows: &[Row], title: &str, caption: &str, value: impl Fn(&Row) -> f64) -> String {
    let rows: Vec<(&Row, f64)> = rows.iter().map(|row| (row, value(row))).collect();
    // A cell that nobody has a value for is left out; an engine that has none where others have is not.
    let told = |cell: &str| {
        rows.iter().any(|(row, value)| value.is_finite() && row.cell.to_string() == cell)
    };
    let rows: Vec<(&Row, f64)> =
        rows.iter().filter(|(row, _)| told(&row.cell.to_string())).copied().collect();
    let values: Vec<f64> = rows.iter().map(|(_, value)| *value).filter(|v| v.is_finite()).collect();
    let names = rows.iter().map(|(row, _)| row.cell.to_string().chars().count());
    let left = (names.max().unwrap_or(0) as f64 * LETTER + 20.0).max(LABELS);
    let scale = Scale::of(&values, left);
    let mut engines: Vec<&str> = Vec::new();
    for (row, _) in &rows {
        if !engines.contains(&row.engine.as_str()) {
            engines.push(&row.engine);
        }
    }
    let (mut body, mut y, mut cell) = (String::new(), TOP, String::new());
    for (row, number) in &rows {
        let name = row.cell.to_string();
        if name != cell {
            y += 10.0;
            let _ = writeln!(body, "<text x=\"8\" y=\"{:.0}\">{}</text>", y + 12.0, escape(&name));
            cell = name;
        }
        let which = engines.iter().position(|engine| *engine == row.engine).unwrap_or(0);
        bar(&mut body, y, &scale, *number, COLOURS[which % COLOURS.len()]);
        y += BAR;
    }
    let marks = marks(&scale, y);
    let scaled = if scale.log { ", logarithmic scale" } else { "" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"24\" font-size=\"16\">{}{scaled}</text>\n{}{marks}{body}\
         <text x=\"8\" y=\"{:.0}\" font-size=\"10\" fill=\"#57606a\">{}</text>\n</svg>\n",
        escape(title),
        legend(&engines),
        y + 30.0,
        escape(caption),
        height = y + 40.0,
    )
}

fn bar(body: &mut String, y: f64, scale: &Scale, number: f64, colour: &str) {
    let left = scale.left;
    let long = if number.is_finite() { scale.long(number) } else { 0.0 };
    let _ = writeln!(
        body,
        "<rect x=\"{left:.0}\" y=\"{y:.0}\" width=\"{long:.1}\" height=\"{:.0}\" fill=\"{colour}\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
        BAR - 3.0,
        left + long + 6.0,
        y + 11.0,
        figure(number)
    );
}

/// Lines behind the bars, with their numbers at the foot.
fn marks(scale: &Scale, y: f64) -> String {
    let mut out = String::new();
    for mark in scale.marks() {
        let x = scale.left + scale.long(mark);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{y:.0}\" stroke=\"#d0d7de\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" font-size=\"10\" fill=\"#57606a\" \
             text-anchor=\"middle\">{}</text>",
            y + 14.0,
            plain(mark)
        );
    }
    out
}

fn legend(engines: &[&str]) -> String {
    let mut out = String::new();
    let mut x = 8.0;
    for (number, engine) in engines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"44\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"55\">{}</text>",
            x + 18.0,
            escape(engine)
        );
        // Letters of this size are about seven wide.
        x += 48.0 + 7.0 * engine.chars().count() as f64;
    }
    out
}

fn figure(number: f64) -> String {
    match number {
        number if !number.is_finite() => "no result".into(),
        number if number >= 1000.0 => thousands(number),
        number => format!("{number:.1}"),
    }
}

/// A number of the scale: as short as it can be.
fn plain(number: f64) -> String {
    if number >= 1000.0 {
        return thousands(number);
    }
    format!("{number}")
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    fn row(engine: &str, connections: u32) -> Row {
        let cell = Cell { connections, ..Cell::default() };
        Row { cell, engine: engine.into(), runs: Vec::new(), counted: None }
    }

    #[test]
    fn a_bar_for_each_row_that_has_something() {
        let rows = [row("a<b", 50), row("c", 50), row("c", 500)];
        let value = |row: &Row| if row.cell.connections == 50 { 2.0 } else { f64::NAN };
        let svg = bars(&rows, "us per message", "a machine", value);
        assert_eq!(svg.matches("height=\"13\"").count(), 2);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b") && svg.contains("a machine"));
    }

    #[test]
    fn far_apart_is_logarithmic() {
        let scale = Scale::of(&[100.0, 2000.0], 300.0);
        assert!(scale.log && scale.long(100.0) > 100.0, "the small one can be seen");
        assert!(scale.long(2000.0) > scale.long(100.0) * 1.5);
        assert_eq!(scale.marks(), [10.0, 100.0, 1000.0]);
        let scale = Scale::of(&[80.0, 240.0], 300.0);
        assert!(!scale.log && (scale.long(240.0) / scale.long(80.0) - 3.0).abs() < 1e-9);
        assert_eq!(scale.marks(), [0.0, 50.0, 100.0, 150.0, 200.0]);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!((figure(1_234_567.0), figure(0.04)), ("1,234,567".into(), "0.0".into()));
        assert_eq!((plain(1000.0), plain(0.1)), ("1,000".into(), "0.1".into()));
    }
}
