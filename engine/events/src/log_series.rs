//! One series of log files and the lines that wait for it. Lines are in memory until the disk has them, and how many
//! there may be has a limit. Where very many wait, mail that is to leave or to end waits for them ([`LogSeries::is_behind`]);
//! where still more do, new mail is turned away ([`LogSeries::is_far_behind`]); and what comes nevertheless while the disk
//! takes nothing is lost, counted and told.

use crate::gathered::Gathered;
use crate::limits::{LOG_BEHIND_BYTES, LOG_MUCH_BYTES, LOG_REFUSE_BYTES};
use crate::log_file::{off_shard, Series};
use ringmta_io as io;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A series with its lines.
pub struct LogSeries {
    folder: PathBuf,
    /// Taken out while it is being written.
    series: RefCell<Option<Series>>,
    /// Does what is done with its files: a disk that takes none holds up nothing else, not even the log files on another.
    thread: io::Beside,
    /// Old segments are being removed.
    pub(crate) is_removing: Cell<bool>,
    pending: Gathered,
    /// Bytes of them at the most.
    limit: usize,
    /// Lines that are lost, and how many of them were told.
    lost: Cell<u64>,
    told: Cell<u64>,
}

impl LogSeries {
    /// One without lines, of which `limit` bytes may wait.
    pub fn new(series: Series, limit: usize) -> LogSeries {
        LogSeries {
            folder: series.folder().to_path_buf(),
            series: RefCell::new(Some(series)),
            thread: io::Beside::new("logs"),
            is_removing: Cell::new(false),
            pending: Gathered::default(),
            limit,
            lost: Cell::new(0),
            told: Cell::new(0),
        }
    }

    /// Where its segments are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Does what blocks and has to do with its folder.
    pub fn thread(&self) -> &io::Beside {
        &self.thread
    }

    /// Adds the line that `put` makes, without its end. One too many is lost.
    pub fn add(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.pending.lines_mut();
        if pending.len() >= self.limit {
            return self.lost.set(self.lost.get() + 1);
        }
        put(&mut pending);
        pending.push(b'\n');
    }

    /// Whether lines wait to be written.
    pub fn has_lines(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether so many wait that they are better written now; not while others are being written, for they have to wait.
    pub fn has_much(&self) -> bool {
        self.pending.lines().len() >= LOG_MUCH_BYTES && self.series.borrow().is_some()
    }

    /// Whether so many wait that who makes more has to wait.
    pub fn is_behind(&self) -> bool {
        self.pending.lines().len() >= LOG_BEHIND_BYTES
    }

    /// Whether so many wait that nobody new is let in.
    pub fn is_far_behind(&self) -> bool {
        self.pending.lines().len() >= LOG_REFUSE_BYTES
    }

    /// Lines that are lost since the start.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Writes what waits. With `close` the open segment is ended, also one that is being written by another call: it is
    /// waited for.
    pub async fn write(&self, close: bool) {
        while close && self.series.borrow().is_none() {
            io::sleep(Duration::from_millis(1)).await;
        }
        let Some(series) = self.series.borrow_mut().take() else { return };
        let lines = self.pending.take();
        let (series, lines, result) = off_shard(&self.thread, series, lines, close).await;
        *self.series.borrow_mut() = Some(series);
        let folder = self.folder.display();
        if let Err(error) = result {
            let lost = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.lost.set(self.lost.get() + lost);
            tracing::error!("log files in {folder}: {error}");
        }
        self.pending.give_back(lines);
        let lost = self.lost.get() - self.told.replace(self.lost.get());
        if lost > 0 {
            tracing::error!(
                "log files in {folder}: {lost} lines are lost, the disk does not take them"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::LOG_PENDING_BYTES;
    use ringmta_io::ring::run_shard;
    use ringmta_io::sim::World;
    use std::rc::Rc;
    use std::sync::mpsc::sync_channel;

    /// Lines and the folder that they are written to.
    struct Logged {
        series: Rc<LogSeries>,
        dir: PathBuf,
        _parent: tempfile::TempDir,
    }

    impl Logged {
        fn new() -> Logged {
            let parent = tempfile::tempdir().unwrap();
            let (dir, age) = (parent.path().join("logs"), Duration::from_secs(60));
            let series = Series::new(&dir, "", 0, 1 << 30, age, "").unwrap();
            let series = Rc::new(LogSeries::new(series, LOG_PENDING_BYTES));
            Logged { series, dir, _parent: parent }
        }

        fn add(&self, line: &[u8]) {
            self.series.add(|out| out.extend_from_slice(line));
        }

        /// How many lines a write finds to be lost.
        fn write(&self, world: &Rc<World>) -> u64 {
            let (writing, before) = (self.series.clone(), self.series.told.get());
            world.spawn_on(world.exec.new_node(), async move { writing.write(true).await });
            while world.step() {}
            assert_eq!(self.series.told.get(), self.series.lost());
            self.series.lost() - before
        }

        fn files(&self) -> Vec<PathBuf> {
            std::fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().path()).collect()
        }
    }

    #[test]
    fn lines_that_the_disk_does_not_take_have_a_limit() {
        let world = World::new(1, false);
        let _entered = world.enter();
        let logged = Logged::new();
        let series = &logged.series;
        let line = vec![b'x'; 1 << 16];
        let mut added = 0;
        let stage = || (series.has_much(), series.is_behind(), series.is_far_behind());
        let mut stages = vec![stage()];
        while added < 2 * LOG_PENDING_BYTES {
            logged.add(&line);
            added += line.len() + 1;
            if stages.last() != Some(&stage()) {
                stages.push(stage());
            }
        }
        let each =
            [(false, false, false), (true, false, false), (true, true, false), (true, true, true)];
        assert_eq!(stages, each);
        let waits = series.pending.lines().len();
        assert!((LOG_PENDING_BYTES..LOG_PENDING_BYTES + (2 << 16)).contains(&waits), "{waits}");
        let lost = logged.write(&world);
        assert_eq!(lost, (added - waits).div_ceil(line.len() + 1) as u64);
        assert!(!series.has_lines());
        let file = std::fs::File::open(&logged.files()[0]).unwrap();
        let text = zstd::decode_all(file).unwrap();
        assert_eq!(text.len(), waits, "what waited is written");
        assert_eq!(logged.write(&world), 0, "what is lost is told once");
    }

    /// Whoever writes what is much would try for ever, and let nobody else have a turn.
    #[test]
    fn nothing_is_much_while_a_write_is_under_way() {
        let world = World::new(1, false);
        let _entered = world.enter();
        let logged = Logged::new();
        let series = &logged.series;
        logged.add(b"{}");
        let mut writing = Box::pin(series.write(true));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(writing.as_mut(), &mut cx).is_pending());
        series.add(|out| out.resize(2 * LOG_MUCH_BYTES, b'x'));
        assert!(!series.has_much() && series.has_lines());
        drop(writing);
    }

    /// The thread that all of a shard shares looks at disks and reads what `/metrics` is asked for.
    #[test]
    fn a_disk_that_hangs_holds_up_its_own_log_files_alone() {
        let shard = run_shard("test", None, || async {
            let (hung, well) = (Logged::new(), Logged::new());
            let (mend, mended) = sync_channel::<()>(0);
            let hangs = hung.series.thread().run(move || mended.recv());
            hung.add(b"{}");
            well.add(b"{}");
            let write = async {
                hung.series.write(true).await;
                hung.files().len()
            };
            let others = async {
                well.series.write(true).await;
                io::blocking(|| ()).await;
                assert_eq!((hung.files().len(), well.files().len()), (0, 1));
                mend.send(()).unwrap();
            };
            assert_eq!(futures::join!(hangs, write, others), (Ok(()), 1, ()));
        });
        shard.unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn what_a_failed_write_has_cost_is_counted() {
        let world = World::new(1, false);
        let _entered = world.enter();
        let logged = Logged::new();
        std::fs::remove_dir(&logged.dir).unwrap();
        logged.add(b"{\"n\":1}");
        logged.add(b"{\"n\":2}");
        assert_eq!(logged.write(&world), 2);
        std::fs::create_dir(&logged.dir).unwrap();
        logged.add(b"{\"n\":3}");
        assert_eq!(logged.write(&world), 0, "a disk that is well again is written to");
        assert_eq!(logged.files().len(), 1);
    }
}
