//! Durations as text, as the crate humantime reads and writes them: `"1h 30m"`, `"5min"`, `"10 seconds"`.

use std::time::Duration;

/// Reads a duration text: numbers with units, added up; a bare number is seconds. `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text.trim()).ok(),
    }
}

/// A text that reads back as the same duration, e.g. `1h 30m`.
pub fn format_duration(d: Duration) -> String {
    humantime::format_duration(d).to_string()
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
    fn text_is_short() {
        for (secs, text) in
            [(0.0, "0s"), (1.5, "1s 500ms"), (5400.0, "1h 30m"), (172_800.0, "2days")]
        {
            assert_eq!(format_duration(Duration::from_secs_f64(secs)), text);
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
