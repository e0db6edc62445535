//! What a peer has open and has done, over all its connections to all shards: for limits per address and per network.
//!
//! One table of atomic words for the process. It is looked at when a connection or a transaction begins and when something
//! is refused, and only under options that ask for it.

use crate::limits::{PEERS_NEAR, PEERS_TABLE};
use ringmta_options::gcra::{Gcra, GcraSpec};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How much of an address is one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The address; of IPv6 the /64, which one host has for itself.
    Address,
    /// The /24; of IPv6 the /48, which one site has.
    Network,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Count {
    /// Connections, open and begun.
    Connections,
    /// Messages begun.
    Messages,
    /// Replies that refuse for good.
    Refusals,
}

impl Scope {
    /// The network of an address, as its first address.
    fn of(self, peer: IpAddr) -> IpAddr {
        match (self, peer.to_canonical()) {
            (Scope::Address, IpAddr::V4(ip)) => IpAddr::V4(ip),
            (Scope::Network, IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, 0))
            }
            (scope, IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.segments();
                let d = if scope == Scope::Address { d } else { 0 };
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

/// One peer and one count of it. Who it is, is a hash: two that share one (1 in 2^64) share their limit.
#[derive(Default)]
struct Slot {
    who: AtomicU64,
    open: AtomicU32,
    rate: Gcra,
}

impl Slot {
    fn is_free(&self, now: u64) -> bool {
        self.open.load(Ordering::Relaxed) == 0 && self.rate.is_unused(now)
    }
}

/// Counts per peer. Times are monotonic nanoseconds.
pub struct Peers {
    slots: Box<[Slot]>,
    /// A key nobody outside knows: no peer can choose addresses that fall on another's place.
    key: RandomState,
}

impl Default for Peers {
    fn default() -> Peers {
        let slots = (0..PEERS_TABLE).map(|_| Slot::default()).collect();
        Peers { slots, key: RandomState::new() }
    }
}

/// An open connection that is counted; given back to [`Peers::closed`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Open(usize);

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Opening {
    /// It is one more.
    Counted(Open),
    /// The table is full of others: what cannot be counted is let in.
    Uncounted,
    /// The peer has as many as it may.
    TooMany,
}

impl Peers {
    /// Counts an open connection unless the peer has `most` already.
    pub fn opened(&self, (scope, peer): (Scope, IpAddr), most: usize, now: u64) -> Opening {
        let Some(at) = self.find(scope, peer, Count::Connections, now) else {
            return Opening::Uncounted;
        };
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let one_more = |open: u32| (open < most).then_some(open + 1);
        let open = &self.slots[at].open;
        match open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Opening::Counted(Open(at)),
            Err(_) => Opening::TooMany,
        }
    }

    /// Counts it out.
    pub fn closed(&self, open: Open) {
        self.slots[open.0].open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes one event of this peer; `false` when it came too soon.
    pub fn take(
        &self,
        (scope, peer): (Scope, IpAddr),
        what: Count,
        rate: &GcraSpec,
        now: u64,
    ) -> bool {
        let at = self.find(scope, peer, what, now);
        at.is_none_or(|at| self.slots[at].rate.try_acquire(rate, now).is_ok())
    }

    /// Whether one would pass.
    pub fn would_pass(
        &self,
        (scope, peer): (Scope, IpAddr),
        what: Count,
        rate: &GcraSpec,
        now: u64,
    ) -> bool {
        let at = self.find(scope, peer, what, now);
        at.is_none_or(|at| self.slots[at].rate.would_pass(rate, now).is_ok())
    }

    /// The place of a peer's count, claimed when it has none. A slot that is claimed by two at the same instant is told
    /// apart by its hash; what was counted in it a moment before is at worst forgotten.
    fn find(&self, scope: Scope, peer: IpAddr, what: Count, now: u64) -> Option<usize> {
        let who = self.key.hash_one((scope, scope.of(peer), what)).max(1);
        let first = who as usize % self.slots.len();
        let near = || (first..first + PEERS_NEAR).map(|at| at % self.slots.len());
        let known = near().find(|at| self.slots[*at].who.load(Ordering::Acquire) == who);
        known.or_else(|| {
            near().find(|at| {
                let slot = &self.slots[*at];
                let old = slot.who.load(Ordering::Acquire);
                (old == 0 || slot.is_free(now))
                    && slot
                        .who
                        .compare_exchange(old, who, Ordering::AcqRel, Ordering::Relaxed)
                        .is_ok()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;
    const RATE: GcraSpec = GcraSpec { limit: 60, period: Duration::from_secs(60), burst: 3 };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn counted(opening: Opening) -> bool {
        matches!(opening, Opening::Counted(_))
    }

    #[test]
    fn open_connections_are_counted_per_peer() {
        let peers = Peers::default();
        let of = |text: &str| (Scope::Address, ip(text));
        let Opening::Counted(first) = peers.opened(of("192.0.2.1"), 2, SECOND) else {
            panic!("the first")
        };
        assert!(counted(peers.opened(of("::ffff:192.0.2.1"), 2, SECOND)));
        assert_eq!(peers.opened(of("192.0.2.1"), 2, SECOND), Opening::TooMany);
        assert!(counted(peers.opened(of("192.0.2.2"), 2, SECOND)));
        peers.closed(first);
        assert!(counted(peers.opened(of("192.0.2.1"), 2, SECOND)));
    }

    #[test]
    fn networks_and_addresses_are_counts_of_their_own() {
        let peers = Peers::default();
        let network = |text: &str| (Scope::Network, ip(text));
        assert!(counted(peers.opened(network("192.0.2.1"), 1, SECOND)));
        assert_eq!(peers.opened(network("192.0.2.200"), 1, SECOND), Opening::TooMany);
        assert!(counted(peers.opened(network("192.0.3.1"), 1, SECOND)));
        assert!(counted(peers.opened((Scope::Address, ip("192.0.2.1")), 1, SECOND)));
        assert!(counted(peers.opened(network("2001:db8:1:2::3"), 1, SECOND)));
        assert_eq!(peers.opened(network("2001:db8:1:9::9"), 1, SECOND), Opening::TooMany);
        assert!(counted(peers.opened((Scope::Address, ip("2001:db8:1:2::3")), 1, SECOND)));
        assert_eq!(
            peers.opened((Scope::Address, ip("2001:db8:1:2::4")), 1, SECOND),
            Opening::TooMany
        );
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let peers = Peers::default();
        let peer = (Scope::Address, ip("192.0.2.1"));
        let take = |now| peers.take(peer, Count::Messages, &RATE, now);
        assert_eq!(
            [take(SECOND), take(SECOND), take(SECOND), take(SECOND)],
            [true, true, true, false]
        );
        assert!(!peers.would_pass(peer, Count::Messages, &RATE, SECOND));
        assert!(peers.would_pass(peer, Count::Refusals, &RATE, SECOND), "another count");
        assert!(take(2 * SECOND) && !take(2 * SECOND));
    }

    #[test]
    fn a_full_table_lets_in_and_is_used_again() {
        let peers = Peers::default();
        let addresses =
            |from: u32| (from..from + 4 * PEERS_TABLE as u32).map(|n| Ipv4Addr::from(n).into());
        let rate = GcraSpec { limit: 1, period: Duration::from_secs(60), burst: 1 };
        for peer in addresses(1) {
            assert!(peers.take((Scope::Address, peer), Count::Messages, &rate, SECOND));
        }
        // A minute later all is forgotten: as good as new.
        let again: Vec<IpAddr> = addresses(1 << 24).take(PEERS_TABLE / 4).collect();
        let count = |now| {
            let refused =
                |peer: &&IpAddr| !peers.take((Scope::Address, **peer), Count::Messages, &rate, now);
            again.iter().filter(refused).count()
        };
        assert_eq!(count(62 * SECOND), 0);
        assert!(count(62 * SECOND) > again.len() * 9 / 10);
    }
}
