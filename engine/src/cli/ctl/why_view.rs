//! The answer to "why", for people.

use super::paint::{clean, Paint};
use super::words::{many, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// The whole answer.
pub fn why(answer: &Value, paint: Paint) -> String {
    let (about, name) = (text(answer, "about"), text(answer, "name"));
    let mut lines = vec![paint.bold(&format!("{about} {name}"))];
    match about.as_str() {
        "message" => message(&mut lines, answer, paint),
        "source" => source(&mut lines, answer, paint),
        "pool" => pool(&mut lines, answer, paint),
        _ => queues(&mut lines, answer, paint),
    }
    lines.join("\n")
}

fn line(lines: &mut Vec<String>, heading: &str, text: &str, paint: Paint) {
    if !text.is_empty() {
        lines.push(format!("  {}{text}", paint.dim(&format!("{heading:<9}"))));
    }
}

/// State, reasons, what comes next, what can be done.
fn state(lines: &mut Vec<String>, told: &Value, paint: Paint) {
    let count = told["messages"].as_u64();
    let count = count.filter(|count| *count > 0);
    let count = count.map_or(String::new(), |count| format!("{count} × "));
    let name = paint.warn(&text(told, "state"));
    lines.push(format!("  {count}{name}: {}", text(told, "says")));
    for (at, reason) in told["because"].as_array().into_iter().flatten().enumerate() {
        line(lines, if at == 0 { "because" } else { "" }, &text(reason, "text"), paint);
    }
    line(lines, "since", &text(told, "since_text"), paint);
    line(lines, "next", &text(&told["next"], "text"), paint);
    for (at, can) in told["can"].as_array().into_iter().flatten().enumerate() {
        let command = clean(can.as_str().unwrap_or_default());
        line(lines, if at == 0 { "you can" } else { "" }, &command, paint);
    }
}

fn message(lines: &mut Vec<String>, answer: &Value, paint: Paint) {
    let facts = &answer["facts"];
    let to: Vec<&str> =
        facts["recipient"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(from) = facts["sender"].as_str() {
        let envelope = format!("<{}> to <{}>", clean(from), clean(&to.join(">, <")));
        line(lines, "from", &envelope, paint);
    }
    line(lines, "queue", &text(facts, "queue"), paint);
    if let Some(attempts) = facts["attempts"].as_u64() {
        line(lines, "attempts", &attempts.to_string(), paint);
    }
    line(lines, "life", &text(facts, "life"), paint);
    state(lines, answer, paint);
}

fn queues(lines: &mut Vec<String>, answer: &Value, paint: Paint) {
    let each = answer["queues"].as_array().map(Vec::as_slice).unwrap_or_default();
    let waiting: u64 = each.iter().filter_map(|queue| queue["messages"].as_u64()).sum();
    line(lines, "messages", &waiting.to_string(), paint);
    for field in ["set_by", "last_trouble"] {
        let heading = if field == "set_by" { "set by" } else { "trouble" };
        let mut told: Vec<String> = each.iter().map(|queue| text(queue, field)).collect();
        told.retain(|told| !told.is_empty());
        told.sort();
        told.dedup();
        told.iter().take(5).for_each(|told| line(lines, heading, told, paint));
    }
    let states = answer["states"].as_array().map(Vec::as_slice).unwrap_or_default();
    states.iter().for_each(|told| state(lines, told, paint));
    // Ready queues in which nothing waits have a state all the same.
    if let (true, Some(told)) =
        (states.is_empty(), each.iter().find(|one| one["state"].is_string()))
    {
        state(lines, told, paint);
    }
    let looked: u64 = each.iter().filter_map(|queue| queue["looked_at"].as_u64()).sum();
    if looked > 0 && looked < waiting {
        line(
            lines,
            "note",
            &format!("the states are those of the {looked} messages looked at"),
            paint,
        );
    }
}

fn source(lines: &mut Vec<String>, answer: &Value, paint: Paint) {
    let shards = answer["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(first) = shards.first() else { return };
    line(lines, "set by", &text(first, "set_by"), paint);
    match first["left_alone_for"].as_str() {
        Some(left) => {
            line(lines, "state", &paint.bad(&format!("left alone for another {left}")), paint)
        }
        None => line(lines, "state", &paint.good("may be chosen"), paint),
    }
    let has_failed = |tally: &Value| tally["failed"] != 0 || tally["suspensions"] != 0;
    let faults = first["faults"].as_object().into_iter().flatten();
    for (fault, tally) in faults.filter(|(_, tally)| has_failed(tally)) {
        let told = format!(
            "{fault}: {} connections failed so, left alone {} times",
            tally["failed"], tally["suspensions"]
        );
        line(lines, "faults", &told, paint);
    }
    for told in over_shards(shards).into_iter().take(20) {
        lines.push(format!("  {}", paint.bold(&text(&told, "ready_queue"))));
        state(lines, &told, paint);
    }
}

/// The ready queues of all shards: the messages of those with the same name and state are one sum.
fn over_shards(shards: &[Value]) -> Vec<Value> {
    let mut sums: BTreeMap<(String, String), Value> = BTreeMap::new();
    for told in shards.iter().flat_map(|shard| shard["ready_queues"].as_array()).flatten() {
        let messages = |told: &Value| told["messages"].as_u64().unwrap_or(0);
        let key = (text(told, "ready_queue"), text(told, "state"));
        match sums.get_mut(&key) {
            Some(sum) => sum["messages"] = (messages(sum) + messages(told)).into(),
            None => drop(sums.insert(key, told.clone())),
        }
    }
    sums.into_values().collect()
}

/// A pool: who chooses from it, and its sources one by one.
fn pool(lines: &mut Vec<String>, answer: &Value, paint: Paint) {
    let shards = answer["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(first) = shards.first() else { return };
    let sum = |field: &str| shards.iter().filter_map(|shard| shard[field].as_u64()).sum();
    line(lines, "set by", &text(first, "set_by"), paint);
    let used = format!(
        "{} with {}",
        many(sum("queues"), "scheduled queue"),
        many(sum("messages"), "message")
    );
    line(lines, "used by", &used, paint);
    let sources = first["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mays = sources.iter().filter(|source| source["may_be_chosen"] == true).count();
    let state = match (first["is_defined"] == true, sources.len(), mays) {
        (false, ..) => paint.bad("the policy defines no such pool: its mail has no route"),
        (_, 0, _) => paint.bad("it has no sources: its mail waits"),
        (_, all, 0) => {
            paint.bad(&format!("none of its {} may be chosen now", many(all as u64, "source")))
        }
        (_, all, mays) => {
            paint.good(&format!("{mays} of {} may be chosen", many(all as u64, "source")))
        }
    };
    line(lines, "state", &state, paint);
    for (at, source) in sources.iter().enumerate() {
        let of = |field: &str| -> u64 {
            let each = shards.iter().map(|shard| &shard["sources"][at]);
            each.filter(|one| one["source"] == source["source"])
                .filter_map(|one| one[field].as_u64())
                .sum()
        };
        let told = format!(
            "{}: weight {} ({} %), {}; {} ready, {}",
            paint.bold(&text(source, "source")),
            source["weight"],
            source["percent"],
            text(source, "state"),
            of("ready"),
            many(of("connections"), "connection"),
        );
        line(lines, if at == 0 { "sources" } else { "" }, &told, paint);
    }
    if let Some(source) = sources.iter().find(|source| source["may_be_chosen"] != true) {
        line(lines, "you can", &format!("ringmta ctl why {}", text(source, "source")), paint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_in_lines() {
        let answer = json!({
            "about": "message", "name": "abc", "state": "deferred", "says": "It waits.", "since": null,
            "because": [{"text": "the host said\u{1b}[2J no"}, {"text": "retry_interval = 1h"}],
            "next": {"text": "It is tried again."}, "can": ["ringmta ctl try-now abc"],
            "facts": {"queue": "d.test", "attempts": 2, "sender": "a@src.test", "recipient": ["u@d.test"],
                "life": "it was accepted"},
        });
        let wanted = "message abc\n  from     <a@src.test> to <u@d.test>\n  queue    d.test\n  attempts 2\n  \
                      life     it was accepted\n  deferred: It waits.\n  because  the host said\u{fffd}[2J no\n           \
                      retry_interval = 1h\n  next     It is tried again.\n  you can  ringmta ctl try-now abc";
        assert_eq!(why(&answer, Paint::none()), wanted);
    }

    #[test]
    fn a_source_is_summed_over_shards() {
        let ready = |messages: u64| json!({"ready_queue": "s->d.test@smtp_client", "state": "in-line", "says": "It waits.", "messages": messages});
        let idle = json!({"ready_queue": "s->e.test@smtp_client", "state": "idle", "says": "Nothing waits here.", "messages": 0});
        let answer = json!({"about": "source", "name": "s", "shards": [
            {"set_by": "x.lua:1", "left_alone_for": null, "ready_queues": [ready(2), idle]},
            {"set_by": "x.lua:1", "left_alone_for": null, "ready_queues": [ready(3)]},
        ]});
        let wanted =
            "source s\n  set by   x.lua:1\n  state    may be chosen\n  s->d.test@smtp_client\n  \
                      5 × in-line: It waits.\n  s->e.test@smtp_client\n  idle: Nothing waits here.";
        assert_eq!(why(&answer, Paint::none()), wanted);
    }

    #[test]
    fn a_pool_tells_its_sources() {
        let source = |name: &str, weight: u64, state: &str| {
            json!({"source": name, "weight": weight, "percent": weight * 10, "state": state,
                "may_be_chosen": state == "may be chosen", "ready": 2, "connections": 1})
        };
        let shard = json!({"set_by": "x.lua:1", "is_defined": true, "queues": 1, "messages": 3,
            "sources": [source("s1", 9, "may be chosen"), source("s2", 1, "left alone for another 9s")]});
        let mut answer = json!({"about": "pool", "name": "p", "shards": [shard, shard]});
        let wanted = "pool p\n  set by   x.lua:1\n  used by  2 scheduled queues with 6 messages\n  \
                      state    1 of 2 sources may be chosen\n  \
                      sources  s1: weight 9 (90 %), may be chosen; 4 ready, 2 connections\n           \
                      s2: weight 1 (10 %), left alone for another 9s; 4 ready, 2 connections\n  \
                      you can  ringmta ctl why s2";
        assert_eq!(why(&answer, Paint::none()), wanted);
        answer["shards"] =
            json!([{"is_defined": false, "queues": 1, "messages": 3, "sources": []}]);
        assert!(why(&answer, Paint::none())
            .ends_with("the policy defines no such pool: its mail has no route"));
    }

    #[test]
    fn a_ready_queue_without_mail_has_a_state() {
        let answer = json!({"about": "site", "name": "d.test", "states": [],
            "queues": [{"ready_queue": "s->d.test@smtp_client", "messages": 0, "state": "idle", "says": "Nothing waits here."}]});
        assert_eq!(
            why(&answer, Paint::none()),
            "site d.test\n  messages 0\n  idle: Nothing waits here."
        );
    }
}
