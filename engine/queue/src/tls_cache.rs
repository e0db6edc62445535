//! The TLS configuration that a ready queue's connections used last, where its path asks for one of its own.

use ringmta_options::KeySource;
use rustls::ClientConfig;
use std::cell::RefCell;
use std::sync::Arc;

/// What of a path decides how its TLS is configured.
#[derive(Debug, PartialEq)]
pub struct TlsWish {
    /// Certificate to be shown to a host that asks for one.
    pub certificate: Option<KeySource>,
    /// Its key.
    pub key: Option<KeySource>,
    /// Cipher suites allowed; none: all.
    pub suites: Vec<String>,
    /// The host's certificate must prove its name.
    pub verify: bool,
}

/// The configuration a ready queue used last.
#[derive(Default)]
pub struct TlsCache(RefCell<Option<Made>>);

struct Made {
    config: Arc<ClientConfig>,
    wish: TlsWish,
    until_nanos: u64,
}

impl TlsCache {
    /// The configuration for `wish`, when it was made and is fresh at the monotonic time `now_nanos`.
    pub fn get(&self, wish: &TlsWish, now_nanos: u64) -> Option<Arc<ClientConfig>> {
        let made = self.0.borrow();
        let made = made.as_ref().filter(|made| made.wish == *wish && made.until_nanos > now_nanos);
        made.map(|made| made.config.clone())
    }

    /// Keeps `config`, made for `wish`, until the monotonic time `until_nanos`.
    pub fn put(&self, wish: TlsWish, config: Arc<ClientConfig>, until_nanos: u64) {
        *self.0.borrow_mut() = Some(Made { config, wish, until_nanos });
    }
}
