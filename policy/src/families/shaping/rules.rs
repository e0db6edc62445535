//! Automation rules: what a response means for the limits of a site.

use std::time::Duration;

use fancy_regex::Regex;
use ringmta_options::gcra::GcraSpec;
use ringmta_options::plain::Plain;
use ringmta_options::{Notes, OptionValue, Throttle};
use serde_json::{json, Value as Json};

/// Mark of responses the engine made itself; rules skip them unless they ask for them.
const INTERNAL: &str = "KumoMTA internal:";

const ACTIONS: [&str; 6] =
    ["Suspend", "SuspendTenant", "SuspendCampaign", "Bounce", "BounceTenant", "BounceCampaign"];

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Domain or provider whose section holds it.
    pub owner: String,
    regexes: Vec<Regex>,
    action: Json,
    trigger: Json,
    duration: Duration,
    match_internal: bool,
}

impl Rule {
    /// Reads a rule.
    pub fn read(owner: &str, v: &Json) -> Result<Rule, String> {
        let map = v.as_object().ok_or("expected a table")?;
        for key in map.keys() {
            const KEYS: [&str; 5] = ["regex", "action", "trigger", "duration", "match_internal"];
            if !KEYS.contains(&key.as_str()) {
                return Err(ringmta_options::suggest::unknown("field", key, KEYS.into_iter()));
            }
        }
        let regexes = match map.get("regex") {
            Some(Json::String(one)) => vec![one.as_str()],
            Some(Json::Array(list)) => list
                .iter()
                .map(|v| v.as_str().ok_or("regex: expected a string or a list of strings"))
                .collect::<Result<_, _>>()?,
            _ => return Err("missing field `regex`".into()),
        };
        let compile = |r: &str| Regex::new(r).map_err(|e| format!("regex: {e}"));
        let duration = map.get("duration").ok_or("missing field `duration`")?;
        let duration = Duration::parse(&Plain::from_json(duration), &mut Notes::default())
            .map_err(|e| format!("duration: {e}"))?;
        let trigger = map.get("trigger").cloned().unwrap_or_else(|| "Immediate".into());
        check_trigger(&trigger)?;
        Ok(Rule {
            owner: owner.to_owned(),
            regexes: regexes.into_iter().map(compile).collect::<Result<_, _>>()?,
            action: actions(map.get("action").ok_or("missing field `action`")?)?,
            trigger,
            duration,
            match_internal: map.get("match_internal").and_then(Json::as_bool).unwrap_or(false),
        })
    }

    /// Whether a response, as `code enhanced content`, is meant.
    pub fn matches(&self, response: &str, internal: bool) -> bool {
        (self.match_internal || !internal)
            && self.regexes.iter().any(|r| r.is_match(response).unwrap_or(false))
    }

    /// The rule as data.
    pub fn to_json(&self) -> Json {
        let regex: Vec<&str> = self.regexes.iter().map(Regex::as_str).collect();
        json!({
            "regex": regex,
            "action": self.action,
            "trigger": self.trigger,
            "duration": self.duration.as_secs_f64(),
            "match_internal": self.match_internal,
            "owner": self.owner,
        })
    }
}

fn check_trigger(v: &Json) -> Result<(), String> {
    if v == "Immediate" {
        return Ok(());
    }
    let rate = v.get("Threshold").and_then(Json::as_str);
    let rate = rate.ok_or_else(|| {
        format!("trigger: {v}: expected \"Immediate\" or {{Threshold=\"N/period\"}}")
    })?;
    let _: GcraSpec = Throttle::parse(rate).map_err(|e| format!("trigger: {e}"))?.spec();
    Ok(())
}

/// Always a list; every action is known.
fn actions(v: &Json) -> Result<Json, String> {
    let list = match v {
        Json::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    for action in &list {
        match action {
            Json::String(name) if ACTIONS.contains(&name.as_str()) => {}
            Json::Object(m)
                if m.len() == 1
                    && m.keys().all(|k| k == "SetConfig" || k == "SetDomainConfig")
                    && m.values().all(|v| v.get("name").is_some_and(Json::is_string)) => {}
            Json::String(name) => {
                let all = ACTIONS.into_iter().chain(["SetConfig", "SetDomainConfig"]);
                return Err(ringmta_options::suggest::unknown("variant", name, all));
            }
            other => return Err(format!("action: {other} is not an action")),
        }
    }
    Ok(Json::Array(list))
}

/// The response of a log record as rules see it, and whether the engine made it.
pub(crate) fn response_text(record: &Json) -> (String, bool) {
    let r = &record["response"];
    let content = r["content"].as_str().unwrap_or("");
    let mut text = r["code"].to_string();
    if let Json::Object(e) = &r["enhanced_code"] {
        text.push_str(&format!(" {}.{}.{}", e["class"], e["subject"], e["detail"]));
    }
    text.push(' ');
    text.push_str(content);
    (text, content.starts_with(INTERNAL))
}
