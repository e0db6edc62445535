//! Wrong passwords per peer, over all its connections: who has guessed too often is not asked any more for a while.

use crate::limits::{AUTH_GUESSES_PER_PEER, AUTH_GUESS_PEERS_MAX, AUTH_GUESS_REFILL_SECS};
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// What a shard remembers of peers that gave wrong passwords.
pub struct Guesses {
    /// Guesses a peer may make at once.
    allowed: f64,
    peers: RefCell<HashMap<IpAddr, Peer>>,
}

#[derive(Clone, Copy)]
struct Peer {
    /// Wrong guesses, those forgiven taken off.
    wrong: f64,
    /// When that was so, monotonic nanoseconds.
    at: u64,
}

impl Peer {
    /// Wrong guesses that are not forgiven yet.
    fn now(&self, now: u64) -> f64 {
        let secs = now.saturating_sub(self.at) as f64 / 1e9;
        (self.wrong - secs / AUTH_GUESS_REFILL_SECS as f64).max(0.0)
    }
}

impl Guesses {
    /// A shard's part of the guesses a peer has: its connections come to any of them.
    pub fn of(shards: usize) -> Guesses {
        let allowed = (AUTH_GUESSES_PER_PEER / shards.max(1)).max(3) as f64;
        Guesses { allowed, peers: RefCell::default() }
    }

    /// How long a peer is not listened to, at the monotonic time `now`; `None`: it may try.
    pub fn held(&self, peer: IpAddr, now: u64) -> Option<Duration> {
        let wrong = self.peers.borrow().get(&network(peer))?.now(now);
        let over = wrong - (self.allowed - 1.0);
        (over > 0.0).then(|| Duration::from_secs_f64(over * AUTH_GUESS_REFILL_SECS as f64))
    }

    /// How many passwords of a peer may be wrong until it is held, at the monotonic time `now`; 0: it is.
    pub fn left(&self, peer: IpAddr, now: u64) -> usize {
        let wrong = self.peers.borrow().get(&network(peer)).map_or(0.0, |known| known.now(now));
        let left = (self.allowed - wrong).max(1.0) as usize;
        if self.held(peer, now).is_some() {
            return 0;
        }
        left
    }

    /// Notes a wrong password.
    pub fn wrong(&self, peer: IpAddr, now: u64) {
        let mut peers = self.peers.borrow_mut();
        if peers.len() >= AUTH_GUESS_PEERS_MAX {
            peers.retain(|_, peer| peer.now(now) > 0.0);
        }
        // With so many at once a single one is no worse than the rest: those that are known stay known.
        if peers.len() >= AUTH_GUESS_PEERS_MAX && !peers.contains_key(&network(peer)) {
            return;
        }
        let known = peers.entry(network(peer)).or_insert(Peer { wrong: 0.0, at: now });
        *known = Peer { wrong: known.now(now) + 1.0, at: now };
    }
}

/// Who is one peer: an address, or of IPv6 the network a site is given.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_peer_that_guesses_is_held_and_forgiven() {
        let guesses = Guesses::of(1);
        let (peer, other) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        for _ in 0..AUTH_GUESSES_PER_PEER {
            assert_eq!(guesses.held(peer, 5), None);
            guesses.wrong(peer, 5);
        }
        assert_eq!(guesses.left(peer, 5), 0);
        assert_eq!(guesses.left(other, 5), AUTH_GUESSES_PER_PEER);
        let wait = guesses.held(peer, 5).unwrap();
        assert!(guesses.held("2001:db8::2".parse().unwrap(), 5).is_some(), "the same network");
        assert_eq!(guesses.held(other, 5), None);
        assert_eq!(guesses.held(peer, 6 + wait.as_nanos() as u64), None);
        assert!(guesses.held(peer, wait.as_nanos() as u64 / 2).is_some());
    }

    #[test]
    fn the_table_is_bounded() {
        let guesses = Guesses::of(4);
        for number in 0..AUTH_GUESS_PEERS_MAX as u32 + 1000 {
            guesses.wrong(IpAddr::V4(number.into()), 0);
        }
        assert_eq!(guesses.peers.borrow().len(), AUTH_GUESS_PEERS_MAX);
        guesses.wrong(IpAddr::V4(u32::MAX.into()), 1000 * SECOND);
        assert_eq!(guesses.peers.borrow().len(), 1);
    }
}
