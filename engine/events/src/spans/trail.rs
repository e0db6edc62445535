//! What is being done just now, and for which message: code far below (the resolver, a handshake, a handler of the policy)
//! leaves spans without being told of messages. While nobody is followed it looks at one cell of its thread.
//!
//! A [`Trail`] is in force while the work it was given to is being run ([`along`]), not while that waits. What is done for a
//! queue and not for one message (finding its route, opening a connection) is kept on the trail until a message claims it:
//! the one that has waited for it.

use super::context::TraceContext;
use super::{context_of, new_span, Span, SpanKind, Spans};
use ringmta_io::unix_nanos;
use ringmta_mail::Message;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Spans that wait on one trail to be claimed; further ones are let go.
const KEPT_MAX: usize = 64;

thread_local! {
    static IN_FORCE: RefCell<Option<Rc<Trail>>> = const { RefCell::new(None) };
    static IS_ANY: Cell<bool> = const { Cell::new(false) };
}

/// What is known of a part, as it ends.
pub type Attributes = Vec<(&'static str, Value)>;

/// What spans are left for.
pub struct Trail {
    spans: Arc<Spans>,
    /// What they are children of; none while it is not known which message they are for.
    under: Option<TraceContext>,
    kept: RefCell<Vec<Span>>,
}

impl Trail {
    /// One whose spans are children of `context`.
    pub fn under(spans: &Arc<Spans>, context: TraceContext) -> Rc<Trail> {
        Rc::new(Trail { spans: spans.clone(), under: Some(context), kept: RefCell::default() })
    }

    /// That of `message`, when it is followed.
    pub fn of(spans: Option<&Arc<Spans>>, message: &Message) -> Option<Rc<Trail>> {
        let spans = spans?;
        Some(Trail::under(spans, context_of(message)?))
    }

    /// One whose spans are kept until a message claims them; none where nothing is followed.
    pub fn unclaimed(spans: Option<&Arc<Spans>>) -> Option<Rc<Trail>> {
        let spans = spans?.clone();
        Some(Rc::new(Trail { spans, under: None, kept: RefCell::default() }))
    }

    /// What was kept was for `message`. Each message that claims it gets it, as all of them have waited.
    pub fn claim(&self, message: &Message) {
        let Some(of) = context_of(message) else { return };
        for span in &*self.kept.borrow() {
            let context = TraceContext { span: new_span(), ..of };
            self.spans.add(Span { context, parent: Some(of.span), ..span.clone() });
        }
    }

    fn add(&self, mut span: Span) {
        match self.under {
            Some(of) => {
                span.context = TraceContext { span: new_span(), ..of };
                span.parent = Some(of.span);
                self.spans.add(span);
            }
            None if self.kept.borrow().len() < KEPT_MAX => self.kept.borrow_mut().push(span),
            None => {}
        }
    }
}

/// Puts back what was in force before.
struct Before(Option<Rc<Trail>>);

impl Drop for Before {
    fn drop(&mut self) {
        set(self.0.take());
    }
}

fn set(trail: Option<Rc<Trail>>) -> Option<Rc<Trail>> {
    IS_ANY.set(trail.is_some());
    IN_FORCE.replace(trail)
}

/// Does `work`, whose parts are left on `trail`, where there is one.
pub async fn along<T>(trail: Option<Rc<Trail>>, work: impl Future<Output = T>) -> T {
    let Some(trail) = trail else { return work.await };
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let _before = Before(set(Some(trail.clone())));
        work.as_mut().poll(cx)
    })
    .await
}

/// A part of what is being done for a message that is followed.
pub struct Part {
    trail: Rc<Trail>,
    start: u64,
}

/// Begins a part; none where nobody is followed.
pub fn begin() -> Option<Part> {
    if !IS_ANY.get() {
        return None;
    }
    let trail = IN_FORCE.with_borrow(Clone::clone)?;
    Some(Part { trail, start: unix_nanos() })
}

impl Part {
    /// It is over.
    pub fn end(
        self,
        (name, kind): (&'static str, SpanKind),
        attributes: Attributes,
        error: Option<String>,
    ) {
        // Its place is given when it is known for whom it was.
        let context = TraceContext { trace: 0, span: 0, sampled: true };
        let (start, end) = (self.start, unix_nanos());
        let span = Span { name, context, parent: None, kind, start, end, attributes, error };
        self.trail.add(span);
    }

    /// The same part, begun `nanos` before now: for whoever is told only when it is over.
    pub fn since(self, nanos: u64) -> Part {
        Part { start: self.start.saturating_sub(nanos), ..self }
    }
}
