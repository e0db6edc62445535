//! What the engine does now: rates since the look before, the fullest queues, what the slowest parts are.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::table::columns;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// One look at the metrics.
pub struct Look {
    at: Instant,
    metrics: Value,
}

impl Look {
    /// A look now.
    pub fn new(metrics: Value) -> Look {
        Look { at: Instant::now(), metrics }
    }

    fn number(&self, name: &str, labels: &[&str]) -> f64 {
        let mut value = &self.metrics[name]["value"];
        for label in labels {
            value = &value[*label];
        }
        value.as_f64().unwrap_or(0.0)
    }

    fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let all = self.metrics[name]["value"][label].as_object();
        all.into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
            .collect()
    }
}

/// The page for two looks, one after the other.
pub fn top(before: &Look, now: &Look, most: usize, sort: &Sort, paint: Paint) -> String {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let rate = |name: &str, labels: &[&str]| {
        let more = now.number(name, labels) - before.number(name, labels);
        format!("{:.1}", (more / seconds).max(0.0))
    };
    let smtp = ["service", "smtp_client"];
    let mut parts = vec![columns(
        &["", "now", "per second"],
        &[
            row(
                "accepted (SMTP)",
                now.number("total_messages_received", &["service", "esmtp_listener"]),
                rate("total_messages_received", &["service", "esmtp_listener"]),
            ),
            row(
                "accepted (HTTP)",
                now.number("total_messages_received", &["service", "http_listener"]),
                rate("total_messages_received", &["service", "http_listener"]),
            ),
            row(
                "delivered",
                now.number("total_messages_delivered", &smtp),
                rate("total_messages_delivered", &smtp),
            ),
            row(
                "deferred",
                now.number("total_messages_transfail", &smtp),
                rate("total_messages_transfail", &smtp),
            ),
            row(
                "failed",
                now.number("total_messages_fail", &smtp),
                rate("total_messages_fail", &smtp),
            ),
            row("waiting", now.number("message_count", &[]), String::new()),
            row(
                "bodies in memory, MB",
                now.number("message_data_resident_bytes", &[]) / 1e6,
                String::new(),
            ),
            row(
                "sessions in",
                now.number("connection_count", &["service", "esmtp_listener"]),
                String::new(),
            ),
            row("connections out", now.number("connection_count", &smtp), String::new()),
        ],
    )];
    parts.push(queues(before, now, seconds, most, sort));
    parts.push(providers(before, now, seconds, most, sort));
    parts.push(handlers(before, now, most, sort));
    parts.retain(|part| !part.is_empty());
    if now.number("shard_stall_total", &[]) > 0.0 {
        parts.push(paint.bad("a shard has slept although it had work: see shard_stall_total"));
    }
    parts.join("\n\n")
}

fn row(name: &str, value: f64, rate: String) -> Vec<String> {
    vec![name.into(), format!("{value:.0}"), rate]
}

/// Ready queues, those with most to do first.
fn queues(before: &Look, now: &Look, seconds: f64, most: usize, sort: &Sort) -> String {
    let delivered = now.by("total_messages_delivered", "service");
    let earlier = before.by("total_messages_delivered", "service");
    let of = |map: &BTreeMap<String, f64>, name: &str| map.get(name).copied().unwrap_or(0.0);
    let ready = now.by("ready_count", "service");
    let rows: Vec<(f64, Vec<String>)> = ready
        .iter()
        .filter_map(|(service, waiting)| {
            let (_, queue) = service.split_once(':')?;
            let rate = ((of(&delivered, service) - of(&earlier, service)) / seconds).max(0.0);
            let row = vec![clean(queue), format!("{waiting:.0}"), format!("{rate:.1}")];
            (*waiting + rate > 0.0).then_some((*waiting + rate, row))
        })
        .collect();
    sorted(rows, most, sort, &["ready queue", "ready", "delivered/s"])
}

fn providers(before: &Look, now: &Look, seconds: f64, most: usize, sort: &Sort) -> String {
    let rates = |name: &str| {
        let (late, early) = (now.by(name, "provider"), before.by(name, "provider"));
        late.into_iter()
            .map(|(key, value)| {
                let rate = (value - early.get(&key).copied().unwrap_or(0.0)) / seconds;
                (key, rate.max(0.0))
            })
            .collect::<BTreeMap<_, _>>()
    };
    let delivered = rates("total_messages_delivered_by_provider");
    let deferred = rates("total_messages_transfail_by_provider");
    let failed = rates("total_messages_fail_by_provider");
    let of = |map: &BTreeMap<String, f64>, name: &str| map.get(name).copied().unwrap_or(0.0);
    let names: std::collections::BTreeSet<&String> =
        delivered.keys().chain(deferred.keys()).chain(failed.keys()).collect();
    let mut rows: Vec<(f64, Vec<String>)> = names
        .into_iter()
        .map(|name| {
            let parts = [of(&delivered, name), of(&deferred, name), of(&failed, name)];
            let cells = parts.iter().map(|part| format!("{part:.1}"));
            (parts.iter().sum(), std::iter::once(clean(name)).chain(cells).collect())
        })
        .collect();
    rows.retain(|(sum, _)| *sum > 0.0);
    sorted(rows, most, sort, &["provider", "delivered/s", "deferred/s", "failed/s"])
}

/// The largest first, unless another order was asked for.
fn sorted(
    mut rows: Vec<(f64, Vec<String>)>,
    most: usize,
    sort: &Sort,
    headings: &[&str],
) -> String {
    sort.know(headings);
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    match rows.is_empty() {
        true => String::new(),
        false => sort.table(headings, rows, most),
    }
}

/// Handlers of the policy by their mean time since the look before.
fn handlers(before: &Look, now: &Look, most: usize, sort: &Sort) -> String {
    const NAME: &str = "lua_event_latency";
    let sums = |look: &Look| -> BTreeMap<String, (f64, f64)> {
        let all = look.metrics[NAME]["value"]["event"].as_object();
        let pair = |value: &Value| Some((value["sum"].as_f64()?, value["count"].as_f64()?));
        all.into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), pair(value)?)))
            .collect()
    };
    let (late, early) = (sums(now), sums(before));
    let rows: Vec<(f64, Vec<String>)> = late
        .into_iter()
        .filter_map(|(name, (sum, count))| {
            let (sum_before, count_before) = early.get(&name).copied().unwrap_or_default();
            let calls = count - count_before;
            let mean = (sum - sum_before) / calls * 1000.0;
            let each = calls / now.at.duration_since(before.at).as_secs_f64().max(0.001);
            (calls > 0.0)
                .then(|| (mean, vec![clean(&name), format!("{mean:.2}"), format!("{each:.1}")]))
        })
        .collect();
    sorted(rows, most, sort, &["handler", "mean ms", "calls/s"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_are_between_two_looks() {
        let metrics = |count: u64| {
            json!({
                "total_messages_received": {"value": {"service": {"esmtp_listener": count}}},
                "total_messages_delivered": {"value": {"service": {"smtp_client": count, "smtp_client:s->a.test@smtp_client": count}}},
                "ready_count": {"value": {"service": {"smtp_client": 3, "smtp_client:s->a.test@smtp_client": 3}}},
                "total_messages_delivered_by_provider": {"value": {"provider": {"a.test": count}}},
                "message_count": {"value": 7},
            })
        };
        let mut before = Look::new(metrics(0));
        before.at -= std::time::Duration::from_secs(10);
        let now = Look { at: before.at + std::time::Duration::from_secs(10), metrics: metrics(50) };
        let text = top(&before, &now, 10, &Sort::default(), Paint::none());
        assert!(text.contains("accepted (SMTP)        50         5.0"), "{text}");
        assert!(text.contains("s->a.test@smtp_client      3          5.0"), "{text}");
        assert!(text.contains("a.test            5.0         0.0       0.0"), "{text}");
    }
}
