//! A run: its world, and all that outlives an engine.

use crate::engine::hop::Hop;
use crate::engine::ledger;
use crate::engine::ledger::Ledger;
use crate::engine::plan::{Mood, Plan, HOP_PORT};
use crate::engine::policy_file::PolicyFile;
use crate::options::Options;
use ringmta_events::observe::{watch, Watching};
use ringmta_io::sim;
use ringmta_io::sim::address::address_of;
use ringmta_io::sim::exec::Node;
use ringmta_io::sim::planted::Bug;
use ringmta_io::sim::World;
use ringmta_policy::InitConfig;
use ringmta_spool::log::partition::SpoolPaths;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// What the self check calls passing: since when, monotonic nanoseconds, and in how many looks in a row it was seen.
pub type Passing = BTreeMap<String, (u64, u32)>;

/// Tasks that the first shard has beside those each has: one makes the history.
pub const OF_FIRST_SHARD: usize = 1;

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
    pub passing: RefCell<Passing>,
    numbers: Cell<u64>,
    /// The ledger hears of every step of every message.
    _watching: Watching,
}

impl Stage {
    /// The run of a seed, with nothing switched on.
    ///
    /// # Errors
    /// What is wrong with the policy that the seed chose.
    pub fn new(world: Rc<World>, options: Options) -> Result<Stage, String> {
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
        let watching_it = watch(move |note| {
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
            _watching: watching_it,
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
        self.write_as_policy(&broken.map_or_else(good, str::to_string));
    }

    /// The policy as the run wants it, for the first shard that loads it: it breaks the file for those after it.
    pub fn write_policy_for_one_load(&self) {
        let good = self.plan.policy(self.calm.get(), |hop| self.hops[hop].addr.to_string());
        let path = self.policy.0.display();
        let breaks = format!(
            "\ndo local file = io.open('{path}', 'w') file:write('this is no Lua') file:close() end\n"
        );
        self.write_as_policy(&(good + &breaks));
    }

    fn write_as_policy(&self, text: &str) {
        if let Err(error) = std::fs::write(&self.policy.0, text) {
            self.fail(format!("{}: {error}", self.policy.0.display()));
        }
    }

    /// Faults as the seed chose them, or none.
    pub(super) fn set_faults(&self, well: bool) {
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
