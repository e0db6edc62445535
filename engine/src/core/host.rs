//! What a policy may ask of its shard, and the policy loaded with it.

use super::policy_http::PolicyHttp;
use super::stages::Core;
use crate::control;
use futures::future::LocalBoxFuture;
use ringmta_accept::{inject, store};
use ringmta_egress::questions;
use ringmta_events::metrics::Step;
use ringmta_events::spans::{trail, SpanKind};
use ringmta_io::{self as io, mono_nanos};
use ringmta_policy::{
    ApiCall, DnsFailure, DnsQuestion, DnsResult, Host, HttpClient, HttpOptions, Message, MessageId,
    Mode, Policy, PolicyError, Work,
};
use ringmta_shard::{places, Shard};
use ringmta_smtp::ids::IdSource;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Where the core of a host is, once it is put together.
pub(super) type Slot = Rc<RefCell<Weak<Core>>>;

/// Loads the policy file anew and puts it in force. On failure the one in force stays.
///
/// # Errors
/// What is wrong with it.
pub(super) fn load_policy(core: &Rc<Core>) -> Result<(), PolicyError> {
    prepare_policy(core)?;
    core.shard.take_policy();
    Ok(())
}

/// Loads the policy file anew and keeps it aside. A shard does nothing else meanwhile: what that costs is counted and
/// logged.
///
/// # Errors
/// What is wrong with it.
pub(super) fn prepare_policy(core: &Rc<Core>) -> Result<(), PolicyError> {
    let shard = &core.shard;
    let cell = &shard.context.policy;
    cell.prepare(None);
    let Some(file) = &shard.process.policy_file else { return Ok(()) };
    let host = Rc::new(ShardHost(Rc::new(RefCell::new(Rc::downgrade(core)))));
    let shared = shard.process.policy_shared.clone();
    let began = mono_nanos();
    let policy = Policy::load(file, shared, host, Mode::Run);
    cell.loads.note(shard.index, Duration::from_nanos(mono_nanos() - began), policy.is_ok());
    cell.prepare(Some(policy?));
    Ok(())
}

/// What a policy may ask of its shard.
pub(super) struct ShardHost(pub(super) Slot);

impl ShardHost {
    fn core(&self) -> Option<Rc<Core>> {
        self.0.borrow().upgrade()
    }

    fn shard(&self) -> Option<Rc<Shard>> {
        self.core().map(|core| core.shard.clone())
    }
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
        match ShardHost::shard(self) {
            Some(shard) => shard.context.ids.next().0,
            // Only while the shard is being made, before any message can be.
            None => IdSource::new(0).next().0,
        }
    }
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        let shard = ShardHost::shard(self);
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            let at = control::inspect::find(&shard, id).await.ok_or("no such message")?;
            let message = places::load(&shard, at, id).await?;
            message.body().ok_or_else(|| "the message has no body".to_string())
        })
    }
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        let shard = ShardHost::shard(self);
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            store::store_and_queue(&shard, vec![message])
                .await
                .map_err(|refusal| refusal.reply().text.into_owned())
        })
    }
    fn handled(&self, event: &str, nanos: u64, failure: Option<&PolicyError>) {
        if let Some(part) = trail::begin() {
            let attributes = vec![("event", event.into())];
            let error = failure.map(ToString::to_string);
            part.since(nanos).end(("handler", SpanKind::Internal), attributes, error);
        }
        if let Some(shard) = ShardHost::shard(self) {
            shard.metrics.handled(event, nanos);
        }
    }
    fn worked(&self, work: Work, nanos: u64) {
        let step = match work {
            Work::DkimSign => Step::DkimSign,
            Work::DkimKey => Step::DkimKey,
            Work::DkimSigner => Step::DkimSigner,
        };
        if let Some(shard) = ShardHost::shard(self) {
            shard.metrics.took(step, true, nanos / 1000);
        }
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        let core = self.core();
        Box::pin(async move {
            let gone = || DnsFailure::Failed("the shard is stopping".into());
            let egress = core.ok_or_else(gone)?.egress.clone();
            match &question.servers {
                Some(servers) => {
                    questions::ask(&egress.named_resolvers.get(servers), &question).await
                }
                None => questions::ask(&egress.resolver, &question).await,
            }
        })
    }
    fn dns_blocking(&self, question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(move || questions::ask_blocking(&question))
    }
    fn http_client(&self, options: HttpOptions) -> Option<Rc<dyn HttpClient>> {
        let shard = ShardHost::shard(self)?;
        Some(Rc::new(PolicyHttp::new(&shard.process, options)))
    }
    fn api(&self, call: ApiCall) -> LocalBoxFuture<'static, Result<serde_json::Value, String>> {
        let shard = ShardHost::shard(self);
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            control::policy_calls::answer(&shard, call).await
        })
    }
    fn build(
        &self,
        request: serde_json::Value,
    ) -> LocalBoxFuture<'static, Result<Vec<Message>, String>> {
        let shard = ShardHost::shard(self);
        Box::pin(async move {
            let shard = shard.ok_or("the shard is stopping")?;
            inject::build_value(&shard, request).await
        })
    }
    fn shard(&self) -> usize {
        ShardHost::shard(self).map_or(0, |shard| shard.index)
    }
}
