//! A step of opening a connection, timed for the metrics.

use ringmta_events::metrics::Step;
use ringmta_io::mono_nanos;
use ringmta_shard::state::Shard;
use std::future::Future;

/// Takes a step. One that is given up before its end is not counted: nobody knows how long it would have taken.
///
/// # Errors
/// Those of `work`.
pub async fn timed<T, E>(
    shard: &Shard,
    step: Step,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = mono_nanos();
    let done = work.await;
    shard.metrics.took(step, done.is_ok(), (mono_nanos() - began) / 1000);
    done
}
