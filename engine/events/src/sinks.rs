//! Where a shard's events go: log files and hooks.

use crate::context::Context;
use crate::hook::Hook;
use crate::limits;
use crate::logs::{Line, Logs};
use crate::observe;
use crate::record::{Extras, Kind, Record, SharedPart, LOG_RECORD};
use crate::spoken;
use crate::watch::{Reader, Readers};
use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use ringmta_io::{self as io};
use ringmta_mail::{EnvelopeAddress, Message, MessageId, Meta};
use ringmta_options::classify::UNCATEGORIZED;
use ringmta_options::{
    ClassifierRules, LocalLogs, LogDispositionHook, LogRecordSelect, Patterns, ShardClassifier,
};
use ringmta_smtp::response::Response;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// The event sinks of one shard.
pub struct Events {
    context: Rc<Context>,
    node_id: String,
    logs: Logs,
    hooks: Vec<Rc<Hook>>,
    dispositions: Vec<Disposition>,
    /// Sorts failures, when the policy gave rules for it.
    classifier: Option<ShardClassifier>,
    /// Lines that wait for the policy's filter.
    filtering: Cell<usize>,
    /// Disposition handlers that run.
    disposing: Cell<usize>,
    /// When it was last said that an event was not taken, monotonic nanoseconds; 0 is never.
    trouble_nanos: Cell<u64>,
    /// Who watches.
    readers: Readers,
}

/// One `configure_log_disposition_hook`.
struct Disposition {
    select: LogRecordSelect,
    event: String,
}

impl Events {
    /// Opens the logs and hooks that the policy asked for.
    ///
    /// # Errors
    /// A text naming the folder that cannot be written.
    pub fn new(
        context: &Rc<Context>,
        node_id: &str,
        logs: &[LocalLogs],
        hooks: Vec<Rc<Hook>>,
    ) -> Result<Events, String> {
        let (context, node_id) = (context.clone(), node_id.to_string());
        let logs = Logs::open(logs)?;
        let (filtering, disposing, trouble_nanos) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let (classifier, dispositions) = (None, Vec::new());
        Ok(Events {
            context,
            node_id,
            logs,
            hooks,
            dispositions,
            classifier,
            filtering,
            disposing,
            trouble_nanos,
            readers: Readers::default(),
        })
    }

    /// Sorts failures by these rules, when there are some.
    pub fn with_classifier(self, rules: Option<Arc<ClassifierRules>>) -> Events {
        Events { classifier: rules.map(ShardClassifier::new), ..self }
    }

    /// Hands records to these events of the policy at once.
    pub fn with_dispositions(self, hooks: &[LogDispositionHook]) -> Events {
        let of =
            |hook: &LogDispositionHook| Disposition { select: hook.select(), event: hook.event() };
        Events { dispositions: hooks.iter().map(of).collect(), ..self }
    }

    /// Whether anyone wants events of this type; asked before one is put together.
    pub fn wants(&self, kind: Kind) -> bool {
        self.logs.want(kind)
            || self.hooks.iter().any(|hook| hook.select.wants(kind.name()))
            || self.dispositions.iter().any(|hook| hook.select.wants(kind.name()))
            || self.readers.any()
            || observe::observed()
            || spoken::is_wanted()
    }

    /// Somebody watches from now on.
    pub fn watch(&self, reader: Arc<Reader>) {
        self.readers.watch(reader);
    }

    /// Forgets who has stopped watching.
    pub fn sweep_readers(&self) {
        self.readers.sweep();
    }

    /// Tells an event to everyone who wants it. `message` gives metadata and headers.
    pub fn record(self: &Rc<Self>, record: &Record<'_>, message: Option<&Message>) {
        // What becomes of a hook's message is for the log files: told to hooks, it would never end.
        let is_told = record.reception_protocol.as_deref() == Some(LOG_RECORD);
        if !is_told {
            observe::tell(&observe::Note::Event { shard: self.context.index, record });
            spoken::say(record);
        }
        let now = io::unix_nanos();
        let kind = record.kind.name();
        let response = record.response;
        let category = match &self.classifier {
            Some(rules) if record.kind.is_failure() => {
                let enhanced = response.enhanced;
                rules.classify(response.code, enhanced, &response.content)
            }
            _ => UNCATEGORIZED,
        };
        let shared = record.shared(&self.node_id, now, category);
        self.dispose(record, &shared, message);
        if self.readers.any() {
            let nothing = Patterns::default();
            let extras = Extras { meta: &nothing, headers: &nothing };
            self.readers.tell(kind, |out: &mut Vec<u8>| shared.put(out, message, &extras));
        }
        for (number, log) in self.logs.all().iter().enumerate() {
            if !log.select.wants(kind) {
                continue;
            }
            let at = log.special.iter().find(|(name, _)| name == kind).map_or(0, |(_, at)| *at);
            let extras = Extras { meta: &log.select.meta, headers: &log.select.headers };
            if log.filter.is_none() && log.templates.is_empty() {
                log.series[at].add(|out| shared.put(out, message, &extras));
                self.logs.ask_to_write(&log.series[at]);
                continue;
            }
            let mut line = Vec::new();
            shared.put(&mut line, message, &extras);
            let line = Line { json: line, kind, log: number, series: at };
            self.consider(line, || about(&self.context, record, message));
        }
        for hook in self.hooks.iter().filter(|hook| !is_told && hook.select.wants(kind)) {
            let extras = Extras { meta: &hook.select.meta, headers: &hook.select.headers };
            hook.log.append(|out| shared.put(out, message, &extras));
        }
    }

    /// Hands a record to the events of the policy that get it at once, each a task that begins before this returns.
    fn dispose(
        self: &Rc<Self>,
        record: &Record<'_>,
        shared: &SharedPart,
        message: Option<&Message>,
    ) {
        let kind = record.kind.name();
        for hook in self.dispositions.iter().filter(|hook| hook.select.wants(kind)) {
            let policy = self.context.policy.current();
            let is_too_much = self.disposing.get() >= limits::LOG_DISPOSITIONS_MAX;
            if is_too_much || !policy.handles(&hook.event) {
                continue;
            }
            let (meta, headers) = (&hook.select.meta, &hook.select.headers);
            let mut json = Vec::new();
            shared.put(&mut json, message, &Extras { meta, headers });
            self.disposing.set(self.disposing.get() + 1);
            let (events, event) = (self.clone(), hook.event.clone());
            let message = about(&self.context, record, message);
            io::spawn(async move {
                let record = serde_json::from_slice(&json).unwrap_or_default();
                let limit = Duration::from_secs(limits::LOG_DISPOSITION_SECS);
                // A failure was logged where it happened; the message stays as it is.
                if io::deadline(limit, policy.log_disposition(&event, &message, &record))
                    .await
                    .is_err()
                {
                    tracing::error!("{event} took longer than {limit:?}");
                }
                events.disposing.set(events.disposing.get() - 1);
            });
        }
    }

    /// Writes a line when the filter of its log wants it, if there is one.
    fn consider(self: &Rc<Self>, line: Line, about: impl FnOnce() -> Message) {
        let Some(event) = &self.logs.all()[line.log].filter else {
            return self.logs.write_line(&line);
        };
        // A filter that hangs must not fill the memory: what is too much is written.
        if self.filtering.get() >= limits::LOG_FILTERS_MAX {
            return self.logs.write_line(&line);
        }
        self.filtering.set(self.filtering.get() + 1);
        let (events, event, message) = (self.clone(), event.clone(), about());
        io::spawn(async move {
            let record = serde_json::from_slice(&line.json).unwrap_or_default();
            let policy = events.context.policy.current();
            let limit = Duration::from_secs(limits::LOG_FILTER_SECS);
            let asked = policy.wants_log_line(&event, &message, &record);
            // No record is lost by a filter that fails, which was logged where it happened, or takes too long.
            let is_wanted = match io::deadline(limit, asked).await {
                Ok(wanted) => wanted.unwrap_or(true),
                Err(_) => {
                    tracing::error!("{event} took longer than {limit:?}: the record is written");
                    true
                }
            };
            if is_wanted {
                events.logs.write_line(&line);
            }
            events.filtering.set(events.filtering.get() - 1);
        });
    }

    /// Waits until no line waits for a filter.
    pub async fn filtered(&self) {
        while self.filtering.get() + self.disposing.get() > 0 {
            io::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Makes what hooks have not read yet durable.
    pub async fn flush_hooks(&self) {
        for hook in &self.hooks {
            hook.log.flush().await;
        }
    }

    /// The log files.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The hooks.
    pub fn hooks(&self) -> &[Rc<Hook>] {
        &self.hooks
    }

    /// The message of an event that is in a queue, by the number of its hook.
    pub fn queued(&self, hook: u16, id: MessageId) -> Option<Message> {
        self.hooks.get(usize::from(hook))?.queued(id)
    }

    /// Events that are in queues.
    pub fn queued_count(&self) -> usize {
        self.hooks.iter().map(|hook| hook.queued_count()).sum()
    }

    /// Nobody takes an event: it is set aside when it ends.
    pub fn refused(&self, hook: u16, id: MessageId, why: &str) {
        if let Some(hook) = self.hooks.get(usize::from(hook)) {
            hook.refused(id, why);
        }
    }

    /// The message of an event has left its queue for good.
    pub fn ended(&self, hook: u16, id: MessageId) {
        if let Some(hook) = self.hooks.get(usize::from(hook)) {
            hook.ended(id);
        }
    }

    /// An attempt at an event has failed, over the ready queue `ready`. Said now and then, for whoever reads diagnostics.
    pub fn trouble(&self, ready: &str, why: &str) {
        let now = io::mono_nanos();
        let told = self.trouble_nanos.get();
        if told == 0 || now >= told + limits::HOOK_TELL_SECS * 1_000_000_000 {
            self.trouble_nanos.set(now);
            tracing::warn!("events for {ready}: {why}; trying again in their queue's time");
        }
    }

    /// An event whose attempt has failed goes to the end of its log, when many that came later have been told. False
    /// when it may stay in its queue.
    pub fn moves_back(&self, hook: u16, id: MessageId) -> bool {
        self.hooks.get(usize::from(hook)).is_some_and(|hook| hook.moves_back(id))
    }

    /// A record for the log files of the events that were given up since the last.
    fn tell_given_up(self: &Rc<Self>) {
        for hook in &self.hooks {
            let count = hook.take_given_up();
            if count == 0 {
                continue;
            }
            let content = format!(
                "{count} events of hook {} were given up: too many waited for their receiver, or for too long",
                hook.name
            );
            let response =
                Response { code: 551, enhanced: Some((5, 4, 7)), content, command: None };
            let queue = hook.own_queue();
            self.record(&Record::of_no_message(Kind::Expiration, &queue, &response), None);
        }
    }
}

/// The message a record is about, as filters get it; of a refused command there is none but its envelope.
fn about(context: &Context, record: &Record<'_>, message: Option<&Message>) -> Message {
    if let Some(message) = message {
        return message.clone();
    }
    let mut meta = Meta::new();
    if let Some(protocol) = &record.reception_protocol {
        meta.insert("reception_protocol".into(), protocol.as_str().into());
    }
    let sender = EnvelopeAddress::parse(&record.sender).unwrap_or_else(|_| EnvelopeAddress::null());
    let (id, _) = context.ids.next();
    Message::new(id, sender, record.recipients.to_vec(), meta, Rc::default())
}

/// Writes log files for ever; one task per shard. A quiet shard wakes once a second, to close segments by age; one with
/// very many lines writes them at once. What a disk holds up is left under way.
pub async fn run_logs(events: Rc<Events>) {
    const QUIET: Duration = Duration::from_secs(1);
    const BUSY: Duration = Duration::from_millis(250);
    let mut pause = QUIET;
    let mut looked = 0;
    let logs = &events.logs;
    let mut under_way = FuturesUnordered::new();
    loop {
        let woken = io::deadline(pause, logs.has_much());
        let _ = beside(&mut under_way, woken).await;
        let now = io::mono_nanos();
        if events.context.index == 0 && now >= looked + limits::LOG_KEEP_SECS * 1_000_000_000 {
            looked = now;
            under_way.extend(logs.remove_old());
        }
        events.tell_given_up();
        let busy = logs.has_lines();
        under_way.extend(logs.write_each(false));
        pause = if busy { BUSY } else { QUIET };
    }
}

/// What comes of `main`, while what is under way goes on. That is polled first: a series that is being written has not much
/// to write.
async fn beside<T>(
    under_way: &mut FuturesUnordered<LocalBoxFuture<'_, ()>>,
    main: impl Future<Output = T>,
) -> T {
    let mut main = std::pin::pin!(main);
    std::future::poll_fn(|cx| {
        while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {}
        main.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy_cell::PolicyCell;
    use ringmta_io::ring::run_shard;
    use ringmta_io::sim::World;
    use ringmta_io::stopping::Stopping;
    use ringmta_smtp::ids::IdSource;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::sync_channel;

    fn context() -> Rc<Context> {
        let policy_shared = ringmta_policy::Shared::new(1);
        let host = Rc::new(ringmta_policy::NoHost);
        Rc::new(Context {
            index: 0,
            shards: 1,
            policy: PolicyCell::new(ringmta_policy::Policy::empty(policy_shared.clone(), host)),
            policy_shared,
            ids: IdSource::new(0),
            spans: None,
            stopping: Stopping::default(),
        })
    }

    #[test]
    fn log_files_are_written_beside_those_of_a_disk_that_hangs() {
        let shard = run_shard("test", None, || async {
            let dir = tempfile::tempdir().unwrap();
            let of = |name| LocalLogs { log_dir: dir.path().join(name), ..LocalLogs::default() };
            let options = [of("hung"), of("well")];
            let events = Rc::new(Events::new(&context(), "node", &options, Vec::new()).unwrap());
            let [hung, well] = events.logs.all() else { unreachable!() };
            let (hung, well) = (&hung.series[0], &well.series[0]);
            let (mend, mended) = sync_channel::<()>(0);
            io::spawn(run_logs(events.clone()));
            let hangs = hung.thread().run(move || mended.recv());
            let rounds = async {
                // That a write has begun shows that the one before it has ended.
                for _ in 0..3 {
                    hung.add(|out| out.extend_from_slice(b"{}"));
                    well.add(|out| out.extend_from_slice(b"{}"));
                    while well.has_lines() {
                        io::sleep(Duration::from_millis(5)).await;
                    }
                }
                assert!(hung.has_lines());
                mend.send(()).unwrap();
            };
            let all = async { futures::join!(hangs, rounds) };
            assert_eq!(io::deadline(Duration::from_secs(60), all).await, Ok((Ok(()), ())));
        });
        shard.unwrap().join().unwrap().unwrap();
    }

    /// A world whose only disk operation is the writing of a log, so that both calls meet in it.
    #[test]
    fn a_stop_waits_for_the_segment_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(1, false);
        let _entered = world.enter();
        world.disk.faults.borrow_mut().latency_nanos = (1_000_000, 2_000_000);
        let options = LocalLogs { log_dir: dir.path().to_path_buf(), ..LocalLogs::default() };
        let events = Rc::new(Events::new(&context(), "node", &[options], Vec::new()).unwrap());
        let pending = |text: &[u8]| {
            events.logs.all()[0].series[0].add(|out| out.extend_from_slice(text));
        };
        pending(b"{\"n\":1}");
        let (busy, stopping) = (events.clone(), events.clone());
        let mut busy = Box::pin(async move { busy.logs.write(false).await });
        let waker = futures::task::noop_waker();
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(busy.as_mut().poll(&mut cx).is_pending(), "its write takes a while");
        pending(b"{\"n\":2}");
        io::spawn(busy);
        io::spawn(async move { stopping.logs.write(true).await });
        while world.step() {}
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        let text = zstd::decode_all(std::fs::File::open(files[0].path()).unwrap()).unwrap();
        assert_eq!(text, b"{\"n\":1}\n{\"n\":2}\n");
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o222, 0, "it is ended");
    }
}
