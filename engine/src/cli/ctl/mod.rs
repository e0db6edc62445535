//! `ringmta ctl`: operator commands over the HTTP API. [`api`] asks, [`shown`] has each answer said for people, in lines
//! ([`words`]) and columns ([`table`]); `--json` says them as they came.

mod api;
pub mod args;
mod by_hand;
mod done_view;
mod facts_view;
mod find_view;
mod follow;
pub(super) mod hooks_view;
mod paint;
mod queue_view;
mod ready_view;
mod shown;
mod sort;
mod table;
mod tail;
mod top;
mod trace;
mod views;
mod watch;
mod why_view;
mod words;

pub(super) use api::Api;
use args::{Ctl, CtlArgs};
use paint::Paint;
use ringmta_policy::options::suggest::nearest;
use serde_json::{json, Value};
use sort::Sort;
use std::cell::RefCell;
use std::time::Duration;
use top::Look;

/// Carries out one command and prints the answer.
///
/// # Errors
/// What went wrong, in one line.
pub fn ctl(args: &CtlArgs) -> Result<(), String> {
    if let Ctl::Tail(which) = &args.what {
        return match which.logs.as_ref().filter(|_| !which.live) {
            Some(folder) => tail::tail(folder, which, args.json),
            None => tail::live(&Api::new(&args.api)?, which, args.json),
        };
    }
    let api = Api::new(&args.api)?;
    if let Ctl::Trace(which) = &args.what {
        return trace::trace(&api, which, args.json, Paint::new(args.color));
    }
    if let (Ctl::SelfCheck, None) = (&args.what, args.watch) {
        return self_check(&api, args);
    }
    match args.watch {
        Some(seconds) => {
            let before = RefCell::default();
            watch::watch(seconds, || answer(&api, args, &before))
        }
        None => print(&answer(&api, args, &RefCell::default())?),
    }
}

/// The answer to one command, as it is printed.
fn answer(api: &Api, args: &CtlArgs, before: &RefCell<Option<Look>>) -> Result<String, String> {
    if let Ctl::Top { limit } = &args.what {
        let (paint, sort) = (Paint::new(args.color), Sort::new(args.sort.as_deref(), args.reverse));
        let (earlier, now) = looks(api, before)?;
        if args.json {
            return Ok(pretty(&top::json(&earlier, &now, *limit).to_string()));
        }
        let text = top::top(&earlier, &now, *limit, &sort, paint);
        return sort.check().map(|()| text);
    }
    let answer = match &args.what {
        Ctl::Orders => orders(api)?,
        other => match question(api, other, args.json) {
            Some(answer) => answer?,
            None if args.watch.is_some() => {
                let why = "--watch asks again and again: it is for what changes nothing, such as why, queues or top";
                return Err(why.into());
            }
            None => by_hand::answer(api, other)?,
        },
    };
    said(args, &answer)
}

/// An answer as it is printed.
fn said(args: &CtlArgs, answer: &str) -> Result<String, String> {
    if args.json {
        return Ok(json_of(answer));
    }
    let sort = Sort::new(args.sort.as_deref(), args.reverse);
    let text = shown::shown(&args.what, answer, &sort, Paint::new(args.color))?;
    sort.check().map(|()| text)
}

/// The engine's look at itself. That it has found something is an error, for scripts that watch over it.
fn self_check(api: &Api, args: &CtlArgs) -> Result<(), String> {
    let answer = api.get("/api/admin/self-check/v1", &[])?;
    print(&said(args, &answer)?)?;
    match parsed(&answer)?["ok"] == true {
        true => Ok(()),
        false => Err("the engine's self-check has found problems".into()),
    }
}

/// Asks what changes nothing; none where the command is none of that kind.
fn question(api: &Api, what: &Ctl, as_json: bool) -> Option<Result<String, String>> {
    Some(match what {
        Ctl::Alive => api.get("/api/check-liveness/v1", &[]),
        Ctl::Queues => api.get("/api/admin/queues/v1", &[]),
        Ctl::Why { name, about } => {
            let mut query = vec![("name", name.as_str())];
            query.extend(about.map(|about| ("about", about.name())));
            api.get("/api/admin/why/v1", &query)
        }
        Ctl::Find { what, since, limit } => {
            let limit = limit.to_string();
            let query = [("what", what.as_str()), ("since", since.as_str()), ("limit", &limit)];
            api.get("/api/admin/find/v1", &query)
        }
        Ctl::ReadyStates { queues } => {
            let query: Vec<_> = queues.iter().map(|queue| ("queues[]", queue.as_str())).collect();
            // One that there is not has no states either: that is told by the question about it.
            let mut each = queues.iter();
            let known = each.try_for_each(|queue| {
                api.get("/api/admin/inspect-ready-q/v1", &[("queue_name", queue)]).map(drop)
            });
            known.and_then(|()| api.get("/api/admin/ready-q-states/v1", &query))
        }
        Ctl::Path { domain, source } => {
            let mut query = vec![("domain", domain.as_str())];
            query.extend(source.as_deref().map(|source| ("source", source)));
            api.get("/api/admin/resolve-egress-path/v1", &query)
        }
        Ctl::Machine => api.get("/api/machine-info", &[]),
        Ctl::Memory => api.get("/api/admin/memory/stats", &[]),
        Ctl::Tasks => api.get("/api/admin/task-dump", &[]),
        Ctl::Settings => api.get("/api/admin/settings/v1", &[]),
        Ctl::Queue { name, limit, skip } => {
            let (limit, skip) = (limit.to_string(), skip.to_string());
            let query = [("queue_name", name.as_str()), ("limit", &limit), ("skip", &skip)];
            api.get("/api/admin/inspect-sched-q/v1", &query)
        }
        Ctl::Ready { name } => api.get("/api/admin/inspect-ready-q/v1", &[("queue_name", name)]),
        Ctl::Message { id, body } => {
            let body = if *body { "true" } else { "false" };
            api.get("/api/admin/inspect-message/v1", &[("id", id), ("want_body", body)])
        }
        Ctl::Metrics { prefix } => metrics(api, prefix, as_json),
        Ctl::SelfCheck => api.get("/api/admin/self-check/v1", &[]),
        _ => return None,
    })
}

/// The metrics whose names begin so; that there are none is an error, with the name that is nearest.
fn metrics(api: &Api, prefix: &str, as_json: bool) -> Result<String, String> {
    let text = api.get("/metrics", &[("prefix", prefix)])?;
    if text.trim().is_empty() && !prefix.is_empty() {
        let all = api.get("/metrics", &[])?;
        let names = all.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let hint =
            nearest(prefix, names).map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Err(format!("no metric's name begins with {prefix}{hint}"));
    }
    match as_json {
        true => api.get("/metrics.json", &[("prefix", prefix)]),
        false => Ok(text),
    }
}

/// Orders of every kind.
fn orders(api: &Api) -> Result<String, String> {
    let mut all = serde_json::Map::new();
    for kind in ORDER_KINDS {
        let list = api.get(&format!("/api/admin/{kind}/v1"), &[])?;
        all.insert(kind.into(), parsed(&list)?);
    }
    Ok(Value::Object(all).to_string())
}

/// The look before and the one now; the first waits a second for one.
fn looks(api: &Api, before: &RefCell<Option<Look>>) -> Result<(Look, Look), String> {
    let look = || {
        let metrics = parsed(&api.get("/metrics.json", &[])?)?;
        let minute = [("seconds", "60"), ("points", "1")];
        // Who may read metrics need not be who may see the console: then its table is left out.
        let history = api.get("/api/console/history/v1", &minute).and_then(|text| parsed(&text));
        Ok::<_, String>(Look::new(metrics, &history.unwrap_or_default()))
    };
    let earlier = match before.borrow_mut().take() {
        Some(earlier) => earlier,
        None => {
            let first = look()?;
            std::thread::sleep(Duration::from_secs(1));
            first
        }
    };
    let now = look()?;
    *before.borrow_mut() = Some(now.clone());
    Ok((earlier, now))
}

fn print(text: &str) -> Result<(), String> {
    say!("{text}");
    Ok(())
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the engine's answer is no JSON: {error}"))
}

/// Kinds of orders, as paths name them.
const ORDER_KINDS: [&str; 4] = ["suspend", "suspend-ready-q", "bounce", "hold"];

/// An answer as JSON, also where the engine answers in words.
fn json_of(answer: &str) -> String {
    match serde_json::from_str::<Value>(answer) {
        Ok(_) => pretty(answer),
        Err(_) => pretty(&json!({"answer": answer.trim_end()}).to_string()),
    }
}

pub(super) fn pretty(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_string()),
        Err(_) => text.trim_end().to_string(),
    }
}
