//! What a run of partitions has: its world, and all that outlives a crash.

use crate::options::Options;
use crate::spool::model::Model;
use ringmta_io::sim::exec::Node;
use ringmta_io::sim::planted::Bug;
use ringmta_io::sim::rng::{Rng, MILLION};
use ringmta_io::sim::{disk, World};
use ringmta_spool::log::partition::Partition;
use ringmta_spool::log::partition::SpoolPaths;
use ringmta_spool::start::recover::{Recovered, Report};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Messages stored in one life, at the most.
pub const MESSAGES_MAX: u64 = 80;
/// Longest a start may take in virtual time: longer than any chain of disk deadlines in it.
pub const START_SECS: u64 = 600;
/// Turns after which a run is taken for a circle.
pub const TURNS_MAX: u64 = 3_000_000;

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
                let result = ringmta_spool::start::open::open(&paths, shard, shards).await;
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
