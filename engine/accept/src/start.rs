//! The tasks of this stage that run for as long as a shard lives.

use crate::{deferred, log_records, room};
use ringmta_io as io;
use ringmta_shard::Shard;
use std::rc::Rc;

/// Starts them. Listeners are opened later, when every shard has recovered.
pub fn start(shard: &Rc<Shard>) {
    io::spawn(room::watch_disk(shard.clone()));
    io::spawn(deferred::run(shard.clone()));
    for (number, hook) in shard.events.hooks().iter().enumerate() {
        let Some(number) = u16::try_from(number).ok().filter(|_| hook.is_queued()) else {
            continue;
        };
        io::spawn(log_records::run(shard.clone(), number, hook.clone()));
    }
}
