//! The log files that the policy asked for, on one shard: a series of segments for each folder and suffix.

use crate::limits::{LOG_COMPRESSION_LEVEL, LOG_FOLLOW_MS, LOG_PENDING_BYTES, LOG_SEGMENT_SECS};
use crate::log_file::{finish_leftovers, Series};
use crate::log_keep::{self, Keep};
use crate::log_series::LogSeries;
use crate::record::Kind;
use futures::future::{join_all, FutureExt, LocalBoxFuture};
use ringmta_io as io;
use ringmta_options::{LocalLogs, LogRecordSelect};
use ringmta_policy::LogTemplate;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Log files and the lines that wait for them.
pub struct Logs {
    all: Vec<Log>,
    /// Wakes who writes them.
    much: Cell<Option<Waker>>,
    /// Writes that have ended.
    writes: Cell<u64>,
    /// How many had when they were last waited for in vain.
    given_up_at: Cell<Option<u64>>,
    /// Segments that were removed.
    removed: Cell<u64>,
}

/// One `configure_local_logs`: a series per folder and suffix.
pub(crate) struct Log {
    pub(crate) select: LogRecordSelect,
    pub(crate) series: Vec<LogSeries>,
    /// Which of the series a record type goes to, by type name; others to the first.
    pub(crate) special: Vec<(String, usize)>,
    /// Event that says which records are written.
    pub(crate) filter: Option<String>,
    /// How long its segments are kept, when the policy says so.
    keep: Keep,
    /// Templates by record type, or `Any`.
    pub(crate) templates: BTreeMap<String, LogTemplate>,
}

/// A record on its way to a log.
pub(crate) struct Line {
    pub(crate) json: Vec<u8>,
    pub(crate) kind: &'static str,
    /// Which log, and which of its series.
    pub(crate) log: usize,
    pub(crate) series: usize,
}

impl Logs {
    /// Opens them.
    ///
    /// # Errors
    /// A text naming the folder that cannot be written.
    pub fn open(options: &[LocalLogs]) -> Result<Logs, String> {
        let all = options.iter().map(open_log).collect::<Result<_, _>>()?;
        Ok(Logs {
            all,
            much: Cell::default(),
            writes: Cell::new(0),
            given_up_at: Cell::new(None),
            removed: Cell::new(0),
        })
    }

    /// Each `configure_local_logs`.
    pub(crate) fn all(&self) -> &[Log] {
        &self.all
    }

    /// Does what blocks and has to do with a folder of theirs: a disk that hangs holds up nothing else.
    pub fn thread(&self, folder: &Path) -> Option<&io::Beside> {
        self.series().find(|series| series.folder() == folder).map(LogSeries::thread)
    }

    /// Whether one of them has records of this type.
    pub(crate) fn want(&self, kind: Kind) -> bool {
        self.all.iter().any(|log| log.select.wants(kind.name()))
    }

    /// Adds a line to its series, as its template has it.
    pub(crate) fn write_line(&self, line: &Line) {
        let log = &self.all[line.log];
        let text = log.templates.get(log.select.key_of(line.kind)).map(|t| t.render(&line.json));
        let series = &log.series[line.series];
        match text {
            Some(Ok(text)) => series.add(|out| out.extend_from_slice(text.as_bytes())),
            Some(Err(why)) => {
                tracing::error!("log template of {}: {why}", line.kind);
                series.add(|out| out.extend_from_slice(&line.json));
            }
            None => series.add(|out| out.extend_from_slice(&line.json)),
        }
        self.ask_to_write(series);
    }

    /// Very many lines are written at once.
    pub(crate) fn ask_to_write(&self, series: &LogSeries) {
        if series.has_much() {
            if let Some(waker) = self.much.take() {
                waker.wake();
            }
        }
    }

    /// Waits until very many lines wait.
    pub(crate) async fn has_much(&self) {
        std::future::poll_fn(|cx| {
            if self.series().any(LogSeries::has_much) {
                return Poll::Ready(());
            }
            self.much.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn series(&self) -> impl Iterator<Item = &LogSeries> {
        self.all.iter().flat_map(|log| &log.series)
    }

    /// Whether lines wait to be written.
    pub fn has_lines(&self) -> bool {
        self.series().any(LogSeries::has_lines)
    }

    /// Whether so many lines wait that none should be made until the disk has followed.
    pub fn are_behind(&self) -> bool {
        self.series().any(LogSeries::is_behind)
    }

    /// Whether still more do: no new mail should be taken.
    pub fn are_far_behind(&self) -> bool {
        self.series().any(LogSeries::is_far_behind)
    }

    /// Lines that are lost since the start.
    pub fn lost(&self) -> u64 {
        self.series().map(LogSeries::lost).sum()
    }

    /// Lets them follow where very many lines wait for them. They are waited for while the disk takes some; one
    /// that takes none holds up nobody for longer than [`LOG_FOLLOW_MS`], until it takes some again.
    pub async fn let_follow(&self) {
        let (mut since, mut seen) = (io::mono_nanos(), self.writes.get());
        while self.are_behind() && self.given_up_at.get() != Some(self.writes.get()) {
            let now = io::mono_nanos();
            if std::mem::replace(&mut seen, self.writes.get()) != seen {
                since = now;
            } else if now > since + LOG_FOLLOW_MS * 1_000_000 {
                self.given_up_at.set(Some(seen));
                return;
            }
            io::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What removes segments that are not to be kept any more, by folder. On one shard: the folders are everybody's.
    pub(crate) fn remove_old(&self) -> impl Iterator<Item = LocalBoxFuture<'_, ()>> {
        self.all.iter().flat_map(move |log| {
            let folders: BTreeMap<&Path, &LogSeries> =
                log.series.iter().map(|one| (one.folder(), one)).collect();
            folders.into_values().map(move |one| {
                let removed = log_keep::remove_old(one, &log.keep);
                async { self.removed.set(self.removed.get() + removed.await) }.boxed_local()
            })
        })
    }

    /// Segments that were removed since the start.
    pub fn removed(&self) -> u64 {
        self.removed.get()
    }

    /// Writes what waits. With `close` every open segment is ended, also one that is being written by another
    /// call: it is waited for.
    pub async fn write(&self, close: bool) {
        join_all(self.write_each(close)).await;
    }

    /// What does so, by series: a disk that hangs holds up its own alone.
    pub(crate) fn write_each(&self, close: bool) -> impl Iterator<Item = LocalBoxFuture<'_, ()>> {
        self.series().map(move |series| {
            let write = async move {
                series.write(close).await;
                self.writes.set(self.writes.get() + 1);
            };
            write.boxed_local()
        })
    }
}

fn open_log(options: &LocalLogs) -> Result<Log, String> {
    let select = options.select();
    let age = options.max_segment_duration.unwrap_or(Duration::from_secs(LOG_SEGMENT_SECS));
    let level = match options.compression_level {
        0 => LOG_COMPRESSION_LEVEL,
        level => level as i32,
    };
    let open = |dir: &Path, suffix: &str, header: &str| {
        finish_leftovers(dir)
            .and_then(|()| Series::new(dir, suffix, level, options.max_file_size, age, header))
            .map(|series| if options.index { series.with_index() } else { series })
            .map(|series| LogSeries::new(series, LOG_PENDING_BYTES))
            .map_err(|error| format!("log_dir {}: {error}", dir.display()))
    };
    let any = options.per_record.get("Any");
    let suffix = any.and_then(|p| p.suffix.as_deref()).unwrap_or("");
    let dir = any.and_then(|p| p.log_dir.as_deref()).unwrap_or(&options.log_dir);
    let header = any.map_or("", |p| p.segment_header.as_str());
    let mut series = vec![open(dir, suffix, header)?];
    let mut special = Vec::new();
    for (kind, params) in options.per_record.iter().filter(|(kind, _)| *kind != "Any") {
        if params.suffix.is_some() || params.log_dir.is_some() || !params.segment_header.is_empty()
        {
            let dir = params.log_dir.as_deref().unwrap_or(&options.log_dir);
            let suffix = params.suffix.as_deref().unwrap_or("");
            series.push(open(dir, suffix, &params.segment_header)?);
            special.push((kind.clone(), series.len() - 1));
        }
    }
    let templates = LogTemplate::of(&select);
    let (filter, keep) = (options.filter_event.clone(), Keep::of(options));
    Ok(Log { select, series, special, filter, keep, templates })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOG_BEHIND_BYTES;
    use ringmta_io::sim::World;
    use std::rc::Rc;

    /// Who makes lines waits for a disk that writes; for one that hangs as long as its patience lasts, and then for nothing
    /// until that has written.
    #[test]
    fn who_makes_lines_waits_for_a_disk_that_writes() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(2, false);
        let _entered = world.enter();
        let options = LocalLogs { log_dir: dir.path().to_path_buf(), ..LocalLogs::default() };
        let logs = Rc::new(Logs::open(&[options]).unwrap());
        let until = |is_so: &dyn Fn() -> bool| {
            world.run_until(Duration::from_secs(3600), 1_000_000, is_so).unwrap();
        };
        let (node, writing) = (world.exec.new_node(), logs.clone());
        world.spawn_on(node, async move {
            loop {
                writing.has_much().await;
                writing.write(false).await;
            }
        });
        // What others wait for is what comes while a write is under way, each of which takes so long.
        let fill = |nanos: u64| {
            until(&|| !logs.has_lines());
            world.disk.faults.borrow_mut().latency_nanos = (nanos, nanos);
            for _ in 0..2 {
                until(&|| !logs.has_lines());
                let line = vec![b'x'; LOG_BEHIND_BYTES];
                logs.all[0].series[0].add(|out| out.extend_from_slice(&line));
                logs.ask_to_write(&logs.all[0].series[0]);
            }
            assert!(logs.are_behind());
        };
        let follow = || {
            let (waiting, took) = (logs.clone(), Rc::new(Cell::new(None)));
            let tell = took.clone();
            world.spawn_on(node, async move {
                let began = io::mono_nanos();
                waiting.let_follow().await;
                tell.set(Some(Duration::from_nanos(io::mono_nanos() - began)));
            });
            until(&|| took.get().is_some());
            took.take().unwrap()
        };
        let patience = Duration::from_millis(LOG_FOLLOW_MS);
        fill(50_000_000);
        let took = follow();
        assert!(!took.is_zero() && took < patience, "it writes: {took:?}");
        assert!(!logs.are_behind());
        fill(600_000_000_000);
        let took = follow();
        assert!((patience..patience * 2).contains(&took), "it hangs: {took:?}");
        assert!(logs.are_behind());
        assert_eq!(follow(), Duration::ZERO, "it hangs still");
        fill(50_000_000);
        let took = follow();
        assert!(!took.is_zero() && took < patience, "it writes again: {took:?}");
    }
}
