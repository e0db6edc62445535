//! What a message costs, step by step, as a table in Markdown.

use crate::steps::{Profile, ORDER};
use std::fmt::Write;

/// How many kinds of kernel work a row names.
const KINDS: usize = 3;
/// Microseconds below which a kind of kernel work is not named.
const LEAST_US: f64 = 0.1;

/// The system calls that are counted one by one.
pub const CALLS: [&str; 20] = [
    "io_uring_enter",
    "sendto",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "read",
    "write",
    "writev",
    "pwrite64",
    "pwritev2",
    "fsync",
    "fdatasync",
    "openat",
    "close",
    "accept4",
    "socket",
    "connect",
    "futex",
    "mmap",
    "madvise",
];

/// What else perf counts.
pub const OTHERS: [&str; 3] = ["raw_syscalls:sys_enter", "context-switches", "page-faults"];

/// The steps: `cpu_us` is what a message costs in all, shared out as the samples say.
pub fn steps(profile: &Profile, cpu_us: f64) -> String {
    let mut out = String::from(
        "| step | us | user | kernel | of that in the kernel |\n|---|---:|---:|---:|---|\n",
    );
    let mut sums = [0.0; 2];
    for step in ORDER {
        let [user, kernel] = [false, true].map(|inside| profile.share(step, inside) * cpu_us);
        if user + kernel == 0.0 {
            continue;
        }
        sums = [sums[0] + user, sums[1] + kernel];
        let kinds = kinds(profile, Some(step), cpu_us, KINDS);
        // Writing to a string cannot fail.
        let _ =
            writeln!(out, "| {step} | {:.1} | {user:.1} | {kernel:.1} | {kinds} |", user + kernel);
    }
    let [user, kernel] = sums;
    let _ = writeln!(out, "| all | {:.1} | {user:.1} | {kernel:.1} | |", user + kernel);
    out
}

/// The kernel's part of all steps.
pub fn kernel(profile: &Profile, cpu_us: f64) -> String {
    format!("Kernel, us: {}\n", kinds(profile, None, cpu_us, usize::MAX))
}

fn kinds(profile: &Profile, step: Option<&str>, cpu_us: f64, most: usize) -> String {
    let kinds = profile.kernel(step);
    let told = kinds.iter().take(most).filter(|(_, share)| share * cpu_us >= LEAST_US);
    let told: Vec<String> =
        told.map(|(kind, share)| format!("{kind} {:.1}", share * cpu_us)).collect();
    told.join(", ")
}

/// Counts per message, those that matter first.
pub fn counts(counted: &[(String, u64)], messages: u64) -> String {
    let mut counted: Vec<(&str, f64)> = counted
        .iter()
        .map(|(event, count)| (name(event), *count as f64 / messages as f64))
        .filter(|(_, per)| *per >= 0.001)
        .collect();
    counted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut out = String::from("| per message | |\n|---|---:|\n");
    for (name, per) in counted {
        let _ = writeln!(out, "| {name} | {per:.3} |");
    }
    out
}

fn name(event: &str) -> &str {
    match event {
        "raw_syscalls:sys_enter" => "system calls",
        "context-switches" => "context switches",
        "page-faults" => "page faults",
        _ => event.strip_prefix("syscalls:sys_enter_").unwrap_or(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::Place;

    #[test]
    fn the_table_adds_up() {
        let mut profile = Profile::default();
        for kernel in [None, Some("sendto"), Some("sendto"), Some("read")] {
            profile.add(Place { step: "egress", kernel: kernel.map(str::to_string) });
        }
        let table = steps(&profile, 80.0);
        assert!(table.contains("| egress | 80.0 | 20.0 | 60.0 | sendto 40.0, read 20.0 |"));
        assert!(table.contains("| all | 80.0 | 20.0 | 60.0 | |"), "{table}");
        assert_eq!(kernel(&profile, 80.0), "Kernel, us: sendto 40.0, read 20.0\n");
    }

    #[test]
    fn counts_per_message() {
        let event = |name: &str, count| (name.to_string(), count);
        let counted = [event("syscalls:sys_enter_read", 5), event("raw_syscalls:sys_enter", 30)];
        let table = counts(&counted, 10);
        assert!(table.ends_with("| system calls | 3.000 |\n| read | 0.500 |\n"), "{table}");
        assert!(!counts(&[event("futex", 0)], 10).contains("futex"));
    }
}
