//! What the environment says of traces, by the names of the OpenTelemetry specification. What is asked for and cannot be done
//! is refused at the start.

use std::time::Duration;

/// Longest a request to the collector takes, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where spans go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// URL of the collector.
    pub endpoint: String,
    /// Headers of each request.
    pub headers: Vec<(String, String)>,
    /// What all spans are of: `service.name` and what else is said.
    pub resource: Vec<(String, String)>,
    /// Longest a request takes.
    pub timeout: Duration,
    /// Part of the traces that begin here which is recorded.
    ratio: f64,
    /// A trace that began elsewhere is recorded when it is there.
    pub(super) asks_parent: bool,
}

impl Settings {
    /// Reads them; none when there is no collector.
    ///
    /// # Errors
    /// Which variable is wrong, and what it may be.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
        let get = |name: &str| get(name).filter(|text| !text.trim().is_empty());
        let of_traces = |name: &str| {
            let own = get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
            own.or_else(|| get(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let exporter = get("OTEL_TRACES_EXPORTER");
        match exporter.as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return Err(format!("OTEL_TRACES_EXPORTER={other}: `otlp` or `none`")),
        }
        let base = get("OTEL_EXPORTER_OTLP_ENDPOINT");
        let base = base.map(|base| format!("{}/v1/traces", base.trim_end_matches('/')));
        let endpoint = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or(base);
        let is_off = get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Ok(None) };
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err("OTEL_EXPORTER_OTLP_ENDPOINT: a URL of http or https".into());
        }
        if let Some(protocol) = of_traces("PROTOCOL").filter(|protocol| protocol != "http/json") {
            let text = "only http/json is spoken, which collectors take on port 4318";
            return Err(format!("OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: {text}"));
        }
        let timeout = of_traces("TIMEOUT").map(|text| {
            let millis = text.parse().map_err(|_| "OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds");
            millis.map(Duration::from_millis)
        });
        let (ratio, asks_parent) =
            sampler(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG"))?;
        let mut resource = pairs(&get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let name = get("OTEL_SERVICE_NAME").map(|name| ("service.name".to_string(), name));
        if let Some(name) = name {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(name);
        } else if !resource.iter().any(|(key, _)| key == "service.name") {
            resource.push(("service.name".into(), "ringmta".into()));
        }
        let headers = pairs(&of_traces("HEADERS").unwrap_or_default());
        let timeout = timeout.transpose()?.unwrap_or(TIMEOUT);
        Ok(Some(Settings { endpoint, headers, resource, timeout, ratio, asks_parent }))
    }

    /// Whether a trace is among those that are recorded: the same everywhere for the same trace.
    pub(super) fn samples(&self, trace: u128) -> bool {
        const LOW: u128 = (1 << 56) - 1;
        ((trace & LOW) as f64) < self.ratio * LOW as f64
    }
}

/// Part of the traces, and whether a parent decides.
fn sampler(name: Option<String>, argument: Option<String>) -> Result<(f64, bool), String> {
    let ratio = match argument {
        None => 1.0,
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .ok_or_else(|| format!("OTEL_TRACES_SAMPLER_ARG={text}: a number from 0 to 1"))?,
    };
    match name.as_deref().unwrap_or("parentbased_always_on") {
        "always_on" => Ok((1.0, false)),
        "always_off" => Ok((0.0, false)),
        "traceidratio" => Ok((ratio, false)),
        "parentbased_always_on" => Ok((1.0, true)),
        "parentbased_always_off" => Ok((0.0, true)),
        "parentbased_traceidratio" => Ok((ratio, true)),
        other => Err(format!(
            "OTEL_TRACES_SAMPLER={other}: always_on, always_off, traceidratio, or one of them behind `parentbased_`"
        )),
    }
}

/// `key=value,key=value`, with percent-encoding.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}
