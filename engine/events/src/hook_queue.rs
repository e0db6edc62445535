//! A hook of the policy: its events become messages in queues, one of each mail message at a time, and end as those do.

use crate::event_key;
use crate::hook::Hook;
use crate::limits::{HOOK_ASIDE_EVENTS, HOOK_QUEUED_BYTES, HOOK_REPLAY_SECS, HOOK_SPAN_EVENTS};
use crate::observe;
use crate::queued::One;
use crate::window::{Batching, Event};
use ringmta_io as io;
use ringmta_mail::{EnvelopeAddress, Message, MessageId, Meta, Scheduling};
use serde_json::Value;
use std::rc::Rc;
use std::task::Poll;

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
            self.make_room();
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

    /// Where nothing more can be read for the sake of some events that wait long for another try, those get a new place at
    /// the end of the log. Their messages stay in their queues, and are not told anew.
    fn make_room(&self) {
        let mut window = self.window.borrow_mut();
        if !window.is_full() {
            return;
        }
        for one in self.queued.all.borrow().values() {
            if window.is_in_the_way(&one.event) {
                self.log.append(|out| out.extend_from_slice(one.event.stored().as_bytes()));
                window.let_go(&one.event);
            }
        }
        drop(window);
        self.log.wake_reader();
        self.wake_committer();
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
        self.queued.aside.borrow_mut().push_back((event, why));
        if !self.queued.is_setting_aside.replace(true) {
            let hook = self.clone();
            io::spawn(async move { hook.set_refused_aside().await });
        }
    }

    /// Sets aside what was refused, many with one write; tries until the disk takes them.
    async fn set_refused_aside(&self) {
        loop {
            let refused: Vec<(Event, String)> = {
                let mut aside = self.queued.aside.borrow_mut();
                let many = aside.len().min(HOOK_ASIDE_EVENTS);
                aside.drain(..many).collect()
            };
            if refused.is_empty() {
                return self.queued.is_setting_aside.set(false);
            }
            while !self.set_all_aside(&refused).await {
                io::sleep(crate::backoff::pause_of(u32::MAX, io::random_u64())).await;
            }
            let events: Vec<Event> = refused.into_iter().map(|(event, _)| event).collect();
            self.finish(&events, &[]);
        }
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
        let is_overtaken = self.queued.all.borrow().get(&id).is_some_and(|one| {
            let window = self.window.borrow();
            if window.is_moving(&one.event) {
                return false;
            }
            let is_in_the_way = window.is_oldest(&one.event) && !window.has_room(HOOK_QUEUED_BYTES);
            is_in_the_way || window.followers(&one.event) >= HOOK_SPAN_EVENTS
        });
        if !is_overtaken {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook_log::HookLog;
    use crate::limits::HOOK_WINDOW_EVENTS;
    use ringmta_options::LogHook;

    fn on_a_shard<F: std::future::Future<Output = ()> + 'static>(
        work: impl FnOnce() -> F + Send + 'static,
    ) {
        io::ring::run_shard("test", None, work).unwrap().join().unwrap().unwrap();
    }

    fn line(number: usize) -> String {
        format!(
            "{{\"type\":\"Delivery\",\"id\":\"m{number}\",\"sender\":\"a@src.test\",\
             \"recipient\":[\"u@dst.test\",\"v@dst.test\"],\"timestamp\":1700000000,\
             \"meta\":{{\"tenant\":\"t1\"}}}}"
        )
    }

    fn hook_in(dir: &std::path::Path) -> Rc<Hook> {
        let log = HookLog::open(dir.join("0"), &[]).unwrap();
        let options = LogHook { name: "h".into(), ..LogHook::default() };
        Rc::new(Hook::lua(&options, log, dir.join("dead.jsonl")))
    }

    fn append(hook: &Hook, number: usize) {
        hook.log.append(|out| out.extend_from_slice(line(number).as_bytes()));
    }

    /// The message of event 0, which waits in its queue.
    async fn first_in_its_queue(hook: &Rc<Hook>) -> Message {
        append(hook, 0);
        let first = hook.next_event().await;
        let message = hook.message_of(&first);
        assert!(hook.enqueue(first, &message));
        message
    }

    #[test]
    fn a_record_is_a_message_of_the_one_it_is_about() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            let hook = hook_in(&dir);
            append(&hook, 1);
            let event = hook.next_event().await;
            let message = hook.message_of(&event);
            assert_eq!(message.queue_name().to_string(), "t1@dst.test");
            assert_eq!((message.sender().email(), message.recipients().len()), ("a@src.test", 2));
            assert_eq!(message.body().unwrap().as_slice(), (line(1) + "\n").as_bytes());
            assert!(message.meta_str("reception_protocol", |v| v == Some("LogRecord")));
            assert_eq!(message.id(), event_key::id(&line(1)));
            // Written twice, it is told once.
            append(&hook, 1);
            assert!(hook.enqueue(event, &message));
            hook.ended(message.id());
            let again = hook.next_event().await;
            assert_eq!(hook.message_of(&again).id(), message.id());
        });
    }

    #[test]
    fn one_that_waits_for_long_does_not_end_reading() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            let hook = hook_in(&dir);
            let append = |n: usize| append(&hook, n);
            let message = first_in_its_queue(&hook).await;
            // It is not tried again before all these are told.
            for chunk in 0..HOOK_WINDOW_EVENTS / 1000 + 2 {
                let numbers = chunk * 1000 + 1..chunk * 1000 + 1001;
                numbers.clone().for_each(append);
                for number in numbers {
                    let event = hook.next_event().await;
                    assert_eq!(event.line, line(number));
                    hook.skip(event);
                }
            }
            assert!(hook.queued(message.id()).is_some(), "it is in its queue as it was");
            hook.ended(message.id());
            append(1);
            assert_eq!(hook.next_event().await.line, line(1), "its copy is not told");
        });
    }

    #[test]
    fn what_fails_while_thousands_are_told_goes_to_the_end_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_path_buf();
        on_a_shard(move || async move {
            let hook = hook_in(&dir);
            let append = |n: usize| append(&hook, n);
            let message = first_in_its_queue(&hook).await;
            assert!(!hook.moves_back(message.id()), "nothing has overtaken it");
            (1..HOOK_SPAN_EVENTS + 1).for_each(append);
            for number in 1..HOOK_SPAN_EVENTS + 1 {
                let event = hook.next_event().await;
                assert_eq!(event.line, line(number));
                hook.skip(event);
            }
            assert!(hook.moves_back(message.id()));
            assert!(hook.queued(message.id()).is_none());
            assert_eq!(hook.next_event().await.line, line(0), "it comes again");
        });
    }
}
