//! Credentials that policy is asked about: of one peer only as many at once as it may still guess wrong. Where the policy's
//! handler waits for something, guesses are counted only later than they are asked, and a peer has many sessions.

use crate::limits::RIGHT_LOGINS_MAX;
use futures::channel::oneshot;
use ringmta_io::mono_nanos;
use ringmta_policy::{AuthInfo, PolicyError};
use ringmta_smtp::server::guesses::{network, Guesses};
use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

/// What a shard knows of those who log in.
pub struct Logins {
    guesses: Guesses,
    /// Peers whose credentials are being looked at.
    asked: RefCell<HashMap<IpAddr, Asked>>,
    /// Hashes of credentials that were right: they are no guesses, so they wait for nobody. What they let in is decided anew
    /// each time.
    right: RefCell<HashSet<u64>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Asked {
    /// Guesses policy has not answered yet.
    now: usize,
    /// Sessions that wait for the end of one.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Leave to ask policy about credentials once; given back when it is dropped.
pub struct Turn<'l> {
    logins: &'l Logins,
    peer: IpAddr,
    given: u64,
    is_guess: bool,
}

impl Logins {
    /// For one of so many shards: a peer's connections come to any of them.
    pub fn of(shards: usize) -> Logins {
        Logins {
            guesses: Guesses::of(shards),
            asked: RefCell::default(),
            right: RefCell::default(),
            hasher: RandomState::new(),
        }
    }

    /// Waits until a peer's credentials may be looked at; the caller sets the deadline.
    ///
    /// # Errors
    /// How long a peer is not listened to that has guessed wrong too often.
    pub async fn turn(&self, peer: IpAddr, given: &[&str]) -> Result<Turn<'_>, Duration> {
        let peer = network(peer);
        let given = self.hasher.hash_one(given);
        loop {
            let now = mono_nanos();
            if let Some(wait) = self.guesses.held(peer, now) {
                return Err(wait);
            }
            if self.right.borrow().contains(&given) {
                return Ok(Turn { logins: self, peer, given, is_guess: false });
            }
            let Some(ended) = self.begin(peer, self.guesses.left(peer, now)) else {
                return Ok(Turn { logins: self, peer, given, is_guess: true });
            };
            // Whether it was told or the other has gone, the next look tells how it is.
            let _ = ended.await;
        }
    }

    /// Takes a place among a peer's guesses under way; when there is none, what tells the end of one of them.
    fn begin(&self, peer: IpAddr, most: usize) -> Option<oneshot::Receiver<()>> {
        let mut asked = self.asked.borrow_mut();
        let of_peer = asked.entry(peer).or_default();
        if of_peer.now < most {
            of_peer.now += 1;
            return None;
        }
        // Sessions that have ended meanwhile do not wait any more.
        if of_peer.waiting.len() == of_peer.waiting.capacity() {
            of_peer.waiting.retain(|waiting| !waiting.is_canceled());
        }
        let (end, ended) = oneshot::channel();
        of_peer.waiting.push(end);
        Some(ended)
    }

    /// One guess less is under way: those who wait look again.
    fn end(&self, peer: IpAddr) {
        let mut asked = self.asked.borrow_mut();
        let Some(of_peer) = asked.get_mut(&peer) else { return };
        of_peer.now -= 1;
        let waiting = std::mem::take(&mut of_peer.waiting);
        if of_peer.now == 0 {
            asked.remove(&peer);
        }
        drop(asked);
        for one in waiting {
            // One that has gone does not matter.
            let _ = one.send(());
        }
    }
}

impl Turn<'_> {
    /// Takes down what policy said of the credentials: whether they are right, if it said that at all. A refusal by
    /// `kumo.reject` for good says that they are not; a handler that failed has said nothing.
    pub fn said(self, found: &Result<Option<AuthInfo>, PolicyError>) -> Option<bool> {
        let is_right = match found {
            Ok(found) => found.is_some(),
            Err(error) if error.rejection().is_some_and(|refusal| refusal.code >= 500) => false,
            Err(_) => return None,
        };
        let mut right = self.logins.right.borrow_mut();
        if !is_right {
            right.remove(&self.given);
            self.logins.guesses.wrong(self.peer, mono_nanos());
        } else if self.is_guess {
            if right.len() >= RIGHT_LOGINS_MAX {
                right.clear();
            }
            right.insert(self.given);
        }
        Some(is_right)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_guess {
            self.logins.end(self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use ringmta_policy::{Disconnect, Rejection};
    use ringmta_smtp::limits::AUTH_GUESSES_PER_PEER;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn right() -> Result<Option<AuthInfo>, PolicyError> {
        Ok(Some(AuthInfo::default()))
    }

    fn now<'l>(logins: &'l Logins, peer: IpAddr, password: &str) -> Turn<'l> {
        let turn = logins.turn(peer, &["name", password]).now_or_never();
        turn.expect("it does not wait").expect("it is not held")
    }

    #[test]
    fn guesses_under_way_are_no_more_than_may_be_wrong() {
        let logins = Logins::of(1);
        let number = |number: usize| number.to_string();
        let mut under_way: Vec<Turn<'_>> =
            (0..AUTH_GUESSES_PER_PEER).map(|n| now(&logins, PEER, &number(n))).collect();
        let mut next = Box::pin(logins.turn(PEER, &["name", "next"]));
        assert!(next.as_mut().now_or_never().is_none(), "it waits");
        drop(now(&logins, OTHER, "other"));
        // One that was right makes room for one more, and no further.
        let one = under_way.pop().unwrap();
        assert_eq!(one.said(&right()), Some(true));
        let mut last = Box::pin(logins.turn(PEER, &["name", "last"]));
        let turn = next.as_mut().now_or_never().expect("there is room").expect("it is not held");
        assert!(last.as_mut().now_or_never().is_none(), "it waits");
        under_way.push(turn);
        for turn in under_way {
            assert!(last.as_mut().now_or_never().is_none(), "it waits for all of them");
            assert_eq!(turn.said(&Ok(None)), Some(false));
        }
        let last = last.as_mut().now_or_never().expect("it waits no more");
        assert!(last.is_err(), "the peer is held");
        assert!(logins.asked.borrow().is_empty());
    }

    #[test]
    fn what_was_right_waits_for_nobody_until_it_is_wrong() {
        let logins = Logins::of(1);
        assert_eq!(now(&logins, PEER, "right").said(&right()), Some(true));
        let guesses: Vec<Turn<'_>> =
            (0..AUTH_GUESSES_PER_PEER).map(|n| now(&logins, PEER, &n.to_string())).collect();
        let many: Vec<Turn<'_>> = (0..1000).map(|_| now(&logins, PEER, "right")).collect();
        drop(many);
        assert_eq!(now(&logins, PEER, "right").said(&Ok(None)), Some(false));
        assert!(logins.turn(PEER, &["name", "right"]).now_or_never().is_none(), "it waits");
        drop(guesses);
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let logins = Logins::of(1);
        let under_way: Vec<Turn<'_>> =
            (0..AUTH_GUESSES_PER_PEER).map(|n| now(&logins, PEER, &n.to_string())).collect();
        for _ in 0..10_000 {
            assert!(logins.turn(PEER, &["name", "gone"]).now_or_never().is_none(), "it waits");
        }
        assert!(logins.asked.borrow()[&PEER].waiting.len() < 10);
        drop(under_way);
        assert!(logins.asked.borrow().is_empty());
        drop(now(&logins, PEER, "again"));
    }

    /// A policy that fails has not said that a password is wrong; one that refuses for good has.
    #[test]
    fn a_failure_is_no_wrong_password() {
        let logins = Logins::of(1);
        let reject = |code| {
            let text = "5.7.8 no".to_string();
            Err(PolicyError::Reject(Rejection { code, text, disconnect: None::<Disconnect> }))
        };
        for _ in 0..2 * AUTH_GUESSES_PER_PEER {
            assert_eq!(now(&logins, PEER, "any").said(&Err(PolicyError::Timeout)), None);
            assert_eq!(now(&logins, PEER, "any").said(&reject(451)), None);
        }
        for _ in 0..AUTH_GUESSES_PER_PEER {
            assert_eq!(now(&logins, PEER, "any").said(&reject(535)), Some(false));
        }
        assert!(logins.turn(PEER, &["name", "any"]).now_or_never().unwrap().is_err());
    }

    #[test]
    fn what_was_right_is_bounded() {
        let logins = Logins::of(1);
        for n in 0..RIGHT_LOGINS_MAX + 10 {
            assert_eq!(now(&logins, PEER, &n.to_string()).said(&right()), Some(true));
        }
        assert!(logins.right.borrow().len() <= RIGHT_LOGINS_MAX);
    }
}
