//! Hooks: readers of the event log that pass events on, each at least once, those of one message in their order.
//!
//! One task reads the log into the [`Window`], one writes down how far its events are taken (`hook_run`). The events of a
//! hook of the policy become messages in queues ([`Queued`]), whose limits and retries they follow. Those of a hook of the
//! engine are posted, each request a task of its own (`post`): what a receiver does not take is tried again with pauses
//! ([`Backoff`]). What is refused for good is set aside ([`DeadLetters`]).

use crate::backoff::Backoff;
use crate::context::Context;
use crate::dead_letters::DeadLetters;
use crate::hook_log::HookLog;
use crate::limits::{
    HOOK_BUSY_GAPS, HOOK_FLUSH_GAP_MS, HOOK_READY_ENOUGH, HOOK_READ_BYTES, HOOK_SETTLE_MS,
    HOOK_TELL_SECS,
};
use crate::metrics::ByResult;
use crate::post::Poster;
use crate::queued::Queued;
use crate::window::{self, Batch, Batching, Event, Window};
use ringmta_io as io;
use ringmta_options::{HttpLogHook, LogHook, LogRecordSelect};
use ringmta_policy::{HttpClient, LogTemplate};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::Waker;
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
    /// Events that are messages in queues.
    pub queued: Queued,
    /// Events it was refused for good.
    pub dead_letters: DeadLetters,
    /// Events given up because they were too old.
    pub too_old: Cell<u64>,
    /// How long its requests took, or the deliveries of its messages.
    pub times: ByResult,
    pub(super) window: RefCell<Window>,
    pub(super) backoff: RefCell<Backoff>,
    /// Requests under way.
    pub(super) requests: Cell<usize>,
    /// When [`pump`] is called again without anything happening, monotonic nanoseconds; 0 is never.
    pub(super) timer_nanos: Cell<u64>,
    /// While nothing succeeds, what is new and what has failed take turns.
    pub(super) is_turn_of_new: Cell<bool>,
    pub(super) committer: Cell<Option<Waker>>,
    /// Waits for fewer questions to policy.
    pub(super) asker: Cell<Option<Waker>>,
    /// When the log was last made durable for it, monotonic nanoseconds.
    flushed_nanos: Cell<Option<u64>>,
    /// Of the events given up, those that have their record.
    given_up: Cell<u64>,
    /// Losses not told yet, and when they were told last.
    pub(super) untold: Cell<u64>,
    pub(super) told_nanos: Cell<u64>,
}

/// Where a hook's events go.
pub(super) enum Target {
    /// Into queues, as messages: the policy says which.
    Queues(Box<LogHook>),
    /// Posted by the engine, over connections of its own.
    Http(Box<Poster>),
}

impl Hook {
    /// A hook of the policy. What is set aside goes to the file `dead_letters`.
    pub fn lua(options: &LogHook, log: HookLog, dead_letters: PathBuf) -> Hook {
        let select = options.select();
        let templates = LogTemplate::of(&select);
        let target = Target::Queues(Box::new(options.clone()));
        Hook { templates, ..Hook::new(&options.name, select, target, log, dead_letters) }
    }

    /// A hook of the engine, which posts by `client`.
    pub fn http(
        options: &HttpLogHook,
        client: Rc<dyn HttpClient>,
        log: HookLog,
        dead_letters: PathBuf,
    ) -> Hook {
        let target = Target::Http(Box::new(Poster::new(options, client)));
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
            queued: Queued::default(),
            dead_letters: DeadLetters::new(dead_letters),
            too_old: Cell::new(0),
            times: ByResult::default(),
            window: RefCell::default(),
            backoff: RefCell::default(),
            requests: Cell::new(0),
            timer_nanos: Cell::new(0),
            is_turn_of_new: Cell::new(false),
            committer: Cell::new(None),
            asker: Cell::new(None),
            flushed_nanos: Cell::new(None),
            given_up: Cell::new(0),
            untold: Cell::new(0),
            told_nanos: Cell::new(0),
        }
    }

    /// The options of a hook of the policy.
    pub fn options(&self) -> Option<&LogHook> {
        match &self.target {
            Target::Queues(options) => Some(options),
            Target::Http(_) => None,
        }
    }

    /// The longest an event is tried, when that is not for its queue to say.
    pub(super) fn max_age(&self) -> Duration {
        match &self.target {
            Target::Http(poster) => poster.options.max_age,
            Target::Queues(_) => Duration::MAX,
        }
    }

    /// Reads on in the log, which is made durable as far as it is read.
    pub(super) async fn read(&self) {
        if !self.log.has_unread() {
            self.wait_to_flush().await;
            self.log.flush().await;
            self.flushed_nanos.set(Some(io::mono_nanos()));
        }
        match self.log.read(HOOK_READ_BYTES).await {
            Ok((lines, end)) => {
                let mut window = self.window.borrow_mut();
                let now = io::mono_nanos();
                for (line, position) in lines {
                    window.push(line, position, now);
                }
                window.skip_to(end);
                drop(window);
                self.wake_committer();
            }
            Err(error) => {
                tracing::error!("hook {}: event log cannot be read: {error}", self.name);
                io::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// Waits until the log is made durable again: what comes meanwhile goes with it. While there is enough to tell, that can
    /// wait for longer.
    async fn wait_to_flush(&self) {
        let gap = Duration::from_millis(HOOK_FLUSH_GAP_MS);
        let Some(flushed) = self.flushed_nanos.get() else { return };
        loop {
            let since = Duration::from_nanos(io::mono_nanos().saturating_sub(flushed));
            let wait = if self.can_wait() { gap * HOOK_BUSY_GAPS } else { gap };
            let rest = wait.saturating_sub(since);
            if rest.is_zero() {
                return;
            }
            io::sleep(rest.min(gap)).await;
        }
    }

    /// Whether nobody waits for the next events: there is enough to tell, or too little to fill a batch that may be far older
    /// before it is told.
    fn can_wait(&self) -> bool {
        let (ready, how) = (self.window.borrow().ready(), self.batching());
        let has_time =
            how.patience_nanos >= HOOK_FLUSH_GAP_MS * 1_000_000 * u64::from(HOOK_BUSY_GAPS) * 2;
        let gathers = how.fewest > 1 && has_time && ready < how.fewest;
        gathers || ready >= HOOK_READY_ENOUGH
    }

    /// Sends dead letters on their way anew, those named or all, of this shard and of those that are gone. How many.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn replay(&self, context: &Context, ids: &[String]) -> std::io::Result<u64> {
        let (index, shards) = (context.index, context.shards);
        let of = |number: usize| number == index || number >= shards && number % shards == index;
        let again = |events: Vec<String>| async move {
            let now = io::unix_nanos() / 1_000_000_000;
            for event in events {
                let line = window::replayed(&event, now);
                self.log.append(|out| out.extend_from_slice(line.as_bytes()));
            }
            self.log.flush().await;
        };
        self.dead_letters.take(of, ids, again).await
    }

    /// Keeps events that no receiver takes in a file, when the disk takes them.
    pub(super) async fn set_aside(&self, events: &[Event], why: &str) -> bool {
        self.keep_aside(events.iter().map(|event| (event, why))).await
    }

    /// The same, each with a reason of its own.
    pub(super) async fn set_all_aside(&self, refused: &[(Event, String)]) -> bool {
        self.keep_aside(refused.iter().map(|(event, why)| (event, why.as_str()))).await
    }

    async fn keep_aside<'a>(&self, events: impl Iterator<Item = (&'a Event, &'a str)>) -> bool {
        let letters: Vec<(&str, &str)> = events.map(|(event, why)| (&*event.line, why)).collect();
        let file = self.dead_letters.path().display();
        if let Err(error) = self.dead_letters.add(&letters).await {
            tracing::error!("{file}: {error}");
            return false;
        }
        let why = letters.first().map_or("", |(_, why)| why);
        self.tell_lost(letters.len() as u64, &format!("set aside in {file}: {why}"));
        true
    }

    fn batching(&self) -> Batching {
        let Target::Http(poster) = &self.target else {
            return Batching { most: 1, fewest: 1, patience_nanos: 0 };
        };
        let most = poster.options.batch_size.max(1);
        let patience_nanos = poster.options.max_batch_latency.as_nanos() as u64;
        Batching { most, fewest: most, patience_nanos }
    }

    /// What is told next, when another request may begin.
    pub(super) fn next(&self, shards: usize) -> Option<Batch> {
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
    pub(super) fn due_nanos(&self, shards: usize) -> Option<u64> {
        let backoff = self.backoff.borrow();
        let now = io::mono_nanos();
        let allowed = backoff.allowed(now, shards);
        if allowed > 0 && self.requests.get() >= allowed {
            return None;
        }
        let due = self.window.borrow().due_nanos(&self.batching())?;
        Some(due.max(backoff.until_nanos()))
    }

    pub(super) fn finish(&self, events: &[Event], left: &[Event]) {
        self.window.borrow_mut().finish(events, left);
        self.log.wake_reader();
        self.wake_committer();
    }

    /// Has written down how far all is done, when that has changed.
    pub(super) fn wake_committer(&self) {
        if self.window.borrow().is_done_further() {
            self.committer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Events given up since this was last asked: too old, or too many.
    pub(super) fn take_given_up(&self) -> u64 {
        let all = self.too_old.get() + self.log.dropped.get();
        all - self.given_up.replace(all)
    }

    /// Says that events were lost, now or with those that follow.
    pub(super) fn tell_lost(&self, count: u64, why: &str) {
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

    pub(super) async fn commit(&self) {
        let done = self.window.borrow_mut().take_done();
        let Some((position, count)) = done else { return };
        // An event that went to the end of the log counts as done where it was: its copy must be durable before that is
        // written down.
        self.log.flush().await;
        if let Err(error) = self.log.commit(position, count).await {
            tracing::error!("hook {}: cursor cannot be kept: {error}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::LocalBoxFuture;
    use ringmta_io::sim::World;
    use ureq::http::{Request, Response};

    /// For hooks that post nothing.
    struct NoHttp;

    impl HttpClient for NoHttp {
        fn send(
            &self,
            _: Request<Vec<u8>>,
            _: Duration,
            _: usize,
        ) -> LocalBoxFuture<'static, Result<Response<Vec<u8>>, String>> {
            Box::pin(async { Err("there is none".into()) })
        }
    }

    /// How long the next flush waits after the last while `ready` events may be told: of a hook that posts in such batches, or
    /// one of the policy.
    fn waited(posts: Option<(usize, Duration)>, ready: usize) -> Duration {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(6, false);
        let _entered = world.enter();
        let log = HookLog::open(dir.path().join("0"), &[]).unwrap();
        let (dead_letters, name) = (dir.path().join("dead.jsonl"), "h".to_string());
        let hook = match posts {
            Some((batch_size, max_batch_latency)) => {
                let of = HttpLogHook { name, batch_size, max_batch_latency, ..Default::default() };
                Hook::http(&of, Rc::new(NoHttp), log, dead_letters)
            }
            None => Hook::lua(&LogHook { name, ..Default::default() }, log, dead_letters),
        };
        for number in 0..ready {
            let line = format!("{{\"type\":\"Delivery\",\"id\":\"m{number}\",\"timestamp\":1}}");
            hook.window.borrow_mut().push(line, (1, number as u64 + 1), 0);
        }
        let took = Rc::new(Cell::new(None));
        let tell = took.clone();
        world.spawn_on(world.exec.new_node(), async move {
            let began = io::mono_nanos();
            hook.flushed_nanos.set(Some(began));
            hook.wait_to_flush().await;
            tell.set(Some(Duration::from_nanos(io::mono_nanos() - began)));
        });
        while world.step() {}
        took.take().unwrap()
    }

    /// Each flush costs the disk. A receiver that has enough to take is not waiting for one, and neither is a batch that has
    /// time to fill.
    #[test]
    fn a_flush_waits_for_longer_while_nobody_waits_for_it() {
        let gap = Duration::from_millis(HOOK_FLUSH_GAP_MS);
        let (soon, later) = (gap..gap * 2, gap * HOOK_BUSY_GAPS..gap * (HOOK_BUSY_GAPS + 1));
        let [one, many] = [1, 100].map(|most| Some((most, Duration::from_secs(1))));
        for (posts, ready, meant) in [
            (None, HOOK_READY_ENOUGH - 1, &soon),
            (None, HOOK_READY_ENOUGH, &later),
            (one, 0, &soon),
            (one, HOOK_READY_ENOUGH, &later),
            (Some((100, gap)), 99, &soon),
            (many, 0, &later),
            (many, 99, &later),
            (many, 100, &soon),
            (many, HOOK_READY_ENOUGH, &later),
        ] {
            let took = waited(posts, ready);
            assert!(meant.contains(&took), "{posts:?}, {ready} events: {took:?}");
        }
    }
}
