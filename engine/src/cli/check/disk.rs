//! The disk that is to hold the spool: can it be written to, as the engine writes, how fast, and is a flush one.

use super::report::Report;
use crate::cli::args::CheckArgs;
use ringmta_io::system;
use ringmta_policy::InitConfig;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Writes that are timed.
const WRITES: usize = 64;
/// Bytes of each.
const BLOCK: usize = 4096;
/// No device that keeps what it is given answers sooner; one with a battery-backed cache comes near.
const HONEST_MIN: Duration = Duration::from_micros(10);
/// Slower than this, every message waits noticeably.
const SLOW: Duration = Duration::from_millis(20);
/// File systems that are memory.
const MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

pub(super) fn look(report: &mut Report, args: &CheckArgs, init: Option<&InitConfig>) {
    let spools = init.into_iter().flat_map(|init| init.spools.iter().map(|spool| &spool.path));
    let mut folders: Vec<PathBuf> = spools.chain(args.spool.as_ref()).cloned().collect();
    folders.dedup();
    if folders.is_empty() {
        let cure = "name a policy (--policy) or a folder on that disk (--spool)";
        report.warn("disk", "not looked at: it is not known where the spool will be", cure);
    }
    for folder in &folders {
        look_at(report, folder);
    }
    for log in init.into_iter().flat_map(|init| &init.local_logs) {
        look_at_logs(report, &log.log_dir);
    }
}

/// The folder of log files: a start ends where it cannot be written.
fn look_at_logs(report: &mut Report, folder: &Path) {
    let Some(there) = folder.ancestors().find(|path| path.is_dir()) else { return };
    let what = format!("logs in {}", folder.display());
    let path = there.join(format!(".ringmta-check-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made.and_then(|_| std::fs::remove_file(&path)) {
        Ok(()) => report.fine(&what, "can be written".to_string()),
        Err(error) => report.bad(
            &what,
            format!("{} cannot be written: {error}", there.display()),
            "run this as the user of the engine, or give it the folder (chown)",
        ),
    }
}

fn look_at(report: &mut Report, folder: &Path) {
    // The folder is made at the start; what is there of its path now is on the same disk.
    let Some(there) = folder.ancestors().find(|path| path.is_dir()) else { return };
    let what = format!("disk of {}", folder.display());
    let kind = file_system(there);
    if MEMORY.contains(&kind.as_str()) {
        report.bad(
            &what,
            format!("{kind} is memory: a restart loses all mail"),
            "put it on a disk",
        );
        return;
    }
    space(report, &what, there);
    match time_writes(there) {
        Ok(times) => judge(report, &what, &kind, times),
        Err(error) => report.bad(
            &what,
            format!("cannot be written in the engine's way: {error}"),
            match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "run this as the user of the engine, or give it the folder (chown)"
                }
                io::ErrorKind::InvalidInput => {
                    "the file system has no O_DIRECT: use ext4, xfs or btrfs"
                }
                _ => "check the disk",
            },
        ),
    }
}

fn space(report: &mut Report, what: &str, folder: &Path) {
    let Ok((free, total, ..)) = system::disk_free(folder) else { return };
    let found = format!("{} of {} MB free", free >> 20, total >> 20);
    match free > total / 10 {
        true => report.fine(what, found),
        false => report.warn(
            what,
            found,
            "below min_free_space (10 % in the shipped tree) mail gets 452",
        ),
    }
}

/// Durations of writes that are on the disk when they return, sorted.
fn time_writes(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".ringmta-check-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(&path);
    // It has no name any more when anything goes wrong.
    let removed = std::fs::remove_file(&path);
    let mut file = file?;
    removed?;
    write_all(&mut file)
}

fn write_all(file: &mut File) -> io::Result<Vec<Duration>> {
    // O_DIRECT wants memory at a whole block.
    let room = vec![0x55_u8; BLOCK * 2];
    let skip = room.as_ptr().align_offset(BLOCK);
    let block = &room[skip..skip + BLOCK];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(block)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

fn judge(report: &mut Report, what: &str, kind: &str, times: Vec<Duration>) {
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!(
        "{kind}; a durable write of {BLOCK} bytes takes {} us, the slowest of {WRITES} {} us",
        median.as_micros(),
        worst.as_micros()
    );
    if median < HONEST_MIN {
        let cure = "ask whoever runs it whether a flush reaches stable storage: if not, a power cut loses mail";
        report.warn(what, format!("{found}: sooner than a disk can"), cure);
    } else if median > SLOW {
        report.warn(
            what,
            found,
            "a disk with a faster flush takes mail faster; see `Disk` in the book",
        );
    } else {
        report.fine(what, found);
    }
}

/// Name of the file system that holds `path`, of the longest mount point above it.
fn file_system(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let (place, rest) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        path.starts_with(point).then(|| (point.len(), rest.split(' ').next().unwrap_or("?")))
    });
    found.max_by_key(|(length, _)| *length).map_or("?".into(), |(_, kind)| kind.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_logs_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut report = Report::default();
        look_at_logs(&mut report, &dir.path().join("not/yet"));
        assert_eq!((report.fine, report.bad), (1, 0));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
        // A file system that nobody can write to, root neither.
        look_at_logs(&mut report, Path::new("/proc/logs"));
        assert_eq!((report.fine, report.bad), (1, 1));
    }

    #[test]
    fn writes_are_timed_and_leave_nothing() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        assert_eq!(time_writes(dir.path()).unwrap().len(), WRITES);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
        let missing = dir.path().join("missing");
        assert_eq!(time_writes(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
