//! What the files of a partition say together: whose they are, which records still matter, and what
//! is damaged. Bytes in, findings out; [`crate::start::recover`] reads the files for a shard, the inspector
//! for people.
//!
//! A file that is not this partition's, or of another version, is left alone, and never written to.

use crate::limits::SEQUENCE_MAX;
use crate::location::Location;
use crate::log::header::Header;
use crate::log::journal;
use crate::log::journal::Files;
use crate::log::reclaim::AttemptState;
use crate::log::record;
use crate::log::record::StoredRecord;
use crate::log::segment;
use crate::log::segment::DATA_START;
use crate::start::damage::Damage;
use crate::start::replay;
use crate::start::replay::{FileId, Replay};
use crate::start::scan;
use crate::start::scan::Item;
use ringmta_io::limits::BLOCK_BYTES;
use ringmta_io::{Map, Set};
use std::path::{Path, PathBuf};

/// What was seen, for the log and for people.
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
    pub damage: Vec<Damage>,
}

const CUT: &str = "cut within a block; nobody knows what was behind";

/// One use of a file: (partition, a segment's sequence or a journal's number, salt).
pub type Use = (u64, u32, u32);

/// What a segment file is to the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds nothing that matters.
    Spare,
    /// Not to be touched.
    Aside,
    /// One of its segments: sequence and salt.
    Own(u32, u32),
    /// Its records are not where they belong: those that matter are to be stored anew.
    Stray(u32, u32),
}

/// A record that still matters.
pub struct Seen<'a> {
    /// Where it lies.
    pub at: Location,
    /// What it says.
    pub stored: StoredRecord<'a>,
    /// Its last known attempt.
    pub state: Option<AttemptState>,
}

/// The segment that has a sequence number.
struct Holder {
    salt: u32,
    path: PathBuf,
    bytes: usize,
    /// Offsets of its whole records.
    whole: Vec<u32>,
    /// Records that are not done, or may be: damaged ones count.
    waiting: u32,
    /// It ends within a block, and no record runs into its end. Files are made of whole blocks.
    cut: bool,
}

/// A partition being read.
#[derive(Default)]
pub struct Survey {
    /// Number of the partition; 0 when no file has one.
    pub partition: u64,
    /// What its journal says.
    pub replay: Replay,
    /// Its journal files.
    pub journal: Files,
    /// Highest sequence number seen.
    pub last_sequence: u32,
    /// Findings so far.
    pub report: Report,
    /// Uses of files that lie in other partitions.
    elsewhere: Set<Use>,
    /// The files do not agree whose partition this is, and none outvotes the others.
    contested: bool,
    /// No journal says whose partition this is.
    bare: bool,
    /// The journal lies in another partition as well, and may have nothing to do with this one.
    borrowed: bool,
    holders: Map<u32, Holder>,
}

impl Survey {
    /// Reads the journal: (path, bytes) of every file, and (path, header) of every segment, which
    /// have a say in whose partition this is. `elsewhere` matters only where that [`is_doubtful`].
    pub fn begin(
        journals: Vec<(PathBuf, Vec<u8>)>,
        segments: &[(PathBuf, Header)],
        elsewhere: Set<Use>,
    ) -> Survey {
        let (partition, contested) = owner(&journals, segments, &elsewhere);
        let bare = !has_journal(&journals);
        let borrowed = are_borrowed(&journals, &elsewhere);
        let mut survey =
            Survey { partition, elsewhere, contested, bare, borrowed, ..Survey::default() };
        let mut files = Vec::new();
        for (path, bytes) in journals {
            let name = journal::name_number(&path).filter(|name| *name <= SEQUENCE_MAX);
            let next = name.map_or(0, |name| name + 1);
            survey.journal.next_name = survey.journal.next_name.max(next);
            if let Some(id) = survey.journal_file(&path, &bytes) {
                files.push((id, path, bytes));
            }
        }
        files.sort_by_key(|(id, ..)| *id);
        for (id, path, bytes) in files {
            survey.replay_file(id, path, &bytes);
        }
        survey.last_sequence = survey.replay.last_sequence;
        survey
    }

    /// Which journal the file at `path` is, when it is one of this partition's.
    fn journal_file(&mut self, path: &Path, bytes: &[u8]) -> Option<FileId> {
        let what = match replay::parse_header(bytes) {
            Header::Valid { number, salt, partition } if partition == self.partition => {
                return Some(FileId { number, salt });
            }
            Header::Valid { .. } => "journal of another partition, left alone".to_string(),
            Header::OtherVersion(version) => other_version("journal", version, replay::VERSION),
            Header::Empty => {
                self.journal.others.push(path.to_path_buf());
                return None;
            }
            Header::Damaged => {
                let claim = replay::claim(bytes);
                let what = match claim {
                    Some(_) => "bad journal header, read all the same",
                    None => "bad journal header, holds no journal",
                };
                self.damage(path, 0, what);
                if claim.is_none() {
                    self.journal.others.push(path.to_path_buf());
                }
                return claim;
            }
        };
        self.damage(path, 0, what);
        None
    }

    /// A file whose checkpoint never got to the disk says nothing: the one before it is the journal.
    fn replay_file(&mut self, id: FileId, path: PathBuf, bytes: &[u8]) {
        let before = self.replay.frames;
        let damage = &mut self.report.damage;
        self.replay.read(bytes, id, |at| {
            damage.push(Damage::new(&path, at as u64, "torn or damaged frame"));
        });
        if self.replay.frames > before {
            self.journal.number = id.number;
            self.journal.others.extend(self.journal.newest.replace(path));
        } else {
            self.journal.others.push(path);
        }
    }

    fn damage(&mut self, path: &Path, offset: u64, what: impl Into<String>) {
        self.report.damage.push(Damage::new(path, offset, what));
    }

    /// Reads one segment file and calls `each` for every record that still matters; of a stray file
    /// only for those that no segment read before it holds.
    pub fn segment<'a>(
        &mut self,
        path: &Path,
        bytes: &'a [u8],
        mut each: impl FnMut(Seen<'a>),
    ) -> Role {
        self.report.segments += 1;
        let role = self.role(path, bytes);
        let (sequence, salt) = match role {
            Role::Own(sequence, salt) | Role::Stray(sequence, salt) => (sequence, salt),
            Role::Spare | Role::Aside => return role,
        };
        let own = matches!(role, Role::Own(..));
        if own {
            let (path, bytes) = (path.to_path_buf(), bytes.len());
            let holder = Holder { salt, path, bytes, whole: Vec::new(), waiting: 0, cut: false };
            self.holders.insert(sequence, holder);
        }
        // The journal speaks of a copy as of the original, and of nothing else.
        let known = own || self.is_copy(sequence, salt, segment::parse_header(bytes));
        let mut items = Vec::new();
        scan::scan(bytes, sequence, salt, |item| items.push(item));
        self.ends(own, sequence, path, bytes.len(), items.last());
        for item in items {
            let (at, total) = match item {
                Item::Damage(at) => {
                    self.damage(path, at as u64, "torn or damaged record");
                    self.waits(own, sequence);
                    continue;
                }
                Item::Record(at, total) => (at, total),
            };
            if !own && known && self.holds(sequence, at as u32) {
                continue;
            }
            self.report.records += 1;
            let place = (sequence, at as u32);
            if own {
                self.holders.entry(sequence).and_modify(|holder| holder.whole.push(at as u32));
            }
            if known && self.replay.is_done(sequence, at as u32) {
                self.report.done += 1;
                continue;
            }
            self.waits(known, sequence);
            match record::parse(&bytes[at..at + total]) {
                Ok(stored) => {
                    let state = self.replay.attempts.get(&place).copied().filter(|_| known);
                    let (offset, bytes) = (at as u32, total as u32);
                    let at = Location { segment: sequence, offset, bytes };
                    each(Seen { at, stored, state });
                }
                Err(fault) => self.damage(path, at as u64, fault),
            }
        }
        role
    }

    fn role(&mut self, path: &Path, bytes: &[u8]) -> Role {
        let (partition, sequence, salt) = match segment::parse_header(bytes) {
            Header::Valid { number, salt, partition } => (partition, number, salt),
            Header::OtherVersion(version) => {
                self.damage(path, 0, other_version("segment", version, segment::VERSION));
                return Role::Aside;
            }
            header => match claim(bytes) {
                Some((sequence, salt)) if self.borrowed => {
                    let what = "bad segment header, and the journal here is another partition's; \
                                its mail is taken over, and may go out twice";
                    self.damage(path, 0, what);
                    return Role::Stray(sequence, salt);
                }
                Some((sequence, salt)) => {
                    self.damage(path, 0, "bad segment header, its records are read all the same");
                    (self.partition, sequence, salt)
                }
                None if header == Header::Empty => return Role::Spare,
                None => {
                    self.damage(path, 0, "bad segment header, and no record behind it");
                    return Role::Spare;
                }
            },
        };
        if partition != self.partition {
            return self.foreign(path, (partition, sequence, salt));
        }
        self.last_sequence = self.last_sequence.max(sequence);
        if self.replay.is_given_up(sequence) {
            return Role::Spare;
        }
        match self.holders.get(&sequence) {
            None => {
                if self.bare && self.elsewhere.contains(&(partition, sequence, salt)) {
                    let what = "also a segment of another partition, and no journal here; its mail may go out twice";
                    self.damage(path, 0, what);
                }
                Role::Own(sequence, salt)
            }
            Some(holder) => {
                let first = holder.path.display();
                let what = format!("the same segment as {first}; what only this holds is kept");
                self.damage(path, 0, what);
                Role::Stray(sequence, salt)
            }
        }
    }

    fn foreign(&mut self, path: &Path, found: Use) -> Role {
        // Where the vote was a draw, what looks foreign may be the partition's own: rather twice than
        // never.
        if self.elsewhere.contains(&found) && !self.contested {
            self.damage(path, 0, "copy of a segment of another partition, left alone");
            return Role::Aside;
        }
        let what = "segment of another partition; its mail is taken over, and may go out twice";
        self.damage(path, 0, what);
        Role::Stray(found.1, found.2)
    }

    /// Whether the file with this header is a copy of the segment that has the sequence number.
    fn is_copy(&self, sequence: u32, salt: u32, header: Header) -> bool {
        let ours =
            !matches!(header, Header::Valid { partition, .. } if partition != self.partition);
        ours && self.holders.get(&sequence).is_some_and(|holder| holder.salt == salt)
    }

    fn holds(&self, sequence: u32, offset: u32) -> bool {
        let holder = self.holders.get(&sequence);
        holder.is_some_and(|holder| holder.whole.binary_search(&offset).is_ok())
    }

    /// Notes whether a segment ends where no segment can end; [`Survey::end`] says so once, with what
    /// the journal knows to be missing.
    fn ends(&mut self, own: bool, sequence: u32, path: &Path, bytes: usize, last: Option<&Item>) {
        if bytes.is_multiple_of(BLOCK_BYTES) || matches!(last, Some(Item::Damage(_))) {
            return;
        }
        match self.holders.get_mut(&sequence).filter(|_| own) {
            Some(holder) => holder.cut = true,
            None => self.damage(path, bytes as u64, CUT),
        }
    }

    fn waits(&mut self, counts: bool, sequence: u32) {
        if let Some(holder) = self.holders.get_mut(&sequence).filter(|_| counts) {
            holder.waiting += 1;
        }
    }

    /// To be called when every segment has been read: tells what the journal knows of and no segment
    /// holds. What was never tried, and stored after the last checkpoint, the journal does not know.
    pub fn end(&mut self) {
        let journal = self.journal.newest.clone();
        let mut expected: Vec<_> = self.replay.expected().into_iter().collect();
        expected.sort_unstable();
        for (sequence, least) in expected {
            let waiting = self.holders.get(&sequence).map_or(0, |holder| holder.waiting);
            let Some(missing) = least.checked_sub(waiting).filter(|missing| *missing > 0) else {
                continue;
            };
            match (self.holders.get_mut(&sequence), &journal) {
                (Some(holder), _) => {
                    holder.cut = false;
                    let what = format!("cut or emptied: {missing} messages are missing");
                    let (path, end) = (holder.path.clone(), holder.bytes as u64);
                    self.damage(&path, end, what);
                }
                (None, Some(path)) => {
                    let what = format!(
                        "segment with sequence {sequence} and its {missing} messages are missing"
                    );
                    self.report.damage.push(Damage::new(path, BLOCK_BYTES as u64, what));
                }
                (None, None) => {}
            }
        }
        let cut = self.holders.values().filter(|holder| holder.cut);
        let mut cut: Vec<_> =
            cut.map(|holder| Damage::new(&holder.path, holder.bytes as u64, CUT)).collect();
        cut.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        self.report.damage.append(&mut cut);
    }
}

fn other_version(kind: &str, found: u32, read: u32) -> String {
    format!("{kind} of format version {found}, left alone; this engine reads version {read}")
}

/// Whether it takes the files of other partitions to say whose these are: they do not all say that they
/// belong to one partition, or one does not say, or there is no journal.
pub fn is_doubtful(journals: &[(PathBuf, Vec<u8>)], segments: &[(PathBuf, Header)]) -> bool {
    let no_journal = !has_journal(journals);
    let nameless = segments.iter().any(|(_, header)| matches!(header, Header::Damaged));
    let journals = journals.iter().map(|(_, bytes)| replay::parse_header(bytes));
    let headers = journals.chain(segments.iter().map(|(_, header)| *header));
    let mut owners = headers.filter_map(|header| match header {
        Header::Valid { partition, .. } => Some(partition),
        _ => None,
    });
    let first = owners.next();
    nameless || (no_journal && first.is_some()) || owners.any(|owner| Some(owner) != first)
}

/// Whether all journals here are copies of those of another partition.
fn are_borrowed(journals: &[(PathBuf, Vec<u8>)], elsewhere: &Set<Use>) -> bool {
    let mut uses = journals.iter().filter_map(|(_, bytes)| match replay::parse_header(bytes) {
        Header::Valid { number, salt, partition } => Some((partition, number, salt)),
        _ => None,
    });
    has_journal(journals) && uses.all(|one| elsewhere.contains(&one))
}

fn has_journal(journals: &[(PathBuf, Vec<u8>)]) -> bool {
    journals.iter().any(|(_, bytes)| matches!(replay::parse_header(bytes), Header::Valid { .. }))
}

/// The uses of files with these headers.
pub fn uses(files: &[(PathBuf, Header)]) -> Set<Use> {
    let valid = files.iter().filter_map(|(_, header)| match *header {
        Header::Valid { number, salt, partition } => Some((partition, number, salt)),
        _ => None,
    });
    valid.collect()
}

/// The partition most files say they belong to. A file that lies in another partition as well has a
/// say only when nothing else decides; then the one with more segments is taken. Also says whether
/// that was a draw.
fn owner(
    journals: &[(PathBuf, Vec<u8>)],
    segments: &[(PathBuf, Header)],
    elsewhere: &Set<Use>,
) -> (u64, bool) {
    // (files that are nowhere else, segments of these, files, segments)
    let mut votes: Map<u64, [u32; 4]> = Map::default();
    let mut vote = |header: Header, segment: bool| {
        let Header::Valid { number, salt, partition } = header else { return };
        let copied = elsewhere.contains(&(partition, number, salt));
        let [only, only_segments, all, segments] = votes.entry(partition).or_default();
        *only += u32::from(!copied);
        *only_segments += u32::from(segment && !copied);
        *all += 1;
        *segments += u32::from(segment);
    };
    journals.iter().for_each(|(_, bytes)| vote(replay::parse_header(bytes), false));
    segments.iter().for_each(|(_, header)| vote(*header, true));
    let most = votes.values().max().copied().unwrap_or_default();
    let draw = votes.values().filter(|votes| **votes == most).count() > 1;
    let winners = votes.iter().filter(|(_, votes)| **votes == most);
    (winners.map(|(partition, _)| *partition).max().unwrap_or(0), draw)
}

/// Sequence and salt of a segment whose header is lost. The first record stands at a place where no
/// sender's bytes can stand; it is believed when it is whole, or when another batch agrees.
fn claim(bytes: &[u8]) -> Option<(u32, u32)> {
    let start = DATA_START as usize;
    let (sequence, salt) = record::claim(bytes.get(start..)?)?;
    let whole = |at: &usize| {
        matches!(record::probe(&bytes[*at..], sequence, salt), record::Found::Record(_))
    };
    let mut places = (start..bytes.len()).step_by(BLOCK_BYTES);
    (sequence <= SEQUENCE_MAX && places.any(|at| whole(&at))).then_some((sequence, salt))
}
