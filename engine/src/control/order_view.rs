//! An operator's order as lists tell it.

use crate::control::at_millis;
use ringmta_io::steady_millis;
use ringmta_queue::orders::{About, Order};
use ringmta_shard::state::Shard;
use serde_json::{json, Value};

/// An order as lists tell it, and of which kind it is.
pub fn order_json(shard: &Shard, order: &Order) -> Value {
    let left = order.until_millis.saturating_sub(steady_millis());
    let duration = ringmta_policy::format_duration(std::time::Duration::from_millis(left));
    let expires = at_millis(order.until_millis);
    let mut base = json!({"id": order.id, "reason": order.reason, "duration": duration});
    if order.placed_millis > 0 {
        base["created"] = at_millis(order.placed_millis).into();
        base["created_by"] = order.by.as_str().into();
    }
    let (kind, more) = match &order.about {
        About::Suspend(selector) => ("suspend", json!(selector)),
        About::SuspendReady(name) => ("suspend-ready-q", json!({"name": name, "expires": expires})),
        About::Hold(id) => ("hold", json!({"message": id, "expires": expires})),
        About::Bounce { selector, .. } => {
            let mut more = json!(selector);
            let bounced = shard.queues.orders.bounced_by(&order.id);
            more["total_bounced"] = json!(bounced.values().sum::<u64>());
            more["bounced"] = json!(bounced);
            ("bounce", more)
        }
    };
    let mut out = json!({"kind": kind});
    for part in [base, more] {
        if let (Value::Object(out), Value::Object(part)) = (&mut out, part) {
            out.extend(part.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    out
}
