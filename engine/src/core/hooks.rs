//! The hooks that the policy asked for.

use super::policy_http::PolicyHttp;
use ringmta_events::hook::Hook;
use ringmta_events::hook_log::HookLog;
use ringmta_events::limits::{HOOK_CONNECTION_IDLE_SECS, HOOK_REQUESTS_MAX};
use ringmta_io as io;
use ringmta_policy::{HttpClient, HttpOptions};
use ringmta_shard::Process;
use std::rc::Rc;
use std::time::Duration;

/// Opens them on shard `index`, which takes over what shards that are gone have left.
///
/// # Errors
/// Which log cannot be opened, and why.
pub(super) fn open(process: &Process, index: usize) -> Result<Vec<Rc<Hook>>, String> {
    let base = process.spool.meta.join("hooks");
    let open = |name: &str, limit: u64| {
        let dir = base.join(name);
        let mut orphans = Vec::new();
        // On a first start there is no such folder.
        for path in io::fs::read_dir(&dir).unwrap_or_default() {
            let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
            if number.is_some_and(|n: usize| n >= process.shards && n % process.shards == index) {
                orphans.push(path);
            }
        }
        let own = dir.join(index.to_string());
        let log = HookLog::open(own, &orphans);
        let log = log.map_err(|error| format!("event log of hook {name}: {error}"))?;
        log.set_limit(limit.div_ceil(process.shards as u64));
        Ok::<HookLog, String>(log)
    };
    let file = format!("{index}.jsonl");
    let dead_letters = |name: &str| base.join(name).join("dead-letters").join(&file);
    let mut hooks = Vec::new();
    for options in &process.init.log_hooks {
        let log = open(&options.name, options.max_backlog_bytes)?;
        hooks.push(Rc::new(Hook::lua(options, log, dead_letters(&options.name))));
    }
    for options in &process.init.http_log_hooks {
        let log = open(&options.name, options.max_backlog_bytes)?;
        let client: Rc<dyn HttpClient> = Rc::new(PolicyHttp::new(process, connections_of_a_hook()));
        let letters = dead_letters(&options.name);
        hooks.push(Rc::new(Hook::http(options, client, log, letters)));
    }
    Ok(hooks)
}

/// As many are kept as there may be requests.
fn connections_of_a_hook() -> HttpOptions {
    HttpOptions {
        any_certificate: false,
        idle: Duration::from_secs(HOOK_CONNECTION_IDLE_SECS),
        most_idle: HOOK_REQUESTS_MAX,
        ignores_bodies: true,
    }
}
