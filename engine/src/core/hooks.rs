//! The hooks that the policy asked for.

use ringmta_events::hook::Hook;
use ringmta_events::hook_log::HookLog;
use ringmta_io as io;
use ringmta_shard::Process;
use std::rc::Rc;

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
        hooks.push(Rc::new(Hook::http(options, log, dead_letters(&options.name))));
    }
    Ok(hooks)
}
