//! The answer to "why", for people.

use super::paint::{clean, Paint};
use serde_json::Value;

/// The whole answer.
pub fn why(answer: &Value, paint: Paint) -> String {
    let (about, name) = (text(answer, "about"), text(answer, "name"));
    let mut lines = vec![paint.bold(&format!("{about} {name}"))];
    match about.as_str() {
        "message" => message(&mut lines, answer, paint),
        "source" => source(&mut lines, answer, paint),
        _ => queues(&mut lines, answer, paint),
    }
    lines.join("\n")
}

fn text(value: &Value, field: &str) -> String {
    clean(value[field].as_str().unwrap_or_default()).replace('\n', " ")
}

fn line(lines: &mut Vec<String>, heading: &str, text: &str, paint: Paint) {
    if !text.is_empty() {
        lines.push(format!("  {}{text}", paint.dim(&format!("{heading:<9}"))));
    }
}

/// State, reasons, what comes next, what can be done.
fn state(lines: &mut Vec<String>, told: &Value, paint: Paint) {
    let count = told["messages"].as_u64();
    let count = count.map_or(String::new(), |count| format!("{count} × "));
    let name = paint.warn(&text(told, "state"));
    lines.push(format!("  {count}{name}: {}", text(told, "says")));
    for (at, reason) in told["because"].as_array().into_iter().flatten().enumerate() {
        line(lines, if at == 0 { "because" } else { "" }, &text(reason, "text"), paint);
    }
    line(lines, "since", &text(told, "since"), paint);
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
    for told in answer["states"].as_array().into_iter().flatten() {
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
    for (fault, tally) in first["faults"].as_object().into_iter().flatten() {
        let told = format!(
            "{fault}: {} connections failed so, left alone {} times",
            tally["failed"], tally["suspensions"]
        );
        line(lines, "faults", &told, paint);
    }
    for told in shards.iter().flat_map(|shard| shard["ready_queues"].as_array()).flatten().take(20)
    {
        lines.push(format!("  {}", paint.bold(&text(told, "ready_queue"))));
        state(lines, told, paint);
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
}
