//! Delayed delivery, delivery windows and per-message expiry.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value};

use crate::time::format_rfc3339;

/// When a message may be attempted. All fields are optional; times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scheduling {
    /// Not before this instant.
    pub first_attempt: Option<u64>,
    /// Given up after this instant, whatever the queue's `max_age`.
    pub expires: Option<u64>,
    /// The hours in which it may be attempted; `None` = any time.
    pub window: Option<Window>,
}

/// Hours of some days of the week.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Days on which it opens, bit 0 = Monday; at least one.
    days: u8,
    /// IANA name of the time zone the hours are meant in.
    zone: String,
    /// Seconds after midnight at which it opens.
    start: u32,
    /// Seconds after midnight at which it closes. Not after `start`: on the following day.
    end: u32,
}

/// Metadata entry under which a message's record in the spool keeps its schedule. No policy sees it.
pub const STORED_AS: &str = "ringmta.scheduling";

const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Letters of a day's short name.
const SHORT: usize = 3;

impl Scheduling {
    /// Reads the JSON form used by `msg:set_scheduling` and scheduling headers. Errors name the field.
    pub fn from_json(v: &Value) -> Result<Scheduling, String> {
        let map = v
            .as_object()
            .ok_or("a schedule is a table with first_attempt, expires, dow, tz, start and end")?;
        let mut s = Scheduling::default();
        let (mut days_of, mut zone, mut start, mut end) = (None, None, None, None);
        for (k, v) in map {
            let text =
                || v.as_str().ok_or_else(|| format!("scheduling option `{k}` must be a string"));
            match k.as_str() {
                "first_attempt" => s.first_attempt = Some(instant(k, text()?)?),
                "expires" => s.expires = Some(instant(k, text()?)?),
                "dow" => days_of = Some(days(text()?)?),
                "tz" => zone = Some(known_zone(text()?)?),
                "start" => start = Some(clock(k, text()?)?),
                "end" => end = Some(clock(k, text()?)?),
                _ => return Err(format!("unknown field `{k}`, expected one of `first_attempt`, `expires`, `dow`, `tz`, `start`, `end`")),
            }
        }
        s.window = match (days_of, zone, start, end) {
            (Some(days), Some(zone), Some(start), Some(end)) => {
                Some(Window { days, zone, start, end })
            }
            (None, None, None, None) => None,
            _ => return Err("`dow`, `tz`, `start` and `end` belong together: all or none".into()),
        };
        Ok(s)
    }

    /// The form [`Scheduling::from_json`] reads.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (name, at) in [("first_attempt", self.first_attempt), ("expires", self.expires)] {
            if let Some(at) = at {
                out.insert(name.into(), text_of(at).into());
            }
        }
        if let Some(window) = &self.window {
            out.insert("dow".into(), window.day_names().into());
            out.insert("tz".into(), window.zone.as_str().into());
            out.insert("start".into(), clock_text(window.start).into());
            out.insert("end".into(), clock_text(window.end).into());
        }
        Value::Object(out)
    }

    /// The first instant from `at` on at which the message may be attempted, Unix milliseconds.
    pub fn next(&self, at: u64) -> u64 {
        let at = at.max(self.first_attempt.unwrap_or(0));
        self.window.as_ref().map_or(at, |window| window.next(at))
    }
}

/// An instant as schedules and log texts write it.
pub fn text_of(millis: u64) -> String {
    let nanos = (millis % 1000 * 1_000_000) as u32;
    format_rfc3339((millis / 1000) as i64, (nanos > 0).then_some(nanos))
}

impl Window {
    fn day_names(&self) -> String {
        let short = |day: &str| day[..1].to_ascii_uppercase() + &day[1..SHORT];
        let open = DAYS.iter().enumerate().filter(|(i, _)| self.days & (1 << i) != 0);
        open.map(|(_, day)| short(day)).collect::<Vec<_>>().join(",")
    }

    /// `at` when the window is open then, else when it opens next. An hour that a change of the clock leaves out is
    /// taken as the one after it; of an hour that comes twice, the first counts.
    fn next(&self, at: u64) -> u64 {
        /// From yesterday, whose window may reach over midnight, to the same day of next week.
        const DAYS_TRIED: i64 = 9;
        let Ok(zone) = TimeZone::get(&self.zone) else { return at };
        let Ok(now) = Timestamp::from_millisecond(at as i64) else { return at };
        let Ok(mut day) = zone.to_datetime(now).date().yesterday() else { return at };
        for _ in 0..DAYS_TRIED {
            if let Some((opens, closes)) = self.on(day, &zone) {
                if now < closes {
                    return opens.max(now).as_millisecond() as u64;
                }
            }
            match day.tomorrow() {
                Ok(next) => day = next,
                Err(_) => break,
            }
        }
        at
    }

    /// When the window of a day opens and closes.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let bit = day.weekday().to_monday_zero_offset();
        if self.days & (1 << bit) == 0 {
            return None;
        }
        let last = if self.end > self.start { day } else { day.tomorrow().ok()? };
        let at = |day: Date, seconds: u32| {
            let time = Time::midnight() + i64::from(seconds).seconds();
            zone.to_timestamp(day.to_datetime(time)).ok()
        };
        Some((at(day, self.start)?, at(last, self.end)?))
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
        let lower = day.to_ascii_lowercase();
        let i = DAYS
            .iter()
            .position(|d| *d == lower || d[..SHORT] == lower)
            .ok_or_else(|| format!("`{day}` is not a day of the week"))?;
        bits |= 1 << i;
    }
    match bits {
        0 => Err("scheduling option `dow` names no day".into()),
        bits => Ok(bits),
    }
}

fn known_zone(name: &str) -> Result<String, String> {
    // A place, never a short form that several zones share.
    let found = (name.contains('/') || name == "UTC").then(|| TimeZone::get(name).ok()).flatten();
    found.map(|_| name.to_owned()).ok_or_else(|| {
        format!("scheduling option `tz`: `{name}` is not the name of a time zone, such as `Europe/Berlin`")
    })
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

fn clock_text(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The metadata of a record with the schedule in it.
pub fn put_in(meta: &crate::Meta, scheduling: &Scheduling) -> crate::Meta {
    let mut meta = meta.clone();
    meta.insert(STORED_AS.into(), scheduling.to_json());
    meta
}

/// The schedule in the metadata of a record.
pub fn kept_in(meta: &crate::Meta) -> Option<Scheduling> {
    let stored = meta.get(STORED_AS)?;
    Scheduling::from_json(stored).ok()
}

/// As [`kept_in`], and takes it out.
pub fn taken_from(meta: &mut crate::Meta) -> Option<Scheduling> {
    let found = kept_in(meta);
    meta.remove(STORED_AS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn full_form() {
        let s = Scheduling::from_json(&json!({
            "first_attempt": "2026-11-22T15:02:49Z", "expires": "2026-11-22T17:02:49.5+02:00",
            "dow": "Mon,wednesday", "tz": "Europe/Berlin", "start": "09:00", "end": "17:30:15"
        }))
        .unwrap();
        assert_eq!(s.first_attempt, Some(1_795_359_769_000));
        assert_eq!(s.expires, Some(1_795_359_769_500));
        let w = s.window.clone().unwrap();
        assert_eq!((w.days, w.start, w.end), (0b101, 32_400, 63_015));
        assert_eq!(
            s.to_json(),
            json!({
                "first_attempt": "2026-11-22T15:02:49Z", "expires": "2026-11-22T15:02:49.500000000Z",
                "dow": "Mon,Wed", "tz": "Europe/Berlin", "start": "09:00:00", "end": "17:30:15"
            })
        );
        assert_eq!(Scheduling::from_json(&s.to_json()), Ok(s.clone()));
        let meta = put_in(&Map::new(), &s);
        assert_eq!(kept_in(&meta), Some(s));
        assert_eq!(kept_in(&Map::new()), None);
    }

    #[test]
    fn errors_name_the_field() {
        let error = |v: Value| Scheduling::from_json(&v).unwrap_err();
        assert_eq!(
            error(json!({"start": "25:00"})),
            "scheduling option `start`: `25:00` is not a time of day (HH:MM or HH:MM:SS)"
        );
        assert!(error(json!({"x": 1})).starts_with("unknown field `x`, expected one of"));
        assert!(error(json!([])).starts_with("a schedule is a table"));
        assert!(error(json!({"tz": "PST"})).contains("`PST` is not the name of a time zone"));
        assert!(error(json!({"tz": "Mars/Phobos"})).contains("`Mars/Phobos`"));
        assert!(error(json!({"dow": "Moonday"})).contains("`Moonday` is not a day"));
        assert!(error(json!({"dow": " , "})).contains("names no day"));
        assert!(error(json!({"dow": "Mon", "start": "09:00"})).contains("all or none"));
        assert!(error(json!({"expires": "tomorrow"})).contains("`expires`: `tomorrow`"));
    }

    fn window(dow: &str, tz: &str, start: &str, end: &str) -> Scheduling {
        Scheduling::from_json(&json!({"dow": dow, "tz": tz, "start": start, "end": end})).unwrap()
    }

    /// `(asked, expected)` pairs.
    fn holds(s: &Scheduling, cases: &[(&str, &str)]) {
        for (at, want) in cases {
            let got = s.next(instant("at", at).unwrap());
            assert_eq!(text_of(got), text_of(instant("want", want).unwrap()), "from {at}");
        }
    }

    #[test]
    fn hours_of_working_days() {
        // 2026-11-23 is a Monday; Phoenix is seven hours behind UTC all year.
        holds(
            &window("Mon,Wed", "America/Phoenix", "09:00:00", "17:00:00"),
            &[
                ("2026-11-23T08:59:59.999-07:00", "2026-11-23T09:00:00-07:00"),
                ("2026-11-23T09:00:00-07:00", "2026-11-23T09:00:00-07:00"),
                ("2026-11-23T16:59:59.999-07:00", "2026-11-23T16:59:59.999-07:00"),
                ("2026-11-23T17:00:00-07:00", "2026-11-25T09:00:00-07:00"),
                ("2026-11-25T17:00:00-07:00", "2026-11-30T09:00:00-07:00"),
                ("2026-12-31T00:00:00-07:00", "2027-01-04T09:00:00-07:00"),
            ],
        );
        // A single day comes again after a week.
        holds(
            &window("Mon", "UTC", "00:00", "00:01"),
            &[("2026-11-23T00:01:00Z", "2026-11-30T00:00:00Z")],
        );
    }

    #[test]
    fn over_midnight_it_belongs_to_the_day_it_opens() {
        holds(
            &window("Fri", "UTC", "22:00", "06:00"),
            &[
                ("2026-11-27T03:00:00Z", "2026-11-27T22:00:00Z"),
                ("2026-11-28T05:59:59Z", "2026-11-28T05:59:59Z"),
                ("2026-11-28T06:00:00Z", "2026-12-04T22:00:00Z"),
            ],
        );
        // As long as a day when it ends where it begins.
        holds(
            &window("Sun", "UTC", "12:00", "12:00"),
            &[
                ("2026-11-23T11:59:00Z", "2026-11-23T11:59:00Z"),
                ("2026-11-23T12:00:00Z", "2026-11-29T12:00:00Z"),
            ],
        );
    }

    #[test]
    fn changes_of_the_clock() {
        let every = "Mon,Tue,Wed,Thu,Fri,Sat,Sun";
        // Berlin leaves 02:00 to 03:00 out on 2026-03-29, and has it twice on 2026-10-25.
        holds(
            &window(every, "Europe/Berlin", "09:00", "17:00"),
            &[
                ("2026-03-28T17:00:00+01:00", "2026-03-29T09:00:00+02:00"),
                ("2026-10-24T17:00:00+02:00", "2026-10-25T09:00:00+01:00"),
            ],
        );
        holds(
            &window(every, "Europe/Berlin", "02:15", "02:45"),
            &[
                ("2026-03-28T03:00:00+01:00", "2026-03-29T03:15:00+02:00"),
                ("2026-10-24T03:00:00+02:00", "2026-10-25T02:15:00+02:00"),
                ("2026-10-25T02:50:00+02:00", "2026-10-26T02:15:00+01:00"),
            ],
        );
        // New York: the window is open for an hour less in spring, an hour more in autumn.
        holds(
            &window("Sun", "America/New_York", "01:00", "04:00"),
            &[
                ("2026-03-08T03:59:59-04:00", "2026-03-08T03:59:59-04:00"),
                ("2026-11-01T03:59:59-05:00", "2026-11-01T03:59:59-05:00"),
                ("2026-11-01T04:00:00-05:00", "2026-11-08T01:00:00-05:00"),
            ],
        );
    }

    #[test]
    fn the_first_attempt_falls_into_the_window() {
        let mut s = window("Mon", "UTC", "09:00", "10:00");
        s.first_attempt = Some(instant("x", "2026-11-23T09:30:00Z").unwrap());
        holds(&s, &[("2026-11-20T00:00:00Z", "2026-11-23T09:30:00Z")]);
        s.first_attempt = Some(instant("x", "2026-11-23T10:30:00Z").unwrap());
        holds(&s, &[("2026-11-20T00:00:00Z", "2026-11-30T09:00:00Z")]);
        assert_eq!(Scheduling::default().next(7), 7);
    }
}
