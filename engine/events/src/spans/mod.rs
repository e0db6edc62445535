//! OpenTelemetry spans of single messages: what was done with one, when, and for how long. Off unless the environment names
//! a collector, as every program that speaks OTLP is told; then a message costs one look at a metadata key, and what is
//! sampled a few entries in a bounded list. A collector that is slow or away costs spans, never mail.
//!
//! - [`context`] what ties spans together (W3C Trace Context) · [`trail`] for which message something is done · [`settings`]
//!   the environment · [`export`] to the collector

pub mod context;
pub mod export;
pub mod settings;
pub mod trail;

use context::TraceContext;
use crossbeam::queue::ArrayQueue;
use ringmta_io::random_u64;
use ringmta_mail::Message;
use serde_json::Value;
use settings::Settings;
use std::sync::atomic::{AtomicU64, Ordering};

/// Metadata key of a message that is followed: the context its spans are children of.
pub const TRACEPARENT: &str = "traceparent";
/// Spans that wait to be exported; further ones are dropped and counted.
const SPANS_MAX: usize = 8192;

/// One thing that was done with a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What.
    pub name: &'static str,
    /// Where it belongs.
    pub context: TraceContext,
    /// The span it is part of.
    pub parent: Option<u64>,
    /// Whether it speaks to another service.
    pub kind: SpanKind,
    /// Unix nanoseconds.
    pub start: u64,
    /// Unix nanoseconds.
    pub end: u64,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The kinds of OTLP, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Within the engine.
    Internal = 1,
    /// Something came in.
    Server = 2,
    /// Something went out.
    Client = 3,
}

/// Where shards leave spans.
pub struct Spans {
    settings: Settings,
    waiting: ArrayQueue<Span>,
    dropped: AtomicU64,
}

impl Spans {
    /// A list for a collector.
    pub fn new(settings: Settings) -> Spans {
        Spans { settings, waiting: ArrayQueue::new(SPANS_MAX), dropped: AtomicU64::new(0) }
    }

    /// The context of a message that comes in: within the trace its sender has named, or a trace of its own. None when it is
    /// not to be followed.
    pub fn follow(&self, parent: Option<&str>) -> Option<(TraceContext, Option<u64>)> {
        let parent = parent.and_then(TraceContext::parse);
        let is_wanted = match &parent {
            Some(parent) if self.settings.asks_parent => parent.sampled,
            Some(parent) => self.settings.samples(parent.trace),
            None => true,
        };
        let trace = parent.map_or_else(context::new_trace, |parent| parent.trace);
        let is_wanted = is_wanted && (parent.is_some() || self.settings.samples(trace));
        let own = TraceContext { trace, span: new_span(), sampled: true };
        is_wanted.then_some((own, parent.map(|parent| parent.span)))
    }

    /// The number of a span: anything but zero.
    pub fn new_span(&self) -> u64 {
        new_span()
    }

    /// Leaves a span to be exported.
    pub fn add(&self, span: Span) {
        if self.waiting.push(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Leaves a span that is part of what `message` has been through, when it is followed.
    pub fn add_to(&self, message: &Message, make: impl FnOnce(TraceContext) -> Span) {
        if let Some(of) = context_of(message) {
            let own = TraceContext { span: new_span(), ..of };
            let mut span = make(own);
            span.parent = Some(of.span);
            self.add(span);
        }
    }

    /// Leaves the span of a request of the hook of this name, begun at `start`, unix nanoseconds, that has told of something
    /// done with a message whose context is `of`; `error` where the receiver has not taken it.
    pub fn told(&self, of: TraceContext, hook: &str, start: u64, error: Option<String>) {
        self.add(Span {
            name: "hook",
            context: TraceContext { span: new_span(), ..of },
            parent: Some(of.span),
            kind: SpanKind::Client,
            start,
            end: ringmta_io::unix_nanos(),
            attributes: vec![("hook", hook.into())],
            error,
        });
    }

    /// Spans that were dropped, ever: there were too many, or the collector did not take them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The context that what is done with `message` is part of, when it is followed.
fn context_of(message: &Message) -> Option<TraceContext> {
    message.meta(|meta| TraceContext::parse(meta.get(TRACEPARENT)?.as_str()?))
}

/// The number of a span: anything but zero.
fn new_span() -> u64 {
    random_u64().max(1)
}

#[cfg(test)]
mod tests;
