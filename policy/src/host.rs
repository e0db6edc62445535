//! What the policy host needs from the engine.

use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use ringmta_mail::id::MessageId;
use ringmta_mail::message::Message;
use ureq::http;

use crate::dns::question::{DnsFailure, DnsQuestion, DnsResult};
use crate::vm::error::PolicyError;

/// What `kumo.api` asks of the engine; requests have the form of the HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    /// Orders in force of a kind.
    List(OrderKind),
    /// A new order.
    Place(OrderKind, serde_json::Value),
    /// Ends an order by its id.
    Delete(OrderKind, String),
    /// The metrics in their JSON form.
    Metrics,
    /// Injects mail: the body of `POST /api/inject/v1`.
    Inject(serde_json::Value),
}

/// What an operator's order does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Fails the mail of scheduled queues.
    Bounce,
    /// Holds scheduled queues.
    Suspend,
    /// Holds one ready queue.
    SuspendReadyQ,
}

/// How a client for HTTP behaves.
#[derive(Clone, Copy, Debug)]
pub struct HttpOptions {
    /// Servers may show any certificate.
    pub any_certificate: bool,
    /// A connection that was not used for so long is not used again.
    pub idle: Duration,
    /// Connections that are kept at the most.
    pub most_idle: usize,
    /// Only the status and the header of an answer count: its body is read to keep the connection, and may be too long, or cut.
    pub ignores_bodies: bool,
}

/// A client for HTTP that holds up nothing but who waits for it. It follows no redirect and knows of no proxy.
pub trait HttpClient {
    /// Sends a request, whose URI is absolute, and reads its answer of at most `most` bytes, all within `limit`.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        limit: Duration,
        most: usize,
    ) -> LocalBoxFuture<'static, Result<http::Response<Vec<u8>>, String>>;
}

/// Work that the host is told the time of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A DKIM signature.
    DkimSign,
    /// A DKIM key was read from where the policy says.
    DkimKey,
    /// A DKIM signer was made of its key.
    DkimSigner,
}

fn no_dns() -> DnsFailure {
    DnsFailure::Failed("there is no resolver here".into())
}

/// The world outside a policy, provided by the shard it runs on.
pub trait Host {
    /// Completes after the given time.
    fn sleep(&self, d: Duration) -> LocalBoxFuture<'static, ()>;
    /// Wall clock, nanoseconds of the Unix epoch.
    fn now_unix_nanos(&self) -> u64;
    /// A clock that nobody sets, the same for all shards, nanoseconds since whenever: limits go by it. A host of one
    /// clock gives that.
    fn now_monotonic_nanos(&self) -> u64 {
        self.now_unix_nanos()
    }
    /// Runs a task on this shard.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// A fresh identity.
    fn new_message_id(&self) -> MessageId;
    /// Reads a body back from the spool.
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>>;
    /// Queues a message made by the policy; completes when it is durable.
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>>;
    /// Asks the DNS. Not called while a policy is being loaded: a shard runs nothing else then.
    fn dns(&self, _question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        Box::pin(async { Err(no_dns()) })
    }
    /// The same as a job that waits on a thread of its own, for loading.
    fn dns_blocking(&self, _question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(|| Err(no_dns()))
    }
    /// A client for HTTP on this shard's own sockets; `None` where requests are left to helper threads.
    fn http_client(&self, _options: HttpOptions) -> Option<Rc<dyn HttpClient>> {
        None
    }
    /// Carries out an operator's call of `kumo.api`.
    fn api(&self, _call: ApiCall) -> LocalBoxFuture<'static, Result<serde_json::Value, String>> {
        Box::pin(async { Err("the engine is not running yet".to_owned()) })
    }
    /// Makes the messages of an injection (the body of `POST /api/inject/v1`) without injecting them.
    fn build(
        &self,
        _request: serde_json::Value,
    ) -> LocalBoxFuture<'static, Result<Vec<Message>, String>> {
        Box::pin(async { Err("there is no engine here to make messages".to_owned()) })
    }
    /// A handler of `event` has run for `nanos`, waiting included; `failure` where it has failed or refused.
    fn handled(&self, _event: &str, _nanos: u64, _failure: Option<&PolicyError>) {}
    /// Work that was done for the policy took `nanos`, whether or not it succeeded.
    fn worked(&self, _work: Work, _nanos: u64) {}
    /// Number of the shard, for log lines.
    fn shard(&self) -> usize;
}

/// No engine: for whoever only looks at a policy, or measures it. The clock is the system's; nothing is
/// stored, sent or run.
pub struct NoHost;

impl Host for NoHost {
    fn sleep(&self, _: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(async {})
    }
    fn now_unix_nanos(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    }
    fn spawn(&self, _: LocalBoxFuture<'static, ()>) {}
    fn new_message_id(&self) -> MessageId {
        MessageId::new_v1(0, 0, [0; 6])
    }
    fn load_body(&self, _: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        Box::pin(async { Err("nothing is stored".to_owned()) })
    }
    fn inject(&self, _: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("nothing is sent".to_owned()) })
    }
    fn shard(&self) -> usize {
        0
    }
}
