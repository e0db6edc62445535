//! What a configuration allows at most in steady state: the constraint functions of `kumo`, and `constraints` of a ready
//! queue. Each ceiling names the option it comes from.
//!
//! A limit shared with other paths (the `additional_*` maps) counts in full: it may be tighter while others use it. Bursts
//! do not count: they pass.

use std::fmt::Write;

use serde_json::{json, Map, Value};

use crate::egress_path::EgressPath;
use crate::queue::QueueConfig;
use crate::rate::Throttle;

/// Where a ceiling comes from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// The option of this axis.
    Primary,
    /// An entry of the `additional_*` map of this axis.
    Additional(String),
    /// Deliveries per connection times new connections: more cannot leave, whatever the message rate.
    ReconnectCycling,
    /// Something outside the path, by its name.
    Other(String),
}

/// The lowest limit of one axis.
#[derive(Clone, Debug, PartialEq)]
struct Ceiling {
    /// Connections, or events per second.
    value: f64,
    source: Source,
    /// In the units of the policy.
    display: String,
}

/// The ceilings of a path, of a queue, or of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings {
    dispatchers: Option<Ceiling>,
    message_rate: Option<Ceiling>,
    /// The path's own message rate, when something else keeps it from being reached.
    declared: Option<String>,
    connection_rate: Option<Ceiling>,
    selection_rate: Option<Ceiling>,
}

fn per_second(rate: &Throttle) -> f64 {
    rate.limit as f64 / rate.period.as_secs_f64()
}

/// The rate without its burst, which says nothing about the long run.
fn steady(rate: &Throttle) -> String {
    Throttle { max_burst: None, ..*rate }.to_string()
}

fn of_rate(rate: &Throttle, source: Source) -> Ceiling {
    Ceiling { value: per_second(rate), source, display: steady(rate) }
}

/// The lower one; the first when they are equal.
fn lower(a: Option<Ceiling>, b: Option<Ceiling>) -> Option<Ceiling> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.value < a.value { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The lowest of an option and its map.
fn lowest<'a>(
    primary: Option<&Throttle>,
    additional: impl IntoIterator<Item = (&'a String, &'a Throttle)>,
) -> Option<Ceiling> {
    let own = primary.map(|rate| of_rate(rate, Source::Primary));
    let others = additional.into_iter().map(|(n, t)| of_rate(t, Source::Additional(n.clone())));
    others.fold(own, |least, next| lower(least, Some(next)))
}

fn cycling(path: &EgressPath) -> Option<Ceiling> {
    let rate = path.max_connection_rate.as_ref()?;
    let each = path.max_deliveries_per_connection;
    let product = Throttle { limit: rate.limit.saturating_mul(each as u64), ..*rate };
    Some(Ceiling {
        value: per_second(&product),
        source: Source::ReconnectCycling,
        display: format!("{each} × {} = {}", steady(rate), steady(&product)),
    })
}

impl Ceilings {
    /// What a path allows.
    pub fn of_path(path: &EgressPath) -> Ceilings {
        Ceilings::of_path_within(path, Ceilings::default())
    }

    /// What a path allows where `other` limits its mail as well: the lower of both on each axis.
    pub fn of_path_within(path: &EgressPath, other: Ceilings) -> Ceilings {
        let connections = |limit: u64, source| Ceiling {
            value: limit as f64,
            source,
            display: limit.to_string(),
        };
        let own = Some(connections(path.connection_limit.limit, Source::Primary));
        let dispatchers = path.additional_connection_limits.iter().fold(own, |least, (n, l)| {
            lower(least, Some(connections(l.limit, Source::Additional(n.clone()))))
        });
        let rates = lowest(path.max_message_rate.as_ref(), &path.additional_message_rate_throttles);
        let message_rate = lower(lower(rates, cycling(path)), other.message_rate);
        let reached = message_rate.as_ref().is_some_and(|rate| rate.source == Source::Primary);
        let selection =
            lowest(path.source_selection_rate.as_ref(), &path.additional_source_selection_rates);
        Ceilings {
            dispatchers: lower(dispatchers, other.dispatchers),
            declared: path.max_message_rate.as_ref().filter(|_| !reached).map(steady),
            message_rate,
            connection_rate: lower(
                lowest(path.max_connection_rate.as_ref(), []),
                other.connection_rate,
            ),
            selection_rate: lower(selection, other.selection_rate),
        }
    }

    /// What a scheduled queue lets into its ready queue.
    pub fn of_queue(queue: &QueueConfig) -> Ceilings {
        let name = "scheduled queue max_message_rate";
        let rate = queue.max_message_rate.as_ref();
        Ceilings {
            message_rate: rate.map(|rate| of_rate(rate, Source::Other(name.into()))),
            ..Ceilings::default()
        }
    }

    /// The table of the policy and of the API.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (name, ceiling) in self.axes() {
            out.insert(name.into(), ceiling.map_or(Value::Null, Ceiling::to_json));
        }
        out.insert("max_message_rate_declared".into(), json!(self.declared));
        Value::Object(out)
    }

    fn axes(&self) -> [(&'static str, Option<&Ceiling>); 4] {
        [
            ("max_concurrent_dispatchers", self.dispatchers.as_ref()),
            ("max_message_rate", self.message_rate.as_ref()),
            ("max_connection_rate", self.connection_rate.as_ref()),
            ("max_source_selection_rate", self.selection_rate.as_ref()),
        ]
    }

    /// Reads what [`Ceilings::to_json`] wrote, perhaps changed by a policy. The error names the field.
    pub fn from_json(v: &Value) -> Result<Ceilings, String> {
        let fields = v.as_object().ok_or("invalid type: expected a table of constraints")?;
        let known = Ceilings::default().axes().map(|(name, _)| name);
        for name in fields.keys() {
            if !known.contains(&name.as_str()) && name != "max_message_rate_declared" {
                return Err(format!("unknown field `{name}`, expected one of the constraints"));
            }
        }
        let one = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => Ceiling::from_json(v).map(Some).map_err(|e| format!("`{name}`: {e}")),
        };
        let declared = match fields.get("max_message_rate_declared") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                return Err("`max_message_rate_declared`: invalid type: expected a string".into())
            }
        };
        Ok(Ceilings {
            dispatchers: one(known[0])?,
            message_rate: one(known[1])?,
            declared,
            connection_rate: one(known[2])?,
            selection_rate: one(known[3])?,
        })
    }

    /// The ceilings as lines for people.
    pub fn text(&self) -> String {
        const LABELS: [(&str, &str, &str); 4] = [
            ("concurrent dispatchers:", "connection_limit", "additional_connection_limits"),
            ("message rate:", "max_message_rate", "additional_message_rate_throttles"),
            ("connection rate:", "max_connection_rate", "max_connection_rate"),
            (
                "source selection rate:",
                "source_selection_rate",
                "additional_source_selection_rates",
            ),
        ];
        let mut out = String::from("ceilings:\n");
        for ((label, option, map), (name, ceiling)) in LABELS.into_iter().zip(self.axes()) {
            let Some(ceiling) = ceiling else { continue };
            let source = match &ceiling.source {
                Source::Primary => option.to_owned(),
                Source::Additional(entry) => format!("{map}[\"{entry}\"]"),
                Source::ReconnectCycling => {
                    "max_deliveries_per_connection × max_connection_rate".into()
                }
                Source::Other(what) => what.clone(),
            };
            let _ = writeln!(out, "  {label:<24}{}\n    source: {source}", ceiling.display);
            if let Some(rate) = self.declared.as_ref().filter(|_| name == "max_message_rate") {
                let _ = writeln!(
                    out,
                    "    declared: max_message_rate = {rate} ← effectively unreachable"
                );
            }
        }
        out
    }
}

impl Ceiling {
    fn to_json(&self) -> Value {
        let source = match &self.source {
            Source::Primary => json!({"kind": "primary"}),
            Source::Additional(name) => json!({"kind": "additional", "name": name}),
            Source::ReconnectCycling => json!({"kind": "reconnect_cycling"}),
            Source::Other(name) => json!({"kind": "other", "name": name}),
        };
        // Whole numbers stay whole: a count of connections is read as one.
        let value = match self.value.fract() == 0.0 && self.value < u32::MAX as f64 {
            true => json!(self.value as u64),
            false => json!(self.value),
        };
        json!({"value": value, "source": source, "display": self.display})
    }

    fn from_json(v: &Value) -> Result<Ceiling, String> {
        let text = |v: Option<&Value>, name: &str| {
            let text = v.and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| format!("missing field `{name}` (a string)"))
        };
        let value = v.get("value").and_then(Value::as_f64).filter(|v| *v >= 0.0);
        let source = v.get("source").ok_or("missing field `source` (a table)")?;
        Ok(Ceiling {
            value: value.ok_or("missing field `value` (a number, zero or more)")?,
            source: match text(source.get("kind"), "source.kind")?.as_str() {
                "primary" => Source::Primary,
                "additional" => Source::Additional(text(source.get("name"), "source.name")?),
                "reconnect_cycling" => Source::ReconnectCycling,
                "other" => Source::Other(text(source.get("name"), "source.name")?),
                kind => {
                    return Err(format!(
                        "unknown variant `{kind}`, expected one of `primary`, `additional`, `reconnect_cycling`, `other`"
                    ))
                }
            },
            display: text(v.get("display"), "display")?,
        })
    }
}

#[cfg(test)]
mod tests;
