//! Traces: one message's way as spans, told to a collector.

use crate::support::http::{request, Receiver};
use crate::support::{message, wait, wait_some, Sink, Site};
use serde_json::{json, Value};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// All spans that a collector was told of.
fn spans(collector: &Receiver) -> Vec<Value> {
    let bodies = collector.hits().into_iter().map(|hit| serde_json::from_slice(&hit.body).unwrap());
    let all = bodies.flat_map(|body: Value| {
        body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    });
    all.collect()
}

fn named<'s>(spans: &'s [Value], name: &str) -> Option<&'s Value> {
    spans.iter().find(|span| span["name"] == name)
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s Value {
    let list = span["attributes"].as_array().unwrap();
    list.iter().find(|one| one["key"] == key).map_or(&Value::Null, |one| &one["value"])
}

fn followed(collector: &Receiver, sampler: &str, next_hop: &Sink) -> Site {
    let mut site = Site::to(next_hop.addr);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().trim_end_matches('/').to_string()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collectors".to_string()),
        ("OTEL_TRACES_SAMPLER", sampler.to_string()),
        ("OTEL_SERVICE_NAME", "mail-one".to_string()),
    ] {
        site.env.push((name.into(), value));
    }
    site
}

#[test]
fn a_message_is_followed_from_its_sender_to_its_hook() {
    let (collector, hook, sink) = (Receiver::start(), Receiver::start(), Sink::start());
    let mut site = followed(&collector, "parentbased_always_off", &sink);
    site.init = format!(
        "kumo.configure_http_log_hook {{ name = 'hook', url = '{}', batch_size = 1 }}",
        hook.url()
    );
    let engine = site.start(2);
    let traced = [format!("traceparent: {PARENT}\r\n").into_bytes(), message("one")].concat();
    engine.accept("a@src.test", &["u@dst.test"], &traced);
    engine.accept("a@src.test", &["u@dst.test"], &message("not followed"));
    let spans = wait_some("all its spans", || {
        let spans = spans(&collector);
        (spans.len() >= 5).then_some(spans)
    });
    for span in &spans {
        assert_eq!(span["traceId"], TRACE, "{span}");
        let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    let receive = named(&spans, "receive").unwrap();
    assert_eq!(receive["parentSpanId"], "b7ad6b7169203331");
    for name in ["policy", "store", "queue", "deliver"] {
        let span = named(&spans, name).unwrap();
        assert_eq!(span["parentSpanId"], receive["spanId"], "{name}");
    }
    let deliver = named(&spans, "deliver").unwrap();
    assert_eq!(attribute(deliver, "smtp.reply_code")["intValue"], "250");
    assert_eq!(attribute(deliver, "network.peer.address")["stringValue"], sink.addr.to_string());
    let hit = &collector.hits()[0];
    assert_eq!(hit.start, "POST /events/v1/traces HTTP/1.1");
    assert_eq!(hit.header("x-key"), Some("collectors"));
    let body: Value = serde_json::from_slice(&hit.body).unwrap();
    let resource = &body["resourceSpans"][0]["resource"]["attributes"][0];
    assert_eq!(resource["value"]["stringValue"], "mail-one");
    // Whoever is told of it can go on with it.
    wait("both deliveries at the hook", || {
        hook.hits().iter().filter(|hit| hit.events()[0]["type"] == "Delivery").count() == 2
    });
    for hit in hook.hits() {
        let event = &hit.events()[0];
        let given = hit.header("traceparent").unwrap_or_default();
        let context = event["traceparent"].as_str().unwrap_or_default();
        assert_eq!(given, context);
    }
    let of_trace = |hit: &crate::support::http::Hit| hit.header("traceparent").is_some();
    assert!(hook.hits().iter().any(of_trace) && !hook.hits().iter().all(of_trace));
}

#[test]
fn a_request_is_followed_and_a_failure_is_told() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    let engine = followed(&collector, "parentbased_always_on", &sink).start(1);
    sink.refuse("no", "550 5.1.1 no mailbox");
    let mail = json!({
        "envelope_sender": "a@src.test", "recipients": [{"email": "no@dst.test"}],
        "content": "Subject: x\n\nx",
    });
    let headers = [("content-type", "application/json"), ("traceparent", PARENT)];
    let body = mail.to_string();
    request("POST", &engine.url("/api/inject/v1"), &headers, Some(body.as_bytes())).expect(200);
    let deliver =
        wait_some("a span of the attempt", || named(&spans(&collector), "deliver").cloned());
    assert_eq!(deliver["status"], json!({"code": 2, "message": "550 5.1.1 no mailbox"}));
    assert_eq!(named(&spans(&collector), "receive").unwrap()["traceId"], TRACE);
    // What is left is told when it stops.
    engine.accept("a@src.test", &["u@dst.test"], &message("last"));
    engine.terminate();
    assert!(spans(&collector).iter().any(|span| span["traceId"] != TRACE));
}

#[test]
fn a_collector_that_is_away_holds_up_no_mail() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    collector.set_status(503);
    let engine = followed(&collector, "always_on", &sink).start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("one"));
    sink.wait_messages(1);
    engine.wait_says("traces are lost: the collector answers 503");
    wait("a count of what was lost", || engine.metric("trace_spans_dropped_total") >= 4.0);
}

#[test]
fn what_cannot_be_spoken_is_refused_at_the_start() {
    let (collector, sink) = (Receiver::start(), Sink::start());
    let mut site = followed(&collector, "always_on", &sink);
    site.env.push(("OTEL_EXPORTER_OTLP_PROTOCOL".into(), "grpc".into()));
    site.write_policy();
    let mut engine = site.spawn(1);
    assert_eq!(engine.wait_exit().code(), Some(1));
    assert!(engine.says("OTEL_EXPORTER_OTLP_PROTOCOL=grpc: only http/json is spoken"));
}
