//! Finds where a scheduled queue's mail goes: its configuration, the hosts, the sources, and so
//! the ready queues. Asked of policy and DNS once per refresh interval, never per message.

use super::ready::ReadyQueue;
use super::scheduled::{Route, ScheduledQueue};
use crate::egress::mta_sts;
use crate::egress::plan::{self, Plan};
use crate::egress::reply::Response;
use crate::egress::undelivered;
use crate::io::sim::planted::{is_planted, Bug};
use crate::io::{self, mono_nanos};
use crate::limits;
use crate::shard::Shard;
use ringmta_policy::{
    EgressPath, EgressSource, Policy, PolicyError, Protocol, QueueConfig, RefreshStrategy, StsMode,
};
use std::rc::Rc;
use std::time::Duration;

const UNSPECIFIED: &str = "unspecified";

/// Starts to find the route of `queue` anew, unless that is under way. What is known stays in
/// force meanwhile.
pub fn refresh(shard: &Rc<Shard>, queue: &Rc<ScheduledQueue>) {
    if queue.resolving.replace(true) {
        return;
    }
    let (shard, queue) = (shard.clone(), queue.clone());
    io::spawn(async move {
        // A task runs at once when it is spawned; whoever asked holds a message in its hand.
        io::yield_now().await;
        let (found, in_force) = find_in_force(&shard, &queue).await;
        queue.resolving.set(false);
        match found {
            Ok(route) => {
                let paths = route.ready().map(|ready| ready.path().refresh_interval).min();
                let interval = queue.config.borrow().refresh_interval;
                let interval = paths.map_or(interval, |path| path.min(interval));
                let nanos = interval.max(limits::REFRESH_INTERVAL_MIN).as_nanos() as u64;
                let until = mono_nanos().saturating_add(nanos);
                queue.fresh_until.set(if in_force { until } else { 0 });
                *queue.route.borrow_mut() = Some(Rc::new(route));
            }
            Err(response) => {
                // Known ready queues go on; without any, what waits has had its attempt.
                queue.fresh_until.set(mono_nanos() + 1_000_000_000);
                *queue.last_trouble.borrow_mut() = response.content.clone();
                if queue.route.borrow().is_none() || response.is_permanent() {
                    *queue.route.borrow_mut() = None;
                    return undelivered::fail_waiting(&shard, &queue, response);
                }
            }
        }
        shard.queues.pump(&shard, &queue);
    });
}

/// Finds the route by the policy and the epoch that are in force when it is found: an answer that
/// was under way while they changed is not kept. Where they change all the time the last answer is
/// taken, and `false` says that it is asked for again.
async fn find_in_force(
    shard: &Rc<Shard>,
    queue: &Rc<ScheduledQueue>,
) -> (Result<Route, Response>, bool) {
    let limit = Duration::from_secs(limits::ROUTE_SECS);
    let mut tries = 0;
    loop {
        tries += 1;
        let (policy, serial) = (shard.policy(), shard.serial());
        let epoch = shard.process.policy_shared.epoch();
        let found = match io::deadline(limit, find(shard, queue, &policy, epoch)).await {
            Ok(found) => found,
            Err(_) => {
                let text = format!("the route of {} was not found within {limit:?}", queue.name);
                tracing::error!("{text}");
                Err(Response::internal(451, text))
            }
        };
        queue.serial.set(serial);
        let same_epoch = epoch == shard.process.policy_shared.epoch();
        let in_force = same_epoch && serial == shard.serial();
        if in_force || tries == limits::ROUTE_TRIES {
            return (found, in_force);
        }
    }
}

async fn find(
    shard: &Rc<Shard>,
    queue: &Rc<ScheduledQueue>,
    policy: &Policy,
    epoch: u64,
) -> Result<Route, Response> {
    let parts = &queue.parts;
    let known = queue.config();
    let config = if known.refresh_strategy == RefreshStrategy::Epoch && queue.epoch.get() == epoch {
        known
    } else {
        let config = policy
            .queue_config(
                &parts.domain,
                parts.tenant.as_deref(),
                parts.campaign.as_deref(),
                parts.routing_domain.as_deref(),
            )
            .await
            .map_err(|error| policy_failed("get_queue_config", &error))?;
        Rc::new(config.unwrap_or_default())
    };
    *queue.config.borrow_mut() = config.clone();
    queue.epoch.set(epoch);
    let (plan, constructor) = find_plan(shard, queue, &config).await?;
    let plan = Rc::new(plan);
    let mut entries = Vec::new();
    for (weight, source) in sources(policy, &config.egress_pool).await? {
        let target =
            Target { queue, pool: &config.egress_pool, plan: &plan, constructor: &constructor };
        let ready = ready_queue(shard, policy, &target, source).await?;
        entries.push((weight, ready));
    }
    if entries.is_empty() {
        let pool = &config.egress_pool;
        return Err(Response::internal(451, format!("egress pool `{pool}` has no usable source")));
    }
    Ok(Route::new(entries))
}

async fn find_plan(
    shard: &Rc<Shard>,
    queue: &ScheduledQueue,
    config: &QueueConfig,
) -> Result<(Plan, Option<String>), Response> {
    match &config.protocol {
        Protocol::Smtp { mx_list, .. } if !mx_list.is_empty() => {
            Ok((plan::from_list(mx_list), None))
        }
        Protocol::Smtp { .. } => {
            let domain = queue.parts.delivery_domain();
            let mut plan = plan::from_dns(&shard.resolver, domain).await?;
            if let Some(name) = plan::domain_name(domain) {
                let policy = mta_sts::find(shard, name).await;
                plan.sts = policy.filter(|policy| policy.mode == StsMode::Enforce);
            }
            Ok((plan, None))
        }
        Protocol::Lua { constructor, .. } => {
            let site = queue.parts.domain.clone();
            Ok((
                Plan { site, hosts: Vec::new(), fixed: true, sts: None },
                Some(constructor.clone()),
            ))
        }
        Protocol::Maildir { .. } | Protocol::Xfer { .. } => {
            Err(Response::internal(451, "this delivery protocol is not supported"))
        }
    }
}

async fn sources(policy: &Policy, pool: &str) -> Result<Vec<(u32, EgressSource)>, Response> {
    let entries = if pool == UNSPECIFIED {
        vec![(1, UNSPECIFIED.to_string())]
    } else {
        let found = policy
            .egress_pool(pool)
            .await
            .map_err(|error| policy_failed("get_egress_pool", &error))?;
        let found = found.ok_or_else(|| {
            Response::internal(451, format!("egress pool `{pool}` is not defined by the policy"))
        })?;
        found.entries.into_iter().map(|entry| (entry.weight, entry.name)).collect()
    };
    let mut sources = Vec::new();
    for (weight, name) in entries.into_iter().filter(|(weight, _)| *weight > 0) {
        let source = if name == UNSPECIFIED {
            None
        } else {
            let found = policy
                .egress_source(&name)
                .await
                .map_err(|error| policy_failed("get_egress_source", &error))?;
            Some(found.ok_or_else(|| {
                let text = format!("egress source `{name}` is not defined by the policy");
                Response::internal(451, text)
            })?)
        };
        sources.push((weight, source.unwrap_or(EgressSource { name, ..EgressSource::default() })));
    }
    Ok(sources)
}

/// What the ready queues of one scheduled queue have in common.
struct Target<'a> {
    queue: &'a ScheduledQueue,
    pool: &'a str,
    plan: &'a Rc<Plan>,
    constructor: &'a Option<String>,
}

async fn ready_queue(
    shard: &Rc<Shard>,
    policy: &Policy,
    target: &Target<'_>,
    source: EgressSource,
) -> Result<Rc<ReadyQueue>, Response> {
    let routing_domain = target.queue.parts.delivery_domain();
    let protocol = match target.constructor {
        Some(constructor) => format!("lua:{constructor}"),
        None => "smtp_client".to_string(),
    };
    let site = format!("{}->{}@{protocol}", source.name, target.plan.site);
    // Domains that demand different things of the same hosts never share a connection.
    let name = match &target.plan.sts {
        Some(policy) => format!("{site}+mta-sts:{}", policy.digest()),
        None => site.clone(),
    };
    let known = || shard.queues.ready.borrow().get(&name).cloned();
    let epoch = shard.process.policy_shared.epoch();
    let before = known();
    let fresh = before.clone().filter(|ready| ready.is_path_fresh(mono_nanos(), epoch));
    let (path, asked) = match fresh {
        Some(ready) => (ready.path(), ready.path_asked.get()),
        None => {
            let asked = (mono_nanos(), epoch);
            let path: Option<EgressPath> = policy
                .egress_path(routing_domain, &source.name, &target.plan.site)
                .await
                .map_err(|error| policy_failed("get_egress_path_config", &error))?;
            (Rc::new(path.unwrap_or_default()), asked)
        }
    };
    let source = Rc::new(source);
    // Another domain of this site may have made it while policy was asked: there is one of a name.
    let known = if is_planted(Bug::StaleLookup) { before } else { known() };
    if let Some(ready) = known {
        // Of two answers the one that was asked for later counts.
        if asked.0 >= ready.path_asked.get().0 {
            ready.set_path(path, &shard.process.limits);
            ready.path_asked.set(asked);
        }
        *ready.plan.borrow_mut() = target.plan.clone();
        *ready.source.borrow_mut() = source;
        return Ok(ready);
    }
    let ready = Rc::new(ReadyQueue::new(
        name.clone(),
        &site,
        target.pool,
        routing_domain,
        target.constructor.clone(),
        source,
        target.plan.clone(),
        path,
        &shard.process.limits,
    ));
    ready.path_asked.set(asked);
    ready.held_until.set(shard.queues.orders.ready_held_until(&ready.name));
    shard.queues.ready.borrow_mut().insert(name, ready.clone());
    Ok(ready)
}

fn policy_failed(event: &str, error: &PolicyError) -> Response {
    match error {
        PolicyError::Reject(rejection) => Response::internal(rejection.code, &rejection.text),
        other => Response::internal(451, format!("{event}: {other}")),
    }
}
