//! Reading one option value from plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::duration::parse_duration;
use crate::plain::Plain;
use crate::table::Notes;

/// A type an option can have.
pub trait OptionValue: Sized {
    /// What is accepted, in words that fit behind "expected".
    const TYPE: &'static str;
    /// The same as a type of annotations for editors.
    const LUA_TYPE: &'static str = "any";
    /// Reads the value. The error says what was found and what was expected, not which option it was.
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Self, String>;
    /// The value as the policy sees it.
    fn to_plain(&self) -> Plain;
    /// The value as operators see it: a secret hides itself here.
    fn to_shown(&self) -> Plain {
        self.to_plain()
    }
}

/// "invalid type: X, expected Y"
pub fn wrong<T: OptionValue>(v: &Plain) -> String {
    format!("invalid type: {}, expected {}", v.describe(), T::TYPE)
}

impl OptionValue for bool {
    const TYPE: &'static str = "a boolean";
    const LUA_TYPE: &'static str = "boolean";
    fn parse(v: &Plain, _: &mut Notes) -> Result<bool, String> {
        match v {
            Plain::Bool(b) => Ok(*b),
            _ => Err(wrong::<bool>(v)),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::Bool(*self)
    }
}

macro_rules! unsigned {
    ($($ty:ty),+) => { $(
        impl OptionValue for $ty {
            const TYPE: &'static str = "a whole number";
            const LUA_TYPE: &'static str = "integer";
            fn parse(v: &Plain, _: &mut Notes) -> Result<$ty, String> {
                let whole = match v {
                    Plain::Int(i) => Some(*i),
                    Plain::Num(n) if n.fract() == 0.0 && n.abs() < 9e15 => Some(*n as i64),
                    _ => return Err(wrong::<$ty>(v)),
                };
                whole.and_then(|i| <$ty>::try_from(i).ok())
                    .ok_or_else(|| format!("invalid value: {}, expected a whole number from 0 to {}", v.describe(), <$ty>::MAX))
            }
            fn to_plain(&self) -> Plain {
                i64::try_from(*self).map(Plain::Int).unwrap_or(Plain::Num(*self as f64))
            }
        }
    )+ };
}
unsigned!(u16, u32, u64, usize);

impl OptionValue for String {
    const TYPE: &'static str = "a string";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<String, String> {
        v.as_str().map(str::to_owned).ok_or_else(|| wrong::<String>(v))
    }
    fn to_plain(&self) -> Plain {
        Plain::str(self)
    }
}

impl OptionValue for PathBuf {
    const TYPE: &'static str = "a path";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<PathBuf, String> {
        v.as_str().map(PathBuf::from).ok_or_else(|| wrong::<PathBuf>(v))
    }
    fn to_plain(&self) -> Plain {
        Plain::str(self.to_string_lossy().as_bytes())
    }
}

impl OptionValue for Duration {
    const TYPE: &'static str = "a duration (a number of seconds, or text like \"1h 30m\")";
    const LUA_TYPE: &'static str = "number|string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<Duration, String> {
        let found = match v {
            Plain::Int(i) => u64::try_from(*i).ok().map(Duration::from_secs),
            Plain::Num(n) => Duration::try_from_secs_f64(*n).ok(),
            Plain::Str(_) => v.as_str().and_then(parse_duration),
            _ => return Err(wrong::<Duration>(v)),
        };
        found.ok_or_else(|| format!("invalid value: {}, expected a duration", v.describe()))
    }
    fn to_plain(&self) -> Plain {
        if self.subsec_nanos() == 0 {
            Plain::Int(self.as_secs() as i64)
        } else {
            Plain::Num(self.as_secs_f64())
        }
    }
}

impl OptionValue for IpAddr {
    const TYPE: &'static str = "an IP address";
    const LUA_TYPE: &'static str = "string";
    fn parse(v: &Plain, _: &mut Notes) -> Result<IpAddr, String> {
        let text = v.as_str().ok_or_else(|| wrong::<IpAddr>(v))?;
        text.parse().map_err(|_| format!("invalid value: {}, expected an IP address", v.describe()))
    }
    fn to_plain(&self) -> Plain {
        Plain::str(self.to_string())
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const LUA_TYPE: &'static str = T::LUA_TYPE;
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Option<T>, String> {
        match v {
            Plain::Nil => Ok(None),
            v => T::parse(v, notes).map(Some),
        }
    }
    fn to_plain(&self) -> Plain {
        self.as_ref().map(T::to_plain).unwrap_or_default()
    }
    fn to_shown(&self) -> Plain {
        self.as_ref().map(T::to_shown).unwrap_or_default()
    }
}

impl<T: OptionValue> OptionValue for Vec<T> {
    const TYPE: &'static str = "a sequence";
    const LUA_TYPE: &'static str = "any[]";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Vec<T>, String> {
        match v {
            Plain::List(l) => {
                let item = |(i, v)| T::parse(v, notes).map_err(|e| format!("item {}: {e}", i + 1));
                l.iter().enumerate().map(item).collect()
            }
            Plain::Map(m) if m.is_empty() => Ok(Vec::new()),
            _ => Err(format!(
                "invalid type: {}, expected a sequence ({} each)",
                v.describe(),
                T::TYPE
            )),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::list(self.iter().map(T::to_plain).collect())
    }
    fn to_shown(&self) -> Plain {
        Plain::list(self.iter().map(T::to_shown).collect())
    }
}

impl<T: OptionValue> OptionValue for BTreeMap<String, T> {
    const TYPE: &'static str = "a map";
    const LUA_TYPE: &'static str = "table<string, any>";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<Self, String> {
        match v {
            Plain::Map(m) => m
                .iter()
                .map(|(k, v)| {
                    let key = k.key_text();
                    let value = T::parse(v, notes).map_err(|e| format!("key `{key}`: {e}"))?;
                    Ok((key, value))
                })
                .collect(),
            Plain::List(l) if l.is_empty() => Ok(BTreeMap::new()),
            _ => Err(format!("invalid type: {}, expected a map ({} each)", v.describe(), T::TYPE)),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::map(self.iter().map(|(k, v)| (k, v.to_plain())))
    }
    fn to_shown(&self) -> Plain {
        Plain::map(self.iter().map(|(k, v)| (k, v.to_shown())))
    }
}

/// Anything at all, kept as it is.
impl OptionValue for Plain {
    const TYPE: &'static str = "any value";
    fn parse(v: &Plain, _: &mut Notes) -> Result<Plain, String> {
        Ok(v.clone())
    }
    fn to_plain(&self) -> Plain {
        self.clone()
    }
}
