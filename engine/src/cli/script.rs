//! `ringmta --script FILE -- args`: a policy file run as a program, its event `main` called with the arguments.

use futures::executor::block_on;
use futures::future::LocalBoxFuture;
use ringmta_egress::questions;
use ringmta_policy::{DnsQuestion, DnsResult, Host, Message, MessageId, Mode, Policy, Shared};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Runs the script.
///
/// # Errors
/// What the script failed with, or that it has no handler for `main`.
pub fn script(file: &Path, args: &[String]) -> Result<(), String> {
    let shared = Shared::new(crate::limits::HELPER_THREADS);
    let host = Rc::new(ScriptHost(shared.clone()));
    let policy =
        Policy::load(file, shared, host, Mode::Script).map_err(|error| error.to_string())?;
    match block_on(policy.run_main(args.to_vec())) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} has no handler for the event main", file.display())),
        Err(error) => Err(error.to_string()),
    }
}

/// What a script may ask for: time, DNS and the helper threads, no mail.
struct ScriptHost(Arc<Shared>);

impl Host for ScriptHost {
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(self.0.helpers().run(move || std::thread::sleep(duration)))
    }
    fn now_unix_nanos(&self) -> u64 {
        ringmta_io::unix_nanos()
    }
    fn spawn(&self, _task: LocalBoxFuture<'static, ()>) {
        tracing::error!("a script has no tasks beside its event main; the task is not run");
    }
    fn new_message_id(&self) -> MessageId {
        ringmta_smtp::ids::IdSource::new(0).next().0
    }
    fn load_body(&self, _id: MessageId) -> LocalBoxFuture<'static, Result<Rc<Vec<u8>>, String>> {
        Box::pin(async { Err("a script has no spool".to_string()) })
    }
    fn inject(&self, _message: Message) -> LocalBoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("a script has no queues; post to the HTTP API".to_string()) })
    }
    fn dns(&self, question: DnsQuestion) -> LocalBoxFuture<'static, DnsResult> {
        Box::pin(self.0.helpers().run(move || questions::ask_blocking(&question)))
    }
    fn dns_blocking(&self, question: DnsQuestion) -> Box<dyn FnOnce() -> DnsResult + Send> {
        Box::new(move || questions::ask_blocking(&question))
    }
    fn shard(&self) -> usize {
        0
    }
}
