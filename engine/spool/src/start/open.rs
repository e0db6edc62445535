//! Opens a partition: recovers what it holds, and takes over partitions of shards that exist no more.

use crate::log::group_commit::GroupCommit;
use crate::log::journal::Journal;
use crate::log::moved::Moved;
use crate::log::partition::{Partition, SpoolPaths};
use crate::log::reclaim::Segments;
use crate::log::write;
use crate::start::adopt::{adopt, known, take_in};
use crate::start::recover::{self, Found, Recovered, Report};
use ringmta_io as io;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Opens partition `shard` and recovers it; partitions of shards that exist no more
/// (numbers from `shards` up, taken in turn) are adopted. Nothing may be delivered before
/// this returns.
///
/// # Errors
/// When a folder cannot be made or read, or what was adopted cannot be stored.
pub async fn open(
    paths: &SpoolPaths,
    shard: usize,
    shards: usize,
) -> std::io::Result<(Rc<Partition>, Vec<Recovered>, Report)> {
    let data = make_dir(&paths.data, shard).await?;
    let meta = make_dir(&paths.meta, shard).await?;
    io::file::learn_device(&data).await?;
    io::file::learn_device(&meta).await?;
    let mut found = recover::read(&data, &meta).await?;
    let number = if found.partition == 0 { io::unguessable_u64().max(1) } else { found.partition };
    let strays = std::mem::take(&mut found.strays);
    let partition = Rc::new(Partition {
        commits: GroupCommit::new(paths.segment_bytes),
        segments: Segments::new(data, number, paths.durable, paths.segment_bytes),
        journal: Journal::new(meta, number, paths.durable, paths.journal_bytes),
        moved: Moved::default(),
        full: Cell::new(false),
        stopping: Cell::new(false),
    });
    let (mut live, mut report) = take_over(&partition, found);
    partition.journal.rotate(&partition.segments).await?;
    partition.journal.reserve().await;
    io::spawn(write::run_commits(partition.clone()));
    let mut known = known(&live);
    for stray in strays {
        take_in(&partition, stray.messages, &stray.file, &mut live, &mut known).await?;
        partition.flush_journal().await?;
        io::fs::remove_file(&stray.path)?;
    }
    for orphan in orphans(&paths.data, shard, shards)? {
        let adopted =
            adopt(&partition, &orphan.0, &paths.meta.join(orphan.1), &mut live, &mut known).await?;
        report.records += adopted.records;
        report.damage.extend(adopted.damage);
    }
    Ok((partition, live, report))
}

fn take_over(partition: &Partition, found: Found) -> (Vec<Recovered>, Report) {
    partition.journal.resume(&found.journal);
    partition.segments.note_sequence(found.last_sequence);
    for entry in found.in_use {
        partition.segments.adopt(entry);
    }
    for path in found.spare {
        partition.segments.adopt_spare(path);
    }
    for path in found.aside {
        partition.segments.note_file(&path);
    }
    (found.live, found.report)
}

async fn make_dir(base: &Path, shard: usize) -> std::io::Result<PathBuf> {
    let dir = base.join(shard.to_string());
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", dir.display()))
    };
    io::fs::create_dir_all(&dir).await.map_err(named)?;
    io::fs::sync_names(&dir).await.map_err(named)?;
    Ok(dir)
}

/// Partition folders of shards that do not run now and fall to `shard`: (data folder, name).
fn orphans(base: &Path, shard: usize, shards: usize) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    for path in io::fs::read_dir(base)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("").to_string();
        if let Ok(number) = name.parse::<usize>() {
            if number >= shards && number % shards == shard && io::fs::is_dir(&path) {
                found.push((path, name));
            }
        }
    }
    found.sort();
    Ok(found)
}
