//! Questions to every shard and their answers, within a deadline.

use crate::events::metrics::Snapshot;
use crate::io::{deadline, unix_millis};
use crate::limits::MESH_ANSWER_SECS;
use crate::mesh::{Inspect, Letter};
use crate::process::Process;
use crate::queue::suspend::Order;
use futures::channel::oneshot;
use serde_json::Value;
use std::time::Duration;

/// Sends every shard a letter made by `letter` and collects the answers of those that gave one
/// in time.
async fn all<T>(process: &Process, letter: impl Fn(oneshot::Sender<T>) -> Letter) -> Vec<T> {
    let mut waiting = Vec::with_capacity(process.inboxes.len());
    for inbox in &process.inboxes {
        let (sender, receiver) = oneshot::channel();
        if inbox.send(letter(sender)).is_ok() {
            waiting.push(receiver);
        }
    }
    let mut answers = Vec::with_capacity(waiting.len());
    for receiver in waiting {
        let limit = Duration::from_secs(MESH_ANSWER_SECS);
        if let Ok(Ok(answer)) = deadline(limit, receiver).await {
            answers.push(answer);
        }
    }
    answers
}

/// The metrics of all shards, added up.
pub async fn metrics(process: &Process) -> Snapshot {
    let mut sum = Snapshot::default();
    sum.user_latencies = process.policy_shared.latencies();
    process.limits.add_to(&mut sum, unix_millis());
    for part in all(process, Letter::Metrics).await {
        sum.add(&part);
    }
    sum
}

/// Every shard's answer to a question, those that know nothing left out.
pub async fn inspect(process: &Process, question: Inspect) -> Vec<Value> {
    let mut answers = all(process, |answer| Letter::Inspect(question.clone(), answer)).await;
    answers.retain(|answer| !answer.is_null());
    answers
}

/// Puts an order in force everywhere.
pub async fn order(process: &Process, order: &Order) {
    all(process, |answer| Letter::Order(Box::new(order.clone()), answer)).await;
}

/// Ends an order everywhere; `false` when no shard had it.
pub async fn cancel(process: &Process, id: &str) -> bool {
    all(process, |answer| Letter::Cancel(id.to_string(), answer)).await.contains(&true)
}

/// Loads the policy anew on every shard.
///
/// # Errors
/// The first shard's complaint, or that one has not answered.
pub async fn reload(process: &Process) -> Result<(), String> {
    let answers = all(process, Letter::Reload).await;
    let whole = answers.len() == process.inboxes.len();
    answers.into_iter().collect::<Result<(), String>>()?;
    if !whole {
        return Err("not every shard has answered; try again".into());
    }
    process.policy_shared.bump_epoch();
    Ok(())
}
