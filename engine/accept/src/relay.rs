//! Who may relay. The default is no: a peer relays when it is listed, when it has authenticated,
//! or when policy says so for the domain.

use ringmta_policy::{CidrSet, ConnMeta, EnvelopeAddress, Policy, PolicyError, ReportHandling};
use std::net::IpAddr;

/// What is known of the client when it names a recipient.
pub struct Peer<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// Address of the listener, as policy knows it.
    pub listener: &'a str,
    /// Networks that may relay.
    pub relay_hosts: &'a CidrSet,
    /// It has authenticated.
    pub authenticated: bool,
    /// The session's metadata.
    pub meta: &'a ConnMeta,
}

/// What a peer may send to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Any mail.
    Mail,
    /// Reports about mail sent earlier, which are logged.
    Reports,
    /// Nothing.
    Nothing,
}

/// What `peer` may send from `sender` to `recipient`.
///
/// # Errors
/// A handler's refusal or failure.
pub async fn allowed(
    policy: &Policy,
    peer: &Peer<'_>,
    sender: &EnvelopeAddress,
    recipient: &EnvelopeAddress,
) -> Result<Permit, PolicyError> {
    if peer.authenticated || peer.relay_hosts.contains(peer.ip) {
        return Ok(Permit::Mail);
    }
    if !policy.handles("get_listener_domain") {
        return Ok(Permit::Nothing);
    }
    let to = recipient.routing_domain();
    let mut otherwise = Permit::Nothing;
    if let Some(found) = policy.listener_domain(&to, peer.listener, peer.meta).await? {
        if found.relay_to || found.relay_from.contains(peer.ip) {
            return Ok(Permit::Mail);
        }
        if [found.log_oob, found.log_arf].iter().any(|how| *how != ReportHandling::Ignore) {
            otherwise = Permit::Reports;
        }
    }
    let from = sender.routing_domain();
    if from.is_empty() || from == to {
        return Ok(otherwise);
    }
    let found = policy.listener_domain(&from, peer.listener, peer.meta).await?;
    let listed = found.is_some_and(|domain| domain.relay_from.contains(peer.ip));
    Ok(if listed { Permit::Mail } else { otherwise })
}
