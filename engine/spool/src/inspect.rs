//! A partition read by people: as [`crate::start::recover`] reads it, but nothing is written, and no shard
//! is needed.

use crate::location::Location;
use crate::log::journal;
use crate::log::reclaim::AttemptState;
use crate::log::segment;
use crate::start::replay;
use crate::start::survey;
use crate::start::survey::{Report, Role, Seen, Survey, Use};
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{Map, Set};
use ringmta_mail::MessageId;
use std::io::{Error, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A message that waits for delivery.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its id.
    pub id: MessageId,
    /// Where its record lies.
    pub at: Location,
    /// In which file.
    pub path: PathBuf,
    /// When it was accepted, unix nanoseconds.
    pub created_nanos: u64,
    /// Which of several records of one message is the latest.
    pub generation: u16,
    /// Scheduled queue it belongs to.
    pub queue: String,
    /// Attempts and due time, when one was made.
    pub state: Option<AttemptState>,
}

/// A partition as found.
#[derive(Debug)]
pub struct Inspected {
    /// Name of its folder: the number of its shard.
    pub name: String,
    /// Bytes of its segment files.
    pub bytes: u64,
    /// Journal files that are its own.
    pub journals: usize,
    /// Frames in them.
    pub frames: usize,
    /// Counts and damage.
    pub report: Report,
    /// What waits, the oldest first.
    pub waiting: Vec<Waiting>,
}

/// Every partition of the spool, in the order of their numbers.
///
/// # Errors
/// As the system says, with the file's name.
pub fn spool(data: &Path, meta: &Path) -> std::io::Result<Vec<Inspected>> {
    let mut names = Vec::new();
    for base in [data, meta] {
        for path in list(base)?.into_iter().filter(|path| path.is_dir()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            names.extend(name.parse::<usize>().ok());
        }
    }
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| partition(data, meta, &name.to_string())).collect()
}

/// One partition.
fn partition(data: &Path, meta: &Path, name: &str) -> std::io::Result<Inspected> {
    let (data, meta) = (data.join(name), meta.join(name));
    let mut journals = Vec::new();
    let files = if meta.is_dir() { list(&meta)? } else { Vec::new() };
    for path in files.into_iter().filter(|path| journal::name_number(path).is_some()) {
        let bytes = read(&path, None)?;
        journals.push((path, bytes));
    }
    let segments = if data.is_dir() { segment::list(&data)? } else { Vec::new() };
    let mut headers = Vec::new();
    for path in &segments {
        headers.push((path.clone(), segment::parse_header(&read(path, Some(BLOCK_BYTES))?)));
    }
    let elsewhere = match survey::is_doubtful(&journals, &headers) {
        true => elsewhere(&data, &meta)?,
        false => Set::default(),
    };
    let mut survey = Survey::begin(journals, &headers, elsewhere);
    let journals = survey.journal.others.len() + usize::from(survey.journal.newest.is_some());
    let frames = survey.replay.frames;
    let (mut waiting, mut total) = (Vec::new(), 0);
    for path in segments {
        let bytes = read(&path, None)?;
        total += bytes.len() as u64;
        let mut found = Vec::new();
        let role = survey.segment(&path, &bytes, |seen| found.push(seen));
        // Strays count only where no segment has the message.
        let stray = matches!(role, Role::Stray(..));
        waiting.extend(found.iter().map(|seen| (stray, summary(seen, &path))));
    }
    survey.end();
    let superseded = drop_superseded(&mut waiting);
    survey.report.superseded = superseded;
    let waiting = waiting.into_iter().map(|(_, waiting)| waiting).collect();
    let name = name.to_string();
    Ok(Inspected { name, bytes: total, journals, frames, report: survey.report, waiting })
}

fn summary(seen: &Seen<'_>, path: &Path) -> Waiting {
    let stored = &seen.stored;
    let queue = ringmta_mail::QueueName::of(&stored.meta, &stored.recipients).to_string();
    let (at, state, path) = (seen.at, seen.state, path.to_path_buf());
    let (created_nanos, generation) = (stored.created_nanos, stored.generation);
    Waiting { id: stored.id, at, path, created_nanos, generation, queue, state }
}

/// Of several records of one message the newest counts, and one that lies where it belongs before a
/// stray one. Returns how many were dropped.
fn drop_superseded(waiting: &mut Vec<(bool, Waiting)>) -> usize {
    let before = waiting.len();
    let rank = |stray: bool, one: &Waiting| (!stray, one.generation, one.at);
    let mut best: Map<MessageId, (bool, u16, Location)> = Map::default();
    for (stray, one) in waiting.iter() {
        let known = best.entry(one.id).or_insert(rank(*stray, one));
        *known = (*known).max(rank(*stray, one));
    }
    let mut kept: Set<MessageId> = Set::default();
    waiting.retain(|(stray, one)| {
        best.get(&one.id) == Some(&rank(*stray, one)) && kept.insert(one.id)
    });
    waiting.sort_by_key(|(stray, one)| (*stray, one.at));
    before - waiting.len()
}

/// The record of a waiting message.
///
/// # Errors
/// As read(2).
pub fn record(of: &Waiting) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(&of.path).map_err(|error| named(&of.path, error))?;
    file.seek(SeekFrom::Start(u64::from(of.at.offset)))?;
    let mut bytes = vec![0; of.at.bytes as usize];
    file.read_exact(&mut bytes).map_err(|error| named(&of.path, error))?;
    Ok(bytes)
}

/// Which files lie in the partitions beside this one.
fn elsewhere(data: &Path, meta: &Path) -> std::io::Result<Set<Use>> {
    let mut found = Vec::new();
    for base in [data, meta] {
        let beside = base.parent().map(list).transpose()?.unwrap_or_default();
        for dir in beside.into_iter().filter(|dir| dir != base && dir.is_dir()) {
            for path in list(&dir)? {
                let parse = match (segment::name_number(&path), journal::name_number(&path)) {
                    (Some(_), _) => segment::parse_header,
                    (None, Some(_)) => replay::parse_header,
                    (None, None) => continue,
                };
                let header = parse(&read(&path, Some(BLOCK_BYTES))?);
                found.push((path, header));
            }
        }
    }
    Ok(survey::uses(&found))
}

fn list(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    ringmta_io::fs::read_dir(dir).map_err(|error| named(dir, error))
}

fn read(path: &Path, most: Option<usize>) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path).map_err(|error| named(path, error))?;
    let mut bytes = Vec::new();
    let most = most.map_or(u64::MAX, |most| most as u64);
    file.take(most).read_to_end(&mut bytes).map_err(|error| named(path, error))?;
    Ok(bytes)
}

fn named(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}
