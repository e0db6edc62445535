//! Ready queues for people: one of them, what holds all of them up, and how mail would leave.

use super::paint::{clean, Paint};
use super::sort::Sort;
use super::words::{facts, moment, plain, rough, text};
use serde_json::Value;

/// One ready queue: hosts, what holds it, limits, connections.
pub fn ready(answer: &Value, sort: &Sort, paint: Paint) -> String {
    let state = &answer["state"];
    let number = |name: &str| state[name].as_u64().unwrap_or(0);
    let blocked = number("blocked_for_ms").div_ceil(1000);
    let blocked = if blocked > 0 { format!("for another {blocked}s") } else { String::new() };
    let open = format!(
        "{}, {} of them idle; {} over all shards",
        number("connection_count"),
        number("idle_connections"),
        number("connections_all_shards")
    );
    let failures = number("failures_in_a_row");
    let head = facts(
        &format!("ready queue {}", text(answer, "queue_name")),
        &[
            (
                "source",
                format!(
                    "{} of pool {}",
                    text(answer, "egress_source"),
                    text(answer, "egress_pool")
                ),
            ),
            ("protocol", text(answer, "protocol")),
            ("hosts", hosts(answer)),
            ("ready", number("ready_count").to_string()),
            ("connections", open),
            ("suspended", paint.warn(&suspended(&state["suspended"]))),
            ("blocked", paint.warn(&blocked)),
            ("rate", text(&state["connection_rate_throttled"], "context")),
            ("limited", text(&state["connection_limited"], "context")),
            ("failures", if failures > 0 { format!("{failures} in a row") } else { String::new() }),
            ("trouble", text(state, "last_trouble")),
            ("limits", limits(&answer["constraints"])),
            ("set by", text(answer, "set_by")),
        ],
        paint,
    );
    const HEADINGS: [&str; 8] =
        ["session", "does", "since", "host", "delivered", "deferred", "failed", "age"];
    sort.know(&HEADINGS);
    let each = answer["dispatchers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if each.is_empty() {
        return head;
    }
    let rows = each.iter().map(session).collect();
    format!("{head}\n\n{}", sort.table(&HEADINGS, rows, usize::MAX))
}

fn session(one: &Value) -> Vec<String> {
    let mut does = text(one, "phase");
    let more = [text(one, "detail"), text(one, "message")];
    more.iter().filter(|more| !more.is_empty()).for_each(|more| does += &format!(" {more}"));
    vec![
        text(one, "session_id"),
        does,
        rough(&text(one, "time_in_current_phase")),
        text(one, "host"),
        plain(&one["messages_delivered"]),
        plain(&one["messages_transfailed"]),
        plain(&one["messages_failed"]),
        rough(&text(one, "age")),
    ]
}

fn hosts(answer: &Value) -> String {
    let each = answer["hosts"].as_array().into_iter().flatten().map(|host| {
        let (name, addr) = (text(host, "name"), text(host, "addr"));
        match addr.is_empty() || addr == name {
            true => name,
            false => format!("{name} ({addr})"),
        }
    });
    each.collect::<Vec<_>>().join(", ")
}

fn suspended(order: &Value) -> String {
    if !order.is_object() {
        return String::new();
    }
    let by = text(order, "created_by");
    let by = if by.is_empty() { by } else { format!(" by {by}") };
    let (left, id) = (rough(&text(order, "duration")), text(order, "id"));
    format!("for another {left}, \"{}\"{by}: order {id}", text(order, "reason"))
}

/// The lowest limit on each axis, and what has set it where that is not the option of that name.
fn limits(constraints: &Value) -> String {
    let each = constraints.as_object().into_iter().flatten().filter_map(|(name, limit)| {
        let shown = limit["display"].as_str().map(clean)?;
        let source = &limit["source"];
        let because = match source["kind"].as_str() {
            Some("primary") | None => String::new(),
            Some(kind) => match source["name"].as_str() {
                Some(name) => format!(" (by {kind} {})", clean(name)),
                None => format!(" (by {})", kind.replace('_', " ")),
            },
        };
        Some(format!("{name} {shown}{because}"))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Which limits hold ready queues up.
pub fn states(answer: &Value, sort: &Sort) -> String {
    const HEADINGS: [&str; 4] = ["ready queue", "held by", "since", "why"];
    sort.know(&HEADINGS);
    let queues = answer["states_by_ready_queue"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = queues
        .flat_map(|(queue, states)| {
            states.as_object().into_iter().flatten().map(move |state| (queue, state))
        })
        .map(|(queue, (name, state))| {
            let name = name.replace('_', " ");
            vec![clean(queue), name, moment(&state["since"]), text(state, "context")]
        })
        .collect();
    match rows.is_empty() {
        true => "no limit holds a ready queue up".into(),
        false => sort.table(&HEADINGS, rows, usize::MAX),
    }
}

/// How mail to a domain would leave: hosts, limits, and the options that are set, each with what has set them.
pub fn path(answer: &Value, sort: &Sort, paint: Paint) -> String {
    let head = facts(
        &format!("mail to {} from source {}", text(answer, "domain"), text(answer, "source")),
        &[
            ("ready queue", text(answer, "queue_name")),
            ("site", text(&answer["mx"], "site_name")),
            ("hosts", hosts_or_why(answer)),
            ("pool", pool(answer)),
            ("limits", limits(&answer["constraints"])),
        ],
        paint,
    );
    let table = |title: &str, config: &str| {
        let rows: Vec<Vec<String>> = answer[config]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| vec![clean(name), plain(value)])
            .filter(|row| !row[1].is_empty())
            .collect();
        let by = text(answer, &format!("{config}_set_by"));
        let by = if by.is_empty() { String::new() } else { format!(", set by {by}") };
        let title = paint.bold(&format!("{title}{by}"));
        format!("{title}\n{}", sort.table(&["option", "value"], rows, usize::MAX))
    };
    let (queue, path) =
        (table("queue options", "queue_config"), table("path options", "path_config"));
    format!("{head}\n\n{queue}\n\n{path}")
}

/// The hosts, or why there are none.
fn hosts_or_why(answer: &Value) -> String {
    match answer["trouble"].as_str() {
        Some(why) => format!("none: {}", clean(why)),
        None => by_preference(&answer["mx"]),
    }
}

/// The pool, and its other sources.
fn pool(answer: &Value) -> String {
    let pool = text(answer, "egress_pool");
    let all = answer["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let others: Vec<Value> =
        all.iter().filter(|name| **name != answer["source"]).cloned().collect();
    match others.is_empty() {
        true => pool,
        false => format!("{pool}, with {} too", plain(&Value::Array(others))),
    }
}

/// The hosts, those of the same preference together.
fn by_preference(mx: &Value) -> String {
    if mx.is_null() {
        return "those that the policy names".into();
    }
    let mut each: Vec<(u64, String)> = mx["by_preference"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(preference, hosts)| (preference.parse().unwrap_or(0), plain(hosts)))
        .collect();
    each.sort();
    let each = each.into_iter().map(|(preference, hosts)| format!("{preference} {hosts}"));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn constraints() -> Value {
        json!({
            "max_concurrent_dispatchers": {"value": 32, "display": "32", "source": {"kind": "primary"}},
            "max_message_rate": {"value": 1, "display": "1/s", "source": {"kind": "additional", "name": "shared"}},
            "max_connection_rate": null, "max_message_rate_declared": "10/s",
        })
    }

    #[test]
    fn a_ready_queue_with_its_connections() {
        let answer = json!({
            "queue_name": "s->d.test@smtp_client", "egress_source": "s", "egress_pool": "p", "protocol": "smtp_client",
            "hosts": [{"name": "mx.d.test", "addr": "192.0.2.1"}, {"name": "192.0.2.2", "addr": "192.0.2.2"}],
            "state": {"ready_count": 5, "connection_count": 1, "idle_connections": 0, "connections_all_shards": 3,
                "blocked_for_ms": 1200, "failures_in_a_row": 2, "last_trouble": "refused", "connection_limited": null,
                "connection_rate_throttled": null,
                "suspended": {"id": "7", "reason": "talk", "duration": "4m 59s 12ms", "created_by": "ops"}},
            "constraints": constraints(), "set_by": "x.lua:1",
            "dispatchers": [{"session_id": "abc", "phase": "Delivering", "detail": "DATA", "message": "77", "host": "mx.d.test",
                "time_in_current_phase": "2s 1ms", "age": "9s 4us", "messages_delivered": 4, "messages_transfailed": 1,
                "messages_failed": 0}],
        });
        let wanted = "ready queue s->d.test@smtp_client\n  source       s of pool p\n  protocol     smtp_client\n  \
                      hosts        mx.d.test (192.0.2.1), 192.0.2.2\n  ready        5\n  \
                      connections  1, 0 of them idle; 3 over all shards\n  \
                      suspended    for another 4m 59s, \"talk\" by ops: order 7\n  blocked      for another 2s\n  \
                      failures     2 in a row\n  trouble      refused\n  \
                      limits       max_concurrent_dispatchers 32, max_message_rate 1/s (by additional shared)\n  \
                      set by       x.lua:1\n\n\
                      session  does                since  host       delivered  deferred  failed  age\n\
                      abc      Delivering DATA 77  2s     mx.d.test          4         1       0  9s";
        assert_eq!(ready(&answer, &Sort::default(), Paint::none()), wanted);
    }

    #[test]
    fn limits_that_hold_ready_queues_up() {
        let answer = json!({"states_by_ready_queue": {
            "s->d.test@smtp_client": {"connection_limited": {"context": "connection_limit = 1", "since": "2026-01-02T03:04:05.6Z"}},
        }});
        let wanted = "ready queue            held by             since                why\n\
                      s->d.test@smtp_client  connection limited  2026-01-02 03:04:05  connection_limit = 1";
        assert_eq!(states(&answer, &Sort::default()), wanted);
        let none = json!({"states_by_ready_queue": {}});
        assert_eq!(states(&none, &Sort::default()), "no limit holds a ready queue up");
    }

    #[test]
    fn how_mail_would_leave() {
        let answer = json!({
            "domain": "d.test", "source": "s", "queue_name": "s->(mx1|mx2).d.test@smtp_client",
            "mx": {"site_name": "(mx1|mx2).d.test", "by_preference": {"20": ["mx2.d.test."], "5": ["mx1.d.test."]}},
            "constraints": constraints(), "queue_config": {"max_age": 3600, "strategy": null},
            "queue_config_set_by": "x.lua:1", "path_config": {"enable_tls": "Required", "prohibited_hosts": {}},
            "egress_pool": "p", "sources": ["s", "t"],
        });
        let wanted = "mail to d.test from source s\n  ready queue  s->(mx1|mx2).d.test@smtp_client\n  \
                      site         (mx1|mx2).d.test\n  hosts        5 mx1.d.test.; 20 mx2.d.test.\n  \
                      pool         p, with t too\n  \
                      limits       max_concurrent_dispatchers 32, max_message_rate 1/s (by additional shared)\n\n\
                      queue options, set by x.lua:1\noption   value\nmax_age   3600\n\npath options\noption      value\nenable_tls  Required";
        assert_eq!(path(&answer, &Sort::default(), Paint::none()), wanted);
        let without = json!({"mx": null, "trouble": "no such domain"});
        assert_eq!(hosts_or_why(&without), "none: no such domain");
    }
}
