//! The last day of an engine in steps of ten seconds, for whoever opens the console at 3 a.m.: totals whole, and of each
//! step the names with the most mail. It is kept in memory, in a ring whose size is bounded (see [`STEPS_MAX`]).
//!
//! - this file: a step is made of what the shards counted
//! - `names` what names are called in a step · `question` what is asked of it

mod names;
mod question;

pub use question::{bins, Question};

use crate::recent::{percentiles, Answer, By, Names, Part, Tally, OTHER};
use hdrhistogram::Histogram;
use names::{Book, NameId};
use ringmta_io::Map;
use std::collections::VecDeque;

/// Seconds of a step.
pub const STEP_SECS: u64 = 10;
/// Steps that are kept: a day of them.
pub const STEPS_MAX: usize = (86_400 / STEP_SECS) as usize;
/// Names of each kind that a step keeps; the rest of its mail is under one name.
const TOP_NAMES: usize = 8;
/// Shards whose own numbers a step keeps.
const SHARDS_SHOWN: usize = 64;
/// Steps whose answers are kept: a quarter of an hour.
const ANSWER_STEPS: usize = 90;
/// Answers of each step that are kept.
const TOP_ANSWERS: usize = 60;

/// What one shard counted: totals since it began, how much there is now, and what has been since the last look.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Messages taken, ever.
    pub accepted: u64,
    /// Commands refused, ever.
    pub rejected: u64,
    /// How much there is now.
    pub now: Now,
    /// Since the last look.
    pub part: Part,
    /// Time from the final dot to its reply, microseconds, ever.
    pub accept_micros: Histogram<u32>,
    /// Age of messages at delivery, microseconds, ever.
    pub delivery_micros: Histogram<u32>,
}

/// How much there is of what comes and goes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Messages in the queues.
    pub queued: u64,
    /// Those of them that wait for a connection.
    pub ready: u64,
    /// Those that wait for their time.
    pub waiting: u64,
    /// SMTP sessions of clients.
    pub sessions: u64,
    /// Connections to next hops.
    pub connections: u64,
    /// Bytes of bodies in memory.
    pub resident: u64,
    /// Bytes of the spool in use.
    pub spool: u64,
    /// Events that hooks have not been told of.
    pub events: u64,
}

impl Now {
    fn add(&mut self, other: &Now) {
        self.queued += other.queued;
        self.ready += other.ready;
        self.waiting += other.waiting;
        self.sessions += other.sessions;
        self.connections += other.connections;
        self.resident += other.resident;
        self.spool += other.spool;
        self.events += other.events;
    }
}

/// What one shard did in a step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct OfShard {
    accepted: u32,
    delivered: u32,
}

/// One name's mail in a step.
#[derive(Debug, Clone, Copy)]
struct OfName {
    by: By,
    name: NameId,
    tally: [u32; 3],
}

/// Ten seconds.
struct Step {
    /// Its end: unix seconds by [`STEP_SECS`].
    number: u64,
    accepted: u64,
    rejected: u64,
    total: Tally,
    now: Now,
    /// Median and 99th percentile of acceptance, median, 95th and 99th of delivery, microseconds; none without mail.
    accept: Option<[u64; 2]>,
    delivery: Option<[u64; 3]>,
    shards: Box<[OfShard]>,
    names: Box<[OfName]>,
}

/// What a shard had counted at the last look.
struct Before {
    accepted: u64,
    rejected: u64,
}

/// The last day.
#[derive(Default)]
pub struct History {
    steps: VecDeque<Step>,
    book: Book,
    answers: VecDeque<(u64, Vec<(Answer, u64)>)>,
    before: Vec<Option<Before>>,
    /// Of all shards at the last look: acceptance, delivery.
    latencies: Option<(Histogram<u32>, Histogram<u32>)>,
}

impl History {
    /// Adds a step that ends at `unix_secs`, of what every shard counted; none for one that gave no answer, whose mail is
    /// in the step in which it does.
    pub fn add(&mut self, unix_secs: u64, shards: Vec<Option<Sample>>) {
        let number = unix_secs / STEP_SECS;
        // The clock may have been set back: what was after that is told no more.
        while self.steps.back().is_some_and(|last| last.number >= number) {
            self.drop_step(false);
        }
        if self.steps.len() >= STEPS_MAX {
            self.drop_step(true);
        }
        self.before.resize_with(shards.len().max(self.before.len()), || None);
        let mut sum = Sum::default();
        let mut each = Vec::with_capacity(shards.len().min(SHARDS_SHOWN));
        for (shard, sample) in shards.into_iter().enumerate() {
            let (accepted, delivered) = match sample {
                Some(sample) => sum.add(&mut self.before[shard], sample),
                None => (0, 0),
            };
            if shard < SHARDS_SHOWN {
                each.push(OfShard { accepted: small(accepted), delivered: small(delivered) });
            }
        }
        let names = self.top_names(&sum.part);
        self.keep_answers(number, std::mem::take(&mut sum.part.answers));
        let (accept, delivery) = self.since_last(sum.latencies);
        self.steps.push_back(Step {
            number,
            accepted: sum.accepted,
            rejected: sum.rejected,
            total: sum.part.total,
            now: sum.now,
            accept,
            delivery,
            shards: each.into(),
            names,
        });
    }

    fn drop_step(&mut self, oldest: bool) {
        let gone = if oldest { self.steps.pop_front() } else { self.steps.pop_back() };
        for of in gone.iter().flat_map(|step| &step.names) {
            self.book.let_go(of.name);
        }
    }

    fn top_names(&mut self, part: &Part) -> Box<[OfName]> {
        let mut out = Vec::new();
        for (by, names) in By::ALL.into_iter().zip(&part.names) {
            let (top, rest) = top_of(names);
            let rest = (rest.sum() > 0).then_some((OTHER, rest));
            for (name, tally) in top.into_iter().chain(rest) {
                let tally = [tally.delivered, tally.deferred, tally.failed].map(small);
                out.push(OfName { by, name: self.book.note(name), tally });
            }
        }
        out.into()
    }

    fn keep_answers(&mut self, number: u64, answers: Map<Answer, u64>) {
        let mut list: Vec<_> = answers.into_iter().collect();
        list.sort_unstable_by(|(_, a), (_, b)| b.cmp(a));
        list.truncate(TOP_ANSWERS);
        let is_kept = |at: u64| at < number && number - at < ANSWER_STEPS as u64;
        self.answers.retain(|(at, _)| is_kept(*at));
        self.answers.push_back((number, list));
    }

    fn since_last(
        &mut self,
        now: Option<(Histogram<u32>, Histogram<u32>)>,
    ) -> (Option<[u64; 2]>, Option<[u64; 3]>) {
        let Some(now) = now else { return (None, None) };
        let before = self.latencies.replace(now.clone());
        let (accept, delivery) = match &before {
            Some((accept, delivery)) => (Some(accept), Some(delivery)),
            None => (None, None),
        };
        let accept = percentiles(&now.0, accept, &[0.5, 0.99]);
        let delivery = percentiles(&now.1, delivery, &[0.5, 0.95, 0.99]);
        (accept.and_then(|of| of.try_into().ok()), delivery.and_then(|of| of.try_into().ok()))
    }
}

/// What the shards counted, added up.
#[derive(Default)]
struct Sum {
    accepted: u64,
    rejected: u64,
    now: Now,
    part: Part,
    latencies: Option<(Histogram<u32>, Histogram<u32>)>,
}

impl Sum {
    /// Adds a shard's; what it accepted and delivered since the last look.
    fn add(&mut self, before: &mut Option<Before>, sample: Sample) -> (u64, u64) {
        let Sample { accepted, rejected, now, part, accept_micros, delivery_micros } = sample;
        let last = before.replace(Before { accepted, rejected });
        let last = last.unwrap_or(Before { accepted: 0, rejected: 0 });
        let accepted = accepted.saturating_sub(last.accepted);
        self.accepted += accepted;
        self.rejected += rejected.saturating_sub(last.rejected);
        self.now.add(&now);
        let delivered = part.total.delivered;
        self.part.total.add(&part.total);
        for (sum, names) in self.part.names.iter_mut().zip(part.names) {
            for (name, tally) in names {
                sum.entry(name).or_default().add(&tally);
            }
        }
        for (answer, count) in part.answers {
            *self.part.answers.entry(answer).or_default() += count;
        }
        match &mut self.latencies {
            // (All have the same bounds, so they add up.)
            Some((accept, delivery)) => {
                let _ = accept.add(&accept_micros);
                let _ = delivery.add(&delivery_micros);
            }
            empty => *empty = Some((accept_micros, delivery_micros)),
        }
        (accepted, delivered)
    }
}

/// The names with the most mail, and the rest of it.
fn top_of(names: &Names) -> (Vec<(&str, Tally)>, Tally) {
    let mut rest = names.get(OTHER).copied().unwrap_or_default();
    let mut list: Vec<(&str, Tally)> = names
        .iter()
        .filter(|(name, _)| &***name != OTHER)
        .map(|(name, tally)| (&**name, *tally))
        .collect();
    list.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.sum().cmp(&of_a.sum()).then(a.cmp(b)));
    for (_, tally) in list.iter().skip(TOP_NAMES) {
        rest.add(tally);
    }
    list.truncate(TOP_NAMES);
    (list, rest)
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
