//! Those who watch as things happen. Each has a queue of its own with a limit: one that does not read is dropped, and
//! nothing ever waits for it. Where nobody watches it costs a look at a cell.

use crate::limits::{WATCHER_BYTES_MAX, WATCHER_FRAMES_MAX};
use crate::record::Kind;
use crossbeam::queue::ArrayQueue;
use futures::task::AtomicWaker;
use ringmta_options::suggest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;

/// What waits for one who watches, on whichever shard.
pub struct Frames {
    frames: ArrayQueue<String>,
    bytes: AtomicUsize,
    waker: AtomicWaker,
    over: AtomicBool,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames {
            frames: ArrayQueue::new(WATCHER_FRAMES_MAX),
            bytes: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            over: AtomicBool::new(false),
        }
    }
}

impl Frames {
    /// No more of them are wanted.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether whoever watches has gone, or was too slow.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Adds one; where there is no room for it, whoever should have read is dropped.
    pub fn push(&self, frame: String) {
        let size = frame.len();
        let waiting = self.bytes.fetch_add(size, Ordering::AcqRel);
        if waiting + size > WATCHER_BYTES_MAX || self.frames.push(frame).is_err() {
            return self.end();
        }
        self.waker.wake();
    }

    /// The next one; none when it is over.
    pub async fn next(&self) -> Option<String> {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.is_over() {
                return Poll::Ready(None);
            }
            match self.frames.pop() {
                Some(frame) => {
                    self.bytes.fetch_sub(frame.len(), Ordering::AcqRel);
                    Poll::Ready(Some(frame))
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// Which records are watched; what is not said lets all through. Words are compared without regard to case.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordFilter {
    /// Of one of these types.
    #[serde(rename = "type")]
    pub kinds: Vec<String>,
    /// About this message.
    pub id: Option<String>,
    /// From this address.
    pub sender: Option<String>,
    /// To this address.
    pub recipient: Option<String>,
    /// To addresses of this domain.
    pub domain: Option<String>,
    /// Of this scheduled queue.
    pub queue: Option<String>,
    /// Of this source.
    pub source: Option<String>,
}

fn is(wanted: &Option<String>, have: &Value) -> bool {
    wanted
        .as_ref()
        .is_none_or(|wanted| have.as_str().is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
}

impl RecordFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Which field or type is not known, with the nearest that is.
    pub fn parse(text: &str) -> Result<RecordFilter, String> {
        let filter: RecordFilter = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let names = || Kind::ALL.iter().map(|kind| kind.name());
        match filter.kinds.iter().find(|kind| !names().any(|name| name.eq_ignore_ascii_case(kind)))
        {
            Some(kind) => Err(suggest::unknown("type", kind, names())),
            None => Ok(filter),
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
    }

    /// Whether a record is watched.
    pub fn admits(&self, record: &Value) -> bool {
        let recipients: Vec<&str> = match &record["recipient"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let to = |wanted: &Option<String>, part: fn(&str) -> &str| {
            wanted.as_ref().is_none_or(|wanted| {
                recipients.iter().any(|to| part(to).eq_ignore_ascii_case(wanted))
            })
        };
        self.wants(record["type"].as_str().unwrap_or_default())
            && is(&self.id, &record["id"])
            && is(&self.sender, &record["sender"])
            && is(&self.queue, &record["queue"])
            && is(&self.source, &record["egress_source"])
            && to(&self.recipient, |to| to)
            && to(&self.domain, |to| to.rsplit_once('@').map_or("", |(_, domain)| domain))
    }
}

/// Somebody who watches records.
pub struct Reader {
    filter: RecordFilter,
    /// What waits for it.
    pub frames: Frames,
}

impl Reader {
    /// One with this filter.
    pub fn new(filter: RecordFilter) -> Arc<Reader> {
        Arc::new(Reader { filter, frames: Frames::default() })
    }
}

/// Who watches the records of one shard.
#[derive(Default)]
pub struct Readers {
    readers: RefCell<Vec<Arc<Reader>>>,
    any: Cell<bool>,
}

impl Readers {
    /// Somebody watches from now on.
    pub fn watch(&self, reader: Arc<Reader>) {
        self.readers.borrow_mut().push(reader);
        self.sweep();
    }

    /// Forgets those that are over.
    pub fn sweep(&self) {
        let mut readers = self.readers.borrow_mut();
        readers.retain(|reader| !reader.frames.is_over());
        self.any.set(!readers.is_empty());
    }

    /// Whether somebody watches.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.get()
    }

    /// Tells those who watch a record of type `kind`, which `encode` writes when one of them wants that type.
    pub fn tell(&self, kind: &str, encode: impl FnOnce(&mut Vec<u8>)) {
        self.sweep();
        let readers = self.readers.borrow();
        if !readers.iter().any(|reader| reader.filter.wants(kind)) {
            return;
        }
        let mut json = Vec::new();
        encode(&mut json);
        let Ok(record) = serde_json::from_slice::<Value>(&json) else { return };
        for reader in readers.iter().filter(|reader| reader.filter.admits(&record)) {
            reader.frames.push(String::from_utf8_lossy(&json).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_filtered_by_each_part() {
        let record = json!({"type": "Delivery", "id": "1", "sender": "a@src.test", "recipient": ["u@D.test", "v@e.test"],
            "queue": "t@d.test", "egress_source": "ip1"});
        for (filter, meant) in [
            (json!({}), true),
            (json!({"type": ["delivery"]}), true),
            (json!({"type": ["Bounce"]}), false),
            (json!({"domain": "d.test"}), true),
            (json!({"domain": "src.test"}), false),
            (json!({"recipient": "v@e.test"}), true),
            (json!({"sender": "a@src.test", "queue": "t@d.test", "id": "1"}), true),
            (json!({"source": "ip2"}), false),
        ] {
            let parsed = RecordFilter::parse(&filter.to_string()).unwrap();
            assert_eq!(parsed.admits(&record), meant, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_told_with_the_nearest() {
        let why = RecordFilter::parse("{\"type\":[\"Delivry\"]}").unwrap_err();
        assert!(why.ends_with("did you mean `Delivery`?"), "{why}");
        let why = RecordFilter::parse("{\"sendr\":\"x\"}").unwrap_err();
        assert!(why.contains("unknown field `sendr`") && why.contains("column"), "{why}");
    }

    #[test]
    fn a_reader_that_does_not_read_is_dropped() {
        let readers = Readers::default();
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(b"{\"type\":\"Bounce\"}");
        readers.tell("Bounce", encode);
        let lazy = Reader::new(RecordFilter::default());
        let other = Reader::new(RecordFilter::parse("{\"type\":[\"Delivery\"]}").unwrap());
        readers.watch(lazy.clone());
        readers.watch(other.clone());
        for _ in 0..=WATCHER_FRAMES_MAX {
            readers.tell("Bounce", encode);
        }
        assert!(lazy.frames.is_over() && !other.frames.is_over());
        other.frames.end();
        readers.tell("Bounce", encode);
        assert!(!readers.any());
    }
}
