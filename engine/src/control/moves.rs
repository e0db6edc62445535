//! `POST /api/admin/rebind/v1`: messages are given other metadata, and so another queue.

use crate::control::orders::{each_in_timer, take_moving};
use ringmta_http::Response;
use ringmta_io::steady_millis;
use ringmta_queue::limits::TIMER_TICK_MS;
use ringmta_queue::model::Item;
use ringmta_queue::orders::Selector;
use ringmta_queue::tasks::{Rebind, Task};
use ringmta_shard::mesh::{Act, Acted};
use ringmta_shard::state::Shard;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// A request as it is posted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    reason: String,
    data: BTreeMap<String, String>,
    #[serde(default)]
    campaign: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    routing_domain: Option<String>,
    #[serde(default)]
    queue_names: Vec<String>,
    #[serde(default)]
    always_flush: bool,
    #[serde(default)]
    suppress_logging: bool,
    #[serde(default)]
    trigger_rebind_event: bool,
}

/// The order in a request.
///
/// # Errors
/// The response that says what is wrong with it.
pub fn posted(body: &[u8]) -> Result<Act, Response> {
    let posted: Posted =
        serde_json::from_slice(body).map_err(|error| Response::json_error(&error, body))?;
    let selector = Selector {
        campaign: posted.campaign,
        tenant: posted.tenant,
        domain: posted.domain,
        routing_domain: posted.routing_domain,
        queue_names: posted.queue_names,
    };
    let how = Rebind {
        reason: posted.reason,
        data: posted.data.into_iter().collect(),
        always_flush: posted.always_flush,
        suppress_logging: posted.suppress_logging,
        by_event: posted.trigger_rebind_event,
    };
    Ok(Act::Rebind(selector, how))
}

/// Has all that is meant and waits on this shard moved, a few at a time. Events of hooks stay what they are.
pub async fn rebind(shard: &Rc<Shard>, selector: &Selector, how: Rebind) -> Acted {
    let meant =
        |item: &Item| !item.is_event() && selector.matches(&item.queue.name, &item.queue.parts);
    let now = steady_millis();
    let (mut done, how) = (0, Rc::new(how));
    let mut begin = |item, due| {
        done += 1;
        shard.queues.end(item, Task::Rebind(how.clone(), due));
    };
    take_moving(shard, meant).into_iter().for_each(|item| begin(item, now));
    // Of what the timer gives, at most a slice at a time.
    let dues = RefCell::new(VecDeque::new());
    let noted = |tick, item: &Item| {
        let is_meant = meant(item);
        dues.borrow_mut().extend(is_meant.then_some(tick * TIMER_TICK_MS));
        is_meant
    };
    let due = || dues.borrow_mut().pop_front().unwrap_or(now);
    each_in_timer(shard, noted, |item| begin(item, due())).await;
    Acted { done, ..Acted::default() }
}
