//! Messages that a policy's own connection object takes (`protocol = { custom_lua = ... }`): mail, and events of hooks.

use crate::held::Held;
use crate::limits;
use crate::next;
use crate::outcome;
use crate::words::{self, Cause};
use ringmta_events::backoff::pause_of;
use ringmta_events::metrics::Step;
use ringmta_events::retry_after;
use ringmta_io::{self as io, deadline, mono_nanos};
use ringmta_policy::{LuaConnection, Message, PolicyError, Protocol, QueueConfig};
use ringmta_queue::connections::Connection;
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::retry;
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(limits::LUA_DELIVERY_SECS);

/// Runs one connection of the policy from its making to its close.
pub async fn run(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, held: Held<'_>, constructor: &str) {
    let Held { leases, connection: me } = held;
    // The object is of the policy that makes it: one that is loaded anew makes its own.
    let serial = shard.serial();
    let connection = match open(shard, ready, constructor).await {
        Ok(connection) => connection,
        // Whatever it says: without a connection nobody has seen the message.
        Err(why) => return outcome::connection_failed(shard, ready, no_connection(&why)),
    };
    let _open = ready.opened();
    let mut via = ready.via(me.session_id.clone());
    via.protocol = "Lua";
    via.host = format!("Lua via {constructor}");
    *me.host.borrow_mut() = via.host.clone();
    via.peer = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
    let most = ready.path().max_deliveries_per_connection;
    let mut sent = 0;
    while sent < most && !shard.context.stopping.get() && shard.serial() == serial {
        me.idle();
        if me.is_aborted() {
            break;
        }
        if sent > 0 && leases.gives_way_busy(shard, ready, sent) {
            break;
        }
        let is_enough = ready.sends.is_enough();
        let batch = match is_enough {
            true => Vec::new(),
            false => gather(shard, ready, most - sent, connection.has_batch()).await,
        };
        if batch.is_empty() {
            let stays = is_enough || !leases.gives_way_idle(shard, ready, sent);
            let work = ready.wait_idle(ready.path().idle_timeout);
            if stays && me.unless_aborted(work).await == Ok(true) {
                continue;
            }
            break;
        }
        sent += batch.len();
        if let Some(first) = batch.first() {
            me.deliver(first.item.id);
        }
        if !send(shard, ready, &via, (&connection, me), batch).await {
            break;
        }
    }
    if deadline(LIMIT, connection.close()).await.is_err() {
        tracing::error!("{constructor}: close took longer than {LIMIT:?}");
    }
}

/// Makes a connection; else what the policy said, or why there is none. Each scheduled queue has connections of its own:
/// they are made for its domain, tenant and campaign.
async fn open(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    constructor: &str,
) -> Result<LuaConnection, String> {
    let parts = ringmta_policy::QueueName::parse(&ready.plan.borrow().site);
    let (tenant, campaign) = (parts.tenant.as_deref(), parts.campaign.as_deref());
    let policy = shard.policy();
    let opened = policy.open_connection(constructor, &parts.domain, tenant, campaign);
    match deadline(LIMIT, opened).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(one_line(&error)),
        Err(_) => Err(format!("{constructor} took over {LIMIT:?}")),
    }
}

/// How messages are put together.
struct Batching {
    most: usize,
    fewest: usize,
    patience: Duration,
}

impl Batching {
    fn of(config: &QueueConfig) -> Batching {
        match config.protocol {
            Protocol::Lua { batch_size, min_batch_size, max_batch_latency, .. } => {
                Batching { most: batch_size, fewest: min_batch_size, patience: max_batch_latency }
            }
            _ => Batching { most: 1, fewest: 1, patience: Duration::ZERO },
        }
    }
}

/// The messages that are sent next, `most` at the most: as many at once as their queue says, if the connection can.
async fn gather(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    most: usize,
    has_batch: bool,
) -> Vec<Delivery> {
    let Some(first) = next::next(shard, ready).await else { return Vec::new() };
    let how = Batching::of(&first.item.queue.config());
    let most = if has_batch { how.most.min(most) } else { 1 };
    let fewest = how.fewest.min(most);
    ready.sends.batch.set(most);
    let mut batch = vec![first];
    let end = mono_nanos().saturating_add(how.patience.as_nanos() as u64);
    let mut has_waited = false;
    while batch.len() < most {
        if let Some(delivery) = next::next(shard, ready).await {
            batch.push(delivery);
            continue;
        }
        let left = Duration::from_nanos(end.saturating_sub(mono_nanos()));
        if batch.len() >= fewest || left.is_zero() || shard.context.stopping.get() {
            break;
        }
        ready.wait_idle(left).await;
        has_waited = true;
    }
    if has_waited {
        // Orders and expiry count until the moment of sending.
        batch = batch.into_iter().filter_map(|one| next::still(shard, one)).collect();
    }
    batch
}

/// Sends a batch. False when nobody knows what the connection is doing now.
async fn send(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    via: &Via,
    (connection, me): (&LuaConnection, &Connection),
    batch: Vec<Delivery>,
) -> bool {
    me.step("lua: send");
    let messages: Vec<Message> = batch.iter().map(|delivery| delivery.message.clone()).collect();
    let started = mono_nanos();
    ready.sends.begin();
    let sent = async {
        match messages.as_slice() {
            [one] => connection.send(one).await,
            many => connection.send_batch(many).await,
        }
    };
    let result = me.last_answer(deadline(LIMIT, sent)).await;
    ready.sends.end(mono_nanos().saturating_sub(started));
    let attempted = |why: Option<&Response>| {
        batch.iter().for_each(|delivery| {
            outcome::attempted(shard, Step::AttemptLua, delivery, (started, true), why);
        });
    };
    let result = match result {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(format!("send took longer than {LIMIT:?}")),
        Err(_) => Err(words::ABORTED.to_string()),
    };
    let result = match result {
        Ok(result) => result,
        Err(why) => {
            let response = me.hung().map_or_else(|| broken(&why), words::hung);
            attempted(Some(&response));
            for delivery in batch {
                defer(shard, ready, via, delivery, &response).await;
            }
            return false;
        }
    };
    match result {
        Ok(content) => {
            attempted(None);
            let response = Response { code: 200, content, ..Response::default() };
            delivered(shard, ready, via, batch, &response);
            true
        }
        Err(error) => {
            let response = failure(&error);
            attempted(Some(&response));
            refused(shard, ready, via, batch, &response).await;
            true
        }
    }
}

fn delivered(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    via: &Via,
    batch: Vec<Delivery>,
    response: &Response,
) {
    ready.sends.failures.set(0);
    for delivery in batch {
        let recipients = delivery.message.recipients();
        outcome::delivered(shard, via, &delivery, &recipients, response);
        ending::finish(shard, delivery.item);
    }
    // Those that waited until fewer were under way may go.
    shard.queues.kick(ready);
}

async fn refused(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    via: &Via,
    batch: Vec<Delivery>,
    response: &Response,
) {
    let is_event = batch.first().is_some_and(|delivery| delivery.item.is_event());
    if response.is_permanent() {
        ready.sends.failures.set(0);
    } else if is_event {
        leave_alone(shard, ready, response);
    }
    for delivery in batch {
        if response.is_permanent() {
            let recipients = delivery.message.recipients();
            outcome::bounce(shard, via, &delivery, &recipients, response);
            ending::finish(shard, delivery.item);
        } else {
            defer(shard, ready, via, delivery, response).await;
        }
    }
    shard.queues.kick(ready);
}

/// A receiver of events that takes nothing gets pauses, which grow, and single tries until it is back; its own word on
/// that counts.
fn leave_alone(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, response: &Response) {
    let failures = ready.sends.failures.get().saturating_add(1);
    ready.sends.failures.set(failures);
    let grown = ready.sends.is_failing().then(|| pause_of(failures - 1, io::random_u64()));
    if let Some(pause) = asked_pause(response).or(grown) {
        next::block(shard, ready, pause, Block::Receiver);
    }
}

/// How long the receiver asks to be left alone, as far as it is believed.
fn asked_pause(response: &Response) -> Option<Duration> {
    const MOST: Duration = Duration::from_millis(ringmta_events::limits::HOOK_RETRY_AFTER_MAX_MS);
    retry_after::named_in(&response.content).map(|pause| pause.min(MOST))
}

async fn defer(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    via: &Via,
    delivery: Delivery,
    response: &Response,
) {
    let recipients = delivery.message.recipients();
    let peer = via.peer.filter(|_| !response.is_internal());
    let via = Via { peer, ..via.clone() };
    outcome::transient(shard, &via, &delivery, &recipients, response);
    let asked = asked_pause(response).filter(|_| delivery.item.is_event());
    if delivery.item.is_event() {
        shard.events.trouble(&ready.name, &response.to_text());
    }
    retry::retry_after(shard, delivery, recipients, response, asked).await;
}

/// What a failed `send` comes to. A rejection is the answer of the far side, its text as it is.
fn failure(error: &PolicyError) -> Response {
    match error.rejection() {
        Some(rejection) => Response {
            code: rejection.code,
            content: rejection.text.clone(),
            ..Response::default()
        },
        None => broken(&one_line(error)),
    }
}

/// Nobody has answered for the message.
fn broken(why: &str) -> Response {
    Response::internal(400, format!("error in deliver_message: sender:send method failed: {why}"))
}

fn no_connection(why: &str) -> Response {
    Response::internal(400, words::no_host(&[(Cause::Other, why.to_string())]))
}

fn one_line(error: &PolicyError) -> String {
    error.to_string().replace('\n', " ")
}
