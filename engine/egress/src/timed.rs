//! A step of opening a connection, timed: for the metrics, and for the message that waits for it, where that is followed.

use ringmta_events::metrics::Step;
use ringmta_events::spans::trail;
use ringmta_events::spans::SpanKind;
use ringmta_io::mono_nanos;
use ringmta_shard::state::Shard;
use std::future::Future;
use std::net::SocketAddr;

/// Takes a step towards `to`, a host and its address; `why` puts its failure into words. One that is given up before its end
/// is not counted: nobody knows how long it would have taken.
///
/// # Errors
/// Those of `work`.
pub async fn timed<T, E>(
    shard: &Shard,
    (step, name): (Step, &'static str),
    to: (&str, SocketAddr),
    work: impl Future<Output = Result<T, E>>,
    why: impl Fn(&E) -> String,
) -> Result<T, E> {
    let (began, part) = (mono_nanos(), trail::begin());
    let done = work.await;
    shard.metrics.took(step, done.is_ok(), (mono_nanos() - began) / 1000);
    if let Some(part) = part {
        let (host, addr) = to;
        let attributes = vec![
            ("server.address", host.into()),
            ("network.peer.address", addr.to_string().into()),
        ];
        part.end((name, SpanKind::Client), attributes, done.as_ref().err().map(why));
    }
    done
}
