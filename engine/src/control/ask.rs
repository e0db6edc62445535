//! Questions to every shard and their answers, within a deadline.

use crate::control::machine;
use crate::limits::{MESH_ANSWER_SECS, ORDER_ANSWER_SECS, PATH_ANSWER_SECS};
use futures::channel::oneshot;
use ringmta_events::metrics::Snapshot;
use ringmta_io::{deadline, mono_nanos};
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::Order;
use ringmta_shard::mesh::{Inspect, Letter};
use ringmta_shard::process::Process;
use ringmta_shard::totals;
use serde_json::Value;
use std::time::Duration;

/// Sends each of `shards` a letter made by `letter` and collects the answers: one that took no letter,
/// or gave no answer within `limit`, has none.
pub async fn some<T>(
    process: &Process,
    shards: std::ops::Range<usize>,
    limit: Duration,
    letter: impl Fn(oneshot::Sender<T>) -> Letter,
) -> Vec<(usize, Option<T>)> {
    let ask = |shard: usize| {
        let (sender, receiver) = oneshot::channel();
        process.inboxes[shard].send(letter(sender)).is_ok().then_some(receiver)
    };
    let waiting: Vec<_> = shards.map(|shard| (shard, ask(shard))).collect();
    let mut answers = Vec::with_capacity(waiting.len());
    for (shard, receiver) in waiting {
        let answer = match receiver {
            Some(receiver) => deadline(limit, receiver).await.ok().and_then(Result::ok),
            None => None,
        };
        answers.push((shard, answer));
    }
    answers
}

/// The same for every shard.
pub async fn all<T>(
    process: &Process,
    letter: impl Fn(oneshot::Sender<T>) -> Letter,
) -> Vec<(usize, Option<T>)> {
    let limit = Duration::from_secs(MESH_ANSWER_SECS);
    some(process, 0..process.inboxes.len(), limit, letter).await
}

/// The metrics of all shards, added up.
pub async fn metrics(process: &Process) -> Snapshot {
    let mut sum = Snapshot::default();
    sum.user_latencies = process.policy_shared.latencies();
    totals::sources(&process.limits, &mut sum, mono_nanos() / 1_000_000);
    machine::add_to(process, &mut sum).await;
    for (_, part) in all(process, Letter::Metrics).await {
        part.iter().for_each(|part| sum.add(part));
    }
    sum
}

/// Every shard's answer to a question, those that know nothing left out.
pub async fn inspect(process: &Process, question: Inspect) -> Vec<Value> {
    let answers = all(process, |answer| Letter::Inspect(question.clone(), answer)).await;
    let known = |answer: &Value| !answer.is_null();
    answers.into_iter().filter_map(|(_, answer)| answer).filter(known).collect()
}

/// Every shard's answer to a question; none for a shard that gave none.
pub async fn each(process: &Process, question: Inspect) -> Vec<(usize, Option<Value>)> {
    all(process, |answer| Letter::Inspect(question.clone(), answer)).await
}

/// The answer of the first of `shards` that gives one.
pub async fn first(
    process: &Process,
    shards: std::ops::Range<usize>,
    question: Inspect,
) -> Option<Value> {
    let limit = Duration::from_secs(PATH_ANSWER_SECS);
    let letter = |answer| Letter::Inspect(question.clone(), answer);
    let answers = some(process, shards, limit, letter).await;
    answers.into_iter().find_map(|(_, answer)| answer.filter(|answer| !answer.is_null()))
}

/// Puts an order in force everywhere. The answer is what a bounce has taken, by scheduled queue.
///
/// # Errors
/// The shards that have not said that they took it.
pub async fn order(process: &Process, order: &Order) -> Result<Bounced, Vec<usize>> {
    let letter = |answer| Letter::Order(Box::new(order.clone()), answer);
    let limit = Duration::from_secs(ORDER_ANSWER_SECS);
    let answers = some(process, 0..process.inboxes.len(), limit, letter).await;
    let mut sum = Bounced::new();
    let mut silent = Vec::new();
    for (shard, answer) in answers {
        let Some(bounced) = answer else {
            silent.push(shard);
            continue;
        };
        bounced.into_iter().for_each(|(queue, count)| *sum.entry(queue).or_default() += count);
    }
    if silent.is_empty() {
        Ok(sum)
    } else {
        Err(silent)
    }
}

/// Ends an order everywhere; `false` when no shard had it.
///
/// # Errors
/// The shards that have not answered.
pub async fn cancel(process: &Process, id: &str) -> Result<bool, Vec<usize>> {
    let letter = |answer| Letter::Cancel(id.to_string(), answer);
    let limit = Duration::from_secs(ORDER_ANSWER_SECS);
    let answers = some(process, 0..process.inboxes.len(), limit, letter).await;
    let silent: Vec<usize> =
        answers.iter().filter(|(_, answer)| answer.is_none()).map(|(shard, _)| *shard).collect();
    let had = answers.iter().any(|(_, answer)| *answer == Some(true));
    if silent.is_empty() {
        Ok(had)
    } else {
        Err(silent)
    }
}
