//! Partitions alone, without queues or network: the quickest way to every state a spool can be in.
//!
//! Layout: [`model`] what the world outside knows of each message · [`work`] the tasks that use a
//! partition as a shard does · [`check`] what must be true after a restart · [`damage`] bytes
//! changed on disk.

pub mod check;
pub mod damage;
pub mod model;
pub mod work;

use super::{Options, Summary};
use crate::io::sim::crash::Crash;
use crate::io::sim::planted::Bug;
use crate::io::sim::rng::{Rng, MILLION};
use crate::io::sim::{disk, Node, World};
use crate::spool::partition::SpoolPaths;
use crate::spool::recover::{Recovered, Report};
use crate::spool::Partition;
use model::Model;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Crashes of one run, at the most.
const CRASHES_MAX: u64 = 6;
/// Messages stored in one life, at the most.
const MESSAGES_MAX: u64 = 80;
/// Longest a start may take in virtual time: longer than any chain of disk deadlines in it.
const START_SECS: u64 = 600;
/// Turns after which a run is taken for a circle.
const TURNS_MAX: u64 = 3_000_000;
/// Starts that may fail for a failing disk before the disk is made well.
const FAILED_STARTS: u32 = 3;

/// One shard's partition as a restart gave it.
pub struct Opened {
    /// Its number.
    pub shard: usize,
    /// The partition.
    pub partition: Rc<Partition>,
    /// What it found.
    pub live: Vec<Recovered>,
    /// What it said.
    pub report: Report,
}

/// A run: its world and all that outlives a crash.
pub struct Stage {
    /// The world.
    pub world: Rc<World>,
    /// What is known of the messages.
    pub model: Rc<RefCell<Model>>,
    /// Where the spools are.
    pub paths: SpoolPaths,
    /// Messages that may still be stored in this life.
    pub room: Rc<Cell<u64>>,
}

impl Stage {
    /// Sets the stage for `seed`.
    pub fn new(seed: u64, options: Options) -> Stage {
        let world = World::new(seed, options.verbose);
        world.planted.set(options.planted);
        let rng = &world.rng;
        let paths = SpoolPaths {
            data: "/spool/data".into(),
            meta: "/spool/meta".into(),
            durable: options.planted != Some(Bug::ReplyBeforeSync),
            segment_bytes: 1 << rng.between(17, 20),
            journal_bytes: 1 << rng.between(14, 17),
        };
        Stage { world, model: Rc::default(), paths, room: Rc::default() }
    }

    /// Starts partitions `0..shards` on a fresh machine. `None` when one could not be opened.
    pub fn open(&self, node: Node, shards: usize) -> Rc<RefCell<Vec<std::io::Result<Opened>>>> {
        let opened = Rc::new(RefCell::new(Vec::new()));
        for shard in 0..shards {
            let (paths, opened) = (self.paths.clone(), opened.clone());
            self.world.spawn_on(node, async move {
                let result = Partition::open(&paths, shard, shards).await;
                let result = result.map(|(partition, live, report)| Opened {
                    shard,
                    partition,
                    live,
                    report,
                });
                opened.borrow_mut().push(result);
            });
        }
        opened
    }
}

/// Disk faults of a run: many runs have none, so that a crash is all that happens.
pub fn choose_faults(rng: &Rng) -> disk::Faults {
    let mut faults = disk::Faults::default();
    faults.latency_nanos.1 = 1 << rng.between(15, 23);
    if rng.flip() {
        return faults;
    }
    let some = |rng: &Rng| if rng.flip() { 1 << rng.between(6, 15) } else { 0 };
    faults.write_error = some(rng);
    faults.write_short = some(rng);
    faults.read_error = some(rng) / 8;
    faults.sync_error = some(rng);
    faults.hang = if rng.chance(MILLION / 4) { some(rng) / 4 } else { 0 };
    faults
}

/// Runs one seed.
///
/// # Errors
/// The first promise broken.
pub fn run(seed: u64, options: Options) -> Result<Summary, String> {
    let stage = Stage::new(seed, options);
    let world = stage.world.clone();
    let _entered = world.enter();
    let faults = choose_faults(&world.rng);
    world.note(format!("{:?} {faults:?}", stage.paths));
    let mut crashes = 0;
    for round in 0..=world.rng.between(1, CRASHES_MAX) {
        if !live_and_crash(&stage, &faults, round)? {
            return Err("a start never ended".into());
        }
        crashes += 1;
    }
    let messages = stage.model.borrow().acknowledged();
    Ok(Summary { hash: world.hash(), crashes, messages })
}

/// One life of an engine: a start, its check, some work, a crash.
fn live_and_crash(stage: &Stage, faults: &disk::Faults, round: u64) -> Result<bool, String> {
    let world = &stage.world;
    let shards = world.rng.between(1, 4) as usize;
    for attempt in 0.. {
        let well = attempt >= FAILED_STARTS;
        *world.disk.faults.borrow_mut() = if well { Default::default() } else { faults.clone() };
        world.disk.full.set(false);
        let node = world.exec.new_node();
        world.note(format!("round {round}: start {attempt} with {shards} shards"));
        let opened = stage.open(node, shards);
        // A crash may come in the middle of a start, and the next one must cope.
        if round > 0 && world.rng.chance(MILLION / 5) {
            let steps = world.rng.below(300);
            for _ in 0..steps {
                world.step();
            }
            if opened.borrow().len() < shards {
                crash(world, node);
                continue;
            }
        }
        let all_open = || opened.borrow().len() == shards;
        if world.run_until(Duration::from_secs(START_SECS), TURNS_MAX, all_open).is_err() {
            return Ok(false);
        }
        let taken = std::mem::take(&mut *opened.borrow_mut());
        let mut opened: Vec<Opened> = match taken.into_iter().collect() {
            Ok(opened) => opened,
            Err(error) => {
                if well {
                    return Err(format!("a start failed on a healthy disk: {error}"));
                }
                crash(world, node);
                continue;
            }
        };
        opened.sort_by_key(|opened| opened.shard);
        check::after_start(stage, node, &opened)?;
        stage.room.set(world.rng.between(5, MESSAGES_MAX));
        work::begin(stage, node, opened);
        let time = Duration::from_micros(1 << world.rng.between(9, 17));
        world.run_for(time);
        if let Some(broken) = stage.model.borrow().broken.clone() {
            return Err(broken);
        }
        crash(world, node);
        return Ok(true);
    }
    Ok(true)
}

fn crash(world: &World, node: Node) {
    let kind = if world.rng.chance(MILLION / 4) { Crash::Process } else { Crash::Power };
    world.note(format!("crash: {kind:?}"));
    world.kill(node);
    world.crash_disk(kind);
}
