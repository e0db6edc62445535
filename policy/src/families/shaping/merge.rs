//! Sections into layers: default, provider, site, domain; then the same for the source.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{digest, SHA256};
use serde_json::Value as Json;

use super::options::{Findings, Map, ShapingOptions};
use super::read::{Match, ProviderSection, Section, ShapingFile};
use super::rules::{response_text, Rule};

/// Where the mail of a domain goes, as looked up while loading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Site {
    pub name: String,
    pub hosts: Vec<String>,
}

/// Merged data.
#[derive(Debug, Default)]
pub struct Shaping {
    default: Section,
    by_site: HashMap<String, Section>,
    by_domain: HashMap<String, Section>,
    providers: Vec<(String, ProviderSection)>,
    /// What loading found.
    pub findings: Findings,
    hash: String,
}

/// Puts files together in order.
pub(crate) struct Builder<'a> {
    pub options: &'a ShapingOptions,
    pub sites: &'a HashMap<String, Result<Site, String>>,
}

impl Builder<'_> {
    pub fn build(&self, files: Vec<ShapingFile>, findings: Findings) -> Shaping {
        let mut out = Shaping { findings, ..Shaping::default() };
        let mut text = Vec::new();
        for file in &files {
            text.push(format!("{file:?}"));
        }
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for file in files {
            for (domain, section) in file.domains {
                self.place(&mut out, &mut owners, domain, section);
            }
            for (name, provider) in file.providers {
                match out.providers.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, known)) => {
                        if provider.section.replace {
                            *known = provider;
                            continue;
                        }
                        known.matches.extend(provider.matches);
                        known.limits_from.0.extend(provider.limits_from.0);
                        merge_map(&mut known.limits, provider.limits);
                        merge(&mut known.section, provider.section);
                    }
                    None => out.providers.push((name, provider)),
                }
            }
        }
        let mut sites: Vec<_> =
            self.sites.iter().filter_map(|(d, s)| s.as_ref().ok().map(|s| (d, &s.name))).collect();
        sites.sort();
        text.push(format!("{sites:?}"));
        let digest = digest(&SHA256, text.concat().as_bytes());
        out.hash = data_encoding::HEXLOWER.encode(digest.as_ref());
        out
    }

    fn place(
        &self,
        out: &mut Shaping,
        owners: &mut BTreeMap<String, String>,
        domain: String,
        section: Section,
    ) {
        if domain == "default" {
            return merge(&mut out.default, section);
        }
        let known = section.rollup.then(|| self.sites.get(&domain)).flatten();
        let site = match known {
            Some(Ok(site)) if site.hosts.is_empty() => {
                let text = format!("`{domain}` takes no mail (null MX)");
                out.findings.note(self.options.null_mx, text);
                None
            }
            Some(Ok(site)) => Some(site),
            Some(Err(why)) => {
                out.findings.note(self.options.dns_fail, format!("`{domain}`: MX: {why}"));
                None
            }
            None => None,
        };
        // Without a site the section still holds for the domain itself.
        let Some(site) = site else {
            return merge(out.by_domain.entry(domain).or_default(), section);
        };
        if let Some(other) = owners.insert(site.name.clone(), domain.clone()) {
            if other != domain {
                let text = format!("`{domain}` and `{other}` have the same site {}", site.name);
                out.findings.note(self.options.aliased_site, text);
            }
        }
        let of_site: Vec<&str> = out
            .providers
            .iter()
            .filter(|(_, p)| p.holds(&domain, &site.name))
            .map(|(n, _)| n.as_str())
            .collect();
        if of_site.len() > 1 {
            let text =
                format!("`{domain}` is matched by several providers: {}", of_site.join(", "));
            out.findings.note(self.options.provider_overlap, text);
        }
        merge(out.by_site.entry(site.name.clone()).or_default(), section);
    }
}

fn merge(into: &mut Section, from: Section) {
    if from.replace {
        *into = from;
        return;
    }
    merge_map(&mut into.params, from.params);
    for (source, params) in from.sources {
        merge_map(into.sources.entry(source).or_default(), params);
    }
    into.from.0.extend(from.from.0);
    for (source, from) in from.sources_from {
        into.sources_from.entry(source).or_default().0.extend(from.0);
    }
    into.rules.extend(from.rules);
}

/// Later values win; tables are merged key by key.
fn merge_map(into: &mut Map, from: Map) {
    for (k, v) in from {
        match (into.get_mut(&k), v) {
            (Some(Json::Object(old)), Json::Object(new)) => merge_map(old, new),
            (_, v) => {
                into.insert(k, v);
            }
        }
    }
}

impl ProviderSection {
    fn holds(&self, domain: &str, site: &str) -> bool {
        self.matches.iter().any(|m| match m {
            Match::MxSuffix(suffix) => hosts_end_with(site, suffix),
            Match::DomainSuffix(suffix) => domain.ends_with(suffix.as_str()),
            Match::HostName(name) => site == name || domain == name,
        })
    }
}

/// Whether every host behind a site name ends with the suffix. A site name ends with what its hosts have in common, so that
/// is compared; alternatives inside the suffix are tried one by one.
fn hosts_end_with(site: &str, suffix: &str) -> bool {
    let mut wanted = suffix.trim_start_matches('.').rsplit('.');
    let mut labels = site.rsplit('.');
    let whole_label = suffix.starts_with('.');
    loop {
        let Some(want) = wanted.next() else { return true };
        let Some(have) = labels.next() else { return false };
        let last = wanted.clone().next().is_none();
        let fits = |label: &str| match last && !whole_label {
            true => label.ends_with(want),
            false => label == want,
        };
        let inner = have.strip_prefix('(').and_then(|h| h.strip_suffix(')'));
        let all = match inner {
            Some(many) => many.split('|').all(fits),
            None => !have.ends_with(")?") && fits(have),
        };
        if !all {
            return false;
        }
    }
}

impl Shaping {
    /// The layers that apply to a path, most general first.
    fn layers<'a>(&'a self, domain: &'a str, site: &'a str) -> Vec<&'a Section> {
        let mut layers = vec![&self.default];
        layers.extend(self.of_providers(domain, site).map(|(_, p)| &p.section));
        layers.extend(self.by_site.get(site));
        layers.extend(self.by_domain.get(domain));
        layers
    }

    fn of_providers<'a>(
        &'a self,
        domain: &'a str,
        site: &'a str,
    ) -> impl Iterator<Item = &'a (String, ProviderSection)> {
        self.providers.iter().filter(move |(_, p)| p.holds(domain, site))
    }

    /// The options of a path.
    pub fn path_config(&self, domain: &str, source: &str, site: &str) -> Map {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let mut params = Map::new();
        let layers = self.layers(&domain, site);
        for layer in &layers {
            merge_map(&mut params, layer.params.clone());
        }
        for layer in &layers {
            if let Some(own) = layer.sources.get(source) {
                merge_map(&mut params, own.clone());
            }
        }
        for (name, provider) in self.of_providers(&domain, site) {
            params.entry("provider_name").or_insert_with(|| name.as_str().into());
            for (limit, value) in &provider.limits {
                let shared = match limit.as_str() {
                    "connection_limit" => "additional_connection_limits",
                    "max_message_rate" => "additional_message_rate_throttles",
                    _ => "additional_source_selection_rates",
                };
                let named = format!("shaping-provider-{name}-{source}-{limit}");
                let one = Map::from_iter([(named, value.clone())]);
                merge_map(&mut params, Map::from_iter([(shared.to_owned(), Json::Object(one))]));
            }
        }
        params
    }

    /// By option of a path, the section that has set it.
    pub fn origins(&self, domain: &str, source: &str, site: &str) -> BTreeMap<String, String> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let layers = self.layers(&domain, site);
        let general = layers.iter().flat_map(|layer| &layer.from.0);
        let own = layers.iter().filter_map(|layer| layer.sources_from.get(source));
        let own = own.flat_map(|origins| &origins.0);
        let mut out: BTreeMap<String, String> =
            general.chain(own).map(|(name, at)| (name.clone(), at.clone())).collect();
        for (name, provider) in self.of_providers(&domain, site) {
            for limit in provider.limits.keys() {
                let named = format!("shaping-provider-{name}-{source}-{limit}");
                let at = provider.limits_from.0.get(limit).cloned();
                out.extend(at.map(|at| (named, at)));
            }
        }
        out
    }

    /// The rules that a log record matches.
    pub fn match_rules(&self, record: &Json) -> Vec<Arc<Rule>> {
        let recipient = match &record["recipient"] {
            Json::Array(list) => list.first().and_then(Json::as_str),
            one => one.as_str(),
        };
        let domain = recipient.and_then(|r| r.rsplit_once('@')).map_or("", |(_, d)| d);
        let domain = domain.to_ascii_lowercase();
        let site = record["site"].as_str().unwrap_or("");
        let site = site.split_once("->").map_or(site, |(_, s)| s);
        let site = site.rsplit_once('@').map_or(site, |(s, _)| s);
        let (text, internal) = response_text(record);
        let rules = self.layers(&domain, site).into_iter().flat_map(|l| &l.rules);
        rules.filter(|r| r.matches(&text, internal)).cloned().collect()
    }

    /// Sources named in the data, with who names them.
    pub fn referenced_sources(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let sites = self.by_site.iter().chain(&self.by_domain).map(|(n, s)| (n.clone(), s));
        let providers = self.providers.iter().map(|(n, p)| (format!("provider {n}"), &p.section));
        let all = sites.chain(providers).chain([("default".to_owned(), &self.default)]);
        for (referrer, section) in all {
            for source in section.sources.keys() {
                out.entry(source.clone()).or_default().insert(referrer.clone());
            }
        }
        out
    }

    /// Changes when the data does.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_sites() {
        for (site, suffix, holds) in [
            ("(alt1|alt2)?.gmail-smtp-in.l.google.test", ".google.test", true),
            ("mx.google.test", ".google.test", true),
            ("mx.notgoogle.test", ".google.test", false),
            ("mx.notgoogle.test", "google.test", true),
            ("google.test", ".google.test", true),
            ("(mx1|mx2).(a|b).test", ".a.test", false),
            ("(a-x|b-x).host.test", "-x.host.test", true),
            ("(a)?.b.test", ".a.b.test", false),
        ] {
            assert_eq!(hosts_end_with(site, suffix), holds, "{site} {suffix}");
        }
    }
}
