//! Sizes and times as people write them (`10k`, `30s`) and as people read them.

use anyhow::{bail, Context, Result};
use std::time::Duration;

/// Reads a size in bytes: `2048`, `10k`, `1.5m`, `10KB`, `1MiB`; k, m and g count 1024.
///
/// # Errors
/// When the text is no such size.
pub fn parse_size(text: &str) -> Result<usize> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        unit => bail!("unknown unit {unit:?} in size {text:?} (use k, m or g)"),
    };
    let number: f64 = digits.trim().parse().with_context(|| format!("bad size {text:?}"))?;
    if !number.is_finite() || number < 0.0 {
        bail!("bad size {text:?}");
    }
    Ok((number * factor) as usize)
}

/// Reads a time: `500ms`, `30s`, `5m`, `2h`; a bare number counts seconds.
///
/// # Errors
/// When the text is no such time.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &lower[digits.len()..] {
        "ms" => 0.001,
        "" | "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        unit => bail!("unknown unit {unit:?} in time {text:?} (use ms, s, m or h)"),
    };
    let number: f64 = digits.trim().parse().with_context(|| format!("bad time {text:?}"))?;
    Duration::try_from_secs_f64(number * seconds).with_context(|| format!("bad time {text:?}"))
}

/// A count with its thousands set apart: `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `count` with its noun, in the plural where it is due: `1 message`, `2 messages`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("2048").unwrap(), 2048);
        assert_eq!(parse_size("10k").unwrap(), 10_240);
        assert_eq!(parse_size(" 1.5M ").unwrap(), 1_572_864);
        assert_eq!(parse_size("10KB").unwrap(), 10_240);
        for bad in ["", "k", "-1", "10x", "nan", "1e400"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("30").unwrap(), Duration::from_secs(30));
        assert_eq!(parse_duration("2h").unwrap(), Duration::from_secs(7200));
        for bad in ["", "s", "-1s", "5y", "1e300s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(counted(1000, "message"), "1,000 messages");
    }
}
