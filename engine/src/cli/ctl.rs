//! `ringmta ctl`: operator commands over the HTTP API.

use crate::cli::args::{Ctl, CtlArgs, OrderArgs};
use serde_json::{json, Value};
use std::time::Duration;

/// Carries out one command and prints the answer.
///
/// # Errors
/// What went wrong, in one line.
pub fn ctl(args: &CtlArgs) -> Result<(), String> {
    let api = Api::new(&args.endpoint);
    let answer = match &args.what {
        Ctl::Alive => api.get("/api/check-liveness/v1", &[])?,
        Ctl::Queues => api.get("/api/admin/queues/v1", &[])?,
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
            for kind in ORDER_KINDS {
                let list = api.get(&format!("/api/admin/{kind}/v1"), &[])?;
                say!("{kind}: {}", pretty(&list));
            }
            return Ok(());
        }
        Ctl::Cancel { id } => cancel(&api, id)?,
        Ctl::Reload => api.send("POST", "/api/admin/reload/v1", &json!({}))?,
    };
    say!("{}", pretty(&answer));
    Ok(())
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

/// The HTTP API of an engine.
pub(super) struct Api {
    agent: ureq::Agent,
    base: String,
}

impl Api {
    pub(super) fn new(base: &str) -> Api {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .tls_config(ringmta_policy::trust::http_tls())
            .http_status_as_error(false)
            .build();
        Api { agent: config.into(), base: base.trim_end_matches('/').to_string() }
    }

    pub(super) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url).query_pairs(query.iter().copied());
        self.answer(request.call())
    }

    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> Result<String, String> {
        let url = format!("{}{path}", self.base);
        let body = body.to_string();
        let result = if method == "DELETE" {
            let delete = self.agent.delete(&url).header("content-type", "application/json");
            delete.force_send_body().send(body)
        } else {
            self.agent.post(&url).header("content-type", "application/json").send(body)
        };
        self.answer(result)
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, String> {
        let mut response = result.map_err(|error| {
            format!("{}: {error}; is the engine running, and is this its HTTP listener?", self.base)
        })?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("{status}: {}", text.trim_end()))
        }
    }
}
