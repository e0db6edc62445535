//! Clients that only sit there are cheap.

use crate::support::{message, Sink, Site, Smtp};
use std::process::Command;

/// Descriptors this process may open, after asking for more.
fn descriptors() -> usize {
    let pid = std::process::id().to_string();
    // The program of util-linux; without it, what there is must do.
    let _ = Command::new("prlimit").args(["--pid", &pid, "--nofile=4096:"]).output();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
fn two_thousand_idle_connections() {
    let count = descriptors().saturating_sub(600).min(2000);
    assert!(count >= 500, "{count} connections would prove nothing: raise `ulimit -n`");
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(2);
    engine.accept("a@src.test", &["first@dst.test"], &message("first"));
    sink.wait_messages(1);
    let before = engine.resident_bytes();
    let idle: Vec<Smtp> = (0..count).map(|_| engine.greeted()).collect();
    let connections = "connection_count{service=\"esmtp_listener\"}";
    assert!(engine.metric(connections) >= count as f64);
    let each = engine.resident_bytes().saturating_sub(before) / count as u64;
    assert!(each <= 24 * 1024, "{each} bytes for one idle connection");
    // New clients are served while the others sit there.
    for n in 0..20 {
        engine.accept("a@src.test", &[&format!("u{n}@dst.test")], &message("new"));
    }
    sink.wait_messages(21);
    drop(idle);
    crate::support::wait("all of them gone", || engine.metric(connections) == 0.0);
    engine.accept("a@src.test", &["last@dst.test"], &message("last"));
    sink.wait_messages(22);
}

/// Clock ticks of CPU that the engine has used.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn an_idle_engine_uses_no_cpu() {
    let engine = Site::new().start(2);
    let idle: Vec<Smtp> = (0..50).map(|_| engine.greeted()).collect();
    // The yardstick is another process that does nothing but sleep as long: what counts is the
    // share of CPU, and a spinning shard would use all of it.
    let before = cpu_ticks(engine.pid());
    let nap = std::time::Instant::now();
    let slept = Command::new("sleep").arg("3").status().unwrap();
    assert!(slept.success());
    let used = cpu_ticks(engine.pid()) - before;
    // A tick is a hundredth of a second.
    let share = used as f64 / (nap.elapsed().as_secs_f64() * 100.0);
    assert!(share < 0.3, "an idle engine used {:.0} % of a core", share * 100.0);
    drop(idle);
}
