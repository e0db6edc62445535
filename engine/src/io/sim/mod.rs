//! The simulated world: the same seam as the real one, in one thread, from a seed.
//!
//! A [`World`] holds everything outside of the engine: the order in which tasks run, both clocks,
//! the disk and the network. Whatever happens in it follows from its seed, so a run that fails can
//! be run again, exactly.
//!
//! Layout: [`rng`] chance · [`exec`] tasks and time · [`disk`] what the disk holds, and what a
//! crash leaves of it · [`file`], [`plain`] operations on it that take time and fail · [`net`] connections ·
//! [`stream`] sockets as the engine sees them · [`udp`] datagrams · [`planted`] mistakes made on
//! purpose, which the simulation must find.

pub mod crash;
pub mod disk;
pub mod exec;
pub mod file;
pub mod net;
pub mod plain;
pub mod planted;
pub mod rng;
pub mod stream;
pub mod udp;

pub use exec::{Node, Stuck};

use super::steady::{Difference, Steady};
use crate::events::record::Record;
use crate::spool::reclaim::AttemptState;
use ringmta_policy::MessageId;
use rng::Rng;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Whether this thread lives in a simulated world.
#[inline]
pub fn active() -> bool {
    ACTIVE.get()
}

/// The world this thread lives in. `None` also while a world comes to its end.
pub fn current() -> Option<Rc<World>> {
    WORLD.with(|world| world.try_borrow().ok()?.clone())
}

/// The world, for code that only runs when there is one.
pub(super) fn here() -> Rc<World> {
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
    /// Mistakes made on purpose.
    pub planted: Cell<Option<planted::Bug>>,
    /// The clock of queues of the process that lives now.
    steady: RefCell<Steady>,
    observer: RefCell<Option<Observer>>,
    hash: Cell<u64>,
    verbose: bool,
}

type Observer = Rc<dyn Fn(&Note<'_>)>;

/// A step of a message, as whoever watches the world is told.
pub enum Note<'a> {
    /// An event.
    Event {
        /// On this shard.
        shard: usize,
        /// What happened.
        record: &'a Record<'a>,
    },
    /// A message waits for its next attempt; the journal was told.
    Deferred {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
        /// Its attempts, and when it is due.
        state: AttemptState,
    },
    /// A message was written anew, and the journal told of its attempts; it may still wait, or leave.
    Rewritten {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
        /// Its attempts.
        state: AttemptState,
    },
    /// A hook's receiver has taken events.
    Told {
        /// Each as JSON.
        events: &'a [String],
    },
    /// A message has left the queues; the journal was told.
    Finished {
        /// On this shard.
        shard: usize,
        /// The message.
        id: MessageId,
    },
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
            planted: Cell::new(None),
            steady: RefCell::default(),
            observer: RefCell::default(),
            hash: Cell::new(0xcbf2_9ce4_8422_2325),
            verbose,
        })
    }

    /// Makes this the world of the current thread, until the answer is dropped.
    #[must_use]
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

    /// See [`crate::io::follow_wall_clock`].
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
    pub(super) fn mix(&self, bytes: &[u8]) {
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

    /// `observer` is told of every step of every message.
    pub fn observe(&self, observer: impl Fn(&Note<'_>) + 'static) {
        *self.observer.borrow_mut() = Some(Rc::new(observer));
    }
}

/// Whether somebody watches the messages.
#[inline]
pub fn observed() -> bool {
    active() && current().is_some_and(|world| world.observer.borrow().is_some())
}

/// Tells whoever watches the messages of a step of one. Costs nothing in the real world.
#[inline]
pub fn tell(note: &Note<'_>) {
    if !active() {
        return;
    }
    let observer = current().and_then(|world| world.observer.borrow().clone());
    if let Some(observer) = observer {
        observer(note);
    }
}
