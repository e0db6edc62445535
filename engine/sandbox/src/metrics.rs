//! Counts as Prometheus reads them, by Mailpit's names.

use crate::api::Api;
use crate::choice::Failed;
use crate::lists::resident_bytes;
use ringmta_http::Response;
use std::fmt::Write;

/// The answer of `/metrics`.
///
/// # Errors
/// The database's.
pub async fn answer(api: &Api) -> Result<Response, Failed> {
    let store = &api.store;
    let tags = store.tags().await?;
    let (total, unread) = store.totals();
    let counters = store.counters();
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, kind: &str, value: u64| {
        let _ = write!(
            text,
            "# HELP mailpit_{name} {help}\n# TYPE mailpit_{name} {kind}\nmailpit_{name} {value}\n"
        );
    };
    metric("database_size_bytes", "Bytes of what is kept", "gauge", store.bytes());
    metric("memory_usage_bytes", "Memory of this process", "gauge", resident_bytes());
    metric("messages", "Messages kept", "gauge", total as u64);
    metric("messages_deleted_total", "Messages deleted", "counter", counters.deleted);
    metric("messages_unread", "Messages kept that are unread", "gauge", unread as u64);
    let accepted = counters.accepted_bytes;
    metric("smtp_accepted_size_bytes_total", "Bytes of messages taken", "counter", accepted);
    metric("smtp_accepted_total", "Messages taken", "counter", counters.accepted);
    metric("smtp_ignored_total", "Duplicates that were not kept", "counter", counters.ignored);
    metric("smtp_rejected_total", "Messages and recipients refused", "counter", counters.rejected);
    metric("uptime_seconds", "Seconds since the start", "gauge", api.uptime_secs());
    text.push_str(
        "# HELP mailpit_tag_messages Messages by tag\n# TYPE mailpit_tag_messages gauge\n",
    );
    for (tag, count) in &tags {
        // A tag has no quote, backslash or line end.
        let _ = writeln!(text, "mailpit_tag_messages{{tag=\"{tag}\"}} {count}");
    }
    Ok(Response::bytes("text/plain; version=0.0.4; charset=utf-8", text))
}
