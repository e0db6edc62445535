//! What the engine does now: rates since the look before, the fullest queues, what the slowest parts are.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::table::columns;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Instant;

/// One look at the metrics, and at what each shard did in the minute before it.
#[derive(Debug, Clone)]
pub struct Look {
    at: Instant,
    metrics: Value,
    shards: Value,
}

/// A table of the page.
struct Table {
    /// As JSON calls it.
    name: &'static str,
    headings: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Look {
    /// A look now.
    pub fn new(metrics: Value, history: &Value) -> Look {
        Look { at: Instant::now(), metrics, shards: history["shards"].clone() }
    }

    fn number(&self, name: &str, labels: &[&str]) -> f64 {
        let mut value = &self.metrics[name]["value"];
        for label in labels {
            value = &value[*label];
        }
        value.as_f64().unwrap_or(0.0)
    }

    /// Seconds between two looks.
    fn since(&self, before: &Look) -> f64 {
        self.at.duration_since(before.at).as_secs_f64().max(0.001)
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
    let mut parts = vec![columns(&TOTALS, &totals(before, now))];
    for table in tables(before, now) {
        sort.know(table.headings);
        if !table.rows.is_empty() {
            parts.push(sort.table(table.headings, table.rows, most));
        }
    }
    if has_stalled(now) {
        parts.push(paint.bad("a shard has slept although it had work: see shard_stall_total"));
    }
    parts.join("\n\n")
}

/// The same for machines: an object for each row.
pub fn json(before: &Look, now: &Look, most: usize) -> Value {
    let mut all = Map::new();
    let totals = Table { name: "totals", headings: &TOTALS, rows: totals(before, now) };
    all.insert(totals.name.into(), totals.json(usize::MAX));
    for table in tables(before, now) {
        all.insert(table.name.into(), table.json(most));
    }
    all.insert("stalled".into(), has_stalled(now).into());
    Value::Object(all)
}

impl Table {
    fn json(self, most: usize) -> Value {
        let key = |heading: &str| match heading {
            "" => "name".to_string(),
            heading => heading
                .replace("/min", "_per_minute")
                .replace("/s", "_per_second")
                .replace(", ", "_")
                .replace(' ', "_"),
        };
        let value = |cell: &String| match (cell.parse::<u64>(), cell.parse::<f64>()) {
            (Ok(whole), _) => whole.into(),
            (_, Ok(number)) => number.into(),
            _ if cell.is_empty() => Value::Null,
            _ => cell.as_str().into(),
        };
        let object = |row: &Vec<String>| -> Value {
            let cells = self.headings.iter().zip(row);
            Value::Object(cells.map(|(heading, cell)| (key(heading), value(cell))).collect())
        };
        self.rows.iter().take(most).map(object).collect()
    }
}

fn has_stalled(now: &Look) -> bool {
    now.number("shard_stall_total", &[]) > 0.0
}

const TOTALS: [&str; 3] = ["", "now", "per second"];

fn totals(before: &Look, now: &Look) -> Vec<Vec<String>> {
    let seconds = now.since(before);
    let counted = |title: &str, name: &str, labels: &[&str]| {
        let more = now.number(name, labels) - before.number(name, labels);
        row(title, now.number(name, labels), format!("{:.1}", (more / seconds).max(0.0)))
    };
    let level = |title: &str, value: f64| row(title, value, String::new());
    let smtp = ["service", "smtp_client"];
    let sessions = ["service", "esmtp_listener"];
    vec![
        counted("accepted (SMTP)", "total_messages_received", &sessions),
        counted("accepted (HTTP)", "total_messages_received", &["service", "http_listener"]),
        counted("delivered", "total_messages_delivered", &smtp),
        counted("deferred", "total_messages_transfail", &smtp),
        counted("failed", "total_messages_fail", &smtp),
        level("waiting", now.number("message_count", &[])),
        level("bodies in memory, MB", now.number("message_data_resident_bytes", &[]) / 1e6),
        level("memory of the process, MB", now.number("memory_usage", &[]) / 1e6),
        level("sessions in", now.number("connection_count", &sessions)),
        level("connections out", now.number("connection_count", &smtp)),
    ]
}

fn row(name: &str, value: f64, rate: String) -> Vec<String> {
    vec![name.into(), format!("{value:.0}"), rate]
}

fn tables(before: &Look, now: &Look) -> Vec<Table> {
    let seconds = now.since(before);
    vec![
        queues(before, now, seconds),
        providers(before, now, seconds),
        handlers(before, now),
        shards(now),
    ]
}

/// Ready queues, those with most to do first.
fn queues(before: &Look, now: &Look, seconds: f64) -> Table {
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
    sorted("ready_queues", &["ready queue", "ready", "delivered/s"], rows)
}

fn providers(before: &Look, now: &Look, seconds: f64) -> Table {
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
    sorted("providers", &["provider", "delivered/s", "deferred/s", "failed/s"], rows)
}

/// The largest first, unless another order was asked for.
fn sorted(
    name: &'static str,
    headings: &'static [&'static str],
    mut rows: Vec<(f64, Vec<String>)>,
) -> Table {
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    Table { name, headings, rows: rows.into_iter().map(|(_, row)| row).collect() }
}

/// Handlers of the policy by their mean time since the look before.
fn handlers(before: &Look, now: &Look) -> Table {
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
            let each = calls / now.since(before);
            (calls > 0.0)
                .then(|| (mean, vec![clean(&name), format!("{mean:.2}"), format!("{each:.1}")]))
        })
        .collect();
    sorted("handlers", &["handler", "mean ms", "calls/s"], rows)
}

/// What each shard did in the last minute.
fn shards(now: &Look) -> Table {
    let each = now.shards.as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |of: &Value, name: &str| of[name].as_u64().unwrap_or(0).to_string();
    let row = |(at, of): (usize, &Value)| {
        vec![at.to_string(), number(of, "accepted"), number(of, "delivered")]
    };
    Table {
        name: "shards",
        headings: &["shard", "accepted/min", "delivered/min"],
        rows: each.iter().enumerate().map(row).collect(),
    }
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
        let mut before = Look::new(metrics(0), &json!({}));
        before.at -= std::time::Duration::from_secs(10);
        let now = Look {
            at: before.at + std::time::Duration::from_secs(10),
            metrics: metrics(50),
            shards: json!([{"accepted": 7, "delivered": 3}, {"accepted": 0, "delivered": 9}]),
        };
        let text = top(&before, &now, 10, &Sort::default(), Paint::none());
        assert!(text.contains("accepted (SMTP)             50         5.0"), "{text}");
        assert!(text.contains("s->a.test@smtp_client      3          5.0"), "{text}");
        assert!(text.contains("a.test            5.0         0.0       0.0"), "{text}");
        assert!(text.contains("    1             0              9"), "{text}");
        let told = super::json(&before, &now, 10);
        assert_eq!(
            told["totals"][0],
            json!({"name": "accepted (SMTP)", "now": 50, "per_second": 5.0})
        );
        assert_eq!(told["providers"][0]["delivered_per_second"], 5.0);
        assert_eq!(told["shards"][1]["delivered_per_minute"], 9);
        assert_eq!(told["ready_queues"][0]["ready_queue"], "s->a.test@smtp_client");
    }
}
