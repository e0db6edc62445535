//! The result of a comparison, for people or for programs.

use super::account::{Count, Summary};
use crate::limits;
use crate::units::{counted, thousands};
use anyhow::Result;
use std::io::Write;

/// Prints the result on stdout.
pub(super) fn print(summary: &Summary, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, summary)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut line = |name: &str, count: Count, remark: &str| {
        let numbers = format!("{:>12}  {}", thousands(count.messages), recipients(count));
        writeln!(out, "{}", format!("{name:<13}{numbers}{remark}").trim_end())
    };
    line("acknowledged", summary.acknowledged, "")?;
    line("delivered", summary.delivered, "")?;
    line("failed", summary.failed, "")?;
    line("missing", summary.missing, "")?;
    line("duplicates", summary.duplicates, "")?;
    line(
        "unknown",
        summary.unknown,
        if summary.unknown.messages > 0 { "  (arrived, never acknowledged)" } else { "" },
    )?;
    rest(&mut out, summary)
}

fn recipients(count: Count) -> String {
    if count.messages == count.recipients {
        return String::new();
    }
    format!("({})", counted(count.recipients, "recipient"))
}

fn rest(out: &mut impl Write, summary: &Summary) -> Result<()> {
    if summary.refused > 0 {
        writeln!(out, "{:<13}{:>12}", "refused", thousands(summary.refused))?;
    }
    if summary.unidentified > 0 {
        writeln!(
            out,
            "{:<13}{:>12}  (arrived without a loadgen id)",
            "unidentified",
            thousands(summary.unidentified)
        )?;
    }
    if summary.unreadable_lines > 0 {
        writeln!(out, "{} could not be read", counted(summary.unreadable_lines, "line"))?;
    }
    let spreads = [
        ("due to there", summary.due_to_delivered_us),
        ("250 to there", summary.accepted_to_delivered_us),
    ];
    for (name, spread) in spreads {
        let Some(spread) = spread else { continue };
        let ms = |us: u64| us as f64 / 1e3;
        let (p50, p99, p999, max) =
            (ms(spread.p50), ms(spread.p99), ms(spread.p999), ms(spread.max));
        writeln!(out, "{name:<13}  p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2} ms")?;
    }
    for id in &summary.missing_ids {
        writeln!(out, "  missing {id}")?;
    }
    if summary.missing.messages > limits::MISSING_SHOWN as u64 {
        let more = summary.missing.messages - limits::MISSING_SHOWN as u64;
        writeln!(out, "  and {} more", thousands(more))?;
    }
    let verdict =
        if summary.missing.messages == 0 { "OK: nothing is missing" } else { "LOST: see missing" };
    writeln!(out, "{verdict}")?;
    Ok(())
}
