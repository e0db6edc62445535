//! Makes messages durable, and hands them to their queues.

use crate::limits;
use crate::origin::ClientSession;
use crate::received::record_reception;
use crate::reports::Report;
use crate::room::refusal_of;
use ringmta_io::{deadline, mono_nanos};
use ringmta_policy::{HeaderBlock, Message};
use ringmta_shard::entry;
use ringmta_shard::state::Shard;
use ringmta_shard::trace::Seen;
use ringmta_smtp::reply::Refusal;
use ringmta_spool::location::Location;
use serde_json::{json, Value};
use std::rc::Rc;
use std::time::Duration;

/// Stores messages that did not come over SMTP, and queues them.
///
/// # Errors
/// Why they could not be stored.
pub async fn store_and_queue(shard: &Rc<Shard>, messages: Vec<Message>) -> Result<(), Refusal> {
    let mut stored = Stored::new(shard);
    stored.add_all(messages).await?;
    stored.queue(None, &[]);
    Ok(())
}

/// Stores messages that did not come over SMTP and share no fate, and queues those that are stored. One result for each, in
/// order.
pub async fn store_each(shard: &Rc<Shard>, messages: Vec<Message>) -> Vec<Result<(), Refusal>> {
    let mut stored = Stored::new(shard);
    let mut results: Vec<_> = messages.iter().map(|_| Ok(())).collect();
    let wait = Duration::from_secs(limits::STORE_WAIT_SECS);
    match deadline(wait, stored.add(messages)).await {
        Ok(refused) => {
            for (at, refusal) in refused {
                results[at] = Err(refusal);
            }
            stored.queue(None, &[]);
        }
        Err(_) => {
            tracing::error!("the disk has not answered for {wait:?}");
            results.fill(Err(Refusal::SpoolFailed));
        }
    }
    results
}

/// Messages on stable storage that nobody has taken over yet: dropped, they are let go, so that one whose sender was told
/// otherwise is not found by the next start.
pub struct Stored<'s> {
    shard: &'s Rc<Shard>,
    messages: Vec<(Message, Location)>,
    /// Those that a policy has sent to the queue `null`: they are taken, recorded, and gone.
    dropped: Vec<Message>,
    /// Of so many of them only the header is in memory, for their records.
    thin: usize,
}

impl<'s> Stored<'s> {
    /// None yet.
    pub fn new(shard: &'s Rc<Shard>) -> Stored<'s> {
        Stored { shard, messages: Vec::new(), dropped: Vec::new(), thin: 0 }
    }

    /// Stores `messages`, all in one go, but for those of the queue `null`, which is where a policy sends what it wants
    /// dropped. Gives back why some could not be, each with its number.
    async fn add(&mut self, messages: Vec<Message>) -> Vec<(usize, Refusal)> {
        let mut commits = Vec::with_capacity(messages.len());
        let mut refused = Vec::new();
        for (at, message) in messages.into_iter().enumerate() {
            if message.meta_str("queue", |queue| queue == Some("null")) {
                self.dropped.push(message);
                continue;
            }
            let body = message.body().unwrap_or_default();
            match self.shard.spool.store(&message, &body) {
                Ok(commit) => commits.push((at, message, commit)),
                Err(error) => refused.push((at, refusal_of(&error))),
            }
        }
        let (began, count) = (mono_nanos(), commits.len());
        self.messages.reserve(count);
        for (at, message, commit) in commits {
            match commit.await {
                Ok(place) => self.messages.push((message, place)),
                Err(error) => refused.push((at, refusal_of(&error))),
            }
        }
        if count > 0 {
            let micros = (mono_nanos() - began) / 1000;
            self.shard.metrics.save_micros.borrow_mut().note(micros);
        }
        refused
    }

    /// Stores `messages`, which share one fate.
    ///
    /// # Errors
    /// Why one of them could not be stored; then all of them are let go.
    pub async fn add_all(&mut self, messages: Vec<Message>) -> Result<(), Refusal> {
        // What was stored is let go with `self`: the client will send all of it again.
        match self.add(messages).await.into_iter().next() {
            Some((_, refusal)) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Stores a part of a transaction and lets its bodies go from memory; those of reports are still needed.
    ///
    /// # Errors
    /// As [`Stored::add_all`].
    pub async fn stage(
        &mut self,
        messages: Vec<Message>,
        reports: &[(Message, Report)],
    ) -> Result<(), Refusal> {
        debug_assert_eq!(self.thin, self.messages.len());
        self.add_all(messages).await?;
        let stored = self.messages[self.thin..].iter().map(|(message, _)| message);
        for message in stored.chain(&self.dropped) {
            let (size, body) = (message.body_size(), message.body().unwrap_or_default());
            if !reports.iter().any(|(report, _)| report.same(message)) {
                let header = HeaderBlock::new(&body).body_start().min(body.len());
                message.restore_body(Rc::new(body[..header].to_vec()));
                message.set_body_size(size);
            }
        }
        self.thin = self.messages.len();
        Ok(())
    }

    /// Hands all of them to their queues.
    pub fn queue(mut self, source: Option<&ClientSession<'_>>, reports: &[(Message, Report)]) {
        let shard = self.shard;
        let thin = self.thin;
        for message in self.dropped.drain(..).filter(|_| source.is_some()) {
            shard.metrics.received_smtp.inc();
            record_reception(shard, &message, "null", source);
        }
        for (number, (message, at)) in std::mem::take(&mut self.messages).into_iter().enumerate() {
            message.clear_changes();
            let counter = match source {
                Some(_) => &shard.metrics.received_smtp,
                None => &shard.metrics.received_http,
            };
            counter.inc();
            let queue = message.queue_name().to_string();
            record_reception(shard, &message, &queue, source);
            if let (true, Some(source)) = (shard.trace.incoming(), source) {
                let is_report = reports.iter().any(|(report, _)| report.same(&message));
                tell_disposition(shard, source, (&message, is_report), &queue);
            }
            if number < thin {
                message.drop_body();
            }
            entry::accept(shard, message, &queue, at);
        }
    }
}

impl Drop for Stored<'_> {
    fn drop(&mut self) {
        for (_, at) in self.messages.drain(..) {
            self.shard.spool.done(at);
        }
    }
}

/// What was decided about a message, for those who watch its session.
fn tell_disposition(
    shard: &Shard,
    source: &ClientSession<'_>,
    (message, is_report): (&Message, bool),
    queue: &str,
) {
    // It is being queued: what was logged of it is relayed as well.
    let logged = if is_report { "LogThenRelay" } else { "Ignore" };
    let to: Vec<String> = message.recipients().iter().map(|to| to.email().to_string()).collect();
    let told = json!({"MessageDisposition": {
        "id": message.id().to_string(),
        "sender": message.sender().email(),
        "recipient": to,
        "queue": queue,
        "meta": message.meta(|meta| Value::Object(meta.clone())),
        "relay": true,
        "log_arf": logged,
        "log_oob": logged,
        "was_arf_or_oob": is_report,
        "will_enqueue": true,
    }});
    shard.trace.tell(false, &source.meta.snapshot(), &Seen::Told(told));
}
