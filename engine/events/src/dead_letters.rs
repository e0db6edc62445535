//! Events that a receiver has refused for good: kept in a file, each with the reason, for a person to look at and to
//! send again.

use crate::event_key;
use crate::limits::{HOOK_DEAD_LETTER_BYTES, HOOK_READ_BYTES};
use ringmta_io::plain;
use ringmta_io::plain::Plain;
use ringmta_io::{self as io, fs};
use ringmta_mail::redact;
use ringmta_smtp::dates::push_rfc3339;
use serde_json::{json, Value};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of one hook on one shard: a JSON object per line, `{"time","reason","event"}`.
pub struct DeadLetters {
    path: PathBuf,
    /// Events set aside since the start.
    pub count: Cell<u64>,
    /// Somebody writes or takes.
    busy: Cell<bool>,
}

impl DeadLetters {
    /// In the file `path`, which is made when it is needed.
    pub fn new(path: PathBuf) -> DeadLetters {
        DeadLetters { path, count: Cell::new(0), busy: Cell::new(false) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds events, given as JSON, each with the reason; they are on stable storage when this returns.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn add(&self, letters: &[(&str, &str)]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for (event, reason) in letters {
            lines.extend_from_slice(b"{\"time\":\"");
            push_rfc3339(&mut lines, io::unix_nanos());
            let reason = serde_json::Value::from(redact::urls(reason).as_ref());
            let rest = format!("\",\"reason\":{reason},\"event\":{event}}}\n");
            lines.extend_from_slice(rest.as_bytes());
        }
        let _turn = self.turn().await;
        let path = self.path.clone();
        io::blocking(move || append(&path, &lines)).await?;
        self.count.set(self.count.get() + letters.len() as u64);
        Ok(())
    }

    async fn turn(&self) -> Turn<'_> {
        while self.busy.replace(true) {
            io::sleep(Duration::from_millis(1)).await;
        }
        Turn(&self.busy)
    }

    /// Gives every event of this file, and of those of shards that are gone (`of` says which numbers those are), whose id
    /// is among `ids` to `again`, which must have made them durable when it returns; all when no ids are named. They leave
    /// the files then. A crash in between gives them once more.
    ///
    /// # Errors
    /// As the disk says; what was given stays in the files.
    pub async fn take<F: std::future::Future<Output = ()>>(
        &self,
        of: impl Fn(usize) -> bool,
        ids: &[String],
        again: impl Fn(Vec<String>) -> F,
    ) -> std::io::Result<u64> {
        let _turn = self.turn().await;
        let Some(dir) = self.path.parent() else { return Ok(0) };
        let mut taken = 0;
        for path in files_of(dir) {
            if number_of(&path).is_some_and(&of) {
                taken += take_file(&path, ids, &again).await?;
            }
        }
        Ok(taken)
    }
}

struct Turn<'a>(&'a Cell<bool>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Takes what is wanted of one file; what is not wanted stays in it.
async fn take_file<F: std::future::Future<Output = ()>>(
    path: &Path,
    ids: &[String],
    again: &impl Fn(Vec<String>) -> F,
) -> std::io::Result<u64> {
    let is_wanted = |event: &str| ids.is_empty() || ids.contains(&event_key::id(event).to_string());
    let rest = path.with_extension("rest");
    // One that a crash has left: all that is in it still stands in the file itself.
    let left = rest.clone();
    io::blocking(move || match fs::exists(&left) {
        true => fs::remove_file(&left),
        false => Ok(()),
    })
    .await?;
    let (mut at, mut taken) = (0, 0);
    loop {
        let from = path.to_path_buf();
        let lines = io::blocking(move || lines_from(&from, at)).await?;
        let Some((lines, next)) = lines else { break };
        at = next;
        let (wanted, others) =
            lines.into_iter().partition::<Vec<_>, _>(|line| event_of(line).is_some_and(is_wanted));
        let events: Vec<String> =
            wanted.iter().filter_map(|line| event_of(line)).map(str::to_string).collect();
        taken += events.len() as u64;
        if !events.is_empty() {
            again(events).await;
        }
        if !others.is_empty() {
            let (rest, text) = (rest.clone(), others.join("\n") + "\n");
            io::blocking(move || append(&rest, text.as_bytes())).await?;
        }
    }
    let path = path.to_path_buf();
    io::blocking(move || match fs::exists(&rest) {
        true => fs::rename(&rest, &path),
        false => fs::remove_file(&path),
    })
    .await?;
    Ok(taken)
}

/// Whole lines from `at` on, about as many as are read at once, and where they end; `None` at the end of the file.
fn lines_from(path: &Path, at: u64) -> std::io::Result<Option<(Vec<String>, u64)>> {
    let file = Plain::open_read(path)?;
    let mut want = HOOK_READ_BYTES;
    loop {
        let bytes = file.read_at(at, want)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
        // The last line of a file that a crash has cut, or a line longer than that.
        if end == 0 && bytes.len() == want {
            want *= 2;
            continue;
        }
        let end = if end == 0 { bytes.len() } else { end };
        let text = String::from_utf8_lossy(&bytes[..end]);
        return Ok(Some((text.lines().map(str::to_string).collect(), at + end as u64)));
    }
}

/// The event of a line, byte for byte: its key goes by that. The reason before it is a JSON string, in which no quote
/// stands alone.
fn event_of(line: &str) -> Option<&str> {
    line.split_once(",\"event\":")?.1.strip_suffix('}')
}

/// The files of dead letters of one hook, the older first.
pub fn files_of(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap_or_default();
    let mut files: Vec<PathBuf> =
        all.into_iter().filter(|path| number_of(path).is_some()).collect();
    files.sort_by_key(|path| (number_of(path), path.extension().is_some_and(|e| e == "jsonl")));
    files
}

/// The number of the shard whose file it is: `N.jsonl`, or the older `N.jsonl.old`.
fn number_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".old").unwrap_or(name);
    name.strip_suffix(".jsonl")?.parse().ok()
}

/// What lies in the folder of a hook's dead letters.
pub struct Looked {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub shown: Vec<Value>,
    /// There are more: not all was read.
    pub more: bool,
}

/// Looks at the dead letters in a folder, shows the first `most`, and reads about `bytes` at the most. Blocks.
///
/// # Errors
/// As the disk says.
pub fn look(dir: &Path, most: usize, bytes: u64) -> std::io::Result<Looked> {
    let (mut count, mut shown, mut read) = (0, Vec::new(), 0);
    for path in files_of(dir) {
        let mut at = 0;
        while let Some((lines, next)) = lines_from(&path, at)? {
            if read >= bytes {
                return Ok(Looked { count, shown, more: true });
            }
            read += next - at;
            at = next;
            for line in &lines {
                let Some(event) = event_of(line) else { continue };
                count += 1;
                if shown.len() < most {
                    let mut letter: Value = serde_json::from_str(line).unwrap_or(json!({}));
                    letter["id"] = event_key::id(event).to_string().into();
                    shown.push(letter);
                }
            }
        }
    }
    Ok(Looked { count, shown, more: false })
}

fn append(path: &Path, line: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !fs::exists(dir)) {
        plain::create_dir_all(dir)?;
    }
    let mut file = Plain::open(path)?;
    if file.size()? >= HOOK_DEAD_LETTER_BYTES {
        let old = path.with_extension("jsonl.old");
        tracing::error!("{} is full: it becomes {}", path.display(), old.display());
        if fs::exists(&old) {
            fs::remove_file(&old)?;
        }
        fs::rename(path, &old)?;
        file = Plain::open(path)?;
    }
    let before = file.size()?;
    file.append(line).and_then(|()| file.sync()).inspect_err(|_| {
        // Half a line would spoil the next one, and what a failed sync has left may be on the disk or not: it goes, and
        // is written anew by who tries again.
        if let Err(error) = file.cut(before) {
            tracing::error!("{}: {error}", path.display());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn on_a_shard<F: std::future::Future<Output = ()> + 'static>(
        work: impl FnOnce() -> F + Send + 'static,
    ) {
        io::ring::run_shard("test", None, work).unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn what_is_taken_leaves_the_files_byte_for_byte_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("dead-letters");
        on_a_shard(move || async move {
            let letters = DeadLetters::new(dir.join("0.jsonl"));
            let events = ["{\"b\":1,\"a\":2}", "{\"x\":\",\\\"event\\\":{}\"}", "{\"c\":3}"];
            for event in events {
                letters.add(&[(event, "422: \",\"event\":{}")]).await.unwrap();
            }
            // Of a shard that is gone.
            let other = DeadLetters::new(dir.join("3.jsonl"));
            other.add(&[("{\"d\":4}", "gone")]).await.unwrap();
            let Looked { count, shown, more } = look(&dir, 2, u64::MAX).unwrap();
            assert_eq!((count, shown.len(), more), (4, 2, false));
            let some = look(&dir, 2, 1).unwrap();
            assert_eq!((some.count, some.more), (3, true), "those of the first file");
            let id = shown[0]["id"].as_str().unwrap().to_string();
            let given = RefCell::new(Vec::new());
            let again = |events: Vec<String>| {
                given.borrow_mut().extend(events);
                async {}
            };
            assert_eq!(letters.take(|n| n % 3 == 0, &[id], again).await.unwrap(), 1);
            assert_eq!(given.take(), [events[0]]);
            assert_eq!(letters.take(|n| n % 3 == 0, &[], again).await.unwrap(), 3);
            assert_eq!(given.take(), [events[1], events[2], "{\"d\":4}"]);
            assert_eq!(letters.take(|_| true, &[], again).await.unwrap(), 0);
            assert_eq!(look(&dir, 10, u64::MAX).unwrap().count, 0);
        });
    }

    /// The letters in a file after one whose first write met this fault, and whether it was told.
    fn after_a_fault(
        set: impl Fn(&mut io::sim::disk::Faults, u64) + 'static,
    ) -> (bool, Vec<String>) {
        let world = io::sim::World::new(1, false);
        let _entered = world.enter();
        let result = std::rc::Rc::new(RefCell::new(None));
        let (slot, disk) = (result.clone(), world.clone());
        io::spawn(async move {
            let letters = DeadLetters::new("/hooks/dead-letters/0.jsonl".into());
            letters.add(&[("{\"a\":1}", "422")]).await.unwrap();
            set(&mut disk.disk.faults.borrow_mut(), io::sim::rng::MILLION);
            let is_told = letters.add(&[("{\"b\":2}", "422")]).await.is_err();
            set(&mut disk.disk.faults.borrow_mut(), 0);
            letters.add(&[("{\"b\":2}", "422")]).await.unwrap();
            let (lines, _) = lines_from(letters.path(), 0).unwrap().unwrap();
            let events = lines.iter().map(|line| event_of(line).unwrap_or(line).to_string());
            *slot.borrow_mut() = Some((is_told, events.collect()));
        });
        while result.borrow().is_none() && world.step() {}
        result.take().expect("it ends")
    }

    #[test]
    fn what_the_disk_did_not_take_is_not_there_twice() {
        let whole = || vec!["{\"a\":1}".to_string(), "{\"b\":2}".to_string()];
        assert_eq!(after_a_fault(|faults, often| faults.sync_error = often), (true, whole()));
        assert_eq!(after_a_fault(|faults, often| faults.write_error = often), (true, whole()));
        assert_eq!(after_a_fault(|faults, often| faults.write_short = often).1, whole());
    }
}
