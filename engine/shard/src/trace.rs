//! Sessions as they happen, for those who watch. Where nobody does it costs a look at a cell. A viewer has a queue of its
//! own with a limit; one that does not read is dropped, and no session ever waits for it.

use ringmta_events::watch::Frames;
use ringmta_io::unix_nanos;
use ringmta_policy::CidrSet;
use ringmta_smtp::dates::rfc3339;
use serde_json::{json, Map, Value};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes of text that one frame holds; what is longer is cut, and says so.
const TEXT_MAX: usize = 64 * 1024;
/// Bytes of text in a short frame.
const SNIPPET: usize = 64;

/// Whose sessions are watched.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Sessions out, not in.
    pub outgoing: bool,
    /// Long texts are told by their beginning and length.
    pub terse: bool,
    /// For sessions in: the client's address. For those out: ours.
    pub source_addr: Option<CidrSet>,
    /// The next hop's address.
    pub mx_addr: Option<CidrSet>,
    /// By name of a property, the values that are watched.
    pub values: Vec<(&'static str, Vec<String>)>,
}

impl Filter {
    /// Whether a session with these properties is watched. What is not known of it yet keeps it in.
    fn admits(&self, meta: &Map<String, Value>) -> bool {
        let in_set = |set: &Option<CidrSet>, name: &str| {
            let address = meta.get(name).and_then(Value::as_str).and_then(address_of);
            match (set, address) {
                (Some(set), Some(address)) => set.contains(address),
                _ => true,
            }
        };
        let source = if self.outgoing { "source_address" } else { "received_from" };
        in_set(&self.source_addr, source)
            && in_set(&self.mx_addr, "mx_address")
            && self.values.iter().all(|(name, wanted)| match meta.get(*name) {
                Some(Value::String(have)) => {
                    wanted.iter().any(|one| one.eq_ignore_ascii_case(have))
                }
                Some(Value::Array(all)) => all
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|have| wanted.iter().any(|one| one.eq_ignore_ascii_case(have))),
                _ => true,
            })
    }
}

fn address_of(text: &str) -> Option<IpAddr> {
    let socket = text.parse::<SocketAddr>().map(|socket| socket.ip());
    socket.or_else(|_| text.parse()).ok().map(|ip| ip.to_canonical())
}

/// Somebody who watches, on whichever shard.
pub struct Viewer {
    filter: Filter,
    /// What waits for it.
    pub frames: Frames,
}

impl Viewer {
    /// One with this filter.
    pub fn new(filter: Filter) -> Arc<Viewer> {
        Arc::new(Viewer { filter, frames: Frames::default() })
    }
}

/// Something that happens in a session.
pub enum Seen<'a> {
    /// A word for itself, such as `Connected`.
    Mark(&'static str),
    /// What the peer has said.
    Read(&'a str),
    /// What was said to the peer.
    Write(&'a str),
    /// Anything else, as it is told.
    Told(Value),
}

impl Seen<'_> {
    fn payload(&self, terse: bool) -> Value {
        match self {
            Seen::Mark(word) => json!(word),
            Seen::Read(text) if terse && text.len() > SNIPPET => {
                json!({"AbbreviatedRead": {"snippet": cut(first_line(text), SNIPPET), "len": text.len()}})
            }
            Seen::Read(text) => json!({"Read": shown(text)}),
            Seen::Write(text) if terse && text.len() > SNIPPET => {
                json!({"Write": cut(first_line(text), SNIPPET)})
            }
            Seen::Write(text) => json!({"Write": shown(text)}),
            Seen::Told(value) => value.clone(),
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn shown(text: &str) -> String {
    let kept = cut(text, TEXT_MAX);
    match text.len() - kept.len() {
        0 => kept.to_string(),
        more => format!("{kept}... ({more} octets more)\r\n"),
    }
}

/// Who watches sessions of one shard.
#[derive(Default)]
pub struct Tracing {
    viewers: RefCell<Vec<Arc<Viewer>>>,
    incoming: Cell<bool>,
    outgoing: Cell<bool>,
}

impl Tracing {
    /// Somebody watches from now on.
    pub fn watch(&self, viewer: Arc<Viewer>) {
        self.viewers.borrow_mut().push(viewer);
        self.sweep();
    }

    /// Forgets those that are over.
    pub fn sweep(&self) {
        let mut viewers = self.viewers.borrow_mut();
        viewers.retain(|viewer| !viewer.frames.is_over());
        self.incoming.set(viewers.iter().any(|viewer| !viewer.filter.outgoing));
        self.outgoing.set(viewers.iter().any(|viewer| viewer.filter.outgoing));
    }

    /// Somebody watches sessions in.
    #[inline]
    pub fn incoming(&self) -> bool {
        self.incoming.get()
    }

    /// Somebody watches sessions out.
    #[inline]
    pub fn outgoing(&self) -> bool {
        self.outgoing.get()
    }

    /// Tells those who watch. Called only where somebody does.
    pub fn tell(&self, outgoing: bool, meta: &Map<String, Value>, seen: &Seen<'_>) {
        let mut has_ended = false;
        for viewer in self.viewers.borrow().iter() {
            has_ended |= viewer.frames.is_over();
            if viewer.filter.outgoing != outgoing
                || viewer.frames.is_over()
                || !viewer.filter.admits(meta)
            {
                continue;
            }
            let payload = seen.payload(viewer.filter.terse);
            let frame =
                json!({"conn_meta": meta, "payload": payload, "when": rfc3339(unix_nanos())});
            viewer.frames.push(frame.to_string());
        }
        if has_ended {
            self.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_events::limits::WATCHER_FRAMES_MAX;

    #[test]
    fn a_viewer_that_does_not_read_is_dropped() {
        let tracing = Tracing::default();
        assert!(!tracing.incoming());
        let viewer = Viewer::new(Filter::default());
        tracing.watch(viewer.clone());
        assert!(tracing.incoming() && !tracing.outgoing());
        for _ in 0..=WATCHER_FRAMES_MAX {
            tracing.tell(false, &Map::new(), &Seen::Read("NOOP\r\n"));
        }
        assert!(viewer.frames.is_over());
        tracing.tell(false, &Map::new(), &Seen::Mark("Closed"));
        assert!(!tracing.incoming());
    }

    #[test]
    fn filters_take_what_is_not_known_yet() {
        let filter = Filter {
            outgoing: true,
            mx_addr: Some(CidrSet::parse_list(["192.0.2.0/24"]).unwrap()),
            values: vec![("domain", vec!["a.test".into()]), ("recipient", vec!["u@a.test".into()])],
            ..Filter::default()
        };
        let meta = |value: Value| value.as_object().unwrap().clone();
        assert!(filter.admits(&Map::new()));
        assert!(filter.admits(&meta(json!({"mx_address": "192.0.2.1:25", "domain": "A.test"}))));
        assert!(!filter.admits(&meta(json!({"mx_address": "198.51.100.1:25"}))));
        assert!(!filter.admits(&meta(json!({"domain": "b.test"}))));
        assert!(filter.admits(&meta(json!({"recipient": ["x@a.test", "u@a.test"]}))));
    }

    #[test]
    fn long_texts_are_cut() {
        let text = "x".repeat(TEXT_MAX + 10);
        let payload = Seen::Read(&text).payload(false);
        assert!(payload["Read"].as_str().unwrap().ends_with("... (10 octets more)\r\n"));
        let payload = Seen::Read(&format!("Subject: hi\r\n{text}")).payload(true);
        assert_eq!(payload["AbbreviatedRead"]["snippet"], "Subject: hi");
    }
}
