//! The TLS configuration of a path: the process's own, or one with a client certificate or cipher suites of its own.

use crate::key_source;
use crate::limits::TLS_KEY_KEEP_SECS;
use ringmta_io::{mono_nanos, tls};
use ringmta_policy::{EgressPath, EnableTls};
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::tls_cache::TlsWish;
use ringmta_shard::state::Shard;
use rustls::ClientConfig;
use std::sync::Arc;

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
    let wish = TlsWish {
        certificate: path.tls_certificate.clone(),
        key: path.tls_private_key.clone(),
        suites: path.rustls_cipher_suites.clone(),
        verify,
    };
    let now = mono_nanos();
    if let Some(config) = ready.tls.get(&wish, now) {
        return Ok(config);
    }
    let identity = match (&wish.certificate, &wish.key) {
        (Some(certificate), Some(key)) => {
            let load = |source| key_source::load(shard, source);
            let certificate =
                load(certificate).await.map_err(|e| format!("tls_certificate: {e}"))?;
            let key = load(key).await.map_err(|e| format!("tls_private_key: {e}"))?;
            Some((certificate, key))
        }
        _ => None,
    };
    let roots = verify.then(ringmta_policy::trust::roots);
    let suites = ringmta_policy::cipher_suites(&wish.suites)?;
    let config = tls::client_config_of(roots, suites, identity)?;
    ready.tls.put(wish, config.clone(), now + TLS_KEY_KEEP_SECS * 1_000_000_000);
    Ok(config)
}
