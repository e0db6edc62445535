//! What is asked of the history, and its answer: numbers per bin, each a whole number of steps.

use super::{By, History, NameId, Step, Tally, SHARDS_SHOWN, STEP_SECS};
use ringmta_io::Map;
use serde_json::{json, Value};

/// Bins of an answer at most.
const BINS_MAX: u64 = 1_000;
/// Names of a table.
const TABLE_NAMES: usize = 20;
/// Names with numbers of their own per bin.
const SERIES_NAMES: usize = 6;
/// Answers of next hops that are told.
const ANSWERS_TOLD: usize = 100;

/// The time asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The last step, unix seconds by [`STEP_SECS`].
    pub to: u64,
    /// Steps of a bin.
    pub width: u64,
    /// Bins.
    pub bins: u64,
    /// What the numbers of single names are of.
    pub by: By,
}

/// The bins that cover `seconds` up to `now_secs` in at most `points` bins.
pub fn bins(now_secs: u64, seconds: u64, points: u64, by: By) -> Question {
    let steps = (seconds / STEP_SECS).clamp(1, super::STEPS_MAX as u64);
    let points = points.clamp(1, BINS_MAX);
    let width = steps.div_ceil(points);
    // Bins stay where they are as time goes on, so that a plot does not flicker.
    let to = (now_secs / STEP_SECS).div_ceil(width) * width;
    Question { to, width, bins: steps.div_ceil(width), by }
}

/// One bin.
#[derive(Default, Clone)]
struct Bin {
    steps: u64,
    accepted: u64,
    rejected: u64,
    total: Tally,
    now: super::Now,
    accept: [u64; 2],
    delivery: [u64; 3],
    has_latency: bool,
}

impl Bin {
    fn add(&mut self, step: &Step) {
        self.steps += 1;
        self.accepted += step.accepted;
        self.rejected += step.rejected;
        self.total.add(&step.total);
        self.now = step.now;
        // The worst step stands for its bin: percentiles cannot be added up.
        if let Some(of) = step.accept {
            std::iter::zip(&mut self.accept, of).for_each(|(most, now)| *most = now.max(*most));
        }
        if let Some(of) = step.delivery {
            std::iter::zip(&mut self.delivery, of).for_each(|(most, now)| *most = now.max(*most));
        }
        self.has_latency |= step.accept.is_some() || step.delivery.is_some();
    }

    /// A count per second; nothing where nothing is known.
    fn rate(&self, count: u64) -> Value {
        match self.steps {
            0 => Value::Null,
            steps => json!(count as f64 / (steps * STEP_SECS) as f64),
        }
    }

    fn seconds(&self, micros: u64) -> Value {
        match self.has_latency && micros > 0 {
            true => json!(micros as f64 / 1e6),
            false => Value::Null,
        }
    }

    fn gauge(&self, value: u64) -> Value {
        if self.steps == 0 {
            Value::Null
        } else {
            json!(value)
        }
    }
}

impl History {
    /// Rates per second, sizes and latencies by bin; the names with the most mail in all that time.
    pub fn answer(&self, question: &Question) -> Value {
        let Question { to, width, bins, by } = *question;
        let first = (to + 1).saturating_sub(width * bins);
        let mut out = vec![Bin::default(); bins as usize];
        let mut names: [Map<NameId, Tally>; 4] = Default::default();
        let mut shards = [(0u64, 0u64); SHARDS_SHOWN];
        let mut shard_count = 0;
        let within = self.steps.iter().filter(|step| (first..=to).contains(&step.number));
        for step in within.clone() {
            out[((step.number - first) / width) as usize].add(step);
            shard_count = shard_count.max(step.shards.len());
            for (sum, of) in shards.iter_mut().zip(&step.shards) {
                sum.0 += u64::from(of.accepted);
                sum.1 += u64::from(of.delivered);
            }
            for of in &step.names {
                names[of.by as usize].entry(of.name).or_default().add(&tally(&of.tally));
            }
        }
        let tops = names.map(|names| self.table(&names));
        let chosen: Vec<NameId> =
            tops[by as usize].iter().take(SERIES_NAMES).map(|(id, _)| *id).collect();
        let mut series = vec![vec![0u64; bins as usize]; chosen.len()];
        for step in within {
            let at = ((step.number - first) / width) as usize;
            for of in step.names.iter().filter(|of| of.by == by) {
                if let Some(index) = chosen.iter().position(|id| *id == of.name) {
                    series[index][at] += u64::from(of.tally[0]);
                }
            }
        }
        let mut answer = columns(&out);
        answer["from"] = json!(first * STEP_SECS);
        answer["step"] = json!(width * STEP_SECS);
        answer["by"] = by.as_str().into();
        for (by, top) in By::ALL.into_iter().zip(&tops) {
            answer["names"][by.as_str()] = top.iter().map(|of| self.row(of)).collect();
        }
        let series = chosen.iter().zip(&series).map(|(id, counts)| {
            let rates = counts.iter().zip(&out).map(|(count, bin)| bin.rate(*count));
            json!({"name": self.book.name(*id), "delivered": rates.collect::<Value>()})
        });
        answer["series"] = series.collect();
        let shards = shards[..shard_count].iter();
        let of_shard = |(accepted, delivered): &(u64, u64)| json!({"accepted": accepted, "delivered": delivered});
        answer["shards"] = shards.map(of_shard).collect();
        answer
    }

    /// What next hops have said in the last quarter of an hour, most often first.
    pub fn answers(&self) -> Value {
        let mut sum: Map<_, u64> = Map::default();
        for (answer, count) in self.answers.iter().flat_map(|(_, list)| list) {
            *sum.entry(answer).or_default() += count;
        }
        let mut list: Vec<_> = sum.into_iter().collect();
        list.sort_unstable_by(|(a, of_a), (b, of_b)| {
            of_b.cmp(of_a).then_with(|| (&a.who, &a.text).cmp(&(&b.who, &b.text)))
        });
        let told = list.iter().take(ANSWERS_TOLD).map(|(answer, count)| {
            json!({"who": answer.who, "code": answer.code, "text": answer.text, "count": count})
        });
        told.collect()
    }

    fn table(&self, names: &Map<NameId, Tally>) -> Vec<(NameId, Tally)> {
        let mut list: Vec<_> = names.iter().map(|(id, tally)| (*id, *tally)).collect();
        list.sort_unstable_by(|(a, of_a), (b, of_b)| {
            let by_name = || self.book.name(*a).cmp(self.book.name(*b));
            of_b.sum().cmp(&of_a.sum()).then_with(by_name)
        });
        list.truncate(TABLE_NAMES);
        list
    }

    fn row(&self, (id, tally): &(NameId, Tally)) -> Value {
        json!({
            "name": self.book.name(*id),
            "delivered": tally.delivered,
            "deferred": tally.deferred,
            "failed": tally.failed,
        })
    }
}

fn tally(counts: &[u32; 3]) -> Tally {
    let [delivered, deferred, failed] = counts.map(u64::from);
    Tally { delivered, deferred, failed }
}

/// A list of each number, one entry per bin.
fn columns(bins: &[Bin]) -> Value {
    let of = |tell: &dyn Fn(&Bin) -> Value| bins.iter().map(tell).collect::<Value>();
    json!({
        "rates": {
            "accepted": of(&|bin| bin.rate(bin.accepted)),
            "rejected": of(&|bin| bin.rate(bin.rejected)),
            "delivered": of(&|bin| bin.rate(bin.total.delivered)),
            "deferred": of(&|bin| bin.rate(bin.total.deferred)),
            "failed": of(&|bin| bin.rate(bin.total.failed)),
        },
        "now": {
            "queued": of(&|bin| bin.gauge(bin.now.queued)),
            "ready": of(&|bin| bin.gauge(bin.now.ready)),
            "waiting": of(&|bin| bin.gauge(bin.now.waiting)),
            "sessions": of(&|bin| bin.gauge(bin.now.sessions)),
            "connections": of(&|bin| bin.gauge(bin.now.connections)),
            "resident_bytes": of(&|bin| bin.gauge(bin.now.resident)),
            "spool_bytes": of(&|bin| bin.gauge(bin.now.spool)),
            "events": of(&|bin| bin.gauge(bin.now.events)),
        },
        "seconds": {
            "accept_p50": of(&|bin| bin.seconds(bin.accept[0])),
            "accept_p99": of(&|bin| bin.seconds(bin.accept[1])),
            "delivery_p50": of(&|bin| bin.seconds(bin.delivery[0])),
            "delivery_p95": of(&|bin| bin.seconds(bin.delivery[1])),
            "delivery_p99": of(&|bin| bin.seconds(bin.delivery[2])),
        },
    })
}
