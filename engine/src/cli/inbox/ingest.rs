//! `ringmta ingest` and `ringmta dump`: messages brought into an inbox, and out of one.

use super::door::Door;
use super::tools::{DumpArgs, IngestArgs};
use futures::executor::block_on;
use ringmta_io::ring as shard;
use ringmta_sandbox::database::Database;
use ringmta_sandbox::search::Search;
use ringmta_sandbox::settings::{DatabaseFile, Keeping};
use ringmta_sandbox::store::Store;
use ringmta_smtp::limits::MESSAGE_BYTES_MAX;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Messages that are asked for at once.
const PAGE: usize = 100;
/// Folders within folders that are looked into.
const DEPTH: usize = 16;

/// Sends each file to the inbox. One that cannot be sent is named, and those behind it are sent all the same.
///
/// # Errors
/// How many were not sent.
pub fn ingest(args: &IngestArgs) -> Result<(), String> {
    let door = Door::parse(&args.server.smtp_addr)?;
    let since = Duration::from_secs(args.recent.saturating_mul(24 * 60 * 60));
    let since = (args.recent > 0).then(|| SystemTime::now().checked_sub(since)).flatten();
    let mut files = Vec::new();
    for path in &args.paths {
        gather(path, path.is_file(), DEPTH, &mut files)?;
    }
    let (mut sent, mut failed) = (0, 0);
    for File { path, is_message } in &files {
        match send(&door, path, *is_message, since) {
            Ok(true) => sent += 1,
            Ok(false) => {}
            Err(error) => {
                failed += 1;
                tell!("{}: {error}", path.display());
            }
        }
    }
    say!("{sent} messages");
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} files were not sent", files.len())),
    }
}

/// Sends a file, unless it is older than what is wanted, or no message where nothing says that it is one.
fn send(
    door: &Door,
    path: &Path,
    is_message: bool,
    since: Option<SystemTime>,
) -> Result<bool, String> {
    let said = |error: std::io::Error| error.to_string();
    let meta = std::fs::metadata(path).map_err(said)?;
    if since.is_some_and(|since| meta.modified().is_ok_and(|changed| changed < since)) {
        return Ok(false);
    }
    if meta.len() > MESSAGE_BYTES_MAX as u64 {
        return Err(format!("larger than {MESSAGE_BYTES_MAX} bytes"));
    }
    let source = std::fs::read(path).map_err(said)?;
    if !is_message && !begins_as_mail(&source) {
        return Ok(false);
    }
    let (from, to) = people(&source);
    door.send(from, to, source).map(|()| true)
}

/// Whether the first line is a field of a header.
fn begins_as_mail(source: &[u8]) -> bool {
    let line = source.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.iter().position(|byte| *byte == b':').map(|colon| &line[..colon]);
    name.is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}

/// A file that may be sent.
struct File {
    path: PathBuf,
    /// It was named, or its name or place says that it is a message.
    is_message: bool,
}

/// Files of messages: those named, and all in folders, whose names and first lines tell what they are.
fn gather(path: &Path, named: bool, depth: usize, files: &mut Vec<File>) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    if named {
        files.push(File { path: path.to_path_buf(), is_message: true });
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
        } else if kind.is_file() {
            files.push(File { path, is_message });
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
    let files = Files { dir: args.dir.clone(), verbose: args.verbose };
    let count = match (&args.http, &args.database) {
        (Some(url), _) => dump_http(url.trim_end_matches('/'), &files)?,
        (None, Some(file)) => dump_database(file.clone(), files)?,
        (None, None) => {
            return Err(
                "what is to be dumped? Give --http URL or --database FILE (MP_DATABASE)".into()
            )
        }
    };
    say!("{count} messages");
    Ok(())
}

/// Where dumped messages go.
struct Files {
    dir: PathBuf,
    verbose: bool,
}

impl Files {
    /// An id names a file; one of another program's is none.
    fn write(&self, id: &str, source: &[u8]) -> Result<(), String> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(format!("`{id}` is no id of a message"));
        }
        let path = self.dir.join(format!("{id}.eml"));
        std::fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))?;
        if self.verbose {
            tell!("{}, {} bytes", path.display(), source.len());
        }
        Ok(())
    }
}

fn dump_http(url: &str, files: &Files) -> Result<usize, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(60)))
        .tls_config(ringmta_policy::trust::http_tls())
        .build();
    let agent: ureq::Agent = config.into();
    let get = |path: String| {
        let failed = |error: ureq::Error| format!("{url}{path}: {error}");
        let limit = MESSAGE_BYTES_MAX as u64;
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
            files.write(id, &get(format!("/api/v1/message/{id}/raw"))?)?;
        }
        count += messages.len();
        if messages.is_empty() {
            return Ok(count);
        }
    }
}

fn dump_database(path: PathBuf, files: Files) -> Result<usize, String> {
    if !path.is_file() {
        return Err(format!("there is no database {}", path.display()));
    }
    let keeping = Keeping { max_messages: 0, ..Keeping::default() };
    let file = DatabaseFile { path, compression: 1, wal: true, vacuum: true };
    let database = Database::open(&file, keeping.most())?;
    let (tell, told) = futures::channel::oneshot::channel();
    let work = move || async move {
        let store = Store::in_database(database, keeping);
        let _ = tell.send(write_all(&store, &files).await);
    };
    let thread = shard::run_shard("dump", None, work).map_err(|error| error.to_string())?;
    let count = block_on(told).map_err(|_| "it was broken off".to_string())?;
    let _ = thread.join();
    count
}

async fn write_all(store: &Store, files: &Files) -> Result<usize, String> {
    let mut count = 0;
    loop {
        let page = store.page(&Search::default(), count, PAGE).await.map_err(|error| error.0)?;
        for message in &page.messages {
            let id = message["ID"].as_str().unwrap_or("");
            if let Some(message) = store.get(id).await.map_err(|error| error.0)? {
                files.write(id, &message.source)?;
            }
        }
        count += page.messages.len();
        if page.messages.is_empty() {
            return Ok(count);
        }
    }
}
