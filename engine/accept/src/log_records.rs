//! Events of the policy's hooks come in as messages: policy says whether, and into which queue. They are not stored: until
//! their message ends they stay in the log of their hook.

use crate::limits::{INJECT_SLICE_MS, LOG_RECORD_ASKS, LOG_RECORD_ASK_SECS};
use ringmta_events::hook::Hook;
use ringmta_events::window::Event;
use ringmta_io as io;
use ringmta_policy::{Message, Policy, PolicyError};
use ringmta_shard::entry;
use ringmta_shard::state::Shard;
use std::rc::Rc;
use std::time::Duration;

/// Takes in the events of hook number `number`, for as long as the shard lives.
pub async fn run(shard: Rc<Shard>, number: u16, hook: Rc<Hook>) {
    let mut slice_end = io::mono_nanos() + INJECT_SLICE_MS * 1_000_000;
    loop {
        if io::mono_nanos() > slice_end {
            io::yield_now().await;
            slice_end = io::mono_nanos() + INJECT_SLICE_MS * 1_000_000;
        }
        hook.may_ask(LOG_RECORD_ASKS).await;
        let event = hook.next_event().await;
        if shard.context.stopping.get() {
            return;
        }
        let policy = shard.policy();
        let message = hook.message_of(&event);
        if has_own_way(&hook, &policy) {
            message.set_meta("queue", hook.own_queue());
        }
        if !policy.handles(EVENT) {
            match has_own_way(&hook, &policy) {
                true => enter(&shard, number, &hook, event, message),
                false => hook.skip(event),
            }
            continue;
        }
        hook.queued.asking.set(hook.queued.asking.get() + 1);
        let (shard, hook) = (shard.clone(), hook.clone());
        io::spawn(async move {
            ask(&shard, number, &hook, &policy, event, message).await;
            hook.asked();
        });
    }
}

const EVENT: &str = "should_enqueue_log_record";

/// Whether records have a queue of their own to go to, with a connection of the policy's: nobody need name one.
fn has_own_way(hook: &Hook, policy: &Policy) -> bool {
    let named = hook.options().is_some_and(|options| options.constructor.is_some());
    named || policy.handles(&format!("make.{}", hook.own_queue()))
}

async fn ask(
    shard: &Rc<Shard>,
    number: u16,
    hook: &Rc<Hook>,
    policy: &Policy,
    event: Event,
    message: Message,
) {
    let limit = Duration::from_secs(LOG_RECORD_ASK_SECS);
    let asked = policy.should_enqueue_log_record(&message, &hook.name);
    match io::deadline(limit, asked).await {
        Ok(Ok(answer)) => {
            let named = hook.options().is_some_and(|options| options.constructor.is_some());
            match answer.unwrap_or(named) {
                true => enter(shard, number, hook, event, message),
                false => hook.skip(event),
            }
        }
        // A filter that fails must not lose events.
        Ok(Err(error)) => hook.set_aside_for_sure(event, &why(&error)).await,
        Err(_) => hook.set_aside_for_sure(event, &format!("{EVENT} took over {limit:?}")).await,
    }
}

fn why(error: &PolicyError) -> String {
    format!("Error while calling {EVENT}: {error}")
}

fn enter(shard: &Rc<Shard>, number: u16, hook: &Rc<Hook>, event: Event, message: Message) {
    // What policy has changed of it is kept where it is, not in the spool.
    message.clear_changes();
    let queue = message.queue_name().to_string();
    if queue == "null" {
        return hook.skip(event);
    }
    if hook.enqueue(event, &message) {
        entry::event(shard, number, message, &queue);
    }
}
