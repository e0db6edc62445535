//! What a sink counts. One set per worker, written by it alone, read by the reporter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count.
    pub fn add(&self, amount: u64) {
        // With one writer there is nothing to lose between load and store, and no locked instruction to pay.
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of a worker.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open now.
    pub open: Counter,
    /// Connections turned away by the limit.
    pub turned_away: Counter,
    /// Messages taken.
    pub messages: Counter,
    /// Recipients of messages taken.
    pub recipients: Counter,
    /// Bytes of messages taken, as on the wire.
    pub bytes: Counter,
    /// Refusals for now.
    pub temporary: Counter,
    /// Refusals for good.
    pub permanent: Counter,
    /// Answers of 421 with the connection closed.
    pub closed_421: Counter,
    /// Connections dropped without a reply.
    pub dropped: Counter,
    /// Commands that made no sense.
    pub bad_commands: Counter,
    /// Connections that broke, or ended amid a message.
    pub broken: Counter,
    /// Connections closed for their silence.
    pub timeouts: Counter,
}
