//! One core: its policy, its spool partition, its queues, its connections. Everything here is
//! owned by one thread; nothing is locked.

use crate::accept;
use crate::certificates;
use crate::control::{self, reload};
use crate::egress::mta_sts::StsCache;
use crate::egress::{lease, leases, questions, resolve::Resolver};
use crate::events::hook::{self, Hook};
use crate::events::hook_log::HookLog;
use crate::events::metrics::{Metrics, Snapshot};
use crate::events::{sinks, Events};
use crate::io::{self, mono_nanos};
use crate::limits;
use crate::mesh::Letter;
use crate::message::id::IdSource;
use crate::process::Process;
use crate::queue::budget::BodyBudget;
use crate::queue::{manage, order_counts, order_log, Queues};
use crate::spool::{compact, journal, Partition};
use futures::future::LocalBoxFuture;
use ringmta_policy::{
    ApiCall, DnsFailure, DnsQuestion, DnsResult, EsmtpListener, Host, Message, MessageId, Mode,
    Policy,
};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// One shard.
pub struct Shard {
    /// Its number.
    pub index: usize,
    /// What it shares with the others.
    pub process: Arc<Process>,
    policy: RefCell<Rc<Policy>>,
    /// A policy that is loaded and not yet in force.
    prepared: RefCell<Option<Rc<Policy>>>,
    /// What loading it has cost.
    pub loads: reload::Loads,
    /// Its renewals of listeners' certificates.
    pub renewals: certificates::Renewals,
    /// ESMTP listeners' options, by index.
    pub listeners: Vec<Rc<EsmtpListener>>,
    /// Its part of the spool.
    pub spool: Rc<Partition>,
    /// What waits for delivery.
    pub queues: Queues,
    /// Its resolver.
    pub resolver: Resolver,
    /// Those the policy gave a name.
    pub named_resolvers: questions::NamedResolvers,
    /// MTA-STS policies it knows.
    pub sts: StsCache,
    /// Where its events go.
    pub events: Events,
    /// Its counters.
    pub metrics: Metrics,
    /// Its ids.
    pub ids: IdSource,
    /// No new work is begun.
    pub stopping: accept::stopping::Stopping,
    /// Who has given wrong passwords.
    pub guesses: accept::guesses::Guesses,
    /// The mesh task has seen the order to stop.
    stop_seen: Cell<bool>,
    /// Itself, for what it hands out.
    me: RefCell<Weak<Shard>>,
}

/// Runs shard `index` until it is told to stop. `up` hears whether it came up, with the number of
/// messages recovered.
pub async fn run(
    process: Arc<Process>,
    index: usize,
    up: futures::channel::oneshot::Sender<Result<usize, String>>,
) {
    let shard = match start(process, index).await {
        Ok((shard, recovered)) => {
            let _ = up.send(Ok(recovered));
            shard
        }
        Err(why) => {
            let _ = up.send(Err(why));
            return;
        }
    };
    serve(&shard).await;
}

/// Does what letters say until one says stop, then stops.
pub(crate) async fn serve(shard: &Rc<Shard>) {
    read_letters(shard).await;
    stop(shard).await;
}

/// Start order: partition recovered, policy loaded, queues rebuilt, egress open. Listeners are
/// opened by a letter, when every shard has come this far.
pub(crate) async fn start(
    process: Arc<Process>,
    index: usize,
) -> Result<(Rc<Shard>, usize), String> {
    let shards = process.shards;
    let (spool, recovered, report) = Partition::open(&process.spool, index, shards)
        .await
        .map_err(|error| format!("spool of shard {index}: {error}"))?;
    for damage in &report.damage {
        tracing::warn!("spool: {damage}");
    }
    if report.records > 0 {
        let live = recovered.len();
        tracing::info!("shard {index}: {live} of {} records wait for delivery", report.records);
    }
    let hooks = open_hooks(&process, index)?;
    let events = Events::new(&process.node_id, &process.init.local_logs, hooks)?
        .with_classifier(process.init.bounce_classifier.clone());
    let resolver =
        Resolver::new(process.init.name_servers.clone()).with_zones(process.policy_shared.zones());
    let sts = StsCache::kept(&process.spool.meta);
    let budget = BodyBudget::of(&process.init, shards);
    let shard = Rc::new_cyclic(|me: &Weak<Shard>| {
        let host = Rc::new(ShardHost { shard: me.clone() });
        Shard {
            index,
            policy: RefCell::new(Rc::new(Policy::empty(process.policy_shared.clone(), host))),
            prepared: RefCell::default(),
            loads: reload::Loads::default(),
            renewals: certificates::Renewals::default(),
            listeners: process.init.esmtp_listeners.iter().cloned().map(Rc::new).collect(),
            process,
            spool,
            queues: Queues::within(budget),
            sts,
            resolver,
            named_resolvers: questions::NamedResolvers::default(),
            events,
            metrics: Metrics::default(),
            ids: IdSource::new(index),
            stopping: accept::stopping::Stopping::default(),
            guesses: accept::guesses::Guesses::of(shards),
            stop_seen: Cell::new(false),
            me: RefCell::new(me.clone()),
        }
    });
    shard.load_policy().map_err(|error| error.to_string())?;
    let count = recovered.len();
    let enumerate = shard.policy().handles("spool_message_enumerated");
    for mut message in recovered {
        if enumerate {
            enumerated(&shard, &mut message).await?;
        }
        shard.queues.recovered(&shard, message);
    }
    if count > 0 {
        io::memory::give_back();
    }
    if index == 0 {
        if let Err(error) = order_log::compact(&shard.process.spool.meta) {
            tracing::warn!("operators' orders cannot be written anew: {error}");
        }
    }
    let orders = order_log::read(&shard.process.spool.meta, io::steady_millis());
    for order in orders.map_err(|error| format!("operators' orders: {error}"))? {
        control::orders::apply(&shard, order);
    }
    order_counts::restore(&shard);
    let for_journal = Rc::downgrade(&shard);
    shard.spool.journal.before_each_flush(move || {
        let shard = for_journal.upgrade();
        Box::pin(async move {
            if let Some(shard) = shard {
                shard.events.flush_hooks().await;
            }
        })
    });
    io::spawn(journal::run(shard.spool.clone()));
    io::spawn(compact::run(shard.spool.clone()));
    io::spawn(manage::run_timers(shard.clone()));
    io::spawn(manage::run_sweeper(shard.clone()));
    io::spawn(sinks::run_logs(shard.clone()));
    io::spawn(accept::room::watch_disk(shard.clone()));
    for hook in shard.events.hooks() {
        hook::start(&shard, hook);
    }
    Ok((shard, count))
}

/// Shows policy a message found in the spool; it may steer it to another queue. A handler that
/// fails ends the start: it would do the same to every message.
async fn enumerated(
    shard: &Rc<Shard>,
    found: &mut crate::spool::recover::Recovered,
) -> Result<(), String> {
    let message = crate::spool::load::load(&shard.spool, found.at).await?;
    let seen = shard.policy().spool_message_enumerated(&message).await;
    seen.map_err(|error| error.to_string())?;
    found.queue = message.queue_name().to_string();
    found.scheduling = message.scheduling();
    Ok(())
}

fn open_hooks(process: &Process, index: usize) -> Result<Vec<Rc<Hook>>, String> {
    let base = process.spool.meta.join("hooks");
    let open = |name: &str| {
        let dir = base.join(name);
        let mut orphans = Vec::new();
        // On a first start there is no such folder.
        for path in io::fs::read_dir(&dir).unwrap_or_default() {
            let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
            if number.is_some_and(|n: usize| n >= process.shards && n % process.shards == index) {
                orphans.push(path);
            }
        }
        let own = dir.join(index.to_string());
        HookLog::open(own, &orphans).map_err(|error| format!("event log of hook {name}: {error}"))
    };
    let file = format!("{index}.jsonl");
    let dead_letters = |name: &str| base.join(name).join("dead-letters").join(&file);
    let mut hooks = Vec::new();
    for options in &process.init.log_hooks {
        let log = open(&options.name)?;
        hooks.push(Rc::new(Hook::lua(options, log, dead_letters(&options.name))));
    }
    for options in &process.init.http_log_hooks {
        let log = open(&options.name)?;
        hooks.push(Rc::new(Hook::http(options, log, dead_letters(&options.name))));
    }
    Ok(hooks)
}

async fn read_letters(shard: &Rc<Shard>) {
    let process = shard.process.clone();
    while !shard.stop_seen.get() {
        let letter = process.inboxes[shard.index].receive().await;
        shard.open_letter(letter);
    }
}

/// Stop order, the reverse of start: no new sessions, no new deliveries, what is in flight is
/// finished within its time, then everything noted is made durable.
async fn stop(shard: &Rc<Shard>) {
    shard.stopping.set(true);
    for ready in shard.queues.ready.borrow().values() {
        ready.wake_all();
    }
    let end = mono_nanos() + limits::STOP_GRACE_MS * 1_000_000;
    let busy = || {
        let open: usize =
            shard.queues.ready.borrow().values().map(|ready| ready.connections.get()).sum();
        let working = shard.queues.work.workers();
        open + working > 0 || shard.metrics.sessions.get() > 0 || !shard.spool.commits.is_idle()
    };
    while busy() && mono_nanos() < end {
        io::sleep(Duration::from_millis(10)).await;
    }
    shard.spool.stopping.set(true);
    let finish = async {
        if let Err(error) = shard.spool.journal.flush(&shard.spool).await {
            tracing::error!("spool: journal at stop: {error}");
        }
        // Also when there was nothing for the journal: a Reception may wait.
        shard.events.flush_hooks().await;
        futures::future::join_all(shard.events.hooks().iter().map(|hook| hook.settle())).await;
        // A filter that hangs keeps no log from being closed.
        let _ = io::deadline(Duration::from_millis(500), shard.events.filtered()).await;
        shard.events.write_logs(true).await;
        order_counts::keep(shard, true).await;
    };
    if io::deadline(Duration::from_secs(2), finish).await.is_err() {
        tracing::error!("shard {}: the disk did not answer in time at stop", shard.index);
    }
}

impl Shard {
    /// The policy for new sessions and events; those in flight keep the one they began with.
    pub fn policy(&self) -> Rc<Policy> {
        self.policy.borrow().clone()
    }

    /// Loads the policy file anew and puts it in force. On failure the one in force stays.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_policy(self: &Rc<Self>) -> Result<(), ringmta_policy::PolicyError> {
        self.prepare_policy()?;
        self.take_policy();
        Ok(())
    }

    /// Loads the policy file anew and keeps it aside. A shard does nothing else meanwhile: what that
    /// costs is counted and logged.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn prepare_policy(self: &Rc<Self>) -> Result<(), ringmta_policy::PolicyError> {
        self.drop_prepared();
        let Some(file) = &self.process.policy_file else { return Ok(()) };
        let host = Rc::new(ShardHost { shard: self.me.borrow().clone() });
        let shared = self.process.policy_shared.clone();
        let began = mono_nanos();
        let policy = Policy::load(file, shared, host, Mode::Run);
        self.loads.note(self.index, Duration::from_nanos(mono_nanos() - began), policy.is_ok());
        *self.prepared.borrow_mut() = Some(Rc::new(policy?));
        Ok(())
    }

    /// Puts the policy that was kept aside in force. Routes found by the one before are used no more.
    pub fn take_policy(&self) {
        let Some(policy) = self.prepared.borrow_mut().take() else { return };
        *self.policy.borrow_mut() = policy;
        self.loads.taken.set(self.loads.taken.get() + 1);
        self.queues.forget_routes();
    }

    /// Forgets the policy that was kept aside.
    pub fn drop_prepared(&self) {
        *self.prepared.borrow_mut() = None;
    }

    /// Number of the policy in force: how many there have been on this shard.
    pub fn serial(&self) -> u64 {
        self.loads.taken.get()
    }

    /// A random UUID (version 4) as text.
    pub fn new_uuid(&self) -> String {
        crate::message::id::random_uuid()
    }

    /// Tells shard `to` that a lease was handed to it; when it cannot be told the lease is freed.
    pub fn hand_over_lease(&self, to: usize, limit: Arc<lease::Shared>) {
        let Some(inbox) = self.process.inboxes.get(to) else { return limit.free() };
        if let Err(Letter::Lease(limit)) = inbox.send(Letter::Lease(limit)) {
            limit.free();
        }
    }

    /// Counts this shard's part of the metrics.
    pub fn snapshot(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        self.metrics.add_to(&mut sum);
        let mut waiting = 0;
        for ready in self.queues.ready.borrow().values() {
            waiting += ready.len() as u64;
            sum.gauge("ready_count", &format!("smtp_client:{}", ready.name), ready.len() as u64);
        }
        sum.gauge("ready_count", "smtp_client", waiting);
        let deferred = self.queues.timers.borrow().len() as u64;
        sum.gauge("scheduled_count_total", "", deferred);
        sum.gauge("scheduled_queue_count", "", self.queues.scheduled.borrow().len() as u64);
        sum.gauge("message_count", "", self.queues.total() as u64);
        sum.gauge("message_data_resident_bytes", "", self.queues.resident.get() as u64);
        let (segments, _, live_bytes) = self.spool.segments.totals();
        sum.gauge("spool_segments", "", segments as u64);
        sum.gauge("spool_live_bytes", "", live_bytes);
        sum.count("spool_flush_total", "", self.spool.commits.flushes.get());
        sum.count("spool_committed_total", "", self.spool.commits.committed.get());
        sum.count("journal_flush_total", "", self.spool.journal.flushes.get());
        if self.index == 0 {
            // Counted for the process.
            sum.count("shard_stall_total", "", io::stalls());
            certificates::add_to(&self.process, &mut sum);
        }
        sum.count("dns_mx_resolve_cache_hit", "", self.resolver.hits.get());
        sum.count("dns_mx_resolve_cache_miss", "", self.resolver.misses.get());
        sum.count("dns_mx_resolve_status_fail", "", self.resolver.failures.get());
        self.loads.add_to(&mut sum);
        sum.gauge("work_list_count", "", self.queues.work.len() as u64);
        for hook in self.events.hooks() {
            sum.gauge("log_hook_backlog_count", &hook.name, hook.log.backlog.get());
            let lost = hook.log.dropped.get() + hook.too_old.get();
            sum.count("log_hook_dropped_total", &hook.name, lost);
            let aside = hook.dead_letters.count.get();
            sum.count("log_hook_dead_letters_total", &hook.name, aside);
        }
        sum
    }

    fn open_letter(self: &Rc<Self>, letter: Letter) {
        match letter {
            Letter::Lease(limit) => leases::handed_over(self, limit),
            Letter::Wanted(limit) => leases::wanted(self, &limit),
            Letter::Socket { socket, listener } => {
                accept::listener::serve_socket(self, socket, listener);
            }
            Letter::Metrics(answer) => drop(answer.send(self.snapshot())),
            Letter::Order(order, answer) => {
                let _ = answer.send(control::orders::apply(self, *order));
            }
            Letter::Cancel(id, answer) => {
                let _ = answer.send(control::orders::cancel(self, &id));
            }
            Letter::Inspect(question, answer) => {
                let shard = self.clone();
                io::spawn(async move {
                    let _ = answer.send(control::inspect::answer(&shard, question).await);
                });
            }
            Letter::Open(mut sockets, answer) => {
                let smtp = accept::listener::open_all(self, &mut sockets);
                let http = smtp.and_then(|mut lines| {
                    lines.extend(control::api::open_all(self, &mut sockets)?);
                    Ok(lines)
                });
                let _ = answer.send(http);
                self.start_policy_tasks();
            }
            Letter::Reload(answer) => {
                let shard = self.clone();
                io::spawn(async move {
                    let _ = answer.send(reload::run(&shard).await);
                });
            }
            Letter::Certificates => {
                let shard = self.clone();
                io::spawn(async move { certificates::renew(&shard).await });
            }
            Letter::Prepare(answer) => {
                let _ = answer.send(self.prepare_policy().map_err(|error| error.to_string()));
            }
            Letter::Take(answer) => {
                self.take_policy();
                let _ = answer.send(());
            }
            Letter::Drop => self.drop_prepared(),
            Letter::Stop => self.stop_seen.set(true),
        }
    }

    /// Tasks the policy asked for in `init` run once per process, on the first shard.
    fn start_policy_tasks(self: &Rc<Self>) {
        if self.index != 0 {
            return;
        }
        for (event, args) in self.process.init.spawn_tasks.clone() {
            let shard = self.clone();
            io::spawn(async move {
                if let Err(error) = shard.policy().call_user_event(&event, args).await {
                    tracing::error!("task {event} ended: {error}");
                }
            });
        }
    }

    /// Counts a session of a listener in or out: for the balance between shards, and for its limit over all of them.
    pub fn session_count(&self, listener: usize, delta: i64) {
        let counters = [
            Some(&self.process.sessions[self.index]),
            self.process.listener_sessions.get(listener),
        ];
        for counter in counters.into_iter().flatten() {
            if delta > 0 {
                counter.fetch_add(1, Ordering::Relaxed);
            } else {
                counter.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if delta > 0 {
            self.metrics.sessions.inc();
            self.metrics.sessions_total.inc();
        } else {
            self.metrics.sessions.dec();
        }
    }
}

/// What a policy may ask of its shard.
struct ShardHost {
    shard: Weak<Shard>,
}

impl Host for ShardHost {
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(io::sleep(duration))
    }
    fn now_unix_nanos(&self) -> u64 {
        io::unix_nanos()
    }
    fn now_monotonic_nanos(&self) -> u64 {
        mono_nanos()
    }
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        io::spawn(task);
    }
    fn new_message_id(&self) -> MessageId {
        match self.shard.upgrade() {
            Some(shard) => shard.ids.next().0,
            // Only while the shard is being made, before any message can be.
            None => IdSource::new(0).next().0,
        }
    }
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        let shard = self.shard.upgrade();
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            let at = control::inspect::find(&shard, id).ok_or("no such message")?;
            let message = crate::spool::load::load(&shard.spool, at).await?;
            message.body().ok_or_else(|| "the message has no body".to_string())
        })
    }
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        let shard = self.shard.upgrade();
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            accept::receive::store_and_queue(&shard, vec![message])
                .await
                .map_err(|refusal| refusal.reply().text.into_owned())
        })
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        let shard = self.shard.upgrade();
        Box::pin(async move {
            let gone = || DnsFailure::Failed("the shard is stopping".into());
            let shard = shard.ok_or_else(gone)?;
            match &question.servers {
                Some(servers) => {
                    questions::ask(&shard.named_resolvers.get(servers), &question).await
                }
                None => questions::ask(&shard.resolver, &question).await,
            }
        })
    }
    fn dns_blocking(&self, question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(move || questions::ask_blocking(&question))
    }
    fn api(&self, call: ApiCall) -> LocalBoxFuture<'static, Result<serde_json::Value, String>> {
        let shard = self.shard.upgrade();
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            control::policy_calls::answer(&shard, call).await
        })
    }
    fn build(
        &self,
        request: serde_json::Value,
    ) -> LocalBoxFuture<'static, Result<Vec<Message>, String>> {
        let shard = self.shard.upgrade();
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            accept::inject::build_value(&shard, request).await
        })
    }
    fn shard(&self) -> usize {
        self.shard.upgrade().map_or(0, |shard| shard.index)
    }
}
