//! A host without an engine, and short ways to run Lua, for tests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use mlua::{IntoLuaMulti, Value};
use ringmta_mail::address::EnvelopeAddress;
use ringmta_mail::id::MessageId;
use ringmta_mail::message::{Message, Meta};

use crate::host::{ApiCall, Host};
use crate::loading::policy::Policy;
use crate::process::shared::Shared;
use crate::vm::context::Mode;
use crate::vm::error::PolicyError;
pub(crate) use crate::vm::lua_value::Object;

/// Waits longer than this never end in a test.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A host with a clock of its own: short sleeps end at once and move it.
pub(crate) struct FakeHost {
    pub now: Cell<u64>,
    pub slept: RefCell<Vec<Duration>>,
    pub tasks: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    pub bodies: RefCell<HashMap<MessageId, Rc<Vec<u8>>>>,
    pub injected: RefCell<Vec<Message>>,
    pub calls: RefCell<Vec<ApiCall>>,
}

impl FakeHost {
    pub fn new() -> Rc<FakeHost> {
        Rc::new(FakeHost {
            now: Cell::new(1_795_359_769_000_000_000),
            slept: RefCell::default(),
            tasks: RefCell::default(),
            bodies: RefCell::default(),
            injected: RefCell::default(),
            calls: RefCell::default(),
        })
    }
}

/// The trait hands out futures that own what they need.
pub(crate) struct HostHandle(pub Rc<FakeHost>);

impl Host for HostHandle {
    fn sleep(&self, d: Duration) -> LocalBoxFuture<'static, ()> {
        let host = self.0.clone();
        Box::pin(async move {
            if d > LONGEST_WAIT {
                std::future::pending::<()>().await;
            }
            host.slept.borrow_mut().push(d);
            host.now.set(host.now.get() + d.as_nanos() as u64);
        })
    }
    fn now_unix_nanos(&self) -> u64 {
        self.0.now.get()
    }
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.tasks.borrow_mut().push(task);
    }
    fn new_message_id(&self) -> MessageId {
        self.0.now.set(self.0.now.get() + 100);
        MessageId::new_v1(self.0.now.get(), 1, [2, 3, 4, 5, 6, 7])
    }
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        let body = self.0.bodies.borrow().get(&id).cloned();
        Box::pin(async move {
            // Really waits once, as a disk would.
            futures::pending_once().await;
            body.ok_or_else(|| "the body is not in the spool".to_owned())
        })
    }
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        self.0.injected.borrow_mut().push(message);
        Box::pin(async { Ok(()) })
    }
    fn api(&self, call: ApiCall) -> LocalBoxFuture<'static, Result<serde_json::Value, String>> {
        self.0.calls.borrow_mut().push(call);
        Box::pin(async { Ok(serde_json::json!({"id": "order-1"})) })
    }
    fn build(
        &self,
        request: serde_json::Value,
    ) -> LocalBoxFuture<'static, Result<Vec<Message>, String>> {
        let address = |v: &serde_json::Value| {
            EnvelopeAddress::parse(v.as_str().unwrap_or_default()).map_err(|e| e.to_string())
        };
        let built = || -> Result<Vec<Message>, String> {
            let sender = address(&request["envelope_sender"])?;
            let recipients =
                request["recipients"].as_array().ok_or("missing field `recipients`")?;
            let body = request["content"].as_str().unwrap_or_default().as_bytes().to_vec();
            let one = |r: &serde_json::Value| -> Result<Message, String> {
                let (id, to) = (self.new_message_id(), vec![address(&r["email"])?]);
                Ok(Message::new(id, sender.clone(), to, Meta::new(), Rc::new(body.clone())))
            };
            recipients.iter().map(one).collect()
        };
        let built = built();
        Box::pin(async { built })
    }
    fn shard(&self) -> usize {
        3
    }
}

mod futures {
    pub use ::futures::*;

    /// Pending once, woken at once.
    pub async fn pending_once() {
        let mut first = true;
        std::future::poll_fn(|cx| {
            if std::mem::take(&mut first) {
                cx.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(())
        })
        .await
    }
}

/// A loaded policy and its world.
pub(crate) struct World {
    pub policy: Policy,
    pub host: Rc<FakeHost>,
    pub shared: Arc<Shared>,
    pub dir: tempfile::TempDir,
}

/// Loads a policy given as text; `kumo` is required already.
pub(crate) fn try_world(code: &str, mode: Mode) -> Result<World, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("init.lua");
    std::fs::write(&path, format!("local kumo = require 'kumo' {code}")).unwrap();
    let host = FakeHost::new();
    let shared = Shared::new(2);
    let policy = Policy::load(&path, shared.clone(), Rc::new(HostHandle(host.clone())), mode)?;
    Ok(World { policy, host, shared, dir })
}

pub(crate) fn world(code: &str) -> World {
    try_world(code, Mode::Run).unwrap()
}

impl World {
    /// Fires an event and returns what the handler returned, as JSON (several results: as a list).
    pub fn fire(
        &self,
        event: &str,
        args: impl IntoLuaMulti,
    ) -> Result<serde_json::Value, PolicyError> {
        let f = self.policy.vm.ctx.last_handler(event).expect("a handler");
        let r: mlua::MultiValue = block_on(self.policy.vm.call(event, f, args))?;
        let json = |v: &Value| crate::vm::lua_value::to_json(v).unwrap();
        Ok(match r.len() {
            0 => serde_json::Value::Null,
            1 => json(&r[0]),
            _ => serde_json::Value::Array(r.iter().map(json).collect()),
        })
    }
}

/// Runs a function body in a fresh VM and returns its result as JSON.
pub(crate) fn eval(body: &str) -> serde_json::Value {
    try_eval(body).unwrap()
}

pub(crate) fn try_eval(body: &str) -> Result<serde_json::Value, PolicyError> {
    world(&format!("kumo.on('test', function() {body} end)")).fire("test", ())
}

/// The error of a function body, as text.
pub(crate) fn eval_err(body: &str) -> String {
    match try_eval(body).unwrap_err() {
        PolicyError::Lua(l) => l.message,
        other => other.to_string(),
    }
}

/// A message to `u@ok.example` with the given content.
pub(crate) fn message(content: &[u8]) -> Message {
    Message::new(
        MessageId::new_v1(1_795_359_769_000_000_000, 9, [9; 6]),
        EnvelopeAddress::parse("a@src.example").unwrap(),
        vec![EnvelopeAddress::parse("u@ok.example").unwrap()],
        Meta::new(),
        Rc::new(content.to_vec()),
    )
}
