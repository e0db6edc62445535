//! Facts about the machine and the process: `machine-info`, memory, what each shard's tasks wait for.

use crate::control::at_millis;
use ringmta_http::Response;
use ringmta_io::{self as io, receiving, unix_nanos};
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

static ONLINE_SINCE: OnceLock<u64> = OnceLock::new();

/// Remembers when the process has come up.
pub fn note_start() {
    let _ = ONLINE_SINCE.set(unix_nanos());
}

/// One line of a file of the kernel; empty when it is not there.
fn line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_string()
}

/// The value behind `name` in a file of `name: value` or `name=value` lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once([':', '='])?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_string())
    })
}

fn mac_address() -> Option<String> {
    let entries = std::fs::read_dir("/sys/class/net").ok()?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names.into_iter().find_map(|path| {
        let address = line(&path.join("address").display().to_string());
        (!address.is_empty() && address != "00:00:00:00:00:00").then(|| address.to_uppercase())
    })
}

/// Cores of the machine: a shard's thread may itself be bound to one.
fn cores() -> usize {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

fn container() -> Option<&'static str> {
    if Path::new("/.dockerenv").exists() {
        return Some("docker");
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("podman");
    }
    std::env::var_os("KUBERNETES_SERVICE_HOST").map(|_| "kubernetes")
}

/// A size in `kB`, as the kernel's files have it, in bytes.
fn bytes(path: &str, name: &str) -> Option<u64> {
    let text = field(path, name)?;
    let kilobytes: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// `GET /api/machine-info`.
pub async fn info(process: &Process) -> Response {
    let (node_id, hostname) = (process.node_id.clone(), process.hostname.clone());
    let told = io::blocking(move || {
        let machine = line("/etc/machine-id");
        json!({
            "node_id": node_id,
            "hostname": hostname,
            "mac_address": mac_address(),
            "num_cores": cores(),
            "kernel_version": line("/proc/sys/kernel/osrelease"),
            "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
            "distribution": field("/etc/os-release", "NAME"),
            "os_version": field("/etc/os-release", "VERSION_ID"),
            "total_memory_bytes": bytes("/proc/meminfo", "MemTotal"),
            "container_runtime": container(),
            "cpu_brand": field("/proc/cpuinfo", "model name"),
            "fingerprint": format!("machine_uid={machine},node_id={node_id}"),
            "online_since": ONLINE_SINCE.get().map(|nanos| rfc3339(*nanos)),
            "process_kind": "ringmta",
            "version": env!("CARGO_PKG_VERSION"),
        })
    });
    Response::json(&told.await)
}

fn megabytes(bytes: u64) -> String {
    format!("{bytes} ({:.2} MB)", bytes as f64 / 1e6)
}

/// `GET /api/admin/memory/stats`: what the process has, and what of it is counted against which budget.
pub async fn memory(shards: Vec<Value>) -> String {
    let resident = io::blocking(|| bytes("/proc/self/status", "VmRSS")).await.unwrap_or(0);
    let mut out = format!("RSS = {}\n", megabytes(resident));
    let (used, limit) = (receiving::used() as u64, receiving::limit() as u64);
    let _ = writeln!(out, "being received = {} of {}", megabytes(used), megabytes(limit));
    let number = |shard: &Value, name: &str| shard[name].as_u64().unwrap_or(0);
    let sum = |name: &str| -> u64 { shards.iter().map(|shard| number(shard, name)).sum() };
    let _ = writeln!(
        out,
        "all shards: bodies in memory = {}, messages = {}, loaded Lua = {}",
        megabytes(sum("resident")),
        sum("messages"),
        megabytes(sum("lua")),
    );
    for shard in &shards {
        let number = |name: &str| number(shard, name);
        let _ = writeln!(
            out,
            "shard {}: bodies in memory = {} (leave memory beyond {}), messages = {}, loaded Lua = {}",
            shard["shard"],
            megabytes(number("resident")),
            megabytes(number("leave")),
            number("messages"),
            megabytes(number("lua")),
        );
    }
    out
}

/// What one shard has in memory.
pub fn memory_of(shard: &Shard) -> Value {
    json!({
        "shard": shard.index,
        "resident": shard.queues.resident.get(),
        "leave": shard.queues.budget.leave,
        "messages": shard.queues.total(),
        "lua": shard.policy().memory_bytes(),
    })
}

/// What the tasks of a shard wait for, as far as its own state tells: tasks have no names the executor could list.
pub fn tasks_of(shard: &Rc<Shard>) -> Value {
    let mut lines = Vec::new();
    let queues = &shard.queues;
    let sessions = shard.process.sessions[shard.index].load(std::sync::atomic::Ordering::Relaxed);
    lines.push(format!(
        "{sessions} SMTP sessions in: each waits for its client, for the disk, or for the policy"
    ));
    let mut phases: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for ready in queues.ready.borrow().values() {
        for connection in ready.open.borrow().iter() {
            let (phase, detail, _) = connection.doing();
            *phases.entry((phase.name(), detail)).or_default() += 1;
        }
    }
    for ((phase, detail), count) in phases {
        let detail = if detail.is_empty() { String::new() } else { format!(", {detail}") };
        lines.push(format!("{count} connections out: {phase}{detail}"));
    }
    let scheduled = queues.scheduled.borrow();
    for queue in scheduled.values().filter(|queue| queue.resolving.get()).take(50) {
        let since = io::mono_nanos().saturating_sub(queue.resolving_since.get());
        lines.push(format!(
            "route of {}: waits for the policy or the DNS for {} ms",
            queue.name,
            since / 1_000_000
        ));
    }
    let passing: usize = scheduled.values().map(|queue| queue.passing.get()).sum();
    let injecting: usize = scheduled.values().map(|queue| queue.injecting.get()).sum();
    let next = queues.timers.borrow().next_due();
    let due = next.map_or(String::new(), |next| format!(", the first until {}", at_millis(next)));
    lines.push(format!("{passing} messages: throttle_insert_ready_queue is asked about them"));
    lines.push(format!("{injecting} messages: the policy is asked after they were accepted"));
    lines.push(format!(
        "{} messages are being failed, expired, held or moved; {} wait for that",
        queues.ending.get(),
        queues.to_end.len()
    ));
    lines.push(format!("{} messages are in a task's hand", queues.in_hand.len()));
    lines.push(format!("timer: {} messages wait{due}", queues.timers.borrow().len()));
    lines.push(format!(
        "journal: {}",
        if shard.spool.journal.is_clean() { "nothing to write" } else { "writes" }
    ));
    json!({"shard": shard.index, "lines": lines})
}

/// `GET /api/admin/task-dump`.
pub fn dump(shards: &[(usize, Option<Value>)]) -> String {
    let mut out = String::new();
    for (shard, told) in shards {
        let _ = writeln!(out, "shard {shard}");
        let Some(told) = told else {
            out.push_str("  does not answer: it is busy with something that takes long\n");
            continue;
        };
        for line in told["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
