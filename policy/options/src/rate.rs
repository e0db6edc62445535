//! Limits and throttles: `"[local:]N"` and `"[local:]N/period[,max_burst=M]"`.

use std::fmt;
use std::time::Duration;

use crate::duration::{format_duration, parse_duration};
use crate::gcra::GcraSpec;
use crate::plain::Plain;
use crate::table::Notes;
use crate::value::{wrong, OptionValue};

/// How many may be in use at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Counted on this node only.
    pub local: bool,
    /// The count.
    pub limit: u64,
}

/// How many may happen in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Counted on this node only.
    pub local: bool,
    /// Events per period.
    pub limit: u64,
    /// The period.
    pub period: Duration,
    /// Events that may come at once; `None` = as many as come in a period.
    pub max_burst: Option<u64>,
}

impl Limit {
    /// A plain limit.
    pub const fn new(limit: u64) -> Limit {
        Limit { local: false, limit }
    }
}

impl Throttle {
    /// Reads the text form. Thousands may be grouped with `_` or `,`.
    pub fn parse(text: &str) -> Result<Throttle, String> {
        let bad = |why: &str| {
            format!("invalid value: string {text:?}, expected a throttle like \"100/min\" or \"local:10/s,max_burst=20\": {why}")
        };
        let (local, spec) = strip_local(text);
        let (count, rest) = spec.split_once('/').ok_or_else(|| bad("there is no `/`"))?;
        let (period, burst) = match rest.split_once(',') {
            Some((p, b)) => (p, Some(b)),
            None => (rest, None),
        };
        let limit = number(count).ok_or_else(|| bad("the count is not a number"))?;
        let period = parse_period(period.trim())
            .ok_or_else(|| bad("the period is not one of s, sec, min, hr, day, or a duration"))?;
        let max_burst = match burst.map(|b| b.trim().strip_prefix("max_burst=").and_then(number)) {
            None => None,
            Some(Some(n)) if n > 0 => Some(n),
            Some(_) => return Err(bad("what follows the comma is not max_burst=N")),
        };
        Ok(Throttle { local, limit, period, max_burst })
    }

    /// The limiter's form of this rate.
    pub fn spec(&self) -> GcraSpec {
        GcraSpec {
            limit: self.limit,
            period: self.period,
            burst: self.max_burst.unwrap_or(self.limit),
        }
    }
}

fn strip_local(text: &str) -> (bool, &str) {
    let text = text.trim();
    match text.strip_prefix("local:") {
        Some(rest) => (true, rest.trim()),
        None => (false, text),
    }
}

fn number(text: &str) -> Option<u64> {
    let digits: String = text.trim().chars().filter(|c| !matches!(c, '_' | ',')).collect();
    digits.parse().ok()
}

fn parse_period(text: &str) -> Option<Duration> {
    let period = if text.starts_with(|c: char| c.is_ascii_digit()) {
        parse_duration(text)
    } else {
        parse_duration(&format!("1{text}"))
    };
    period.filter(|p| !p.is_zero())
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.local { "local:" } else { "" }, self.limit)
    }
}

impl fmt::Display for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = if self.local { "local:" } else { "" };
        let period = match self.period.as_secs() {
            1 if self.period.subsec_nanos() == 0 => "s".to_owned(),
            60 => "m".to_owned(),
            3600 => "h".to_owned(),
            86_400 => "d".to_owned(),
            _ => format_duration(self.period).replace(' ', ""),
        };
        write!(f, "{local}{}/{period}", self.limit)?;
        match self.max_burst {
            Some(b) => write!(f, ",max_burst={b}"),
            None => Ok(()),
        }
    }
}

impl OptionValue for Limit {
    const TYPE: &'static str = "a limit (a whole number, or text like \"local:10\")";
    const LUA_TYPE: &'static str = "integer|string";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Limit, String> {
        if let Plain::Str(_) = v {
            let (local, digits) = strip_local(v.as_str().unwrap_or(""));
            let limit = number(digits).ok_or_else(|| {
                format!("invalid value: {}, expected {}", v.describe(), Self::TYPE)
            })?;
            return Ok(Limit { local, limit });
        }
        u64::parse(v, notes).map(Limit::new).map_err(|_| wrong::<Limit>(v))
    }
    fn to_plain(&self) -> Plain {
        if self.local {
            Plain::str(self.to_string())
        } else {
            self.limit.to_plain()
        }
    }
}

impl OptionValue for Throttle {
    const TYPE: &'static str = "a throttle (text like \"100/min\")";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<Throttle, String> {
        Throttle::parse(v.as_str().ok_or_else(|| wrong::<Throttle>(v))?)
    }
    fn to_plain(&self) -> Plain {
        Plain::str(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        for (text, local, limit, secs, burst) in [
            ("100/s", false, 100, 1, None),
            ("10/min", false, 10, 60, None),
            ("local:1,000/hr", true, 1000, 3600, None),
            ("5/day,max_burst=2", false, 5, 86_400, Some(2)),
            ("1_000/30sec", false, 1000, 30, None),
            ("7/5m", false, 7, 300, None),
            ("7/second", false, 7, 1, None),
        ] {
            let want =
                Throttle { local, limit, period: Duration::from_secs(secs), max_burst: burst };
            assert_eq!(Throttle::parse(text), Ok(want), "{text}");
            assert_eq!(Throttle::parse(&want.to_string()), Ok(want), "{want}");
        }
    }

    #[test]
    fn without_a_burst_the_whole_quantity_may_come_at_once() {
        let burst = |text| Throttle::parse(text).unwrap().spec().burst;
        assert_eq!((burst("50/hr"), burst("50/hr,max_burst=2")), (50, 2));
    }

    #[test]
    fn refused_with_a_reason() {
        assert!(Throttle::parse("100").unwrap_err().ends_with("there is no `/`"));
        assert!(Throttle::parse("x/s").unwrap_err().ends_with("the count is not a number"));
        assert!(Throttle::parse("1/fortnight").unwrap_err().contains("the period is not one of"));
        assert!(Throttle::parse("1/s,burst=3").unwrap_err().ends_with("not max_burst=N"));
        assert!(Throttle::parse("1/0s").is_err());
    }

    #[test]
    fn limits() {
        let mut n = Notes::default();
        assert_eq!(Limit::parse(&Plain::Int(5), &mut n), Ok(Limit::new(5)));
        assert_eq!(
            Limit::parse(&Plain::str("local:7"), &mut n),
            Ok(Limit { local: true, limit: 7 })
        );
        assert!(Limit::parse(&Plain::Bool(true), &mut n)
            .unwrap_err()
            .starts_with("invalid type: boolean `true`, expected a limit"));
    }
}
