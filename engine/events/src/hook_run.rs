//! The tasks of a hook: they read its log, begin requests, and write down how far its events are taken.

use crate::backoff::pause_of;
use crate::context::Context;
use crate::hook::{Hook, Target};
use crate::limits::{
    HOOK_COMMIT_MS, HOOK_REFUSED_TRIES, HOOK_RETRY_MAX_MS, HOOK_TRIES_MAX, HOOK_WINDOW_BYTES,
};
use crate::observe;
use crate::post::{trace_of, Failure};
use crate::spans::context::TraceContext;
use crate::window::{Batch, Event};
use ringmta_io as io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Starts the tasks of a hook: they go on for as long as the shard does. Where the events become messages, whoever puts
/// them into queues reads them ([`Hook::next_event`]).
pub fn start(context: &Rc<Context>, hook: &Rc<Hook>) {
    io::spawn(commit_for_ever(hook.clone()));
    if !hook.is_queued() {
        io::spawn(read_for_ever(context.clone(), hook.clone()));
    }
}

/// Reads the log, and begins requests.
async fn read_for_ever(context: Rc<Context>, hook: Rc<Hook>) {
    loop {
        hook.log
            .wait(|log| log.has_more() && hook.window.borrow().has_room(HOOK_WINDOW_BYTES))
            .await;
        hook.read().await;
        pump(&context, &hook);
    }
}

/// Writes down how far the events are taken, for ever.
async fn commit_for_ever(hook: Rc<Hook>) {
    loop {
        std::future::poll_fn(|cx| {
            if hook.window.borrow().is_done_further() {
                return Poll::Ready(());
            }
            hook.committer.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        hook.commit().await;
        io::sleep(Duration::from_millis(HOOK_COMMIT_MS)).await;
    }
}

/// Begins as many requests as there are events for and may be under way.
fn pump(context: &Rc<Context>, hook: &Rc<Hook>) {
    while let Some(batch) = next(context, hook) {
        io::spawn(tell(context.clone(), hook.clone(), batch));
    }
    wake_when_due(context, hook);
}

/// What the next request tells, when another may be under way; it counts as such from now on.
fn next(context: &Context, hook: &Hook) -> Option<Batch> {
    if context.stopping.get() {
        return None;
    }
    let batch = hook.next(context.shards)?;
    hook.requests.set(hook.requests.get() + 1);
    Some(batch)
}

/// Tells a batch, and goes on with what is next for as long as there is something: a task of its own for each request would be
/// a part of what an event costs.
async fn tell(context: Rc<Context>, hook: Rc<Hook>, batch: Batch) {
    let mut next_one = Some(batch);
    while let Some(batch) = next_one {
        deliver(&context, &hook, batch).await;
        hook.requests.set(hook.requests.get() - 1);
        next_one = next(&context, &hook);
        // More may be allowed than before.
        pump(&context, &hook);
    }
}

/// Sees to it that [`pump`] is called when there may be something to tell that there is not now.
fn wake_when_due(context: &Rc<Context>, hook: &Rc<Hook>) {
    let shards = context.shards;
    if context.stopping.get() {
        return;
    }
    let Some(due) = hook.due_nanos(shards) else { return };
    let timer = hook.timer_nanos.get();
    let now = io::mono_nanos();
    if timer > now && timer <= due {
        return;
    }
    let due = due.max(now + 1_000_000);
    hook.timer_nanos.set(due);
    let (context, hook) = (context.clone(), hook.clone());
    io::spawn(async move {
        io::sleep(Duration::from_nanos(due - now)).await;
        if hook.timer_nanos.get() == due {
            hook.timer_nanos.set(0);
        }
        pump(&context, &hook);
    });
}

/// Tells one batch, and does what follows from the answer.
async fn deliver(context: &Rc<Context>, hook: &Rc<Hook>, mut batch: Batch) {
    drop_old(hook, &mut batch);
    if batch.events.is_empty() {
        // Whoever tells the next of as many as there are lets others go first.
        return io::yield_now().await;
    }
    let Target::Http(poster) = &hook.target else { return };
    let (started, since) = (io::mono_nanos(), io::unix_nanos());
    let result = poster.post(context, &batch.events).await;
    follow(context, hook, &batch.events, since, result.as_ref().err());
    let now = io::mono_nanos();
    hook.times.note(result.is_ok(), (now - started) / 1000);
    match result {
        Ok(()) => {
            for event in &batch.events {
                observe::tell(&observe::Note::Told { events: std::slice::from_ref(&event.line) });
            }
            hook.finish(&batch.events, &[]);
            hook.backoff.borrow_mut().succeeded(started, now);
        }
        Err(Failure::Later { why, after }) => {
            let random = io::random_u64();
            let pause = hook.backoff.borrow_mut().failed(started, now, after, random);
            later(hook, batch, &why, pause).await;
        }
        Err(Failure::Refused { why }) => refused(hook, batch, &why).await,
    }
}

/// Spans of a request, for the events about messages that are followed.
fn follow(context: &Context, hook: &Hook, events: &[Event], since: u64, failure: Option<&Failure>) {
    let Some(spans) = &context.spans else { return };
    for of in events.iter().filter_map(|event| TraceContext::parse(trace_of(&event.line)?)) {
        spans.told(of, &hook.name, since, failure.map(|failure| failure.why().to_string()));
    }
}

/// Gives up events that are too old to be worth telling.
fn drop_old(hook: &Hook, batch: &mut Batch) {
    let max_age = hook.max_age();
    let limit = (io::unix_nanos() / 1_000_000_000).saturating_sub(max_age.as_secs());
    let is_old = |event: &Event| (1..limit).contains(&event.timestamp());
    if !batch.events.iter().any(is_old) {
        return;
    }
    let (old, left) = std::mem::take(&mut batch.events).into_iter().partition::<Vec<_>, _>(is_old);
    hook.finish(&old, &left);
    batch.events = left;
    hook.too_old.set(hook.too_old.get() + old.len() as u64);
    hook.tell_lost(
        old.len() as u64,
        &format!("given up: their receiver has been away for {max_age:?}"),
    );
}

/// A batch was not taken this time. `hook_pause` is that of the whole hook, if it pauses.
async fn later(hook: &Rc<Hook>, mut batch: Batch, why: &str, hook_pause: Option<Duration>) {
    let successes = hook.backoff.borrow().successes();
    if batch.tries > 0 && successes > batch.seen_successes {
        batch.tries_among_others += 1;
    }
    batch.seen_successes = successes;
    batch.tries += 1;
    if batch.tries_among_others + 1 >= HOOK_TRIES_MAX && batch.events.len() == 1 {
        return set_aside(hook, batch, why).await;
    }
    let pause = pause_of(batch.tries, io::random_u64());
    let told = hook_pause.unwrap_or(pause);
    tracing::warn!("hook {}: {why}; trying again in {} ms", hook.name, told.as_millis());
    batch.due_nanos = io::mono_nanos() + pause.as_nanos() as u64;
    let mut window = hook.window.borrow_mut();
    // One of them may be why all of them fail.
    match batch.tries_among_others + 1 >= HOOK_TRIES_MAX {
        true => window.put_back_apart(batch),
        false => window.put_back(batch),
    }
}

/// A batch was refused for good.
async fn refused(hook: &Rc<Hook>, mut batch: Batch, why: &str) {
    batch.refused += 1;
    let is_one = batch.events.len() == 1;
    if is_one && batch.refused >= HOOK_REFUSED_TRIES {
        return set_aside(hook, batch, why).await;
    }
    let pause = pause_of(batch.refused, io::random_u64());
    tracing::warn!("hook {}: refused: {why}; trying again in {} ms", hook.name, pause.as_millis());
    batch.due_nanos = io::mono_nanos() + pause.as_nanos() as u64;
    let mut window = hook.window.borrow_mut();
    match !is_one && batch.refused + 1 >= HOOK_REFUSED_TRIES {
        true => window.put_back_apart(batch),
        false => window.put_back(batch),
    }
}

/// Keeps an event that no receiver takes in a file, and goes on without it.
async fn set_aside(hook: &Rc<Hook>, mut batch: Batch, why: &str) {
    if !hook.set_aside(&batch.events, why).await {
        batch.due_nanos = io::mono_nanos() + HOOK_RETRY_MAX_MS * 1_000_000;
        return hook.window.borrow_mut().put_back(batch);
    }
    hook.finish(&batch.events, &[]);
}
