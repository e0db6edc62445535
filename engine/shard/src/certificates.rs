//! Renews the certificates of all listeners, and counts it.

use crate::listener_tls::ListenerTls;
use crate::process::Process;
use crate::state::Shard;
use ringmta_events::metrics::Snapshot;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

fn all(process: &Process) -> impl Iterator<Item = &Arc<ListenerTls>> {
    process.smtp_tls.iter().chain(&process.http_tls).flatten()
}

/// The files whose change matters.
pub fn files(process: &Process) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = all(process).flat_map(|tls| tls.sources.files()).collect();
    files.sort();
    files.dedup();
    files
}

/// Reads every listener's certificate anew, on the shard that is told to.
pub async fn renew(shard: &Rc<Shard>) {
    let renewals = &shard.renewals;
    if renewals.under_way.replace(true) {
        renewals.again.set(true);
        return;
    }
    loop {
        renewals.again.set(false);
        for tls in all(&shard.process) {
            tls.renew(&shard.policy()).await;
        }
        if !renewals.again.get() {
            break;
        }
    }
    renewals.under_way.set(false);
}

/// Adds what happened to the metrics of the process.
pub fn add_to(process: &Process, sum: &mut Snapshot) {
    let total = |of: fn(&ListenerTls) -> &AtomicU64| {
        all(process).map(|tls| of(tls).load(Ordering::Relaxed)).sum()
    };
    sum.count("tls_certificate_renewed_total", "", total(|tls| &tls.renewed));
    sum.count("tls_certificate_failed_total", "", total(|tls| &tls.failed));
}
