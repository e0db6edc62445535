//! What operators have stopped: suspensions of scheduled or ready queues, and bounces of all that
//! matches. Each shard keeps its own copy; the control interface makes an order durable
//! ([`crate::order_log`]) and tells every shard.

use crate::order_counts::Bounced;
use crate::order_counts::{Counts, Kept};
use ringmta_mail::{MessageId, QueueName};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Which scheduled queues are meant: every part given must be equal; names, when given, are
/// whole queue names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Campaign.
    #[serde(default)]
    pub campaign: Option<String>,
    /// Tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Domain.
    #[serde(default)]
    pub domain: Option<String>,
    /// Routing domain.
    #[serde(default)]
    pub routing_domain: Option<String>,
    /// Whole names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue_names: Vec<String>,
}

impl Selector {
    /// Whether the queue called `name` with these parts is meant.
    pub fn matches(&self, name: &str, parts: &QueueName) -> bool {
        if !self.queue_names.is_empty() && !self.queue_names.iter().any(|other| other == name) {
            return false;
        }
        let same = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have == Some(wanted))
        };
        same(&self.campaign, parts.campaign.as_deref())
            && same(&self.tenant, parts.tenant.as_deref())
            && same(&self.domain, Some(parts.domain.as_str()))
            && same(&self.routing_domain, parts.routing_domain.as_deref())
    }
}

/// One order of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, a UUID.
    pub id: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it ends, unix milliseconds.
    pub until_millis: u64,
    /// When it was placed, unix milliseconds.
    #[serde(default)]
    pub placed_millis: u64,
    /// Who placed it, as far as is known: a name, an address, or the policy.
    #[serde(default)]
    pub by: String,
    /// What it holds is marked in the journal; an engine before did not mark it.
    #[serde(default)]
    pub marks: bool,
    /// What it is about.
    pub about: About,
}

/// What an order does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// Hold these scheduled queues.
    Suspend(Selector),
    /// Hold the ready queue of this name.
    SuspendReady(String),
    /// Hold the message with this id.
    Hold(String),
    /// Fail all mail of these queues.
    Bounce {
        /// Which.
        selector: Selector,
        /// Make no records of it.
        suppress_logging: bool,
    },
}

impl About {
    /// Whether `other` is about the same: then it takes this one's place.
    fn is_replaced_by(&self, other: &About) -> bool {
        match (self, other) {
            (About::Suspend(one), About::Suspend(two)) => one == two,
            (About::SuspendReady(one), About::SuspendReady(two)) => one == two,
            (About::Hold(one), About::Hold(two)) => one == two,
            (About::Bounce { selector: one, .. }, About::Bounce { selector: two, .. }) => {
                one == two
            }
            _ => false,
        }
    }
}

/// The orders in force on one shard.
#[derive(Default)]
pub struct Orders {
    list: RefCell<Vec<Rc<Order>>>,
    bounced: RefCell<BTreeMap<String, Bounced>>,
    /// What of it is done, and kept over a restart.
    pub kept: Kept,
}

impl Orders {
    /// Puts an order in force. One about the same ends, and is given back.
    pub fn add(&self, order: Order) -> Option<Rc<Order>> {
        let mut list = self.list.borrow_mut();
        let known = list.iter().position(|known| known.about.is_replaced_by(&order.about));
        let replaced = known.map(|at| list.remove(at));
        list.push(Rc::new(order));
        drop(list);
        self.forget_counts();
        replaced
    }

    /// Ends an order and gives it back; `None` when there is none of that id.
    pub fn cancel(&self, id: &str) -> Option<Rc<Order>> {
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|order| order.id == id)?;
        let ended = list.remove(at);
        drop(list);
        self.forget_counts();
        Some(ended)
    }

    /// Ends what is over.
    pub fn expire(&self, now_millis: u64) {
        let mut list = self.list.borrow_mut();
        let before = list.len();
        list.retain(|order| order.until_millis > now_millis);
        if list.len() < before {
            drop(list);
            self.forget_counts();
        }
    }

    fn forget_counts(&self) {
        let list = self.list.borrow();
        let is_in_force = |id: &str| list.iter().any(|order| order.id == *id);
        self.bounced.borrow_mut().retain(|id, _| is_in_force(id));
        self.kept.retain(is_in_force);
    }

    /// All orders in force.
    pub fn list(&self, now_millis: u64) -> Vec<Rc<Order>> {
        let list = self.list.borrow();
        list.iter().filter(|order| order.until_millis > now_millis).cloned().collect()
    }

    /// Whether the order `id` is in force.
    pub fn has(&self, id: &str) -> bool {
        self.list.borrow().iter().any(|order| order.id == id)
    }

    /// None in force: the usual case, asked once per delivery.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The order that holds the queue longest, when it is held.
    pub fn suspended(&self, name: &str, parts: &QueueName, now_millis: u64) -> Option<Rc<Order>> {
        let meant = |about: &About| matches!(about, About::Suspend(selector) if selector.matches(name, parts));
        self.longest(now_millis, meant)
    }

    /// The order that holds this message, when one does.
    pub fn holding(&self, id: MessageId, now_millis: u64) -> Option<Rc<Order>> {
        let mut text = String::new();
        self.longest(now_millis, |about| {
            let About::Hold(held) = about else { return false };
            if text.is_empty() {
                text = id.to_string();
            }
            *held == text
        })
    }

    /// The order that holds the ready queue called `ready` longest, when it is held.
    pub fn holding_ready(&self, ready: &str, now_millis: u64) -> Option<Rc<Order>> {
        self.longest(
            now_millis,
            |about| matches!(about, About::SuspendReady(name) if name == ready),
        )
    }

    /// Some ready queue is held.
    pub fn holds_some_ready(&self, now_millis: u64) -> bool {
        self.longest(now_millis, |about| matches!(about, About::SuspendReady(_))).is_some()
    }

    fn longest(&self, now_millis: u64, mut meant: impl FnMut(&About) -> bool) -> Option<Rc<Order>> {
        let list = self.list.borrow();
        let holds =
            list.iter().filter(|order| order.until_millis > now_millis && meant(&order.about));
        holds.max_by_key(|order| order.until_millis).cloned()
    }

    /// Orders about one message each.
    pub fn holds(&self) -> usize {
        let list = self.list.borrow();
        list.iter().filter(|order| matches!(order.about, About::Hold(_))).count()
    }

    /// Until when the ready queue is held, unix milliseconds; 0 when it is not.
    pub fn ready_held_until(&self, ready: &str) -> u64 {
        let list = self.list.borrow();
        let holds =
            |order: &&Rc<Order>| matches!(&order.about, About::SuspendReady(name) if name == ready);
        list.iter().filter(holds).map(|order| order.until_millis).max().unwrap_or(0)
    }

    /// The order that fails this queue's mail, when there is one.
    pub fn bounced(&self, name: &str, parts: &QueueName, now_millis: u64) -> Option<Rc<Order>> {
        let list = self.list.borrow();
        let found = list.iter().filter(|order| order.until_millis > now_millis).find(|order| {
            matches!(&order.about, About::Bounce { selector, .. } if selector.matches(name, parts))
        });
        found.cloned()
    }

    /// Counts a message of `queue` that the order `id` fails.
    pub fn count_bounced(&self, id: &str, queue: &str) {
        let mut all = self.bounced.borrow_mut();
        if let Some(count) = all.get_mut(id).and_then(|queues| queues.get_mut(queue)) {
            *count += 1;
            return;
        }
        all.entry(id.to_string()).or_default().insert(queue.to_string(), 1);
    }

    /// Takes that back: it could not be done yet.
    pub fn uncount_bounced(&self, id: &str, queue: &str) {
        let mut all = self.bounced.borrow_mut();
        let Some(queues) = all.get_mut(id) else { return };
        match queues.get_mut(queue) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(queues.remove(queue)),
        }
    }

    /// Adds what was counted before a restart; of orders that are over nothing is left in `counts`.
    pub fn add_counts(&self, counts: &mut Counts) {
        let list = self.list.borrow();
        counts.retain(|id, _| list.iter().any(|order| order.id == *id));
        let mut all = self.bounced.borrow_mut();
        for (id, queues) in counts.iter() {
            let known = all.entry(id.clone()).or_default();
            queues.iter().for_each(|(queue, n)| *known.entry(queue.clone()).or_default() += n);
        }
    }

    /// What the order `id` has failed on this shard.
    pub fn bounced_by(&self, id: &str) -> Bounced {
        self.bounced.borrow().get(id).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_by_every_part_given() {
        let name = "c:t@d.test";
        let parts = QueueName::parse(name);
        let with = |domain: Option<&str>, tenant: Option<&str>| Selector {
            domain: domain.map(String::from),
            tenant: tenant.map(String::from),
            ..Selector::default()
        };
        assert!(with(None, None).matches(name, &parts));
        assert!(with(Some("d.test"), Some("t")).matches(name, &parts));
        assert!(!with(Some("d.test"), Some("u")).matches(name, &parts));
        assert!(!with(Some("e.test"), None).matches(name, &parts));
        let named = Selector { queue_names: vec!["x".into()], ..Selector::default() };
        assert!(!named.matches(name, &parts));
    }

    fn order(id: &str, until_millis: u64, about: About) -> Order {
        let (reason, by) = ("r".to_string(), String::new());
        Order { id: id.into(), reason, until_millis, placed_millis: 0, by, marks: true, about }
    }

    #[test]
    fn orders_end_by_themselves() {
        let orders = Orders::default();
        orders.add(order("1", 100, About::Suspend(Selector::default())));
        let parts = QueueName::parse("d");
        let until = |now| orders.suspended("d", &parts, now).map(|held| held.until_millis);
        assert_eq!(until(99), Some(100));
        assert_eq!(until(100), None);
        orders.expire(100);
        assert!(orders.is_empty());
        assert!(orders.cancel("1").is_none());
    }

    #[test]
    fn an_order_about_the_same_takes_the_place_of_the_one_before() {
        let orders = Orders::default();
        let of = |domain: &str| Selector { domain: Some(domain.into()), ..Selector::default() };
        assert!(orders.add(order("1", 100, About::Suspend(of("d")))).is_none());
        assert!(orders.add(order("2", 100, About::Suspend(of("e")))).is_none());
        let bounce = |selector, suppress_logging| About::Bounce { selector, suppress_logging };
        assert!(orders.add(order("3", 100, bounce(of("d"), false))).is_none());
        let replaced = orders.add(order("4", 50, About::Suspend(of("d"))));
        assert_eq!(replaced.map(|order| order.id.clone()).as_deref(), Some("1"));
        let replaced = orders.add(order("5", 50, bounce(of("d"), true)));
        assert_eq!(replaced.map(|order| order.id.clone()).as_deref(), Some("3"));
        assert_eq!(orders.list(0).len(), 3);
    }

    #[test]
    fn what_a_bounce_has_failed_is_counted_while_it_is_in_force() {
        let orders = Orders::default();
        let about = About::Bounce { selector: Selector::default(), suppress_logging: false };
        orders.add(order("1", 100, about));
        for queue in ["a", "b", "a"] {
            orders.count_bounced("1", queue);
        }
        orders.uncount_bounced("1", "b");
        assert_eq!(orders.bounced_by("1"), Bounced::from([("a".to_string(), 2)]));
        orders.expire(100);
        assert!(orders.bounced_by("1").is_empty());
    }
}
