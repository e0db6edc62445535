//! `kumo.define_spool`.

use std::path::PathBuf;

use crate::option_table;
use crate::plain::Plain;
use crate::suggest;
use crate::table::{Notes, Support};
use crate::value::{wrong, OptionValue};

option_table! {
    /// One spool.
    pub struct Spool for "kumo.define_spool" check check_name {
        /// `data` or `meta`.
        name: String = String::new(); Support::Required,
        /// Folder.
        path: PathBuf = PathBuf::new(); Support::Required,
        /// Storage kind.
        kind: Option<String> = None; Support::NoEffect("ringmta has one storage: an append-only log with group commit"),
        /// Sync every write.
        flush: Option<bool> = None; Support::NoEffect("every accepted message is on stable storage before it is acknowledged"),
        /// Free space below which new mail is refused (percent, bytes, or "10MB").
        min_free_space: MinFree = MinFree::Percent(10.0),
        /// Free inodes below which new mail is refused (percent or count).
        min_free_inodes: MinFree = MinFree::Percent(10.0),
        /// Tuning of another storage.
        rocks_params: Option<Plain> = None; Support::NoEffect("ringmta has one storage: an append-only log with group commit"),
    }
}

impl Spool {
    fn check_name(&mut self, _: &mut Notes) -> Result<(), String> {
        match self.name.as_str() {
            "data" | "meta" => Ok(()),
            other => Err(suggest::unknown("spool name", other, ["data", "meta"].into_iter())),
        }
    }
}

/// A floor for free space or inodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinFree {
    /// Share of what is free or in use, 0..=100, as df(1) counts.
    Percent(f64),
    /// Bytes, or inodes.
    Bytes(u64),
}

impl MinFree {
    /// Whether `free` of `total` is below the floor.
    pub fn is_below(self, free: u64, total: u64) -> bool {
        match self {
            MinFree::Percent(p) => (free as f64) < total as f64 * p / 100.0,
            MinFree::Bytes(b) => free < b,
        }
    }
}

impl std::fmt::Display for MinFree {
    /// As it is written in a policy.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MinFree::Percent(p) => write!(f, "{p}%"),
            MinFree::Bytes(b) => write!(f, "{b}"),
        }
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    Some((number * unit as f64) as u64)
}

impl OptionValue for MinFree {
    const TYPE: &'static str = "free space (text like \"10%\" or \"10MB\", or a number of bytes)";
    const LUA_TYPE: &'static str = "integer|string";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<MinFree, String> {
        let Plain::Str(_) = v else {
            return u64::parse(v, notes).map(MinFree::Bytes).map_err(|_| wrong::<MinFree>(v));
        };
        let text = v.as_str().unwrap_or("").trim();
        let found = match text.strip_suffix('%') {
            Some(p) => {
                p.trim().parse().ok().filter(|p| (0.0..=100.0).contains(p)).map(MinFree::Percent)
            }
            None => parse_bytes(text).map(MinFree::Bytes),
        };
        found.ok_or_else(|| format!("invalid value: {}, expected {}", v.describe(), Self::TYPE))
    }
    fn to_plain(&self) -> Plain {
        match self {
            MinFree::Percent(p) => Plain::str(format!("{p}%")),
            MinFree::Bytes(b) => b.to_plain(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors() {
        let mut n = Notes::default();
        assert_eq!(MinFree::parse(&Plain::str("10MB"), &mut n), Ok(MinFree::Bytes(10_000_000)));
        assert_eq!(MinFree::parse(&Plain::str("1.5 GiB"), &mut n), Ok(MinFree::Bytes(3 << 29)));
        assert_eq!(MinFree::parse(&Plain::str("12.5%"), &mut n), Ok(MinFree::Percent(12.5)));
        assert_eq!(MinFree::parse(&Plain::Int(5), &mut n), Ok(MinFree::Bytes(5)));
        assert!(MinFree::parse(&Plain::str("lots"), &mut n)
            .unwrap_err()
            .contains("expected free space"));
        assert!(MinFree::parse(&Plain::str("120%"), &mut n).is_err());
        assert!(MinFree::Percent(10.0).is_below(9, 100));
        assert_eq!(MinFree::Percent(12.5).to_string(), "12.5%");
        assert_eq!(MinFree::Bytes(10).to_string(), "10");
        assert!(!MinFree::Bytes(10).is_below(10, 100));
    }
}
