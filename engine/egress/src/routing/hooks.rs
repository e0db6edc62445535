//! What holds for the queues of hooks unless the policy says otherwise.

use ringmta_events::limits::HOOK_CONNECTIONS_MAX;
use ringmta_policy::{EgressPath, Limit, LogHook, Protocol, QueueConfig, QueueName};
use ringmta_shard::state::Shard;

/// The configuration of a queue: where it is a hook's own, its records go over the connection that the hook names, or
/// that the policy has a constructor for.
pub fn configured(shard: &Shard, parts: &QueueName, config: QueueConfig) -> QueueConfig {
    let Some(name) = parts.domain.strip_suffix(".log_hook") else { return config };
    let hooks = &shard.process.init.log_hooks;
    let Some(hook) = hooks.iter().find(|hook| hook.name.eq_ignore_ascii_case(name)) else {
        return config;
    };
    let by_name = format!("make.{}.log_hook", hook.name);
    let names_one = matches!(config.protocol, Protocol::Lua { .. });
    if hook.constructor.is_some() || !names_one && shard.policy().handles(&by_name) {
        return QueueConfig { protocol: protocol(hook, by_name), ..config };
    }
    config
}

fn protocol(hook: &LogHook, by_name: String) -> Protocol {
    let batch_size = hook.batch_size.max(1);
    Protocol::Lua {
        constructor: hook.constructor.clone().unwrap_or(by_name),
        batch_size,
        min_batch_size: hook.min_batch_size.clamp(1, batch_size),
        max_batch_latency: hook.max_batch_latency,
    }
}

/// The path of a receiver behind a policy's own connections, where the policy has no word on it: enough connections for
/// one that takes its time.
pub fn default_path() -> EgressPath {
    EgressPath {
        connection_limit: Limit::new(HOOK_CONNECTIONS_MAX as u64),
        ..EgressPath::default()
    }
}
