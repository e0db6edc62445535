//! The message object handlers and the engine share: envelope, metadata, body, schedule.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use serde_json::Value;

use crate::address::EnvelopeAddress;
use crate::id::MessageId;
pub use crate::meta::Meta;
use crate::queue_name::QueueName;
use crate::schedule::Scheduling;

/// What has changed since the message was last made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A metadata value was set or removed.
    pub meta: bool,
    /// Sender or recipients were replaced.
    pub envelope: bool,
    /// The body was replaced.
    pub body: bool,
    /// Due time or attempt count was changed.
    pub schedule: bool,
    /// Delivery window, first attempt or expiry were changed.
    pub scheduling: bool,
}

impl Changes {
    /// Whether anything changed.
    pub fn any(self) -> bool {
        self.of_record() || self.schedule
    }

    /// Whether anything changed that the message's record in the spool holds; attempts and due
    /// times are in the journal.
    pub fn of_record(self) -> bool {
        self.meta || self.envelope || self.body || self.scheduling
    }
}

struct Inner {
    sender: EnvelopeAddress,
    recipients: Vec<EnvelopeAddress>,
    meta: Meta,
    body: Option<Rc<Vec<u8>>>,
    body_size: usize,
    num_attempts: u16,
    due: Option<u64>,
    scheduling: Option<Rc<Scheduling>>,
    changes: Changes,
}

/// Handle to one message; clones are the same message.
#[derive(Clone)]
pub struct Message(Rc<(MessageId, RefCell<Inner>)>);

impl Message {
    /// A new message. Nothing counts as changed yet: the caller is about to store all of it.
    pub fn new(
        id: MessageId,
        sender: EnvelopeAddress,
        recipients: Vec<EnvelopeAddress>,
        meta: Meta,
        body: Rc<Vec<u8>>,
    ) -> Message {
        let inner = Inner {
            sender,
            recipients,
            meta,
            body_size: body.len(),
            body: Some(body),
            num_attempts: 0,
            due: None,
            scheduling: None,
            changes: Changes::default(),
        };
        Message(Rc::new((id, RefCell::new(inner))))
    }

    fn inner(&self) -> Ref<'_, Inner> {
        self.0 .1.borrow()
    }

    fn change<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0 .1.borrow_mut())
    }

    /// Whether both handles are the same message.
    pub fn same(&self, other: &Message) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether this is the only handle.
    pub fn is_unshared(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    /// Its identity.
    pub fn id(&self) -> MessageId {
        self.0 .0
    }

    /// Envelope sender.
    pub fn sender(&self) -> EnvelopeAddress {
        self.inner().sender.clone()
    }

    /// Envelope recipients; usually one.
    pub fn recipients(&self) -> Vec<EnvelopeAddress> {
        self.inner().recipients.clone()
    }

    /// Reads the recipients without copying the list. `f` must not change the message.
    pub fn with_recipients<R>(&self, f: impl FnOnce(&[EnvelopeAddress]) -> R) -> R {
        f(&self.inner().recipients)
    }

    /// Replaces the envelope sender.
    pub fn set_sender(&self, sender: EnvelopeAddress) {
        self.change(|m| {
            m.sender = sender;
            m.changes.envelope = true;
        })
    }

    /// Replaces the envelope recipients.
    pub fn set_recipients(&self, recipients: Vec<EnvelopeAddress>) {
        self.change(|m| {
            m.recipients = recipients;
            m.changes.envelope = true;
        })
    }

    /// Reads the metadata in place. `f` must not change the message.
    pub fn meta<R>(&self, f: impl FnOnce(&Meta) -> R) -> R {
        f(&self.inner().meta)
    }

    /// A copy of one metadata value.
    pub fn get_meta(&self, key: &str) -> Option<Value> {
        self.inner().meta.get(key).cloned()
    }

    /// Reads one metadata text without copying it; `None` when absent or not a text.
    pub fn meta_str<R>(&self, key: &str, f: impl FnOnce(Option<&str>) -> R) -> R {
        f(self.inner().meta.get(key).and_then(Value::as_str))
    }

    /// Sets one metadata value; `Null` removes it.
    pub fn set_meta(&self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        self.change(|m| {
            if value.is_null() {
                m.meta.remove(&key);
            } else {
                m.meta.insert(key, value);
            }
            m.changes.meta = true;
        })
    }

    /// Moves the metadata out, leaving it empty.
    pub fn take_meta(&self) -> Meta {
        self.change(|m| std::mem::take(&mut m.meta))
    }

    /// Puts other metadata in place; does not count as a change.
    pub fn replace_meta(&self, meta: Meta) -> Meta {
        self.change(|m| std::mem::replace(&mut m.meta, meta))
    }

    /// The body, when it is in memory.
    pub fn body(&self) -> Option<Rc<Vec<u8>>> {
        self.inner().body.clone()
    }

    /// Replaces the body and remembers that it changed.
    pub fn set_body(&self, body: Rc<Vec<u8>>) {
        self.change(|m| {
            m.body_size = body.len();
            m.body = Some(body);
            m.changes.body = true;
        })
    }

    /// Lets the body go from memory; its size stays known.
    pub fn drop_body(&self) {
        self.change(|m| m.body = None)
    }

    /// Puts a body back that was read from the spool; not a change.
    pub fn restore_body(&self, body: Rc<Vec<u8>>) {
        self.change(|m| {
            m.body_size = body.len();
            m.body = Some(body);
        })
    }

    /// Body length in bytes, also while the body is not in memory.
    pub fn body_size(&self) -> usize {
        self.inner().body_size
    }

    /// Sets the remembered body length, for a message rebuilt without its body.
    pub fn set_body_size(&self, size: usize) {
        self.change(|m| m.body_size = size)
    }

    /// Delivery attempts finished so far.
    pub fn num_attempts(&self) -> u16 {
        self.inner().num_attempts
    }

    /// Sets the number of finished attempts.
    pub fn set_num_attempts(&self, n: u16) {
        self.change(|m| {
            m.num_attempts = n;
            m.changes.schedule = true;
        })
    }

    /// When the next attempt is due, in milliseconds of the Unix epoch; `None` = as soon as possible.
    pub fn due(&self) -> Option<u64> {
        self.inner().due
    }

    /// Sets when the next attempt is due, in milliseconds of the Unix epoch.
    pub fn set_due(&self, due: Option<u64>) {
        self.change(|m| {
            m.due = due;
            m.changes.schedule = true;
        })
    }

    /// The delivery window and limits asked for by the sender or the policy.
    pub fn scheduling(&self) -> Option<Rc<Scheduling>> {
        self.inner().scheduling.clone()
    }

    /// Sets or clears the delivery window.
    pub fn set_scheduling(&self, scheduling: Option<Scheduling>) {
        self.change(|m| {
            m.scheduling = scheduling.map(Rc::new);
            m.changes.scheduling = true;
        })
    }

    /// Takes over the schedule and due time of another message.
    pub fn set_timing(&self, scheduling: Option<Rc<Scheduling>>, due: Option<u64>) {
        self.change(|m| (m.scheduling, m.due) = (scheduling, due))
    }

    /// What changed since [`Message::clear_changes`].
    pub fn changes(&self) -> Changes {
        self.inner().changes
    }

    /// Marks everything as stored.
    pub fn clear_changes(&self) {
        self.change(|m| m.changes = Changes::default())
    }

    /// The scheduled queue the message belongs to: metadata `queue` if set, else made of `campaign`, `tenant`, the domain of
    /// the first recipient and `routing_domain`.
    pub fn queue_name(&self) -> QueueName {
        let m = self.inner();
        QueueName::of(&m.meta, &m.recipients)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn message(body: &str) -> Message {
        Message::new(
            MessageId::new_v1(1_795_359_769_000_000_000, 1, [2; 6]),
            EnvelopeAddress::parse("a@src.example").unwrap(),
            vec![EnvelopeAddress::parse("u@OK.example").unwrap()],
            Meta::new(),
            Rc::new(body.as_bytes().to_vec()),
        )
    }

    #[test]
    fn changes_are_told_apart() {
        let m = message("x");
        assert!(!m.changes().any());
        m.set_meta("tenant", "t1");
        assert_eq!(m.changes(), Changes { meta: true, ..Changes::default() });
        m.clear_changes();
        m.drop_body();
        assert_eq!((m.body().is_none(), m.body_size(), m.changes().any()), (true, 1, false));
        m.restore_body(Rc::new(b"x".to_vec()));
        assert!(!m.changes().any());
        m.set_body(Rc::new(b"xyz".to_vec()));
        assert!(m.changes().body);
        assert_eq!(m.body_size(), 3);
    }

    #[test]
    fn queue_name_is_steered_by_metadata() {
        let m = message("x");
        assert_eq!(m.queue_name().to_string(), "ok.example");
        m.set_meta("tenant", "t1");
        m.set_meta("campaign", "c1");
        m.set_meta("routing_domain", "Relay.example");
        assert_eq!(m.queue_name().to_string(), "c1:t1@ok.example!relay.example");
        m.set_meta("queue", "t9@elsewhere");
        assert_eq!(m.queue_name().to_string(), "t9@elsewhere");
    }
}
