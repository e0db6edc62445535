//! The HTTP API: which path does what, and who may use it.

use crate::console;
use crate::control::admin;
use crate::control::admin::What;
use crate::control::ask;
use crate::control::auth;
use crate::control::auth::Access;
use crate::control::hooks;
use crate::control::reload;
use crate::diagnostics;
use crate::limits::{SELF_CHECK_LOOKS, SELF_CHECK_PAUSE_MS};
use ringmta_accept::inject;
use ringmta_http::gate::Gate;
use ringmta_http::options::Options;
use ringmta_http::{self as http, Method, Request, Response, StatusCode};
use ringmta_io as io;
use ringmta_io::sockets::Sockets;
use ringmta_policy::{AuthInfo, HttpDoor, HttpListener};
use ringmta_shard::mesh::Inspect;
use ringmta_shard::state::Shard;
use serde_json::{json, Value};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Opens this shard's socket of every HTTP listener. The answer is one line per socket.
///
/// # Errors
/// A text naming the address and the cause.
pub fn open_all(shard: &Rc<Shard>, sockets: &mut Sockets) -> Result<Vec<String>, String> {
    const CONNECTIONS: usize = 4096;
    let mut lines = Vec::new();
    for (index, options) in shard.process.init.http_listeners.iter().enumerate() {
        let (listener, local) = sockets.open(&options.listen)?;
        lines.push(format!("http listener on {local}"));
        let mut limits = Options::new(options.request_body_limit, CONNECTIONS);
        limits.tls = shard.process.http_tls[index].as_ref().map(|tls| tls.in_force.clone());
        let options = Rc::new(options.clone());
        let gate_shard = shard.clone();
        let gate: Gate = Rc::new(move |request| {
            let (shard, options) = (gate_shard.clone(), options.clone());
            Box::pin(async move { admit(&shard, &options, request).await })
        });
        let shard = shard.clone();
        io::spawn(http::listen_behind(listener, limits, gate, move |_peer| {
            let shard = shard.clone();
            move |request: Request| -> futures::future::LocalBoxFuture<'static, Response> {
                let shard = shard.clone();
                Box::pin(async move { handle(&shard, request).await })
            }
        }));
    }
    Ok(lines)
}

/// Decides on the head of a request whether it is read further.
async fn admit(
    shard: &Rc<Shard>,
    listener: &HttpListener,
    mut request: Request,
) -> Result<Request, Response> {
    http::browser::check(&request)?;
    // The page has nothing in it: what it asks is decided upon as for everyone.
    let has_console = listener.serves.contains(&HttpDoor::Administration);
    if request.path == "/" && has_console && console::wants_page(&request) {
        return Err(console::page());
    }
    let access = match request.path.trim_end_matches('/') {
        "/api/check-liveness/v1" | "" => Access::Open,
        "/api/inject/v1" => Access::Door(HttpDoor::Injection),
        "/metrics" | "/metrics.json" => Access::Door(HttpDoor::Metrics),
        _ => Access::Door(HttpDoor::Administration),
    };
    request.caller = Some(auth::check(shard, listener, access, &request).await?);
    // What a form of a page can send is never JSON.
    let has_body = request.header("content-length").is_some_and(|length| length != "0")
        || request.headers.contains_key("transfer-encoding");
    let is_json = request.header("content-type").is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    });
    if has_body && !is_json {
        let text = "Expected request with `Content-Type: application/json`\n";
        return Err(Response::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    Ok(request)
}

async fn handle(shard: &Rc<Shard>, mut request: Request) -> Response {
    let path = request.path.trim_end_matches('/').to_string();
    let caller = request.caller.take().unwrap_or_default();
    match (request.method.clone(), path.as_str()) {
        (Method::GET, "") => Response::text(StatusCode::OK, "ringmta\n"),
        (Method::GET, "/api/check-liveness/v1") => liveness(shard),
        (Method::POST, "/api/inject/v1") => inject::inject(shard, &caller, request).await,
        (Method::GET, "/metrics") => {
            let sum = ask::metrics(&shard.process).await;
            let text = sum.prometheus(request.query.get("prefix").unwrap_or(""));
            Response::bytes("text/plain; version=0.0.4; charset=utf-8", text)
        }
        (Method::GET, "/metrics.json") => {
            let sum = ask::metrics(&shard.process).await;
            Response::json(&sum.json(request.query.get("prefix").unwrap_or("")))
        }
        (_, "/api/admin/suspend/v1") => admin_path(shard, What::Suspend, &request, &caller).await,
        (_, "/api/admin/suspend-ready-q/v1") => {
            admin_path(shard, What::SuspendReady, &request, &caller).await
        }
        (_, "/api/admin/bounce/v1") => admin_path(shard, What::Bounce, &request, &caller).await,
        (Method::POST, "/api/admin/bump-config-epoch") => {
            shard.process.policy_shared.bump_epoch();
            Response::text(StatusCode::OK, "OK\n")
        }
        (Method::POST, "/api/admin/set_diagnostic_log_filter/v1") => log_filter(&request),
        (Method::POST, "/api/admin/reload/v1") => match reload::ask(&shard.process).await {
            Ok(()) => Response::text(StatusCode::OK, "reloaded\n"),
            Err(why) => Response::text(StatusCode::UNPROCESSABLE_ENTITY, why + "\n"),
        },
        (Method::GET, "/api/admin/inspect-sched-q/v1") => {
            let most = request.query.number("limit").ok().flatten().unwrap_or(5);
            queue_question(shard, &request, |name| Inspect::Scheduled(name, most as usize)).await
        }
        (Method::GET, "/api/admin/inspect-ready-q/v1") => {
            queue_question(shard, &request, Inspect::Ready).await
        }
        (Method::GET, "/api/admin/inspect-message/v1") => inspect_message(shard, &request).await,
        (Method::GET, "/api/admin/queues/v1") => {
            Response::json(&ask::inspect(&shard.process, Inspect::Queues).await)
        }
        (_, path) if path.starts_with(console::PREFIX) => {
            console::answer(shard, &request, &caller).await
        }
        (Method::GET, "/api/admin/hooks/v1") => hooks::list(shard).await,
        (Method::GET, "/api/admin/hooks/dead-letters/v1") => hooks::show(shard, &request).await,
        (Method::POST, "/api/admin/hooks/replay/v1") => hooks::replay(shard, &request).await,
        (Method::GET, "/api/admin/self-check/v1") => self_check(shard).await,
        _ => Response::text(StatusCode::NOT_FOUND, format!("no such path: {path}\n")),
    }
}

/// Who gives an order, for those who ask later.
fn who(caller: &AuthInfo) -> String {
    match (caller.identities.first(), &caller.peer_address) {
        (Some(identity), _) => identity.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => String::new(),
    }
}

/// Looks through every shard. What passes by itself is looked at again, and told only when it stays.
async fn self_check(shard: &Rc<Shard>) -> Response {
    let mut answer = Value::Null;
    for look in 0..SELF_CHECK_LOOKS {
        if look > 0 {
            io::sleep(Duration::from_millis(SELF_CHECK_PAUSE_MS)).await;
        }
        let shards = ask::each(&shard.process, Inspect::SelfCheck).await;
        let mut problems = Vec::new();
        let mut found = Vec::new();
        let mut stays = false;
        for (shard, answer) in shards {
            let Some(answer) = answer else {
                problems.push(format!("shard {shard} does not answer"));
                continue;
            };
            for kind in ["problems", "passing"] {
                let told = answer[kind].as_array().into_iter().flatten().filter_map(Value::as_str);
                let told: Vec<String> = told.map(|text| format!("shard {shard}: {text}")).collect();
                stays |= kind == "passing" && !told.is_empty();
                problems.extend(told);
            }
            found.push(answer);
        }
        answer = json!({"ok": problems.is_empty(), "problems": problems, "shards": found});
        if !stays {
            break;
        }
    }
    Response::json(&answer)
}

/// Sets what the engine says on stderr: `{"filter": "debug"}`.
fn log_filter(request: &Request) -> Response {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        filter: String,
    }
    let asked = serde_json::from_slice::<Asked>(&request.body).map_err(|error| error.to_string());
    match asked.and_then(|asked| diagnostics::set_filter(&asked.filter)) {
        Ok(()) => Response::text(StatusCode::OK, "OK\n"),
        Err(why) => Response::text(StatusCode::BAD_REQUEST, why + "\n"),
    }
}

fn liveness(shard: &Shard) -> Response {
    let unavailable = |why: &str| Response::text(StatusCode::SERVICE_UNAVAILABLE, why.to_string());
    if !shard.process.ready.load(Ordering::Relaxed) {
        return unavailable("starting\n");
    }
    match ringmta_accept::room::no_room(shard) {
        Some(refusal) => unavailable(&format!("{}\n", refusal.reply().text)),
        None => Response::text(StatusCode::OK, "OK"),
    }
}

async fn admin_path(
    shard: &Rc<Shard>,
    what: What,
    request: &Request,
    caller: &AuthInfo,
) -> Response {
    match request.method {
        Method::GET => admin::list(shard, what).await,
        Method::POST => admin::post(shard, what, request, who(caller)).await,
        Method::DELETE => admin::delete(shard, what, request).await,
        _ => Response::text(StatusCode::METHOD_NOT_ALLOWED, "GET, POST or DELETE\n"),
    }
}

/// One shard's answer as it is; several are merged: messages joined, counts added.
async fn queue_question(
    shard: &Rc<Shard>,
    request: &Request,
    question: impl Fn(String) -> Inspect,
) -> Response {
    let Some(name) = request.query.get("queue_name") else {
        return Response::text(StatusCode::BAD_REQUEST, "missing parameter `queue_name`\n");
    };
    let answers = ask::inspect(&shard.process, question(name.to_string())).await;
    let mut answers = answers.into_iter();
    let Some(mut sum) = answers.next() else {
        return Response::text(StatusCode::NOT_FOUND, format!("no queue called {name}\n"));
    };
    for other in answers {
        merge(&mut sum, other);
    }
    Response::json(&sum)
}

fn merge(sum: &mut Value, other: Value) {
    if let (Some(messages), Some(more)) =
        (sum["messages"].as_array_mut(), other["messages"].as_array())
    {
        messages.extend(more.iter().cloned());
    }
    for field in ["num_scheduled", "count"] {
        if let (Some(a), Some(b)) = (sum[field].as_u64(), other[field].as_u64()) {
            sum[field] = json!(a + b);
        }
    }
    for field in ["ready_count", "connection_count", "idle_connections"] {
        if let (Some(a), Some(b)) = (sum["state"][field].as_u64(), other["state"][field].as_u64()) {
            sum["state"][field] = json!(a + b);
        }
    }
}

async fn inspect_message(shard: &Rc<Shard>, request: &Request) -> Response {
    let Some(id) = request.query.get("id") else {
        return Response::text(StatusCode::BAD_REQUEST, "missing parameter `id`\n");
    };
    let want_body = request.query.get("want_body").is_some_and(|v| v != "false");
    let question = Inspect::Message(id.to_string(), want_body);
    match ask::inspect(&shard.process, question).await.into_iter().next() {
        Some(found) => Response::json(&json!({"id": id, "message": found})),
        None => Response::text(
            StatusCode::NOT_FOUND,
            format!("no message {id} waits here: it was never here, or it has left\n"),
        ),
    }
}
