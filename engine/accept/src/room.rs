//! Room for new mail, on disk and in memory. Watches the free space of the spools and log folders: new mail is refused in
//! time, and taken again when there is room, without anyone's help.

use crate::limits::DISK_FREE_CHECK_SECS;
use ringmta_io as io;
use ringmta_policy::{InitConfig, MinFree};
use ringmta_shard::accounting::Accounting;
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use ringmta_smtp::server::dot_reader::DataFault;
use ringmta_spool::StoreError;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Whether new mail must be turned away for now.
pub fn no_room(shard: &Shard) -> Option<Refusal> {
    if shard.context.stopping.get() {
        Some(Refusal::Stopping)
    } else if shard.spool.full.get() {
        Some(Refusal::SpoolFull)
    } else if shard.queues.resident.get() > shard.queues.budget.refuse {
        Some(Refusal::MemoryFull)
    } else if shard.events.logs().are_far_behind() {
        Some(Refusal::LogsBehind)
    } else {
        None
    }
}

/// What the sender of a message is told that could not be made durable.
pub fn refusal_of(error: &StoreError) -> Refusal {
    match error {
        StoreError::Full => Refusal::SpoolFull,
        StoreError::Disk(_) => Refusal::SpoolFailed,
        StoreError::TooLarge => Refusal::Data(DataFault::TooLarge),
        StoreError::Stopping => Refusal::Stopping,
    }
}

/// Looks at the disks for ever; a task of each shard. Each folder of log files has a task of its own: what holds up a look
/// at one of them keeps nobody from seeing that another is full, or a spool.
pub async fn watch_disk(shard: Rc<Shard>) {
    let of_logs: Vec<_> = logs(&shard.process.init)
        .into_iter()
        .map(|watched| {
            let short = Rc::default();
            io::spawn(watch_logs(shard.clone(), watched, Rc::clone(&short)));
            short
        })
        .collect();
    loop {
        let spools = spools(&shard.process.init);
        let short = io::blocking(move || spools.iter().find_map(what_is_short)).await;
        let short = short.or_else(|| of_logs.iter().find_map(|short| short.borrow().clone()));
        let was_full = shard.spool.full.replace(short.is_some());
        match short {
            Some(what) if !was_full => tracing::error!("{what}: new mail is refused with 452"),
            None if was_full => tracing::info!("spool has room again: new mail is taken"),
            _ => {}
        }
        io::sleep(Duration::from_secs(DISK_FREE_CHECK_SECS)).await;
    }
}

/// Keeps in `short` what is short in a folder of log files.
async fn watch_logs(shard: Rc<Shard>, watched: Watched, short: Rc<RefCell<Option<String>>>) {
    let of_accounting = || shard.accounting.as_deref().map(Accounting::thread);
    let Some(thread) = shard.events.logs().thread(&watched.0).or_else(of_accounting) else {
        return;
    };
    loop {
        let watched = watched.clone();
        let found = thread.run(move || what_is_short(&watched)).await;
        *short.borrow_mut() = found;
        io::sleep(Duration::from_secs(DISK_FREE_CHECK_SECS)).await;
    }
}

/// A folder and what must stay free where it is: bytes, inodes.
type Watched = (PathBuf, MinFree, MinFree);

fn spools(init: &InitConfig) -> Vec<Watched> {
    let spools = init.spools.iter();
    spools.map(|s| (s.path.clone(), s.min_free_space, s.min_free_inodes)).collect()
}

fn logs(init: &InitConfig) -> Vec<Watched> {
    let logs = init.local_logs.iter().flat_map(|l| {
        let special = l.per_record.values().filter_map(|record| record.log_dir.as_ref());
        let dirs = std::iter::once(&l.log_dir).chain(special);
        dirs.map(|dir| (dir.clone(), l.min_free_space, l.min_free_inodes))
    });
    let accounting = init.accounting_log.iter();
    let accounting = accounting.map(|l| (l.log_dir.clone(), l.min_free_space, l.min_free_inodes));
    logs.chain(accounting).collect()
}

fn what_is_short((path, space, inodes): &Watched) -> Option<String> {
    let (free, total, inodes_free, inodes_total) = io::fs::disk_free(path).ok()?;
    if space.is_below(free, total) {
        return Some(format!(
            "{}: only {} MiB free, less than min_free_space = {space}",
            path.display(),
            free >> 20
        ));
    }
    // Some filesystems have no fixed number of inodes and say 0.
    if inodes_total > 0 && inodes.is_below(inodes_free, inodes_total) {
        return Some(format!(
            "{}: only {inodes_free} inodes free, less than min_free_inodes = {inodes}",
            path.display()
        ));
    }
    None
}
