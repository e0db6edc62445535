//! The stop of one shard.

use super::stages::Core;
use ringmta_io::limits::LINGER_MS;
use ringmta_io::linger::lingering;
use ringmta_io::{self as io, mono_nanos};
use ringmta_shard::limits::STOP_GRACE_MS;
use ringmta_shard::order_counts;
use std::rc::Rc;
use std::time::Duration;

/// Stop order, the reverse of start: no new sessions, no new deliveries, what is in flight is
/// finished within its time, then everything noted is made durable.
pub(super) async fn stop(core: &Rc<Core>) {
    let shard = &core.shard;
    shard.context.stopping.set(true);
    for ready in shard.queues.ready.borrow().values() {
        ready.wake_all();
    }
    let end = mono_nanos() + STOP_GRACE_MS * 1_000_000;
    let busy = || {
        let open: usize =
            shard.queues.ready.borrow().values().map(|ready| ready.connections.get()).sum();
        let working = shard.queues.ending.get();
        open + working > 0 || shard.metrics.sessions.get() > 0 || !shard.spool.commits.is_idle()
    };
    while busy() && mono_nanos() < end {
        io::sleep(Duration::from_millis(10)).await;
    }
    let all_told = mono_nanos();
    shard.spool.stopping.set(true);
    let finish = async {
        if let Err(error) = shard.spool.flush_journal().await {
            tracing::error!("spool: journal at stop: {error}");
        }
        // Also when there was nothing for the journal: a Reception may wait.
        shard.events.flush_hooks().await;
        futures::future::join_all(shard.events.hooks().iter().map(|hook| hook.settle())).await;
        // A filter that hangs keeps no log from being closed.
        let _ = io::deadline(Duration::from_millis(500), shard.events.filtered()).await;
        // On disks that may be several: one that hangs keeps nothing of the others from being written.
        let accounting = async {
            if let Some(accounting) = &shard.accounting {
                accounting.write(true).await;
            }
        };
        let volumes = async {
            if let Some(volumes) = &shard.volumes {
                volumes.write(&shard.metrics).await;
            }
        };
        let logs = shard.events.logs().write(true);
        futures::join!(logs, accounting, volumes, order_counts::keep(shard, true));
    };
    if io::deadline(Duration::from_secs(2), finish).await.is_err() {
        tracing::error!("shard {}: the disk did not answer in time at stop", shard.index);
    }
    // For those who were told last; whoever came since is turned away, and not waited for.
    while lingering() > 0 && mono_nanos() < all_told + LINGER_MS * 1_000_000 {
        io::sleep(Duration::from_millis(10)).await;
    }
}
