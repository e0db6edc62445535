//! Durations as text: `"1h 30m"`, `"5min"`, `"10 seconds"`.

use std::time::Duration;

/// Nanoseconds of a unit name.
fn unit_nanos(unit: &str) -> Option<u128> {
    const S: u128 = 1_000_000_000;
    Some(match unit {
        "nsec" | "ns" | "nanos" => 1,
        "usec" | "us" | "µs" | "micros" => 1_000,
        "msec" | "ms" | "millis" => 1_000_000,
        "seconds" | "second" | "sec" | "secs" | "s" => S,
        "minutes" | "minute" | "min" | "mins" | "m" => 60 * S,
        "hours" | "hour" | "hr" | "hrs" | "h" => 3600 * S,
        "days" | "day" | "d" => 86_400 * S,
        "weeks" | "week" | "w" => 7 * 86_400 * S,
        "months" | "month" | "M" => 2_630_016 * S,
        "years" | "year" | "y" => 31_557_600 * S,
        _ => return None,
    })
}

/// Reads a duration text: numbers with units, added up; a bare number is seconds. `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|n| *n > 0)?;
        let number: u128 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        total = total.checked_add(number.checked_mul(unit_nanos(&rest[..letters])?)?)?;
        rest = rest[letters..].trim_start();
    }
    let secs = u64::try_from(total / 1_000_000_000).ok()?;
    Some(Duration::new(secs, (total % 1_000_000_000) as u32))
}

/// The shortest text that reads back as the same duration, e.g. `1h 30m`.
pub fn format_duration(d: Duration) -> String {
    let mut parts = Vec::new();
    let mut secs = d.as_secs();
    for (size, unit) in [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")] {
        if secs >= size {
            parts.push(format!("{}{unit}", secs / size));
            secs %= size;
        }
    }
    let mut nanos = d.subsec_nanos();
    for (size, unit) in [(1_000_000, "ms"), (1_000, "us"), (1, "ns")] {
        if nanos >= size {
            parts.push(format!("{}{unit}", nanos / size));
            nanos %= size;
        }
    }
    if parts.is_empty() {
        return "0s".into();
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        for (text, secs) in [
            ("1h 30m", 5400.0),
            ("5min", 300.0),
            ("10 seconds", 10.0),
            ("2 days", 172_800.0),
            ("90", 90.0),
            ("1.5", 1.5),
            ("250ms", 0.25),
            ("1h30m", 5400.0),
            ("0", 0.0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs_f64(secs)), "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in
            ["", "10x", "h", "-5s", "1h -3m", "99999999999999999999999y", "1 2", "NaN", "inf"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn text_reads_back() {
        for d in [
            Duration::ZERO,
            Duration::from_millis(1_500),
            Duration::from_secs(90_061),
            Duration::from_nanos(1),
        ] {
            assert_eq!(parse_duration(&format_duration(d)), Some(d));
        }
    }
}
