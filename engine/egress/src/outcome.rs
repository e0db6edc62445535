//! What becomes of a message a peer has answered for: delivered, tried again, failed. The one place
//! that turns an answer into records, counters and the message's next state. What no peer has seen ends in
//! `shard/unsent.rs`.

use crate::limits;
use crate::next;
use ringmta_events::metrics::Step;
use ringmta_events::recent::Became;
use ringmta_events::record::{Kind, Record};
use ringmta_events::spans::context::TraceContext;
use ringmta_events::spans::{Span, SpanKind, TRACEPARENT};
use ringmta_io::{mono_nanos, unix_nanos};
use ringmta_policy::EnvelopeAddress;
use ringmta_queue::model::{Block, Kept, ReadyQueue};
use ringmta_queue::tasks::{Failed, Task};
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::flow;
use ringmta_shard::retry::AFTER_ATTEMPT;
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::rc::Rc;
use std::time::Duration;

/// The peer took the message for `recipients`.
pub fn delivered(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    match delivery.item.is_event() {
        true => shard.metrics.told(&via.site, via.path()),
        false => {
            let id = delivery.item.id;
            shard.metrics.delivered(&via.site, recipients.len(), id, via.path());
            tell_history(shard, Became::Delivered, via, delivery, recipients.len());
        }
    }
    replied(shard, delivery, recipients, response);
    follow(shard, via, delivery, recipients.len(), response);
    record(shard, Kind::Delivery, via, delivery, recipients, response);
}

/// An attempt that began at `began`, monotonic nanoseconds, has been answered for `delivery`; `is_first` where no other has
/// been since it left the queue, `why` where it did not come to a good end for all.
pub fn attempted(
    shard: &Shard,
    step: Step,
    delivery: &Delivery,
    (began, is_first): (u64, bool),
    why: Option<&Response>,
) {
    let item = &delivery.item;
    let is_well = why.is_none();
    let micros = mono_nanos().saturating_sub(began) / 1000;
    shard.metrics.took(step, is_well, micros);
    match item.at {
        Kept::Event(number) => told(shard, number, delivery, micros, why),
        Kept::Record(_) if is_first && item.attempts == 0 => {
            let waited = delivery.since.saturating_sub(item.id.created_unix_nanos());
            shard.metrics.took(Step::QueueWait, true, waited / 1000);
        }
        Kept::Record(_) => {}
    }
}

/// A hook was told of an event, or has not taken it.
fn told(shard: &Shard, hook: u16, delivery: &Delivery, micros: u64, why: Option<&Response>) {
    let Some(hook) = shard.events.hooks().get(usize::from(hook)) else { return };
    hook.times.note(why.is_none(), micros);
    let Some(spans) = &shard.process.spans else { return };
    let context = delivery
        .message
        .meta(|meta| TraceContext::parse(meta.get("log_record")?.get(TRACEPARENT)?.as_str()?));
    if let Some(of) = context {
        let start = unix_nanos().saturating_sub(micros * 1000);
        spans.told(of, &hook.name, start, why.map(Response::to_text));
    }
}

/// Spans of an attempt, and of the wait before the first.
fn follow(shard: &Shard, via: &Via, delivery: &Delivery, count: usize, response: &Response) {
    let Some(spans) = &shard.process.spans else { return };
    let (item, since) = (&delivery.item, delivery.since);
    if item.attempts == 0 {
        spans.add_to(&delivery.message, |context| Span {
            name: "queue",
            context,
            parent: None,
            kind: SpanKind::Internal,
            start: item.id.created_unix_nanos(),
            end: since,
            attributes: vec![("queue", item.queue.name.to_string().into())],
            error: None,
        });
    }
    let code = response.code;
    spans.add_to(&delivery.message, |context| Span {
        name: "deliver",
        context,
        parent: None,
        kind: SpanKind::Client,
        start: since,
        end: unix_nanos(),
        attributes: vec![
            ("server.address", via.host.clone().into()),
            (
                "network.peer.address",
                via.peer.map_or(String::new(), |peer| peer.to_string()).into(),
            ),
            ("ready_queue", via.site.clone().into()),
            ("egress_source", via.source.clone().into()),
            ("session_id", via.session_id.clone().into()),
            ("attempts", item.attempts.into()),
            ("recipients", count.into()),
            ("smtp.reply_code", code.into()),
        ],
        error: (code >= 400).then(|| response.to_text()),
    });
}

fn replied(shard: &Shard, delivery: &Delivery, to: &[EnvelopeAddress], response: &Response) {
    if !delivery.item.is_event() {
        shard.metrics.replied(response.code, response.is_internal(), to.len());
    }
}

/// The peer refused `recipients` for now.
pub fn transient(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    shard.metrics.transfail(&via.site, recipients.len(), via.path());
    tell_history(shard, Became::Deferred, via, delivery, recipients.len());
    shard.metrics.recent.answered(via, response);
    let host = if via.host.is_empty() { &via.site } else { &via.host };
    *delivery.item.queue.last_trouble.borrow_mut() = format!("{host}: {}", response.to_text());
    replied(shard, delivery, recipients, response);
    follow(shard, via, delivery, recipients.len(), response);
    record(shard, Kind::TransientFailure, via, delivery, recipients, response);
}

/// The message failed for good for `recipients`.
pub fn bounce(
    shard: &Rc<Shard>,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    shard.metrics.failed(&via.site, recipients.len(), via.path());
    tell_history(shard, Became::Failed, via, delivery, recipients.len());
    shard.metrics.recent.answered(via, response);
    ending::set_aside(shard, &delivery.item, response);
    replied(shard, delivery, recipients, response);
    follow(shard, via, delivery, recipients.len(), response);
    record(shard, Kind::Bounce, via, delivery, recipients, response);
}

/// Counts mail by names, for the console. Events of hooks are none.
fn tell_history(shard: &Shard, became: Became, via: &Via, delivery: &Delivery, count: usize) {
    let item = &delivery.item;
    if !item.is_event() {
        shard.metrics.recent.note(became, count, &item.queue.parts, Some(via));
    }
}

fn record(
    shard: &Rc<Shard>,
    kind: Kind,
    via: &Via,
    delivery: &Delivery,
    recipients: &[EnvelopeAddress],
    response: &Response,
) {
    if !shard.events.wants(kind) {
        return;
    }
    let item = &delivery.item;
    let mut record = Record::of_message(kind, &delivery.message, &item.queue.name, response);
    record.recipients = recipients;
    record.num_attempts = item.attempts;
    record.via = Some(via);
    shard.events.record(&record, Some(&delivery.message));
}

/// No connection to the site could be opened. The one message that was to leave first has had its
/// attempt, unless other connections are open: then the site merely has enough of us. All that wait
/// are delayed only after `consecutive_connection_failures_before_delay` failures in a row.
pub fn connection_failed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, response: Response) {
    shard.metrics.egress_connect_failures.inc();
    let failures = ready.failures.get().saturating_add(1);
    ready.failures.set(failures);
    *ready.last_trouble.borrow_mut() = response.content.clone();
    ready.last_used.set(mono_nanos());
    tracing::debug!("{}: {}", ready.name, response.content);
    let most = ready.path().consecutive_connection_failures_before_delay;
    let is_down = failures as usize > most;
    let pause = if is_down { SITE_DOWN_PAUSE } else { pause_after(failures) };
    if ready.established.get() > 0 {
        ready.connect_after.set(mono_nanos() + pause.as_nanos() as u64);
        return;
    }
    let via = ready.via(ringmta_smtp::ids::random_uuid());
    // New mail need not knock at a closed door each time.
    next::block(shard, ready, pause, Block::HostsDown);
    if ready.is_held() {
        return;
    }
    let first = ready.items.borrow_mut().pop_front();
    if let Some(item) = first {
        let context = AFTER_ATTEMPT;
        let failed = Failed { response, via: Some(via.clone()), was_ready: true, context };
        shard.queues.end(item, Task::Fail(Rc::new(failed)));
    }
    if ready.suspended_for().is_some() {
        // Its source is left alone: what waits may leave from another.
        let waiting = std::mem::take(&mut *ready.items.borrow_mut());
        waiting.into_iter().for_each(|item| flow::submit(shard, item));
    } else if is_down {
        let response = Response {
            code: 451,
            enhanced: Some((4, 4, 1)),
            content: "No answer from any hosts listed in MX".into(),
            command: None,
        };
        fail_all(shard, ready, via, response);
    }
}

/// There is no host to try: none has an address, or none may be spoken to. That holds for all that wait, so each of them
/// has had its attempt; unless connections are open, for then there was a host a moment ago.
pub fn no_host(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, response: Response) {
    *ready.last_trouble.borrow_mut() = response.content.clone();
    ready.last_used.set(mono_nanos());
    if ready.established.get() > 0 && !response.is_permanent() {
        let pause = pause_after(1).as_nanos() as u64;
        return ready.connect_after.set(mono_nanos() + pause);
    }
    if ready.is_held() {
        return;
    }
    let via = Via { protocol: "", ..ready.via(ringmta_smtp::ids::random_uuid()) };
    fail_all(shard, ready, via, response);
}

/// Time until the next connection to a site of which it is known that it is down.
const SITE_DOWN_PAUSE: Duration = Duration::from_secs(limits::SITE_DOWN_PAUSE_SECS);

/// Time until the next connection after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = limits::CONNECT_PAUSE_MIN_MS << failures.saturating_sub(1).min(20);
    Duration::from_millis(doubled.min(limits::CONNECT_PAUSE_MAX_MS))
}

fn fail_all(shard: &Rc<Shard>, ready: &ReadyQueue, via: Via, response: Response) {
    let failed = Failed { response, via: Some(via), was_ready: true, context: AFTER_ATTEMPT };
    let failed = Rc::new(failed);
    let waiting = std::mem::take(&mut *ready.items.borrow_mut());
    for item in waiting {
        shard.queues.end(item, Task::Fail(failed.clone()));
    }
}
