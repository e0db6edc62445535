//! What operators have stopped: suspensions of scheduled or ready queues, and bounces of all that
//! matches. Each shard keeps its own copy; the control interface tells every shard.

use ringmta_policy::QueueName;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id, a UUID.
    pub id: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// When it ends, unix milliseconds.
    pub until_millis: u64,
    /// What it is about.
    pub about: About,
}

/// What an order does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Hold these scheduled queues.
    Suspend(Selector),
    /// Hold the ready queue of this name.
    SuspendReady(String),
    /// Fail all mail of these queues.
    Bounce {
        /// Which.
        selector: Selector,
        /// Make no records of it.
        suppress_logging: bool,
    },
}

/// The orders in force on one shard.
#[derive(Default)]
pub struct Orders {
    list: RefCell<Vec<Order>>,
}

impl Orders {
    /// Puts an order in force.
    pub fn add(&self, order: Order) {
        self.list.borrow_mut().push(order);
    }

    /// Ends an order and gives it back; `None` when there is none of that id.
    pub fn cancel(&self, id: &str) -> Option<Order> {
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|order| order.id == id)?;
        Some(list.remove(at))
    }

    /// Ends what is over.
    pub fn expire(&self, now_millis: u64) {
        self.list.borrow_mut().retain(|order| order.until_millis > now_millis);
    }

    /// All orders in force.
    pub fn list(&self, now_millis: u64) -> Vec<Order> {
        let list = self.list.borrow();
        list.iter().filter(|order| order.until_millis > now_millis).cloned().collect()
    }

    /// None in force: the usual case, asked once per delivery.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Until when the queue is held, when it is.
    pub fn suspended(&self, name: &str, parts: &QueueName, now_millis: u64) -> Option<u64> {
        self.latest(now_millis, |about| match about {
            About::Suspend(selector) => selector.matches(name, parts),
            _ => false,
        })
    }

    /// Until when the ready queue is held, when it is.
    pub fn ready_suspended(&self, ready: &str, now_millis: u64) -> Option<u64> {
        self.latest(now_millis, |about| matches!(about, About::SuspendReady(name) if name == ready))
    }

    /// The order that fails this queue's mail, when there is one.
    pub fn bounced(&self, name: &str, parts: &QueueName, now_millis: u64) -> Option<Order> {
        let list = self.list.borrow();
        let found = list.iter().filter(|order| order.until_millis > now_millis).find(|order| {
            matches!(&order.about, About::Bounce { selector, .. } if selector.matches(name, parts))
        });
        found.cloned()
    }

    fn latest(&self, now_millis: u64, wanted: impl Fn(&About) -> bool) -> Option<u64> {
        let list = self.list.borrow();
        list.iter()
            .filter(|order| order.until_millis > now_millis && wanted(&order.about))
            .map(|order| order.until_millis)
            .max()
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

    #[test]
    fn orders_end_by_themselves() {
        let orders = Orders::default();
        let about = About::Suspend(Selector::default());
        orders.add(Order { id: "1".into(), reason: "r".into(), until_millis: 100, about });
        let parts = QueueName::parse("d");
        assert_eq!(orders.suspended("d", &parts, 99), Some(100));
        assert_eq!(orders.suspended("d", &parts, 100), None);
        orders.expire(100);
        assert!(orders.is_empty());
        assert!(orders.cancel("1").is_none());
    }
}
