//! New messages told to somebody's URL: the summary of each as JSON, so many in a second at most; those beyond are not told.

use crate::limits::{SANDBOX_WEBHOOK_SECS, SANDBOX_WEBHOOK_WAITING};
use crate::offload::Helpers;
use crate::settings::Webhook;
use crate::store::Store;
use ringmta_io as io;
use serde_json::Value;
use std::rc::Rc;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};

/// TLS of the inbox's own requests.
pub fn tls(untrusted: bool) -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::WebPki)
        .disable_verification(untrusted)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .build()
}

/// Tells for ever.
pub async fn tell(webhook: Webhook, untrusted_tls: bool, store: Rc<Store>, helpers: Helpers) {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(SANDBOX_WEBHOOK_SECS)))
        .tls_config(tls(untrusted_tls))
        .build()
        .new_agent();
    let inbox = store.hub.listen();
    let waiting = Rc::new(());
    let mut next = 0;
    loop {
        inbox.changed().await;
        if inbox.overflowed() {
            inbox.forget();
        }
        inbox.take_pruned();
        while let Some(text) = inbox.next() {
            let Some(summary) = new_message(&text) else { continue };
            let now = io::mono_nanos();
            if now < next || Rc::strong_count(&waiting) > SANDBOX_WEBHOOK_WAITING {
                continue;
            }
            next = now + u64::try_from(webhook.pause.as_nanos()).unwrap_or(u64::MAX);
            let (agent, helpers, one) = (agent.clone(), helpers.clone(), waiting.clone());
            let Webhook { url, delay, .. } = webhook.clone();
            io::tasks::spawn(async move {
                let _one = one;
                io::sleep(delay).await;
                let post = move || {
                    agent.post(&url).content_type("application/json").send(summary).map(|_| ())
                };
                match helpers.run(post).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "webhook of the inbox"),
                    Err(error) => tracing::warn!(error, "webhook of the inbox"),
                }
            });
        }
    }
}

/// The summary within an event, if it is one of a new message.
fn new_message(event: &str) -> Option<String> {
    // Other events are not worth parsing.
    if !event.contains("\"Type\":\"new\"") {
        return None;
    }
    let mut event: Value = serde_json::from_str(event).ok()?;
    (event["Type"] == "new").then(|| event["Data"].take().to_string())
}
