//! What those who watch are told of a connection out. Its properties are put together only while somebody does.

use ringmta_queue::connections::Connection;
use ringmta_queue::model::ReadyQueue;
use ringmta_shard::delivery::Delivery;
use ringmta_shard::state::Shard;
use ringmta_shard::trace::Seen;
use serde_json::{json, Map, Value};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// One connection, as those see it who watch.
#[derive(Clone)]
pub struct Tap {
    shard: Rc<Shard>,
    base: Rc<Base>,
}

struct Base {
    session_id: String,
    ready_queue: String,
    pool: String,
    source: String,
    more: RefCell<Map<String, Value>>,
}

impl Tap {
    /// That of a connection that is about to be opened.
    pub fn new(shard: &Rc<Shard>, ready: &ReadyQueue, connection: &Connection) -> Tap {
        let base = Base {
            session_id: connection.session_id.clone(),
            ready_queue: ready.name.clone(),
            pool: ready.pool.clone(),
            source: ready.source_name(),
            more: RefCell::default(),
        };
        Tap { shard: shard.clone(), base: Rc::new(base) }
    }

    /// Whether somebody watches.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.shard.trace.outgoing()
    }

    /// Tells those who watch.
    pub fn tell(&self, seen: &Seen<'_>) {
        if !self.is_watched() {
            return;
        }
        let base = &self.base;
        let mut meta = base.more.borrow().clone();
        for (name, value) in [
            ("id", &base.session_id),
            ("ready_queue_name", &base.ready_queue),
            ("egress_pool", &base.pool),
            ("egress_source", &base.source),
        ] {
            meta.insert(name.into(), json!(value));
        }
        self.shard.trace.tell(true, &meta, seen);
    }

    /// Bytes that were sent, as far as they are text.
    pub fn wrote(&self, data: &[u8], phase: &str) {
        if !self.is_watched() {
            return;
        }
        if phase == "AUTH PLAIN" {
            return self.tell(&Seen::Write("AUTH PLAIN (not shown)\r\n"));
        }
        self.tell(&Seen::Write(&String::from_utf8_lossy(data)));
    }

    /// A remark for people.
    pub fn remark(&self, level: &str, message: impl FnOnce() -> String) {
        if self.is_watched() {
            let told = json!({"Diagnostic": {"level": level, "message": message()}});
            self.tell(&Seen::Told(told));
        }
    }

    /// The hosts it may be with.
    pub fn plan(&self, hosts: &[(String, SocketAddr)]) {
        if self.is_watched() {
            let addresses = hosts.iter().map(|(name, addr)| {
                let name = format!("{}.", name.trim_end_matches('.'));
                json!({"name": name, "addr": addr.ip()})
            });
            let plan = json!({"Addresses": addresses.collect::<Vec<_>>()});
            self.base.more.borrow_mut().insert("mx_plan".into(), plan);
        }
    }

    /// The host it is with. Kept in any case: who comes later wants to know.
    pub fn host(&self, host: &str, peer: SocketAddr, local: Option<SocketAddr>) {
        let mut more = self.base.more.borrow_mut();
        more.insert("mx_host".into(), json!(host));
        more.insert("mx_address".into(), json!(peer));
        more.insert("source_address".into(), json!(local));
    }

    /// The message it has in work.
    pub fn message(&self, delivery: &Delivery) {
        if !self.is_watched() {
            return;
        }
        let (message, queue) = (&delivery.message, &delivery.item.queue);
        let to: Vec<String> =
            message.recipients().iter().map(|to| to.email().to_string()).collect();
        let mut more = self.base.more.borrow_mut();
        for (name, value) in [
            ("message_id", json!(message.id().to_string())),
            ("queue_name", json!(*queue.name)),
            ("domain", json!(queue.parts.domain)),
            ("routing_domain", json!(queue.parts.routing_domain)),
            ("tenant", json!(queue.parts.tenant)),
            ("campaign", json!(queue.parts.campaign)),
            ("sender", json!(message.sender().email())),
            ("recipient", json!(to)),
        ] {
            match value.is_null() {
                true => drop(more.remove(name)),
                false => drop(more.insert(name.into(), value)),
            }
        }
        drop(more);
        self.tell(&Seen::Mark("MessageObtained"));
    }
}
