//! What operators set for the whole process: log filter, configuration epoch. It is kept before it is confirmed.

use crate::control::settings::{self, Set};
use crate::diagnostics;
use ringmta_http::{Method, Request, Response, StatusCode};
use ringmta_shard::state::Shard;
use serde::Deserialize;
use std::rc::Rc;

fn not_kept(what: &str, error: &std::io::Error) -> Response {
    let text = format!("Error: {what} is in force, but cannot be kept over a restart: {error}\n");
    tracing::error!("{}", text.trim_end());
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// A new configuration epoch.
pub async fn bump_epoch(shard: &Rc<Shard>, by: &str) -> Response {
    let process = &shard.process;
    let epoch = Set::now(process.policy_shared.bump_epoch(), by);
    tracing::info!("configuration epoch {} begun by {by}", epoch.value);
    match settings::keep_epoch(&process.spool.meta, &epoch).await {
        Ok(()) => Response::text(StatusCode::OK, "OK\n"),
        Err(error) => not_kept("the epoch", &error),
    }
}

/// What the engine says on stderr: `{"filter": "debug"}`, or DELETE for what it says by itself.
pub async fn log_filter(shard: &Rc<Shard>, request: &Request, by: &str) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        filter: String,
    }
    let meta = &shard.process.spool.meta;
    if request.method == Method::DELETE {
        let usual = shard.process.init.diagnostic_log_filter.as_deref();
        if let Err(why) = diagnostics::reset_filter(usual) {
            return Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("Error: {why}\n"));
        }
        tracing::info!("the log filter was set back by {by}");
        return match settings::keep_filter(meta, None).await {
            Ok(()) => Response::text(StatusCode::OK, ""),
            Err(error) => not_kept("the filter", &error),
        };
    }
    let filter = match serde_json::from_slice::<Asked>(&request.body) {
        Ok(asked) => asked.filter,
        Err(error) => return Response::json_error(&error, &request.body),
    };
    if let Err(why) = diagnostics::set_filter(&filter) {
        let text = format!("Error: parsing log filter {why}\n");
        return Response::text(StatusCode::BAD_REQUEST, text);
    }
    tracing::info!("the log filter {filter:?} was set by {by}");
    match settings::keep_filter(meta, Some(&Set::now(filter, by))).await {
        Ok(()) => Response::text(StatusCode::OK, ""),
        Err(error) => not_kept("the filter", &error),
    }
}

/// What is kept.
pub async fn settings(shard: &Rc<Shard>) -> Response {
    let meta = shard.process.spool.meta.clone();
    Response::json(&ringmta_io::blocking(move || settings::read(&meta)).await)
}
