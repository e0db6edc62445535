//! What an operator does with single messages, queues and connections of one shard: try now, delete, end a connection.

use crate::control::moves;
use crate::control::orders::{each_in_timer, take_moving};
use crate::limits::{HEADER_SEARCH_MAX, HEADER_SEARCH_SECS};
use ringmta_io::{mono_nanos, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::model::{Block, Item, Kept};
use ringmta_queue::orders::Order;
use ringmta_queue::tasks::Task;
use ringmta_shard::mesh::{Act, Acted, Target};
use ringmta_shard::places;
use ringmta_shard::state::Shard;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Does it.
pub async fn act(shard: &Rc<Shard>, act: Act) -> Acted {
    match act {
        Act::TryNow(target) => try_now(shard, &target).await,
        Act::Delete(Target::Header { message_id, domain }, order) => {
            delete_by_header(shard, &message_id, domain.as_deref(), order).await
        }
        Act::Delete(target, order) => {
            let mut acted = delete(shard, |item| is_meant(&target, item), &order).await;
            if let Target::Message(id) = target {
                acted.in_work = u64::from(acted.done == 0 && is_in_work(shard, id));
            }
            acted
        }
        Act::Rebind(selector, how) => moves::rebind(shard, &selector, how).await,
        Act::FlushJournal => match shard.spool.flush_journal().await {
            Ok(()) => Acted { done: 1, ..Acted::default() },
            Err(error) => {
                tracing::error!("the journal of shard {} cannot be written: {error}", shard.index);
                Acted { unseen: 1, ..Acted::default() }
            }
        },
        Act::Abort(queue, session) => abort(shard, &queue, &session),
    }
}

fn is_meant(target: &Target, item: &Item) -> bool {
    match target {
        Target::Message(id) => item.id == *id,
        Target::Queue(name) => *item.queue.name == **name,
        Target::Header { .. } => false,
    }
}

/// A task has it in its hand, or is about to.
fn is_in_work(shard: &Shard, id: MessageId) -> bool {
    let listed = shard.queues.to_end.find(|(item, _)| item.id == id, |_| ());
    shard.queues.in_hand.has(id) || listed.is_some()
}

/// What waits for its time is due now, and a site that is left alone as no host takes a connection is tried at once. What
/// an order holds stays held, and limits stay what they are.
async fn try_now(shard: &Rc<Shard>, target: &Target) -> Acted {
    let (orders, now) = (&shard.queues.orders, steady_millis());
    let is_held = |item: &Item| {
        let (name, parts) = (&item.queue.name, &item.queue.parts);
        let held = orders.suspended(name, parts, now).or_else(|| orders.holding(item.id, now));
        !orders.is_empty() && held.is_some()
    };
    let (mut held, mut done) = (0, 0);
    let wanted = |_, item: &Item| {
        let is_held = is_meant(target, item) && is_held(item);
        held += u64::from(is_held);
        is_meant(target, item) && !is_held
    };
    each_in_timer(shard, wanted, |item| {
        done += 1;
        // By way of the timer: what is very much is woken in batches.
        places::defer(shard, item, now);
    })
    .await;
    let mut acted = Acted { done, held, ..Acted::default() };
    let ready: Vec<_> = shard.queues.ready.borrow().values().cloned().collect();
    for queue in ready {
        let meant = queue.items.borrow().iter().filter(|item| is_meant(target, item)).count();
        if meant > 0 && queue.is_blocked_now() && queue.blocked_by.get() == Block::HostsDown {
            queue.blocked_until.set(0);
            shard.queues.kick(&queue);
            acted.done += meant as u64;
        }
    }
    if let Target::Message(id) = target {
        acted.in_work = u64::from(acted.done == 0 && is_in_work(shard, *id));
    }
    acted
}

/// Fails what waits, each message with its record, as a bounce of an operator does.
async fn delete(shard: &Rc<Shard>, wanted: impl Fn(&Item) -> bool + Copy, order: &Order) -> Acted {
    let order = Rc::new(order.clone());
    let mut done = 0;
    let mut end = |item| {
        done += 1;
        shard.queues.end(item, Task::Bounce(order.clone()));
    };
    take_moving(shard, wanted).into_iter().for_each(&mut end);
    each_in_timer(shard, |_, item| wanted(item), end).await;
    Acted { done, ..Acted::default() }
}

/// Deletes the messages whose header `Message-ID` is `wanted`: each that may be meant is read, within a time.
async fn delete_by_header(
    shard: &Rc<Shard>,
    wanted: &str,
    domain: Option<&str>,
    order: Order,
) -> Acted {
    let end = mono_nanos() + HEADER_SEARCH_SECS * 1_000_000_000;
    let candidates = candidates(shard, domain);
    let (all, mut seen) = (candidates.len(), 0);
    let mut found = BTreeSet::new();
    for (id, at) in candidates.into_iter().take(HEADER_SEARCH_MAX) {
        if mono_nanos() > end {
            break;
        }
        seen += 1;
        // One that has left meanwhile, or cannot be read, is none of them.
        let Ok(message) = places::load(shard, at, id).await else { continue };
        let body = message.body().unwrap_or_default();
        let block = ringmta_policy::headers::HeaderBlock::new(&body);
        let Some(field) = block.first("Message-ID") else { continue };
        if bare(&field.decoded()) == bare(wanted) {
            found.insert(id);
        }
    }
    let acted = delete(shard, |item| found.contains(&item.id), &order).await;
    let in_work = found.len() as u64 - acted.done;
    Acted { in_work, unseen: (all - seen) as u64, ..acted }
}

/// An id without its brackets.
fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

fn candidates(shard: &Shard, domain: Option<&str>) -> Vec<(MessageId, Kept)> {
    let fits = |item: &Item| {
        !item.is_event()
            && domain.is_none_or(|domain| item.queue.parts.domain.eq_ignore_ascii_case(domain))
    };
    let mut out = Vec::new();
    let mut see = |item: &Item| {
        if fits(item) {
            out.push((item.id, item.at));
        }
    };
    shard.queues.timers.borrow().iter().for_each(|(_, item)| see(item));
    for queue in shard.queues.scheduled.borrow().values() {
        queue.waiting.borrow().iter().for_each(&mut see);
    }
    for ready in shard.queues.ready.borrow().values() {
        ready.items.borrow().iter().for_each(&mut see);
    }
    out
}

fn abort(shard: &Shard, queue: &str, session: &str) -> Acted {
    let ready = shard.queues.ready.borrow().get(queue).cloned();
    let open = ready.iter().flat_map(|ready| ready.open.borrow().clone());
    let mut done = 0;
    for connection in open.filter(|connection| connection.session_id == session) {
        connection.abort();
        done += 1;
    }
    Acted { done, ..Acted::default() }
}
