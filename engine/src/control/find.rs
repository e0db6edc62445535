//! `GET /api/admin/find/v1`: where a message is and what became of it, by id, address or Message-ID: the queues' word, and
//! the records in the log files.

use crate::control::ask;
use crate::limits::{FIND_IDS_MAX, FIND_RECORDS_MAX, FIND_SECS};
use ringmta_events::log_index::Key;
use ringmta_events::log_search::{search, Bounds, Found};
use ringmta_http::{Request, Response, StatusCode};
use ringmta_io::{deadline, unix_nanos};
use ringmta_policy::{parse_duration, InitConfig};
use ringmta_shard::mesh::{Inspect, WhyAbout};
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Records after which nothing more comes of a message.
const FINAL: [&str; 4] = ["Delivery", "Bounce", "Expiration", "AdminBounce"];

/// The folders of the log files.
fn folders(init: &InitConfig) -> Vec<PathBuf> {
    let of_log = init.local_logs.iter().flat_map(|log| {
        let special = log.per_record.values().filter_map(|params| params.log_dir.clone());
        special.chain([log.log_dir.clone()])
    });
    of_log.collect::<BTreeSet<PathBuf>>().into_iter().collect()
}

fn bad(text: String) -> Response {
    Response::text(StatusCode::BAD_REQUEST, text + "\n")
}

fn bounds(request: &Request) -> Result<Bounds, Response> {
    let since = request.query.get("since").unwrap_or("1d");
    let since =
        parse_duration(since).ok_or_else(|| bad(format!("since: {since:?} is not a duration")))?;
    let records = request.query.number("limit").map_err(bad)?.unwrap_or(100);
    Ok(Bounds {
        since_nanos: unix_nanos()
            .saturating_sub(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
        records: records.min(FIND_RECORDS_MAX) as usize,
        time: Duration::from_secs(FIND_SECS),
    })
}

/// Answers it.
pub async fn find(shard: &Rc<Shard>, request: &Request) -> Response {
    let Some(what) = request.query.get("what").filter(|what| !what.trim().is_empty()) else {
        return bad("missing parameter `what`".into());
    };
    let bounds = match bounds(request) {
        Ok(bounds) => bounds,
        Err(refusal) => return refusal,
    };
    let keys = Key::of(what);
    let folders = folders(&shard.process.init);
    let has_logs = !folders.is_empty();
    let (asked, limit) = (keys.clone(), bounds.time * 2);
    let helpers = shard.process.policy_shared.helpers();
    let searched = helpers.run_for("find", move || {
        let each = folders.iter().map(|folder| search(folder, &asked, &bounds));
        each.fold(Found::default(), together)
    });
    let found = match deadline(limit, searched).await {
        Ok(found) => found,
        Err(_) => {
            let text = "the disk has not answered in time; a shorter `since` asks less\n";
            return Response::text(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    };
    let mut records: Vec<Value> =
        found.records.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    records.sort_by(|a, b| a["event_time"].as_str().cmp(&b["event_time"].as_str()));
    let waits = waiting(shard, &keys, &records).await;
    Response::json(&json!({
        "what": what,
        "waits": waits,
        "records": records,
        "segments": found.segments,
        "without_index": found.without_index,
        "damaged_index": found.damaged_index,
        "left_out": found.left_out,
        "problems": found.problems,
        "has_logs": has_logs,
    }))
}

fn together(mut sum: Found, more: Found) -> Found {
    sum.records.extend(more.records);
    sum.segments += more.segments;
    sum.without_index += more.without_index;
    sum.damaged_index.extend(more.damaged_index);
    sum.left_out += more.left_out;
    sum.problems.extend(more.problems);
    sum
}

/// What the queues say of the messages that are not done.
async fn waiting(shard: &Rc<Shard>, keys: &[Key], records: &[Value]) -> Vec<Value> {
    let mut ids: Vec<String> = Vec::new();
    if let [Key::Id(id)] = keys {
        ids.push(id.clone());
    }
    for record in records.iter().rev() {
        let Some(id) = record["id"].as_str().filter(|id| !id.is_empty()) else { continue };
        let is_known = ids.iter().any(|known| known == id);
        let is_done = |one: &Value| {
            one["id"] == *id && one["type"].as_str().is_some_and(|kind| FINAL.contains(&kind))
        };
        if !is_known && ids.len() < FIND_IDS_MAX && !records.iter().any(is_done) {
            ids.push(id.to_string());
        }
    }
    let mut waits = Vec::new();
    for id in ids {
        let answers = ask::inspect(&shard.process, Inspect::Why(WhyAbout::Message, id)).await;
        waits.extend(answers.into_iter().next());
    }
    waits
}
