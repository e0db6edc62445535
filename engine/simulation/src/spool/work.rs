//! The tasks that use a partition as a shard does: store, attempt, store anew, finish, flush.

use crate::spool::model::{Done, Known, Model, Version};
use crate::spool::stage::{Opened, Stage};
use ringmta_io::sim::exec::Node;
use ringmta_io::sim::rng::MILLION;
use ringmta_io::sim::World;
use ringmta_io::{self as io, sim, Set};
use ringmta_policy::{EnvelopeAddress, Message, MessageId, Meta};
use ringmta_smtp::ids::IdSource;
use ringmta_spool::location::Location;
use ringmta_spool::log::partition::Partition;
use ringmta_spool::log::reclaim::AttemptState;
use ringmta_spool::log::{compact, load};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Tasks of each sort per shard, at the most.
const TASKS_MAX: u64 = 6;
/// Largest body: some batches must not fit what is left of a segment.
const BODY_BYTES_MAX: u64 = 40_000;

struct Worker {
    world: Rc<World>,
    model: Rc<RefCell<Model>>,
    partition: Rc<Partition>,
    ids: Rc<IdSource>,
    shard: usize,
    /// Messages that may still be stored in this life, by all workers.
    room: Rc<Cell<u64>>,
    /// Longest pause between two things it does.
    pause_nanos: u64,
}

/// Lets tasks loose on the opened partitions.
pub fn begin(stage: &Stage, node: Node, opened: Vec<Opened>) {
    let world = &stage.world;
    for (shard, opened) in opened.into_iter().enumerate() {
        let ids = Rc::new(IdSource::new(shard));
        let worker = || Worker {
            world: world.clone(),
            model: stage.model.clone(),
            partition: opened.partition.clone(),
            ids: ids.clone(),
            shard,
            room: stage.room.clone(),
            pause_nanos: 1 << world.rng.between(17, 26),
        };
        for _ in 0..world.rng.between(1, TASKS_MAX) {
            world.spawn_on(node, store_for_ever(worker()));
        }
        for _ in 0..world.rng.between(0, TASKS_MAX) {
            world.spawn_on(node, work_for_ever(worker()));
        }
        world.spawn_on(node, flush_for_ever(worker()));
        world.spawn_on(node, read_for_ever(worker()));
        if world.rng.flip() {
            world.spawn_on(node, compact_for_ever(worker()));
        }
    }
    if world.rng.chance(MILLION / 4) {
        world.spawn_on(node, fill_the_disk(world.clone()));
    }
}

async fn pause(worker: &Worker) {
    io::sleep(Duration::from_nanos(worker.world.rng.below(worker.pause_nanos))).await;
}

async fn fill_the_disk(world: Rc<World>) {
    loop {
        io::sleep(Duration::from_micros(world.rng.below(100_000))).await;
        world.disk.full.set(world.rng.flip());
    }
}

fn addresses(world: &World) -> Vec<EnvelopeAddress> {
    let count = world.rng.between(1, 4);
    let texts = (0..count).map(|n| format!("r{n}@d{}.test", world.rng.below(5)));
    texts.filter_map(|text| EnvelopeAddress::parse(&text).ok()).collect()
}

fn make_message(worker: &Worker) -> (MessageId, Known) {
    let rng = &worker.world.rng;
    let size = if rng.chance(MILLION / 10) { rng.below(BODY_BYTES_MAX) } else { rng.below(3000) };
    let mut meta = Meta::new();
    if rng.flip() {
        meta.insert("tenant".into(), format!("t{}", rng.below(3)).into());
    }
    let version = Version { recipients: addresses(&worker.world), committed: false };
    let known = Known {
        sender: EnvelopeAddress::parse("s@sender.test").unwrap_or_else(|_| EnvelopeAddress::null()),
        meta,
        body: Rc::new(rng.bytes(size as usize)),
        versions: vec![version],
        generation: 0,
        at: None,
        done: Done::No,
        durable_state: None,
        noted_states: Vec::new(),
        busy: false,
        gone: false,
    };
    (worker.ids.next().0, known)
}

fn message_of(id: MessageId, known: &Known, version: &Version) -> Message {
    let (sender, recipients) = (known.sender.clone(), version.recipients.clone());
    Message::new(id, sender, recipients, known.meta.clone(), known.body.clone())
}

async fn store_for_ever(worker: Worker) {
    loop {
        pause(&worker).await;
        let Some(left) = worker.room.get().checked_sub(1) else { return };
        worker.room.set(left);
        let (id, known) = make_message(&worker);
        let message = message_of(id, &known, &known.versions[0]);
        let body = known.body.clone();
        worker.model.borrow_mut().messages.insert(id, known);
        let stored = match worker.partition.store(&message, &body) {
            Ok(commit) => commit.await,
            Err(error) => Err(error),
        };
        worker.world.note(format!("shard {}: store {id}: {stored:?}", worker.shard));
        if let (Ok(at), Some(known)) = (stored, worker.model.borrow_mut().messages.get_mut(&id)) {
            known.versions[0].committed = true;
            known.at = Some((worker.shard, at));
        }
    }
}

/// A message of this shard that nobody is at work on.
fn choose(worker: &Worker) -> Option<(MessageId, Location)> {
    let model = worker.model.borrow();
    let free: Vec<(MessageId, Location)> = model
        .messages
        .iter()
        .filter(|(_, known)| known.done == Done::No && !known.busy && !known.gone)
        .filter_map(|(id, known)| match known.at {
            Some((shard, at)) if shard == worker.shard => Some((*id, at)),
            _ => None,
        })
        .collect();
    worker.world.rng.pick(&free).copied()
}

async fn work_for_ever(worker: Worker) {
    loop {
        pause(&worker).await;
        let Some((id, at)) = choose(&worker) else { continue };
        match worker.world.rng.below(10) {
            0..=4 => finish(&worker, id, at),
            5..=7 => attempt(&worker, id, at),
            _ => store_anew(&worker, id, at).await,
        }
    }
}

fn finish(worker: &Worker, id: MessageId, at: Location) {
    worker.partition.done(at);
    if let Some(known) = worker.model.borrow_mut().messages.get_mut(&id) {
        known.done = Done::Noted;
    }
    worker.world.note(format!("shard {}: done {id}", worker.shard));
}

fn attempt(worker: &Worker, id: MessageId, at: Location) {
    let mut model = worker.model.borrow_mut();
    let Some(known) = model.messages.get_mut(&id) else { return };
    let before = known.noted_states.last().or(known.durable_state.as_ref());
    let attempts = before.map_or(0, |state| state.attempts) + 1;
    let due_millis = io::steady_millis() + worker.world.rng.below(100_000);
    let state = AttemptState { attempts, due_millis };
    known.at = Some((worker.shard, worker.partition.attempted(at, state)));
    known.noted_states.push(state);
    worker.world.note(format!("shard {}: attempt {id}: {state:?}", worker.shard));
}

/// As after a delivery to some of the recipients: the record is written anew, then the old one is
/// let go, then the attempt is noted.
async fn store_anew(worker: &Worker, id: MessageId, old: Location) {
    let (message, body, generation) = {
        let mut model = worker.model.borrow_mut();
        let Some(known) = model.messages.get_mut(&id) else { return };
        let mut recipients = known.possible()[0].recipients.clone();
        if recipients.len() < 2 {
            return;
        }
        recipients.pop();
        known.versions.push(Version { recipients, committed: false });
        known.busy = true;
        let message = message_of(id, known, &known.versions[known.versions.len() - 1]);
        known.generation += 1;
        (message, known.body.clone(), known.generation)
    };
    let stored = match worker.partition.store_anew(&message, &body, generation) {
        Ok(commit) => commit.await,
        Err(error) => Err(error),
    };
    worker.world.note(format!("shard {}: store anew {id}: {stored:?}", worker.shard));
    let committed = {
        let mut model = worker.model.borrow_mut();
        let Some(known) = model.messages.get_mut(&id) else { return };
        known.busy = false;
        if let Ok(at) = stored {
            if let Some(version) = known.versions.last_mut() {
                version.committed = true;
            }
            known.at = Some((worker.shard, at));
        }
        stored.ok()
    };
    if let Some(at) = committed {
        worker.partition.done(old);
        attempt(worker, id, at);
    }
}

/// The shard's journal task, with eyes: what was noted before a flush that succeeds is durable.
async fn flush_for_ever(worker: Worker) {
    loop {
        pause(&worker).await;
        let mine = |known: &Known| known.at.is_some_and(|(shard, _)| shard == worker.shard);
        let noted: Vec<(MessageId, bool, usize)> = worker
            .model
            .borrow()
            .messages
            .iter()
            .filter(|(_, known)| mine(known) && !known.gone)
            .map(|(id, known)| (*id, known.done == Done::Noted, known.noted_states.len()))
            .filter(|(_, done, states)| *done || *states > 0)
            .collect();
        let flushed = worker.partition.flush_journal().await;
        worker.world.note(format!("shard {}: flush: {flushed:?}", worker.shard));
        if flushed.is_err() {
            continue;
        }
        let mut model = worker.model.borrow_mut();
        for (id, done, states) in noted {
            let Some(known) = model.messages.get_mut(&id) else { continue };
            if done {
                known.done = Done::Durable;
            }
            if let Some(state) = known.noted_states.drain(..states).next_back() {
                known.durable_state = Some(state);
            }
        }
    }
}

async fn compact_for_ever(worker: Worker) {
    let mut unreadable = Set::default();
    loop {
        pause(&worker).await;
        let moved = compact::once(&worker.partition, &mut unreadable).await;
        if !matches!(moved, Ok(0)) {
            worker.world.note(format!("shard {}: compact: {moved:?}", worker.shard));
        }
    }
}

/// What was acknowledged can be read back at any time.
async fn read_for_ever(worker: Worker) {
    loop {
        pause(&worker).await;
        let Some((id, at)) = choose(&worker) else { continue };
        let read = load::load(&worker.partition, at).await;
        let broken_disk = {
            let faults = worker.world.disk.faults.borrow();
            faults.read_error + faults.hang > 0
        };
        let mut model = worker.model.borrow_mut();
        let Some(known) = model.messages.get(&id) else { continue };
        // Done or stored anew while it was being read: its place may have been used again.
        if known.at != Some((worker.shard, at)) || known.done != Done::No {
            continue;
        }
        let wrong = match &read {
            Ok(stored) => !known.versions.iter().any(|version| known.is_same(stored, version)),
            Err(_) => !broken_disk,
        };
        if wrong && sim::active() {
            let what = read.map_or_else(|why| why, |_| "other bytes".into());
            model.fail(format!("message {id} at {at:?} cannot be read back: {what}"));
        }
    }
}
