//! The world: everything outside of the engine, made from a seed.

use crate::sim::rng::Rng;
use crate::sim::{bug, disk, exec, net};
use crate::steady::{Difference, Steady};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Whether this build has a simulated world: tests and the simulation have, what is shipped has not.
pub const CAN_SIMULATE: bool = cfg!(any(test, feature = "simulation"));

/// Whether this thread lives in a simulated world. Always false, at no cost, where there is none in this build.
#[inline]
pub fn active() -> bool {
    CAN_SIMULATE && ACTIVE.get()
}

/// The world this thread lives in. `None` also while a world comes to its end.
pub fn current() -> Option<Rc<World>> {
    WORLD.with(|world| world.try_borrow().ok()?.clone())
}

/// The world, for code that only runs when there is one.
pub(crate) fn here() -> Rc<World> {
    // Proven: every caller has seen `active()`, or is a task of a world, and a world's tasks are
    // dropped before it is left.
    #[allow(clippy::expect_used)]
    current().expect("a simulated world")
}

/// Everything outside of the engine.
pub struct World {
    /// Chance.
    pub rng: Rng,
    /// Tasks and time.
    pub exec: exec::Exec,
    /// The disk.
    pub disk: disk::Disk,
    /// The network.
    pub net: net::Net,
    /// Connections that were left and are still read.
    pub(crate) lingering: Rc<Cell<usize>>,
    /// Mistakes made on purpose.
    pub planted: Cell<Option<bug::Bug>>,
    /// The clock of queues of the process that lives now.
    steady: RefCell<Steady>,
    hash: Cell<u64>,
    verbose: bool,
}

/// Leaves the world when dropped.
pub struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(world) = current() {
            world.kill_all();
        }
        ACTIVE.set(false);
        WORLD.with(|slot| slot.borrow_mut().take());
    }
}

impl World {
    /// A world whose whole course follows from `seed`. With `verbose` it tells its story on
    /// stderr.
    pub fn new(seed: u64, verbose: bool) -> Rc<World> {
        let rng = Rng::new(seed);
        let exec = exec::Exec::new(&rng);
        Rc::new(World {
            rng,
            exec,
            disk: disk::Disk::default(),
            net: net::Net::default(),
            lingering: Rc::default(),
            planted: Cell::new(None),
            steady: RefCell::default(),
            hash: Cell::new(0xcbf2_9ce4_8422_2325),
            verbose,
        })
    }

    /// Makes this the world of the current thread, until the answer is dropped.
    #[must_use]
    #[cfg(any(test, feature = "simulation"))]
    pub fn enter(self: &Rc<World>) -> Entered {
        ACTIVE.set(true);
        WORLD.with(|slot| *slot.borrow_mut() = Some(self.clone()));
        Entered(())
    }

    /// A process begins its life, and reads the wall clock anew.
    pub fn new_process(&self) {
        *self.steady.borrow_mut() = Steady::new();
    }

    /// The clock of queues, nanoseconds since 1970.
    pub fn steady_nanos(&self) -> u64 {
        self.steady.borrow().nanos(self.exec.now(), || self.exec.unix_nanos())
    }

    /// See [`crate::follow_wall_clock`].
    pub fn follow_wall_clock(&self) -> Option<Difference> {
        self.steady.borrow().follow(self.exec.now(), self.exec.unix_nanos())
    }

    /// Adds to the story of this run: equal seeds must tell equal stories.
    pub fn note(&self, text: impl std::fmt::Display) {
        let text = text.to_string();
        self.mix(text.as_bytes());
        if self.verbose {
            let micros = self.exec.now() / 1000;
            eprintln!("[{:>9}.{:06}] {text}", micros / 1_000_000, micros % 1_000_000);
        }
    }

    /// Mixes `bytes` and the time into the hash of the story.
    pub(crate) fn mix(&self, bytes: &[u8]) {
        let mut hash = self.hash.get();
        for byte in self.exec.now().to_le_bytes().iter().chain(bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.hash.set(hash);
    }

    /// The hash of the story so far.
    pub fn hash(&self) -> u64 {
        self.hash.get()
    }
}
