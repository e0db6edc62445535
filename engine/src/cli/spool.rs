//! `ringmta spool`: a spool looked at without an engine. Nothing is ever written to it.

use crate::cli::args::{SpoolArgs, SpoolWhat};
use crate::folders;
use crate::start::StartHost;
use ringmta_io::system;
use ringmta_policy::Meta;
use ringmta_spool::inspect;
use ringmta_spool::inspect::{Inspected, Waiting};
use ringmta_spool::log::record;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

/// No damage.
const CLEAN: u8 = 0;
/// Damage was found, or not what was asked for.
const DAMAGED: u8 = 1;
/// The spool cannot be read, or the export not be written.
const UNREADABLE: u8 = 2;

/// Carries out one command and prints the answer.
pub fn spool(args: &SpoolArgs) -> ExitCode {
    match run(args) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            tell!("ringmta: {why}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn run(args: &SpoolArgs) -> Result<u8, String> {
    let (data, meta) = folders(args)?;
    if system::is_locked(&data.join(folders::LOCK)) {
        tell!(
            "ringmta: an engine runs on this spool: what it writes while the spool is read may \
             look like damage"
        );
    }
    let partitions = inspect::spool(&data, &meta).map_err(|error| error.to_string())?;
    match &args.what {
        SpoolWhat::Check => Ok(check(&partitions, args.json)),
        SpoolWhat::Show { id } => show(&partitions, id, args.json),
        SpoolWhat::Export { id, all: _, dir, queue } => {
            export(&partitions, id.as_deref(), queue.as_deref(), dir, args.json)
        }
    }
}

/// The folders named, or those of the policy.
fn folders(args: &SpoolArgs) -> Result<(PathBuf, PathBuf), String> {
    if let (Some(data), Some(meta)) = (&args.data, &args.meta) {
        return Ok((data.clone(), meta.clone()));
    }
    let report = ringmta_policy::validate::check(&args.policy, Rc::new(StartHost))?;
    let find = |name: &str| {
        let found = report.init.spools.iter().find(|spool| spool.name == name);
        found.map(|spool| spool.path.clone()).ok_or_else(|| {
            let policy = args.policy.display();
            format!("{policy} defines no spool `{name}`: name its folder with --data and --meta")
        })
    };
    Ok((find("data")?, find("meta")?))
}

fn check(partitions: &[Inspected], as_json: bool) -> u8 {
    let damaged = partitions.iter().any(|partition| !partition.report.damage.is_empty());
    if as_json {
        let list: Vec<Value> = partitions.iter().map(counts).collect();
        say!("{}", json!({ "clean": !damaged, "partitions": list }));
    } else {
        for one in partitions {
            let Inspected { name, bytes, journals, frames, report, waiting } = one;
            let live: u64 = waiting.iter().map(|one| u64::from(one.at.bytes)).sum();
            say!(
                "partition {name}: {} segments of {bytes} bytes, {} records, {} waiting ({live} \
                 bytes), {} done, {} superseded, {journals} journal files with {frames} frames",
                report.segments,
                report.records,
                waiting.len(),
                report.done,
                report.superseded,
            );
            for damage in &report.damage {
                say!("damage: {damage}");
            }
        }
        say!("{}", if damaged { "damaged" } else { "clean" });
    }
    if damaged {
        DAMAGED
    } else {
        CLEAN
    }
}

fn counts(partition: &Inspected) -> Value {
    let report = &partition.report;
    let damage: Vec<Value> = report
        .damage
        .iter()
        .map(|damage| {
            let file = damage.path.display().to_string();
            json!({ "file": file, "offset": damage.offset, "what": damage.what })
        })
        .collect();
    json!({
        "partition": partition.name,
        "segments": report.segments,
        "bytes": partition.bytes,
        "records": report.records,
        "waiting": partition.waiting.len(),
        "waiting_bytes": partition.waiting.iter().map(|one| u64::from(one.at.bytes)).sum::<u64>(),
        "done": report.done,
        "superseded": report.superseded,
        "journal_files": partition.journals,
        "frames": partition.frames,
        "damage": damage,
    })
}

fn show(partitions: &[Inspected], id: &str, as_json: bool) -> Result<u8, String> {
    let Some((partition, one)) = find(partitions, id)? else { return Ok(DAMAGED) };
    let bytes = inspect::record(one).map_err(|error| error.to_string())?;
    let mut facts = facts(partition, one, &bytes)?;
    let stored = record::parse(&bytes).map_err(String::from)?;
    let head = head(stored.body);
    facts["headers"] = json!(String::from_utf8_lossy(head));
    if as_json {
        say!("{facts}");
        return Ok(CLEAN);
    }
    for (name, value) in facts.as_object().into_iter().flatten().filter(|(n, _)| *n != "headers") {
        match value {
            Value::String(text) => say!("{name}: {text}"),
            other => say!("{name}: {other}"),
        }
    }
    say!("\n{}", String::from_utf8_lossy(head));
    Ok(CLEAN)
}

/// The message called `id`; without it the answer says so and is no.
fn find<'a>(
    partitions: &'a [Inspected],
    id: &str,
) -> Result<Option<(&'a str, &'a Waiting)>, String> {
    let id: ringmta_policy::MessageId =
        id.parse().map_err(|_| format!("`{id}` is no message id: 32 hex digits are"))?;
    for partition in partitions {
        if let Some(one) = partition.waiting.iter().find(|one| one.id == id) {
            return Ok(Some((&partition.name, one)));
        }
    }
    tell!("ringmta: no message {id} waits in this spool");
    Ok(None)
}

/// All that is known of a message but its text.
fn facts(partition: &str, one: &Waiting, bytes: &[u8]) -> Result<Value, String> {
    let place = || format!("{} offset {}", one.path.display(), one.at.offset);
    let stored = record::parse(bytes).map_err(|fault| format!("{}: {fault}", place()))?;
    let recipients: Vec<&str> = stored.recipients.iter().map(|to| to.email()).collect();
    let meta: &Meta = &stored.meta;
    Ok(json!({
        "id": one.id.to_string(),
        "queue": one.queue,
        "sender": stored.sender.email(),
        "recipients": recipients,
        "created_unix_nanos": one.created_nanos,
        "attempts": one.state.map_or(0, |state| state.attempts),
        "due_unix_millis": one.state.map(|state| state.due_millis),
        "meta": meta,
        "partition": partition,
        "file": one.path.display().to_string(),
        "offset": one.at.offset,
        "bytes": stored.body.len(),
    }))
}

fn head(body: &[u8]) -> &[u8] {
    let end = memchr::memmem::find(body, b"\r\n\r\n").map_or(body.len(), |at| at + 2);
    &body[..end]
}

fn export(
    partitions: &[Inspected],
    id: Option<&str>,
    queue: Option<&str>,
    dir: &Path,
    as_json: bool,
) -> Result<u8, String> {
    let chosen: Vec<(&str, &Waiting)> = match id {
        Some(id) => match find(partitions, id)? {
            Some(found) => vec![found],
            None => return Ok(DAMAGED),
        },
        None => partitions
            .iter()
            .flat_map(|partition| {
                partition.waiting.iter().map(|one| (partition.name.as_str(), one))
            })
            .filter(|(_, one)| queue.is_none_or(|queue| one.queue == queue))
            .collect(),
    };
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for (partition, one) in &chosen {
        let bytes = inspect::record(one).map_err(|error| error.to_string())?;
        let facts = facts(partition, one, &bytes)?;
        let stored = record::parse(&bytes).map_err(String::from)?;
        let name = one.id.to_string();
        write(&dir.join(format!("{name}.eml")), stored.body)?;
        write(&dir.join(format!("{name}.json")), format!("{facts:#}\n").as_bytes())?;
    }
    if as_json {
        say!("{}", json!({ "exported": chosen.len() }));
    } else {
        say!("{} messages exported to {}", chosen.len(), dir.display());
    }
    let damaged = partitions.iter().any(|partition| !partition.report.damage.is_empty());
    if damaged {
        tell!("ringmta: the spool is damaged, see `ringmta spool check`");
    }
    Ok(if damaged { DAMAGED } else { CLEAN })
}

/// Nothing that is there already is overwritten.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| format!("{}: {error}", path.display()))
}
