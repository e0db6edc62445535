//! One shaping file: its sections, checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringmta_options::plain::Plain;
use ringmta_options::{EgressPath, Notes, OptionTable};
use serde_json::Value as Json;

use super::options::{Findings, Map};
use super::rules::Rule;

/// By option, where it was read. It is no part of what the data says, and so of its hash: it shows as nothing.
#[derive(Clone, Default)]
pub(crate) struct Origins(pub BTreeMap<String, String>);

impl std::fmt::Debug for Origins {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

/// Options and rules of a domain, or of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub params: Map,
    pub sources: BTreeMap<String, Map>,
    /// Where each option was read.
    pub from: Origins,
    /// By source, the same.
    pub sources_from: BTreeMap<String, Origins>,
    pub rules: Vec<Arc<Rule>>,
    /// The section stands for the whole site of the domain.
    pub rollup: bool,
    /// What was said before about it is forgotten.
    pub replace: bool,
}

/// Which sites belong to a provider.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Match {
    MxSuffix(String),
    DomainSuffix(String),
    HostName(String),
}

/// A provider with its own limits over all its sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderSection {
    pub section: Section,
    pub matches: Vec<Match>,
    pub limits: Map,
    /// Where the limits were read.
    pub limits_from: Origins,
}

/// A file's contents.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShapingFile {
    pub domains: Vec<(String, Section)>,
    pub providers: Vec<(String, ProviderSection)>,
}

const PROVIDER_LIMITS: [&str; 3] =
    ["provider_connection_limit", "provider_max_message_rate", "provider_source_selection_rate"];

/// Reads a file. What is wrong in it is noted and left out, so that one bad line does not stop all mail.
pub(crate) fn read(name: &str, text: &str, findings: &mut Findings) -> ShapingFile {
    let parsed: Result<Map, String> = if name.ends_with(".json") {
        serde_json::from_str(text).map_err(|e| e.to_string())
    } else {
        toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())
    };
    let mut file = ShapingFile::default();
    let top = match parsed {
        Ok(top) => top,
        Err(e) => {
            findings.errors.push(format!("{name}: {e}"));
            return file;
        }
    };
    for (domain, value) in top {
        if domain == "provider" {
            let Json::Object(providers) = value else {
                findings.errors.push(format!("{name}: `provider` is not a table"));
                continue;
            };
            for (provider, value) in providers {
                let at = format!("{name}: provider `{provider}`");
                let read = provider_section(&at, &provider, value, findings);
                file.providers.extend(read.map(|p| (provider, p)));
            }
            continue;
        }
        let at = format!("{name}: `{domain}`");
        let rollup = domain != "default" && !domain.starts_with('[');
        if let Some(map) = object(&at, value, findings) {
            let domain = domain.trim_end_matches('.').to_ascii_lowercase();
            let read = section(&at, &domain, map, rollup, findings);
            file.domains.push((domain, read));
        }
    }
    file
}

fn object(at: &str, value: Json, findings: &mut Findings) -> Option<Map> {
    match value {
        Json::Object(map) => Some(map),
        other => {
            findings.errors.push(format!("{at}: expected a table of options, got {other}"));
            None
        }
    }
}

fn section(at: &str, owner: &str, map: Map, rollup: bool, findings: &mut Findings) -> Section {
    let mut out = Section { rollup, ..Section::default() };
    for (key, value) in map {
        match (key.as_str(), value) {
            ("mx_rollup", Json::Bool(on)) => out.rollup = on && owner != "default",
            ("replace_base", Json::Bool(on)) => out.replace = on,
            ("mx_rollup" | "replace_base", other) => {
                findings.errors.push(format!("{at}: {key}: expected a boolean, got {other}"));
            }
            ("automation", value) => {
                let list = match value {
                    Json::Array(list) => list,
                    one => vec![one],
                };
                for (n, rule) in list.iter().enumerate() {
                    match Rule::read(owner, rule) {
                        Ok(rule) => out.rules.push(Arc::new(rule)),
                        Err(e) => {
                            findings.errors.push(format!("{at}: automation rule {}: {e}", n + 1))
                        }
                    }
                }
            }
            ("sources", value) => {
                for (source, value) in object(at, value, findings).unwrap_or_default() {
                    let at = format!("{at}: source `{source}`");
                    let map = object(&at, value, findings).unwrap_or_default();
                    let read = options(&at, map, findings);
                    out.sources_from.insert(source.clone(), origins(&at, &read));
                    out.sources.insert(source, read);
                }
            }
            (_, value) => {
                let one = Map::from_iter([(key, value)]);
                out.params.extend(options(at, one, findings));
            }
        }
    }
    out.from = origins(at, &out.params);
    out
}

/// Where each of these options was read.
fn origins(at: &str, options: &Map) -> Origins {
    Origins(options.keys().map(|name| (name.clone(), at.to_owned())).collect())
}

/// The options an egress path knows, each checked on its own.
fn options(at: &str, map: Map, findings: &mut Findings) -> Map {
    let mut good = Map::new();
    for (key, value) in map {
        let mut notes = Notes::default();
        let one = Plain::map([(key.as_str(), Plain::from_json(&value))]);
        match EgressPath::parse(&one, &mut notes) {
            Ok(_) => {
                good.insert(key, value);
            }
            Err(e) => findings.errors.push(format!("{at}: {e}")),
        }
        findings.warnings.extend(notes.warnings.iter().map(|w| format!("{at}: {w}")));
    }
    good
}

fn provider_section(
    at: &str,
    name: &str,
    value: Json,
    findings: &mut Findings,
) -> Option<ProviderSection> {
    let mut map = object(at, value, findings)?;
    let mut out = ProviderSection::default();
    match map.remove("match") {
        Some(Json::Array(list)) => {
            for one in list {
                match read_match(&one) {
                    Some(m) => out.matches.push(m),
                    None => findings.errors.push(format!(
                        "{at}: match: {one}: expected {{MXSuffix=...}}, {{DomainSuffix=...}} or {{HostName=...}}"
                    )),
                }
            }
        }
        Some(other) => findings.errors.push(format!("{at}: match: expected a list, got {other}")),
        // A later file may add to a provider without saying again what it is.
        None => {}
    }
    for key in PROVIDER_LIMITS {
        let Some(value) = map.remove(key) else { continue };
        let option = match key {
            "provider_connection_limit" => "connection_limit",
            "provider_max_message_rate" => "max_message_rate",
            _ => "source_selection_rate",
        };
        let checked = options(at, Map::from_iter([(option.to_owned(), value)]), findings);
        out.limits_from.0.extend(origins(at, &checked).0);
        out.limits.extend(checked);
    }
    out.section = section(at, name, map, false, findings);
    Some(out)
}

fn read_match(v: &Json) -> Option<Match> {
    let map = v.as_object().filter(|m| m.len() == 1)?;
    let (kind, text) = map.iter().next()?;
    let text = text.as_str()?.trim_end_matches('.').to_ascii_lowercase();
    match kind.as_str() {
        "MXSuffix" => Some(Match::MxSuffix(text)),
        "DomainSuffix" => Some(Match::DomainSuffix(text)),
        "HostName" => Some(Match::HostName(text)),
        _ => None,
    }
}
