//! The tasks of this stage that run for as long as a shard lives.

use crate::dispatch;
use crate::routing::find;
use crate::stage::Egress;
use ringmta_io as io;
use std::rc::Rc;

/// Starts them.
pub fn start(egress: &Rc<Egress>) {
    io::spawn(dispatch::run(egress.clone()));
    io::spawn(find::run(egress.clone()));
}
