//! The JSON shapes of the API. Lists are always lists, never null: clients take both, and a list
//! is the simpler thing to take.

use crate::captured::{Captured, Stored};
use crate::limits::{
    SANDBOX_LISTED_ADDRESSES, SANDBOX_LISTED_RECIPIENTS, SANDBOX_LISTED_TEXT_BYTES,
};
use crate::message::{Address, ListUnsubscribe};
use crate::mime;
use crate::mime::Part;
use crate::settings::Settings;
use crate::start::start_of;
use mail_parser::DateTime;
use serde_json::{json, Value};
use std::collections::HashSet;
use std::fmt::Write;

/// What the API calls this program's version.
pub const VERSION: &str = concat!("ringmta ", env!("CARGO_PKG_VERSION"));

/// A message in a list: of very long headers as much as lists have.
pub fn summary(message: &Stored) -> Value {
    let mail = &message.parsed;
    let listed = |text: &str| start_of(text, SANDBOX_LISTED_TEXT_BYTES).to_string();
    let one = |one: &Address| json!({"Name": listed(&one.name), "Address": listed(&one.address)});
    let some = |list: &[Address]| -> Vec<Value> {
        list.iter().take(SANDBOX_LISTED_ADDRESSES).map(one).collect()
    };
    json!({
        "ID": message.id,
        "MessageID": listed(&mail.message_id),
        "Read": message.read.get(),
        "From": one(&mail.from),
        "To": some(&mail.to),
        "Cc": some(&mail.cc),
        "Bcc": some(&mail.bcc),
        "ReplyTo": some(&mail.reply_to),
        "Subject": listed(&mail.subject),
        "Created": rfc3339_ms(message.created_ms),
        "Username": message.session.auth_user.as_deref().unwrap_or(""),
        "Tags": *message.tags.borrow(),
        "Size": message.source.len(),
        "Attachments": mail.attachments.len(),
        "Snippet": mail.snippet,
        "Recipients": recipients(message),
    })
}

/// A whole message, which has these tags.
pub fn message(message: &Captured, tags: &[String]) -> Value {
    let mail = &message.parsed;
    let created = rfc3339_ms(message.created_ms);
    let (inline, attachments) = with_checksums(message);
    json!({
        "ID": message.id,
        "MessageID": mail.message_id,
        // Of older Mailpits, which clients of their time ask for; whoever is given a message has read it.
        "Read": true,
        "From": address(&mail.from),
        "To": addresses(&mail.to),
        "Cc": addresses(&mail.cc),
        "Bcc": addresses(&mail.bcc),
        "ReplyTo": addresses(&mail.reply_to),
        "ReturnPath": message.envelope.mail_from,
        "Subject": mail.subject,
        "ListUnsubscribe": list_unsubscribe(&mail.list_unsubscribe),
        "Date": mail.date.as_ref().unwrap_or(&created),
        "Tags": tags,
        "Username": message.session.auth_user.as_deref().unwrap_or(""),
        "Text": mail.text,
        "HTML": mail.html,
        "Size": message.source.len(),
        "Inline": inline,
        "Attachments": attachments,
        "Envelope": envelope(message),
    })
}

/// Those the envelope names, by which copies of one mail are told apart, the first of them.
fn recipients(message: &Captured) -> Vec<&String> {
    message.envelope.rcpt_to.iter().take(SANDBOX_LISTED_RECIPIENTS).collect()
}

/// What Mailpit does not tell: the true envelope and the session.
fn envelope(message: &Captured) -> Value {
    let session = &message.session;
    json!({
        "From": message.envelope.mail_from,
        "To": message.envelope.rcpt_to,
        "Received": rfc3339_ms(message.created_ms),
        "Session": {
            "Client": session.client.map(|client| client.to_string()).unwrap_or_default(),
            "Helo": session.ehlo,
            "Protocol": session.protocol,
            "AuthUser": session.auth_user,
            "TLS": session.tls.as_ref().map(|(cipher, version)| {
                json!({"Version": version, "Cipher": cipher})
            }),
        },
    })
}

/// The answer of `webui`: what the sandbox offers a user interface.
pub fn webui(settings: &Settings, smtp: &str) -> Value {
    let relay = settings.relay.as_ref();
    let shown = |pattern: Option<&regex::Regex>| {
        pattern.map(|pattern| pattern.as_str().to_string()).unwrap_or_default()
    };
    let allowed = shown(relay.and_then(|relay| relay.allowed.as_ref()));
    json!({
        "Label": settings.label,
        "MessageRelay": {
            "Enabled": relay.is_some(),
            "SMTPServer": relay.map(|relay| relay.host.shown()).unwrap_or_default(),
            "ReturnPath": relay.map_or("", |relay| &relay.return_path),
            "AllowedRecipients": allowed,
            "BlockedRecipients": shown(relay.and_then(|relay| relay.blocked.as_ref())),
            "OverrideFrom": relay.map_or("", |relay| &relay.override_from),
            "PreserveMessageIDs": relay.is_some_and(|relay| relay.preserve_message_ids),
            "RecipientAllowlist": allowed,
        },
        "SpamAssassin": settings.spam_server.is_some(),
        "LinkCheck": settings.link_check,
        "ChaosEnabled": settings.chaos.is_some(),
        "DuplicatesIgnored": settings.keeping.ignore_duplicate_ids,
        "HideDeleteAllButton": settings.hide_delete_all,
        "BlockRemoteCSSAndFonts": settings.block_remote_css_and_fonts,
        "SMTP": smtp,
        "Version": VERSION,
    })
}

fn address(one: &Address) -> Value {
    json!({"Name": one.name, "Address": one.address})
}

fn addresses(list: &[Address]) -> Vec<Value> {
    list.iter().map(address).collect()
}

fn list_unsubscribe(list: &ListUnsubscribe) -> Value {
    json!({
        "Header": list.header,
        "Links": list.links,
        "Errors": list.errors,
        "HeaderPost": list.post,
    })
}

/// (inline, attachments) with checksums, which are made when asked for: hashing every attachment
/// at arrival would be most of the work of taking a message.
fn with_checksums(message: &Captured) -> (Vec<Value>, Vec<Value>) {
    let (mut inline, mut attachments) = (Vec::new(), Vec::new());
    if message.parsed.inline.is_empty() && message.parsed.attachments.is_empty() {
        return (inline, attachments);
    }
    let known: HashSet<&str> = message.parsed.inline.iter().map(|part| part.id.as_str()).collect();
    mime::for_each_part(&message.source, |part, bytes| {
        let is_inline = known.contains(part.id.as_str());
        let list = if is_inline { &mut inline } else { &mut attachments };
        list.push(attachment(&part, bytes));
    });
    (inline, attachments)
}

fn attachment(part: &Part, bytes: &[u8]) -> Value {
    let sha = |algorithm| hex(aws_lc_rs::digest::digest(algorithm, bytes).as_ref());
    json!({
        "PartID": part.id,
        "FileName": part.file_name,
        "ContentType": part.content_type,
        "ContentID": part.content_id,
        "Size": part.size,
        "Checksums": {
            "MD5": hex(&md5::compute(bytes).0),
            "SHA1": sha(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY),
            "SHA256": sha(&aws_lc_rs::digest::SHA256),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// RFC 3339 with milliseconds, UTC.
pub fn rfc3339_ms(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(0);
    let date = DateTime::from_timestamp(seconds).to_rfc3339();
    format!("{}.{:03}Z", date.trim_end_matches('Z'), ms % 1000)
}
