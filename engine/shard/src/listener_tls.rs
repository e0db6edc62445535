//! Certificates and keys of our listeners: read at start, and again at a reload and when one of their files has changed.
//! New sessions use what is new; what cannot be used leaves the one before in force.

use crate::limits::CERTIFICATE_LOAD_SECS;
use futures::executor::block_on;
use ringmta_io::privileges::User;
use ringmta_io::{
    deadline,
    tls::{self, ServerTls},
};
use ringmta_policy::{EsmtpListener, HttpListener, KeySource, Policy};
use rustls::ServerConfig;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Where the TLS of a listener comes from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Whose it is, for people.
    listener: String,
    certificate: Option<KeySource>,
    key: Option<KeySource>,
    /// CAs of the certificates that clients must show.
    client_ca: Option<KeySource>,
    hostname: String,
}

/// What the sources gave, as it was read.
#[derive(PartialEq)]
struct Read {
    /// Certificate and key.
    pair: Option<(Vec<u8>, Vec<u8>)>,
    client_ca: Option<Vec<u8>>,
}

/// The TLS of one listener.
pub struct ListenerTls {
    pub(crate) sources: Sources,
    /// What new sessions use.
    pub in_force: Arc<ServerTls>,
    /// What the sources gave for it.
    read: Mutex<Read>,
    pub(crate) renewed: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl ListenerTls {
    /// That of an ESMTP listener; with a certificate of our own making when it names none.
    ///
    /// # Errors
    /// What is wrong with a source.
    pub fn of_smtp(
        policy: &Policy,
        of: &EsmtpListener,
        hostname: &str,
    ) -> Result<Arc<ListenerTls>, String> {
        ListenerTls::load(
            policy,
            Sources {
                listener: format!("ESMTP listener {}", of.listen),
                certificate: of.tls_certificate.clone(),
                key: of.tls_private_key.clone(),
                client_ca: of.tls_required_client_ca.clone(),
                hostname: of.hostname.clone().unwrap_or_else(|| hostname.to_string()),
            },
        )
    }

    /// That of an HTTP listener, when it speaks HTTPS.
    ///
    /// # Errors
    /// What is wrong with a source.
    pub fn of_http(
        policy: &Policy,
        of: &HttpListener,
        hostname: &str,
    ) -> Result<Option<Arc<ListenerTls>>, String> {
        let sources = Sources {
            listener: format!("HTTP listener {}", of.listen),
            certificate: of.tls_certificate.clone(),
            key: of.tls_private_key.clone(),
            client_ca: None,
            hostname: of.hostname.clone().unwrap_or_else(|| hostname.to_string()),
        };
        of.use_tls.then(|| ListenerTls::load(policy, sources)).transpose()
    }

    fn load(policy: &Policy, sources: Sources) -> Result<Arc<ListenerTls>, String> {
        let told = |why| format!("{}: {why}", sources.listener);
        let read = block_on(sources.read(policy)).map_err(told)?;
        let config = sources.config(&read).map_err(told)?;
        Ok(Arc::new(ListenerTls {
            sources,
            in_force: Arc::new(ServerTls::new(config)),
            read: Mutex::new(read),
            renewed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Reads the sources anew; what has changed and is good comes in force.
    pub(crate) async fn renew(&self, policy: &Policy) {
        let limit = Duration::from_secs(CERTIFICATE_LOAD_SECS);
        let read = deadline(limit, self.sources.read(policy)).await;
        let read = read.unwrap_or_else(|_| Err(format!("not read within {limit:?}")));
        let listener = &self.sources.listener;
        match read.and_then(|read| self.take(read)) {
            Ok(false) => {}
            Ok(true) => {
                self.renewed.fetch_add(1, Ordering::Relaxed);
                tracing::info!("{listener}: the new TLS certificate is in force");
            }
            Err(why) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    "{listener}: the TLS certificate in force stays, the new one cannot be used: {why}"
                );
            }
        }
    }

    /// Puts it in force; whether it is another than before.
    fn take(&self, read: Read) -> Result<bool, String> {
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == read {
            return Ok(false);
        }
        self.in_force.put(self.sources.config(&read)?);
        *before = read;
        Ok(true)
    }
}

/// Why a key cannot be had, with who would read it: a key that only root may read is a usual mistake.
fn told(error: &impl std::fmt::Display) -> String {
    format!("TLS, read by the user {}: {error}", User::current().name)
}

impl Sources {
    async fn read(&self, policy: &Policy) -> Result<Read, String> {
        let load = |source: &KeySource| {
            let source = source.clone();
            async move { policy.load_key(&source).await.map_err(|error| told(&error)) }
        };
        let client_ca = match &self.client_ca {
            Some(source) => Some(load(source).await?),
            None => None,
        };
        let pair = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((load(certificate).await?, load(key).await?)),
            (None, None) => None,
            _ => return Err("TLS: tls_certificate and tls_private_key are needed together".into()),
        };
        Ok(Read { pair, client_ca })
    }

    fn config(&self, read: &Read) -> Result<Arc<ServerConfig>, String> {
        let client_ca = read.client_ca.as_deref();
        match &read.pair {
            Some((certificate, key)) => tls::server_config_asking(certificate, key, client_ca),
            None => {
                let (certificate, key) = tls::self_signed(&self.hostname)?;
                tls::server_config_asking(certificate.as_bytes(), key.as_bytes(), client_ca)
            }
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let sources = [&self.certificate, &self.key, &self.client_ca].into_iter().flatten();
        sources.filter_map(|source| match source {
            KeySource::File(path) => Some(path.clone()),
            _ => None,
        })
    }
}

/// Keeps a shard from reading the certificates several times at once.
#[derive(Default)]
pub struct Renewals {
    pub(crate) under_way: Cell<bool>,
    pub(crate) again: Cell<bool>,
}
