//! The events a hook has read and not yet got rid of: which may be told next, which wait for another of their message,
//! which failed, and up to where all are done. No I/O in it.
//!
//! Events of one message are told in their order: as long as one is under way the later ones wait. Events of different
//! messages overtake each other.

use crate::event_key;
use crate::limits::HOOK_WINDOW_EVENTS;
use crate::position::Position;
use ringmta_io::Map;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use xxhash_rust::xxh3::xxh3_64;

/// One event.
#[derive(Debug)]
pub struct Event {
    /// Its number among those of the window.
    number: u64,
    /// Which message it is about; 0 when about none.
    message: u64,
    /// When it was read, monotonic nanoseconds.
    read_nanos: u64,
    /// When it was sent on its way anew, seconds since 1970; 0 when it was not.
    pub replayed: u64,
    /// Its JSON.
    pub line: String,
}

impl Event {
    /// When its life began, seconds since 1970: when it happened, or was sent on its way anew. 0 when it does not say.
    pub fn timestamp(&self) -> u64 {
        match self.replayed {
            0 => event_key::timestamp(&self.line),
            replayed => replayed,
        }
    }

    /// As it stands in the log.
    pub fn stored(&self) -> String {
        match self.replayed {
            0 => self.line.clone(),
            at => replayed(&self.line, at),
        }
    }
}

const REPLAYED: &str = "{\"replayed\":";

/// An event that is sent on its way anew at `at`, seconds since 1970, as it stands in the log: its life begins again, and
/// it is the same for its receiver.
pub fn replayed(line: &str, at: u64) -> String {
    format!("{REPLAYED}{at},\"event\":{line}}}")
}

/// The event in a line of the log, and when it was sent on its way anew.
fn taken_out(line: String) -> (String, u64) {
    let Some((at, event)) =
        line.strip_prefix(REPLAYED).and_then(|rest| rest.split_once(",\"event\":"))
    else {
        return (line, 0);
    };
    match (at.parse(), event.strip_suffix('}')) {
        (Ok(at), Some(event)) => (event.to_string(), at),
        _ => (line, 0),
    }
}

/// Events told with one request.
#[derive(Debug, Default)]
pub struct Batch {
    /// In their order.
    pub events: Vec<Event>,
    /// Failed tries.
    pub tries: u32,
    /// Of them, such that other events were taken since the try before.
    pub tries_among_others: u32,
    /// Times it was refused for good.
    pub refused: u32,
    /// Requests that had succeeded at its last try.
    pub seen_successes: u64,
    /// When it is tried again, monotonic nanoseconds.
    pub due_nanos: u64,
}

/// How batches are put together.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Events at the most.
    pub most: usize,
    /// Fewer are told only when the oldest has waited for `patience_nanos`.
    pub fewest: usize,
    /// See `fewest`.
    pub patience_nanos: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Window {
    /// Number of the first of `order`.
    first: u64,
    /// Each event read: the position behind it, and whether it is done.
    order: VecDeque<(Position, bool)>,
    /// May be told.
    ready: VecDeque<Event>,
    /// Messages of which an event is ready, under way or failed, and their later events.
    behind: Map<u64, VecDeque<Event>>,
    /// Wait for another try.
    failed: Vec<Batch>,
    /// Bytes of all events that are not done.
    bytes: usize,
    /// Everything before it is done; set when that has changed since it was last asked for.
    done: Option<Position>,
    /// Events done since then.
    taken: usize,
    /// The end of what was read.
    end: Position,
    moved: Moved,
}

/// Events whose place in the log is a copy of them behind it, because others were held up by where they stood.
#[derive(Debug, Default)]
struct Moved {
    /// Copies that were not read yet, by their text: the number of the event, none when it is done by now.
    unread: Map<u64, Option<u64>>,
    /// The numbers of copies that were read, by those of the events.
    read: Map<u64, u64>,
}

impl Window {
    /// Whether more may be read, of which `bytes` may be in memory.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes < bytes && self.order.len() < HOOK_WINDOW_EVENTS
    }

    /// Whether an event may be told that was not told yet.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Events that may be told and were not told yet, without those behind others of their message.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Events from the oldest that is not done to the newest that was read.
    pub fn span(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing more is read before the oldest events are done, or let go of.
    pub fn is_full(&self) -> bool {
        self.order.len() >= HOOK_WINDOW_EVENTS
    }

    /// Whether an event stands in the older half of a full window.
    pub fn is_in_the_way(&self, event: &Event) -> bool {
        !self.is_moving(event) && self.place(event) < self.first + (HOOK_WINDOW_EVENTS / 2) as u64
    }

    /// Whether the copy that is an event's place was not read yet.
    pub fn is_moving(&self, event: &Event) -> bool {
        !self.moved.unread.is_empty()
            && self.moved.unread.get(&text_key(&event.line)) == Some(&Some(event.number))
    }

    /// A copy of this event stands at the end of the log, and is its place from now on. The event is as it was: nothing
    /// of its message is told before it is done.
    pub fn let_go(&mut self, event: &Event) {
        let place = self.place(event);
        self.moved.read.remove(&event.number);
        self.moved.unread.insert(text_key(&event.line), Some(event.number));
        self.mark(place);
        self.taken += 1;
        self.advance();
    }

    /// The number of an event's place in the log.
    fn place(&self, event: &Event) -> u64 {
        self.moved.read.get(&event.number).copied().unwrap_or(event.number)
    }

    /// What stands at this place is done.
    fn mark(&mut self, place: u64) {
        let at = place.checked_sub(self.first).map(|at| at as usize);
        if let Some((_, is_done)) = at.and_then(|at| self.order.get_mut(at)) {
            *is_done = true;
        }
    }

    /// Events read after this one.
    pub fn followers(&self, event: &Event) -> usize {
        let place = self.place(event);
        let behind = (self.first + self.order.len() as u64).saturating_sub(place + 1);
        usize::try_from(behind).unwrap_or(usize::MAX)
    }

    /// Whether no older event is left.
    pub fn is_oldest(&self, event: &Event) -> bool {
        self.place(event) == self.first
    }

    /// An event was read; `position` is the one behind it.
    pub fn push(&mut self, line: String, position: Position, now_nanos: u64) {
        let number = self.first + self.order.len() as u64;
        self.order.push_back((position, false));
        self.end = position;
        let (line, replayed) = taken_out(line);
        if self.is_copy(&line, number) {
            return;
        }
        self.bytes += line.len();
        let message = message_of(&line);
        let event = Event { number, message, read_nanos: now_nanos, replayed, line };
        match self.behind.get_mut(&message) {
            Some(others) => others.push_back(event),
            None => {
                if message != 0 {
                    self.behind.insert(message, VecDeque::new());
                }
                self.ready.push_back(event);
            }
        }
    }

    /// Whether a line is the copy of an event that is in work or done; its place is `number` then.
    fn is_copy(&mut self, line: &str, number: u64) -> bool {
        if self.moved.unread.is_empty() {
            return false;
        }
        match self.moved.unread.remove(&text_key(line)) {
            Some(Some(event)) => drop(self.moved.read.insert(event, number)),
            Some(None) => {
                self.mark(number);
                self.taken += 1;
                self.advance();
            }
            None => return false,
        }
        true
    }

    /// There is nothing more to tell before `position`.
    pub fn skip_to(&mut self, position: Position) {
        if self.end < position {
            self.end = position;
            self.order.push_back((position, true));
            self.advance();
        }
    }

    /// The next events to tell, when there are enough of them or they have waited for long enough.
    pub fn take(&mut self, how: &Batching, now_nanos: u64) -> Option<Batch> {
        let oldest = self.ready.front()?.read_nanos;
        let is_patient = now_nanos < oldest.saturating_add(how.patience_nanos);
        if is_patient && self.count_ready(how.fewest) < how.fewest {
            return None;
        }
        let mut events = Vec::with_capacity(how.most.min(self.ready.len()));
        while events.len() < how.most {
            let Some(event) = self.ready.pop_front() else { break };
            let message = event.message;
            events.push(event);
            let Some(others) = self.behind.get_mut(&message) else { continue };
            let room = how.most - events.len();
            events.extend(others.drain(..room.min(others.len())));
        }
        events.sort_unstable_by_key(|event| event.number);
        Some(Batch { events, ..Batch::default() })
    }

    /// Events that can be told now, as far as `enough`.
    fn count_ready(&self, enough: usize) -> usize {
        let mut count = 0;
        for event in &self.ready {
            count += 1 + self.behind.get(&event.message).map_or(0, VecDeque::len);
            if count >= enough {
                break;
            }
        }
        count
    }

    /// When something may be told that cannot be now: too few events have waited for long enough, or a failed
    /// batch comes back.
    pub fn due_nanos(&self, how: &Batching) -> Option<u64> {
        let ready = self.ready.front().map(|e| e.read_nanos.saturating_add(how.patience_nanos));
        let failed = self.failed.iter().map(|batch| batch.due_nanos).min();
        [ready, failed].into_iter().flatten().min()
    }

    /// A batch has failed; it comes back at its time.
    pub fn put_back(&mut self, batch: Batch) {
        self.failed.push(batch);
    }

    /// The failed batch whose time has come, if there is one: the one that has waited longest.
    pub fn take_failed(&mut self, now_nanos: u64) -> Option<Batch> {
        let due = |(_, batch): &(usize, &Batch)| batch.due_nanos <= now_nanos;
        let batches = self.failed.iter().enumerate();
        let (at, _) = batches.filter(due).min_by_key(|(_, batch)| batch.due_nanos)?;
        Some(self.failed.swap_remove(at))
    }

    /// These events are done: what waited behind them may be told, unless others of their message, `left`, are
    /// still under way with them.
    pub fn finish(&mut self, events: &[Event], left: &[Event]) {
        let mut messages: Vec<u64> = events.iter().map(|event| event.message).collect();
        messages.sort_unstable();
        messages.dedup();
        messages.retain(|message| left.iter().all(|event| event.message != *message));
        for message in messages {
            let Some(others) = self.behind.get_mut(&message) else { continue };
            match others.pop_front() {
                Some(next) => self.ready.push_back(next),
                None => {
                    self.behind.remove(&message);
                }
            }
        }
        for event in events {
            self.bytes = self.bytes.saturating_sub(event.line.len());
            if self.is_moving(event) {
                // The place that it had was counted when it was let go of.
                self.moved.unread.insert(text_key(&event.line), None);
                continue;
            }
            self.mark(self.place(event));
            self.moved.read.remove(&event.number);
            self.taken += 1;
        }
        self.advance();
    }

    /// A batch has failed, perhaps for the sake of one event in it: each comes back alone, at its time.
    pub fn put_back_apart(&mut self, batch: Batch) {
        let Batch { events, .. } = batch;
        let mut first_of = Vec::with_capacity(events.len());
        // Backwards, for what goes in front of those that wait.
        for event in events.into_iter().rev() {
            let others = self.behind.get_mut(&event.message);
            let is_first = |e: &Event| e.message == event.message;
            match (first_of.iter().position(is_first), others) {
                (Some(at), Some(others)) => {
                    let later: Event = std::mem::replace(&mut first_of[at], event);
                    others.push_front(later);
                }
                _ => first_of.push(event),
            }
        }
        for event in first_of {
            self.failed.push(Batch { events: vec![event], ..batch });
        }
    }

    fn advance(&mut self) {
        while let Some((position, true)) = self.order.front().copied() {
            self.done = Some(position);
            self.first += 1;
            self.order.pop_front();
        }
    }

    /// Whether the position before which everything is done has moved since it was last asked for.
    pub fn is_done_further(&self) -> bool {
        self.done.is_some()
    }

    /// That position, and how many events are done since it was last asked for.
    pub fn take_done(&mut self) -> Option<(Position, usize)> {
        let position = self.done.take()?;
        Some((position, std::mem::take(&mut self.taken)))
    }
}

/// Tells texts apart.
fn text_key(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line.as_bytes());
    hasher.finish()
}

/// Which message an event is about: records begin with their type and its id. 0 when about none.
fn message_of(line: &str) -> u64 {
    static FIELD: event_key::Field = event_key::field!("\"id\":\"");
    let id = event_key::after(line, &FIELD).and_then(|rest| rest.split('"').next());
    let Some(id) = id.filter(|id| !id.is_empty()) else { return 0 };
    // Two of one digest are told one after the other, and that is all.
    xxh3_64(id.as_bytes()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Batching = Batching { most: 1, fewest: 1, patience_nanos: 0 };
    const MANY: Batching = Batching { most: 10, fewest: 10, patience_nanos: 5 };

    /// A window of events `a1` (message `a`, its first), in this order.
    fn window(events: &str) -> Window {
        let mut window = Window::default();
        for (at, event) in events.split(' ').enumerate() {
            let id = event.trim_end_matches(|c: char| c.is_ascii_digit());
            let line =
                format!("{{\"type\":\"{event}\",\"id\":\"{id}\",\"timestamp\":{at},\"x\":1}}");
            window.push(line, (1, at as u64 + 1), at as u64);
        }
        window
    }

    fn names(batch: &Batch) -> String {
        let name = |event: &Event| event.line.split('"').nth(3).unwrap_or("").to_string();
        batch.events.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn events_of_one_message_wait_for_each_other() {
        let mut window = window("a1 a2 b1 a3 b2");
        let first = window.take(&ONE, 0).unwrap();
        let second = window.take(&ONE, 0).unwrap();
        assert_eq!((names(&first), names(&second)), ("a1".into(), "b1".into()));
        assert!(window.take(&ONE, 0).is_none());
        window.finish(&second.events, &[]);
        assert_eq!(window.take_done(), None, "the first is not done");
        let third = window.take(&ONE, 0).unwrap();
        assert_eq!(names(&third), "b2");
        window.finish(&first.events, &[]);
        assert_eq!(window.take_done(), Some(((1, 1), 2)));
        let fourth = window.take(&ONE, 0).unwrap();
        assert_eq!(names(&fourth), "a2");
        window.finish(&third.events, &[]);
        window.finish(&fourth.events, &[]);
        assert_eq!(window.take_done(), Some(((1, 3), 2)));
        let last = window.take(&ONE, 0).unwrap();
        window.finish(&last.events, &[]);
        assert_eq!(window.take_done(), Some(((1, 5), 1)));
        assert!(window.behind.is_empty() && window.bytes == 0 && window.order.is_empty());
    }

    #[test]
    fn a_batch_is_in_the_order_of_the_log() {
        let mut window = window("a1 b1 a2 c1 b2");
        assert!(window.take(&MANY, 0).is_none(), "too few, and they have not waited");
        assert_eq!(window.due_nanos(&MANY), Some(5));
        let batch = window.take(&MANY, 5).unwrap();
        assert_eq!(names(&batch), "a1 b1 a2 c1 b2");
        window.push("{\"id\":\"a\"}".into(), (1, 6), 6);
        assert!(window.take(&MANY, 100).is_none(), "its message is under way");
        window.finish(&batch.events, &[]);
        assert!(window.take(&MANY, 100).is_some());
    }

    #[test]
    fn what_is_about_no_message_waits_for_nothing() {
        let mut window = Window::default();
        for at in 1..=3 {
            window.push("{\"type\":\"Rejection\",\"id\":\"\"}".into(), (1, at), 0);
        }
        assert!((0..3).all(|_| window.take(&ONE, 0).is_some()));
    }

    #[test]
    fn a_failed_batch_keeps_its_messages_waiting() {
        let mut window = window("a1 a2 b1 c1");
        let mut batch = window.take(&Batching { most: 3, ..ONE }, 0).unwrap();
        assert_eq!(names(&batch), "a1 a2 b1");
        window.push("{\"type\":\"a3\",\"id\":\"a\"}".into(), (1, 5), 0);
        batch.due_nanos = 50;
        // One of them was taken, the others come apart.
        let left = batch.events.split_off(1);
        window.finish(&batch.events, &left);
        window.put_back_apart(Batch { events: left, due_nanos: 50, ..Batch::default() });
        assert_eq!(names(&window.take(&ONE, 0).unwrap()), "c1");
        assert!(window.take(&ONE, 0).is_none() && window.take_failed(49).is_none());
        let mut again = [window.take_failed(50).unwrap(), window.take_failed(50).unwrap()];
        again.sort_by_key(names);
        assert_eq!([names(&again[0]), names(&again[1])], ["a2", "b1"]);
        window.finish(&again[0].events, &[]);
        assert_eq!(names(&window.take(&ONE, 0).unwrap()), "a3");
    }

    #[test]
    fn a_batch_taken_apart_keeps_the_order_of_each_message() {
        let mut window = window("a1 a2 a3");
        let batch = window.take(&Batching { most: 2, ..ONE }, 0).unwrap();
        window.put_back_apart(batch);
        for name in ["a1", "a2", "a3"] {
            let next = window.take_failed(0).or_else(|| window.take(&ONE, 0)).unwrap();
            assert_eq!(names(&next), name);
            assert!(window.take_failed(0).or_else(|| window.take(&ONE, 0)).is_none());
            window.finish(&next.events, &[]);
        }
        assert_eq!(window.take_done(), Some(((1, 3), 3)));
    }

    #[test]
    fn what_is_told_anew_is_as_it_was_and_as_young_as_that() {
        let mut window = Window::default();
        let line = "{\"type\":\"a1\",\"id\":\"a\",\"timestamp\":5}";
        window.push(replayed(line, 77), (1, 1), 0);
        let event = window.take(&ONE, 0).unwrap().events.remove(0);
        assert_eq!(
            (event.line.as_str(), event.timestamp(), event.message),
            (line, 77, message_of(line))
        );
        assert_eq!(event.stored(), replayed(line, 77));
    }

    #[test]
    fn what_is_let_go_of_has_its_place_in_a_copy() {
        let mut window = window("a1 a2 b1");
        let a1 = window.take(&ONE, 0).unwrap().events;
        let b1 = window.take(&ONE, 0).unwrap().events;
        window.let_go(&a1[0]);
        assert_eq!(window.take_done(), Some(((1, 1), 1)), "its first place is free");
        assert!(window.is_moving(&a1[0]) && window.take(&ONE, 0).is_none(), "a2 still waits");
        // The copy is read while the event is in work: it is no event of its own.
        window.push(a1[0].stored(), (1, 4), 9);
        assert!(!window.is_moving(&a1[0]) && window.take(&ONE, 0).is_none());
        window.finish(&b1, &[]);
        window.finish(&a1, &[]);
        let a2 = window.take(&ONE, 0).unwrap().events;
        assert_eq!(a2[0].line.split('"').nth(3), Some("a2"));
        // Again, and it is done before its copy is read: nothing is told twice.
        window.let_go(&a2[0]);
        window.finish(&a2, &[]);
        window.push(a2[0].stored(), (1, 5), 9);
        assert!(window.take(&ONE, 0).is_none());
        assert_eq!(window.take_done(), Some(((1, 5), 4)), "b1, a1's copy, a2 twice");
        assert!(window.behind.is_empty() && window.bytes == 0 && window.order.is_empty());
        assert!(window.moved.unread.is_empty() && window.moved.read.is_empty());
    }

    #[test]
    fn times_and_gaps() {
        let mut window = window("a1 b1");
        let batch = window.take(&Batching { most: 2, ..ONE }, 0).unwrap();
        assert_eq!([batch.events[0].timestamp(), batch.events[1].timestamp()], [0, 1]);
        window.skip_to((2, 7));
        window.skip_to((2, 7));
        window.finish(&batch.events, &[]);
        assert_eq!(window.take_done(), Some(((2, 7), 2)));
    }
}
