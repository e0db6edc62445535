//! Events that are messages in queues: what a hook of the policy keeps of each until it ends. The queues have the
//! message alone; the event stays in the log of the hook, which is what survives a restart.

use crate::event_key;
use crate::hook::Hook;
use crate::limits::{HOOK_QUEUED_BYTES, HOOK_REPLAY_SECS, HOOK_SPAN_EVENTS};
use crate::observe;
use crate::window::{Batching, Event};
use ringmta_io::{self as io, Map};
use ringmta_mail::{EnvelopeAddress, Message, MessageId, Meta, Scheduling};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;

/// Events of one hook that are in queues, by the id of their message.
#[derive(Default)]
pub struct Queued {
    all: RefCell<Map<MessageId, One>>,
    /// Events that policy is being asked about.
    pub asking: Cell<usize>,
}

struct One {
    event: Event,
    message: Message,
    /// Why nobody takes it.
    refused: Option<String>,
}

impl Hook {
    /// Whether its events become messages in queues: a hook of the policy.
    pub fn is_queued(&self) -> bool {
        self.options().is_some()
    }

    /// How many of its events are in queues.
    pub fn queued_count(&self) -> usize {
        self.queued.all.borrow().len()
    }

    /// Reads on until there is an event that may become a message; one of each message at a time.
    pub async fn next_event(&self) -> Event {
        const ONE: Batching = Batching { most: 1, fewest: 1, patience_nanos: 0 };
        loop {
            let next = self.window.borrow_mut().take(&ONE, io::mono_nanos());
            if let Some(event) = next.and_then(|mut batch| batch.events.pop()) {
                return event;
            }
            self.log
                .wait(|log| {
                    let window = self.window.borrow();
                    window.has_ready() || (log.has_more() && window.has_room(HOOK_QUEUED_BYTES))
                })
                .await;
            if !self.window.borrow().has_ready() {
                self.read().await;
            }
        }
    }

    /// The message of an event: envelope, captured metadata and text. Its id follows from the event, so that it is the
    /// same each time the event is told.
    pub fn message_of(&self, event: &Event) -> Message {
        let record: Value = serde_json::from_str(&event.line).unwrap_or_default();
        let id = event_key::id(&event.line);
        let key = self.select.key_of(record["type"].as_str().unwrap_or_default());
        let rendered =
            self.templates.get(key).map(|template| template.render(event.line.as_bytes()));
        let mut text = match rendered {
            Some(Ok(text)) => text,
            Some(Err(why)) => {
                tracing::error!("hook {}: log template: {why}", self.name);
                event.line.clone()
            }
            None => event.line.clone(),
        };
        text.push('\n');
        let sender = record["sender"].as_str().unwrap_or_default();
        let sender = EnvelopeAddress::parse(sender).unwrap_or_else(|_| EnvelopeAddress::null());
        let mut recipients = addresses(&record["recipient"]);
        if recipients.is_empty() {
            // A refused command names none; a message has at least one.
            recipients.extend(EnvelopeAddress::parse(&format!("record@{}", self.own_queue())));
        }
        let mut meta = record["meta"].as_object().cloned().unwrap_or_else(Meta::new);
        meta.insert("log_record".into(), record);
        meta.insert("reception_protocol".into(), crate::record::LOG_RECORD.into());
        let message = Message::new(id, sender, recipients, meta, Rc::new(text.into_bytes()));
        if event.replayed > 0 {
            // Its age counts from then, and its id tells when it happened.
            let expires = (event.replayed + HOOK_REPLAY_SECS) * 1000;
            let scheduling =
                Scheduling { first_attempt: None, expires: Some(expires), window: None };
            message.set_scheduling(Some(scheduling));
        }
        message
    }

    /// Keeps an event for as long as its message is in a queue. False when it is there already: it was written twice,
    /// and is told once.
    pub fn enqueue(&self, event: Event, message: &Message) -> bool {
        let id = message.id();
        if self.queued.all.borrow().contains_key(&id) {
            self.finish(&[event], &[]);
            return false;
        }
        let one = One { event, message: message.clone(), refused: None };
        self.queued.all.borrow_mut().insert(id, one);
        true
    }

    /// Goes on without an event that policy does not want.
    pub fn skip(&self, event: Event) {
        self.finish(&[event], &[]);
    }

    /// The message of an event that is in a queue.
    pub fn queued(&self, id: MessageId) -> Option<Message> {
        self.queued.all.borrow().get(&id).map(|one| one.message.clone())
    }

    /// Nobody takes the event of message `id`: when it ends it is set aside.
    pub fn refused(&self, id: MessageId, why: &str) {
        if let Some(one) = self.queued.all.borrow_mut().get_mut(&id) {
            one.refused = Some(why.to_string());
        }
    }

    /// The message of an event has left its queue for good.
    pub fn ended(self: &Rc<Self>, id: MessageId) {
        let Some(One { event, refused, .. }) = self.queued.all.borrow_mut().remove(&id) else {
            return;
        };
        let Some(why) = refused else {
            observe::tell(&observe::Note::Told { events: std::slice::from_ref(&event.line) });
            return self.finish(&[event], &[]);
        };
        let hook = self.clone();
        io::spawn(async move { hook.set_aside_for_sure(event, &why).await });
    }

    /// Sets an event aside; tries until the disk takes it, for only then may the log let go of it.
    pub async fn set_aside_for_sure(&self, event: Event, why: &str) {
        while !self.set_aside(std::slice::from_ref(&event), why).await {
            io::sleep(crate::backoff::pause_of(u32::MAX, io::random_u64())).await;
        }
        self.finish(&[event], &[]);
    }

    /// An attempt at the event of message `id` has failed, and many others that came after it have been told: it goes
    /// to the end of the log, so that a restart does not tell all of those again. False when it may stay where it is.
    pub fn moves_back(&self, id: MessageId) -> bool {
        let window = self.window.borrow();
        let is_crowded = window.span() > HOOK_SPAN_EVENTS || !window.has_room(HOOK_QUEUED_BYTES);
        drop(window);
        if !is_crowded {
            return false;
        }
        let Some(One { event, .. }) = self.queued.all.borrow_mut().remove(&id) else {
            return false;
        };
        self.log.append(|out| out.extend_from_slice(event.stored().as_bytes()));
        self.finish(&[event], &[]);
        true
    }

    /// Waits until fewer than `most` questions about its events are with policy.
    pub async fn may_ask(&self, most: usize) {
        std::future::poll_fn(|cx| {
            if self.queued.asking.get() < most {
                return Poll::Ready(());
            }
            self.asker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// A question is answered.
    pub fn asked(&self) {
        self.queued.asking.set(self.queued.asking.get().saturating_sub(1));
        self.asker.take().into_iter().for_each(std::task::Waker::wake);
    }

    /// The queue of its events unless policy names another.
    pub fn own_queue(&self) -> String {
        format!("{}.log_hook", self.name)
    }
}

fn addresses(value: &Value) -> Vec<EnvelopeAddress> {
    let one = std::slice::from_ref(value);
    let all = value.as_array().map_or(one, Vec::as_slice);
    let texts = all.iter().filter_map(Value::as_str).filter(|text| !text.is_empty());
    texts.filter_map(|text| EnvelopeAddress::parse(text).ok()).collect()
}
