//! A whole engine of 1 to 4 shards between simulated clients and next hops: limits and retries of
//! the seed's choice, crashes and restarts with other numbers of shards.
//!
//! Layout: [`plan`] what a seed chooses · [`machine`] an engine switched on and off · [`client`]
//! who sends · [`http`] who injects · [`operator`] who gives orders · [`next_hop`] who takes · [`wire`] lines over a
//! connection · [`ledger`] the history · [`quotes`] what next hops said · [`check`] what must be true.

pub mod check;
pub mod client;
pub mod http;
pub mod ledger;
pub mod machine;
pub mod next_hop;
pub mod operator;
pub mod plan;
pub mod quotes;
pub mod wire;

use super::{Options, Summary};
use crate::io::sim::crash::Crash;
use crate::io::sim::planted::Bug;
use crate::io::sim::rng::MILLION;
use crate::io::sim::stream::address_of;
use crate::io::sim::{self, Node, World};
use crate::spool::partition::SpoolPaths;
use ledger::{Ledger, Outcome};
use machine::{Machine, PolicyFile, TURNS_MAX};
use next_hop::Hop;
use plan::{Mood, Plan, HOP_PORT};
use ringmta_policy::InitConfig;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
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

/// A run: its world, and all that outlives an engine.
pub struct Stage {
    /// The world.
    pub world: Rc<World>,
    /// What the seed chose.
    pub plan: Rc<Plan>,
    /// The history.
    pub ledger: Rc<RefCell<Ledger>>,
    /// Where the spools are.
    pub paths: SpoolPaths,
    /// The policy.
    pub policy: PolicyFile,
    /// What its `init` asks for.
    pub init: InitConfig,
    /// Next hops.
    pub hops: Vec<Rc<Hop>>,
    /// Their mood now.
    pub mood: RefCell<Mood>,
    /// Where the engine listens, while it does.
    pub engine: Cell<Option<SocketAddr>>,
    /// The machine that lives now.
    pub node: Cell<Option<Node>>,
    /// Clients at work.
    pub clients: Cell<u64>,
    /// Tasks of an idle engine, per shard.
    pub tasks_per_shard: Cell<usize>,
    /// Nothing around the engine misbehaves any more.
    pub calm: Cell<bool>,
    /// An operator has the policy loaded anew.
    pub reloading: Cell<bool>,
    /// How far the wall clock is from where it should be, nanoseconds.
    pub jumped: Cell<i64>,
    /// What passes by itself, and since when it does not.
    pub passing: RefCell<check::Passing>,
    numbers: Cell<u64>,
}

impl Stage {
    fn new(world: Rc<World>, options: Options) -> Result<Stage, String> {
        world.planted.set(options.planted);
        let rng = &world.rng;
        let plan = Rc::new(Plan::choose(rng));
        let paths = SpoolPaths {
            data: "/spool/data".into(),
            meta: "/spool/meta".into(),
            durable: options.planted != Some(Bug::ReplyBeforeSync),
            segment_bytes: 1 << rng.between(17, 18),
            journal_bytes: 1 << rng.between(14, 16),
        };
        let hops: Vec<Rc<Hop>> = plan
            .hops
            .iter()
            .map(|limits| {
                let addr = SocketAddr::new(address_of(world.exec.new_node()), HOP_PORT);
                Rc::new(Hop::new(addr, limits.clone()))
            })
            .collect();
        let policy = PolicyFile::write(&plan.policy(false, |hop| hops[hop].addr.to_string()))?;
        let init = policy.init()?;
        let ledger = Rc::new(RefCell::new(Ledger::new(plan.clone())));
        let watching = ledger.clone();
        world.observe(move |note| {
            if let Some(world) = sim::current() {
                world.note(ledger::Shown(note));
            }
            watching.borrow_mut().note(note);
        });
        let mood = RefCell::new(plan.mood.clone());
        let engine = Cell::default();
        let clients = Cell::new(plan.clients);
        Ok(Stage {
            world,
            plan,
            ledger,
            paths,
            policy,
            init,
            hops,
            mood,
            engine,
            node: Cell::default(),
            clients,
            tasks_per_shard: Cell::default(),
            calm: Cell::default(),
            reloading: Cell::default(),
            jumped: Cell::default(),
            passing: RefCell::default(),
            numbers: Cell::default(),
        })
    }

    /// A promise was broken.
    pub fn fail(&self, what: String) {
        self.ledger.borrow_mut().fail(what);
    }

    /// Whether clients have messages left.
    pub fn may_send(&self) -> bool {
        self.numbers.get() < self.plan.messages
    }

    /// The number of the next message.
    pub fn next_number(&self) -> Option<u64> {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        (number <= self.plan.messages).then_some(number)
    }

    /// Writes the policy's file: as it should be, or `broken`.
    pub fn write_policy(&self, broken: Option<&str>) {
        let good = || self.plan.policy(self.calm.get(), |hop| self.hops[hop].addr.to_string());
        let text = broken.map_or_else(good, str::to_string);
        if let Err(error) = std::fs::write(&self.policy.0, text) {
            self.fail(format!("{}: {error}", self.policy.0.display()));
        }
    }

    /// Faults as the seed chose them, or none.
    fn set_faults(&self, well: bool) {
        let (disk, net) = match well {
            true => Default::default(),
            false => (self.plan.disk.clone(), self.plan.net.clone()),
        };
        *self.world.disk.faults.borrow_mut() = disk;
        *self.world.net.faults.borrow_mut() = net;
        *self.mood.borrow_mut() = if well { Mood::default() } else { self.plan.mood.clone() };
        self.world.disk.full.set(false);
    }
}

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
            stage.tasks_per_shard.set(world.exec.tasks_of(machine.node) / shards);
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
