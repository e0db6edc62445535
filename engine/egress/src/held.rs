//! What a connection has for its life.

use ringmta_queue::connections::Connection;
use ringmta_shard::leases::Leases;
use std::rc::Rc;

/// What a connection has been given for its life.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// Its leases.
    pub leases: &'a Leases,
    /// Its place among those that people can ask about.
    pub connection: &'a Rc<Connection>,
}
