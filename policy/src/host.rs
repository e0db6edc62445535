//! What the policy host needs from the engine.

use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::id::MessageId;
use crate::message::Message;

/// The world outside a policy, provided by the shard it runs on.
pub trait Host {
    /// Completes after the given time.
    fn sleep(&self, d: Duration) -> LocalBoxFuture<'static, ()>;
    /// Wall clock, nanoseconds of the Unix epoch.
    fn now_unix_nanos(&self) -> u64;
    /// Runs a task on this shard.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// A fresh identity.
    fn new_message_id(&self) -> MessageId;
    /// Reads a body back from the spool.
    fn load_body(&self, id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>>;
    /// Queues a message made by the policy; completes when it is durable.
    fn inject(&self, message: Message) -> LocalBoxFuture<'static, Result<(), String>>;
    /// Number of the shard, for log lines.
    fn shard(&self) -> usize;
}
