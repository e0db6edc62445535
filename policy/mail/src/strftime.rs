//! Texts of an instant by a `strftime` pattern, always in UTC. The specifiers are those of the crate chrono, which policies are
//! written for; jiff writes all but the few whose meaning differs.

use jiff::tz::TimeZone;
use jiff::Zoned;

use crate::time::timestamp;

/// Specifiers that mean the same to jiff; a letter for the filling (`-`, `_`, `0`) may stand before.
const ALIKE: &str = "YCymdewuUWGgVjHkIlMSsbhBaApPZztn%";

/// Specifiers that are not jiff's, or mean something else there.
const OWN: [&str; 11] = [".3f", ".6f", ".9f", "3f", "6f", "9f", ".f", "f", "::z", ":z", "#z"];

/// Specifiers that stand for others.
const COMPOSED: [(char, &str); 11] = [
    ('D', "%m/%d/%y"),
    ('x', "%m/%d/%y"),
    ('F', "%Y-%m-%d"),
    ('v', "%e-%b-%Y"),
    ('R', "%H:%M"),
    ('T', "%H:%M:%S"),
    ('X', "%H:%M:%S"),
    ('r', "%I:%M:%S %p"),
    ('c', "%a %b %e %H:%M:%S %Y"),
    ('+', "%Y-%m-%dT%H:%M:%S%.f%:z"),
    ('h', "%b"),
];

/// The text of an instant (nanoseconds of the Unix epoch). What is no specifier stays as it is.
pub fn format(pattern: &str, unix_nanos: i128) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    write(pattern, &timestamp(unix_nanos).to_zoned(TimeZone::UTC), &mut out);
    out
}

fn write(pattern: &str, at: &Zoned, out: &mut String) {
    let mut rest = pattern;
    while let Some(begin) = rest.find('%') {
        out.push_str(&rest[..begin]);
        let spec = &rest[begin + 1..];
        rest = match specifier(spec, at, out) {
            Some(used) => &spec[used..],
            None => {
                out.push('%');
                spec
            }
        };
    }
    out.push_str(rest);
}

/// Writes one specifier; returns how many bytes of the pattern it took.
fn specifier(spec: &str, at: &Zoned, out: &mut String) -> Option<usize> {
    if let Some(name) = OWN.iter().find(|name| spec.starts_with(**name)) {
        let nanos = at.timestamp().as_nanosecond().rem_euclid(1_000_000_000) as u32;
        match *name {
            ".f" => out.push_str(&fraction(nanos)),
            "f" => out.push_str(&std::format!("{nanos:09}")),
            "::z" => out.push_str("+00:00:00"),
            ":z" => out.push_str("+00:00"),
            "#z" => out.push_str("+00"),
            digits => {
                let all = std::format!("{nanos:09}");
                let (dot, count) = digits.split_at(digits.len() - 2);
                out.push_str(dot);
                out.push_str(
                    &all[..if count == "3f" {
                        3
                    } else if count == "6f" {
                        6
                    } else {
                        9
                    }],
                );
            }
        }
        return Some(name.len());
    }
    let letter = spec.trim_start_matches(['-', '_', '0']).chars().next()?;
    let used = spec.find(letter)? + letter.len_utf8();
    if let Some((_, whole)) = COMPOSED.iter().find(|(name, _)| *name == letter && used == 1) {
        write(whole, at, out);
        return Some(used);
    }
    if used > 2 || !ALIKE.contains(letter) {
        return None;
    }
    out.push_str(&at.strftime(&std::format!("%{}", &spec[..used])).to_string());
    Some(used)
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
            ("%I:%M %p %P %l %k", "03:02 PM pm  3 15"),
            ("%C %y %g %h %w %n%t|", "20 26 26 Nov 0 \n\t|"),
            ("%::z %#z %3f %.9f", "+00:00:00 +00 132 .132000000"),
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
