//! A VM made: its limits, the modules a policy finds in it, and the policy's file read into it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use mlua::{Lua, LuaOptions, StdLib, Table};

use super::{confined, extras};
use crate::families::plain_forms::set_plain_forms;
use crate::families::register::kumo_module;
#[cfg(feature = "sqlite")]
use crate::families::sqlite;
use crate::families::{redis, refused};
use crate::host::Host;
use crate::limits::{COROUTINE_POOL_SIZE, MAX_VM_BYTES};
use crate::process::shared::Shared;
use crate::vm::context::{Ctx, Mode, Phase};
use crate::vm::error::PolicyError;
use crate::vm::machine::Vm;
use crate::vm::patterns;

/// Counts the VMs of the process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Vm {
    /// A VM with the modules of the contract, without a policy.
    pub fn new(shared: Arc<Shared>, host: Rc<dyn Host>, mode: Mode) -> mlua::Result<Rc<Vm>> {
        set_plain_forms();
        let options = LuaOptions::new().thread_pool_size(COROUTINE_POOL_SIZE);
        let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
        lua.set_memory_limit(MAX_VM_BYTES)?;
        let ctx = Rc::new(Ctx {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            shared,
            host,
            handlers: RefCell::default(),
            handled_lengths: Cell::new(0),
            init: RefCell::default(),
            phase: Cell::new(Phase::Loading),
            slice: Rc::default(),
            validation_failed: Cell::new(false),
            mode,
            policy_file: RefCell::default(),
            said: RefCell::default(),
            problems: RefCell::default(),
            registrars: RefCell::default(),
        });
        lua.set_app_data(ctx.clone());
        // A script has nobody else to keep waiting.
        if mode != Mode::Script {
            ctx.slice.install(&lua)?;
            patterns::install(&lua, &ctx.slice)?;
        }
        let module = kumo_module(&lua, &ctx)?;
        lua.register_module("kumo", module)?;
        lua.register_module("redis", redis::lua::module(&lua)?)?;
        #[cfg(feature = "sqlite")]
        lua.register_module("sqlite", sqlite::module(&lua)?)?;
        for name in refused::MODULES {
            lua.register_module(name, refused::module(&lua, name)?)?;
        }
        extras::register(&lua)?;
        confined::install(&lua)?;
        lua.globals().set("_VALIDATING_CONFIG", mode == Mode::Validate)?;
        let vm = Rc::new(Vm { lua, ctx });
        vm.lua.set_app_data(Rc::downgrade(&vm));
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
