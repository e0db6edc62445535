//! The API's answers about all messages.

use crate::choice::Page;
use crate::json::VERSION;
use crate::store::Store;
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// A list of messages.
pub fn list(store: &Store, page: Page, start: usize, tags: BTreeMap<String, usize>) -> Value {
    let (total, unread) = store.totals();
    json!({
        "total": total,
        "unread": unread,
        "count": page.messages.len(),
        "messages_count": page.matching,
        "messages_unread": page.unread,
        "start": start,
        "tags": tags.into_keys().collect::<Vec<_>>(),
        "messages": page.messages,
    })
}

/// The counters of a `stats` event.
pub fn stats(store: &Store) -> Value {
    let (total, unread) = store.totals();
    json!({"Total": total, "Unread": unread, "Version": VERSION})
}

/// The answer of `info`.
pub fn info(store: &Store, tags: BTreeMap<String, usize>, uptime_secs: u64) -> Value {
    let (total, unread) = store.totals();
    let counters = store.counters();
    json!({
        "Version": VERSION,
        "LatestVersion": VERSION,
        "Database": store.place(),
        "DatabaseSize": store.bytes(),
        "Messages": total,
        "Unread": unread,
        "Tags": tags,
        "RuntimeStats": {
            "Uptime": uptime_secs,
            "Memory": resident_bytes(),
            "MessagesDeleted": counters.deleted,
            "MessagesEvicted": counters.evicted,
            "SMTPAccepted": counters.accepted,
            "SMTPAcceptedSize": counters.accepted_bytes,
            "SMTPRejected": counters.rejected,
            "SMTPIgnored": counters.ignored,
        },
    })
}

/// Memory of this process that is in RAM, bytes, as the kernel has it; 0 where it does not say.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|n| n.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}
