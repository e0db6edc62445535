//! What the kernel knows of a process and all that descend from it.

use std::collections::HashMap;
use std::fs;

/// A reading. Differences of two are what a run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// User and system CPU, microseconds, ended descendants included.
    pub cpu_us: f64,
    /// Bytes that went to the disk.
    pub written: u64,
    /// Context switches, voluntary and not, of what lives now.
    pub switches: u64,
    /// Proportional resident memory of what lives now, bytes: pages that processes share count once.
    pub memory: u64,
    /// Resident memory of what lives now, bytes, added up over the processes.
    pub resident: u64,
    /// The most that was resident at once, bytes, added up over the processes that live now.
    pub resident_most: u64,
    /// Processes alive.
    pub processes: u32,
}

impl Reading {
    /// What happened between `earlier` and this reading; memory and processes as they are now.
    #[must_use]
    pub fn since(&self, earlier: &Reading) -> Reading {
        Reading {
            cpu_us: self.cpu_us - earlier.cpu_us,
            written: self.written.saturating_sub(earlier.written),
            switches: self.switches.saturating_sub(earlier.switches),
            ..*self
        }
    }
}

/// Microseconds of a clock tick of /proc: USER_HZ is 100 on every Linux there is.
const TICK_US: f64 = 10_000.0;

/// Reads process `root` and its descendants.
pub fn read(root: u32) -> Reading {
    let mut total = Reading::default();
    for pid in tree(root) {
        let Some(stat) = Stat::of(pid) else { continue };
        total.cpu_us += (stat.own + stat.waited) as f64 * TICK_US;
        total.written += field(pid, "io", "write_bytes");
        total.memory += 1024 * field(pid, "smaps_rollup", "Pss");
        // Of one reading: between two of them a process may end.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        total.resident += 1024 * number(&status, "VmRSS");
        total.resident_most += 1024 * number(&status, "VmHWM");
        total.processes += 1;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            total.switches += number(&status, "voluntary_ctxt_switches")
                + number(&status, "nonvoluntary_ctxt_switches");
        }
    }
    total
}

/// CPU of one process, all its threads that live now, in nanoseconds: for what is too little for the
/// clock ticks of [`read`].
pub fn cpu_nanos(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of(thread.path())).sum()
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

struct Stat {
    parent: u32,
    own: u64,
    waited: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads proc_pid_stat(5). The name in brackets may hold anything.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Stat {
            parent: number(1)? as u32,
            own: number(11)? + number(12)?,
            waited: number(13)? + number(14)?,
        })
    }
}

/// `root` and all its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = Stat::of(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

fn field(pid: u32, file: &str, name: &str) -> u64 {
    number(&fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default(), name)
}

/// The number behind `name:` in a file of /proc.
fn number(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_string);
    text.lines()
        .find_map(value)
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets() {
        let text = "7 (a) b) S 3 7 7 0 -1 4 1 2 3 4 50 60 7 8 20 0 1 0 9 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.waited), (3, 110, 15));
    }

    #[test]
    fn this_process() {
        let reading = read(std::process::id());
        assert!(reading.processes >= 1 && reading.memory > 0, "{reading:?}");
        assert!(reading.resident_most >= reading.resident && reading.resident > 0, "{reading:?}");
        assert!(cpu_nanos(std::process::id()) > 0);
        assert_eq!(number("VmRSS:\t  12 kB\nPss:   34 kB\n", "Pss"), 34);
    }
}
