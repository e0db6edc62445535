//! Answers as people read them: sums over the shards, in columns.

use super::paint::clean;
use super::sort::Sort;
use super::words::{moment, plain, rough, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a queue has on all shards.
#[derive(Default)]
struct Sum {
    waiting: u64,
    connections: u64,
    shards: usize,
}

/// All queues, the fullest first: those that wait for their time or route, then those that wait for a connection.
pub fn queues(shards: &Value, sort: &Sort) -> String {
    const WAITING: [&str; 3] = ["queue", "messages", "shards"];
    const READY: [&str; 3] = ["ready queue", "ready", "connections"];
    // A table that has nothing in it has its columns all the same.
    sort.know(&WAITING);
    sort.know(&READY);
    let (mut scheduled, mut ready) = (BTreeMap::new(), BTreeMap::new());
    for shard in shards.as_array().into_iter().flatten() {
        for (name, count) in shard["scheduled"].as_object().into_iter().flatten() {
            add(&mut scheduled, name, count, &Value::Null);
        }
        for (name, state) in shard["ready"].as_object().into_iter().flatten() {
            add(&mut ready, name, &state["ready"], &state["connections"]);
        }
    }
    let total: u64 = scheduled.values().map(|sum| sum.waiting).sum();
    let mut text = match scheduled.is_empty() {
        true => "no mail waits".to_string(),
        false => {
            let rows: Vec<Vec<String>> = fullest_first(scheduled)
                .map(|(name, sum)| {
                    vec![clean(&name), sum.waiting.to_string(), sum.shards.to_string()]
                })
                .collect();
            let messages = if total == 1 { "message" } else { "messages" };
            format!("{}\n{total} {messages} in all", sort.table(&WAITING, rows, usize::MAX))
        }
    };
    if !ready.is_empty() {
        let rows: Vec<Vec<String>> = fullest_first(ready)
            .map(|(name, sum)| {
                vec![clean(&name), sum.waiting.to_string(), sum.connections.to_string()]
            })
            .collect();
        text += "\n\n";
        text += &sort.table(&READY, rows, usize::MAX);
    }
    text += &further(shards);
    text
}

/// What is said of queues that no table has.
fn further(shards: &Value) -> String {
    let sum = |kind: &str| -> u64 {
        let each = shards.as_array().into_iter().flatten();
        each.filter_map(|shard| shard["further"][kind].as_u64()).sum()
    };
    match (sum("scheduled"), sum("ready")) {
        (0, 0) => String::new(),
        (scheduled, ready) => format!(
            "\n\nthe fullest of each shard are listed; {scheduled} further queues and {ready} further ready queues are not: \
             `ctl queue NAME` and `ctl ready NAME` tell of each"
        ),
    }
}

fn add(sums: &mut BTreeMap<String, Sum>, name: &str, waiting: &Value, connections: &Value) {
    let sum = sums.entry(name.to_string()).or_default();
    sum.waiting += waiting.as_u64().unwrap_or(0);
    sum.connections += connections.as_u64().unwrap_or(0);
    sum.shards += 1;
}

fn fullest_first(sums: BTreeMap<String, Sum>) -> impl Iterator<Item = (String, Sum)> {
    let mut rows: Vec<(String, Sum)> = sums.into_iter().collect();
    // Of equals the names decide: the sort is stable.
    rows.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.waiting, sum.connections)));
    rows.into_iter()
}

/// Orders in force, by kind.
pub fn orders(kinds: &Value, sort: &Sort) -> String {
    const HEADINGS: [&str; 8] =
        ["order", "about", "reason", "still", "by", "since", "failed", "id"];
    sort.know(&HEADINGS);
    let rows: Vec<Vec<String>> = kinds
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(kind, list)| list.as_array().into_iter().flatten().map(move |one| (kind, one)))
        .map(|(kind, order)| {
            vec![
                kind.clone(),
                clean(&about(order)),
                text(order, "reason"),
                rough(&text(order, "duration")),
                by(order),
                moment(&order["created"]),
                plain(&order["total_bounced"]),
                text(order, "id"),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => "no orders".into(),
        false => sort.table(&HEADINGS, rows, usize::MAX),
    }
}

/// Which queues an order is about.
fn about(order: &Value) -> String {
    let named = |name: &str| order[name].as_str().map(|value| format!("{name} {value}"));
    if let Some(queue) = order["name"].as_str() {
        return queue.to_string();
    }
    if let Some(message) = order["message"].as_str() {
        return format!("message {message}");
    }
    if let Some(names) = order["queue_names"].as_array().filter(|names| !names.is_empty()) {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        return format!("queue {}", names.join(", "));
    }
    let parts: Vec<String> = ["domain", "tenant", "campaign", "routing_domain", "queue_name"]
        .into_iter()
        .filter_map(named)
        .collect();
    match parts.is_empty() {
        true => "everything".into(),
        false => parts.join(", "),
    }
}

fn by(order: &Value) -> String {
    Some(text(order, "created_by")).filter(|by| !by.is_empty()).unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn queues_are_summed_over_shards() {
        let shards = json!([
            {"scheduled": {"a.test": 2, "b.test": 5}, "ready": {"src->a@smtp_client": {"ready": 1, "connections": 1}}},
            {"scheduled": {"a.test": 4}, "ready": {}, "further": {"scheduled": 0, "ready": 0}},
        ]);
        assert_eq!(
            queues(&shards, &Sort::default()),
            "queue   messages  shards\na.test         6       2\nb.test         5       1\n11 messages in all\n\n\
             ready queue         ready  connections\nsrc->a@smtp_client      1            1"
        );
        assert_eq!(
            queues(&json!([{"scheduled": {}, "ready": {}}]), &Sort::default()),
            "no mail waits"
        );
        let more = json!([{"scheduled": {"a.test": 4}, "ready": {}, "further": {"scheduled": 3, "ready": 1}}]);
        let text = queues(&more, &Sort::default());
        assert!(text.contains("; 3 further queues and 1 further ready queues are not: "), "{text}");
    }

    #[test]
    fn orders_say_what_and_why() {
        let kinds = json!({
            "suspend": [{"id": "1", "domain": "a.test", "reason": "talking", "duration": "5m 3ms", "created_by": "ops",
                "created": "2026-01-02T03:04:05.6Z"}],
            "bounce": [{"id": "2", "reason": "gone", "duration": "1h", "total_bounced": 12}],
        });
        let text = orders(&kinds, &Sort::default());
        let wanted = "order    about          reason   still  by   since                failed  id\n\
                      bounce   everything     gone     1h     -                             12   2\n\
                      suspend  domain a.test  talking  5m     ops  2026-01-02 03:04:05           1";
        assert_eq!(text, wanted);
        assert_eq!(orders(&json!({}), &Sort::default()), "no orders");
    }
}
