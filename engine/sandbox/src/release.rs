//! Messages released to the configured relay by a request, relayed or forwarded as they come.

use crate::api::{bad, body, ok, Answer, Api};
use crate::captured::{Captured, Stored};
use crate::limits::SANDBOX_RELAYS_WAITING;
use crate::mime::with_mail;
use crate::offload::Helpers;
use crate::relay::{Forward, Host, Outgoing, Relay};
use crate::rewrite::{with, without};
use crate::settings::Settings;
use mail_parser::DateTime;
use ringmta_http::{Bytes, Request};
use ringmta_io as io;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// Who a message is released to.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct To {
    #[serde(default, rename = "To", alias = "to")]
    to: Option<Vec<String>>,
}

impl To {
    /// One with everything, for the API's description.
    pub(super) fn example() -> To {
        To { to: Some(vec!["bob@example.org".into()]) }
    }
}

impl Api {
    /// `message/{id}/release`.
    pub(super) async fn release(&self, message: &Stored, request: &Request) -> Answer {
        let Some(relay) = &self.settings.relay else {
            return Err(bad(
                "no relay is configured: start with --smtp-relay-config (MP_SMTP_RELAY_CONFIG)",
            ));
        };
        let to = body::<To>(request)?.to.unwrap_or_default();
        let to: Vec<String> =
            to.iter().map(|one| plain(one)).collect::<Result<_, _>>().map_err(bad)?;
        if to.is_empty() {
            return Err(bad("No valid addresses found"));
        }
        refused(&to, "do not match the allowlist", |to| {
            relay.allowed.as_ref().is_some_and(|allowed| !allowed.is_match(to))
        })?;
        refused(&to, "found on blocklist", |to| {
            relay.blocked.as_ref().is_some_and(|blocked| blocked.is_match(to))
        })?;
        if message.parsed.from.address.is_empty() {
            return Err(bad("No From header found"));
        }
        let (mail, relay) = (message.mail.clone(), relay.clone());
        let work = move || released(&mail, &relay, to).send_now();
        let sent = self.helpers.run(work).await.and_then(|sent| sent);
        sent.map_err(|error| bad(format!("SMTP error: {error}")))?;
        Ok(ok())
    }
}

/// Refuses when some of the recipients are not to be written to.
fn refused(
    to: &[String],
    why: &str,
    is: impl Fn(&str) -> bool,
) -> Result<(), ringmta_http::Response> {
    let found: Vec<&str> = to.iter().map(String::as_str).filter(|to| is(to)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let noun = if found.len() == 1 { "Address" } else { "Addresses" };
    Err(bad(format!("Failed: {noun} {why}: {}", found.join(", "))))
}

/// The address of `Name <address>`.
fn plain(text: &str) -> Result<String, String> {
    let inner = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>')).trim();
    match inner.parse::<lettre::Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("Invalid email address: {text}")),
    }
}

/// A released message: another moment, and another Message-ID unless it is to stay, for it is sent a second time.
fn released(message: &Captured, relay: &Relay, to: Vec<String>) -> Outgoing {
    let mut source = without(&message.source, &["Bcc"]);
    source = with(&source, "Date", &date_now());
    if !relay.preserve_message_ids {
        source = with(&source, "Message-ID", &new_message_id());
    }
    source = as_of(source, &relay.return_path, &relay.override_from);
    let from = match relay.return_path.as_str() {
        "" if !relay.override_from.is_empty() => relay.override_from.clone(),
        "" => sender(&message.source).unwrap_or_else(|| message.parsed.from.address.clone()),
        path => path.to_string(),
    };
    Outgoing { host: relay.host.clone(), from, to, source }
}

/// This moment as a Date header has it.
pub fn date_now() -> String {
    let seconds = i64::try_from(io::unix_nanos() / 1_000_000_000).unwrap_or(0);
    DateTime::from_timestamp(seconds).to_rfc822()
}

/// A Message-ID that nobody else has.
pub fn new_message_id() -> String {
    format!("<{:016x}{:016x}@ringmta>", io::random_u64(), io::random_u64())
}

fn sender(source: &[u8]) -> Option<String> {
    let address = |mail: &mail_parser::Message<'_>| {
        Some(mail.sender()?.first()?.address()?.to_string()).filter(|one| !one.is_empty())
    };
    with_mail(source, address).flatten()
}

/// The message with another return path and another author.
fn as_of(mut source: Vec<u8>, return_path: &str, override_from: &str) -> Vec<u8> {
    if !return_path.is_empty() {
        source = with(&source, "Return-Path", &format!("<{return_path}>"));
    }
    if !override_from.is_empty() {
        let authors = with_mail(&source, |mail| {
            mail.from().map(|from| {
                from.iter().filter_map(|one| one.address()).collect::<Vec<_>>().join(", ")
            })
        });
        if let Some(authors) = authors.flatten() {
            source = with(&source, "X-Original-From", &authors);
        }
        source = with(&source, "From", &format!("<{override_from}>"));
    }
    source
}

/// What goes out by itself when a message comes.
pub struct Outbound {
    settings: Rc<Settings>,
    helpers: Helpers,
    /// One for each message on its way that nobody waits for, and one more.
    unwatched: Rc<()>,
}

impl Outbound {
    /// As the settings say.
    pub fn new(settings: Rc<Settings>, helpers: Helpers) -> Outbound {
        Outbound { settings, helpers, unwatched: Rc::new(()) }
    }

    /// Sends what has come over SMTP on, where that is asked for.
    ///
    /// # Errors
    /// What the server said, where the client is to hear it.
    pub async fn send(&self, from: &str, to: &[String], source: &Bytes) -> Result<(), String> {
        if let Some(relay) = &self.settings.relay {
            let to = recipients(relay, to);
            if !to.is_empty() {
                let passed_on = PassedOn {
                    host: relay.host.clone(),
                    from: first(&[&relay.return_path, &relay.override_from, from]),
                    to,
                    source: source.clone(),
                    return_path: relay.return_path.clone(),
                    override_from: relay.override_from.clone(),
                };
                self.hand_over(passed_on, relay.forward_errors, "relay").await?;
            }
        }
        if let Some(Forward { host, to, return_path, override_from, forward_errors }) =
            &self.settings.forward
        {
            let passed_on = PassedOn {
                host: host.clone(),
                from: first(&[return_path, override_from, from]),
                to: to.clone(),
                source: source.clone(),
                return_path: return_path.clone(),
                override_from: override_from.clone(),
            };
            self.hand_over(passed_on, *forward_errors, "forwarding").await?;
        }
        Ok(())
    }

    /// Waits for the outcome where the client is to hear it; else it is only logged. Where many are on their way, the
    /// client waits as well, so that none is lost and their number is bounded.
    async fn hand_over(
        &self,
        passed_on: PassedOn,
        wait: bool,
        what: &'static str,
    ) -> Result<(), String> {
        if wait {
            return passed_on.send(&self.helpers).await;
        }
        let (helpers, one) = (self.helpers.clone(), self.unwatched.clone());
        let full = Rc::strong_count(&one) > SANDBOX_RELAYS_WAITING;
        let work = async move {
            let _one = one;
            if let Err(error) = passed_on.send(&helpers).await {
                tracing::warn!(error, "{what} of a message of the inbox");
            }
        };
        if full {
            work.await;
        } else {
            io::tasks::spawn(work);
        }
        Ok(())
    }
}

/// A message that goes out as it came in, but for who it is from.
struct PassedOn {
    host: Host,
    from: String,
    to: Vec<String>,
    source: Bytes,
    return_path: String,
    override_from: String,
}

impl PassedOn {
    /// Sends it, on a thread on which its header is made as well.
    async fn send(self, helpers: &Helpers) -> Result<(), String> {
        let PassedOn { host, from, to, source, return_path, override_from } = self;
        let work = move || {
            let source = as_of(without(&source, &["Bcc"]), &return_path, &override_from);
            Outgoing { host, from, to, source }.send_now()
        };
        helpers.run(work).await?
    }
}

/// Those of a message's recipients that it is relayed to.
fn recipients(relay: &Relay, to: &[String]) -> Vec<String> {
    let wanted = |to: &&String| {
        let matching = relay.matching.as_ref().is_some_and(|matching| matching.is_match(to));
        let allowed = relay.allowed.as_ref().is_none_or(|allowed| allowed.is_match(to));
        let blocked = relay.blocked.as_ref().is_some_and(|blocked| blocked.is_match(to));
        (relay.all || matching) && allowed && !blocked
    };
    to.iter().filter(wanted).cloned().collect()
}

fn first(texts: &[&str]) -> String {
    texts.iter().find(|text| !text.is_empty()).map(|text| text.to_string()).unwrap_or_default()
}
