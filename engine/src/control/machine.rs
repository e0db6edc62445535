//! What metrics tell of the process and its machine: what runs, since when, its memory and its disks.

use ringmta_events::metrics::Snapshot;
use ringmta_io as io;
use ringmta_io::system::disk_free;
use ringmta_shard::process::Process;

/// Adds the process's numbers to `sum`. Disks and the kernel are asked by a thread that may wait.
pub async fn add_to(process: &Process, sum: &mut Snapshot) {
    let text = crate::cli::args::VERSION;
    let (version, build) = text.split_once(" (").unwrap_or((text, ""));
    let build = build.trim_end_matches(')');
    let labels = vec![("version", version.to_string()), ("build", build.to_string())];
    sum.gauge_by("ringmta_build_info", labels, 1);
    let now = io::unix_nanos() / 1_000_000_000;
    let began = now.saturating_sub(process.console.uptime_seconds());
    sum.gauge("process_start_time_seconds", "", began);
    sum.gauge("receive_memory_bytes", "", io::receiving::used() as u64);
    sum.count("receive_memory_given_up", "", io::receiving::given_up());
    sum.gauge("receive_memory_limit_bytes", "", io::receiving::limit() as u64);
    let (data, meta) = (process.spool.data.clone(), process.spool.meta.clone());
    let looked = io::blocking(move || {
        (io::memory::resident_bytes(), disk_free(&data).ok(), disk_free(&meta).ok())
    });
    let (memory, data, meta) = looked.await;
    if let Some(memory) = memory {
        sum.gauge("memory_usage", "", memory);
    }
    for (name, disk) in [("data", data), ("meta", meta)] {
        let Some((bytes, all_bytes, inodes, all_inodes)) = disk else { continue };
        let labels = || vec![("name", name.to_string())];
        sum.gauge_by("disk_free_bytes", labels(), bytes);
        sum.gauge_by("disk_free_percent", labels(), percent(bytes, all_bytes));
        sum.gauge_by("disk_free_inodes", labels(), inodes);
        sum.gauge_by("disk_free_inodes_percent", labels(), percent(inodes, all_inodes));
    }
}

/// A filesystem that counts no inodes has all of them free.
fn percent(free: u64, all: u64) -> u64 {
    (free * 100).checked_div(all).unwrap_or(100)
}
