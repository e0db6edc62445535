//! The policy loaded anew, in two steps: every shard loads it and keeps it aside, and only when all of them could do so
//! do they put it in force. A policy that fails on one shard changes nothing on any.

use crate::control::ask;
use crate::limits::{MESH_RETRY_MS, RELOAD_SECS};
use futures::channel::oneshot;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{deadline, mono_nanos, sleep};
use ringmta_shard::certificates;
use ringmta_shard::mesh::Letter;
use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use std::rc::Rc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(RELOAD_SECS);

/// Has the first shard load the policy anew everywhere.
///
/// # Errors
/// What is wrong with it, or that one reload is under way.
pub async fn ask(process: &Process) -> Result<(), String> {
    let (sender, answer) = oneshot::channel();
    let first = process.inboxes.first().ok_or("there is no shard")?;
    first.send(Letter::Reload(sender)).map_err(|_| "the first shard takes no letters")?;
    // Every shard in turn may take its whole time, twice.
    match deadline(LIMIT * 4, answer).await {
        Ok(Ok(answer)) => answer,
        _ => Err("the first shard has not answered".into()),
    }
}

/// Carries out a reload, on the first shard.
///
/// # Errors
/// What is wrong with the policy, or that another reload is under way.
pub async fn run(shard: &Rc<Shard>) -> Result<(), String> {
    if shard.context.policy.loads.under_way.replace(true) {
        return Err("another reload is under way; try again".into());
    }
    let began = mono_nanos();
    let done = in_two_steps(&shard.process).await;
    // They stand on their own: a policy that is refused holds up no certificate.
    certificates::renew(shard).await;
    shard.context.policy.loads.under_way.set(false);
    let ms = (mono_nanos() - began) / 1_000_000;
    match &done {
        Ok(()) => tracing::info!("policy in force on every shard after {ms} ms"),
        Err(why) => tracing::error!("policy not taken, the one before stays in force: {why}"),
    }
    done
}

async fn in_two_steps(process: &Process) -> Result<(), String> {
    // One shard first: a policy that is broken costs the others no moment.
    let shards = process.inboxes.len();
    let mut prepared = prepare(process, 0..1).await;
    if prepared.is_ok() {
        prepared = prepare(process, 1..shards).await;
    }
    if let Err(why) = prepared {
        if is_planted(Bug::ReloadByShard) {
            for shard in 0..shards {
                drop(deliver(process, shard, Letter::Take).await);
            }
            return Err(why);
        }
        for shard in 0..shards {
            // One that is not told forgets it at the next reload.
            let _ = process.inboxes[shard].send(Letter::Drop);
        }
        return Err(why);
    }
    let mut answers = Vec::with_capacity(shards);
    for shard in 0..shards {
        answers.push((shard, deliver(process, shard, Letter::Take).await));
    }
    for (shard, answer) in answers {
        let taken = match answer {
            Some(answer) => deadline(LIMIT, answer).await.is_ok_and(|answer| answer.is_ok()),
            None => false,
        };
        if !taken {
            tracing::error!("shard {shard} has not said that it goes by the new policy");
        }
    }
    process.policy_shared.bump_epoch();
    // The new one may let in others.
    process.console.log_out_all();
    Ok(())
}

async fn prepare(process: &Process, shards: std::ops::Range<usize>) -> Result<(), String> {
    let asked = ask::some(process, shards, LIMIT, Letter::Prepare).await;
    for (shard, answer) in asked {
        answer.ok_or_else(|| format!("shard {shard} has not answered; try again"))??;
    }
    Ok(())
}

/// Puts a letter into a box, however full it is: what was begun is brought to its end.
async fn deliver<T>(
    process: &Process,
    shard: usize,
    letter: impl Fn(oneshot::Sender<T>) -> Letter,
) -> Option<oneshot::Receiver<T>> {
    let end = mono_nanos() + LIMIT.as_nanos() as u64;
    loop {
        let (sender, receiver) = oneshot::channel();
        if process.inboxes[shard].send(letter(sender)).is_ok() {
            return Some(receiver);
        }
        if mono_nanos() > end {
            return None;
        }
        sleep(Duration::from_millis(MESH_RETRY_MS)).await;
    }
}
