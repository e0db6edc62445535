//! The world of a test: a clock that moves only when asked, mail that is only remembered.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{poll_fn, LocalBoxFuture};
use ringmta_mail::id::MessageId;
use ringmta_mail::message::Message;

use crate::dns::question::{DnsFailure, DnsQuestion, DnsResult};
use crate::host::{ApiCall, Host};

/// 1 January 2027, 00:00 UTC: every test begins then.
const START_NANOS: u64 = 1_798_761_600_000_000_000;

#[derive(Default)]
struct Inner {
    now: Cell<u64>,
    ids: Cell<u64>,
    injected: RefCell<Vec<Message>>,
    tasks: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
    calls: RefCell<Vec<ApiCall>>,
}

/// Handle to one world.
#[derive(Clone)]
pub(super) struct TestHost(Rc<Inner>);

impl TestHost {
    pub fn new() -> TestHost {
        let inner = Inner { now: Cell::new(START_NANOS), ..Inner::default() };
        TestHost(Rc::new(inner))
    }

    pub fn advance(&self, d: Duration) {
        let nanos = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        self.0.now.set(self.0.now.get().saturating_add(nanos));
    }

    /// What was injected since the last time this was asked.
    pub fn take_injected(&self) -> Vec<Message> {
        self.0.injected.take()
    }

    /// Calls of `kumo.api` since the last time this was asked.
    pub fn take_calls(&self) -> Vec<ApiCall> {
        self.0.calls.take()
    }

    /// Runs a future to its end, and the policy's tasks beside it. Tasks that still wait then are dropped.
    pub async fn drive<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = std::pin::pin!(main);
        let mut running: Vec<LocalBoxFuture<'static, ()>> = Vec::new();
        poll_fn(|cx| {
            running.append(&mut self.0.tasks.borrow_mut());
            running.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            main.as_mut().poll(cx)
        })
        .await
    }
}

impl Host for TestHost {
    fn sleep(&self, d: Duration) -> LocalBoxFuture<'static, ()> {
        let this = self.clone();
        let mut waited = false;
        // Yields once, so that a task in a loop leaves the others their turn.
        Box::pin(poll_fn(move |cx| {
            if std::mem::replace(&mut waited, true) {
                return std::task::Poll::Ready(());
            }
            this.advance(d);
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }))
    }
    fn now_unix_nanos(&self) -> u64 {
        self.0.now.get()
    }
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.tasks.borrow_mut().push(task);
    }
    fn new_message_id(&self) -> MessageId {
        self.0.ids.set(self.0.ids.get() + 1);
        MessageId::new_v1(self.0.now.get() + self.0.ids.get() * 100, 0, [2, 0, 0, 0, 0, 1])
    }
    fn load_body(&self, _: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        Box::pin(async { Err("the message has no body".to_owned()) })
    }
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        self.0.injected.borrow_mut().push(message);
        Box::pin(async { Ok(()) })
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        Box::pin(async move { Err(no_dns(&question)) })
    }
    fn dns_blocking(&self, question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(move || Err(no_dns(&question)))
    }
    fn api(&self, call: ApiCall) -> LocalBoxFuture<'static, Result<serde_json::Value, String>> {
        let list = matches!(call, ApiCall::List(_));
        self.0.calls.borrow_mut().push(call);
        Box::pin(async move {
            Ok(if list { serde_json::json!([]) } else { serde_json::json!({"id": "test"}) })
        })
    }
    fn shard(&self) -> usize {
        0
    }
}

fn no_dns(question: &DnsQuestion) -> DnsFailure {
    DnsFailure::Failed(format!(
        "a test asks no servers for {}: give the answer with kumo.dns.configure_test_resolver",
        question.name
    ))
}
