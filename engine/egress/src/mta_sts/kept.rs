//! MTA-STS policies kept over a restart (RFC 8461 section 5.1): a file in the `meta` spool to which every shard appends
//! what it has fetched, one line each, under a checksum. What was fetched last counts. A file that has grown is
//! written anew with what still matters.

use crate::limits::{STS_CACHE_POLICIES, STS_FILE_BYTES};
use ringmta_io::fs;
use ringmta_io::plain::Plain;
use ringmta_policy::StsPolicy;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const FILE: &str = "mta-sts";

/// A policy as it was fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose it is.
    pub domain: String,
    /// The id of the record it was fetched for.
    pub id: String,
    /// The policy's text.
    pub text: String,
    /// When it was fetched, seconds of the unix epoch.
    pub fetched_secs: u64,
}

impl Entry {
    /// The policy, and for how many more seconds it may be kept at `now_secs`; `None` when it is too old, or none.
    pub fn policy(&self, now_secs: u64) -> Option<(StsPolicy, u64)> {
        let policy = StsPolicy::parse(&self.text).ok()?;
        let left = policy.max_age_secs.checked_sub(self.age_secs(now_secs))?;
        (left > 0).then_some((policy, left))
    }

    /// How old it is. One from the future was written under another clock: it counts as fetched now.
    pub fn age_secs(&self, now_secs: u64) -> u64 {
        now_secs.saturating_sub(self.fetched_secs)
    }

    fn line(&self) -> std::io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        // It begins with a line end, so that a line which a crash has cut spoils no other.
        let mut line = format!("\n{:08x} ", crc32c::crc32c(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        Ok(line)
    }

    fn read(line: &[u8]) -> Option<Entry> {
        let (sum, json) = line.split_at_checked(9)?;
        let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?.trim_end(), 16).ok()?;
        (crc32c::crc32c(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
    }
}

/// What the file says at `now_secs`: the newest of each domain that is not too old, and how many lines are damaged.
///
/// # Errors
/// There is a file and it cannot be read.
pub fn read(meta: &Path, now_secs: u64) -> std::io::Result<(Vec<Entry>, usize)> {
    let text = match Plain::open_read(&meta.join(FILE)) {
        // What is beyond the limit was not written by us.
        Ok(file) => file.read_at(0, STS_FILE_BYTES as usize * 2)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let mut newest: HashMap<String, Entry> = HashMap::new();
    let mut damaged = 0;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match Entry::read(line) {
            Some(entry) => _ = newest.insert(entry.domain.clone(), entry),
            None => damaged += 1,
        }
    }
    let mut entries: Vec<Entry> = newest.into_values().collect();
    entries.retain(|entry| entry.policy(now_secs).is_some());
    // The newest are the likeliest to be used.
    entries.sort_by(|a, b| (b.fetched_secs, &a.domain).cmp(&(a.fetched_secs, &b.domain)));
    entries.truncate(STS_CACHE_POLICIES);
    Ok((entries, damaged))
}

/// Adds what `shard` has fetched. Blocks: for a helper thread.
///
/// # Errors
/// As the disk says; then it is fetched again after a restart.
pub fn append(meta: &Path, shard: usize, entry: &Entry, now_secs: u64) -> std::io::Result<()> {
    let file = Plain::open(&meta.join(FILE))?;
    file.append(&entry.line()?)?;
    file.sync()?;
    match file.size()? > STS_FILE_BYTES {
        true => write_anew(meta, shard, now_secs),
        false => Ok(()),
    }
}

/// Writes the file anew, no longer than half of what it may be. What another shard adds meanwhile may be lost, and is
/// fetched again.
fn write_anew(meta: &Path, shard: usize, now_secs: u64) -> std::io::Result<()> {
    let (entries, _) = read(meta, now_secs)?;
    let mut text = Vec::new();
    for entry in &entries {
        let line = entry.line()?;
        if (text.len() + line.len()) as u64 > STS_FILE_BYTES / 2 {
            break;
        }
        text.extend_from_slice(&line);
    }
    let fresh: PathBuf = meta.join(format!("{FILE}.{shard}.new"));
    let file = Plain::open(&fresh)?;
    file.cut(0)?;
    file.append(&text)?;
    file.sync()?;
    fs::rename(&fresh, &meta.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(domain: &str, fetched_secs: u64, more: usize) -> Entry {
        let hosts = "mx: mx.test\n".repeat(1 + more);
        let text = format!("version: STSv1\nmode: enforce\n{hosts}max_age: 100\n");
        Entry { domain: domain.into(), id: "1".into(), text, fetched_secs }
    }

    #[test]
    fn what_was_fetched_last_is_found_again_until_it_is_too_old() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        assert_eq!(read(meta, 0).unwrap(), (vec![], 0));
        for found in [entry("a.test", 10, 0), entry("b.test", 20, 0), entry("a.test", 30, 0)] {
            append(meta, 0, &found, 30).unwrap();
        }
        let (a, b) = (entry("a.test", 30, 0), entry("b.test", 20, 0));
        assert_eq!(read(meta, 30).unwrap(), (vec![a.clone(), b], 0));
        assert_eq!(read(meta, 129).unwrap(), (vec![a.clone()], 0));
        assert_eq!(a.policy(129).map(|(_, left)| left), Some(1));
        assert_eq!(read(meta, 130).unwrap(), (vec![], 0));
        // The clock may have been set back since.
        assert_eq!(a.policy(5).map(|(_, left)| left), Some(100));
    }

    #[test]
    fn a_damaged_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        append(meta, 0, &entry("a.test", 10, 0), 10).unwrap();
        let path = meta.join(FILE);
        let mut text = std::fs::read(&path).unwrap();
        let at = text.windows(4).position(|part| part == b"mx: ").unwrap();
        text[at + 5] ^= 1;
        text.extend_from_slice(b"\nc0ffee {\"domain\":");
        std::fs::write(&path, &text).unwrap();
        append(meta, 0, &entry("b.test", 10, 0), 10).unwrap();
        assert_eq!(read(meta, 10).unwrap(), (vec![entry("b.test", 10, 0)], 2));
    }

    #[test]
    fn the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path();
        let mut most = 0;
        for at in 0..600 {
            let big = entry(&format!("{}.test", at % 400), 10 + at, 800);
            append(meta, 0, &big, 10 + at).unwrap();
            most = most.max(std::fs::metadata(meta.join(FILE)).unwrap().len());
        }
        assert!(most <= STS_FILE_BYTES, "{most}");
        let (entries, damaged) = read(meta, 610).unwrap();
        assert_eq!((entries[0].fetched_secs, damaged), (609, 0));
        assert!(entries.len() > 50, "{}", entries.len());
    }
}
