//! A partition read at start: which messages are still to be delivered.

use crate::location::Location;
use crate::log::header::Header;
use crate::log::journal;
use crate::log::reclaim::{AttemptState, InUse};
use crate::log::segment;
use crate::log::segment::Segment;
use crate::start::replay;
use crate::start::replay::Replay;
use crate::start::survey;
use crate::start::survey::{Role, Seen, Survey, Use};
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{file, fs, File, Map, Set};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use crate::start::survey::Report;

/// A message found at start.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Where its record lies.
    pub at: Location,
    /// Its id.
    pub id: ringmta_mail::MessageId,
    /// When it was accepted, unix nanoseconds.
    pub created_nanos: u64,
    /// Which of several records of one message is the latest.
    pub generation: u16,
    /// Scheduled queue it belongs to.
    pub queue: String,
    /// Attempts and due time, when one was made.
    pub state: Option<AttemptState>,
    /// When it may be tried, when it says.
    pub scheduling: Option<Rc<ringmta_mail::Scheduling>>,
}

/// A partition as found on disk.
#[derive(Default)]
pub struct Found {
    /// Its number; 0 when it has none yet.
    pub partition: u64,
    /// Messages to deliver.
    pub live: Vec<Recovered>,
    /// Segments that hold any.
    pub in_use: Vec<InUse>,
    /// Files free for reuse.
    pub spare: Vec<PathBuf>,
    /// Files that are not touched.
    pub aside: Vec<PathBuf>,
    /// Messages to be stored anew, and the files they are in, which are then not needed any more.
    pub strays: Vec<Strays>,
    /// Highest sequence number seen.
    pub last_sequence: u32,
    /// Its journal files.
    pub journal: journal::Files,
    /// For the log.
    pub report: Report,
}

/// Messages in a file that is no segment of the partition.
pub struct Strays {
    /// The open file.
    pub file: File,
    /// Its name.
    pub path: PathBuf,
    /// What of it matters.
    pub messages: Vec<Recovered>,
}

/// Reads a partition. Damage is reported and stepped over; it never hides an undamaged message.
///
/// # Errors
/// When a folder or file cannot be read at all.
pub async fn read(data: &Path, meta: &Path) -> std::io::Result<Found> {
    // A file made by a process that died at once has its name only until the power goes.
    for dir in [data, meta] {
        file::sync_dir(dir).await?;
    }
    let mut journals = Vec::new();
    for path in fs::read_dir(meta)?.into_iter().filter(|p| journal::name_number(p).is_some()) {
        let file = File::open_read(&path).await?;
        journals.push((path.clone(), read_all(&file, &path).await?));
    }
    let segments = segment::list(data)?;
    let headers = headers(&segments).await;
    let elsewhere = match survey::is_doubtful(&journals, &headers) {
        true => elsewhere(data, meta).await?,
        false => Set::default(),
    };
    let mut survey = Survey::begin(journals, &headers, elsewhere);
    if let Some(path) = &survey.journal.newest {
        // As with segments: its checkpoint may not be on the disk yet, and the file before it is the
        // next to be written over.
        File::open(path, true).await?.sync().await?;
    }
    let mut found = Found { partition: survey.partition, ..Found::default() };
    for path in segments {
        read_segment(path, &mut survey, &mut found).await?;
    }
    survey.end();
    found.last_sequence = survey.last_sequence;
    found.journal = survey.journal;
    found.report = survey.report;
    drop_superseded(&mut found);
    found.live.sort_by_key(|message| message.at);
    Ok(found)
}

async fn headers(segments: &[PathBuf]) -> Vec<(PathBuf, Header)> {
    let mut headers = Vec::new();
    for path in segments {
        // What cannot be read says nothing here: one of ours is read again soon, and one of another
        // partition may go at any moment.
        let Ok(file) = File::open_read(path).await else { continue };
        let first = file.read_at(0, BLOCK_BYTES).await.unwrap_or_default();
        headers.push((path.clone(), segment::parse_header(&first)));
    }
    headers
}

/// Which files lie in the partitions beside this one. A folder that has just been adopted by its
/// shard is not there any more.
async fn elsewhere(data: &Path, meta: &Path) -> std::io::Result<Set<Use>> {
    let mut found = Vec::new();
    for dir in beside(data)? {
        found.extend(headers(&segment::list(&dir).unwrap_or_default()).await);
    }
    for dir in beside(meta)? {
        for path in fs::read_dir(&dir).unwrap_or_default() {
            let Some(_) = journal::name_number(&path) else { continue };
            let Ok(file) = File::open_read(&path).await else { continue };
            let first = file.read_at(0, BLOCK_BYTES).await.unwrap_or_default();
            found.push((path, replay::parse_header(&first)));
        }
    }
    Ok(survey::uses(&found))
}

/// The folders beside `dir`.
fn beside(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let all = dir.parent().map(fs::read_dir).transpose()?.unwrap_or_default();
    Ok(all.into_iter().filter(|other| other != dir && fs::is_dir(other)).collect())
}

async fn read_segment(
    path: PathBuf,
    survey: &mut Survey,
    found: &mut Found,
) -> std::io::Result<()> {
    let file = File::open(&path, true).await?;
    let bytes = read_all(&file, &path).await?;
    let mut messages = Vec::new();
    let role = survey.segment(&path, &bytes, |seen| messages.push(recovered(&seen)));
    match role {
        Role::Spare => found.spare.push(path),
        Role::Aside => found.aside.push(path),
        Role::Stray(..) => found.strays.push(Strays { file, path, messages }),
        Role::Own(..) if messages.is_empty() => found.spare.push(path),
        Role::Own(sequence, salt) => {
            // Written by a process that died before it was told that the disk has it.
            file.sync().await?;
            let segment = Segment { file, path, sequence, salt };
            found.in_use.push(in_use_entry(segment, &survey.replay, &messages));
            found.live.append(&mut messages);
        }
    }
    Ok(())
}

fn recovered(seen: &Seen<'_>) -> Recovered {
    let stored = &seen.stored;
    let queue = ringmta_mail::QueueName::of(&stored.meta, &stored.recipients).to_string();
    let (at, state) = (seen.at, seen.state);
    let (created_nanos, generation) = (stored.created_nanos, stored.generation);
    let scheduling = ringmta_mail::schedule::kept_in(&stored.meta).map(Rc::new);
    Recovered { at, id: stored.id, created_nanos, generation, queue, state, scheduling }
}

fn in_use_entry(segment: Segment, replay: &Replay, messages: &[Recovered]) -> InUse {
    let sequence = segment.sequence;
    let state = |message: &Recovered| Some((message.at.offset, message.state?));
    InUse {
        segment,
        live: messages.len() as u32,
        live_bytes: messages.iter().map(|message| u64::from(message.at.bytes)).sum(),
        done: replay.done.get(&sequence).into_iter().flatten().copied().collect(),
        attempts: messages.iter().filter_map(state).collect(),
        ending: Set::default(),
        abandoned: true,
    }
}

/// A record written anew (its envelope or metadata changed) supersedes the older one with the
/// same id, should the crash have come before the older one was declared done. The attempts noted
/// for the older one are still the message's.
fn drop_superseded(found: &mut Found) {
    type Latest = (u16, Location, Option<AttemptState>);
    let mut latest: Map<ringmta_mail::MessageId, Latest> = Map::default();
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

/// Reads a whole file. One that cannot be read ends the start: the disk may come back, and what is
/// in the file must not be given up, nor its room be used, for an error that may pass.
async fn read_all(file: &File, path: &Path) -> std::io::Result<Vec<u8>> {
    const CHUNK: usize = 4 * 1024 * 1024;
    let size = file.size().await? as usize;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let at = bytes.len();
        let chunk = file.read_at(at as u64, CHUNK.min(size - at)).await.map_err(|error| {
            let text = format!("{} offset {at} cannot be read: {error}", path.display());
            std::io::Error::new(error.kind(), text)
        })?;
        if chunk.is_empty() {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
