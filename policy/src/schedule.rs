//! Delayed delivery, delivery windows and per-message expiry.

use serde_json::Value;

/// When a message may be attempted. All fields are optional; times are RFC 3339 turned into Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scheduling {
    /// Not before this instant (Unix milliseconds).
    pub first_attempt: Option<u64>,
    /// Given up after this instant (Unix milliseconds).
    pub expires: Option<u64>,
    /// Days on which delivery may happen, bit 0 = Monday; 0 = every day.
    pub dow: u8,
    /// IANA name of the time zone `start` and `end` are meant in.
    pub tz: Option<String>,
    /// Start of the daily window, seconds after midnight.
    pub start: Option<u32>,
    /// End of the daily window, seconds after midnight.
    pub end: Option<u32>,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Scheduling {
    /// Reads the JSON form used by `msg:set_scheduling` and scheduling headers. Errors name the field.
    pub fn from_json(v: &Value) -> Result<Scheduling, String> {
        let map = v
            .as_object()
            .ok_or("a schedule is a table with first_attempt, expires, dow, tz, start and end")?;
        let mut s = Scheduling::default();
        for (k, v) in map {
            let text =
                || v.as_str().ok_or_else(|| format!("scheduling option `{k}` must be a string"));
            match k.as_str() {
                "first_attempt" => s.first_attempt = Some(instant(k, text()?)?),
                "expires" => s.expires = Some(instant(k, text()?)?),
                "dow" => s.dow = days(text()?)?,
                "tz" => s.tz = Some(text()?.to_owned()),
                "start" => s.start = Some(clock(k, text()?)?),
                "end" => s.end = Some(clock(k, text()?)?),
                _ => return Err(format!("unknown field `{k}`, expected one of `first_attempt`, `expires`, `dow`, `tz`, `start`, `end`")),
            }
        }
        Ok(s)
    }
}

fn instant(field: &str, text: &str) -> Result<u64, String> {
    crate::time::parse_rfc3339(text)
        .map(|nanos| nanos / 1_000_000)
        .ok_or_else(|| format!("scheduling option `{field}`: `{text}` is not an RFC 3339 time"))
}

fn days(text: &str) -> Result<u8, String> {
    let mut bits = 0;
    for day in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
        let short = day.get(..3).unwrap_or(day).to_ascii_lowercase();
        let i = DAYS
            .iter()
            .position(|d| *d == short)
            .ok_or_else(|| format!("`{day}` is not a day of the week"))?;
        bits |= 1 << i;
    }
    Ok(bits)
}

fn clock(field: &str, text: &str) -> Result<u32, String> {
    let bad = || {
        format!("scheduling option `{field}`: `{text}` is not a time of day (HH:MM or HH:MM:SS)")
    };
    let parts: Vec<u32> =
        text.split(':').map(|p| p.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    match parts[..] {
        [h, m] if h < 24 && m < 60 => Ok(h * 3600 + m * 60),
        [h, m, s] if h < 24 && m < 60 && s < 60 => Ok(h * 3600 + m * 60 + s),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn full_form() {
        let s = Scheduling::from_json(&json!({
            "first_attempt": "2026-11-22T15:02:49Z", "expires": "2026-11-22T17:02:49+02:00",
            "dow": "Mon,wednesday", "tz": "Europe/Berlin", "start": "09:00", "end": "17:30:15"
        }))
        .unwrap();
        assert_eq!(s.first_attempt, Some(1_795_359_769_000));
        assert_eq!(s.expires, s.first_attempt);
        assert_eq!((s.dow, s.start, s.end), (0b101, Some(32_400), Some(63_015)));
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(
            Scheduling::from_json(&json!({"start": "25:00"})).unwrap_err(),
            "scheduling option `start`: `25:00` is not a time of day (HH:MM or HH:MM:SS)"
        );
        assert!(Scheduling::from_json(&json!({"x": 1}))
            .unwrap_err()
            .starts_with("unknown field `x`, expected one of"));
        assert!(Scheduling::from_json(&json!([])).is_err());
    }
}
