//! What each peer holds of the memory for what is being received, so that one of them cannot have all of it.
//!
//! The last quarter of the budget is for peers that hold little: one that sends without end finds the other three at most,
//! and leaves room for everybody else. Alone, it is held up by nothing before that.
//!
//! One table of atomic words for the process. Peers that fall on the same word have one share together: they are told apart
//! by a hash with a key nobody outside knows, so that no peer can choose whom it shares with.

use crate::limits::{RECEIVING_LITTLE, RECEIVING_PEERS};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

static HELD: [AtomicUsize; RECEIVING_PEERS] = [const { AtomicUsize::new(0) }; RECEIVING_PEERS];
static KEY: OnceLock<RandomState> = OnceLock::new();

/// Who sends: an address, or of IPv6 its /64, which one host has for itself. The default is nobody in particular, whose
/// share is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peer(Option<u16>);

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Peer {
        let network = match ip.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            ip => ip,
        };
        let hash = KEY.get_or_init(RandomState::new).hash_one(network);
        Peer(u16::try_from(hash % RECEIVING_PEERS as u64).ok())
    }
}

impl Peer {
    fn word(self) -> Option<&'static AtomicUsize> {
        HELD.get(usize::from(self.0?))
    }

    /// Bytes it holds.
    pub(crate) fn held(self) -> usize {
        self.word().map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Counts `bytes` more, and says how many it holds with them.
    pub(crate) fn add(self, bytes: usize) -> usize {
        self.word().map_or(0, |word| word.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes))
    }

    /// Counts `bytes` out.
    pub(crate) fn sub(self, bytes: usize) {
        if let Some(word) = self.word() {
            word.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// Whether a peer that holds `own` of the `used` bytes has more than its share of a budget of `limit`.
pub(crate) fn is_beyond_share(used: usize, own: usize, limit: usize) -> bool {
    used > limit / 4 * 3 && own > limit / RECEIVING_LITTLE
}

/// Whether a budget of `limit` is short: before that, one peer alone does not get to the part that is kept for others.
pub(crate) fn is_short(used: usize, limit: usize) -> bool {
    used > limit / 3 * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_host_is_one_peer_however_it_writes_its_address() {
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_eq!(peer("2001:db8:1:2::3"), peer("2001:db8:1:2:ffff::9"));
        // Two may fall on one word; hardly all of these.
        let others = (1..20).map(|n| peer(&format!("192.0.2.{n}")));
        assert!(others.collect::<Vec<_>>().windows(2).any(|two| two[0] != two[1]));
    }

    #[test]
    fn the_last_quarter_is_for_those_who_hold_little() {
        let limit = 1 << 30;
        assert!(!is_beyond_share(limit / 4 * 3, limit / 4 * 3, limit), "alone");
        assert!(is_beyond_share(limit / 4 * 3 + 1, limit / 4 * 3 + 1, limit));
        assert!(!is_beyond_share(limit, limit / RECEIVING_LITTLE, limit), "somebody else");
        assert!(is_short(limit / 4 * 3, limit), "one alone makes it short");
    }

    #[test]
    fn what_is_held_is_counted_for_each() {
        let (one, nobody) = (peer("203.0.113.77"), Peer::default());
        let before = one.held();
        assert_eq!(one.add(100), before + 100);
        one.sub(100);
        assert_eq!((one.held(), nobody.add(7), nobody.held()), (before, 0, 0));
    }
}
