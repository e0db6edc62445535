//! How mail to a domain would leave, for people who ask: the same questions to policy and DNS as for a route, and nothing
//! kept of the answers.

use super::find::find_plan;
use crate::limits;
use crate::stage::Egress;
use ringmta_io::deadline;
use ringmta_policy::{EgressPath, MadeAt, Policy, QueueConfig, UNSPECIFIED};
use ringmta_queue::model::ScheduledQueue;
use ringmta_queue::plan::Plan;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How it would leave.
pub struct Explained {
    /// The source that was meant: the one asked for, or else the first of the queue's pool.
    pub source: String,
    /// All sources of that pool.
    pub sources: Vec<String>,
    /// Why there are no hosts.
    pub trouble: Option<String>,
    /// Name of the ready queue.
    pub name: String,
    /// Configuration of the scheduled queue.
    pub queue: QueueConfig,
    /// Who has made it.
    pub queue_at: Arc<MadeAt>,
    /// The hosts; none where the domain has none.
    pub plan: Plan,
    /// Configuration of the path.
    pub path: EgressPath,
    /// Who has made it.
    pub path_at: Arc<MadeAt>,
}

/// Asks for it; without a `source` for the first of its pool.
///
/// # Errors
/// What the policy or the DNS said, or that neither did in time.
pub async fn explain(
    egress: &Rc<Egress>,
    name: &str,
    source: Option<&str>,
) -> Result<Explained, String> {
    let limit = Duration::from_secs(limits::ROUTE_SECS);
    let asked = deadline(limit, ask(egress, name, source)).await;
    asked.unwrap_or_else(|_| Err(format!("policy and DNS have not answered within {limit:?}")))
}

async fn ask(egress: &Rc<Egress>, name: &str, source: Option<&str>) -> Result<Explained, String> {
    let policy = egress.shard.policy();
    let queue = ScheduledQueue::new(name, Arc::default());
    let parts = &queue.parts;
    let config = policy
        .queue_config_of(parts)
        .await
        .map_err(|error| format!("get_queue_config: {error}"))?;
    let (config, queue_at) = config.map_or_else(Default::default, |made| (made.options, made.at));
    let mut trouble = None;
    let (plan, carrier) = match find_plan(egress, &queue, &config).await {
        Ok((plan, carrier)) => (plan, carrier.name()),
        // The path of a domain without hosts is told all the same, under the domain's own name.
        Err(why) => {
            trouble = Some(why.text());
            let site = parts.delivery_domain().to_string();
            (Plan { site, hosts: Vec::new(), fixed: true, sts: None }, "smtp_client".into())
        }
    };
    let sources = sources(&policy, &config.egress_pool).await?;
    let first = || sources.first().map_or(UNSPECIFIED, String::as_str);
    let source = source.unwrap_or_else(first).to_string();
    let path = policy
        .egress_path(parts.delivery_domain(), &source, &plan.site)
        .await
        .map_err(|error| format!("get_egress_path_config: {error}"))?;
    let (path, path_at) = path.map_or_else(Default::default, |made| (made.options, made.at));
    let mut name = format!("{source}->{}@{carrier}", plan.site);
    if let Some(policy) = &plan.sts {
        name += &format!("+mta-sts:{}", policy.digest());
    }
    Ok(Explained { source, sources, trouble, name, queue: config, queue_at, plan, path, path_at })
}

/// The sources of a pool, those with the most weight first.
async fn sources(policy: &Policy, pool: &str) -> Result<Vec<String>, String> {
    if pool == UNSPECIFIED {
        return Ok(vec![UNSPECIFIED.into()]);
    }
    let found = policy.egress_pool(pool).await.map_err(|e| format!("get_egress_pool: {e}"))?;
    let found =
        found.ok_or_else(|| format!("egress pool `{pool}` is not defined by the policy"))?;
    let mut entries = found.options.entries;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.weight));
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}
