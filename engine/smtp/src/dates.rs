//! Dates as mail and logs write them, always in UTC.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
    /// 0 = Thursday (1970-01-01 was one).
    weekday: usize,
}

/// Takes unix seconds apart (the usual days-from-civil arithmetic over 400-year eras).
pub fn civil(unix_secs: u64) -> Civil {
    let days = (unix_secs / 86_400) as i64;
    let secs = (unix_secs % 86_400) as u32;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_index + 2) / 5 + 1) as u32;
    let month = (if month_index < 10 { month_index + 3 } else { month_index - 9 }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil {
        year,
        month,
        day,
        hour: secs / 3600,
        minute: secs / 60 % 60,
        second: secs % 60,
        weekday: days.rem_euclid(7) as usize,
    }
}

/// `Sun, 22 Nov 2026 15:02:49 +0000` (RFC 5322 section 3.3).
pub fn rfc5322(unix_secs: u64) -> String {
    let mut out = Vec::with_capacity(31);
    push_rfc5322(&mut out, unix_secs);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends what [`rfc5322`] gives; by hand, as [`push_rfc3339`].
pub fn push_rfc5322(out: &mut Vec<u8>, unix_secs: u64) {
    let c = civil(unix_secs);
    out.extend_from_slice(DAYS[c.weekday].as_bytes());
    out.extend_from_slice(b", ");
    push_digits(out, u64::from(c.day), if c.day < 10 { 1 } else { 2 });
    out.push(b' ');
    out.extend_from_slice(MONTHS[c.month as usize - 1].as_bytes());
    out.push(b' ');
    push_digits(out, c.year.unsigned_abs(), 4);
    for (mark, value) in [(b' ', c.hour), (b':', c.minute), (b':', c.second)] {
        out.push(mark);
        push_digits(out, u64::from(value), 2);
    }
    out.extend_from_slice(b" +0000");
}

/// `2026-11-22T15:02:49.132269260Z` (RFC 3339).
pub fn rfc3339(unix_nanos: u64) -> String {
    let mut out = Vec::with_capacity(30);
    push_rfc3339(&mut out, unix_nanos);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends what [`rfc3339`] gives. Written by hand: each record has two, and the formatting
/// machinery costs more than the rest of a record's numbers together.
pub fn push_rfc3339(out: &mut Vec<u8>, unix_nanos: u64) {
    let c = civil(unix_nanos / 1_000_000_000);
    push_digits(out, c.year.unsigned_abs(), 4);
    let fields =
        [(b'-', c.month), (b'-', c.day), (b'T', c.hour), (b':', c.minute), (b':', c.second)];
    for (mark, value) in fields {
        out.push(mark);
        push_digits(out, u64::from(value), 2);
    }
    out.push(b'.');
    push_digits(out, unix_nanos % 1_000_000_000, 9);
    out.push(b'Z');
}

fn push_digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// `20261122-150249.132269260`: the name of a log segment.
pub fn segment_name(unix_nanos: u64) -> String {
    let c = civil(unix_nanos / 1_000_000_000);
    format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02}.{:09}",
        c.year,
        c.month,
        c.day,
        c.hour,
        c.minute,
        c.second,
        unix_nanos % 1_000_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(rfc5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(1_795_359_769), "Sun, 22 Nov 2026 15:02:49 +0000");
        assert_eq!(rfc5322(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(rfc3339(1_795_359_769_132_269_260), "2026-11-22T15:02:49.132269260Z");
    }
}
