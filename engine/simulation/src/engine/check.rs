//! What must be true while an engine runs, after a start, and at the end.

use crate::engine::ledger::{Ledger, Left, Outcome};
use crate::engine::machine::Machine;
use crate::engine::stage::Passing;
use crate::engine::stage::{Stage, OF_FIRST_SHARD};
use ringmta_shard::state::Shard;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// What passes by itself has passed after this time, and so many looks.
const PASSES_NANOS: u64 = 10_000_000_000;
const PASSES_LOOKS: u32 = 3;

/// Looks at a running engine: what is durable by now, and limits that can only be seen inside.
///
/// # Errors
/// The first promise broken.
pub fn running(stage: &Stage, machine: &Machine) -> Result<(), String> {
    let mut ledger = stage.ledger.borrow_mut();
    let shards = machine.shards();
    let mut clean = 0;
    for shard in &shards {
        if shard.spool.journal.is_clean() {
            ledger.durable(shard.index);
            clean += 1;
        }
    }
    if clean == machine.process.shards {
        ledger.all_durable();
    }
    misplaced(stage, &shards)?;
    let serials: Vec<u64> = shards.iter().map(|shard| shard.serial()).collect();
    let differ = serials.iter().any(|serial| *serial != serials[0]);
    if differ && !stage.reloading.get() && shards.len() == machine.process.shards {
        ledger.fail(format!("shards go by different policies: {serials:?}"));
    }
    let sessions: u64 = machine.process.sessions.iter().map(|s| s.load(Ordering::Relaxed)).sum();
    if sessions > stage.plan.sessions {
        ledger.fail(format!("{sessions} sessions, at most {}", stage.plan.sessions));
    }
    for hop in &stage.hops {
        let peak = stage.world.net.take_peak(hop.addr) as u64;
        if peak > hop.limits.connections {
            let (addr, most) = (hop.addr, hop.limits.connections);
            ledger.fail(format!("limit exceeded: {peak} connections to {addr}, at most {most}"));
        }
    }
    ledger.broken.clone().map_or(Ok(()), Err)
}

/// Everything is in its place, now or in a moment.
fn misplaced(stage: &Stage, shards: &[Rc<Shard>]) -> Result<(), String> {
    let now = stage.world.exec.now();
    let mut passing = stage.passing.borrow_mut();
    let mut still = Passing::new();
    for shard in shards {
        let found = ringmta_shard::check::check(shard);
        let which = |text: &String| format!("self check of shard {}: {text}", shard.index);
        if let Some(problem) = found.problems.first() {
            return Err(which(problem));
        }
        for text in found.passing.iter().map(which) {
            let (since, looks) = passing.get(&text).copied().unwrap_or((now, 0));
            if now - since > PASSES_NANOS && looks > PASSES_LOOKS {
                return Err(format!("{text}; for {} s", (now - since) / 1_000_000_000));
            }
            still.insert(text, (since, looks + 1));
        }
    }
    *passing = still;
    Ok(())
}

/// Every shard has started: whatever must be there is there.
///
/// # Errors
/// The first promise broken.
pub fn after_start(stage: &Stage) -> Result<(), String> {
    let mut ledger = stage.ledger.borrow_mut();
    let Ledger { mail, life, broken, .. } = &mut *ledger;
    for (id, mail) in mail.iter_mut().filter(|(_, mail)| mail.found != *life && mail.seen != *life)
    {
        if mail.acknowledged && mail.left == Left::No {
            return Err(format!("acknowledged message {id} is lost: {mail:?}"));
        }
        mail.left = Left::Durable;
    }
    broken.clone().map_or(Ok(()), Err)
}

/// Every acknowledged message was delivered, or has failed with a record, to each recipient.
///
/// # Errors
/// The first that was not.
pub fn at_the_end(stage: &Stage) -> Result<(), String> {
    let ledger = stage.ledger.borrow();
    for (number, sent) in &ledger.sent {
        if sent.outcome != Outcome::Acknowledged {
            continue;
        }
        for address in &sent.recipients {
            let recipient = ledger.recipients.get(address);
            if recipient.is_none_or(|recipient| recipient.end.is_none()) {
                return Err(format!("message {number} was acknowledged; {address} has no record"));
            }
            if stage.plan.hook.is_some() && recipient.is_none_or(|recipient| !recipient.heard) {
                return Err(format!("message {number}: no hook was told of {address}"));
            }
        }
    }
    Ok(())
}

/// An engine with nothing to do holds nothing: no connection, no lease, no task but those it
/// was started with.
///
/// # Errors
/// What it still holds.
pub fn idle(stage: &Stage, machine: &Machine) -> Result<(), String> {
    let links = stage.world.net.links_of(machine.node);
    if links > 0 {
        return Err(format!("{links} connections are left behind"));
    }
    let leases: u64 = machine
        .shards()
        .iter()
        .flat_map(|shard| {
            shard.queues.ready.borrow().values().map(|ready| ready.leases()).collect::<Vec<_>>()
        })
        .sum();
    if leases > 0 {
        return Err(format!("{leases} leases are left behind"));
    }
    let sessions: u64 = machine.process.sessions.iter().map(|s| s.load(Ordering::Relaxed)).sum();
    let resident: usize = machine.shards().iter().map(|shard| shard.queues.resident.get()).sum();
    if sessions > 0 || resident > 0 {
        return Err(format!("{sessions} sessions, {resident} bytes of bodies are left behind"));
    }
    for shard in machine.shards() {
        let found = ringmta_shard::check::check(&shard);
        if let Some(problem) = found.problems.iter().chain(&found.passing).next() {
            return Err(format!("self check of shard {}: {problem}", shard.index));
        }
    }
    let tasks = stage.world.exec.tasks_of(machine.node);
    let expected = stage.tasks_per_shard.get() * machine.process.shards + OF_FIRST_SHARD;
    if tasks != expected {
        return Err(format!("{tasks} tasks, {expected} at the start"));
    }
    Ok(())
}
