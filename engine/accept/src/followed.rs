//! What comes in and is followed by traces: its own span, and the mark its messages carry from then on.

use ringmta_events::spans::context::TraceContext;
use ringmta_events::spans::trail::Trail;
use ringmta_events::spans::{Span, SpanKind, Spans, TRACEPARENT};
use ringmta_io::unix_nanos;
use ringmta_policy::Message;
use ringmta_shard::state::Shard;
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;

/// A transaction or a request that is followed.
pub struct Followed {
    spans: Arc<Spans>,
    context: TraceContext,
    parent: Option<u64>,
    start: u64,
}

/// A part that has parts of its own.
pub struct FollowedPart {
    context: TraceContext,
    /// Where they are left.
    pub trail: Rc<Trail>,
    start: u64,
}

impl Followed {
    /// Begins its span, when it is to be followed: within the trace that its sender names, else in one of its own.
    pub fn begin(shard: &Shard, parent: impl FnOnce() -> Option<String>) -> Option<Followed> {
        let spans = shard.process.spans.clone()?;
        let (context, parent) = spans.follow(parent().as_deref())?;
        Some(Followed { spans, context, parent, start: unix_nanos() })
    }

    /// Marks a message: what is done with it later is part of this.
    pub fn mark(&self, message: &Message) {
        message.set_meta(TRACEPARENT, self.context.to_string());
    }

    /// What is done for it from here on is part of it.
    pub fn trail(&self) -> Rc<Trail> {
        Trail::under(&self.spans, self.context)
    }

    /// Begins a part of it that has parts of its own.
    pub fn begin_part(&self) -> FollowedPart {
        let context = TraceContext { span: self.spans.new_span(), ..self.context };
        let trail = Trail::under(&self.spans, context);
        FollowedPart { context, trail, start: unix_nanos() }
    }

    /// That part is done.
    pub fn end_part(&self, name: &'static str, part: &FollowedPart) {
        self.add(name, part.context, part.start);
    }

    /// A part of it, since `start`, is done.
    pub fn did(&self, name: &'static str, start: u64) {
        let context = TraceContext { span: self.spans.new_span(), ..self.context };
        self.add(name, context, start);
    }

    fn add(&self, name: &'static str, context: TraceContext, start: u64) {
        self.spans.add(Span {
            name,
            context,
            parent: Some(self.context.span),
            kind: SpanKind::Internal,
            start,
            end: unix_nanos(),
            attributes: Vec::new(),
            error: None,
        });
    }

    /// It is over.
    pub fn end(self, attributes: Vec<(&'static str, Value)>, error: Option<String>) {
        self.spans.add(Span {
            name: "receive",
            context: self.context,
            parent: self.parent,
            kind: SpanKind::Server,
            start: self.start,
            end: unix_nanos(),
            attributes,
            error,
        });
    }
}
