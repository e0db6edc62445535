//! Addresses of the machines of a world.

use crate::sim::exec::Node;
use std::net::IpAddr;

/// The address of machine `node`.
pub fn address_of(node: Node) -> IpAddr {
    let [_, _, high, low] = node.to_be_bytes();
    IpAddr::from([10, 0, high, low])
}
