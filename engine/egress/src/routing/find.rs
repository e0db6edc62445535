//! Finds where a scheduled queue's mail goes: its configuration, the hosts, the sources, and so
//! the ready queues. Asked of policy and DNS once per refresh interval, never per message.

use crate::claimed::claim;
use crate::limits;
use crate::mta_sts;
use crate::routing::hooks;
use crate::routing::mx as plan;
use crate::stage::Egress;
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_io::{self as io, mono_nanos};
use ringmta_policy::{
    EgressPath, EgressSource, Placed, Policy, PolicyError, Protocol, QueueConfig, RefreshStrategy,
    StsMode, UNSPECIFIED,
};
use ringmta_queue::carrier::Carrier;
use ringmta_queue::model::ReadyQueue;
use ringmta_queue::model::{Route, ScheduledQueue};
use ringmta_queue::plan::Plan;
use ringmta_shard::admit;
use ringmta_shard::flow;
use ringmta_shard::unsent;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::rc::Rc;
use std::time::Duration;

/// Serves the list of queues whose routes are to be found, for as long as the shard lives.
pub async fn run(egress: Rc<Egress>) {
    loop {
        egress.shard.queues.to_route.pushed().await;
        while let Some(queue) = egress.shard.queues.to_route.pop() {
            let egress = egress.clone();
            io::spawn(async move { refresh(&egress, &queue).await });
        }
    }
}

/// Why there is no route.
pub(super) struct NoRoute {
    /// What stands in for a peer's response.
    response: Response,
    /// The ready queue that mail would have left by, as far as it is known.
    via: Option<Box<Via>>,
    /// What is behind it, for operators, where the response does not tell; may be empty.
    why: String,
    /// The route known so far must not be used any more.
    is_forbidden: bool,
}

impl From<Response> for NoRoute {
    fn from(response: Response) -> NoRoute {
        NoRoute { response, via: None, why: String::new(), is_forbidden: false }
    }
}

/// Finds the route of `queue` anew. What is known stays in force meanwhile.
async fn refresh(egress: &Rc<Egress>, queue: &Rc<ScheduledQueue>) {
    let trail = Trail::unclaimed(egress.shard.process.spans.as_ref());
    let (found, in_force) = along(trail.clone(), find_in_force(egress, queue)).await;
    claim(trail, &*queue.waiting.borrow());
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
        Err(NoRoute { response, via, why, is_forbidden }) => {
            // Known ready queues go on; without any, what waits is charged an attempt.
            queue.fresh_until.set(mono_nanos() + 1_000_000_000);
            let why = if why.is_empty() { response.content.clone() } else { why };
            *queue.last_trouble.borrow_mut() = why;
            if queue.route.borrow().is_none() || response.is_permanent() || is_forbidden {
                *queue.route.borrow_mut() = None;
                return unsent::fail_waiting(&egress.shard, queue, response, via.map(|via| *via));
            }
        }
    }
    flow::pump(&egress.shard, queue);
}

/// Finds the route by the policy and the epoch that are in force when it is found: an answer that
/// was under way while they changed is not kept. Where they change all the time the last answer is
/// taken, and `false` says that it is asked for again.
async fn find_in_force(
    egress: &Rc<Egress>,
    queue: &Rc<ScheduledQueue>,
) -> (Result<Route, NoRoute>, bool) {
    let limit = Duration::from_secs(limits::ROUTE_SECS);
    let mut tries = 0;
    loop {
        tries += 1;
        let (policy, serial) = (egress.shard.policy(), egress.shard.serial());
        let epoch = egress.shard.process.policy_shared.epoch();
        let found = match io::deadline(limit, find(egress, queue, &policy, epoch)).await {
            Ok(found) => found,
            Err(_) => {
                let text = format!("the route of {} was not found within {limit:?}", queue.name);
                tracing::error!("{text}");
                Err(Response::internal(451, text).into())
            }
        };
        queue.serial.set(serial);
        let same_epoch = epoch == egress.shard.process.policy_shared.epoch();
        let in_force = same_epoch && serial == egress.shard.serial();
        if in_force || tries == limits::ROUTE_TRIES {
            return (found, in_force);
        }
    }
}

async fn find(
    egress: &Rc<Egress>,
    queue: &Rc<ScheduledQueue>,
    policy: &Policy,
    epoch: u64,
) -> Result<Route, NoRoute> {
    let parts = &queue.parts;
    let known = queue.config();
    let config = if known.refresh_strategy == RefreshStrategy::Epoch && queue.epoch.get() == epoch {
        known
    } else {
        let config = policy
            .queue_config_of(parts)
            .await
            .map_err(|error| policy_failed("get_queue_config", &error))?;
        let (config, at) = config.map_or_else(Default::default, |made| (made.options, made.at));
        *queue.made.borrow_mut() = at;
        Rc::new(hooks::configured(&egress.shard, parts, config))
    };
    *queue.config.borrow_mut() = config.clone();
    queue.epoch.set(epoch);
    let pool = &config.egress_pool;
    let (plan, carrier) = match find_plan(egress, queue, &config).await {
        Ok(found) => found,
        Err(Unplanned::Refused(refusal)) => return Err(refusal),
        Err(Unplanned::Unresolved(plan::Unresolved { response, site, why })) => {
            let sources = sources(policy, pool).await?;
            let via = sources.first().map(|(_, source)| never_left(pool, &source.name, &site));
            let via = via.map(Box::new);
            return Err(NoRoute { response, via, why, is_forbidden: false });
        }
    };
    let plan = Rc::new(plan);
    let mut entries = Vec::new();
    for (weight, source) in sources(policy, pool).await? {
        let target = Target { queue, pool, plan: &plan, carrier: &carrier };
        let ready = ready_queue(egress, policy, &target, source).await?;
        entries.push((weight, ready));
    }
    if entries.is_empty() {
        return Err(admit::no_sources(&queue.name, pool).into());
    }
    Ok(Route::new(entries))
}

/// An attempt that ended before there was anybody to speak to.
fn never_left(pool: &str, source: &str, site: &str) -> Via {
    Via {
        pool: pool.to_string(),
        source: source.to_string(),
        session_id: ringmta_smtp::ids::random_uuid(),
        ..Via::of_queue(&format!("{source}->{site}@smtp_client"))
    }
}

/// Why there are no hosts.
pub(super) enum Unplanned {
    /// There is none.
    Unresolved(plan::Unresolved),
    /// None may be used.
    Refused(NoRoute),
}

impl Unplanned {
    /// Why, in the words of the records of mail that finds none.
    pub(super) fn text(self) -> String {
        match self {
            Unplanned::Unresolved(unresolved) => unresolved.response.content,
            Unplanned::Refused(refused) => refused.response.content,
        }
    }
}

impl From<Response> for Unplanned {
    fn from(response: Response) -> Unplanned {
        Unplanned::Refused(response.into())
    }
}

pub(super) async fn find_plan(
    egress: &Rc<Egress>,
    queue: &ScheduledQueue,
    config: &QueueConfig,
) -> Result<(Plan, Carrier), Unplanned> {
    match &config.protocol {
        Protocol::Smtp { mx_list, .. } if !mx_list.is_empty() => {
            Ok((plan::from_list(mx_list), Carrier::Smtp))
        }
        Protocol::Smtp { .. } => {
            let domain = queue.parts.delivery_domain();
            let plan = plan::from_dns(&egress.resolver, domain).await;
            let mut plan = plan.map_err(Unplanned::Unresolved)?;
            if let Some(name) = plan::domain_name(domain) {
                let policy = mta_sts::find::find(egress, name).await;
                plan.sts = policy.filter(|policy| policy.mode == StsMode::Enforce);
            }
            keep_permitted(&queue.name, domain, &mut plan).map_err(Unplanned::Refused)?;
            Ok((plan, Carrier::Smtp))
        }
        // Each scheduled queue for itself: no host is shared.
        Protocol::Lua { constructor, .. } => {
            Ok((without_hosts(queue), Carrier::Lua(constructor.as_str().into())))
        }
        Protocol::Maildir(maildir) => {
            Ok((without_hosts(queue), Carrier::Maildir(Rc::new(maildir.clone()))))
        }
        Protocol::Xfer { .. } => {
            Err(Response::internal(451, "this delivery protocol is not supported").into())
        }
    }
}

fn without_hosts(queue: &ScheduledQueue) -> Plan {
    Plan { site: queue.name.to_string(), hosts: Vec::new(), fixed: true, sts: None }
}

/// Leaves the plan the hosts that the domain's MTA-STS policy names (RFC 8461 section 5).
fn keep_permitted(queue: &str, domain: &str, plan: &mut Plan) -> Result<(), NoRoute> {
    let Some(policy) = plan.sts.clone() else { return Ok(()) };
    let (hosts, others): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.hosts)
        .into_iter()
        .partition(|host| policy.names(host.name.trim_end_matches('.')));
    plan.hosts = hosts;
    if !plan.hosts.is_empty() {
        return Ok(());
    }
    let dotted: Vec<String> =
        others.iter().map(|host| format!("{}.", host.name.trim_end_matches('.'))).collect();
    let text = format!(
        "failed to resolve queue {queue}: MTA-STS enforce policy for {domain} permits none of its MX hosts \
         {dotted:?}; allowed mx patterns: {:?}. The destination is undeliverable until its MTA-STS policy is \
         corrected.",
        policy.hosts
    );
    let response = Response { code: 451, enhanced: Some((4, 4, 4)), content: text, command: None };
    // Of what was known so far nobody can say whether the domain still wants it.
    Err(NoRoute { is_forbidden: true, ..response.into() })
}

async fn sources(
    policy: &Policy,
    pool: &str,
) -> Result<Vec<(u32, Placed<EgressSource>)>, Response> {
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
        found.options.entries.into_iter().map(|entry| (entry.weight, entry.name)).collect()
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
        let default = || Placed {
            options: EgressSource { name, ..EgressSource::default() },
            at: Default::default(),
        };
        sources.push((weight, source.unwrap_or_else(default)));
    }
    Ok(sources)
}

/// What the ready queues of one scheduled queue have in common.
struct Target<'a> {
    queue: &'a ScheduledQueue,
    pool: &'a str,
    plan: &'a Rc<Plan>,
    carrier: &'a Carrier,
}

async fn ready_queue(
    egress: &Rc<Egress>,
    policy: &Policy,
    target: &Target<'_>,
    source: Placed<EgressSource>,
) -> Result<Rc<ReadyQueue>, Response> {
    let routing_domain = target.queue.parts.delivery_domain();
    let site = format!("{}->{}@{}", source.name, target.plan.site, target.carrier.name());
    // Domains that demand different things of the same hosts never share a connection.
    let name = match &target.plan.sts {
        Some(policy) => format!("{site}+mta-sts:{}", policy.digest()),
        None => site.clone(),
    };
    let known = || egress.shard.queues.ready.borrow().get(&name).cloned();
    let epoch = egress.shard.process.policy_shared.epoch();
    let before = known();
    let fresh = before.clone().filter(|ready| ready.is_path_fresh(mono_nanos(), epoch));
    let (path, path_made, asked) = match fresh {
        Some(ready) => {
            let made = ready.path_made.borrow().clone();
            (ready.path(), made, ready.path_asked.get())
        }
        None => {
            let asked = (mono_nanos(), epoch);
            let path: Option<Placed<EgressPath>> = policy
                .egress_path(routing_domain, &source.name, &target.plan.site)
                .await
                .map_err(|error| policy_failed("get_egress_path_config", &error))?;
            let default = || match target.carrier {
                Carrier::Lua(_) => hooks::default_path(),
                Carrier::Smtp | Carrier::Maildir(_) => EgressPath::default(),
            };
            let path = path.map_or_else(|| (default(), Default::default()), |p| (p.options, p.at));
            (Rc::new(path.0), path.1, asked)
        }
    };
    let (source, source_made) = (Rc::new(source.options), source.at);
    // Another domain of this site may have made it while policy was asked: there is one of a name.
    let known = if is_planted(Bug::StaleLookup) { before } else { known() };
    if let Some(ready) = known {
        // Of two answers the one that was asked for later counts.
        if asked.0 >= ready.path_asked.get().0 {
            ready.set_path(path, &egress.shard.process.limits);
            ready.path_asked.set(asked);
            *ready.path_made.borrow_mut() = path_made;
        }
        *ready.source_made.borrow_mut() = source_made;
        *ready.plan.borrow_mut() = target.plan.clone();
        *ready.source.borrow_mut() = source;
        *ready.carrier.borrow_mut() = target.carrier.clone();
        return Ok(ready);
    }
    let ready = Rc::new(ReadyQueue::new(
        name.clone(),
        &site,
        target.pool,
        routing_domain,
        target.carrier.clone(),
        source,
        target.plan.clone(),
        path,
        &egress.shard.process.limits,
    ));
    ready.path_asked.set(asked);
    *ready.path_made.borrow_mut() = path_made;
    *ready.source_made.borrow_mut() = source_made;
    ready.held_until.set(egress.shard.queues.orders.ready_held_until(&ready.name));
    egress.shard.queues.ready.borrow_mut().insert(name, ready.clone());
    Ok(ready)
}

fn policy_failed(event: &str, error: &PolicyError) -> Response {
    match error {
        PolicyError::Reject(rejection) => Response::internal(rejection.code, &rejection.text),
        other => Response::internal(451, format!("{event}: {other}")),
    }
}
