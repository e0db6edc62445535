//! A partition read at start: which messages are still to be delivered.

use super::journal::{self, Replay};
use super::reclaim::{AttemptState, InUse};
use super::record::{self, StoredRecord};
use super::segment::{self, Item, Segment};
use super::Location;
use crate::io::{file, fs, File, Map, Set};
use crate::limits::BLOCK_BYTES;
use std::path::{Path, PathBuf};

/// A message found at start.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Where its record lies.
    pub at: Location,
    /// Its id.
    pub id: ringmta_policy::MessageId,
    /// When it was accepted, unix nanoseconds.
    pub created_nanos: u64,
    /// Which of several records of one message is the latest.
    pub generation: u16,
    /// Scheduled queue it belongs to.
    pub queue: String,
    /// Attempts and due time, when one was made.
    pub state: Option<AttemptState>,
}

/// What recovery saw, for the log and for people.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Segment files read.
    pub segments: usize,
    /// Whole records found.
    pub records: usize,
    /// Of these, not needed any more.
    pub done: usize,
    /// Of these, older copies of another.
    pub superseded: usize,
    /// Damage, each with file and offset.
    pub damage: Vec<String>,
}

/// A partition as found on disk.
#[derive(Default)]
pub struct Found {
    /// Messages to deliver.
    pub live: Vec<Recovered>,
    /// Segments that hold any.
    pub in_use: Vec<InUse>,
    /// Files free for reuse.
    pub spare: Vec<PathBuf>,
    /// Highest sequence number seen.
    pub last_sequence: u32,
    /// Its journal files.
    pub journal: journal::Files,
    /// For the log.
    pub report: Report,
}

/// Reads a partition. Damage is reported and stepped over; it never hides an undamaged message.
///
/// # Errors
/// When a folder or file cannot be read at all.
pub async fn read(data: &Path, meta: &Path) -> std::io::Result<Found> {
    let mut found = Found::default();
    // A file made by a process that died at once has its name only until the power goes.
    for dir in [data, meta] {
        file::sync_dir(dir).await?;
    }
    let replay = read_journal(meta, &mut found).await?;
    for path in segment::list(data)? {
        read_segment(path, &replay, &mut found).await?;
    }
    drop_superseded(&mut found);
    found.live.sort_by_key(|message| message.at);
    Ok(found)
}

/// Reads the journal files in the order of their numbers. One whose checkpoint never got to the
/// disk says nothing: the one before it is the journal.
async fn read_journal(meta: &Path, found: &mut Found) -> std::io::Result<Replay> {
    let mut files = Vec::new();
    for path in fs::read_dir(meta)? {
        let Some(name) = journal::name_number(&path) else { continue };
        found.journal.next_name = found.journal.next_name.max(name + 1);
        let bytes = read_file(&path).await?;
        match journal::parse_header(&bytes) {
            Some((number, salt)) => files.push((number, salt, path, bytes)),
            None => {
                tracing::info!("spool: {} holds no journal", path.display());
                found.journal.others.push(path);
            }
        }
    }
    files.sort_by_key(|(number, ..)| *number);
    let mut replay = Replay::default();
    for (number, salt, path, bytes) in files {
        let before = replay.frames;
        if let Some(at) = replay.read(&bytes, salt) {
            found.report.damage.push(format!("{} offset {at}: torn frame", path.display()));
        }
        if replay.frames > before {
            found.journal.number = number;
            found.journal.others.extend(found.journal.newest.replace(path));
        } else {
            found.journal.others.push(path);
        }
    }
    found.last_sequence = replay.last_sequence;
    Ok(replay)
}

async fn read_segment(path: PathBuf, replay: &Replay, found: &mut Found) -> std::io::Result<()> {
    found.report.segments += 1;
    let file = File::open(&path, true).await?;
    let bytes = read_all(&file).await?;
    let Some((sequence, salt)) = segment::parse_header(&bytes) else {
        if bytes.iter().take(BLOCK_BYTES).any(|byte| *byte != 0) {
            found.report.damage.push(format!("{} offset 0: bad segment header", path.display()));
        }
        found.spare.push(path);
        return Ok(());
    };
    found.last_sequence = found.last_sequence.max(sequence);
    if replay.is_given_up(sequence) {
        found.spare.push(path);
        return Ok(());
    }
    let segment = Segment { file, path, sequence, salt };
    let mut entry = InUse {
        segment,
        live: 0,
        live_bytes: 0,
        done: Vec::new(),
        attempts: Map::default(),
        ending: Set::default(),
        abandoned: true,
    };
    let mut items = Vec::new();
    segment::scan(&bytes, sequence, salt, |item| items.push(item));
    for item in items {
        match item {
            Item::Damage(at) => {
                let text = format!("{} offset {at}: torn record", entry.segment.path.display());
                found.report.damage.push(text);
            }
            Item::Record(at, total) => {
                found.report.records += 1;
                let place = Location { segment: sequence, offset: at as u32, bytes: total as u32 };
                if replay.done.contains(&(sequence, at as u32)) {
                    found.report.done += 1;
                    entry.done.push(at as u32);
                    continue;
                }
                match record::parse(&bytes[at..at + total]) {
                    Ok(stored) => take_record(place, &stored, replay, found, &mut entry),
                    Err(fault) => {
                        let path = entry.segment.path.display();
                        found.report.damage.push(format!("{path} offset {at}: {fault}"));
                    }
                }
            }
        }
    }
    if entry.live > 0 {
        // Written by a process that died before it was told that the disk has it.
        entry.segment.file.sync().await?;
    }
    if entry.live == 0 {
        found.spare.push(entry.segment.path);
    } else {
        found.in_use.push(entry);
    }
    Ok(())
}

fn take_record(
    at: Location,
    stored: &StoredRecord<'_>,
    replay: &Replay,
    found: &mut Found,
    entry: &mut InUse,
) {
    let state = replay.attempts.get(&(at.segment, at.offset)).copied();
    let queue = crate::queue::name::of(&stored.meta, &stored.recipients).to_string();
    let created_nanos = stored.created_nanos;
    let message =
        Recovered { at, id: stored.id, created_nanos, generation: stored.generation, queue, state };
    entry.live += 1;
    entry.live_bytes += u64::from(at.bytes);
    if let Some(state) = state {
        entry.attempts.insert(at.offset, state);
    }
    found.live.push(message);
}

/// A record written anew (its envelope or metadata changed) supersedes the older one with the
/// same id, should the crash have come before the older one was declared done. The attempts noted
/// for the older one are still the message's.
fn drop_superseded(found: &mut Found) {
    type Latest = (u16, Location, Option<AttemptState>);
    let mut latest: Map<ringmta_policy::MessageId, Latest> = Map::default();
    for message in &found.live {
        let first = (message.generation, message.at, message.state);
        let (generation, at, state) = latest.entry(message.id).or_insert(first);
        *state = match (*state, message.state) {
            (Some(known), Some(other)) if other.attempts > known.attempts => Some(other),
            (known, other) => known.or(other),
        };
        (*generation, *at) = (*generation, *at).max((message.generation, message.at));
    }
    let mut stale = Vec::new();
    found.live.retain_mut(|message| {
        let Some((_, at, state)) = latest.get(&message.id) else { return true };
        let keep = *at == message.at;
        if keep {
            message.state = *state;
        } else {
            stale.push((message.at, *at, *state));
        }
        keep
    });
    found.report.superseded += stale.len();
    for (old, new, state) in stale {
        if let Some(entry) = in_use(found, old) {
            entry.live -= 1;
            entry.live_bytes -= u64::from(old.bytes);
            entry.done.push(old.offset);
            entry.attempts.remove(&old.offset);
        }
        if let (Some(entry), Some(state)) = (in_use(found, new), state) {
            entry.attempts.insert(new.offset, state);
        }
    }
}

fn in_use(found: &mut Found, at: Location) -> Option<&mut InUse> {
    found.in_use.iter_mut().find(|entry| entry.segment.sequence == at.segment)
}

async fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    read_all(&File::open_read(path).await?).await
}

async fn read_all(file: &File) -> std::io::Result<Vec<u8>> {
    const CHUNK: usize = 4 * 1024 * 1024;
    let size = file.size().await? as usize;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let chunk = file.read_at(bytes.len() as u64, CHUNK.min(size - bytes.len())).await?;
        if chunk.is_empty() {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
