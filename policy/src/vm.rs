//! One Lua VM: its context, how it is set up, how handlers are found and run.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use mlua::{
    FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table,
    Value,
};

use crate::conn_meta::ConnMeta;
use crate::dns::{DnsQuestion, DnsResult};
use crate::error::{from_lua, PolicyError};
use crate::host::Host;
use crate::init::InitConfig;
use crate::lent::Lent;
use crate::limits::{COROUTINE_POOL_SIZE, MAX_SAID_LINES, MAX_SLICE_TIME, MAX_VM_BYTES};
use crate::message::Message;
use crate::shared::Shared;
use crate::slice::{Overrun, Slice};
use crate::validate::Finding;
use crate::{extras, kumo};

/// What a policy is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Serving mail.
    Run,
    /// Checking a policy: `_VALIDATING_CONFIG` is true.
    Validate,
    /// Running the policy as a script: its `main` event.
    Script,
}

/// Where a VM is in its life; some calls are only allowed at some points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Loading,
    Init,
    Running,
}

/// Hashes event names. They come from the policy, not from strangers: quick matters, keyed does not.
pub(crate) type NameHash = BuildHasherDefault<NameHasher>;

/// A multiplicative hash over words.
#[derive(Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// What native functions of a VM share. The Lua values it holds do not keep the VM alive.
pub(crate) struct Ctx {
    /// Number of the VM, which no other of the process has.
    pub number: u64,
    pub shared: Arc<Shared>,
    pub host: Rc<dyn Host>,
    pub handlers: RefCell<HashMap<String, Vec<Function>, NameHash>>,
    pub init: RefCell<InitConfig>,
    pub phase: Cell<Phase>,
    pub slice: Rc<Slice>,
    pub validation_failed: Cell<bool>,
    pub mode: Mode,
    /// The file the policy was read from.
    pub policy_file: RefCell<PathBuf>,
    /// What the policy has said while it is validated.
    pub said: RefCell<Vec<String>>,
    /// Everything wrong that was found so far; only filled while validating.
    pub problems: RefCell<Vec<Finding>>,
    /// Where the handlers of an event were registered.
    pub registrars: RefCell<HashMap<String, Vec<String>, NameHash>>,
    pub vm: RefCell<Weak<Vm>>,
}

impl Ctx {
    /// Keeps what the policy says for the report of a validation; there is nobody else who would hear it.
    pub fn note_said(&self, level: &str, text: impl FnOnce() -> String) {
        let mut said = self.said.borrow_mut();
        if self.mode == Mode::Validate && said.len() < MAX_SAID_LINES {
            said.push(format!("{level}{}", text()));
        }
    }

    /// Fails unless `pre_init` or `init` is running.
    pub fn require_init(&self, call: &str) -> mlua::Result<()> {
        if self.phase.get() == Phase::Init {
            return Ok(());
        }
        Err(mlua::Error::runtime(format!(
            "kumo.{call} can only be called while `pre_init` or `init` is handled"
        )))
    }

    /// Waits. While a policy is being loaded its shard serves nobody and runs no timers: a helper thread keeps the time.
    pub async fn sleep(&self, d: Duration) {
        match self.phase.get() {
            Phase::Loading => self.shared.helpers().run(move || std::thread::sleep(d)).await,
            _ => self.host.sleep(d).await,
        }
    }

    /// Asks the DNS: the zones of a test when there are some, else the engine's resolver.
    pub async fn dns(&self, question: DnsQuestion) -> DnsResult {
        if let Some(zones) = self.shared.zones() {
            return zones.answer(&question);
        }
        self.ask_host(question).await
    }

    /// Asks name servers, by way of the engine.
    pub async fn ask_host(&self, question: DnsQuestion) -> DnsResult {
        match self.phase.get() {
            Phase::Loading => self.shared.helpers().run(self.host.dns_blocking(question)).await,
            _ => self.host.dns(question).await,
        }
    }

    /// Fires an event of the policy's own: when the engine is up if asked for at start-up, otherwise now.
    pub fn spawn_task(&self, event: String, args: serde_json::Value) {
        if self.phase.get() != Phase::Running {
            self.init.borrow_mut().spawn_tasks.push((event, args));
            return;
        }
        let vm = self.vm.borrow().clone();
        let task = async move {
            if let Some(vm) = vm.upgrade() {
                // A failure was logged where it happened.
                let _ = crate::policy::Policy { vm }.call_user_event(&event, args).await;
            }
        };
        self.host.spawn(Box::pin(task));
    }

    /// The n-th handler of an event.
    pub fn handler(&self, event: &str, n: usize) -> Option<Function> {
        self.handlers.borrow().get(event)?.get(n).cloned()
    }

    /// The handler of an event that has one: the last that was registered.
    pub fn last_handler(&self, event: &str) -> Option<Function> {
        self.handlers.borrow().get(event)?.last().cloned()
    }

    pub fn shard(&self) -> usize {
        self.host.shard()
    }
}

/// The context of a VM, for methods that are registered once per type.
pub(crate) fn ctx(lua: &Lua) -> mlua::Result<Rc<Ctx>> {
    let ctx = lua.app_data_ref::<Rc<Ctx>>().map(|c| Rc::clone(&c));
    ctx.ok_or_else(|| mlua::Error::runtime("the VM has no context"))
}

/// Counts the VMs of the process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A connection's metadata on the way into a VM.
pub(crate) struct ConnArg<'a> {
    conn: &'a ConnMeta,
    vm: u64,
}

impl IntoLua for ConnArg<'_> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let object = self.conn.object(self.vm, |conn| lua.create_any_userdata(conn))?;
        Ok(Value::UserData(object))
    }
}

/// The VM with its context.
pub(crate) struct Vm {
    pub lua: Lua,
    pub ctx: Rc<Ctx>,
}

impl Vm {
    pub fn new(shared: Arc<Shared>, host: Rc<dyn Host>, mode: Mode) -> mlua::Result<Rc<Vm>> {
        let options = LuaOptions::new().thread_pool_size(COROUTINE_POOL_SIZE);
        let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
        lua.set_memory_limit(MAX_VM_BYTES)?;
        let ctx = Rc::new(Ctx {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            shared,
            host,
            handlers: RefCell::default(),
            init: RefCell::default(),
            phase: Cell::new(Phase::Loading),
            slice: Rc::default(),
            validation_failed: Cell::new(false),
            mode,
            policy_file: RefCell::default(),
            said: RefCell::default(),
            problems: RefCell::default(),
            registrars: RefCell::default(),
            vm: RefCell::default(),
        });
        lua.set_app_data(ctx.clone());
        // A script has nobody else to keep waiting.
        if mode != Mode::Script {
            ctx.slice.install(&lua)?;
        }
        let module = kumo::build(&lua, &ctx)?;
        lua.register_module("kumo", module)?;
        lua.register_module("redis", kumo::redis_lua::module(&lua)?)?;
        #[cfg(feature = "sqlite")]
        lua.register_module("sqlite", kumo::sqlite::module(&lua)?)?;
        for name in kumo::refused::MODULES {
            lua.register_module(name, kumo::refused::module(&lua, name)?)?;
        }
        extras::register(&lua)?;
        kumo::confined::install(&lua)?;
        lua.globals().set("_VALIDATING_CONFIG", mode == Mode::Validate)?;
        let vm = Rc::new(Vm { lua, ctx });
        *vm.ctx.vm.borrow_mut() = Rc::downgrade(&vm);
        Ok(vm)
    }

    /// `package.path` finds what lies beside the policy file and in the customary places.
    pub fn set_path(&self, policy: &Path) -> mlua::Result<()> {
        let folder =
            policy.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut path = String::new();
        for root in [
            folder,
            &folder.join("policy"),
            Path::new("/opt/kumomta/etc/policy"),
            Path::new(extras::SHARE),
        ] {
            let root = root.display();
            path.push_str(&format!("{root}/?.lua;{root}/?/init.lua;"));
        }
        let package: Table = self.lua.globals().get("package")?;
        let before: String = package.get("path")?;
        package.set("path", path + &before)
    }

    /// Evaluates the policy file. Runs to its end before it returns: what waits at top level makes the shard wait.
    pub fn eval_file(&self, policy: &Path) -> Result<(), PolicyError> {
        let source = std::fs::read(policy)
            .map_err(|e| PolicyError::lua("load", format!("{}: {e}", policy.display())))?;
        let chunk = self.lua.load(source).set_name(format!("@{}", policy.display()));
        let f = chunk.into_function().map_err(|e| self.report("load", &e))?;
        let run = self.call::<()>("load", f, ());
        block_on(run)?;
        self.ctx.phase.set(Phase::Running);
        Ok(())
    }

    /// Whether an event has a handler.
    pub fn handles(&self, event: &str) -> bool {
        self.ctx.handlers.borrow().contains_key(event)
    }

    /// Runs a Lua function as a coroutine, under the budget. Failures are logged here, once.
    pub async fn call<R: FromLuaMulti>(
        &self,
        event: &str,
        f: Function,
        args: impl IntoLuaMulti,
    ) -> Result<R, PolicyError> {
        match self.ctx.slice.watch(f.call_async::<R>(args)).await {
            Ok(Ok(r)) => Ok(r),
            Ok(Err(e)) => Err(self.report(event, &e)),
            Err(Overrun(place)) => {
                let shard = self.ctx.shard();
                tracing::error!(event, shard, "{place}: the handler ran for {MAX_SLICE_TIME:?} or more without waiting and was stopped");
                Err(PolicyError::Timeout)
            }
        }
    }

    /// Calls the last handler; `None` when there is none.
    pub async fn single<R: FromLuaMulti>(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
    ) -> Result<Option<R>, PolicyError> {
        match self.ctx.last_handler(event) {
            Some(f) => self.call(event, f, args).await.map(Some),
            None => Ok(None),
        }
    }

    /// Calls the handlers in order until one returns something else than nothing or nil.
    pub async fn chain(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
    ) -> Result<MultiValue, PolicyError> {
        self.chain_until(event, args, |r| r.iter().any(|v| !v.is_nil())).await
    }

    /// Calls the handlers in order until `done`.
    pub async fn chain_until(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
        done: impl Fn(&MultiValue) -> bool,
    ) -> Result<MultiValue, PolicyError> {
        let args = args.into_lua_multi(&self.lua).map_err(|e| self.report(event, &e))?;
        let mut n = 0;
        while let Some(f) = self.ctx.handler(event, n) {
            let r: MultiValue = self.call(event, f, args.clone()).await?;
            if done(&r) {
                return Ok(r);
            }
            n += 1;
        }
        Ok(MultiValue::new())
    }

    /// The connection as an argument of a handler; made into an object when there is one.
    pub fn conn<'a>(&self, conn: &'a ConnMeta) -> ConnArg<'a> {
        ConnArg { conn, vm: self.ctx.number }
    }

    /// Makes the object of a message that lives as long as a call.
    pub fn lend(&self, event: &str, msg: &Message) -> Result<Lent, PolicyError> {
        let object = self.lua.create_any_userdata(msg.clone());
        object.map(Lent::new).map_err(|e| self.report(event, &e))
    }

    /// Makes a Lua error ours and logs it if it is a failure.
    pub fn report(&self, event: &str, e: &mlua::Error) -> PolicyError {
        let ours = from_lua(event, e);
        if let PolicyError::Lua(l) = &ours {
            tracing::error!(event, shard = self.ctx.shard(), "{}", l.message);
        }
        ours
    }

    /// A failure found in what a handler returned.
    pub fn bad_result(&self, event: &str, why: impl std::fmt::Display) -> PolicyError {
        self.report(event, &mlua::Error::runtime(why))
    }
}

/// Runs a future to its end on this thread. Only for loading, before a shard serves anybody.
fn block_on<T>(fut: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut fut = std::pin::pin!(fut);
    loop {
        match fut.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(v) => return v,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
