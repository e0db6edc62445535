//! The engine at this moment: what it is, what it runs, what it has in memory and on disk.

use crate::control::admin;
use ringmta_http::Response;
use ringmta_io::{self as io, mono_nanos};
use ringmta_policy::AuthInfo;
use ringmta_queue::quota::health::Fault;
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// GET: for the head of the page.
pub async fn now(shard: &Rc<Shard>, caller: &AuthInfo) -> Response {
    let process = &shard.process;
    let meta = process.spool.meta.clone();
    let disk = io::blocking(move || io::system::disk_free(&meta)).await;
    let disk = disk.ok().map(|(free, whole, _, _)| json!({"free": free, "whole": whole}));
    let loads = &shard.context.policy.loads;
    let orders = admin::all_orders(process).await;
    let resident = io::blocking(io::memory::resident_bytes).await;
    Response::json(&json!({
        "version": crate::cli::args::VERSION,
        "hostname": process.hostname,
        "node_id": process.node_id,
        "user": caller.identities.first(),
        "shards": process.shards,
        "ready": process.ready.load(Ordering::Relaxed),
        "refuses": ringmta_accept::room::no_room(shard).map(|refusal| refusal.reply().text),
        "uptime_seconds": process.console.uptime_seconds(),
        "policy": {
            "file": process.policy_file,
            "loads": loads.taken.get(),
            "epoch": process.policy_shared.epoch(),
        },
        "memory": {
            "resident": resident,
            "receiving": io::receiving::used(),
            "receiving_limit": io::receiving::limit(),
        },
        "disk": disk,
        "stalls": io::stalls(),
        "orders": orders,
        "sources": sources(process),
    }))
}

/// Sources that have had failures of their own, and whether they are left alone for it.
fn sources(process: &Process) -> Value {
    let now = mono_nanos() / 1_000_000;
    let mut list = Vec::new();
    process.limits.each_source(|source, health| {
        for fault in Fault::ALL {
            let tally = health.tally(fault, now);
            if tally.failed > 0 {
                list.push(json!({
                    "source": source,
                    "fault": fault.name(),
                    "failed": tally.failed,
                    "suspended": tally.suspended,
                }));
            }
        }
    });
    list.into()
}
