//! Texts of an instant by a `strftime` pattern, always in UTC.

use crate::time::{days_from_civil, Civil};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// An instant with everything the specifiers ask for.
struct Moment {
    civil: Civil,
    unix: i64,
    nanos: u32,
    /// Days since Sunday.
    weekday: i64,
    /// Day of the year, from 1.
    ordinal: i64,
}

impl Moment {
    fn new(unix_nanos: i128) -> Moment {
        let unix = unix_nanos.div_euclid(1_000_000_000) as i64;
        let civil = Civil::from_unix(unix);
        let days = days_from_civil(civil.year, civil.month, civil.day);
        Moment {
            civil,
            unix,
            nanos: unix_nanos.rem_euclid(1_000_000_000) as u32,
            weekday: (days + 4).rem_euclid(7),
            ordinal: days - days_from_civil(civil.year, 1, 1) + 1,
        }
    }

    /// Year and week of ISO 8601: the week belongs to the year its Thursday lies in.
    fn iso_week(&self) -> (i64, i64) {
        let from_monday = (self.weekday + 6) % 7;
        let thursday = self.unix.div_euclid(86_400) - from_monday + 3;
        let year = Civil::from_unix(thursday * 86_400).year;
        (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
    }

    fn hour12(&self) -> i64 {
        match self.civil.hour % 12 {
            0 => 12,
            h => i64::from(h),
        }
    }
}

/// How a number is filled up to its width.
#[derive(Clone, Copy, PartialEq)]
enum Pad {
    Zero,
    Space,
    None,
}

/// The text of an instant (nanoseconds of the Unix epoch). What is no specifier stays as it is.
pub fn format(pattern: &str, unix_nanos: i128) -> String {
    let moment = Moment::new(unix_nanos);
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = &rest[at + 1..];
        let before = out.len();
        rest = match specifier(spec, &moment, &mut out) {
            Some(used) => &spec[used..],
            None => {
                out.truncate(before);
                out.push('%');
                spec
            }
        };
    }
    out.push_str(rest);
    out
}

/// Writes one specifier; returns how many bytes of the pattern it took.
fn specifier(spec: &str, m: &Moment, out: &mut String) -> Option<usize> {
    for (text, digits) in [(".3f", 3), (".6f", 6), (".9f", 9), ("3f", 3), ("6f", 6), ("9f", 9)] {
        if spec.starts_with(text) {
            if text.starts_with('.') {
                out.push('.');
            }
            out.push_str(&std::format!("{:09}", m.nanos)[..digits]);
            return Some(text.len());
        }
    }
    if spec.starts_with(".f") {
        out.push_str(&fraction(m.nanos));
        return Some(2);
    }
    for (text, zone) in [("::z", "+00:00:00"), (":z", "+00:00"), ("#z", "+00")] {
        if spec.starts_with(text) {
            out.push_str(zone);
            return Some(text.len());
        }
    }
    let (pad, skip) = match spec.chars().next()? {
        '-' => (Some(Pad::None), 1),
        '_' => (Some(Pad::Space), 1),
        '0' => (Some(Pad::Zero), 1),
        _ => (None, 0),
    };
    let letter = spec[skip..].chars().next()?;
    if let Some((value, width, own)) = number(letter, m) {
        push(out, value, width, pad.unwrap_or(own));
        return Some(skip + 1);
    }
    text(letter, m, out)?;
    Some(skip + letter.len_utf8())
}

/// The fraction of a second as short as it is exact: nothing, 3, 6 or 9 digits.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => std::format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => std::format!(".{:06}", n / 1_000),
        n => std::format!(".{n:09}"),
    }
}

fn push(out: &mut String, value: i64, width: usize, pad: Pad) {
    out.push_str(&match pad {
        Pad::Zero => std::format!("{value:0width$}"),
        Pad::Space => std::format!("{value:width$}"),
        Pad::None => value.to_string(),
    });
}

/// Value, width and usual filling of a numeric specifier.
fn number(letter: char, m: &Moment) -> Option<(i64, usize, Pad)> {
    let c = &m.civil;
    let two = |n: i64| (n, 2, Pad::Zero);
    let (iso_year, iso_week) = m.iso_week();
    Some(match letter {
        'Y' => (c.year, 4, Pad::Zero),
        'C' => two(c.year.div_euclid(100)),
        'y' => two(c.year.rem_euclid(100)),
        'm' => two(c.month.into()),
        'd' => two(c.day.into()),
        'e' => (c.day.into(), 2, Pad::Space),
        'w' => (m.weekday, 1, Pad::Zero),
        'u' => (if m.weekday == 0 { 7 } else { m.weekday }, 1, Pad::Zero),
        'U' => two((m.ordinal + 6 - m.weekday) / 7),
        'W' => two((m.ordinal + 6 - (m.weekday + 6) % 7) / 7),
        'G' => (iso_year, 4, Pad::Zero),
        'g' => two(iso_year.rem_euclid(100)),
        'V' => two(iso_week),
        'j' => (m.ordinal, 3, Pad::Zero),
        'H' => two(c.hour.into()),
        'k' => (c.hour.into(), 2, Pad::Space),
        'I' => two(m.hour12()),
        'l' => (m.hour12(), 2, Pad::Space),
        'M' => two(c.minute.into()),
        'S' => two(c.second.into()),
        'f' => (m.nanos.into(), 9, Pad::Zero),
        's' => (m.unix, 1, Pad::Zero),
        _ => return None,
    })
}

fn text(letter: char, m: &Moment, out: &mut String) -> Option<()> {
    let month = MONTHS[(m.civil.month as usize - 1) % 12];
    let day = DAYS[m.weekday as usize % 7];
    let whole = match letter {
        'b' | 'h' => return push_str(out, &month[..3]),
        'B' => return push_str(out, month),
        'a' => return push_str(out, &day[..3]),
        'A' => return push_str(out, day),
        'p' => return push_str(out, if m.civil.hour < 12 { "AM" } else { "PM" }),
        'P' => return push_str(out, if m.civil.hour < 12 { "am" } else { "pm" }),
        'Z' => return push_str(out, "UTC"),
        'z' => return push_str(out, "+0000"),
        't' => return push_str(out, "\t"),
        'n' => return push_str(out, "\n"),
        '%' => return push_str(out, "%"),
        'D' | 'x' => "%m/%d/%y",
        'F' => "%Y-%m-%d",
        'v' => "%e-%b-%Y",
        'R' => "%H:%M",
        'T' | 'X' => "%H:%M:%S",
        'r' => "%I:%M:%S %p",
        'c' => "%a %b %e %H:%M:%S %Y",
        '+' => "%Y-%m-%dT%H:%M:%S%.f%:z",
        _ => return None,
    };
    let nanos = i128::from(m.unix) * 1_000_000_000 + i128::from(m.nanos);
    push_str(out, &format(whole, nanos))
}

fn push_str(out: &mut String, text: &str) -> Option<()> {
    out.push_str(text);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 22 November 2026, 15:02:49.132 UTC.
    const T: i128 = 1_795_359_769_132_000_000;

    #[test]
    fn specifiers() {
        for (pattern, want) in [
            ("%Y-%m-%d %H:%M:%S", "2026-11-22 15:02:49"),
            ("%a %A %b %B %e %j", "Sun Sunday Nov November 22 326"),
            ("%I:%M %p %l", "03:02 PM  3"),
            ("%G-W%V-%u %U %W", "2026-W47-7 47 46"),
            ("%s %f %.f %.3f %6f", "1795359769 132000000 .132 .132 132000"),
            ("%z %:z %Z", "+0000 +00:00 UTC"),
            ("%-m/%_d %%", "11/22 %"),
            ("%+", "2026-11-22T15:02:49.132+00:00"),
            (
                "%c|%D|%T|%R|%r|%v",
                "Sun Nov 22 15:02:49 2026|11/22/26|15:02:49|15:02|03:02:49 PM|22-Nov-2026",
            ),
            ("plain ü", "plain ü"),
        ] {
            assert_eq!(format(pattern, T), want, "{pattern}");
        }
        for pattern in ["%Q", "100%", "% x", "%-Q", "%ü"] {
            assert_eq!(format(pattern, T), pattern);
        }
    }

    #[test]
    fn weeks_at_the_turn_of_a_year() {
        // 2021-01-01 was a Friday of week 53 of 2020; 2018-12-31 a Monday of week 1 of 2019.
        assert_eq!(format("%G %V", 1_609_459_200_000_000_000), "2020 53");
        assert_eq!(format("%G %V", 1_546_214_400_000_000_000), "2019 01");
    }
}
