//! A listener's limits per client address and network, put to a session.

use ringmta_events::metrics::Metrics;
use ringmta_io::mono_nanos;
use ringmta_policy::{EsmtpListener, PeerLimits, Throttle};

use ringmta_shard::process::Process;
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use ringmta_smtp::server::peers::{Count, Open, Opening, Peers, Scope};
use std::net::IpAddr;
use std::sync::Arc;

/// The limits of an address, and those of its network.
fn scopes(options: &EsmtpListener) -> [(Scope, &PeerLimits); 2] {
    [(Scope::Address, &options.per_peer), (Scope::Network, &options.per_network)]
}

/// A session that is counted, until it is dropped.
#[derive(Default)]
pub struct Admitted {
    at: Option<(Arc<Process>, usize)>,
    open: Vec<Open>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((process, listener)) = &self.at else { return };
        for open in self.open.drain(..) {
            process.peers[*listener].closed(open);
        }
    }
}

/// Counts a new session of this peer at a listener in.
///
/// # Errors
/// The refusal, when it has as many as it may, comes too fast, or was refused too much lately.
pub fn admit(
    shard: &Shard,
    listener: usize,
    options: &EsmtpListener,
    peer: IpAddr,
) -> Result<Admitted, Refusal> {
    let mut admitted = Admitted::default();
    for (scope, limits) in scopes(options) {
        let (peers, now) = (peers_of(shard, listener), mono_nanos());
        if let Some(rate) = &limits.max_rejection_rate {
            if !peers.would_pass((scope, peer), Count::Refusals, &rate.spec(), now) {
                return Err(limited(&shard.metrics, Refusal::TooManyRefused));
            }
        }
        if let Some(most) = limits.max_connections {
            match peers.opened((scope, peer), most, now) {
                Opening::Counted(open) => {
                    admitted.at = Some((shard.process.clone(), listener));
                    admitted.open.push(open);
                }
                Opening::Uncounted => {}
                Opening::TooMany => return Err(limited(&shard.metrics, Refusal::TooManyOfPeer)),
            }
        }
        if !takes(
            peers_of(shard, listener),
            (scope, peer),
            Count::Connections,
            limits.max_connection_rate.as_ref(),
        ) {
            return Err(limited(&shard.metrics, Refusal::TooManyOfPeer));
        }
    }
    Ok(admitted)
}

/// Counts a message in.
///
/// # Errors
/// The refusal, when this peer's messages come too fast.
pub fn message(
    shard: &Shard,
    listener: usize,
    options: &EsmtpListener,
    peer: IpAddr,
) -> Result<(), Refusal> {
    let one = |(scope, limits): (Scope, &PeerLimits)| {
        takes(
            peers_of(shard, listener),
            (scope, peer),
            Count::Messages,
            limits.max_message_rate.as_ref(),
        )
    };
    match scopes(options).into_iter().all(one) {
        true => Ok(()),
        false => Err(limited(&shard.metrics, Refusal::TooFast)),
    }
}

/// Counts a refusal; `Some`: the session must end with this one.
pub fn refused(
    shard: &Shard,
    listener: usize,
    options: &EsmtpListener,
    peer: IpAddr,
) -> Option<Refusal> {
    // Both are counted, whatever the first says.
    let mut too_many = false;
    for (scope, limits) in scopes(options) {
        let rate = limits.max_rejection_rate.as_ref();
        too_many |= !takes(peers_of(shard, listener), (scope, peer), Count::Refusals, rate);
    }
    too_many.then(|| limited(&shard.metrics, Refusal::TooManyRefused))
}

fn peers_of(shard: &Shard, listener: usize) -> &Peers {
    &shard.process.peers[listener]
}

fn takes(peers: &Peers, peer: (Scope, IpAddr), what: Count, rate: Option<&Throttle>) -> bool {
    rate.is_none_or(|rate| peers.take(peer, what, &rate.spec(), mono_nanos()))
}

fn limited(metrics: &Metrics, refusal: Refusal) -> Refusal {
    metrics.peers_limited.inc();
    refusal
}
