//! `kumo.make_queue_config`.

use std::time::Duration;

use crate::enums::RefreshStrategy;
use crate::option_table;
use crate::plain::Plain;
use crate::protocol::Protocol;
use crate::rate::Throttle;
use crate::table::Support;

option_table! {
    /// How a scheduled queue behaves.
    pub struct QueueConfig for "kumo.make_queue_config" {
        /// Pool of sources the mail leaves from.
        egress_pool: String = "unspecified".into(),
        /// Wait before the second attempt (duration); doubles each time.
        retry_interval: Duration = Duration::from_secs(20 * 60),
        /// Longest wait between attempts (duration).
        max_retry_interval: Option<Duration> = None,
        /// Age at which a message expires (duration).
        max_age: Duration = Duration::from_secs(7 * 86_400),
        /// Rate at which messages may leave this queue.
        max_message_rate: Option<Throttle> = None,
        /// How the mail is delivered.
        protocol: Protocol = Protocol::default(),
        /// An empty queue is forgotten after this (duration).
        reap_interval: Duration = Duration::from_secs(600),
        /// The event is asked again after this (duration).
        refresh_interval: Duration = Duration::from_secs(60),
        /// What makes the event be asked again.
        refresh_strategy: RefreshStrategy = RefreshStrategy::Ttl,
        /// Queue data structure.
        strategy: Option<String> = None; Support::NoEffect("ringmta has one timer wheel per shard"),
        /// Tick of the timer wheel (duration).
        timerwheel_tick_interval: Option<Duration> = None; Support::NoEffect("ringmta has one timer wheel per shard"),
        /// Name of the mailbox provider, for limits and metrics.
        provider_name: Option<String> = None,
        /// What is dropped from memory between attempts.
        shrink_policy: Option<Plain> = None; Support::NoEffect("deferred messages always leave memory"),
    }
}

impl QueueConfig {
    /// The wait after `attempts` finished attempts (at least 1): `retry_interval` doubled each time, capped by
    /// `max_retry_interval`. Events of hooks get jitter on top (`event_delay`), mail gets none.
    pub fn delay_for_attempt(&self, attempts: u32) -> Duration {
        let doubled = self
            .retry_interval
            .saturating_mul(1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
        match self.max_retry_interval {
            Some(max) => doubled.min(max),
            None => doubled,
        }
    }
}
