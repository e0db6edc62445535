//! What the native functions of a VM share, and what they ask of the world outside.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Function, Lua};
use ringmta_options::init::InitConfig;

use super::finding::Finding;
use super::handler_budget::Slice;
use crate::dns::question::{DnsQuestion, DnsResult};
use crate::host::Host;
use crate::limits::MAX_SAID_LINES;
use crate::process::shared::Shared;

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

/// The bit of [`Ctx::handled_lengths`] that the name of `event` has.
fn length_bit(event: &str) -> u64 {
    1 << (event.len() % 64)
}

/// What native functions of a VM share. The Lua values it holds do not keep the VM alive.
pub(crate) struct Ctx {
    /// Number of the VM, which no other of the process has.
    pub number: u64,
    pub shared: Arc<Shared>,
    pub host: Rc<dyn Host>,
    pub handlers: RefCell<HashMap<String, Vec<Function>, NameHash>>,
    /// One bit for each length that the name of a handled event has, modulo 64.
    pub handled_lengths: Cell<u64>,
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

    /// Adds a handler of an event.
    pub fn add_handler(&self, event: String, handler: Function) {
        self.handled_lengths.set(self.handled_lengths.get() | length_bit(&event));
        self.handlers.borrow_mut().entry(event).or_default().push(handler);
    }

    /// Whether an event has a handler. Most have none, and a message asks for a dozen: their lengths tell of nearly all.
    pub fn handles(&self, event: &str) -> bool {
        self.handled_lengths.get() & length_bit(event) != 0
            && self.handlers.borrow().contains_key(event)
    }

    /// The n-th handler of an event.
    pub fn handler(&self, event: &str, n: usize) -> Option<Function> {
        self.handlers.borrow().get(event)?.get(n).cloned()
    }

    /// The handler of an event that has one: the last that was registered.
    pub fn last_handler(&self, event: &str) -> Option<Function> {
        if self.handled_lengths.get() & length_bit(event) == 0 {
            return None;
        }
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
