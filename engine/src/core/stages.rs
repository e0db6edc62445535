//! The stages of one shard.

use ringmta_egress::Egress;
use ringmta_shard::Shard;
use std::cell::Cell;
use std::rc::Rc;

/// The stages of one shard.
pub struct Core {
    /// Its state.
    pub shard: Rc<Shard>,
    /// Mail on its way out.
    pub egress: Rc<Egress>,
    /// The task that reads letters has seen the order to stop.
    pub(super) stop_seen: Cell<bool>,
}
