//! Hosts of a site that could not be reached lately: they are tried last, so that a host that hangs does not cost
//! each new connection its timeout.

use crate::limits;
use ringmta_io::mono_nanos;
use std::cell::RefCell;
use std::net::SocketAddr;

/// Addresses that failed, each with the time until which it is remembered, monotonic nanoseconds.
#[derive(Default)]
pub struct DeadHosts(RefCell<Vec<(SocketAddr, u64)>>);

impl DeadHosts {
    /// No connection to `addr` came about.
    pub fn note(&self, addr: SocketAddr) {
        let until = mono_nanos() + limits::DEAD_HOST_SECONDS * 1_000_000_000;
        let mut dead = self.0.borrow_mut();
        dead.retain(|(known, _)| *known != addr);
        if dead.len() >= limits::CANDIDATE_HOSTS_MAX {
            dead.remove(0);
        }
        dead.push((addr, until));
    }

    /// `addr` has answered.
    pub fn forget(&self, addr: SocketAddr) {
        self.0.borrow_mut().retain(|(known, _)| *known != addr);
    }

    /// Whether `addr` failed a short while ago.
    pub fn has(&self, addr: SocketAddr) -> bool {
        let now = mono_nanos();
        self.0.borrow().iter().any(|(known, until)| *known == addr && *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_a_bounded_number_until_they_answer() {
        let dead = DeadHosts::default();
        let addr = |n: usize| SocketAddr::from(([10, 0, (n / 256) as u8, n as u8], 25));
        for n in 0..1000 {
            dead.note(addr(n));
        }
        assert!(dead.has(addr(999)) && !dead.has(addr(0)));
        assert_eq!(dead.0.borrow().len(), limits::CANDIDATE_HOSTS_MAX);
        dead.forget(addr(999));
        assert!(!dead.has(addr(999)));
    }
}
