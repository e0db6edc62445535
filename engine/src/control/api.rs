//! The HTTP API: which path does what, and who may use it.

use crate::console;
use crate::control::admin;
use crate::control::admin::What;
use crate::control::ask;
use crate::control::auth;
use crate::control::auth::Access;
use crate::control::by_hand;
use crate::control::endpoints::{self, Asked, Call};
use crate::control::trace::Watched;
use crate::control::{facts, find, hooks, openapi, process_wide, questions, reload, trace, why};
use crate::limits::{SELF_CHECK_LOOKS, SELF_CHECK_PAUSE_MS};
use ringmta_accept::inject;
use ringmta_accept::peer_limits::{self, OfPeer};
use ringmta_events::metrics::Step;
use ringmta_http::gate::{Admits, Doorkeeper, Gate, Handshaken};
use ringmta_http::limits::RETRY_AFTER_SECS;
use ringmta_http::options::Options;
use ringmta_http::{self as http, Method, Request, Response, StatusCode};
use ringmta_io as io;
use ringmta_io::sockets::Sockets;
use ringmta_policy::{AuthInfo, HttpDoor, HttpListener};
use ringmta_shard::mesh::Inspect;
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use serde_json::{json, Value};
use std::any::Any;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The path of injection.
const INJECT: &str = "/api/inject/v1";

/// Opens this shard's socket of every HTTP listener. The answer is one line per socket.
///
/// # Errors
/// A text naming the address and the cause.
pub fn open_all(shard: &Rc<Shard>, sockets: &mut Sockets) -> Result<Vec<String>, String> {
    const CONNECTIONS: usize = 4096;
    facts::note_start();
    let mut lines = Vec::new();
    for (index, options) in shard.process.init.http_listeners.iter().enumerate() {
        let (listener, local) = sockets.open(&options.listen)?;
        lines.push(format!("http listener on {local}"));
        let mut limits = Options::new(options.request_body_limit, CONNECTIONS);
        limits.tls = shard.process.http_tls[index].as_ref().map(|tls| tls.in_force.clone());
        let of = shard.clone();
        let handshaken: Handshaken = Rc::new(move |is_well, micros| {
            of.metrics.took(Step::TlsHttp, is_well, micros);
        });
        let served = Rc::new(Served { shard: shard.clone(), index, options: options.clone() });
        let at = served.clone();
        let admits: Admits = Rc::new(move |peer| at.admits(peer));
        let at = served.clone();
        let gate: Gate = Rc::new(move |request| {
            let at = at.clone();
            Box::pin(async move { at.gate(request).await })
        });
        let keeper = Doorkeeper { admits: Some(admits), handshaken: Some(handshaken), gate };
        io::spawn(http::listen_within(listener, limits, keeper, move |peer| {
            let at = served.clone();
            move |request: Request| -> futures::future::LocalBoxFuture<'static, Response> {
                let at = at.clone();
                Box::pin(async move { at.counted(peer.ip(), handle(&at.shard, request).await) })
            }
        }));
    }
    Ok(lines)
}

/// A listener that is served by a shard.
struct Served {
    shard: Rc<Shard>,
    index: usize,
    options: HttpListener,
}

impl Served {
    fn limits(&self, peer: IpAddr) -> OfPeer<'_> {
        peer_limits::of_request(&self.shard, self.index, &self.options, peer)
    }

    fn admits(&self, peer: IpAddr) -> Result<Box<dyn Any>, String> {
        let admitted = self.limits(peer).admit();
        admitted.map(|admitted| Box::new(admitted) as Box<dyn Any>).map_err(text_of)
    }

    /// Decides on the head of a request, within what its peer may do.
    async fn gate(&self, request: Request) -> Result<Request, Response> {
        let peer = request.peer.ip();
        let limits = self.limits(peer);
        limits.forgiven().map_err(too_many)?;
        if request.path.trim_end_matches('/') == INJECT {
            limits.message().map_err(too_many)?;
        }
        let decided = admit(&self.shard, &self.options, request).await;
        decided.map_err(|refusal| self.counted(peer, refusal))
    }

    /// Counts a response that refuses for good.
    fn counted(&self, peer: IpAddr, response: Response) -> Response {
        if response.status.is_client_error() && response.status != StatusCode::TOO_MANY_REQUESTS {
            // This one has its answer; the next are turned away.
            let _ = self.limits(peer).refused();
        }
        response
    }
}

/// A refusal by a limit per peer, as a line for a client of HTTP: without the codes of SMTP.
fn text_of(refusal: Refusal) -> String {
    let reply = refusal.reply();
    let words = reply.text.split_once(' ').map_or(reply.text.as_ref(), |(_, words)| words);
    format!("{words}\n")
}

fn too_many(refusal: Refusal) -> Response {
    Response::text(StatusCode::TOO_MANY_REQUESTS, text_of(refusal))
        .header(http::header::RETRY_AFTER, &RETRY_AFTER_SECS.to_string())
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
        "/api/check-liveness/v1"
        | ""
        | "/openapi.json"
        | "/api-docs"
        | "/api-docs/openapi.json" => Access::Open,
        INJECT => Access::Door(HttpDoor::Injection),
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
    match endpoints::find(request.method.as_str(), &path) {
        Asked::Call(call) => match request.query.repeated() {
            Some(name) => {
                let text = format!("parameter `{name}` is given more than once\n");
                Response::text(StatusCode::BAD_REQUEST, text)
            }
            None => answer(shard, call, request, &caller).await,
        },
        Asked::Methods(methods) => {
            let text = format!("{path} takes {}\n", methods.join(", "));
            Response::text(StatusCode::METHOD_NOT_ALLOWED, text)
                .header(http::header::ALLOW, &methods.join(", "))
        }
        Asked::Unknown(near) => {
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            Response::text(StatusCode::NOT_FOUND, format!("no such path: {path}{hint}\n"))
        }
    }
}

async fn answer(shard: &Rc<Shard>, call: Call, request: Request, caller: &AuthInfo) -> Response {
    match call {
        Call::Home => Response::text(StatusCode::OK, "ringmta\n"),
        Call::OpenApi => Response::json(&openapi::document()),
        Call::ApiPage => openapi::page(),
        Call::Liveness => liveness(shard),
        Call::Inject => inject::inject(shard, caller, request).await,
        Call::Metrics => {
            let sum = ask::metrics(&shard.process).await;
            let text = sum.prometheus(request.query.get("prefix").unwrap_or(""));
            Response::bytes("text/plain; version=0.0.4; charset=utf-8", text)
        }
        Call::MetricsJson => {
            let sum = ask::metrics(&shard.process).await;
            Response::json(&sum.json(request.query.get("prefix").unwrap_or("")))
        }
        Call::MachineInfo => facts::info(&shard.process).await,
        Call::Suspend => orders(shard, What::Suspend, &request, caller).await,
        Call::SuspendReady => orders(shard, What::SuspendReady, &request, caller).await,
        Call::Bounce => orders(shard, What::Bounce, &request, caller).await,
        Call::Hold => orders(shard, What::Hold, &request, caller).await,
        Call::Release => by_hand::release(shard, &request).await,
        Call::TryNow => by_hand::try_now(shard, &request).await,
        Call::Delete => by_hand::delete(shard, &request, who(caller)).await,
        Call::Rebind => by_hand::rebind(shard, &request, &who(caller)).await,
        Call::Abort => by_hand::abort(shard, &request).await,
        Call::Xfer => Response::text(StatusCode::NOT_IMPLEMENTED, NO_XFER),
        Call::BumpEpoch => process_wide::bump_epoch(shard, &who(caller)).await,
        Call::LogFilter => process_wide::log_filter(shard, &request, &who(caller)).await,
        Call::Settings => process_wide::settings(shard).await,
        Call::Reload => match reload::ask(&shard.process).await {
            Ok(()) => Response::text(StatusCode::OK, "reloaded\n"),
            Err(why) => Response::text(StatusCode::UNPROCESSABLE_ENTITY, why + "\n"),
        },
        Call::SpoolCompact => by_hand::compact(shard, &request).await,
        Call::InspectMessage => questions::message(shard, &request).await,
        Call::InspectScheduled => questions::scheduled(shard, &request).await,
        Call::InspectReady => questions::ready(shard, &request).await,
        Call::ReadyStates => questions::ready_states(shard, &request).await,
        Call::ResolvePath => questions::path(shard, &request).await,
        Call::TraceServer => trace::open(shard, &request, Watched::Incoming),
        Call::TraceClient => trace::open(shard, &request, Watched::Outgoing),
        Call::Tail => trace::open(shard, &request, Watched::Records),
        Call::ConsoleNow => console::now::now(shard, caller).await,
        Call::ConsoleHistory => console::history_of(shard, &request),
        Call::ConsoleAnswers => Response::json(&shard.process.console.history().answers()),
        Call::ConsoleQueues => console::queues::search(shard, &request).await,
        Call::ConsoleLogIn => console::login::log_in(shard, &request, caller),
        Call::ConsoleLogOut => console::login::log_out(shard, &request),
        Call::Queues => Response::json(&ask::inspect(&shard.process, Inspect::Queues).await),
        Call::Why => why::ask::why(shard, &request).await,
        Call::Find => find::find(shard, &request).await,
        Call::Hooks => hooks::list(shard).await,
        Call::DeadLetters => hooks::show(shard, &request).await,
        Call::Replay => hooks::replay(shard, &request).await,
        Call::SelfCheck => self_check(shard).await,
        Call::Memory => {
            let shards = ask::inspect(&shard.process, Inspect::Memory).await;
            Response::text(StatusCode::OK, facts::memory(shards).await)
        }
        Call::TaskDump => {
            let shards = ask::each(&shard.process, Inspect::Tasks).await;
            Response::text(StatusCode::OK, facts::dump(&shards))
        }
    }
}

const NO_XFER: &str =
    "xfer is not done by this engine: messages stay on the node that accepted them; to empty a node, let it deliver\n";

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

async fn orders(shard: &Rc<Shard>, what: What, request: &Request, caller: &AuthInfo) -> Response {
    match request.method {
        Method::GET => admin::list(shard, what).await,
        Method::POST => admin::post(shard, what, request, who(caller)).await,
        Method::DELETE => admin::delete(shard, what, request).await,
        _ => Response::text(StatusCode::METHOD_NOT_ALLOWED, "GET, POST or DELETE\n"),
    }
}
