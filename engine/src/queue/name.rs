//! Which scheduled queue a message belongs to.

use ringmta_policy::{EnvelopeAddress, Meta, QueueName};

/// The scheduled queue of a message with this metadata and these recipients: the metadata
/// `queue` when set, else `campaign:tenant@domain!routing_domain` of its parts.
pub fn of(meta: &Meta, recipients: &[EnvelopeAddress]) -> QueueName {
    let text = |key: &str| meta.get(key).and_then(|v| v.as_str()).filter(|v| !v.is_empty());
    if let Some(queue) = text("queue") {
        return QueueName::parse(queue);
    }
    QueueName {
        campaign: text("campaign").map(String::from),
        tenant: text("tenant").map(String::from),
        domain: recipients.first().map(|r| r.routing_domain()).unwrap_or_default(),
        routing_domain: text("routing_domain").map(String::from),
    }
}
