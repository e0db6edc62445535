//! What the console of one engine keeps: its history, and who has logged in with a browser. Both are locked, which is why
//! nothing on the way of a message may touch them.

use ringmta_events::history::History;
use ringmta_io::{mono_nanos, sha256, unguessable_u64, Map};
use ringmta_policy::AuthInfo;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Longest a login lasts, seconds.
pub const SESSION_SECS: u64 = 12 * 3600;
/// Longest it lasts while nobody uses it, seconds.
const SESSION_IDLE_SECS: u64 = 3600;
/// Logins at a time; the oldest makes room.
const SESSIONS_MAX: usize = 256;

/// The state behind the console.
pub struct Console {
    history: Mutex<History>,
    logins: Mutex<Logins>,
    /// Monotonic nanoseconds.
    since: u64,
}

impl Default for Console {
    fn default() -> Self {
        Console { history: Mutex::default(), logins: Mutex::default(), since: mono_nanos() }
    }
}

impl Console {
    /// Seconds since the engine began.
    pub fn uptime_seconds(&self) -> u64 {
        mono_nanos().saturating_sub(self.since) / 1_000_000_000
    }

    /// The history, for a moment.
    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// Remembers who has logged in; the answer is the secret that a browser shows from now on.
    pub fn log_in(&self, who: AuthInfo) -> String {
        let secret: String = (0..4).map(|_| format!("{:016x}", unguessable_u64())).collect();
        lock(&self.logins).add(&secret, who, mono_nanos());
        secret
    }

    /// Whom a browser's secret stands for.
    pub fn logged_in(&self, secret: &str) -> Option<AuthInfo> {
        lock(&self.logins).find(secret, mono_nanos())
    }

    /// Forgets one login.
    pub fn log_out(&self, secret: &str) {
        lock(&self.logins).0.remove(&sha256(secret.as_bytes()));
    }

    /// Forgets all logins: the policy that let them in is in force no more.
    pub fn log_out_all(&self) {
        lock(&self.logins).0.clear();
    }
}

/// (What is under the lock is whole between any two lines: a panic leaves nothing half done.)
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logins by the digest of their secret, so that how long a look-up takes tells nothing of it.
#[derive(Default)]
struct Logins(Map<[u8; 32], Login>);

struct Login {
    who: AuthInfo,
    /// Monotonic nanoseconds.
    since: u64,
    used: u64,
}

impl Login {
    fn is_over(&self, now: u64) -> bool {
        let seconds = |since: u64| now.saturating_sub(since) / 1_000_000_000;
        seconds(self.since) >= SESSION_SECS || seconds(self.used) >= SESSION_IDLE_SECS
    }
}

impl Logins {
    fn add(&mut self, secret: &str, who: AuthInfo, now: u64) {
        self.0.retain(|_, login| !login.is_over(now));
        if self.0.len() >= SESSIONS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, login)| login.used);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|key| self.0.remove(&key));
        }
        self.0.insert(sha256(secret.as_bytes()), Login { who, since: now, used: now });
    }

    fn find(&mut self, secret: &str, now: u64) -> Option<AuthInfo> {
        let login = self.0.get_mut(&sha256(secret.as_bytes()))?;
        if login.is_over(now) {
            return None;
        }
        login.used = now;
        Some(login.who.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> AuthInfo {
        AuthInfo { identities: vec![name.into()], ..AuthInfo::default() }
    }

    #[test]
    fn a_login_ends_by_age_by_disuse_and_for_room() {
        let hour = 3600 * 1_000_000_000;
        let mut logins = Logins::default();
        logins.add("a", who("ann"), 0);
        assert!(logins.find("b", 0).is_none());
        for now in 1..12 {
            let just_in_time = now * hour - now;
            assert!(logins.find("a", just_in_time).is_some(), "after {now} hours, in use");
        }
        assert!(logins.find("a", 12 * hour).is_none(), "too old");
        logins.add("c", who("cat"), 20 * hour);
        assert!(logins.find("c", 21 * hour).is_none(), "unused for an hour");
        for index in 0..SESSIONS_MAX as u64 + 10 {
            logins.add(&index.to_string(), who("x"), 30 * hour + index);
        }
        assert_eq!(logins.0.len(), SESSIONS_MAX);
        assert!(logins.find("0", 30 * hour).is_none());
        let last = (SESSIONS_MAX + 9).to_string();
        assert_eq!(logins.find(&last, 30 * hour).unwrap().identities, ["x"]);
    }

    #[test]
    fn secrets_are_long_and_told_once() {
        let console = Console::default();
        let (one, other) = (console.log_in(who("ann")), console.log_in(who("ben")));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert_eq!(console.logged_in(&one).unwrap().identities, ["ann"]);
        console.log_out(&one);
        assert!(console.logged_in(&one).is_none());
        console.log_out_all();
        assert!(console.logged_in(&other).is_none());
    }
}
