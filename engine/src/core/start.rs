//! The start of one shard.

use super::hooks;
use super::host::{load_policy, ShardHost, Slot};
use super::letters;
use super::stages::Core;
use super::stop::stop;
use crate::console::sampler;
use crate::control;
use crate::limits::SPOOL_HANDLER_SECS;
use ringmta_egress::Egress;
use ringmta_events::hook_run;
use ringmta_events::metrics::Metrics;
use ringmta_events::policy_cell::PolicyCell;
use ringmta_events::sinks::{run_logs, Events};
use ringmta_events::Context;
use ringmta_io as io;
use ringmta_io::stopping::Stopping;
use ringmta_policy::Policy;
use ringmta_queue::budget::BodyBudget;
use ringmta_queue::{order_log, Queues};
use ringmta_shard::accounting::{self, Accounting};
use ringmta_shard::listener_tls::Renewals;
use ringmta_shard::logins::Logins;
use ringmta_shard::volumes::Volumes;
use ringmta_shard::{entry, order_counts, timers, work, Process, Shard};
use ringmta_smtp::ids::IdSource;
use ringmta_spool::log::{compact, load, write};
use ringmta_spool::start::open::open;
use ringmta_spool::start::recover::Recovered;
use ringmta_spool::Partition;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Runs shard `index` until it is told to stop. `up` hears whether it came up, with the number of
/// messages recovered.
pub async fn run(
    process: Arc<Process>,
    index: usize,
    up: futures::channel::oneshot::Sender<Result<usize, String>>,
) {
    let core = match start(process, index).await {
        Ok((core, recovered)) => {
            let _ = up.send(Ok(recovered));
            core
        }
        Err(why) => {
            let _ = up.send(Err(why));
            return;
        }
    };
    serve(&core).await;
}

/// Does what letters say until one says stop, then stops.
pub async fn serve(core: &Rc<Core>) {
    letters::serve(core).await;
    stop(core).await;
}

/// Start order: partition recovered, policy loaded, queues rebuilt, egress open. Listeners are opened by a letter, when every
/// shard has come this far.
///
/// # Errors
/// What stands in the way, naming the shard where it matters.
pub async fn start(process: Arc<Process>, index: usize) -> Result<(Rc<Core>, usize), String> {
    let (spool, recovered) = recover(&process, index).await?;
    let core = assemble(process, index, spool)?;
    let shard = &core.shard;
    load_policy(&core).map_err(|error| error.to_string())?;
    let count = recovered.len();
    let enumerate = shard.policy().handles("spool_message_enumerated");
    for mut message in recovered {
        if enumerate {
            enumerated(shard, &mut message).await?;
        }
        entry::recovered(shard, message);
    }
    if count > 0 {
        io::memory::give_back();
    }
    restore_orders(shard).await?;
    spawn_tasks(&core);
    Ok((core, count))
}

async fn recover(
    process: &Process,
    index: usize,
) -> Result<(Rc<Partition>, Vec<Recovered>), String> {
    let opened = open(&process.spool, index, process.shards).await;
    let (spool, recovered, report) =
        opened.map_err(|error| format!("spool of shard {index}: {error}"))?;
    for damage in &report.damage {
        tracing::warn!("spool: {damage}");
    }
    if report.records > 0 {
        let live = recovered.len();
        tracing::info!("shard {index}: {live} of {} records wait for delivery", report.records);
    }
    Ok((spool, recovered))
}

/// Puts the stages together. The policy is not loaded yet: what it may ask of the shard has to be there first.
fn assemble(process: Arc<Process>, index: usize, spool: Rc<Partition>) -> Result<Rc<Core>, String> {
    let shards = process.shards;
    let slot = Slot::default();
    let host = Rc::new(ShardHost(slot.clone()));
    let context = Rc::new(Context {
        index,
        shards,
        policy: PolicyCell::new(Policy::empty(process.policy_shared.clone(), host)),
        policy_shared: process.policy_shared.clone(),
        ids: IdSource::new(index),
        spans: process.spans.clone(),
        stopping: Stopping::default(),
    });
    let hooks = hooks::open(&process, index)?;
    let events = Events::new(&context, &process.node_id, &process.init.local_logs, hooks)?
        .with_classifier(process.init.bounce_classifier.clone())
        .with_dispositions(&process.init.log_disposition_hooks);
    let accounting = process.init.accounting_log.as_ref().map(Accounting::open).transpose()?;
    let accounting = accounting.map(Rc::new);
    let shard = Rc::new(Shard {
        index,
        context,
        renewals: Renewals::default(),
        listeners: process.init.esmtp_listeners.iter().cloned().map(Rc::new).collect(),
        spool,
        queues: Queues::within(BodyBudget::of(&process.init, shards)),
        events: Rc::new(events),
        accounting,
        volumes: process.init.volumes_db.clone().map(Volumes::in_file),
        metrics: Metrics::default(),
        trace: Default::default(),
        logins: Logins::of(shards),
        process,
    });
    let egress = Rc::new(Egress::new(shard.clone()));
    let core = Rc::new(Core { shard, egress, stop_seen: Cell::new(false) });
    *slot.borrow_mut() = Rc::downgrade(&core);
    Ok(core)
}

/// Takes up operators' orders, and what they have done so far.
async fn restore_orders(shard: &Rc<Shard>) -> Result<(), String> {
    let meta = &shard.process.spool.meta;
    if shard.index == 0 {
        if let Err(error) = order_log::compact(meta) {
            tracing::warn!("operators' orders cannot be written anew: {error}");
        }
    }
    let orders = order_log::read(meta, io::steady_millis());
    for order in orders.map_err(|error| format!("operators' orders: {error}"))? {
        control::orders::apply(shard, order).await;
    }
    control::orders::release_orphans(shard).await;
    order_counts::restore(shard);
    Ok(())
}

fn spawn_tasks(core: &Rc<Core>) {
    let shard = &core.shard;
    let events = Rc::downgrade(&shard.events);
    // What hooks were told of a message must be durable before the journal says that it is done.
    shard.spool.journal.before_each_flush(move || {
        let events = events.upgrade();
        Box::pin(async move {
            if let Some(events) = events {
                events.flush_hooks().await;
            }
        })
    });
    io::spawn(write::run_journal(shard.spool.clone()));
    io::spawn(compact::run(shard.spool.clone()));
    io::spawn(timers::run_timers(shard.clone()));
    io::spawn(timers::run_sweeper(shard.clone()));
    io::spawn(work::run(shard.clone()));
    if shard.index == 0 {
        io::spawn(sampler::run(shard.clone()));
    }
    io::spawn(run_logs(shard.events.clone()));
    if let Some(accounting) = &shard.accounting {
        io::spawn(accounting::run(accounting.clone(), shard.index == 0));
    }
    if shard.volumes.is_some() {
        io::spawn(timers::run_volumes(shard.clone()));
    }
    ringmta_accept::start::start(shard);
    ringmta_egress::start::start(&core.egress);
    for hook in shard.events.hooks() {
        hook_run::start(&shard.context, hook);
    }
}

/// Shows policy a message found in the spool; it may steer it to another queue. A handler that
/// fails ends the start: it would do the same to every message.
async fn enumerated(shard: &Rc<Shard>, found: &mut Recovered) -> Result<(), String> {
    let message = load::load(&shard.spool, found.at).await?;
    let (policy, limit) = (shard.policy(), Duration::from_secs(SPOOL_HANDLER_SECS));
    let seen = io::deadline(limit, policy.spool_message_enumerated(&message)).await;
    let late = || format!("spool_message_enumerated took longer than {limit:?}");
    seen.map_err(|_| late())?.map_err(|error| error.to_string())?;
    found.queue = message.queue_name().to_string();
    found.scheduling = message.scheduling();
    Ok(())
}
