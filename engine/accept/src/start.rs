//! The tasks of this stage that run for as long as a shard lives.

use crate::{deferred, room};
use ringmta_io as io;
use ringmta_shard::Shard;
use std::rc::Rc;

/// Starts them. Listeners are opened later, when every shard has recovered.
pub fn start(shard: &Rc<Shard>) {
    io::spawn(room::watch_disk(shard.clone()));
    io::spawn(deferred::run(shard.clone()));
}
