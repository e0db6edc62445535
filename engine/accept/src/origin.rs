//! Where a message came from: the session, as policy and records see it.

use ringmta_policy::{
    BatchHandling, ConnMeta, EnvelopeAddress, EsmtpListener, Policy, TraceHeaders,
};
use ringmta_shard::state::Shard;
use ringmta_smtp::trace::Origin;

/// What is known of the session a message came over.
pub struct ClientSession<'a> {
    /// The policy the session runs on.
    pub policy: &'a Policy,
    /// The session's metadata.
    pub meta: &'a ConnMeta,
    /// For the Received header.
    pub origin: Origin<'a>,
    /// Which headers are added.
    pub trace: &'a TraceHeaders,
    /// How recipients become messages.
    pub batching: BatchHandling,
    /// Id of the session, for records.
    pub session_id: &'a str,
    /// Address of the listener, as policy knows it.
    pub listener: &'a str,
    /// Recipients that take nothing but reports.
    pub reports_only: &'a [EnvelopeAddress],
    /// Policy is asked about the messages only after they were acknowledged.
    pub deferred: bool,
}

/// The name that a listener goes by.
pub fn hostname_of(shard: &Shard, options: &EsmtpListener) -> String {
    options.hostname.clone().unwrap_or_else(|| shard.process.hostname.clone())
}
