//! `ringmta ingest` and `ringmta dump`: messages brought into an inbox, and out of one.

use super::sendmail::host;
use super::tools::{DumpArgs, IngestArgs};
use futures::executor::block_on;
use ringmta_io::ring as shard;
use ringmta_sandbox::database::Database;
use ringmta_sandbox::relay::Outgoing;
use ringmta_sandbox::search::Search;
use ringmta_sandbox::settings::{DatabaseFile, Keeping};
use ringmta_sandbox::store::Store;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Messages that are asked for at once.
const PAGE: usize = 100;
/// Folders within folders that are looked into.
const DEPTH: usize = 16;

/// Sends each file to the inbox.
///
/// # Errors
/// Which was not sent, and why; those behind it are not either.
pub fn ingest(args: &IngestArgs) -> Result<(), String> {
    let server = host(&args.server.smtp_addr)?;
    let mut files = Vec::new();
    for path in &args.paths {
        gather(path, path.is_file(), DEPTH, &mut files)?;
    }
    for path in &files {
        let named = |error: String| format!("{}: {error}", path.display());
        let source = std::fs::read(path).map_err(|error| named(error.to_string()))?;
        let (from, to) = people(&source);
        let outgoing = Outgoing { host: server.clone(), from, to, source };
        outgoing.send_now().map_err(named)?;
    }
    say!("{} messages", files.len());
    Ok(())
}

/// Files of messages: those named, and in folders those that end in .eml or lie in a Maildir.
fn gather(path: &Path, named: bool, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    if named {
        files.push(path.to_path_buf());
        return Ok(());
    }
    if depth == 0 {
        return Err(format!("{}: folders lie too deep in each other", path.display()));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(said)? {
        entries.push(entry.map_err(said)?);
    }
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let maildir = path.file_name().is_some_and(|name| name == "cur" || name == "new");
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(said)?);
        let is_message =
            path.extension().is_some_and(|end| end.eq_ignore_ascii_case("eml")) || maildir;
        if kind.is_dir() {
            gather(&path, false, depth - 1, files)?;
        } else if kind.is_file() && is_message {
            files.push(path);
        }
    }
    Ok(())
}

/// Sender and recipients by the header; somebody where it names nobody, for an envelope has to.
fn people(source: &[u8]) -> (String, Vec<String>) {
    let read = mail_parser::MessageParser::default().parse_headers(source);
    let read = read.as_ref();
    let path = read.and_then(|mail| {
        mail.header_raw("Return-Path").map(|path| path.trim().trim_matches(['<', '>']).to_string())
    });
    let author = read.and_then(|mail| mail.from()?.first()?.address().map(str::to_string));
    let valid = |one: &String| ringmta_sandbox::relay::is_address(one);
    let from = path.filter(valid).or(author.filter(valid)).unwrap_or_default();
    let lists = read.into_iter().flat_map(|mail| [mail.to(), mail.cc(), mail.bcc()]).flatten();
    let named =
        lists.flat_map(|list| list.iter()).filter_map(|one| one.address().map(str::to_string));
    let mut to: Vec<String> = named.filter(valid).collect();
    if to.is_empty() {
        to.push("unknown@localhost".into());
    }
    (from, to)
}

/// Writes each message of an inbox to a file.
///
/// # Errors
/// What could not be read or written.
pub fn dump(args: &DumpArgs) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", args.dir.display());
    std::fs::create_dir_all(&args.dir).map_err(said)?;
    let count = match (&args.http, &args.database) {
        (Some(url), _) => dump_http(url.trim_end_matches('/'), &args.dir)?,
        (None, Some(file)) => dump_database(file.clone(), args.dir.clone())?,
        (None, None) => 0,
    };
    say!("{count} messages");
    Ok(())
}

/// An id names a file; one of another program's is none.
fn write(dir: &Path, id: &str, source: &[u8]) -> Result<(), String> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("`{id}` is no id of a message"));
    }
    let path = dir.join(format!("{id}.eml"));
    std::fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))
}

fn dump_http(url: &str, dir: &Path) -> Result<usize, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .tls_config(ringmta_policy::trust::http_tls())
        .build();
    let agent: ureq::Agent = config.into();
    let get = |path: String| {
        let failed = |error: ureq::Error| format!("{url}{path}: {error}");
        let limit = ringmta_smtp::limits::MESSAGE_BYTES_MAX as u64;
        let mut answer = agent.get(format!("{url}{path}")).call().map_err(failed)?;
        answer.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)
    };
    let mut count = 0;
    loop {
        let page = get(format!("/api/v1/messages?start={count}&limit={PAGE}"))?;
        let page: Value =
            serde_json::from_slice(&page).map_err(|error| format!("{url}: {error}"))?;
        let messages = page["messages"].as_array().cloned().unwrap_or_default();
        for message in &messages {
            let id = message["ID"].as_str().unwrap_or("");
            write(dir, id, &get(format!("/api/v1/message/{id}/raw"))?)?;
        }
        count += messages.len();
        if messages.is_empty() {
            return Ok(count);
        }
    }
}

fn dump_database(path: PathBuf, dir: PathBuf) -> Result<usize, String> {
    if !path.is_file() {
        return Err(format!("there is no database {}", path.display()));
    }
    let keeping = Keeping { max_messages: 0, ..Keeping::default() };
    let file = DatabaseFile { path, compression: 1, wal: true, vacuum: true };
    let database = Database::open(&file, keeping.most())?;
    let (tell, told) = futures::channel::oneshot::channel();
    let work = move || async move {
        let store = Store::in_database(database, keeping);
        let _ = tell.send(write_all(&store, &dir).await);
    };
    let thread = shard::run_shard("dump", None, work).map_err(|error| error.to_string())?;
    let count = block_on(told).map_err(|_| "it was broken off".to_string())?;
    let _ = thread.join();
    count
}

async fn write_all(store: &Store, dir: &Path) -> Result<usize, String> {
    let mut count = 0;
    loop {
        let page = store.page(&Search::default(), count, PAGE).await.map_err(|error| error.0)?;
        for message in &page.messages {
            let id = message["ID"].as_str().unwrap_or("");
            if let Some(message) = store.get(id).await.map_err(|error| error.0)? {
                write(dir, id, &message.source)?;
            }
        }
        count += page.messages.len();
        if page.messages.is_empty() {
            return Ok(count);
        }
    }
}
