//! Hooks and their dead letters, for people.

use super::paint::clean;
use super::table::columns;
use super::words::{many, moment, octets, plain, text};
use serde_json::Value;

/// All hooks: what waits for each, and its dead letters.
pub fn list(hooks: &Value) -> String {
    let row = |hook: &Value| {
        let more = if hook["more_dead_letters"] == true { " and more" } else { "" };
        vec![
            text(hook, "name"),
            text(hook, "kind"),
            plain(&hook["queued"]),
            plain(&hook["backlog"]),
            hook["backlog_bytes"].as_u64().map(octets).unwrap_or_default(),
            plain(&hook["given_up"]),
            format!("{}{more}", plain(&hook["dead_letters"])),
        ]
    };
    let rows: Vec<Vec<String>> = hooks.as_array().into_iter().flatten().map(row).collect();
    match rows.is_empty() {
        true => "no hooks".into(),
        false => columns(
            &["hook", "kind", "queued", "backlog", "size", "given up", "dead letters"],
            &rows,
        ),
    }
}

/// Dead letters, each with the reason.
pub fn letters(answer: &Value) -> String {
    let row = |letter: &Value| {
        let event = &letter["event"];
        let to = match &event["recipient"] {
            Value::Array(all) => all.first().map(plain).unwrap_or_default(),
            one => plain(one),
        };
        let when = moment(&letter["time"]);
        vec![text(letter, "id"), when, text(event, "type"), to, text(letter, "reason")]
    };
    let rows: Vec<Vec<String>> =
        answer["letters"].as_array().into_iter().flatten().map(row).collect();
    let count = answer["count"].as_u64().unwrap_or(0);
    let more = if answer["more"] == true { " and more" } else { "" };
    let all = format!("{}{more}", many(count, "dead letter"));
    match rows.is_empty() {
        true => all,
        false => format!("{}\n{all}", columns(&["id", "when", "event", "to", "reason"], &rows)),
    }
}

/// How many are sent again.
pub fn replayed(answer: &Value) -> String {
    let count = answer["replayed"].as_u64().unwrap_or(0);
    let hook = clean(answer["hook"].as_str().unwrap_or_default());
    let are = if count == 1 { "is" } else { "are" };
    format!("{} of {hook} {are} sent again", many(count, "dead letter"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hooks_in_columns() {
        let hooks = json!([
            {"name": "wh", "kind": "queues", "queued": 2, "backlog": 3, "backlog_bytes": 2048, "given_up": 0, "dead_letters": 1,
             "more_dead_letters": true},
            {"name": "of files", "dead_letters": 0},
        ]);
        let wanted = "hook      kind    queued  backlog  size    given up  dead letters\n\
                      wh        queues       2        3  2.0 kB         0  1 and more\n\
                      of files                                             0";
        assert_eq!(list(&hooks), wanted);
        assert_eq!(list(&json!([])), "no hooks");
    }

    #[test]
    fn dead_letters_with_the_reason() {
        let answer = json!({"count": 1, "more": false, "letters": [{"id": "a1", "time": "2026-01-02T03:04:05.6Z",
            "reason": "500 no\u{1b}", "event": {"type": "Bounce", "recipient": ["u@d.test"]}}]});
        let wanted = "id  when                 event   to        reason\n\
                      a1  2026-01-02 03:04:05  Bounce  u@d.test  500 no\u{fffd}\n1 dead letter";
        assert_eq!(letters(&answer), wanted);
        assert_eq!(letters(&json!({"count": 0, "letters": []})), "0 dead letters");
        assert_eq!(
            replayed(&json!({"hook": "wh", "replayed": 3})),
            "3 dead letters of wh are sent again"
        );
    }
}
