//! What is to be done with messages that leave by no connection: those that an order fails or holds, that are too old, or
//! that have no route.

use crate::orders::Order;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::rc::Rc;

/// What is to be done with one message.
#[derive(Clone)]
pub enum Task {
    /// It is too old.
    Expire,
    /// It may not be tried before this time, unix milliseconds, when its life is over.
    ExpireUnsent(u64),
    /// An operator fails it.
    Bounce(Rc<Order>),
    /// An operator holds it: told once, and charged no attempt.
    Hold(Rc<Held>),
    /// An attempt failed before any peer saw it.
    Fail(Rc<Failed>),
    /// An operator moves it to where other metadata put it; it is due then, unix milliseconds, if it stays.
    Rebind(Rc<Rebind>, u64),
}

/// How messages are moved.
#[derive(Debug, Clone, Default)]
pub struct Rebind {
    /// Why, in the operator's words.
    pub reason: String,
    /// Metadata to set, or what the event is told.
    pub data: Vec<(String, String)>,
    /// What stays in its queue is tried now as well.
    pub always_flush: bool,
    /// Make no records of it.
    pub suppress_logging: bool,
    /// The policy's `rebind_message` decides, in place of the metadata.
    pub by_event: bool,
}

/// Why a message is held.
pub struct Held {
    /// What its record says.
    pub response: Response,
    /// Where it says that it was.
    pub via: Option<Via>,
    /// The ready queue that is held; none when it is the scheduled queue itself.
    pub ready: Option<String>,
}

/// How an attempt failed.
pub struct Failed {
    /// What its record says.
    pub response: Response,
    /// Over which ready queue, as far as that is known.
    pub via: Option<Via>,
    /// It had come into a ready queue: a hold of its scheduled queue was told before.
    pub was_ready: bool,
    /// What `requeue_message` is told about it.
    pub context: &'static [&'static str],
}
