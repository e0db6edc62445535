//! A listener's limits per client address and network, put to a session or a request.

use ringmta_events::metrics::Metrics;
use ringmta_io::mono_nanos;
use ringmta_policy::{EsmtpListener, HttpListener, PeerLimits, Throttle};

use ringmta_shard::process::{Door, Process};
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use ringmta_smtp::server::peers::{Count, Open, Opening, Peers, Scope};
use std::net::IpAddr;
use std::sync::Arc;

/// What a listener lets one client do.
pub struct OfPeer<'a> {
    process: &'a Arc<Process>,
    metrics: &'a Metrics,
    door: Door,
    peer: IpAddr,
    /// The limits of its address, and those of its network.
    scopes: [(Scope, &'a PeerLimits); 2],
}

/// A session or connection that is counted, until it is dropped.
#[derive(Default)]
pub struct Admitted {
    at: Option<(Arc<Process>, Door)>,
    open: Vec<Open>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((process, door)) = &self.at else { return };
        for open in self.open.drain(..) {
            process.peers.at(*door).closed(open);
        }
    }
}

/// The limits of a client of an ESMTP listener, given by its index.
pub fn of_session<'a>(
    shard: &'a Shard,
    listener: usize,
    options: &'a EsmtpListener,
    peer: IpAddr,
) -> OfPeer<'a> {
    of(shard, Door::Smtp(listener), (&options.per_peer, &options.per_network), peer)
}

/// The limits of a client of an HTTP listener, given by its index.
pub fn of_request<'a>(
    shard: &'a Shard,
    listener: usize,
    options: &'a HttpListener,
    peer: IpAddr,
) -> OfPeer<'a> {
    of(shard, Door::Http(listener), (&options.per_peer, &options.per_network), peer)
}

fn of<'a>(
    shard: &'a Shard,
    door: Door,
    (address, network): (&'a PeerLimits, &'a PeerLimits),
    peer: IpAddr,
) -> OfPeer<'a> {
    let scopes = [(Scope::Address, address), (Scope::Network, network)];
    OfPeer { process: &shard.process, metrics: &shard.metrics, door, peer, scopes }
}

impl OfPeer<'_> {
    /// Counts a new session or connection in.
    ///
    /// # Errors
    /// The refusal, when the peer has as many as it may, comes too fast, or was refused too much lately.
    pub fn admit(&self) -> Result<Admitted, Refusal> {
        self.forgiven()?;
        let mut admitted = Admitted::default();
        for (scope, limits) in self.scopes {
            if let Some(most) = limits.max_connections {
                match self.peers().opened((scope, self.peer), most, mono_nanos()) {
                    Opening::Counted(open) => {
                        admitted.at = Some((self.process.clone(), self.door));
                        admitted.open.push(open);
                    }
                    Opening::Uncounted => {}
                    Opening::TooMany => return Err(self.limited(Refusal::TooManyOfPeer)),
                }
            }
            if !self.takes(scope, Count::Connections, limits.max_connection_rate.as_ref()) {
                return Err(self.limited(Refusal::TooManyOfPeer));
            }
        }
        Ok(admitted)
    }

    /// Whether the peer may go on.
    ///
    /// # Errors
    /// The refusal, when it was refused too much lately.
    pub fn forgiven(&self) -> Result<(), Refusal> {
        for (scope, limits) in self.scopes {
            let Some(rate) = &limits.max_rejection_rate else { continue };
            let peer = (scope, self.peer);
            if !self.peers().would_pass(peer, Count::Refusals, &rate.spec(), mono_nanos()) {
                return Err(self.limited(Refusal::TooManyRefused));
            }
        }
        Ok(())
    }

    /// Counts a message, or a request to inject, in.
    ///
    /// # Errors
    /// The refusal, when this peer's come too fast.
    pub fn message(&self) -> Result<(), Refusal> {
        let one = |(scope, limits): (Scope, &PeerLimits)| {
            self.takes(scope, Count::Messages, limits.max_message_rate.as_ref())
        };
        match self.scopes.into_iter().all(one) {
            true => Ok(()),
            false => Err(self.limited(Refusal::TooFast)),
        }
    }

    /// Counts a refusal; `Some`: the session must end with this one.
    pub fn refused(&self) -> Option<Refusal> {
        // Both are counted, whatever the first says.
        let mut too_many = false;
        for (scope, limits) in self.scopes {
            too_many |= !self.takes(scope, Count::Refusals, limits.max_rejection_rate.as_ref());
        }
        too_many.then(|| self.limited(Refusal::TooManyRefused))
    }

    fn peers(&self) -> &Peers {
        self.process.peers.at(self.door)
    }

    fn takes(&self, scope: Scope, what: Count, rate: Option<&Throttle>) -> bool {
        let peer = (scope, self.peer);
        rate.is_none_or(|rate| self.peers().take(peer, what, &rate.spec(), mono_nanos()))
    }

    fn limited(&self, refusal: Refusal) -> Refusal {
        match self.door {
            Door::Smtp(_) => self.metrics.peers_limited_smtp.inc(),
            Door::Http(_) => self.metrics.peers_limited_http.inc(),
        }
        refusal
    }
}
