//! The tasks of a hook: they read its log, begin requests, and write down how far its events are taken.

use crate::backoff::pause_of;
use crate::context::Context;
use crate::hook::Hook;
use crate::hook_send::{self, Failure};
use crate::limits::{
    HOOK_COMMIT_MS, HOOK_EVENT_AGE_SECS, HOOK_FLUSH_GAP_MS, HOOK_READ_BYTES, HOOK_REFUSED_TRIES,
    HOOK_RETRY_MAX_MS, HOOK_TRIES_MAX,
};
use crate::observe;
use crate::window::{Batch, Event};
use ringmta_io as io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Starts the tasks of a hook: they go on for as long as the shard does.
pub fn start(context: &Rc<Context>, hook: &Rc<Hook>) {
    io::spawn(commit_for_ever(hook.clone()));
    io::spawn(read_for_ever(context.clone(), hook.clone()));
}

/// Reads the log, and begins requests.
async fn read_for_ever(context: Rc<Context>, hook: Rc<Hook>) {
    let gap = Duration::from_millis(HOOK_FLUSH_GAP_MS);
    let mut flushed = None;
    loop {
        hook.log.wait(|| hook.window.borrow().has_room()).await;
        if !hook.log.has_unread() {
            let since = flushed.map_or(gap, |at| Duration::from_nanos(io::mono_nanos() - at));
            if since < gap {
                io::sleep(gap - since).await;
            }
            hook.log.flush().await;
            flushed = Some(io::mono_nanos());
        }
        match hook.log.read(HOOK_READ_BYTES).await {
            Ok((lines, end)) => {
                let mut window = hook.window.borrow_mut();
                let now = io::mono_nanos();
                for (line, position) in lines {
                    window.push(line, position, now);
                }
                window.skip_to(end);
            }
            Err(error) => {
                tracing::error!("hook {}: event log cannot be read: {error}", hook.name);
                io::sleep(Duration::from_secs(1)).await;
            }
        }
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
    if context.stopping.get() {
        return;
    }
    let shards = context.shards;
    while let Some(batch) = hook.next(shards) {
        hook.requests.set(hook.requests.get() + 1);
        let (context, hook) = (context.clone(), hook.clone());
        io::spawn(async move {
            deliver(&context, &hook, batch).await;
            hook.requests.set(hook.requests.get() - 1);
            pump(&context, &hook);
        });
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
        return;
    }
    let started = io::mono_nanos();
    let (taken, result) = hook_send::send(context, hook, &batch.events).await;
    let now = io::mono_nanos();
    let left = batch.events.split_off(taken);
    for event in &batch.events {
        observe::tell(&observe::Note::Told { events: std::slice::from_ref(&event.line) });
    }
    hook.finish(&batch.events, &left);
    batch.events = left;
    match result {
        Ok(()) => hook.backoff.borrow_mut().succeeded(started, now),
        Err(Failure::Later { why, after }) => {
            let random = io::random_u64();
            let pause = hook.backoff.borrow_mut().failed(started, now, after, random);
            later(hook, batch, &why, pause).await;
        }
        Err(Failure::Refused { why, at_once }) => refused(hook, batch, &why, at_once).await,
    }
}

/// Gives up events that are too old to be worth telling.
fn drop_old(hook: &Hook, batch: &mut Batch) {
    let limit = (io::unix_nanos() / 1_000_000_000).saturating_sub(HOOK_EVENT_AGE_SECS);
    let is_old = |event: &Event| (1..limit).contains(&event.timestamp());
    if !batch.events.iter().any(is_old) {
        return;
    }
    let (old, left) = std::mem::take(&mut batch.events).into_iter().partition::<Vec<_>, _>(is_old);
    hook.finish(&old, &left);
    batch.events = left;
    hook.too_old.set(hook.too_old.get() + old.len() as u64);
    let days = HOOK_EVENT_AGE_SECS / 86_400;
    hook.tell_lost(
        old.len() as u64,
        &format!("given up: their receiver has been away for {days} days"),
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

/// A batch was refused for good; `at_once` says that this is the policy's own word.
async fn refused(hook: &Rc<Hook>, mut batch: Batch, why: &str, at_once: bool) {
    batch.refused += 1;
    let is_one = batch.events.len() == 1;
    if is_one && (at_once || batch.refused >= HOOK_REFUSED_TRIES) {
        return set_aside(hook, batch, why).await;
    }
    let pause = pause_of(batch.refused, io::random_u64());
    tracing::warn!("hook {}: refused: {why}; trying again in {} ms", hook.name, pause.as_millis());
    batch.due_nanos = io::mono_nanos() + pause.as_nanos() as u64;
    let mut window = hook.window.borrow_mut();
    match !is_one && (at_once || batch.refused + 1 >= HOOK_REFUSED_TRIES) {
        true => window.put_back_apart(batch),
        false => window.put_back(batch),
    }
}

/// Keeps an event that no receiver takes in a file, and goes on without it.
async fn set_aside(hook: &Rc<Hook>, mut batch: Batch, why: &str) {
    for event in &batch.events {
        if let Err(error) = hook.dead_letters.add(&event.line, why).await {
            tracing::error!("{}: {error}", hook.dead_letters.path().display());
            batch.due_nanos = io::mono_nanos() + HOOK_RETRY_MAX_MS * 1_000_000;
            return hook.window.borrow_mut().put_back(batch);
        }
    }
    let file = hook.dead_letters.path().display();
    hook.tell_lost(batch.events.len() as u64, &format!("set aside in {file}: {why}"));
    hook.finish(&batch.events, &[]);
}
