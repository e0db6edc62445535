//! The API's answers about all messages.

use crate::captured::Stored;
use crate::json::{summary, VERSION};
use crate::store::Store;
use serde_json::{json, Value};

/// A list of messages: `page` of the `matching` ones, newest first.
pub fn list(store: &Store, matching: &[std::rc::Rc<Stored>], start: usize, limit: usize) -> Value {
    let (total, unread) = store.totals();
    let limit = if limit == 0 { usize::MAX } else { limit };
    let page: Vec<Value> =
        matching.iter().skip(start).take(limit).map(|message| summary(message)).collect();
    let matching_unread = matching.iter().filter(|message| !message.read.get()).count();
    json!({
        "total": total,
        "unread": unread,
        "count": page.len(),
        "messages_count": matching.len(),
        "messages_unread": matching_unread,
        "start": start,
        "tags": tags(store),
        "messages": page,
    })
}

/// Every tag in use, sorted.
pub fn tags(store: &Store) -> Vec<String> {
    let mut tags: Vec<String> =
        store.all().iter().flat_map(|message| message.tags.borrow().clone()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// The counters of a `stats` event.
pub fn stats(store: &Store) -> Value {
    let (total, unread) = store.totals();
    json!({"Total": total, "Unread": unread, "Version": VERSION})
}

/// The answer of `info`.
pub fn info(store: &Store, uptime_secs: u64) -> Value {
    let (total, unread) = store.totals();
    let counters = store.counters();
    let mut tags = serde_json::Map::new();
    for message in store.all() {
        for tag in message.tags.borrow().iter() {
            let count = tags.get(tag).and_then(Value::as_u64).unwrap_or(0);
            tags.insert(tag.clone(), json!(count + 1));
        }
    }
    json!({
        "Version": VERSION,
        "LatestVersion": "",
        "Database": "memory",
        "DatabaseSize": store.bytes(),
        "Messages": total,
        "Unread": unread,
        "Tags": tags,
        "RuntimeStats": {
            "Uptime": uptime_secs,
            "Memory": store.bytes(),
            "MessagesDeleted": counters.deleted,
            "MessagesEvicted": counters.evicted,
            "SMTPAccepted": counters.accepted,
            "SMTPAcceptedSize": counters.accepted_bytes,
            "SMTPRejected": 0,
            "SMTPIgnored": 0,
        },
    })
}
