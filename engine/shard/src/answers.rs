//! What injections that carried a key of the caller's were answered, so that a repeat is answered the same and sends
//! nothing twice. Shared by all shards: a repeat may come to any of them.
//!
//! An answer is on stable storage, in a file of the `meta` spool, before the caller reads it. So it survives a restart and
//! a crash. What a crash interrupts has no answer: the repeat of such a request is carried out again.

use crate::limits::{ANSWERS_BYTES_MAX, ANSWERS_KEEP_SECS, ANSWERS_MAX, ANSWERS_TOLD_SECS};
use ringmta_io::plain::Plain;
use ringmta_io::{self as io, fs};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const FILE: &str = "injection-answers";

/// A digest: of a key and whose it is, or of a request.
pub type Digest = [u8; 32];

/// How a request with a key stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has asked before: it is to be carried out, and counts as under way until [`Answers::keep`] or
    /// [`Answers::forget`].
    Fresh,
    /// It was answered so.
    Answered(Arc<str>),
    /// The first one is still under way.
    UnderWay,
    /// The key was used for another request.
    Another,
}

/// One answer, as the file has it.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    request: String,
    at: u64,
    answer: String,
}

struct Kept {
    request: Digest,
    at_secs: u64,
    answer: Arc<str>,
}

#[derive(Default)]
struct State {
    is_read: bool,
    known: HashMap<Digest, Kept>,
    /// The keys, oldest first.
    order: VecDeque<Digest>,
    /// Bytes of the answers.
    bytes: usize,
    under_way: HashSet<Digest>,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
    /// When it was last said that answers are forgotten before their time, seconds.
    told_secs: u64,
}

/// The answers.
pub struct Answers {
    path: PathBuf,
    state: Mutex<State>,
    /// Whoever has it writes the file: its size when it was last written anew, bytes.
    file: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers {
    /// Of the spool `meta`. The file is read when the first key comes.
    pub fn new(meta: &Path) -> Arc<Answers> {
        Arc::new(Answers { path: meta.join(FILE), state: Mutex::default(), file: Mutex::default() })
    }

    /// How a request stands, at `now_secs` of the unix epoch.
    pub async fn begin(self: &Arc<Self>, key: Digest, request: &Digest, now_secs: u64) -> Standing {
        if !lock(&self.state).is_read {
            let this = self.clone();
            io::blocking(move || this.read(now_secs)).await;
        }
        let mut state = lock(&self.state);
        state.drop_old(now_secs);
        let State { known, under_way, .. } = &mut *state;
        match known.get(&key) {
            Some(kept) if kept.request == *request => Standing::Answered(kept.answer.clone()),
            Some(_) => Standing::Another,
            None if under_way.insert(key) => Standing::Fresh,
            None => Standing::UnderWay,
        }
    }

    /// Keeps the answer of a request. It is on stable storage when this returns.
    ///
    /// # Errors
    /// As the disk says; until the next restart the answer is known all the same.
    pub async fn keep(
        self: &Arc<Self>,
        key: Digest,
        request: Digest,
        answer: &str,
        now_secs: u64,
    ) -> std::io::Result<()> {
        {
            let mut state = lock(&self.state);
            state.pending.extend(line(&key, &request, answer, now_secs)?);
            state.add(key, Kept { request, at_secs: now_secs, answer: answer.into() });
            state.under_way.remove(&key);
            state.make_room(now_secs);
        }
        let this = self.clone();
        io::blocking(move || this.write()).await
    }

    /// A request has not been carried out: it may come again.
    pub fn forget(&self, key: &Digest) {
        lock(&self.state).under_way.remove(key);
    }

    /// Writes what is pending, also for those who come while somebody writes.
    fn write(&self) -> std::io::Result<()> {
        let mut size_anew = lock(&self.file);
        let pending = std::mem::take(&mut lock(&self.state).pending);
        if pending.is_empty() {
            return Ok(());
        }
        let size = match self.append(&pending) {
            Ok(size) => size,
            Err(error) => {
                // The next one writes them.
                lock(&self.state).pending.splice(..0, pending);
                return Err(error);
            }
        };
        if size > (2 * ANSWERS_BYTES_MAX as u64).max(2 * *size_anew) {
            *size_anew = self.write_anew()?;
        }
        Ok(())
    }

    /// Adds to the file; how large it is then.
    fn append(&self, bytes: &[u8]) -> std::io::Result<u64> {
        let file = Plain::open(&self.path)?;
        file.append(bytes)?;
        file.sync()?;
        file.size()
    }

    /// Leaves the file what is still known; its size then. Shards take the lock of the state: it is held for a copy of
    /// references alone.
    fn write_anew(&self) -> std::io::Result<u64> {
        let known: Vec<(Digest, Digest, Arc<str>, u64)> = {
            let state = lock(&self.state);
            let all = state.order.iter().filter_map(|key| Some((key, state.known.get(key)?)));
            all.map(|(key, kept)| (*key, kept.request, kept.answer.clone(), kept.at_secs)).collect()
        };
        let mut text = Vec::new();
        for (key, request, answer, at_secs) in &known {
            text.extend(line(key, request, answer, *at_secs)?);
        }
        let fresh = self.path.with_extension("new");
        let file = Plain::open(&fresh)?;
        file.cut(0)?;
        file.append(&text)?;
        file.sync()?;
        fs::rename(&fresh, &self.path)?;
        Ok(text.len() as u64)
    }

    /// Reads the file. One that cannot be read is told; injections go on without it.
    fn read(&self, now_secs: u64) {
        let _file = lock(&self.file);
        if lock(&self.state).is_read {
            return;
        }
        let most = 4 * ANSWERS_BYTES_MAX;
        let text = match Plain::open_read(&self.path).and_then(|file| file.read_at(0, most)) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::error!("{}: {error}; keys of before are unknown", self.path.display());
                }
                Vec::new()
            }
        };
        // Nobody adds to the state before it is read.
        let mut state = State::default();
        let mut damaged = 0;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match read_line(line) {
                Some((key, kept)) => state.add(key, kept),
                None => damaged += 1,
            }
        }
        if damaged > 0 {
            tracing::warn!("{}: {damaged} damaged lines", self.path.display());
        }
        state.drop_old(now_secs);
        state.make_room(now_secs);
        state.is_read = true;
        *lock(&self.state) = state;
    }
}

impl State {
    fn add(&mut self, key: Digest, kept: Kept) {
        self.bytes += kept.answer.len();
        match self.known.insert(key, kept) {
            Some(old) => self.bytes -= old.answer.len(),
            None => self.order.push_back(key),
        }
    }

    fn drop_first(&mut self) {
        let first = self.order.pop_front().and_then(|key| self.known.remove(&key));
        self.bytes -= first.map_or(0, |kept| kept.answer.len());
    }

    fn drop_old(&mut self, now_secs: u64) {
        let is_old = |state: &State| {
            let first = state.order.front().and_then(|key| state.known.get(key));
            first.is_some_and(|kept| now_secs.saturating_sub(kept.at_secs) >= ANSWERS_KEEP_SECS)
        };
        while is_old(self) {
            self.drop_first();
        }
    }

    /// Keeps within the limits; that somebody's repeat may not be known is told, not too often.
    fn make_room(&mut self, now_secs: u64) {
        let before = self.order.len();
        while self.order.len() > ANSWERS_MAX || self.bytes > ANSWERS_BYTES_MAX {
            self.drop_first();
        }
        if self.order.len() < before && now_secs.saturating_sub(self.told_secs) >= ANSWERS_TOLD_SECS
        {
            self.told_secs = now_secs;
            tracing::warn!(
                "more idempotency keys than can be kept for a day: the oldest are forgotten, and repeats of \
                 their requests would be carried out again"
            );
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

/// Begins with a line end, so that a line which a crash has cut spoils no other; then a checksum.
fn line(key: &Digest, request: &Digest, answer: &str, at: u64) -> std::io::Result<Vec<u8>> {
    let (key, request) = (hex(key), hex(request));
    let json = serde_json::to_vec(&Line { key, request, at, answer: answer.to_string() })?;
    let mut line = format!("\n{} ", hex(&io::sha256(&json)[..4])).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

fn read_line(line: &[u8]) -> Option<(Digest, Kept)> {
    let (sum, json) = line.split_at_checked(9)?;
    if hex(&io::sha256(json)[..4]).as_bytes() != sum.trim_ascii_end() {
        return None;
    }
    let Line { key, request, at, answer } = serde_json::from_slice(json).ok()?;
    let kept = Kept { request: from_hex(&request)?, at_secs: at, answer: answer.into() };
    Some((from_hex(&key)?, kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = ANSWERS_KEEP_SECS;

    fn kept(answers: &Answers, key: u8, answer: &str, now: u64) {
        let mut state = lock(&answers.state);
        state.is_read = true;
        let bytes = line(&[key; 32], &[key; 32], answer, now).unwrap();
        state.pending.extend(bytes);
        state.add([key; 32], Kept { request: [key; 32], at_secs: now, answer: answer.into() });
        state.make_room(now);
    }

    fn known(answers: &Answers) -> Vec<u8> {
        lock(&answers.state).order.iter().map(|key| key[0]).collect()
    }

    #[test]
    fn answers_are_read_again_until_a_day_has_passed() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path());
        kept(&answers, 1, "one", 100);
        kept(&answers, 2, "two", 200);
        answers.write().unwrap();
        // A crash has cut a line.
        let file = dir.path().join(FILE);
        let mut text = std::fs::read(&file).unwrap();
        text.extend_from_slice(b"\nc0ffee00 {\"key\":");
        std::fs::write(&file, text).unwrap();
        kept(&answers, 3, "three", 300);
        answers.write().unwrap();
        let again = Answers::new(dir.path());
        again.read(300);
        assert_eq!(known(&again), [1, 2, 3]);
        assert_eq!(&*lock(&again.state).known[&[2; 32]].answer, "two");
        let later = Answers::new(dir.path());
        later.read(DAY + 150);
        assert_eq!(known(&later), [2, 3]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_memory_and_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path());
        let large = "x".repeat(ANSWERS_BYTES_MAX / 4);
        for key in 0..20 {
            kept(&answers, key, &large, 100);
            answers.write().unwrap();
        }
        assert_eq!(known(&answers), [16, 17, 18, 19]);
        assert_eq!(lock(&answers.state).bytes, ANSWERS_BYTES_MAX);
        let size = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        assert!(size <= 2 * ANSWERS_BYTES_MAX as u64, "{size}");
        let again = Answers::new(dir.path());
        again.read(100);
        assert_eq!(known(&again), [16, 17, 18, 19]);
    }
}
