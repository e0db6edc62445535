//! How well mail clients show a message's HTML: which of its features each of them has, by the data of caniemail.com.
//!
//! [`facts`] what was seen · [`html`] in the HTML · [`css`] in its styles · [`features`] which of it each feature of the data is about.

mod css;
mod facts;
mod features;
mod html;

use crate::api::{bad, Api};
use crate::captured::Stored;
use crate::limits::SANDBOX_HTML_CHECK_BYTES;
use features::keys;
use flate2::read::GzDecoder;
use ringmta_http::Response;
use serde::Deserialize;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::OnceLock;

/// The data of <https://www.caniemail.com> (MIT, Tilt Studio), taken out of the npm package `caniemail` (MIT) by
/// `ci/mailpit/support.mjs`.
const DATA: &[u8] = include_bytes!("../../data/caniemail.json.gz");

#[derive(Deserialize)]
struct Data {
    family: BTreeMap<String, String>,
    platform: BTreeMap<String, String>,
    features: Vec<Feature>,
}

/// Support by mail client, platform and version.
type Stats = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

#[derive(Deserialize)]
struct Feature {
    slug: String,
    title: String,
    description: Option<String>,
    url: String,
    category: String,
    tags: Vec<String>,
    keywords: Option<String>,
    stats: Stats,
    notes_by_num: BTreeMap<String, String>,
}

/// The data, read at the first check.
fn data() -> Result<&'static Data, String> {
    static READ: OnceLock<Result<Data, String>> = OnceLock::new();
    let read = || {
        let mut text = String::new();
        GzDecoder::new(DATA).read_to_string(&mut text).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    READ.get_or_init(read).as_ref().map_err(Clone::clone)
}

impl Api {
    /// `message/{id}/html-check`.
    pub(crate) async fn html_check(&self, message: &Stored) -> Result<Response, Response> {
        let html = &message.parsed.html;
        if html.is_empty() {
            return Err(bad("message does not contain HTML"));
        }
        if html.len() > SANDBOX_HTML_CHECK_BYTES {
            return Err(bad(format!(
                "HTML beyond {SANDBOX_HTML_CHECK_BYTES} bytes is not checked"
            )));
        }
        let mail = message.mail.clone();
        let work = move || check(&mail.parsed.html);
        let checked = self.helpers.run(work).await.and_then(|checked| checked);
        checked.map(|checked| Response::json(&checked)).map_err(bad)
    }
}

/// Checks HTML; blocks for a moment.
///
/// # Errors
/// When the data cannot be read.
pub(crate) fn check(html: &str) -> Result<Value, String> {
    let data = data()?;
    let facts = html::of_html(html);
    let nodes = facts.nodes.max(1);
    let mut found: Vec<(f64, Value)> = Vec::new();
    let mut tests = 0;
    let (mut partly, mut not) = (0.0_f64, 0.0_f64);
    for feature in &data.features {
        tests += 1;
        let count: usize = keys(&feature.slug).iter().map(|key| facts.count(key)).sum();
        if count == 0 {
            continue;
        }
        let (results, score) = support(data, feature);
        // A feature that all clients have is nothing to warn of.
        if score.partial + score.unsupported == 0.0 {
            continue;
        }
        let share = (count as f64 / nodes as f64).min(1.0);
        partly = partly.max(score.partial * share);
        not = not.max(score.unsupported * share);
        let weight = (score.partial + score.unsupported) * share;
        found.push((weight, warning(feature, results, &score, count)));
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let not = not.min(100.0);
    let partly = partly.min(100.0 - not);
    Ok(json!({
        "Platforms": platforms(data),
        "Total": {
            "Tests": tests,
            "Nodes": facts.nodes,
            "Supported": 100.0 - partly - not,
            "Partial": partly,
            "Unsupported": not,
        },
        "Warnings": found.into_iter().map(|(_, warning)| warning).collect::<Vec<_>>(),
    }))
}

fn warning(feature: &Feature, results: Vec<Value>, score: &Score, count: usize) -> Value {
    json!({
        "Slug": feature.slug,
        "Title": feature.title,
        "Description": feature.description.as_deref().unwrap_or(""),
        "URL": feature.url,
        "Category": feature.category,
        "Tags": feature.tags,
        "Keywords": feature.keywords.as_deref().unwrap_or(""),
        "Results": results,
        "NotesByNumber": feature.notes_by_num,
        "Score": {
            "Found": count,
            "Supported": score.supported,
            "Partial": score.partial,
            "Unsupported": score.unsupported,
        },
    })
}

/// Percentages of the clients and versions that were looked at.
struct Score {
    supported: f64,
    partial: f64,
    unsupported: f64,
}

fn support(data: &Data, feature: &Feature) -> (Vec<Value>, Score) {
    let mut results = Vec::new();
    let (mut yes, mut no, mut partly) = (0, 0, 0);
    for (family, platforms) in &feature.stats {
        for (platform, versions) in platforms {
            for (version, told) in versions {
                let (support, count) = match told.split(' ').next() {
                    Some("y") if !told.contains('#') => ("yes", &mut yes),
                    Some("n") if !told.contains('#') => ("no", &mut no),
                    // Where nobody knows, nothing is counted.
                    Some("u") => continue,
                    _ => ("partial", &mut partly),
                };
                *count += 1;
                let name = |names: &BTreeMap<String, String>, key: &str| {
                    names.get(key).cloned().unwrap_or_else(|| key.to_string())
                };
                let (client, on) = (name(&data.family, family), name(&data.platform, platform));
                results.push(json!({
                    "Name": format!("{client} {on} ({version})"),
                    "Platform": platform,
                    "Family": family,
                    "Version": version,
                    "Support": support,
                    "NoteNumber": told.rsplit_once('#').map_or("", |(_, number)| number.trim()),
                }));
            }
        }
    }
    let all = f64::from((yes + no + partly).max(1));
    let percent = |count: i32| f64::from(count) / all * 100.0;
    let score =
        Score { supported: percent(yes), partial: percent(partly), unsupported: percent(no) };
    (results, score)
}

/// Each platform with the clients on it.
fn platforms(data: &Data) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (family, platforms) in data.features.iter().flat_map(|feature| &feature.stats) {
        let client = data.family.get(family).unwrap_or(family);
        for platform in platforms.keys() {
            all.entry(platform).or_default().insert(client);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(html: &str) -> BTreeMap<String, usize> {
        let checked = check(html).unwrap();
        let warnings = checked["Warnings"].as_array().unwrap().iter();
        let found = |one: &Value| one["Score"]["Found"].as_u64().unwrap() as usize;
        warnings.map(|one| (one["Slug"].as_str().unwrap().to_string(), found(one))).collect()
    }

    #[test]
    fn features_of_html_and_styles_are_found() {
        let warned = warned(
            "<!DOCTYPE html><html><head><style>/* c */ @media (hover) { .a .b:hover > p { gap: 1vh } }\
             @font-face { font-family: x; src: url(y) } #i[x], * { color: lch(1% 2 3) !important }</style></head>\
             <body><div style='display:flex; margin: calc(1px + 2rem) var(--x)' class=a><p>x</p>\
             <video src=x></video><img src='a.webp' srcset='b 2x'><a href='mailto:x@y'>m</a>\
             <input type=checkbox></div></body></html>",
        );
        for (slug, count) in [
            ("css-display-flex", 1),
            ("css-at-media", 1),
            ("css-at-media-hover", 1),
            ("css-pseudo-class-hover", 1),
            ("css-gap", 1),
            ("css-unit-vh", 1),
            ("css-unit-rem", 1),
            ("css-unit-calc", 1),
            ("css-variables", 1),
            ("css-at-font-face", 1),
            ("css-modern-color", 1),
            ("css-important", 1),
            ("css-selector-attribute", 1),
            ("css-selector-descendant", 1),
            ("html-video", 1),
            ("html-srcset", 1),
            ("html-input-checkbox", 1),
            ("image-webp", 1),
        ] {
            assert_eq!(warned.get(slug), Some(&count), "{slug} of {warned:?}");
        }
        assert!(!warned.contains_key("css-display-grid") && !warned.contains_key("html-audio"));
    }

    #[test]
    fn scores() {
        let plain = check("<p>hello</p>").unwrap();
        assert!(plain["Total"]["Supported"].as_f64().unwrap() > 90.0, "{plain}");
        assert!(plain["Total"]["Tests"].as_u64().unwrap() > 250);
        let rich = check("<p style='display:grid;gap:1px;clip-path:x'>x</p>").unwrap();
        let total = &rich["Total"];
        assert_eq!(total["Nodes"], 1);
        let sum = ["Supported", "Partial", "Unsupported"].map(|key| total[key].as_f64().unwrap());
        assert!((sum.iter().sum::<f64>() - 100.0).abs() < 0.001, "{total}");
        assert!(sum[0] < plain["Total"]["Supported"].as_f64().unwrap());
        let first = &rich["Warnings"][0];
        assert!(!first["Results"].as_array().unwrap().is_empty() && first["URL"].is_string());
    }

    #[test]
    fn every_feature_is_looked_for() {
        for feature in &data().unwrap().features {
            assert!(!keys(&feature.slug).is_empty(), "{}", feature.slug);
        }
    }

    #[test]
    fn hostile_html_costs_no_more_than_its_length() {
        for hostile in [
            "<style>".to_string() + &"a{".repeat(100_000),
            format!("<p style=\"{}\">", "width:calc(".repeat(100_000)),
            "<style>".to_string() + &"@media (".repeat(50_000),
            "<".repeat(100_000),
            format!("<style>{}</style>", "a b>c~d+e,".repeat(50_000)),
        ] {
            check(&hostile).unwrap();
        }
    }
}
