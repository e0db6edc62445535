//! Spans on their way to a collector: OTLP over HTTP in JSON, on a thread of its own.

use super::{Span, Spans};
use serde_json::{json, Value};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Spans of one request at most.
const BATCH: usize = 512;
/// Time between two requests when there is little to tell.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest the last request takes, when the engine stops.
const LAST: Duration = Duration::from_secs(1);

/// The exporter's thread. Dropped, it tells what is left, for a moment, and ends.
pub struct Exporter {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts it.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start(spans: Arc<Spans>) -> std::io::Result<Exporter> {
        let (stop, stopped) = mpsc::channel();
        let run = move || run(&spans, &stopped);
        let thread = std::thread::Builder::new().name("traces".into()).spawn(run)?;
        Ok(Exporter { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        // (A thread that panicked has said so.)
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(spans: &Spans, stopped: &mpsc::Receiver<()>) {
    let agent = agent(spans.settings.timeout);
    let mut is_well = true;
    loop {
        let stops = stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout);
        let agent = if stops { self::agent(LAST) } else { agent.clone() };
        // As much as waits now: the next round is for what comes meanwhile.
        for _ in 0..spans.waiting.len().div_ceil(BATCH) {
            let batch: Vec<Span> = std::iter::from_fn(|| spans.waiting.pop()).take(BATCH).collect();
            let sent = send(&agent, spans, &batch);
            match &sent {
                Err(why) if is_well => tracing::warn!("traces are lost: {why}"),
                Ok(()) if !is_well => tracing::info!("the collector of traces takes them again"),
                _ => {}
            }
            is_well = sent.is_ok();
            if !is_well {
                spans.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                break;
            }
        }
        if stops {
            return;
        }
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .tls_config(ringmta_policy::trust::http_tls())
        .http_status_as_error(false)
        .build()
        .new_agent()
}

fn send(agent: &ureq::Agent, spans: &Spans, batch: &[Span]) -> Result<(), String> {
    let settings = &spans.settings;
    let mut request = agent.post(&settings.endpoint).header("Content-Type", "application/json");
    for (name, value) in &settings.headers {
        request = request.header(name, value);
    }
    let body = body(&settings.resource, batch).to_string();
    match request.send(body.as_bytes()) {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("the collector answers {}", answer.status())),
        Err(error) => Err(error.to_string()),
    }
}

/// An `ExportTraceServiceRequest`.
pub(super) fn body(resource: &[(String, String)], spans: &[Span]) -> Value {
    let text = |(key, value): &(String, String)| attribute(key, &value.as_str().into());
    let resource: Vec<Value> = resource.iter().map(text).collect();
    let spans: Vec<Value> = spans.iter().map(one).collect();
    let scope = json!({"name": "ringmta", "version": env!("CARGO_PKG_VERSION")});
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]})
}

fn one(span: &Span) -> Value {
    let attributes = span.attributes.iter().map(|(key, value)| attribute(key, value));
    let status = match &span.error {
        Some(why) => json!({"code": 2, "message": why}),
        None => json!({}),
    };
    json!({
        "traceId": format!("{:032x}", span.context.trace),
        "spanId": format!("{:016x}", span.context.span),
        "parentSpanId": span.parent.map_or(String::new(), |parent| format!("{parent:016x}")),
        "name": span.name,
        "kind": span.kind as u8,
        // (Numbers of 64 bits are text in JSON.)
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": span.end.to_string(),
        "attributes": attributes.collect::<Value>(),
        "status": status,
    })
}

fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": key, "value": value})
}
