//! Files of names and hashed passwords, as Apache's htpasswd writes them: bcrypt, its own MD5 (apr1) and SHA-1, and plain
//! text, which Mailpit takes as well.

use crate::offload::Helpers;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::Engine;
use ringmta_http::{header, Request, Response};
use ringmta_io as io;
use ringmta_smtp::server::guesses::Guesses;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Names of one file.
const NAMES: usize = 10_000;
/// Checks that are remembered, so that a request does not cost a bcrypt each.
const REMEMBERED: usize = 256;
/// When somebody may ask again whose password nobody had the time to look at.
const BUSY: Duration = Duration::from_secs(5);

/// What a client is told whose password was not looked at.
pub const TOO_MANY: &str = "too many wrong passwords from this address, or too many at once";

/// What came of a name and a password.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password of that name.
    Right,
    /// It is not, or there is no such name.
    Wrong,
    /// It was not looked at, because too many wrong ones came from this peer, or too many at once: not before so long.
    Later(Duration),
}

/// Names and their hashed passwords. Cheap to copy.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    hashes: BTreeMap<String, String>,
    /// SHA-256 of a name and a password that were right, with a number of this process that nobody else knows.
    right: Mutex<BTreeSet<Vec<u8>>>,
    salt: u64,
    guesses: Mutex<Guesses>,
    /// Hashing takes a while: one password after the other, on a thread that nothing else waits for.
    hashing: Helpers,
}

impl Inner {
    /// How long a peer is not listened to that has guessed too often.
    fn held(&self, peer: IpAddr) -> Option<Duration> {
        let guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.held(peer, io::mono_nanos())
    }

    /// Looks at a password, and counts it if it is wrong. Blocks for as long as the hash takes.
    fn look(&self, peer: IpAddr, name: &str, password: &str) -> Verdict {
        // Others may have come first since it was asked.
        if let Some(wait) = self.held(peer) {
            return Verdict::Later(wait);
        }
        // A name that is none takes as long as one that is.
        let known = self.hashes.get(name);
        let hash = known.or(self.hashes.values().next());
        if hash.is_some_and(|hash| matches(password, hash)) && known.is_some() {
            return Verdict::Right;
        }
        let guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.wrong(peer, io::mono_nanos());
        Verdict::Wrong
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} logins", self.0.hashes.len())
    }
}

impl Passwords {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, without any of its hashes.
    pub fn read(path: &Path) -> Result<Passwords, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("password file {}: {error}", path.display()))?;
        Passwords::parse(&text)
            .map_err(|error| format!("password file {}: {error}", path.display()))
    }

    /// Reads what a file would hold; names may be parted by spaces as well, as in an environment variable.
    ///
    /// # Errors
    /// What is wrong with it, without any of its hashes.
    pub fn parse(text: &str) -> Result<Passwords, String> {
        let mut hashes = BTreeMap::new();
        for (at, line) in text.split_whitespace().enumerate() {
            let (name, hash) = line
                .split_once(':')
                .filter(|(name, hash)| !name.is_empty() && !hash.is_empty())
                .ok_or_else(|| format!("entry {} is not NAME:HASH", at + 1))?;
            known(hash).map_err(|error| format!("entry {} ({name}): {error}", at + 1))?;
            hashes.insert(name.to_string(), hash.to_string());
            if hashes.len() > NAMES {
                return Err(format!("more than {NAMES} names"));
            }
        }
        if hashes.is_empty() {
            return Err("there is no name in it".into());
        }
        let salt = io::random_u64();
        Ok(Passwords(Arc::new(Inner {
            hashes,
            right: Mutex::default(),
            salt,
            guesses: Mutex::new(Guesses::of(1)),
            hashing: Helpers::new(1),
        })))
    }

    /// Whether this is the password of that name. A peer with too many wrong ones is held for a while, as at the engine's doors.
    pub async fn check(&self, peer: IpAddr, name: &str, password: &str) -> Verdict {
        if let Some(wait) = self.0.held(peer) {
            return Verdict::Later(wait);
        }
        let key = digest(&SHA256, format!("{} {name}\0{password}", self.0.salt).as_bytes());
        let key = key.as_ref().to_vec();
        if self.0.right.lock().is_ok_and(|right| right.contains(&key)) {
            return Verdict::Right;
        }
        let (inner, name, password) = (self.0.clone(), name.to_string(), password.to_string());
        let looked = self.0.hashing.run(move || inner.look(peer, &name, &password)).await;
        let verdict = looked.unwrap_or(Verdict::Later(BUSY));
        if let (Verdict::Right, Ok(mut known)) = (&verdict, self.0.right.lock()) {
            if known.len() < REMEMBERED {
                known.insert(key);
            }
        }
        verdict
    }

    /// The name a request has shown the password of, by HTTP's basic authentication.
    ///
    /// # Errors
    /// How long to wait, where the password was not looked at; the caller says so in its own form, with [`TOO_MANY`].
    pub async fn caller(&self, request: &Request) -> Result<Option<String>, Duration> {
        let Some((name, password)) = basic(request) else { return Ok(None) };
        match self.check(request.peer.ip(), &name, &password).await {
            Verdict::Right => Ok(Some(name)),
            Verdict::Wrong => Ok(None),
            Verdict::Later(wait) => Err(wait),
        }
    }
}

/// A refusal that says when to come again.
pub fn not_before(wait: Duration, refusal: Response) -> Response {
    refusal.header(header::RETRY_AFTER, &(wait.as_secs() + 1).to_string())
}

/// Name and password of a request.
pub fn basic(request: &Request) -> Option<(String, String)> {
    let (scheme, code) = request.header("authorization")?.split_once(' ')?;
    let text = BASE64.decode(code.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(text).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_string(), password.to_string()))
}

fn known(hash: &str) -> Result<(), String> {
    let unknown = |prefix: &str| hash.starts_with(prefix);
    if unknown("$5$") || unknown("$6$") || unknown("$1$") || unknown("$argon2") {
        return Err(
            "its hash is of a kind not known here; make it with `htpasswd -B` (bcrypt)".into()
        );
    }
    if hash.starts_with("$2") && hash.parse::<bcrypt::HashParts>().is_err() {
        return Err("its bcrypt hash is damaged".into());
    }
    Ok(())
}

/// Blocks for as long as the hash takes.
fn matches(password: &str, hash: &str) -> bool {
    let same = |a: &str, b: &str| verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok();
    if hash.starts_with("$2") {
        bcrypt::verify(password, hash).unwrap_or(false)
    } else if let Some(rest) = hash.strip_prefix("$apr1$") {
        let salt = rest.split('$').next().unwrap_or("");
        same(&apr1(password.as_bytes(), salt.as_bytes()), hash)
    } else if let Some(code) = hash.strip_prefix("{SHA}") {
        let sha = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        same(&BASE64.encode(sha), code)
    } else {
        same(password, hash)
    }
}

/// Apache's variant of MD5-crypt: a thousand rounds of MD5 over password, salt and what came before.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let salt = &salt[..salt.len().min(8)];
    let inner = md5::compute([password, salt, password].concat()).0;
    let mut text = [password, b"$apr1$", salt].concat();
    text.extend(inner.iter().cycle().take(password.len()));
    let mut bits = password.len();
    while bits > 0 {
        text.push(if bits & 1 == 1 { 0 } else { password.first().copied().unwrap_or(0) });
        bits >>= 1;
    }
    let mut sum = md5::compute(text).0;
    for round in 0..1000 {
        let mut text = Vec::new();
        text.extend_from_slice(if round % 2 == 1 { password } else { &sum });
        text.extend_from_slice(if round % 3 != 0 { salt } else { b"" });
        text.extend_from_slice(if round % 7 != 0 { password } else { b"" });
        text.extend_from_slice(if round % 2 == 1 { &sum } else { password });
        sum = md5::compute(text).0;
    }
    const DIGITS: &[u8] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = format!("$apr1${}$", String::from_utf8_lossy(salt));
    let mut write = |mut number: u32, digits: usize| {
        for _ in 0..digits {
            out.push(char::from(DIGITS[(number & 63) as usize]));
            number >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        write(u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]), 4);
    }
    write(u32::from(sum[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_smtp::limits::AUTH_GUESSES_PER_PEER;

    #[test]
    fn kinds_of_hashes() {
        let bcrypt = bcrypt::hash("secret", 4).unwrap();
        for hash in [
            bcrypt.as_str(),
            "$apr1$abcd1234$KISB.4aBzP4pecxr2tTpg1",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "secret",
        ] {
            assert!(known(hash).is_ok());
            assert!(matches("secret", hash), "{hash}: {}", apr1(b"secret", b"abcd1234"));
            assert!(!matches("Secret", hash) && !matches("", hash), "{hash}");
        }
    }

    #[test]
    fn who_guesses_is_held_and_nobody_else() {
        let passwords = Passwords::parse("ann:secret").unwrap();
        let (peer, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let names = ["ann", "bob"].into_iter().cycle();
        for name in names.take(AUTH_GUESSES_PER_PEER) {
            assert_eq!(passwords.0.look(peer, name, "guess"), Verdict::Wrong);
        }
        for (name, password) in [("ann", "guess"), ("bob", "guess"), ("ann", "secret")] {
            let verdict = passwords.0.look(peer, name, password);
            assert!(matches!(verdict, Verdict::Later(_)), "{verdict:?}");
        }
        assert_eq!(passwords.0.look(other, "ann", "secret"), Verdict::Right);
        assert_eq!(passwords.0.look(other, "bob", "secret"), Verdict::Wrong);
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for wrong in ["", "name", ":x", "a:$6$salt$hash", "a:$2y$broken"] {
            assert!(Passwords::parse(wrong).is_err(), "{wrong}");
        }
        let error = Passwords::parse("ann:x bob:$6$hidden").unwrap_err();
        assert!(error.contains("bob") && !error.contains("hidden"), "{error}");
        assert!(Passwords::parse("ann:x\nbob:y").is_ok());
    }
}
