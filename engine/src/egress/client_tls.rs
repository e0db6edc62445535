//! The TLS configuration of a path: the process's own, or one with a client certificate or cipher suites of its own.

use crate::io::{mono_nanos, tls};
use crate::limits::TLS_KEY_KEEP_SECS;
use crate::queue::ReadyQueue;
use crate::shard::Shard;
use ringmta_policy::{EgressPath, EnableTls, KeySource};
use rustls::ClientConfig;
use std::cell::RefCell;
use std::sync::Arc;

/// The configuration a ready queue used last.
#[derive(Default)]
pub struct Kept(RefCell<Option<Made>>);

struct Made {
    config: Arc<ClientConfig>,
    wish: Wish,
    until_nanos: u64,
}

/// What of a path decides.
#[derive(PartialEq)]
struct Wish {
    certificate: Option<KeySource>,
    key: Option<KeySource>,
    suites: Vec<String>,
    verify: bool,
}

/// The configuration for a connection over `path`.
///
/// # Errors
/// Why certificate or key cannot be used.
pub async fn config(
    shard: &Shard,
    ready: &ReadyQueue,
    path: &EgressPath,
) -> Result<Arc<ClientConfig>, String> {
    let verify = matches!(path.enable_tls, EnableTls::Required | EnableTls::Opportunistic);
    if path.tls_certificate.is_none() && path.rustls_cipher_suites.is_empty() {
        let process = &shard.process;
        return Ok(if verify { &process.tls_verify } else { &process.tls_any }.clone());
    }
    let wish = Wish {
        certificate: path.tls_certificate.clone(),
        key: path.tls_private_key.clone(),
        suites: path.rustls_cipher_suites.clone(),
        verify,
    };
    let now = mono_nanos();
    if let Some(made) = &*ready.tls.0.borrow() {
        if made.wish == wish && made.until_nanos > now {
            return Ok(made.config.clone());
        }
    }
    let identity = match (&wish.certificate, &wish.key) {
        (Some(certificate), Some(key)) => {
            let policy = shard.policy();
            let load = |source| policy.load_key(source);
            let certificate =
                load(certificate).await.map_err(|e| format!("tls_certificate: {e}"))?;
            let key = load(key).await.map_err(|e| format!("tls_private_key: {e}"))?;
            Some((certificate, key))
        }
        _ => None,
    };
    let config = tls::client_config_of(verify, &wish.suites, identity)?;
    let until_nanos = now + TLS_KEY_KEEP_SECS * 1_000_000_000;
    *ready.tls.0.borrow_mut() = Some(Made { config: config.clone(), wish, until_nanos });
    Ok(config)
}
