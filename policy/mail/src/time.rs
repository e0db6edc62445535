//! Texts of instants: RFC 3339, and the dates of RFC 5322.

use jiff::tz::TimeZone;
use jiff::Timestamp;
use std::borrow::Cow;

/// The instant of nanoseconds since the Unix epoch; one beyond the years -9999 to 9999 is the last before it.
pub fn timestamp(unix_nanos: i128) -> Timestamp {
    let limit = if unix_nanos < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(unix_nanos).unwrap_or(limit)
}

/// `2026-11-22T15:02:49Z`, with nine digits of fraction when `nanos` is given.
pub fn format_rfc3339(seconds: i64, nanos: Option<u32>) -> String {
    let at = timestamp(i128::from(seconds) * 1_000_000_000 + i128::from(nanos.unwrap_or(0)));
    match nanos {
        Some(_) => format!("{at:.9}"),
        None => format!("{at:.0}"),
    }
}

/// `Sun, 22 Nov 2026 15:02:49 +0000` (RFC 5322 section 3.3).
pub fn format_rfc2822(seconds: i64) -> String {
    let at = timestamp(i128::from(seconds) * 1_000_000_000).to_zoned(TimeZone::UTC);
    at.strftime("%a, %-d %b %Y %H:%M:%S +0000").to_string()
}

/// Nanoseconds since the Unix epoch of an RFC 3339 text; `None` when it is not one or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    // Of what ISO 8601 has, RFC 3339 takes whole seconds and offsets in hours and minutes only; jiff takes more.
    let b = text.as_bytes();
    let offset = match b.last()? {
        b'Z' | b'z' => 1,
        _ => "+00:00".len(),
    };
    let is_offset = |o: &[u8]| matches!(o, [b'Z' | b'z'] | [b'+' | b'-', _, _, b':', _, _]);
    let body = b.len().checked_sub(offset)?;
    if b.get(16) != Some(&b':') || body < 19 || !is_offset(&b[body..]) {
        return None;
    }
    // RFC 3339 has fractions of any length, an instant here nine digits.
    let fraction = body.min("2026-11-22T15:02:49.123456789".len());
    let exact = match fraction == body {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{}{}", text.get(..fraction)?, text.get(body..)?)),
    };
    u64::try_from(exact.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        assert_eq!(
            parse_rfc3339("2026-11-22T15:02:49.132269260Z"),
            Some(1_795_359_769_132_269_260)
        );
        assert_eq!(
            format_rfc3339(1_795_359_769, Some(132_269_260)),
            "2026-11-22T15:02:49.132269260Z"
        );
        assert_eq!(format_rfc3339(0, None), "1970-01-01T00:00:00Z");
        assert_eq!(format_rfc2822(1_795_359_769), "Sun, 22 Nov 2026 15:02:49 +0000");
        assert_eq!(format_rfc2822(1_767_323_045), "Fri, 2 Jan 2026 03:04:05 +0000");
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(0));
    }

    #[test]
    fn other_spellings() {
        let at = Some(1_795_359_769_000_000_000);
        for text in ["2026-11-22 15:02:49z", "2026-11-22t16:02:49+01:00", "2026-11-22T15:02:49.0Z"]
        {
            assert_eq!(parse_rfc3339(text), at, "{text}");
        }
        // More digits than nanoseconds have.
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00.12345678987Z"), Some(123_456_789));
    }

    #[test]
    fn rubbish_is_refused() {
        for bad in [
            "",
            "2026-11-22",
            "2026-13-22T15:02:49Z",
            "2026-11-22T15:02:49",
            "2026-11-22T15:02:49+1",
            "é026-11-22T15:02:49Z",
            "2026-02-30T15:02:49Z",
            "2026-11-22T15:02Z",
            "2026-11-22T15:02:49+01:00[Europe/Berlin]",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
