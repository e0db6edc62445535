//! The policy of one shard: loading it and firing its events.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ringmta_mail::message::Message;
use ringmta_options::init::InitConfig;
use ringmta_options::KeySource;

use crate::host::Host;
use crate::process::shared::Shared;
use crate::vm::context::{Mode, Phase};
use crate::vm::error::PolicyError;
use crate::vm::machine::Vm;
use crate::vm::message_arguments::Lent;

/// One VM with the policy loaded into it. Cheap to clone; clones are the same VM.
#[derive(Clone)]
pub struct Policy {
    pub(crate) vm: Rc<Vm>,
}

impl Policy {
    /// Bytes that the values of its VM have.
    pub fn memory_bytes(&self) -> usize {
        self.vm.lua.used_memory()
    }

    /// Evaluates a policy file into a new VM. The error names file and line.
    pub fn load(
        path: &Path,
        shared: Arc<Shared>,
        host: Rc<dyn Host>,
        mode: Mode,
    ) -> Result<Policy, PolicyError> {
        let vm = Vm::new(shared, host, mode).map_err(|e| PolicyError::lua("load", e))?;
        vm.set_path(path).map_err(|e| PolicyError::lua("load", e))?;
        vm.ctx.policy_file.replace(path.to_owned());
        vm.eval_file(path)?;
        Ok(Policy { vm })
    }

    /// A policy without any handler.
    pub fn empty(shared: Arc<Shared>, host: Rc<dyn Host>) -> Policy {
        // Creating a bare VM fails only when memory is out, as any allocation would.
        #[allow(clippy::expect_used)]
        let vm = Vm::new(shared, host, Mode::Run).expect("memory for a Lua VM");
        vm.ctx.phase.set(Phase::Running);
        Policy { vm }
    }

    /// Fires `pre_init`, then `init`, and returns what they asked for. Once per process.
    pub async fn run_init(&self) -> Result<InitConfig, PolicyError> {
        self.vm.ctx.phase.set(Phase::Init);
        let outcome = self.fire_init().await;
        self.vm.ctx.phase.set(Phase::Running);
        outcome?;
        Ok(self.vm.ctx.init.borrow().clone())
    }

    async fn fire_init(&self) -> Result<(), PolicyError> {
        self.vm.chain_until("pre_init", (), |_| false).await?;
        self.vm.single::<()>("init", ()).await?;
        Ok(())
    }

    /// Fires `validate_config`; false when the policy called `kumo.validation_failed`.
    pub async fn run_validate(&self) -> Result<bool, PolicyError> {
        self.vm.chain_until("validate_config", (), |_| false).await?;
        Ok(!self.vm.ctx.validation_failed.get())
    }

    /// Fires `main` with the arguments of a script; false when the policy has none.
    pub async fn run_main(&self, args: Vec<String>) -> Result<bool, PolicyError> {
        let done = self.vm.single::<()>("main", mlua::Variadic::from_iter(args)).await?;
        Ok(done.is_some())
    }

    /// Fetches a key or password (file on a helper thread, data, or event of the policy).
    pub async fn load_key(&self, source: &KeySource) -> Result<Vec<u8>, PolicyError> {
        // The event may be the policy's own: run it under the same budget as any handler.
        let load = crate::families::keys::load(&self.vm.lua, source);
        match self.vm.ctx.slice.watch(load).await {
            Ok(r) => r.map_err(|e| self.vm.report("key source", &e)),
            Err(_) => Err(PolicyError::Timeout),
        }
    }

    /// Lends a message to the handlers of an event; costs nothing when there are none.
    pub(crate) fn lend(&self, event: &str, msg: &Message) -> Result<Lent, PolicyError> {
        match self.vm.handles(event) {
            true => self.vm.lend(event, msg),
            false => Ok(Lent::default()),
        }
    }

    /// Whether an event has a handler. No allocation.
    pub fn handles(&self, event: &str) -> bool {
        self.vm.handles(event)
    }

    /// The events that have handlers, sorted (for `validate`).
    pub fn handled_events(&self) -> Vec<String> {
        let mut all: Vec<String> = self.vm.ctx.handlers.borrow().keys().cloned().collect();
        all.sort();
        all
    }
}
