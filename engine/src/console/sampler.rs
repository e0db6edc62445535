//! Makes the history: every ten seconds the first shard asks all of them what they have counted.

use crate::control::ask;
use ringmta_events::history::STEP_SECS;
use ringmta_io::{self as io, unix_nanos};
use ringmta_shard::mesh::Letter;
use ringmta_shard::state::Shard;
use std::rc::Rc;
use std::time::Duration;

/// Asks for as long as the shard lives.
pub async fn run(shard: Rc<Shard>) {
    loop {
        // At the same instants as any other engine, so that two plots can be laid beside each other.
        const STEP: u64 = STEP_SECS * 1_000_000_000;
        io::sleep(Duration::from_nanos(STEP - unix_nanos() % STEP)).await;
        if shard.context.stopping.get() {
            return;
        }
        let answers = ask::all(&shard.process, Letter::Sample).await;
        let samples = answers.into_iter().map(|(_, sample)| sample.map(|sample| *sample));
        shard.process.console.history().add(now_secs(), samples.collect());
    }
}

/// The wall clock, unix seconds.
pub fn now_secs() -> u64 {
    unix_nanos() / 1_000_000_000
}
