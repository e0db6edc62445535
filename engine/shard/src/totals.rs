//! One shard's numbers, for the metrics of all.

use crate::certificates;
use crate::queue_totals;
use crate::state::Shard;
use ringmta_events::history::{Now, Sample};
use ringmta_events::metrics::Snapshot;
use ringmta_io as io;
use ringmta_queue::quota::health::Fault;
use ringmta_queue::quota::lease::Registry;

impl Shard {
    /// What this shard has counted, for the history; what it has counted since the last time begins anew.
    pub fn sample(&self) -> Sample {
        let metrics = &self.metrics;
        let events = self.events.queued_count();
        let backlog: u64 = self.events.hooks().iter().map(|hook| hook.log.backlog.get()).sum();
        let ready = self.queues.ready.borrow().values().map(|ready| ready.len() as u64).sum();
        let (_, _, spool) = self.spool.segments.totals();
        Sample {
            accepted: metrics.received_smtp.get() + metrics.received_http.get(),
            rejected: metrics.rejections.get(),
            now: Now {
                queued: self.queues.total().saturating_sub(events) as u64,
                ready,
                waiting: self.queues.timers.borrow().len() as u64,
                sessions: metrics.sessions.get(),
                connections: metrics.egress_connections.get(),
                resident: self.queues.resident.get() as u64,
                spool,
                events: backlog,
            },
            part: metrics.recent.take(),
            accept_micros: metrics.accept_micros.borrow().clone(),
            delivery_micros: metrics.delivery_micros.borrow().clone(),
        }
    }

    /// Counts this shard's part of the metrics.
    pub fn snapshot(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        self.metrics.add_to(&mut sum);
        queue_totals::add_to(self, &mut sum);
        let deferred = self.queues.timers.borrow().len() as u64;
        sum.gauge("scheduled_count_total", "", deferred);
        sum.gauge("scheduled_queue_count", "", self.queues.scheduled.borrow().len() as u64);
        // Events of hooks are no mail, wherever they wait.
        let events = self.events.queued_count();
        let mail = self.queues.total().saturating_sub(events);
        sum.gauge("message_count", "", mail as u64);
        sum.gauge("message_data_resident_bytes", "", self.queues.resident.get() as u64);
        let (segments, _, live_bytes) = self.spool.segments.totals();
        sum.gauge("spool_segments", "", segments as u64);
        sum.gauge("spool_live_bytes", "", live_bytes);
        sum.count("spool_flush_total", "", self.spool.commits.flushes.get());
        sum.count("spool_committed_total", "", self.spool.commits.committed.get());
        sum.count("journal_flush_total", "", self.spool.journal.writes.get());
        let lost = self.events.logs().lost() + self.accounting.as_ref().map_or(0, |log| log.lost());
        sum.count("log_lines_lost_total", "", lost);
        let (commits, journal) = (&self.spool.commits, &self.spool.journal);
        sum.timing("spool_write_latency", Vec::new(), &commits.micros.borrow());
        sum.timing("journal_write_latency", Vec::new(), &journal.micros.borrow());
        if self.index == 0 {
            // Counted for the process.
            sum.count("shard_stall_total", "", io::stalls());
            let of_accounting = self.accounting.as_ref().map_or(0, |log| log.removed());
            let removed = self.events.logs().removed() + of_accounting;
            sum.count("log_segments_removed_total", "", removed);
            certificates::add_to(&self.process, &mut sum);
            if let Some(spans) = &self.process.spans {
                sum.count("trace_spans_dropped_total", "", spans.dropped());
            }
        }
        self.context.policy.loads.add_to(&mut sum);
        sum.gauge("work_list_count", "", self.queues.to_end.len() as u64);
        for hook in self.events.hooks() {
            let of = || vec![("logger", hook.name.clone())];
            sum.gauge_by("log_hook_backlog_count", of(), hook.log.backlog.get());
            sum.gauge_by("log_hook_queued_count", of(), hook.queued_count() as u64);
            sum.gauge_by("log_hook_backlog_bytes", of(), hook.log.waiting_bytes());
            sum.gauge_by("log_hook_backlog_limit_bytes", of(), hook.log.limit());
            let is_nearly_full = u64::from(hook.log.is_nearly_full.get());
            sum.gauge_by("log_hook_backlog_nearly_full", of(), is_nearly_full);
            let lost = hook.log.dropped.get() + hook.too_old.get();
            sum.count_by("log_hook_dropped_total", of(), lost);
            let aside = hook.dead_letters.count.get();
            sum.count_by("log_hook_dead_letters_total", of(), aside);
            hook.times.add_to("log_hook_post_latency", &of(), &mut sum);
        }
        sum
    }
}

/// Adds how the sources of the process do to `sum`.
pub fn sources(registry: &Registry, sum: &mut Snapshot, now_millis: u64) {
    registry.each_source(|source, health| {
        for fault in Fault::ALL {
            let tally = health.tally(fault, now_millis);
            if tally.failed == 0 {
                continue;
            }
            let labels =
                |kind| vec![("source", source.to_string()), (kind, fault.name().to_string())];
            sum.count_by("egress_source_connection_failures_total", labels("kind"), tally.failed);
            let (total, now) = (tally.suspensions, u64::from(tally.suspended));
            sum.count_by("egress_source_health_suspensions_total", labels("reason"), total);
            sum.gauge_by("egress_source_health_suspended", labels("reason"), now);
        }
    });
}
