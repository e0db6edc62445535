//! What must be true after a restart.

use crate::spool::model::{Done, Known};
use crate::spool::stage::{Opened, Stage};
use ringmta_io::sim::exec::Node;
use ringmta_policy::{Message, MessageId};
use ringmta_spool::log::load;
use ringmta_spool::start::recover::Recovered;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Longest the read-back of everything found may take, virtual seconds.
const READ_SECS: u64 = 3600;
const TURNS_MAX: u64 = 3_000_000;

/// What was found, by message: each place, and what was read there.
pub type ReadBack = BTreeMap<MessageId, Vec<(usize, Recovered, Result<Message, String>)>>;

/// Checks what a restart found against what is known, then takes it as the new truth.
///
/// # Errors
/// The first promise broken.
pub fn after_start(stage: &Stage, node: Node, opened: &[Opened]) -> Result<(), String> {
    let faults = std::mem::take(&mut *stage.world.disk.faults.borrow_mut());
    let found = read_back(stage, node, opened)?;
    *stage.world.disk.faults.borrow_mut() = faults;
    let mut model = stage.model.borrow_mut();
    for (id, places) in &found {
        if places.len() > 1 {
            let all: Vec<_> = places.iter().map(|(shard, one, _)| (*shard, one.at)).collect();
            return Err(format!("message {id} was found {} times: {all:?}", places.len()));
        }
        let known = model.messages.get(id).ok_or(format!("message {id} was never stored"))?;
        for (_, recovered, read) in places {
            one(*id, known, recovered, read)?;
        }
    }
    for (id, known) in &mut model.messages {
        match found.get(id).and_then(|places| places.first()) {
            Some((shard, recovered, read)) => take(known, *shard, recovered, read),
            None if known.must_be_found() => {
                return Err(format!("acknowledged message {id} is lost: it was at {:?}", known.at));
            }
            None => known.gone = true,
        }
    }
    live_counts(opened)?;
    match stage.world.disk.lost.get() {
        // A start that has read such bytes notes what it cannot keep. Nobody was promised what is in them.
        true => Ok(()),
        false => nothing_is_missed(opened),
    }
}

/// A crash leaves torn records behind, and the start says so; it does not make the journal know of messages
/// that are nowhere.
fn nothing_is_missed(opened: &[Opened]) -> Result<(), String> {
    let damage = opened.iter().flat_map(|opened| &opened.report.damage);
    match damage.filter(|one| one.what.contains("missing")).collect::<Vec<_>>().as_slice() {
        [] => Ok(()),
        missed => Err(format!("nothing was damaged, and the start says {missed:?}")),
    }
}

fn live_counts(opened: &[Opened]) -> Result<(), String> {
    for (shard, opened) in opened.iter().enumerate() {
        let live = opened.partition.segments.totals().1;
        if live != opened.live.len() as u64 {
            let found = opened.live.len();
            return Err(format!("shard {shard} counts {live} live records, and found {found}"));
        }
    }
    Ok(())
}

/// Reads everything found back.
///
/// # Errors
/// When that does not come to an end.
pub fn read_back(stage: &Stage, node: Node, opened: &[Opened]) -> Result<ReadBack, String> {
    let found: Rc<RefCell<ReadBack>> = Rc::default();
    let total: usize = opened.iter().map(|opened| opened.live.len()).sum();
    let count = Rc::new(std::cell::Cell::new(0));
    for (shard, opened) in opened.iter().enumerate() {
        for recovered in opened.live.iter().cloned() {
            let (partition, found) = (opened.partition.clone(), found.clone());
            let count = count.clone();
            stage.world.spawn_on(node, async move {
                let read = load::load(&partition, recovered.at).await;
                found.borrow_mut().entry(recovered.id).or_default().push((shard, recovered, read));
                count.set(count.get() + 1);
            });
        }
    }
    let limit = Duration::from_secs(READ_SECS);
    let read = stage.world.run_until(limit, TURNS_MAX, || count.get() == total);
    read.map_err(|stuck| format!("what was found cannot be read back: {stuck:?}"))?;
    let found = std::mem::take(&mut *found.borrow_mut());
    Ok(found)
}

fn one(
    id: MessageId,
    known: &Known,
    recovered: &Recovered,
    read: &Result<Message, String>,
) -> Result<(), String> {
    if known.must_not_be_found() {
        return Err(format!("message {id} came back, it was done durably (gone: {})", known.gone));
    }
    let stored = read.as_ref().map_err(|why| format!("message {id} cannot be read: {why}"))?;
    let Some(version) = known.possible().iter().find(|version| known.is_same(stored, version))
    else {
        return Err(format!("message {id} came back with other bytes, or as an older version"));
    };
    let queue = ringmta_policy::QueueName::of(&known.meta, &version.recipients).to_string();
    if queue != recovered.queue {
        return Err(format!("message {id} came back in {}, not in {queue}", recovered.queue));
    }
    if recovered.created_nanos != id.created_unix_nanos() {
        return Err(format!("message {id} came back with another time of creation"));
    }
    let state_fits = recovered.state == known.durable_state
        || recovered.state.is_some_and(|state| known.noted_states.contains(&state));
    if !state_fits {
        return Err(format!(
            "message {id} came back with {:?}; the journal had {:?}, then {:?} were noted",
            recovered.state, known.durable_state, known.noted_states
        ));
    }
    Ok(())
}

/// What a restart found is the truth from here on.
fn take(known: &mut Known, shard: usize, recovered: &Recovered, read: &Result<Message, String>) {
    let version = known
        .possible()
        .iter()
        .find(|version| read.as_ref().is_ok_and(|stored| known.is_same(stored, version)))
        .cloned();
    if let Some(mut version) = version {
        version.committed = true;
        known.versions = vec![version];
    }
    known.at = Some((shard, recovered.at));
    known.generation = recovered.generation;
    known.done = Done::No;
    known.busy = false;
    known.durable_state = recovered.state;
    known.noted_states.clear();
}
