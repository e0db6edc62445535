//! `ringmta dev`: engine, sandbox inbox and webhook receiver on loopback, with the shipped policy
//! tree, without root.

use crate::cli::args::{DevArgs, SandboxArgs};
use crate::cli::monitor::Monitor;
use crate::cli::run;
use crate::cli::supervisor::Supervisor;
use crate::cli::tree::TREE;
use crate::start;
use crate::start::Options;
use futures::channel::oneshot;
use futures::executor::block_on;
use ringmta_io::privileges;
use ringmta_io::ring as host;
use ringmta_io::sockets::is_taken;
use ringmta_policy::redact;
use ringmta_sandbox::place::Place;
use ringmta_sandbox::{self as sandbox, Bound, SandboxConfig, Settings, Sockets};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// Runs the whole of it until it is told to stop.
///
/// # Errors
/// One line that names cause and cure.
pub fn dev(args: &DevArgs) -> Result<(), String> {
    let signals = run::signals()?;
    let dir = folder(args)?;
    let key = variable("X_KUMOMTA_KEY", "reloop");
    let settings = args.inbox.settings()?;
    let released_to = engine_of(&settings);
    let is_kept = settings.database.is_some();
    let config = SandboxConfig {
        smtp: args.sandbox_smtp.into(),
        web: args.sandbox_web.into(),
        settings,
        receiver: Some((args.receiver, key)),
    };
    all_are_free(args)?;
    let sockets = Sockets::bind(&config).map_err(|error| error.to_string())?;
    // Before any thread is started: others may read the environment at any time.
    set_environment(args, &dir, &sockets.addresses);
    let (bound, stop, thread) = start_sandbox(config, sockets)?;
    let policy = match &args.policy {
        Some(file) => file.clone(),
        None => write_tree(&dir)?,
    };
    let monitor = Monitor::new(&policy);
    let options = Options {
        policy: Some(policy),
        shards: args.shards,
        auth_in_clear: true,
        ..Options::default()
    };
    let started = start::start(&options);
    let result = started.map(|engine| {
        monitor.start(&engine);
        run::announce(&engine);
        if let (Some(released_to), Some(address)) = (released_to, takes_mail(&engine.sockets)) {
            let _ = released_to.set(address);
        }
        let is_shipped = args.policy.is_none();
        welcome(&engine.sockets, &bound, &dir, is_shipped);
        say!(
            "\n  Ctrl-C stops it; the next start goes on with what is queued.{}\n",
            inbox_note(is_kept)
        );
        run::wait(engine, signals, &Supervisor::of_environment());
    });
    drop(stop);
    let _ = thread.join();
    result
}

/// Names every address that another program has, with the flag that chooses another. Told at once, not one at each try.
fn all_are_free(args: &DevArgs) -> Result<(), String> {
    // Where the engine listens is the policy's affair, or the environment's, when they say so.
    let is_ours = |name: &str| args.policy.is_none() && std::env::var_os(name).is_none();
    let places = [
        ("--smtp", args.smtp, is_ours("RINGMTA_SMTP_LISTEN")),
        ("--http", args.http, is_ours("RINGMTA_HTTP_LISTEN")),
        ("--sandbox-smtp", args.sandbox_smtp, true),
        ("--sandbox-web", args.sandbox_web, true),
        ("--receiver", args.receiver, true),
    ];
    // Asked by connecting: a bind is refused as well while connections of a `dev` that was killed wait for their end.
    let taken = places.iter().filter(|(_, address, is_used)| *is_used && is_taken(*address));
    let taken: Vec<String> =
        taken.map(|(flag, address, _)| format!("{address} ({flag})")).collect();
    match taken.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "in use: {}; stop what listens there (`ss -ltnp` names it), or choose others by these flags",
            taken.join(", ")
        )),
    }
}

/// Runs the sandbox inbox alone.
///
/// # Errors
/// One line that names cause and cure.
pub fn sandbox(args: &SandboxArgs) -> Result<(), String> {
    let mut signals = run::signals()?;
    let settings = args.inbox.settings()?;
    if engine_of(&settings).is_some() {
        return Err("the host `engine` is the engine of `ringmta dev`, and there is none beside this inbox: name a mail \
                    server in --smtp-relay-config (MP_SMTP_RELAY_HOST)"
            .into());
    }
    let (smtp, web) = (args.addresses.smtp.clone(), args.addresses.web.clone());
    let scheme = if settings.web_tls.is_some() { "https" } else { "http" };
    let root = settings.webroot.clone();
    let config = SandboxConfig { smtp: smtp.clone(), web: web.clone(), settings, receiver: None };
    let sockets = Sockets::bind(&config).map_err(|error| error.to_string())?;
    let (bound, stop, thread) = start_sandbox(config, sockets)?;
    if !args.inbox.others.quiet {
        tell!("sandbox smtp listener on {}", smtp.bound(bound.smtp));
        match web.bound(bound.web) {
            Place::Tcp(address) => tell!("sandbox inbox on {scheme}://{address}{root}"),
            unix => tell!("sandbox inbox on {unix}, below {root}"),
        }
        if let Some(pop3) = bound.pop3 {
            tell!("sandbox POP3 on {pop3}");
        }
        if let Some(metrics) = bound.metrics {
            tell!("sandbox metrics on http://{metrics}/metrics");
        }
    }
    signals.forever().next();
    drop(stop);
    let _ = thread.join();
    Ok(())
}

/// Where the engine's address is to be left, where messages are released to it.
fn engine_of(settings: &Settings) -> Option<Arc<OnceLock<SocketAddr>>> {
    settings.relay.as_ref().and_then(|relay| relay.host.engine.clone())
}

/// Where an engine with these sockets takes mail of this machine's.
fn takes_mail(sockets: &[String]) -> Option<SocketAddr> {
    let line = sockets.iter().find(|line| line.starts_with("smtp"))?;
    let mut address: SocketAddr = line.rsplit(' ').next()?.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    Some(address)
}

type SandboxThread = JoinHandle<io::Result<io::Result<()>>>;

/// Starts the sandbox on a thread of its own. It stops when the sender is dropped.
fn start_sandbox(
    config: SandboxConfig,
    sockets: Sockets,
) -> Result<(Bound, oneshot::Sender<()>, SandboxThread), String> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let thread = host::run_shard("sandbox", None, move || async move {
        let stop = async {
            let _ = stopped.await;
        };
        let bound = move |bound: &Bound| {
            let _ = tell.send(*bound);
        };
        sandbox::run_on(sockets, config, bound, stop).await
    })
    .map_err(|error| format!("sandbox: {error}"))?;
    match block_on(told) {
        Ok(bound) => Ok((bound, stop, thread)),
        Err(_) => Err(match thread.join() {
            Ok(Ok(Err(error)) | Err(error)) => error.to_string(),
            _ => "the sandbox did not come up".into(),
        }),
    }
}

fn folder(args: &DevArgs) -> Result<PathBuf, String> {
    match &args.dir {
        Some(dir) => own_folder(dir, false),
        None => {
            let name = format!("ringmta-dev-{}", privileges::user_id());
            own_folder(&std::env::temp_dir().join(name), true)
        }
    }
}

/// Makes `dir`, or takes it as it is when it is this user's. In a `shared` place, where anyone can put something of that
/// name, it has to be a folder itself, which nobody else can write to; elsewhere a link is the user's choice.
fn own_folder(dir: &Path, shared: bool) -> Result<PathBuf, String> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    let cannot = |error: io::Error| format!("folder {}: {error}", dir.display());
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir).map_err(cannot)?;
    let look = if shared { std::fs::symlink_metadata } else { std::fs::metadata::<&Path> };
    let meta = look(dir).map_err(cannot)?;
    let is_theirs = meta.uid() != privileges::user_id();
    if is_theirs || (shared && (!meta.is_dir() || meta.mode() & 0o022 != 0)) {
        return Err(format!(
            "folder {} is another user's, or others can write to it: name one with --dir",
            dir.display()
        ));
    }
    dir.canonicalize().map_err(cannot)
}

/// File beside the tree that says what was written there, by name and SHA-256: what differs from that was edited.
const WRITTEN: &str = ".written.json";

/// Writes the shipped tree. A file that was edited since it was written is kept, and said.
fn write_tree(dir: &Path) -> Result<PathBuf, String> {
    let tree = dir.join("policy-tree");
    let record = tree.join(WRITTEN);
    let before: BTreeMap<String, String> = std::fs::read(&record)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut written = BTreeMap::new();
    for (name, text) in TREE {
        let path = tree.join(name);
        let cannot = |error: io::Error| format!("{}: {error}", path.display());
        let shipped = digest(text.as_bytes());
        let found = match std::fs::read(&path) {
            Ok(bytes) => Some(digest(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot(error)),
        };
        let is_edited = found.is_some_and(|found| {
            found != shipped && before.get(name).is_none_or(|written| *written != found)
        });
        if is_edited {
            tell!("{} was edited: it is kept", path.display());
            before.get(name).into_iter().for_each(|was| {
                written.insert(name.to_string(), was.clone());
            });
            continue;
        }
        let parent = path.parent().unwrap_or(&tree);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(cannot)?;
        written.insert(name.to_string(), shipped);
    }
    let text = serde_json::to_vec_pretty(&written).map_err(|error| error.to_string())?;
    std::fs::write(&record, text).map_err(|error| format!("{}: {error}", record.display()))?;
    Ok(tree.join("init.lua"))
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The shipped tree is told where it is by its environment; what is set already stays.
fn set_environment(args: &DevArgs, dir: &Path, bound: &Bound) {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut settings = vec![
        ("RINGMTA_MODE", "development".to_string()),
        ("RINGMTA_SPOOL", path("spool")),
        ("RINGMTA_LOG_DIR", path("log")),
        ("RINGMTA_SMTP_LISTEN", args.smtp.to_string()),
        ("RINGMTA_HTTP_LISTEN", args.http.to_string()),
        ("RINGMTA_SANDBOX", bound.smtp.to_string()),
    ];
    if let Some(receiver) = bound.receiver {
        settings.push(("KUMOMTA_WEBHOOK_URL", format!("http://{receiver}")));
    }
    for (name, value) in settings {
        if std::env::var_os(name).is_none() {
            std::env::set_var(name, value);
        }
    }
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}

/// Says what is where. What is said of logins is of the shipped tree; another has its own.
fn welcome(sockets: &[String], bound: &Bound, dir: &Path, is_shipped: bool) {
    let port_of = |kind: &str| {
        let line = sockets.iter().find(|line| line.starts_with(kind));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("?").to_string()
    };
    let (smtp, http) = (port_of("smtp"), port_of("http"));
    let user = variable("RINGMTA_SMTP_USER", "mailing");
    let login = if is_shipped { format!("   (AUTH {user})") } else { String::new() };
    say!("\n  ringmta is running\n");
    say!("    submit mail     smtp://{smtp}{login}");
    say!("    console         http://{http}/");
    say!("    HTTP API        http://{http}/api-docs");
    say!("    inbox           http://{}/", bound.web);
    if let Some(receiver) = bound.receiver {
        say!("    webhook events  http://{receiver}/");
        let url = redact::url(&variable("KUMOMTA_WEBHOOK_URL", ""));
        if url.trim_end_matches('/') != format!("http://{receiver}") {
            say!("    posted to       {url}");
        }
    }
    say!("    spool and logs  {}", dir.display());
    say!("\n  Send a first message, with swaks:\n");
    let login = if is_shipped { login_arguments() } else { String::new() };
    say!(
        "    swaks --server {smtp}{login} \\\n\
         \x20         --from hello@example.com --to you@example.net --h-Subject 'It works' \\\n\
         \x20         --add-header 'Content-Type: text/html' --body '<h1>Hello</h1><p>from ringmta</p>'"
    );
    say!("\n  or with curl:\n");
    say!(
        "    curl http://{http}/api/inject/v1 -H 'Content-Type: application/json' -d '{{\n\
         \x20     \"envelope_sender\": \"hello@example.com\",\n\
         \x20     \"recipients\": [{{\"email\": \"you@example.net\"}}],\n\
         \x20     \"content\": {{\"from\": {{\"email\": \"hello@example.com\"}}, \"subject\": \"It works\",\n\
         \x20                 \"html_body\": \"<h1>Hello</h1><p>from ringmta</p>\"}}}}'"
    );
}

/// What becomes of the inbox's messages at the end.
fn inbox_note(is_kept: bool) -> &'static str {
    match is_kept {
        true => "",
        false => "\n  The inbox is in memory alone, and empty then: --database FILE keeps it.",
    }
}

/// The login in force as arguments of swaks. A password of the environment's is named, not shown.
fn login_arguments() -> String {
    let of = |name: &str| match std::env::var_os(name) {
        Some(_) => format!("\"${name}\""),
        None => "mailing".to_string(),
    };
    let (user, password) = (of("RINGMTA_SMTP_USER"), of("RINGMTA_SMTP_PASSWORD"));
    format!(" --auth PLAIN --auth-user {user} --auth-password {password}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_planted_is_not_taken() {
        use std::os::unix::fs::{symlink, PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (own, link, open) = (top.join("own"), top.join("link"), top.join("open"));
        assert_eq!(own_folder(&own, true).unwrap(), own);
        assert_eq!(own_folder(&own, true).unwrap(), own, "again");
        symlink(&own, &link).unwrap();
        assert!(own_folder(&link, true).is_err());
        assert_eq!(own_folder(&link, false).unwrap(), own);
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
        assert!(own_folder(&open, true).is_err());
    }

    #[test]
    fn edits_of_the_tree_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let init = write_tree(dir.path()).unwrap();
        let (smtp, queue) = (dir.path().join("policy-tree/policy/smtp.lua"), TREE[4]);
        std::fs::write(&smtp, "-- mine").unwrap();
        // As an older version had it, and wrote it.
        let old = dir.path().join("policy-tree").join(queue.0);
        std::fs::write(&old, "-- old").unwrap();
        let record = dir.path().join("policy-tree").join(WRITTEN);
        let text = std::fs::read_to_string(&record).unwrap();
        let text = text.replace(&digest(queue.1.as_bytes()), &digest(b"-- old"));
        std::fs::write(&record, text).unwrap();
        for _ in 0..2 {
            assert_eq!(write_tree(dir.path()).unwrap(), init);
            assert_eq!(std::fs::read_to_string(&smtp).unwrap(), "-- mine");
            assert_eq!(std::fs::read_to_string(&old).unwrap(), queue.1);
        }
        std::fs::remove_file(&smtp).unwrap();
        write_tree(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&smtp).unwrap(), TREE[3].1, "removed, it comes back");
    }
}
