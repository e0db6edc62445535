//! Brings an engine up: checks the machine, runs the policy's `init`, starts the shards, opens
//! the listeners when all of them have recovered, and stops them again.

use crate::confine;
use crate::confine::Confinement;
use crate::control::settings;
use crate::core;
use crate::diagnostics;
use crate::folders;
use crate::folders::Locks;
use crate::limits;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use ringmta_egress::{mta_sts, questions};
use ringmta_events::spans::export::Exporter;
use ringmta_events::spans::settings::Settings;
use ringmta_events::spans::Spans;
use ringmta_io::inherited::Inherited;
use ringmta_io::privileges::Binder;
use ringmta_io::sockets;
use ringmta_io::sockets::Sockets;
use ringmta_io::{memory, ring, system, tls, ReservedPort};
use ringmta_policy::validate::{unusable_keys, Finding};
use ringmta_policy::{
    DnsQuestion, DnsResult, Host, InitConfig, Message, MessageId, Mode, Policy, Shared,
};
use ringmta_shard::answers::Answers;
use ringmta_shard::listener_tls::ListenerTls;
use ringmta_shard::mesh::{Inbox, Letter};
use ringmta_shard::process::{self, Process};
use ringmta_spool::log::partition::SpoolPaths;
use ringmta_spool::start::version;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The policy file.
    pub policy: Option<PathBuf>,
    /// Shards; one per core when not given.
    pub shards: Option<usize>,
    /// AUTH may be used without TLS.
    pub auth_in_clear: bool,
    /// Do not wait for stable storage.
    pub relaxed: bool,
    /// Bytes that may be in the course of being received; a quarter of the memory when not given.
    pub receive_memory: Option<usize>,
    /// What it may still do once it is up.
    pub confinement: Confinement,
}

/// A running engine.
pub struct Engine {
    /// What its shards share.
    pub process: Arc<Process>,
    /// One line per socket.
    pub sockets: Vec<String>,
    /// Messages found in the spool.
    pub recovered: usize,
    threads: Vec<JoinHandle<std::io::Result<()>>>,
    /// Tells what spans are left when it goes, behind the shards.
    exporter: Option<Exporter>,
    _held: Held,
}

/// Where spans are left, when the environment names a collector.
fn spans() -> Result<Option<Arc<Spans>>, String> {
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    Ok(settings.map(|settings| Arc::new(Spans::new(settings))))
}

/// What an engine keeps to itself for its life: its spools' locks, and ports it chose.
type Held = (Locks, Vec<ReservedPort>);

/// What the policy asks for on stderr.
fn set_filter(filter: Option<&str>) -> Result<(), String> {
    let set = filter.map_or(Ok(()), diagnostics::set_filter);
    set.map_err(|why| format!("kumo.set_diagnostic_log_filter: {why}"))
}

/// What operators have set before holds.
fn restore_settings(meta: &Path, shared: &Shared) {
    let settings = settings::read(meta);
    if let Some(epoch) = settings.config_epoch {
        shared.resume_epoch(epoch.value);
    }
    let Some(filter) = settings.log_filter else { return };
    match diagnostics::set_filter(&filter.value) {
        Ok(()) => tracing::warn!(
            "the log filter {:?} that {} has set holds; `ringmta ctl log-filter --reset` ends it",
            filter.value,
            filter.by
        ),
        Err(why) => tracing::warn!("the log filter that {} has set: {why}", filter.by),
    }
}

/// Starts an engine, as the user the process runs as: whoever is to become another does so before. Each failure is one line that names the cause and the cure.
///
/// # Errors
/// That line.
pub fn start(options: &Options) -> Result<Engine, String> {
    // Before any other thread: none of them is to have more than an ordinary user's rights.
    let binder = Binder::start().map_err(|error| format!("rights cannot be given up: {error}"))?;
    let inherited = Inherited::take()?;
    check_ring()?;
    tracing::info!("{}", ringmta_policy::trust::told()?);
    if let Some(bytes) = options.receive_memory {
        ringmta_io::receiving::set_limit(bytes);
    }
    let shared = Shared::new(limits::HELPER_THREADS);
    let cores = ring::cores();
    let shards = options.shards.unwrap_or(cores.len()).clamp(1, ringmta_queue::limits::SHARDS_MAX);
    system::rlimits();
    memory::keep_a_while();
    let policy = load_policy(options.policy.as_deref(), &shared)?;
    let mut init = block_on(policy.run_init()).map_err(|error| error.to_string())?;
    set_filter(init.diagnostic_log_filter.as_deref())?;
    tell_unusable_keys(options.policy.as_deref());
    let ports = sockets::resolve_ports(&inherited, listens_mut(&mut init)?.into_iter())?;
    let spool = spool_paths(&init, options.relaxed)?;
    version::refuse_newer(&spool)?;
    let locks = folders::lock_spool(&spool)?;
    for folder in confine::log_folders(&init) {
        folders::prepare("log_dir", folder)?;
    }
    let sockets = sockets::bind_all(binder, &inherited, listens(&init), shards)?;
    restore_settings(&spool.meta, &shared);
    let hostname = hostname();
    let of_smtp = |of| ListenerTls::of_smtp(&policy, of, &hostname).map(Some);
    let smtp_tls = init.esmtp_listeners.iter().map(of_smtp).collect::<Result<_, _>>()?;
    let of_http = |of| ListenerTls::of_http(&policy, of, &hostname);
    let http_tls = init.http_listeners.iter().map(of_http).collect::<Result<_, _>>()?;
    let process = Process {
        shards,
        hostname,
        node_id: folders::node_id(&spool.meta)?,
        policy_file: options.policy.clone(),
        policy_shared: shared,
        limits: ringmta_queue::quota::lease::Registry::default(),
        inboxes: (0..shards).map(|_| Inbox::default()).collect(),
        sessions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        listener_sessions: init.esmtp_listeners.iter().map(|_| AtomicU64::new(0)).collect(),
        peers: process::PeersAt::of(&init),
        smtp_tls,
        http_tls,
        tls_verify: tls::client_config(Some(ringmta_policy::trust::roots()))?,
        tls_any: tls::client_config(None)?,
        http_agent: mta_sts::fetch::agent(),
        answers: Answers::new(&spool.meta),
        console: Default::default(),
        spans: spans()?,
        ready: false.into(),
        auth_in_clear: options.auth_in_clear,
        spool,
        init,
    };
    drop(policy);
    if !process.hostname.contains('.') {
        // RFC 5321 section 4.1.1.1 asks for a name that others can look up; many receivers refuse one that cannot be.
        tracing::warn!(
            "this host is called {:?}, without a domain: sources without `ehlo_domain` say EHLO with \
             that name",
            process.hostname
        );
    }
    confine_threads(&options.confinement, &process)?;
    let mut engine = start_shards(Arc::new(process), &cores, (locks, ports))?;
    engine.open(sockets)?;
    Ok(engine)
}

/// Confines this thread and those of the shards. Helper threads that `init` has had work for end: they would not be.
fn confine_threads(confinement: &Confinement, process: &Process) -> Result<(), String> {
    confine::apply(confinement, &process.init, &process.spool)?;
    let wait = Duration::from_millis(limits::HELPERS_RETIRE_MS);
    if confinement.is_wanted && !process.policy_shared.helpers().retire(wait) {
        tracing::warn!(
            "a helper thread is still busy with what init has begun; it is not confined"
        );
    }
    Ok(())
}

/// Whether rings can be made here; the error names cause and cure.
///
/// # Errors
/// That line.
pub(crate) fn check_ring() -> Result<(), String> {
    ring::probe().map_err(|error| {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        let cure = match (disabled.as_deref().map(str::trim), error.raw_os_error()) {
            (Ok("1" | "2"), _) => "run `sysctl kernel.io_uring_disabled=0`",
            (_, Some(libc::ENOMEM)) => {
                "raise the locked-memory limit (`ulimit -l`, systemd LimitMEMLOCK=infinity)"
            }
            (_, Some(libc::EPERM | libc::EACCES)) => {
                "the container's seccomp profile forbids io_uring: use local/seccomp.json of ringmta \
                 (docker run --security-opt seccomp=seccomp.json), or allow io_uring_setup, \
                 io_uring_enter and io_uring_register"
            }
            (_, Some(libc::ENOSYS)) => "the kernel has no io_uring: use Linux 5.13 or later",
            _ => "Linux 5.13 or later with io_uring is needed",
        };
        format!("io_uring cannot be used: {error}; {cure}")
    })
}

fn load_policy(file: Option<&Path>, shared: &Arc<Shared>) -> Result<Policy, String> {
    let host = Rc::new(StartHost);
    match file {
        Some(file) => {
            Policy::load(file, shared.clone(), host, Mode::Run).map_err(|error| error.to_string())
        }
        None => Ok(Policy::empty(shared.clone(), host)),
    }
}

/// Tells which key files the policy names that this user cannot read, or that hold no key: the first message that is to be
/// signed would tell it too late.
fn tell_unusable_keys(file: Option<&Path>) {
    for Finding { file, line, text, .. } in file.map(unusable_keys).unwrap_or_default() {
        tracing::warn!("{file}:{line}: key file {text}");
    }
}

/// The addresses of all listeners, ESMTP before HTTP.
fn listens(init: &InitConfig) -> impl Iterator<Item = &String> {
    let smtp = init.esmtp_listeners.iter().map(|listener| &listener.listen);
    smtp.chain(init.http_listeners.iter().map(|listener| &listener.listen))
}

/// The same with what each comes to, to be changed.
fn listens_mut(init: &mut InitConfig) -> Result<Vec<(SocketAddr, &mut String)>, String> {
    let smtp = init.esmtp_listeners.iter_mut().map(|listener| &mut listener.listen);
    let http = init.http_listeners.iter_mut().map(|listener| &mut listener.listen);
    smtp.chain(http).map(|listen| Ok((ringmta_policy::listen_address(listen)?, listen))).collect()
}

fn spool_paths(init: &InitConfig, relaxed: bool) -> Result<SpoolPaths, String> {
    let find = |name: &str| {
        let found = init.spools.iter().find(|spool| spool.name == name);
        let path = found.map(|spool| &spool.path).ok_or_else(|| {
            format!("the policy defines no spool `{name}`: call kumo.define_spool in init")
        })?;
        // The executor opens folders by whole paths only.
        std::path::absolute(path).map_err(|error| format!("spool {}: {error}", path.display()))
    };
    Ok(SpoolPaths::new(find("data")?, find("meta")?, !relaxed))
}

/// Name of this host, as the kernel has it.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_string())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

fn start_shards(process: Arc<Process>, cores: &[usize], held: Held) -> Result<Engine, String> {
    let exporter = process.spans.clone().map(Exporter::start).transpose();
    let exporter = exporter.map_err(|error| format!("no thread for traces: {error}"))?;
    let mut engine = Engine {
        process,
        sockets: Vec::new(),
        recovered: 0,
        threads: Vec::new(),
        exporter,
        _held: held,
    };
    match engine.start_threads(cores) {
        Ok(()) => Ok(engine),
        Err(why) => {
            engine.stop();
            Err(why)
        }
    }
}

impl Engine {
    fn start_threads(&mut self, cores: &[usize]) -> Result<(), String> {
        let shards = self.process.shards;
        let mut waiting = Vec::new();
        for index in 0..shards {
            let (sender, receiver) = oneshot::channel();
            let process = self.process.clone();
            // More shards than cores cannot have a core each.
            let core = (shards <= cores.len()).then(|| cores[index % cores.len()]);
            let thread = ring::run_shard(&format!("shard-{index}"), core, move || {
                core::run(process, index, sender)
            });
            self.threads.push(thread.map_err(|error| format!("shard {index}: {error}"))?);
            waiting.push(receiver);
        }
        for receiver in waiting {
            self.recovered += block_on(receiver).map_err(|_| {
                "a shard's ring could not be set up; raise the locked-memory limit \
                 (`ulimit -l`, systemd LimitMEMLOCK=infinity)"
            })??;
        }
        Ok(())
    }

    fn open(&mut self, sockets: Vec<Sockets>) -> Result<(), String> {
        for (shard, sockets) in sockets.into_iter().enumerate() {
            let (sender, receiver) = oneshot::channel();
            let letter = Letter::Open(sockets, sender);
            let sent = self.process.inboxes[shard].send(letter).is_ok();
            let opened = if sent { block_on(receiver).ok() } else { None };
            match opened {
                Some(Ok(lines)) if shard == 0 => self.sockets = lines,
                Some(Ok(_)) => {}
                Some(Err(why)) => {
                    self.stop();
                    return Err(why);
                }
                None => {
                    self.stop();
                    return Err(format!("shard {shard} did not come up"));
                }
            }
        }
        self.process.ready.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Stops every shard: what is in flight is finished within its time, the rest stays durable. A shard
    /// that does not end within [`limits::STOP_JOIN_MS`] (a handler that never lets go of its thread) is left
    /// to the end of the process: what it has acknowledged is on disk.
    pub fn stop(&mut self) {
        let end = std::time::Instant::now() + Duration::from_millis(limits::STOP_JOIN_MS);
        let pause = Duration::from_millis(limits::STOP_ASK_MS);
        self.process.ready.store(false, Ordering::Relaxed);
        let mut untold: Vec<&Inbox> = self.process.inboxes.iter().collect();
        // A letter box may be full for a moment.
        while !untold.is_empty() && std::time::Instant::now() < end {
            untold.retain(|inbox| inbox.send(Letter::Stop).is_err());
            if !untold.is_empty() {
                std::thread::sleep(pause);
            }
        }
        while self.threads.iter().any(|thread| !thread.is_finished())
            && std::time::Instant::now() < end
        {
            std::thread::sleep(pause);
        }
        for thread in self.threads.drain(..) {
            let name = thread.thread().name().unwrap_or("a shard").to_string();
            if !thread.is_finished() {
                tracing::error!("{name} does not end: it is left behind, with what it was doing");
                continue;
            }
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("{name}: {error}"),
                Err(_) => tracing::error!("{name} has panicked"),
            }
        }
        self.exporter = None;
    }

    /// Loads the policy anew on every shard.
    ///
    /// # Errors
    /// What is wrong with it; then the policy in force stays, on every shard.
    pub fn reload(&self) -> Result<(), String> {
        let (sender, answer) = oneshot::channel();
        let first = self.process.inboxes.first().ok_or("there is no shard")?;
        first.send(Letter::Reload(sender)).map_err(|_| "the first shard takes no letters")?;
        block_on(answer).map_err(|_| "the first shard did not answer")?
    }
}

/// What the policy may ask for while `init` runs, before there is any shard.
pub struct StartHost;

impl Host for StartHost {
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        // Nothing else runs on this thread yet: it may as well wait here.
        Box::pin(async move { std::thread::sleep(duration) })
    }
    fn now_unix_nanos(&self) -> u64 {
        ringmta_io::unix_nanos()
    }
    fn now_monotonic_nanos(&self) -> u64 {
        ringmta_io::mono_nanos()
    }
    fn spawn(&self, _task: LocalBoxFuture<'static, ()>) {
        tracing::error!("the policy started a task while init ran; it is not run");
    }
    fn new_message_id(&self) -> MessageId {
        ringmta_smtp::ids::IdSource::new(0).next().0
    }
    fn load_body(&self, _id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        Box::pin(async { Err("the spool is not open during init".to_string()) })
    }
    fn inject(&self, _message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("mail cannot be injected during init".to_string()) })
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        // As with sleep: it may as well wait here.
        Box::pin(async move { questions::ask_blocking(&question) })
    }
    fn dns_blocking(&self, question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(move || questions::ask_blocking(&question))
    }
    fn shard(&self) -> usize {
        0
    }
}
