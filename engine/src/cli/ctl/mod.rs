//! `ringmta ctl`: operator commands over the HTTP API. [`api`] asks, [`views`] says the answers for people, in columns
//! ([`table`]); `--json` says them as they came.

mod api;
mod table;
mod views;

use crate::cli::args::{Ctl, CtlArgs, OrderArgs};
pub(super) use api::Api;
use serde_json::{json, Value};

/// Carries out one command and prints the answer.
///
/// # Errors
/// What went wrong, in one line.
pub fn ctl(args: &CtlArgs) -> Result<(), String> {
    let api = Api::new(&args.api)?;
    let for_people = !args.json;
    let answer = match &args.what {
        Ctl::Alive => api.get("/api/check-liveness/v1", &[])?,
        Ctl::Queues => {
            let answer = api.get("/api/admin/queues/v1", &[])?;
            if for_people {
                return print(&views::queues(&parsed(&answer)?));
            }
            answer
        }
        Ctl::Queue { name, limit } => {
            let limit = limit.to_string();
            api.get("/api/admin/inspect-sched-q/v1", &[("queue_name", name), ("limit", &limit)])?
        }
        Ctl::Ready { name } => api.get("/api/admin/inspect-ready-q/v1", &[("queue_name", name)])?,
        Ctl::Message { id, body } => {
            let body = if *body { "true" } else { "false" };
            api.get("/api/admin/inspect-message/v1", &[("id", id), ("want_body", body)])?
        }
        Ctl::Metrics { prefix } => api.get("/metrics", &[("prefix", prefix)])?,
        Ctl::Suspend(order) => api.send("POST", "/api/admin/suspend/v1", &posted(order)?)?,
        Ctl::Bounce(order) => api.send("POST", "/api/admin/bounce/v1", &posted(order)?)?,
        Ctl::SelfCheck => api.get("/api/admin/self-check/v1", &[])?,
        Ctl::Orders => {
            let mut all = serde_json::Map::new();
            for kind in ORDER_KINDS {
                let list = api.get(&format!("/api/admin/{kind}/v1"), &[])?;
                all.insert(kind.into(), parsed(&list)?);
            }
            if for_people {
                return print(&views::orders(&all));
            }
            Value::Object(all).to_string()
        }
        Ctl::Cancel { id } => cancel(&api, id)?,
        Ctl::Reload => api.send("POST", "/api/admin/reload/v1", &json!({}))?,
    };
    print(&pretty(&answer))
}

fn print(text: &str) -> Result<(), String> {
    say!("{text}");
    Ok(())
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the engine's answer is no JSON: {error}"))
}

/// Kinds of orders, as paths name them.
const ORDER_KINDS: [&str; 3] = ["suspend", "suspend-ready-q", "bounce"];

/// Ends an order of whichever kind.
fn cancel(api: &Api, id: &str) -> Result<String, String> {
    let mut answer = Err(String::new());
    for kind in ORDER_KINDS {
        answer = api.send("DELETE", &format!("/api/admin/{kind}/v1"), &json!({"id": id}));
        if answer.is_ok() {
            break;
        }
    }
    answer
}

fn posted(order: &OrderArgs) -> Result<Value, String> {
    let narrowed = order.domain.is_some() || order.tenant.is_some() || order.campaign.is_some();
    if !narrowed && !order.everything {
        return Err("that is every queue: name --domain, --tenant or --campaign, \
                    or say --everything"
            .into());
    }
    Ok(json!({
        "reason": order.reason,
        "domain": order.domain,
        "tenant": order.tenant,
        "campaign": order.campaign,
        "duration": order.duration,
    }))
}

pub(super) fn pretty(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_string()),
        Err(_) => text.trim_end().to_string(),
    }
}
