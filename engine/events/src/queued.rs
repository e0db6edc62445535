//! Events that are messages in queues: what a hook of the policy keeps of each until it ends. The queues have the
//! message alone; the event stays in the log of the hook, which is what survives a restart.

use crate::window::Event;
use ringmta_io::Map;
use ringmta_mail::{Message, MessageId};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Events of one hook that are in queues, by the id of their message.
#[derive(Default)]
pub struct Queued {
    pub(super) all: RefCell<Map<MessageId, One>>,
    /// Refused, to be set aside, each with the reason.
    pub(super) aside: RefCell<VecDeque<(Event, String)>>,
    /// A task does so.
    pub(super) is_setting_aside: Cell<bool>,
    /// Events that policy is being asked about.
    pub asking: Cell<usize>,
}

/// One of them.
pub(super) struct One {
    pub(super) event: Event,
    pub(super) message: Message,
    /// Why nobody takes it.
    pub(super) refused: Option<String>,
}
