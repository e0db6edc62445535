//! Runs one seed of partitions alone.

use crate::options::{Options, Summary};
use crate::spool::check;
use crate::spool::stage::{choose_faults, Opened, Stage, MESSAGES_MAX, START_SECS, TURNS_MAX};
use crate::spool::work;
use ringmta_io::sim::crash::Crash;
use ringmta_io::sim::exec::Node;
use ringmta_io::sim::rng::MILLION;
use ringmta_io::sim::{disk, World};
use std::time::Duration;

/// Crashes of one run, at the most.
const CRASHES_MAX: u64 = 6;
/// Starts that may fail for a failing disk before the disk is made well.
const FAILED_STARTS: u32 = 3;

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
