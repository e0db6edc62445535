//! Sessions as they happen, over a websocket of the engine.

use super::api::Api;
use super::args::TraceArgs;
use super::follow::follow;
use super::paint::{clean, Paint};
use serde_json::{json, Value};

/// The filter, as the engine reads it.
fn filter(args: &TraceArgs) -> Value {
    let mut filter = json!({"terse": args.terse});
    let lists = [
        ("source_addr", &args.source_addr),
        ("mx_addr", &args.mx_addr),
        ("domain", &args.domain),
        ("tenant", &args.tenant),
        ("campaign", &args.campaign),
        ("egress_source", &args.source),
        ("mail_from", &args.sender),
        ("rcpt_to", &args.recipient),
        ("mx_host", &args.mx_host),
        ("ready_queue", &args.ready_queue),
        ("message_id", &args.message),
    ];
    for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
        filter[name] = json!(values);
    }
    filter
}

/// Follows sessions until it is interrupted.
///
/// # Errors
/// The engine cannot be reached, or has ended it.
pub fn trace(api: &Api, args: &TraceArgs, as_json: bool, paint: Paint) -> Result<(), String> {
    let which = if args.outgoing { "client" } else { "server" };
    let path = format!("/api/admin/trace-smtp-{which}/v1");
    follow(api, &path, &filter(args), |text| match as_json {
        true => Some(text),
        false => shown(&text, args.outgoing, paint),
    })
}

/// One frame as a line.
fn shown(text: &str, outgoing: bool, paint: Paint) -> Option<String> {
    let frame: Value = serde_json::from_str(text).ok()?;
    let (meta, payload) = (&frame["conn_meta"], &frame["payload"]);
    let of = |name: &str| clean(meta[name].as_str().unwrap_or_default());
    let who = match outgoing {
        true => format!("{} {}", of("id").get(..8).unwrap_or_default(), of("mx_address")),
        false => of("received_from"),
    };
    let when =
        frame["when"].as_str().and_then(|when| when.get(11..23)).unwrap_or_default().to_string();
    let said = |value: &Value| {
        let text = value.as_str().unwrap_or_default().trim_end().replace("\r\n", "\n");
        clean(&text).replace('\n', "\n    ")
    };
    // As seen from the engine: in, a client is read from; out, a host is.
    let what = if payload["Read"].is_string() {
        paint.good(&format!("<- {}", said(&payload["Read"])))
    } else if payload["Write"].is_string() {
        format!("-> {}", said(&payload["Write"]))
    } else if payload["AbbreviatedRead"].is_object() {
        let read = &payload["AbbreviatedRead"];
        paint.good(&format!("<- {} ... ({} octets)", said(&read["snippet"]), read["len"]))
    } else if payload["Diagnostic"].is_object() {
        let told = &payload["Diagnostic"];
        paint.warn(&format!("== {}: {}", said(&told["level"]), said(&told["message"])))
    } else if payload["Callback"].is_object() {
        let told = &payload["Callback"];
        let came = if told["error"].is_null() { "ok".into() } else { said(&told["error"]) };
        paint.dim(&format!("== {}: {came}", said(&told["name"])))
    } else if payload["MessageDisposition"].is_object() {
        let told = &payload["MessageDisposition"];
        paint.bold(&format!("== message {} into {}", said(&told["id"]), said(&told["queue"])))
    } else {
        paint.dim(&format!("== {}", said(payload)))
    };
    Some(format!("{} {} {what}", paint.dim(&when), paint.dim(&who)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_lines() {
        let frame = json!({"conn_meta": {"received_from": "192.0.2.1:5"}, "payload": {"Read": "EHLO x\u{1b}[2J\r\n"},
            "when": "2026-01-02T03:04:05.678901234Z"});
        let line = shown(&frame.to_string(), false, Paint::none()).unwrap();
        assert_eq!(line, "03:04:05.678 192.0.2.1:5 <- EHLO x\u{fffd}[2J");
        let several = json!({"payload": {"Write": "250-a\r\n250 b\r\n"}}).to_string();
        let lines = shown(&several, false, Paint::none()).unwrap();
        assert!(lines.ends_with("-> 250-a\n    250 b"), "{lines}");
        assert!(shown("nonsense", false, Paint::none()).is_none());
    }
}
