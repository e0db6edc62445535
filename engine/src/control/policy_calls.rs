//! `kumo.api`: what the policy asks of the control interface, without HTTP in between.

use crate::control::admin;
use crate::control::admin::What;
use crate::control::ask;
use ringmta_accept::inject;
use ringmta_policy::{ApiCall, OrderKind};
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::rc::Rc;

fn what(kind: OrderKind) -> What {
    match kind {
        OrderKind::Bounce => What::Bounce,
        OrderKind::Suspend => What::Suspend,
        OrderKind::SuspendReadyQ => What::SuspendReady,
    }
}

/// Carries out one call.
///
/// # Errors
/// Why it cannot be done.
pub async fn answer(shard: &Rc<Shard>, call: ApiCall) -> Result<Value, String> {
    match call {
        ApiCall::List(kind) => Ok(admin::list_value(shard, what(kind)).await),
        ApiCall::Place(kind, order) => admin::place_value(shard, what(kind), order).await,
        ApiCall::Delete(kind, id) => match admin::end_order(shard, what(kind), &id).await {
            Ok(true) => Ok(json!({"id": id})),
            Ok(false) => Err("no such order".into()),
            Err(refused) => Err(refused.text),
        },
        ApiCall::Metrics => Ok(ask::metrics(&shard.process).await.json("")),
        ApiCall::Inject(request) => inject::inject_value(shard, request).await,
    }
}
