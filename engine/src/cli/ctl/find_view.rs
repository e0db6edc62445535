//! What became of a message, for people.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::why_view;
use ringmta_events::record::LOG_RECORD;
use serde_json::Value;

/// The records in columns, then what still waits.
pub fn find(answer: &Value, sort: &Sort, paint: Paint) -> String {
    const HEADINGS: [&str; 5] = ["when", "what", "to", "answer", "id"];
    sort.know(&HEADINGS);
    let records = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut parts = Vec::new();
    match records.is_empty() {
        true => parts.push(
            "no record of it in the log files looked at; a record is in them some seconds after what it tells of"
                .to_string(),
        ),
        false => parts.push(sort.table(&HEADINGS, rows(records), usize::MAX)),
    }
    for waits in answer["waits"].as_array().into_iter().flatten() {
        parts.push(why_view::why(waits, paint));
    }
    parts.extend(notes(answer).into_iter().map(|note| paint.dim(&note)));
    parts.join("\n\n")
}

fn rows(records: &[Value]) -> Vec<Vec<String>> {
    records.iter().map(row).collect()
}

/// One record in a row.
pub fn row(record: &Value) -> Vec<String> {
    let text = |value: &Value| clean(value.as_str().unwrap_or_default()).replace('\n', " ");
    let to = match &record["recipient"] {
        Value::Array(all) => {
            let first = all.first().map(text).unwrap_or_default();
            if all.len() > 1 {
                format!("{first} and {} more", all.len() - 1)
            } else {
                first
            }
        }
        one => text(one),
    };
    let response = &record["response"];
    let enhanced = &response["enhanced_code"];
    let enhanced = match enhanced.is_object() {
        true => format!(" {}.{}.{}", enhanced["class"], enhanced["subject"], enhanced["detail"]),
        false => String::new(),
    };
    let host = text(&record["peer_address"]["name"]);
    let host =
        if host.is_empty() || record["type"] == "Reception" { host } else { format!(" ({host})") };
    let answer = match record["type"] == "Reception" {
        true => {
            let by =
                [host, text(&record["peer_address"]["addr"]), text(&record["reception_protocol"])];
            let by = by.into_iter().find(|by| !by.is_empty()).unwrap_or_default();
            format!("from {} by {by}", text(&record["sender"]))
        }
        false => format!("{}{enhanced} {}{host}", response["code"], text(&response["content"])),
    };
    let when = text(&record["event_time"]);
    let when = when.split_once('.').map_or(when.clone(), |(seconds, _)| seconds.replace('T', " "));
    let mut what = text(&record["type"]);
    // What became of a hook's event about a message, not of the message.
    if record["reception_protocol"] == LOG_RECORD {
        what.push_str(" (event)");
    }
    vec![when, what, to, answer, text(&record["id"])]
}

fn notes(answer: &Value) -> Vec<String> {
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    let mut notes = Vec::new();
    if answer["has_logs"] == false {
        notes.push(
            "the policy writes no log files (kumo.configure_local_logs): there is no history"
                .into(),
        );
    }
    if number("without_index") > 0 {
        notes.push(format!(
            "{} of {} segments have no index and were read whole; `index = true` of kumo.configure_local_logs writes one",
            number("without_index"),
            number("segments")
        ));
    }
    if number("left_out") > 0 {
        notes.push(format!(
            "{} older segments were not looked at: --limit or the time was used up",
            number("left_out")
        ));
    }
    let texts =
        |name: &str| answer[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    for damage in texts("damaged_index") {
        notes.push(format!("read whole, as its index is damaged: {}", clean(damage)));
    }
    notes.extend(texts("problems").map(|problem| format!("not read: {}", clean(problem))));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn history_in_columns() {
        let answer = json!({
            "records": [
                {"type": "Reception", "event_time": "2026-01-02T03:04:05.6Z", "sender": "a@src.test", "recipient": "u@d.test",
                 "id": "1", "peer_address": {"name": "client.test"}, "response": {"code": 250}},
                {"type": "Delivery", "event_time": "2026-01-02T03:04:06.6Z", "recipient": ["u@d.test", "v@d.test"], "id": "1",
                 "peer_address": {"name": "mx.d.test"},
                 "response": {"code": 250, "enhanced_code": {"class": 2, "subject": 0, "detail": 0}, "content": "taken"}},
            ],
            "waits": [], "segments": 3, "without_index": 1, "left_out": 0, "problems": [], "has_logs": true,
            "damaged_index": ["/log/one: the index is damaged"],
        });
        let text = find(&answer, &Sort::default(), Paint::none());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "2026-01-02 03:04:05  Reception  u@d.test             from a@src.test by client.test   1");
        assert_eq!(lines[2], "2026-01-02 03:04:06  Delivery   u@d.test and 1 more  250 2.0.0 taken (mx.d.test)      1");
        assert!(text.contains("1 of 3 segments have no index"), "{text}");
        let damage = "read whole, as its index is damaged: /log/one: the index is damaged";
        assert!(text.contains(damage), "{text}");
        let unnamed = json!({"type": "Reception", "sender": "a@src.test", "peer_address": {"name": "", "addr": "192.0.2.1"}});
        assert_eq!(row(&unnamed)[3], "from a@src.test by 192.0.2.1");
        let posted = json!({"type": "Reception", "sender": "a@src.test", "peer_address": null, "reception_protocol": "HTTP"});
        assert_eq!(row(&posted)[3], "from a@src.test by HTTP");
        let event =
            json!({"type": "Bounce", "reception_protocol": "LogRecord", "response": {"code": 500}});
        assert_eq!(row(&event)[1], "Bounce (event)");
    }
}
