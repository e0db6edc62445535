//! Brings an engine up: checks the machine, runs the policy's `init`, starts the shards, opens
//! the listeners when all of them have recovered, and stops them again.

use crate::certificates::ListenerTls;
use crate::diagnostics;
use crate::egress::{mta_sts, questions};
use crate::io::{memory, ring, tls, Listener, ReservedPort};
use crate::limits;
use crate::mesh::{Inbox, Letter};
use crate::process::Process;
use crate::shard;
use crate::spool::partition::SpoolPaths;
use crate::spool::version;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use ringmta_policy::{
    DnsQuestion, DnsResult, Host, InitConfig, Message, MessageId, Mode, Policy, Shared,
};
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
    /// User to become once the sockets are bound.
    pub user: Option<String>,
    /// AUTH may be used without TLS.
    pub auth_in_clear: bool,
    /// Do not wait for stable storage.
    pub relaxed: bool,
    /// Bytes that may be in the course of being received; a quarter of the memory when not given.
    pub receive_memory: Option<usize>,
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
    _held: Held,
}

/// What an engine keeps to itself for its life: its spool's lock, and ports it chose.
type Held = (std::fs::File, Vec<ReservedPort>);

/// Starts an engine. Each failure is one line that names the cause and the cure.
///
/// # Errors
/// That line.
pub fn start(options: &Options) -> Result<Engine, String> {
    check_ring()?;
    tracing::info!("{}", ringmta_policy::trust::told()?);
    if let Some(bytes) = options.receive_memory {
        crate::accept::memory::set_limit(bytes);
    }
    let shared = Shared::new(limits::HELPER_THREADS);
    let cores = ring::cores();
    let shards = options.shards.unwrap_or(cores.len()).clamp(1, limits::SHARDS_MAX);
    ring::rlimits();
    memory::keep_a_while();
    let policy = load_policy(options.policy.as_deref(), &shared)?;
    let mut init = block_on(policy.run_init()).map_err(|error| error.to_string())?;
    if let Some(filter) = &init.diagnostic_log_filter {
        diagnostics::set_filter(filter)
            .map_err(|why| format!("kumo.set_diagnostic_log_filter: {why}"))?;
    }
    let ports = resolve_ports(&mut init)?;
    let spool = spool_paths(&init, options.relaxed)?;
    version::refuse_newer(&spool)?;
    let lock = lock_spool(&spool)?;
    let hostname = hostname();
    let of_smtp = |of| ListenerTls::of_smtp(&policy, of, &hostname).map(Some);
    let smtp_tls = init.esmtp_listeners.iter().map(of_smtp).collect::<Result<_, _>>()?;
    let of_http = |of| ListenerTls::of_http(&policy, of, &hostname);
    let http_tls = init.http_listeners.iter().map(of_http).collect::<Result<_, _>>()?;
    let process = Process {
        shards,
        hostname,
        node_id: node_id(&spool.meta),
        policy_file: options.policy.clone(),
        policy_shared: shared,
        limits: crate::egress::lease::Registry::default(),
        inboxes: (0..shards).map(|_| Inbox::default()).collect(),
        sessions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        listener_sessions: init.esmtp_listeners.iter().map(|_| AtomicU64::new(0)).collect(),
        smtp_tls,
        http_tls,
        tls_verify: tls::client_config(true)?,
        tls_any: tls::client_config(false)?,
        http_agent: mta_sts::fetch::agent(),
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
    let mut engine = start_shards(Arc::new(process), &cores, (lock, ports))?;
    engine.open(options.user.as_deref())?;
    Ok(engine)
}

fn check_ring() -> Result<(), String> {
    ring::probe().map_err(|error| {
        let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
        let cure = match (disabled.as_deref().map(str::trim), error.raw_os_error()) {
            (Ok("1" | "2"), _) => "run `sysctl kernel.io_uring_disabled=0`",
            (_, Some(libc::ENOMEM)) => {
                "raise the locked-memory limit (`ulimit -l`, systemd LimitMEMLOCK=infinity)"
            }
            (_, Some(libc::EPERM | libc::EACCES)) => {
                "the container's seccomp profile forbids io_uring: allow io_uring_setup, \
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

/// Settles which port 0 becomes, and refuses an address where someone listens: our shards share
/// theirs, so the system would let two engines share one and give each a part of the mail. Gives the
/// ports chosen, to be kept.
fn resolve_ports(init: &mut InitConfig) -> Result<Vec<ReservedPort>, String> {
    let mut chosen = Vec::new();
    let smtp = init.esmtp_listeners.iter_mut().map(|listener| &mut listener.listen);
    let http = init.http_listeners.iter_mut().map(|listener| &mut listener.listen);
    for listen in smtp.chain(http) {
        let addr = ringmta_policy::listen_address(listen)?;
        *listen = addr.to_string();
        if addr.port() == 0 {
            let failed = |error: std::io::Error| cannot_listen(addr, &error);
            let port = ReservedPort::choose(addr).map_err(failed)?;
            *listen = port.addr().map_err(failed)?.to_string();
            chosen.push(port);
        } else if is_taken(addr) {
            return Err(cannot_listen(addr, &std::io::ErrorKind::AddrInUse.into()));
        }
    }
    Ok(chosen)
}

/// Whether someone goes on listening there. The sockets of an engine that was killed a moment ago go
/// only when the kernel has taken its rings down.
fn is_taken(addr: SocketAddr) -> bool {
    let end = std::time::Instant::now() + Duration::from_millis(limits::PORT_FREE_MS);
    while someone_listens(addr) {
        if std::time::Instant::now() >= end {
            return true;
        }
        std::thread::sleep(Duration::from_millis(limits::PORT_ASK_MS));
    }
    false
}

/// Asked by connecting, not by binding: a bind is also refused for a minute after a stop, by the
/// connections in TIME_WAIT.
fn someone_listens(addr: SocketAddr) -> bool {
    let mut target = addr;
    if addr.ip().is_unspecified() {
        target.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    std::net::TcpStream::connect_timeout(&target, Duration::from_millis(300)).is_ok()
}

/// Binds one shard's socket to `listen`.
///
/// # Errors
/// One line that names cause and cure.
pub fn bind(listen: &str) -> Result<(Listener, SocketAddr), String> {
    let addr: SocketAddr = listen.parse().map_err(|error| format!("{listen}: {error}"))?;
    let listener = Listener::bind(addr).map_err(|error| cannot_listen(addr, &error))?;
    let local = listener.local_addr().map_err(|error| cannot_listen(addr, &error))?;
    Ok((listener, local))
}

/// One line on why an address cannot be had.
pub fn cannot_listen(addr: SocketAddr, error: &std::io::Error) -> String {
    let cure = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("another program has port {}: stop it or choose another port", addr.port())
        }
        std::io::ErrorKind::PermissionDenied => format!(
            "port {} is privileged: start as root with --user, or give the binary \
             CAP_NET_BIND_SERVICE",
            addr.port()
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this host", addr.ip())
        }
        _ => "check the address".into(),
    };
    format!("cannot listen on {addr}: {error}; {cure}")
}

fn spool_paths(init: &InitConfig, relaxed: bool) -> Result<SpoolPaths, String> {
    let find = |name: &str| {
        let found = init.spools.iter().find(|spool| spool.name == name);
        found.map(|spool| spool.path.clone()).ok_or_else(|| {
            format!("the policy defines no spool `{name}`: call kumo.define_spool in init")
        })
    };
    Ok(SpoolPaths::new(find("data")?, find("meta")?, !relaxed))
}

/// One engine per spool, and a spool that can be written: both are known before any mail comes.
fn lock_spool(spool: &SpoolPaths) -> Result<std::fs::File, String> {
    for path in [&spool.data, &spool.meta] {
        let unwritable = |error: std::io::Error| {
            format!("spool {} cannot be written: {error}; check its owner and mode", path.display())
        };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let probe = path.join(".probe");
        std::fs::write(&probe, b"probe").map_err(unwritable)?;
        std::fs::remove_file(&probe).map_err(unwritable)?;
    }
    ring::lock_file(&spool.data.join("lock")).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => format!(
            "spool {} is in use by another ringmta: stop it or name another spool folder",
            spool.data.display()
        ),
        _ => format!("spool {}: {error}", spool.data.display()),
    })
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_string())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

/// The id of this installation: from the environment, or kept beside the spool.
fn node_id(meta: &Path) -> String {
    if let Ok(id) = std::env::var("KUMO_NODE_ID") {
        return id;
    }
    let file =
        std::env::var_os("KUMO_NODE_ID_PATH").map_or_else(|| meta.join("node-id"), PathBuf::from);
    if let Ok(id) = std::fs::read_to_string(&file) {
        return id.trim().to_string();
    }
    let (a, b) = (crate::io::random_u64(), crate::io::random_u64());
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        (b >> 48) & 0x3fff | 0x8000,
        b & 0xffff_ffff_ffff
    );
    if let Err(error) = std::fs::write(&file, format!("{id}\n")) {
        tracing::warn!("node id cannot be kept in {}: {error}", file.display());
    }
    id
}

fn start_shards(process: Arc<Process>, cores: &[usize], held: Held) -> Result<Engine, String> {
    let mut engine =
        Engine { process, sockets: Vec::new(), recovered: 0, threads: Vec::new(), _held: held };
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
                shard::run(process, index, sender)
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

    fn open(&mut self, user: Option<&str>) -> Result<(), String> {
        for shard in 0..self.process.shards {
            let (sender, receiver) = oneshot::channel();
            let sent = self.process.inboxes[shard].send(Letter::Open(sender)).is_ok();
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
        if let Some(user) = user {
            let given = give_files(&self.process, user);
            if let Err(error) = given.and_then(|()| ring::become_user(user)) {
                self.stop();
                return Err(format!("--user {user}: {error}"));
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

/// Spool and logs become the user's: what was made as root could not be written any more.
fn give_files(process: &Process, user: &str) -> std::io::Result<()> {
    let (uid, gid) = ring::user_ids(user)?;
    if !ring::is_root() {
        return Ok(());
    }
    let logs = process.init.local_logs.iter().flat_map(|log| {
        let special = log.per_record.values().filter_map(|record| record.log_dir.as_deref());
        special.chain([log.log_dir.as_path()])
    });
    // A folder that holds anything but segments (`/var/log` itself?) is not ours to give.
    let ours = logs.filter(|folder| crate::events::segment::only_segments(folder));
    for folder in ours.chain([process.spool.data.as_path(), process.spool.meta.as_path()]) {
        give_tree(folder, uid, gid)?;
    }
    Ok(())
}

fn give_tree(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    use std::os::unix::fs::{lchown, MetadataExt};
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        // A shard has just recycled or renamed it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if (meta.uid(), meta.gid()) != (uid, gid) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give_tree(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// What the policy may ask for while `init` runs, before there is any shard.
pub struct StartHost;

impl Host for StartHost {
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        // Nothing else runs on this thread yet: it may as well wait here.
        Box::pin(async move { std::thread::sleep(duration) })
    }
    fn now_unix_nanos(&self) -> u64 {
        crate::io::unix_nanos()
    }
    fn now_monotonic_nanos(&self) -> u64 {
        crate::io::mono_nanos()
    }
    fn spawn(&self, _task: LocalBoxFuture<'static, ()>) {
        tracing::error!("the policy started a task while init ran; it is not run");
    }
    fn new_message_id(&self) -> MessageId {
        crate::message::id::IdSource::new(0).next().0
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
