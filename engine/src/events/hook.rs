//! Hooks: readers of the event log that pass events on, each at least once, those of one message in their order.
//!
//! One task reads the log into the [`Window`], one writes down how far its events are taken; each request is a task of
//! its own (`hook_send`). What a receiver does not take is tried again with pauses ([`Backoff`]); what it refuses for
//! good is set aside ([`DeadLetters`]).

use super::backoff::{pause_of, Backoff};
use super::dead_letters::DeadLetters;
use super::hook_log::HookLog;
use super::hook_send::{self, Connections, Failure};
use super::window::{Batch, Batching, Event, Window};
use crate::io;
use crate::limits::{
    HOOK_COMMIT_MS, HOOK_EVENT_AGE_SECS, HOOK_FLUSH_GAP_MS, HOOK_READ_BYTES, HOOK_REFUSED_TRIES,
    HOOK_RETRY_MAX_MS, HOOK_SETTLE_MS, HOOK_TELL_SECS, HOOK_TRIES_MAX,
};
use crate::shard::Shard;
use ringmta_policy::{HttpLogHook, LogHook, LogRecordSelect, LogTemplate};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// One hook on one shard.
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What it wants of which events.
    pub select: LogRecordSelect,
    /// What it has not taken yet.
    pub log: HookLog,
    /// Where its events go.
    pub(super) target: Target,
    /// Templates of the texts its messages carry, by record type or `Any`.
    pub(super) templates: BTreeMap<String, LogTemplate>,
    /// Connection objects of the policy that wait for their next event.
    pub(super) connections: Connections,
    /// Events it was refused for good.
    pub dead_letters: DeadLetters,
    /// Events given up because they were too old.
    pub too_old: Cell<u64>,
    window: RefCell<Window>,
    backoff: RefCell<Backoff>,
    /// Requests under way.
    requests: Cell<usize>,
    /// When [`pump`] is called again without anything happening, monotonic nanoseconds; 0 is never.
    timer_nanos: Cell<u64>,
    /// While nothing succeeds, what is new and what has failed take turns.
    is_turn_of_new: Cell<bool>,
    committer: Cell<Option<Waker>>,
    /// Losses not told yet, and when they were told last.
    untold: Cell<u64>,
    told_nanos: Cell<u64>,
}

/// Where a hook's events go.
pub(super) enum Target {
    /// The policy's own `send` or `send_batch`.
    Lua(Box<LogHook>),
    /// Posted by the engine, over connections of its own.
    Http(Arc<HttpLogHook>, ureq::Agent),
}

impl Hook {
    /// A hook of the policy. What is set aside goes to the file `dead_letters`.
    pub fn lua(options: &LogHook, log: HookLog, dead_letters: PathBuf) -> Hook {
        let select = options.select();
        let templates = LogTemplate::of(&select);
        let target = Target::Lua(Box::new(options.clone()));
        Hook { templates, ..Hook::new(&options.name, select, target, log, dead_letters) }
    }

    /// A hook of the engine.
    pub fn http(options: &HttpLogHook, log: HookLog, dead_letters: PathBuf) -> Hook {
        let agent = hook_send::agent(options.timeout);
        let target = Target::Http(Arc::new(options.clone()), agent);
        Hook::new(&options.name, options.select(), target, log, dead_letters)
    }

    fn new(
        name: &str,
        select: LogRecordSelect,
        target: Target,
        log: HookLog,
        dead_letters: PathBuf,
    ) -> Hook {
        Hook {
            name: name.to_string(),
            select,
            log,
            target,
            templates: BTreeMap::new(),
            connections: Connections::default(),
            dead_letters: DeadLetters::new(dead_letters),
            too_old: Cell::new(0),
            window: RefCell::default(),
            backoff: RefCell::default(),
            requests: Cell::new(0),
            timer_nanos: Cell::new(0),
            is_turn_of_new: Cell::new(false),
            committer: Cell::new(None),
            untold: Cell::new(0),
            told_nanos: Cell::new(0),
        }
    }

    fn batching(&self) -> Batching {
        let (most, fewest, patience) = match &self.target {
            Target::Lua(o) => (o.batch_size, o.min_batch_size, o.max_batch_latency),
            Target::Http(o, _) => (o.batch_size, o.batch_size, o.max_batch_latency),
        };
        let most = most.max(1);
        let patience_nanos = patience.as_nanos() as u64;
        Batching { most, fewest: fewest.clamp(1, most), patience_nanos }
    }

    /// What is told next, when another request may begin.
    fn next(&self, shards: usize) -> Option<Batch> {
        let now = io::mono_nanos();
        let backoff = self.backoff.borrow();
        if self.requests.get() >= backoff.allowed(now, shards) {
            return None;
        }
        let mut window = self.window.borrow_mut();
        let how = self.batching();
        // While nothing succeeds there is one request at a time: were it always the one that has failed, an event
        // that no receiver takes would hold up all others.
        let new_first =
            backoff.is_failing() && self.is_turn_of_new.replace(!self.is_turn_of_new.get());
        if new_first {
            window.take(&how, now).or_else(|| window.take_failed(now))
        } else {
            window.take_failed(now).or_else(|| window.take(&how, now))
        }
    }

    /// When there may be something to tell that there is not now; `None` when a request that ends will show.
    fn due_nanos(&self, shards: usize) -> Option<u64> {
        let backoff = self.backoff.borrow();
        let now = io::mono_nanos();
        let allowed = backoff.allowed(now, shards);
        if allowed > 0 && self.requests.get() >= allowed {
            return None;
        }
        let due = self.window.borrow().due_nanos(&self.batching())?;
        Some(due.max(backoff.until_nanos()))
    }

    fn finish(&self, events: &[Event], left: &[Event]) {
        self.window.borrow_mut().finish(events, left);
        self.log.wake_reader();
        if self.window.borrow().is_done_further() {
            self.committer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Says that events were lost, now or with those that follow.
    fn tell_lost(&self, count: u64, why: &str) {
        let untold = self.untold.get() + count;
        let now = io::mono_nanos();
        if self.told_nanos.get() > 0 && now < self.told_nanos.get() + HOOK_TELL_SECS * 1_000_000_000
        {
            return self.untold.set(untold);
        }
        self.told_nanos.set(now);
        self.untold.set(0);
        tracing::error!("hook {}: {untold} events: {why}", self.name);
    }

    /// Waits for requests that are under way, for a moment, and writes down what was taken. At stop.
    pub async fn settle(&self) {
        let settled = async {
            while self.requests.get() > 0 {
                io::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = io::deadline(Duration::from_millis(HOOK_SETTLE_MS), settled).await;
        self.commit().await;
    }

    async fn commit(&self) {
        let done = self.window.borrow_mut().take_done();
        let Some((position, count)) = done else { return };
        if let Err(error) = self.log.commit(position, count).await {
            tracing::error!("hook {}: cursor cannot be kept: {error}", self.name);
        }
    }
}

/// Starts the tasks of a hook: they go on for as long as the shard does.
pub fn start(shard: &Rc<Shard>, hook: &Rc<Hook>) {
    io::spawn(commit_for_ever(hook.clone()));
    io::spawn(read_for_ever(shard.clone(), hook.clone()));
}

/// Reads the log, and begins requests.
async fn read_for_ever(shard: Rc<Shard>, hook: Rc<Hook>) {
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
        pump(&shard, &hook);
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
fn pump(shard: &Rc<Shard>, hook: &Rc<Hook>) {
    if shard.stopping.get() {
        return;
    }
    let shards = shard.process.shards;
    while let Some(batch) = hook.next(shards) {
        hook.requests.set(hook.requests.get() + 1);
        let (shard, hook) = (shard.clone(), hook.clone());
        io::spawn(async move {
            deliver(&shard, &hook, batch).await;
            hook.requests.set(hook.requests.get() - 1);
            pump(&shard, &hook);
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
    let (shard, hook) = (shard.clone(), hook.clone());
    io::spawn(async move {
        io::sleep(Duration::from_nanos(due - now)).await;
        if hook.timer_nanos.get() == due {
            hook.timer_nanos.set(0);
        }
        pump(&shard, &hook);
    });
}

/// Tells one batch, and does what follows from the answer.
async fn deliver(shard: &Rc<Shard>, hook: &Rc<Hook>, mut batch: Batch) {
    drop_old(hook, &mut batch);
    if batch.events.is_empty() {
        return;
    }
    let started = io::mono_nanos();
    let (taken, result) = hook_send::send(shard, hook, &batch.events).await;
    let now = io::mono_nanos();
    let left = batch.events.split_off(taken);
    for event in &batch.events {
        io::sim::tell(&io::sim::Note::Told { events: std::slice::from_ref(&event.line) });
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
