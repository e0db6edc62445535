//! One scheduled queue, and one message, for people.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::words::{facts, many, moment, octets, pairs, plain, text, texts};
use serde_json::Value;

/// A queue: what holds it, its configuration, and some of its messages, `skip` of which are on pages before.
pub fn queue(answer: &Value, skip: usize, sort: &Sort, paint: Paint) -> String {
    let count = answer["count"].as_u64().unwrap_or(0);
    let waiting = answer["num_scheduled"].as_u64().unwrap_or(0);
    let ahead = count.saturating_sub(waiting);
    let messages = match ahead {
        0 => count.to_string(),
        _ if answer["num_scheduled_is_whole"] == false => {
            format!("{count}; there are so many on its shards that only {waiting} of them were looked at")
        }
        _ => format!("{count}, {ahead} of them in a ready queue or on their way"),
    };
    let suspended = moment(&answer["suspended_until"]);
    let suspended = match suspended.is_empty() {
        true => String::new(),
        false => paint.warn(&format!("until {suspended}")),
    };
    let head = facts(
        &format!("queue {}", text(answer, "queue_name")),
        &[
            ("messages", messages),
            ("suspended", suspended),
            ("trouble", text(answer, "last_trouble")),
            ("leaves by", texts(&answer["ready_queues"]).join(", ")),
            ("set by", text(answer, "set_by")),
            ("options", pairs(&answer["queue_config"])),
            ("changed", moment(&answer["last_changed"])),
        ],
        paint,
    );
    const HEADINGS: [&str; 6] = ["id", "from", "to", "attempts", "due", "bytes"];
    sort.know(&HEADINGS);
    let each = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if each.is_empty() {
        return head;
    }
    let rows: Vec<Vec<String>> = each.iter().map(row).collect();
    let (first, last) = (skip as u64 + 1, (skip + rows.len()) as u64);
    let mut page = format!("{head}\n\n{}", sort.table(&HEADINGS, rows, usize::MAX));
    if first > 1 || last < waiting {
        let next = match last < waiting {
            true => format!(": --skip {last} shows those behind them"),
            false => String::new(),
        };
        let all = many(waiting, "message");
        let note = format!("{first} to {last} of {all} that wait here{next}");
        page += &format!("\n{}", paint.dim(&note));
    }
    page
}

fn row(one: &Value) -> Vec<String> {
    let message = &one["message"];
    let due = moment(&one["due"]);
    let to = match texts(&message["recipient"]).split_first() {
        Some((first, [])) => first.clone(),
        Some((first, more)) => format!("{first} and {} more", more.len()),
        None => text(message, "error"),
    };
    vec![
        text(one, "id"),
        text(message, "sender"),
        to,
        plain(&one["attempts"]),
        if due.is_empty() { "now".into() } else { due },
        plain(&one["bytes"]),
    ]
}

/// A message: where it lies and why, and its text where that was asked for.
pub fn message(answer: &Value, paint: Paint) -> String {
    let told = &answer["message"];
    let to = texts(&told["recipient"]);
    let envelope = match told["sender"].as_str() {
        Some(from) => format!("<{}> to <{}>", clean(from), to.join(">, <")),
        None => String::new(),
    };
    let because: Vec<String> =
        told["because"].as_array().into_iter().flatten().map(|why| text(why, "text")).collect();
    let shard = plain(&told["shard"]);
    let mut page = facts(
        &format!("message {}", text(answer, "id")),
        &[
            ("from", envelope),
            ("queue", format!("{} on shard {shard}", text(told, "queue"))),
            ("accepted", moment(&told["created"])),
            ("size", told["bytes"].as_u64().map(octets).unwrap_or_default()),
            ("attempts", plain(&told["attempts"])),
            ("due", moment(&told["due"])),
            ("state", paint.warn(&text(told, "state"))),
            ("because", because.join("; ")),
            ("trouble", text(told, "last_trouble")),
            ("metadata", pairs(&told["meta"])),
            ("schedule", pairs(&told["scheduling"])),
            ("error", text(told, "error")),
        ],
        paint,
    );
    if let Some(data) = told["data"].as_str() {
        page +=
            &format!("\n\n{}", clean(&data.replace("\r\n", "\n").replace('\t', " ")).trim_end());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_queue_with_its_messages() {
        let answer = json!({
            "queue_name": "d.test", "count": 4, "num_scheduled": 3, "last_trouble": "400 later\u{1b}", "set_by": "x.lua:1",
            "ready_queues": ["s->d.test@smtp_client"], "queue_config": {"max_age": 3600, "strategy": null},
            "suspended_until": null, "last_changed": "2026-01-02T03:04:05.1Z",
            "messages": [
                {"id": "1", "attempts": 2, "bytes": 735, "due": "2026-01-02T04:04:05.1Z",
                 "message": {"sender": "a@src.test", "recipient": ["u@d.test", "v@d.test"]}},
                {"id": "2", "attempts": 0, "bytes": 12, "due": null, "message": {"error": "it cannot be read"}},
            ],
        });
        let wanted = "queue d.test\n  messages   4, 1 of them in a ready queue or on their way\n  trouble    400 later\u{fffd}\n  \
                      leaves by  s->d.test@smtp_client\n  set by     x.lua:1\n  options    max_age = 3600\n  \
                      changed    2026-01-02 03:04:05\n\n\
                      id  from        to                   attempts  due                  bytes\n \
                      1  a@src.test  u@d.test and 1 more         2  2026-01-02 04:04:05    735\n \
                      2              it cannot be read           0  now                     12\n\
                      1 to 2 of 3 messages that wait here: --skip 2 shows those behind them";
        assert_eq!(queue(&answer, 0, &Sort::default(), Paint::none()), wanted);
        let last = queue(&answer, 1, &Sort::default(), Paint::none());
        assert!(last.ends_with("\n2 to 3 of 3 messages that wait here"), "{last}");
        let many = json!({"queue_name": "d.test", "count": 9, "num_scheduled": 3, "num_scheduled_is_whole": false});
        let text = queue(&many, 0, &Sort::default(), Paint::none());
        let wanted =
            "messages  9; there are so many on its shards that only 3 of them were looked at";
        assert!(text.contains(wanted), "{text}");
        let answer = json!({"queue_name": "d.test", "count": 0, "num_scheduled": 0, "messages": [], "suspended_until": "2026-01-02T03:04:05Z"});
        let text = queue(&answer, 0, &Sort::default(), Paint::none());
        assert_eq!(text, "queue d.test\n  messages   0\n  suspended  until 2026-01-02 03:04:05");
    }

    #[test]
    fn a_message_with_its_text() {
        let mut answer = json!({"id": "abc", "message": {
            "sender": "", "recipient": ["u@d.test"], "queue": "d.test", "shard": 1, "created": "2026-01-02T03:04:05Z", "bytes": 735,
            "attempts": 1, "due": null, "state": "It waits.", "because": [{"text": "one"}, {"text": "two"}], "last_trouble": "no",
            "meta": {"tenant": "t"}, "scheduling": null, "data": null,
        }});
        let wanted = "message abc\n  from      <> to <u@d.test>\n  queue     d.test on shard 1\n  accepted  2026-01-02 03:04:05\n  \
                      size      735 B\n  attempts  1\n  state     It waits.\n  because   one; two\n  trouble   no\n  \
                      metadata  tenant = t";
        assert_eq!(message(&answer, Paint::none()), wanted);
        answer["message"]["data"] = json!("Subject: x\r\n\r\nbody\u{1b}[2J\r\n");
        assert!(message(&answer, Paint::none())
            .ends_with("metadata  tenant = t\n\nSubject: x\n\nbody\u{fffd}[2J"));
    }
}
