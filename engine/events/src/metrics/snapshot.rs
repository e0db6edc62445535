//! Numbers of one or several shards, added up and written as Prometheus and as JSON.

use super::help::help;
use hdrhistogram::Histogram;
use ringmta_io::timing::{Timing, BOUNDS};
use ringmta_policy::{Latency, LATENCY_BOUNDS};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Names and values that tell the series of one metric apart.
pub type Labels = Vec<(&'static str, String)>;

fn service(of: &str) -> Labels {
    match of {
        "" => Labels::new(),
        of => vec![("service", of.to_string())],
    }
}

/// Numbers of one or several shards.
#[derive(Default, Clone)]
pub struct Snapshot {
    counters: BTreeMap<(&'static str, Labels), u64>,
    gauges: BTreeMap<(&'static str, Labels), u64>,
    histograms: BTreeMap<&'static str, Option<Histogram<u32>>>,
    timings: BTreeMap<(&'static str, Labels), Timing>,
    /// What the policy timed itself, by its labels; not of one shard.
    pub user_latencies: BTreeMap<String, Latency>,
}

impl Snapshot {
    /// Adds to a counter with the label `service` (no label when it is empty).
    pub fn count(&mut self, name: &'static str, of: &str, value: u64) {
        self.count_by(name, service(of), value);
    }
    /// Adds to a counter with other labels.
    pub fn count_by(&mut self, name: &'static str, labels: Labels, value: u64) {
        *self.counters.entry((name, labels)).or_default() += value;
    }
    /// Adds to a gauge, likewise.
    pub fn gauge(&mut self, name: &'static str, of: &str, value: u64) {
        self.gauge_by(name, service(of), value);
    }
    /// Adds to a gauge with other labels.
    pub fn gauge_by(&mut self, name: &'static str, labels: Labels, value: u64) {
        *self.gauges.entry((name, labels)).or_default() += value;
    }
    /// Adds to a histogram with labels.
    pub fn timing(&mut self, name: &'static str, labels: Labels, timing: &Timing) {
        self.timings.entry((name, labels)).or_default().add(timing);
    }
    pub(super) fn histogram(&mut self, name: &'static str, values: &Histogram<u32>) {
        match self.histograms.entry(name).or_default() {
            // Both were made with the same bounds, so they add up.
            Some(sum) => drop(sum.add(values)),
            empty => *empty = Some(values.clone()),
        }
    }
    /// Adds all of `other`.
    pub fn add(&mut self, other: &Snapshot) {
        for ((name, labels), value) in &other.counters {
            self.count_by(name, labels.clone(), *value);
        }
        for ((name, labels), value) in &other.gauges {
            self.gauge_by(name, labels.clone(), *value);
        }
        for (name, values) in &other.histograms {
            if let Some(values) = values {
                self.histogram(name, values);
            }
        }
        for ((name, labels), timing) in &other.timings {
            self.timing(name, labels.clone(), timing);
        }
    }
    /// The value of a counter or gauge; 0 when it was never touched.
    pub fn value(&self, name: &'static str, of: &str) -> u64 {
        let key = (name, service(of));
        self.counters.get(&key).or_else(|| self.gauges.get(&key)).copied().unwrap_or(0)
    }

    /// The Prometheus text form, of the metrics whose name starts with `prefix`.
    pub fn prometheus(&self, prefix: &str) -> String {
        let mut out = String::new();
        for (kind, values) in [("counter", &self.counters), ("gauge", &self.gauges)] {
            let mut last = "";
            for ((name, labels), value) in values.iter().filter(|((n, _), _)| n.starts_with(prefix))
            {
                if std::mem::replace(&mut last, name) != *name {
                    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", help(name));
                }
                let _ = match labels.is_empty() {
                    true => writeln!(out, "{name} {value}"),
                    false => writeln!(out, "{name}{{{}}} {value}", shown(labels)),
                };
            }
        }
        for (name, values) in self.histograms.iter().filter(|(n, _)| n.starts_with(prefix)) {
            let Some(values) = values else { continue };
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} histogram", help(name));
            for bound in BOUNDS {
                let count = values.count_between(0, bound);
                let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {count}", bound as f64 / 1e6);
            }
            let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", values.len());
            let _ = writeln!(out, "{name}_sum {}", values.mean() * values.len() as f64 / 1e6);
            let _ = writeln!(out, "{name}_count {}", values.len());
        }
        self.timings_text(prefix, &mut out);
        if USER_LATENCY.starts_with(prefix) {
            user_text(&self.user_latencies, &mut out);
        }
        out
    }

    fn timings_text(&self, prefix: &str, out: &mut String) {
        let mut last = "";
        for ((name, labels), of) in self.timings.iter().filter(|((n, _), _)| n.starts_with(prefix))
        {
            if std::mem::replace(&mut last, name) != *name {
                let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} histogram", help(name));
            }
            let labels = shown(labels);
            let and = if labels.is_empty() { "" } else { "," };
            for (bound, count) in BOUNDS.iter().zip(of.buckets) {
                let bound = *bound as f64 / 1e6;
                let _ = writeln!(out, "{name}_bucket{{{labels}{and}le=\"{bound}\"}} {count}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels}{and}le=\"+Inf\"}} {}", of.count);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", of.sum_micros as f64 / 1e6);
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", of.count);
        }
    }

    /// The JSON form: name to help, type and value.
    pub fn json(&self, prefix: &str) -> serde_json::Value {
        let mut out = serde_json::Map::new();
        for (kind, values) in [("counter", &self.counters), ("gauge", &self.gauges)] {
            for ((name, labels), value) in values.iter().filter(|((n, _), _)| n.starts_with(prefix))
            {
                let entry = out.entry(*name).or_insert_with(
                    || serde_json::json!({"help": help(name), "type": kind, "value": {}}),
                );
                let place = labels
                    .iter()
                    .fold(&mut entry["value"], |place, (label, of)| &mut place[label][of.as_str()]);
                *place = (*value).into();
            }
        }
        for (name, values) in self.histograms.iter().filter(|(n, _)| n.starts_with(prefix)) {
            let Some(values) = values else { continue };
            let buckets: Vec<(f64, u64)> =
                BOUNDS.iter().map(|b| (*b as f64 / 1e6, values.count_between(0, *b))).collect();
            let mean = values.mean() / 1e6;
            out.insert(
                (*name).into(),
                serde_json::json!({"help": help(name), "type": "histogram", "value": {
                    "avg": mean, "bucket": buckets, "count": values.len(),
                    "sum": mean * values.len() as f64,
                }}),
            );
        }
        for ((name, labels), of) in self.timings.iter().filter(|((n, _), _)| n.starts_with(prefix))
        {
            let entry = out.entry(*name).or_insert_with(
                || serde_json::json!({"help": help(name), "type": "histogram", "value": {}}),
            );
            let place = labels
                .iter()
                .fold(&mut entry["value"], |place, (label, of)| &mut place[label][of.as_str()]);
            let buckets: Vec<(f64, u64)> =
                BOUNDS.iter().zip(of.buckets).map(|(b, n)| (*b as f64 / 1e6, n)).collect();
            let sum = of.sum_micros as f64 / 1e6;
            let avg = sum / of.count.max(1) as f64;
            *place =
                serde_json::json!({"avg": avg, "bucket": buckets, "count": of.count, "sum": sum});
        }
        if USER_LATENCY.starts_with(prefix) && !self.user_latencies.is_empty() {
            let by_label = self.user_latencies.iter().map(|(label, l)| {
                let buckets: Vec<(f64, u64)> = LATENCY_BOUNDS.into_iter().zip(l.buckets).collect();
                let avg = l.sum / l.count.max(1) as f64;
                let value = serde_json::json!({"avg": avg, "bucket": buckets, "count": l.count, "sum": l.sum});
                (label.clone(), value)
            });
            let by_label: serde_json::Map<String, serde_json::Value> = by_label.collect();
            let whole = serde_json::json!({"help": USER_HELP, "type": "histogram", "value": {"label": by_label}});
            out.insert(USER_LATENCY.into(), whole);
        }
        out.into()
    }
}

const USER_LATENCY: &str = "user_lua_latency";
const USER_HELP: &str = "how long something took that the policy timed, seconds";

/// The histograms of `kumo.time.start_timer` in Prometheus' text form.
fn user_text(all: &BTreeMap<String, Latency>, out: &mut String) {
    if !all.is_empty() {
        let _ = writeln!(out, "# HELP {USER_LATENCY} {USER_HELP}\n# TYPE {USER_LATENCY} histogram");
    }
    for (label, l) in all {
        let label = escape(label);
        for (bound, n) in LATENCY_BOUNDS.iter().zip(l.buckets) {
            let _ = writeln!(out, "{USER_LATENCY}_bucket{{label=\"{label}\",le=\"{bound}\"}} {n}");
        }
        let _ = writeln!(out, "{USER_LATENCY}_bucket{{label=\"{label}\",le=\"+Inf\"}} {}", l.count);
        let _ = writeln!(out, "{USER_LATENCY}_sum{{label=\"{label}\"}} {}", l.sum);
        let _ = writeln!(out, "{USER_LATENCY}_count{{label=\"{label}\"}} {}", l.count);
    }
}

/// Labels as they stand between braces.
fn shown(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(label, of)| format!("{label}=\"{}\"", escape(of)));
    pairs.collect::<Vec<_>>().join(",")
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
