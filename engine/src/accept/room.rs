//! Watches the free space of the spools: new mail is refused in time, and taken again when there
//! is room, without anyone's help.

use crate::io::{self, ring};
use crate::limits::DISK_FREE_CHECK_SECS;
use crate::shard::Shard;
use ringmta_policy::Spool;
use std::rc::Rc;
use std::time::Duration;

/// Looks at the disks for ever; one task per shard.
pub async fn watch_disk(shard: Rc<Shard>) {
    loop {
        let spools = shard.process.init.spools.clone();
        let short = ring::blocking(move || spools.iter().find_map(what_is_short)).await;
        let was_full = shard.spool.full.replace(short.is_some());
        match short {
            Some(what) if !was_full => tracing::error!("{what}: new mail is refused with 452"),
            None if was_full => tracing::info!("spool has room again: new mail is taken"),
            _ => {}
        }
        io::sleep(Duration::from_secs(DISK_FREE_CHECK_SECS)).await;
    }
}

fn what_is_short(spool: &Spool) -> Option<String> {
    let (free, total, inodes_free, inodes) = ring::disk_free(&spool.path).ok()?;
    if spool.min_free_space.is_below(free, total) {
        let mib = free >> 20;
        return Some(format!("spool {}: only {mib} MiB free", spool.path.display()));
    }
    // Some filesystems have no fixed number of inodes and say 0.
    if inodes > 0 && spool.min_free_inodes.is_below(inodes_free, inodes) {
        return Some(format!("spool {}: only {inodes_free} inodes free", spool.path.display()));
    }
    None
}
