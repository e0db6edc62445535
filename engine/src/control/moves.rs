//! `POST /api/admin/rebind/v1`: messages are given other metadata, and so another queue.

use crate::control::orders::take_moving;
use ringmta_http::Response;
use ringmta_io::steady_millis;
use ringmta_queue::model::Item;
use ringmta_queue::orders::Selector;
use ringmta_queue::tasks::{Rebind, Task};
use ringmta_shard::mesh::{Act, Acted};
use ringmta_shard::state::Shard;
use serde::Deserialize;
use std::collections::BTreeMap;
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
pub fn rebind(shard: &Rc<Shard>, selector: &Selector, how: Rebind) -> Acted {
    let meant =
        |item: &Item| !item.is_event() && selector.matches(&item.queue.name, &item.queue.parts);
    let now = steady_millis();
    let mut taken = shard.queues.timers.borrow_mut().take_with_due(meant);
    taken.extend(take_moving(shard, meant).into_iter().map(|item| (now, item)));
    let (done, how) = (taken.len() as u64, Rc::new(how));
    for (due, item) in taken {
        shard.queues.end(item, Task::Rebind(how.clone(), due));
    }
    Acted { done, ..Acted::default() }
}
