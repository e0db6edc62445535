//! What the kernel counts of an engine: `perf stat`, where it is installed and allowed.

use crate::proc;
use std::io::Read;
use std::process::{Child, Command, Stdio};

/// Counts of a run. Counting costs CPU, so it is done in runs of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// System calls.
    pub syscalls: u64,
    /// Context switches, those of ended processes included.
    pub switches: u64,
    /// Calls of fsync, fdatasync and sync_file_range.
    pub syncs: u64,
}

const EVENTS: [&str; 5] = [
    "raw_syscalls:sys_enter",
    "context-switches",
    "syscalls:sys_enter_fsync",
    "syscalls:sys_enter_fdatasync",
    "syscalls:sys_enter_sync_file_range",
];

/// A count that goes on.
pub struct Counter {
    perf: Child,
}

impl Counter {
    /// Counts events of process `root` and its descendants, those to come included.
    pub fn start(root: u32) -> Option<Counter> {
        Counter::of(root, &EVENTS)
    }

    /// Counts other events.
    pub fn of(root: u32, events: &[&str]) -> Option<Counter> {
        let pids: Vec<String> = proc::tree(root).iter().map(ToString::to_string).collect();
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", &events.join(","), "-p", &pids.join(",")]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().ok().map(|perf| Counter { perf })
    }

    /// Ends the count.
    pub fn finish(self) -> Option<Counts> {
        let counted = self.all()?;
        let of = |name: &str| counted.iter().find(|(known, _)| known == name).map(|(_, n)| *n);
        let syncs = EVENTS[2..].iter().filter_map(|name| of(name)).sum();
        Some(Counts { syscalls: of(EVENTS[0])?, switches: of(EVENTS[1])?, syncs })
    }

    /// Ends the count: every event and how often it happened.
    pub fn all(mut self) -> Option<Vec<(String, u64)>> {
        // perf prints its counts when it is interrupted.
        Command::new("kill").args(["-INT", &self.perf.id().to_string()]).status().ok()?;
        let mut text = String::new();
        self.perf.stderr.take()?.read_to_string(&mut text).ok()?;
        self.perf.wait().ok()?;
        Some(counts(&text))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}

/// Lines `count,unit,event,...` of perf stat; what it could not count is left out.
fn counts(text: &str) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let mut fields = line.split(',');
        let count = fields.next()?.parse().ok()?;
        Some((fields.nth(1)?.to_string(), count))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_perf() {
        let text = "12,,raw_syscalls:sys_enter,99,100.00,,\n<not supported>,,cycles,0,100.00,,\n";
        assert_eq!(counts(text), [("raw_syscalls:sys_enter".to_string(), 12)]);
    }
}
