//! `ringmta hooks`: dead letters looked at, and sent again, by a running engine or by the files of a spool.

use crate::cli::args::{HooksArgs, HooksWhat};
use crate::cli::ctl::{hooks_view, pretty, Api};
use crate::control::hooks::dead_letters_of;
use crate::folders;
use ringmta_events::dead_letters::{self, DeadLetters};
use ringmta_events::hook_log::HookLog;
use ringmta_events::limits::HOOK_SHOWN_MAX;
use ringmta_events::window;
use ringmta_io::{self as io, system};
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Carries out one command and prints the answer.
///
/// # Errors
/// What went wrong, in one line.
pub fn hooks(args: &HooksArgs) -> Result<(), String> {
    let answer = match (&args.meta, &args.data) {
        (Some(meta), Some(data)) => by_files(meta, data, &args.what)?,
        _ => by_engine(&Api::new(&args.api)?, &args.what)?,
    };
    let told = match args.json {
        true => return print(&pretty(&answer)),
        false => serde_json::from_str(&answer)
            .map_err(|error| format!("the engine's answer is no JSON: {error}"))?,
    };
    print(&match &args.what {
        HooksWhat::List => hooks_view::list(&told),
        HooksWhat::Show { .. } => hooks_view::letters(&told),
        HooksWhat::Replay { .. } => hooks_view::replayed(&told),
    })
}

fn print(text: &str) -> Result<(), String> {
    say!("{text}");
    Ok(())
}

fn by_engine(api: &Api, what: &HooksWhat) -> Result<String, String> {
    match what {
        HooksWhat::List => api.get("/api/admin/hooks/v1", &[]),
        HooksWhat::Show { name, limit } => {
            let query = [("hook", name.as_str()), ("limit", &limit.to_string())];
            api.get("/api/admin/hooks/dead-letters/v1", &query)
        }
        HooksWhat::Replay { name, id } => {
            let body = json!({"hook": name, "ids": id});
            api.send("POST", "/api/admin/hooks/replay/v1", &body)
        }
    }
}

fn by_files(meta: &Path, data: &Path, what: &HooksWhat) -> Result<String, String> {
    let read = |error: std::io::Error| format!("{}: {error}", meta.display());
    match what {
        HooksWhat::List => {
            let mut list = Vec::new();
            for path in std::fs::read_dir(meta.join("hooks")).map_err(read)?.flatten() {
                let name = path.file_name().to_string_lossy().into_owned();
                let dir = dead_letters_of(meta, &name);
                let found = dead_letters::look(&dir, 0, u64::MAX).map_err(read)?;
                list.push(json!({"name": name, "dead_letters": found.count}));
            }
            Ok(json!(list).to_string())
        }
        HooksWhat::Show { name, limit } => {
            let dir = known(meta, name)?;
            let most = (*limit).min(HOOK_SHOWN_MAX);
            let found = dead_letters::look(&dir, most, u64::MAX).map_err(read)?;
            Ok(json!({"count": found.count, "letters": found.shown}).to_string())
        }
        HooksWhat::Replay { name, id } => {
            let dir = known(meta, name)?;
            may_write(meta, data)?;
            let replayed = replay(meta.join("hooks").join(name), dir, id.clone())?;
            Ok(json!({"hook": name, "replayed": replayed}).to_string())
        }
    }
}

/// The folder of the dead letters of a hook that there is.
fn known(meta: &Path, name: &str) -> Result<PathBuf, String> {
    let hook = meta.join("hooks").join(name);
    match hook.is_dir() && !name.contains('/') {
        true => Ok(dead_letters_of(meta, name)),
        false => Err(format!("no hook is called `{name}`: there is no folder {}", hook.display())),
    }
}

/// Only where no engine writes, and as the user it will read as.
fn may_write(meta: &Path, data: &Path) -> Result<(), String> {
    if system::is_locked(&data.join(folders::LOCK)) {
        return Err("an engine runs on this spool: leave out --meta and --data to have it send \
                    the letters again"
            .into());
    }
    let owner = |path: &Path| std::fs::metadata(path).map(|found| found.uid());
    let (spool, me) = (owner(meta), owner(Path::new("/proc/self")));
    match (spool, me) {
        (Ok(spool), Ok(me)) if spool != me => Err(format!(
            "{} belongs to user {spool}: run this as that user, so that the engine can read what \
             is written",
            meta.display()
        )),
        (Err(error), _) | (_, Err(error)) => Err(format!("{}: {error}", meta.display())),
        _ => Ok(()),
    }
}

/// Puts the events into an event log of their own, as if a shard that is gone had left it: the next start takes it over.
fn replay(hook: PathBuf, dir: PathBuf, ids: Vec<String>) -> Result<u64, String> {
    let shown = hook.display().to_string();
    let work = move || async move {
        let now = io::unix_nanos() / 1_000_000_000;
        let log = HookLog::open(hook.join(now.to_string()), &[])?;
        let again = |events: Vec<String>| {
            for event in events {
                let line = window::replayed(&event, now);
                log.append(|out| out.extend_from_slice(line.as_bytes()));
            }
            log.flush()
        };
        DeadLetters::new(dir.join("0.jsonl")).take(|_| true, &ids, again).await
    };
    let thread = io::ring::run_shard("hooks", None, work).map_err(|error| error.to_string())?;
    let ended = thread.join().map_err(|_| "the replay has ended in a panic".to_string())?;
    ended.and_then(|replayed| replayed).map_err(|error| format!("{shown}: {error}"))
}
