//! Runs one seed of a whole engine: lives, crashes, and a last life in which all comes to its end.

use crate::engine::ledger::Outcome;
use crate::engine::machine::{Machine, TURNS_MAX};
use crate::engine::stage::{Stage, OF_FIRST_SHARD};
use crate::engine::{check, client, ledger, next_hop, operator, plan};
use crate::options::{Options, Summary};
use ringmta_io::sim::crash::Crash;
use ringmta_io::sim::rng::MILLION;
use ringmta_io::sim::World;
use std::rc::Rc;
use std::time::Duration;

/// Lives of an engine before its last, at the most.
const LIVES_MAX: u64 = 4;
/// Longest a start may take in virtual time: longer than any chain of disk deadlines in it.
const START_SECS: u64 = 600;
/// Starts that may fail for a failing disk before the disk is made well.
const FAILED_STARTS: u32 = 3;
/// Steps between two looks at a running engine.
const LOOK_EVERY: u32 = 32;
/// Steps waited for a write to come, at the end of a life.
const WRITE_STEPS_MAX: u32 = 1000;
/// Time for idle connections and the like to end.
const REST_SECS: u64 = 500;

/// Runs one seed.
///
/// # Errors
/// The first promise broken.
pub fn run(seed: u64, options: Options) -> Result<Summary, String> {
    let world = World::new(seed, options.verbose);
    let _entered = world.enter();
    let stage = Rc::new(Stage::new(world.clone(), options)?);
    world.note(format!("{:?} {:?}", stage.plan, stage.paths));
    for hop in &stage.hops {
        let node = world.exec.new_node();
        world.spawn_on(node, next_hop::run(stage.clone(), hop.clone()));
    }
    let people = world.exec.new_node();
    for _ in 0..stage.plan.clients {
        world.spawn_on(people, client::run(stage.clone()));
    }
    if stage.plan.orders || stage.plan.reloads || stage.plan.jumps {
        world.spawn_on(people, operator::run(stage.clone()));
    }
    let lives = world.rng.between(1, LIVES_MAX);
    for _ in 0..lives {
        live(&stage)?;
    }
    last_life(&stage)?;
    let ledger = stage.ledger.borrow();
    let acknowledged = |sent: &&ledger::Sent| sent.outcome == Outcome::Acknowledged;
    let messages = ledger.sent.values().filter(acknowledged).count() as u64;
    world.note(format!("{} deliveries repeated", ledger.repeats));
    Ok(Summary { hash: world.hash(), crashes: lives, messages })
}

/// Starts an engine, over crashes in the middle of it and over failures of the disk.
fn start(stage: &Stage, well: bool) -> Result<Machine, String> {
    let world = &stage.world;
    let shards = world.rng.between(1, 4) as usize;
    for attempt in 0.. {
        let well = well || attempt >= FAILED_STARTS;
        stage.set_faults(well);
        stage.write_policy(None);
        operator::put_clock_right(stage);
        world.new_process();
        world.note(format!("start {attempt} with {shards} shards"));
        let machine = Machine::power_on(stage, shards)?;
        let cut = attempt < FAILED_STARTS && world.rng.chance(MILLION / 8);
        if cut {
            for _ in 0..world.rng.below(200) {
                world.step();
            }
            if !machine.has_started() {
                crash(stage, machine);
                continue;
            }
        }
        let limit = Duration::from_secs(START_SECS);
        world
            .run_until(limit, TURNS_MAX, || machine.has_started())
            .map_err(|stuck| format!("a start never ended: {stuck:?}"))?;
        if let Some(why) = machine.trouble() {
            if well {
                return Err(format!("a start failed on a healthy disk: {why}"));
            }
            crash(stage, machine);
            continue;
        }
        check::after_start(stage)?;
        machine.open(stage)?;
        if stage.tasks_per_shard.get() == 0 {
            // The first start found nothing: these are the tasks every engine has.
            let of_shards = world.exec.tasks_of(machine.node) - OF_FIRST_SHARD;
            stage.tasks_per_shard.set(of_shards / shards);
        }
        stage.engine.set(Some(machine.addr()));
        return Ok(machine);
    }
    Err("no start".into())
}

fn crash(stage: &Stage, machine: Machine) {
    let how = if stage.world.rng.chance(MILLION / 4) { Crash::Process } else { Crash::Power };
    stage.world.note(format!("crash: {how:?}"));
    stage.engine.set(None);
    stage.node.set(None);
    stage.ledger.borrow_mut().engine_ends();
    machine.power_off(stage, how);
}

/// One life of an engine: a start, its check, some work, a crash or a stop.
fn live(stage: &Stage) -> Result<(), String> {
    let world = &stage.world;
    let machine = start(stage, false)?;
    let end = world.exec.now() + (1 << world.rng.between(22, 35));
    let mut step = 0;
    while world.exec.now() < end && world.step() {
        step += 1;
        if step % LOOK_EVERY == 0 {
            check::running(stage, &machine)?;
        }
        if stage.plan.fills && world.rng.chance(MILLION / 2000) {
            world.disk.full.set(world.rng.flip());
        }
        let nothing_to_do = stage.clients.get() == 0 && machine.waiting() == 0;
        if nothing_to_do && world.rng.chance(MILLION / 100) {
            break;
        }
    }
    check::running(stage, &machine)?;
    // Half of the ends come in the middle of a write: that is where they hurt.
    let wait_for_write = world.rng.flip();
    for _ in 0..WRITE_STEPS_MAX {
        if !wait_for_write || world.disk.is_writing() || !world.step() {
            break;
        }
    }
    check::running(stage, &machine)?;
    if world.rng.chance(MILLION / 4) {
        stage.engine.set(None);
        stage.ledger.borrow_mut().engine_ends();
        machine.stop(stage)?;
        check::running(stage, &machine)?;
        stage.node.set(None);
        machine.power_off(stage, Crash::Process);
    } else {
        crash(stage, machine);
    }
    Ok(())
}

/// The last life, in which nothing fails: all that waits comes to its end, and nothing is left.
fn last_life(stage: &Stage) -> Result<(), String> {
    let world = &stage.world;
    stage.calm.set(true);
    let machine = start(stage, true)?;
    stage.ledger.borrow_mut().calm = Some(world.exec.now());
    let mut broken = Ok(());
    let mut step = 0;
    let over = || {
        step += 1;
        if step % LOOK_EVERY == 0 {
            broken = check::running(stage, &machine);
        }
        let over = stage.clients.get() == 0 && machine.waiting() == 0 && machine.has_told_all();
        broken.is_err() || over
    };
    let limit = plan::drain_limit(&stage.plan);
    let drained = world.run_until(limit, TURNS_MAX, over);
    broken?;
    if let Err(stuck) = drained {
        let (clients, waiting) = (stage.clients.get(), machine.waiting());
        let told = machine.untold();
        return Err(format!(
            "stuck: {clients} clients, {waiting} messages wait, events not told: {told:?} ({stuck:?})"
        ));
    }
    check::at_the_end(stage)?;
    world.run_for(Duration::from_secs(REST_SECS));
    check::running(stage, &machine)?;
    check::idle(stage, &machine)?;
    machine.stop(stage)?;
    machine.power_off(stage, Crash::Process);
    Ok(())
}
