//! `ringmta dev`: engine, sandbox inbox and webhook receiver on loopback, with the shipped policy
//! tree, without root.

use super::args::{DevArgs, SandboxArgs};
use super::monitor::Monitor;
use super::run;
use crate::io::ring;
use crate::sandbox::{self, Bound, SandboxConfig};
use crate::start::{self, Options};
use futures::channel::oneshot;
use futures::executor::block_on;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The shipped policy tree, as in `policy/example`.
const TREE: [(&str, &str); 5] = [
    ("init.lua", include_str!("../../../policy/example/init.lua")),
    ("policy/constants.lua", include_str!("../../../policy/example/policy/constants.lua")),
    ("policy/smtp.lua", include_str!("../../../policy/example/policy/smtp.lua")),
    ("policy/queue.lua", include_str!("../../../policy/example/policy/queue.lua")),
    ("policy/webhooks.lua", include_str!("../../../policy/example/policy/webhooks.lua")),
];

/// Runs the whole of it until it is told to stop.
///
/// # Errors
/// One line that names cause and cure.
pub fn dev(args: &DevArgs) -> Result<(), String> {
    let signals = run::signals()?;
    let dir = folder(args)?;
    let key = variable("X_KUMOMTA_KEY", "reloop");
    let config = SandboxConfig {
        smtp: args.sandbox_smtp,
        web: args.sandbox_web,
        receiver: Some((args.receiver, key)),
        ..SandboxConfig::default()
    };
    let (bound, stop, thread) = start_sandbox(config)?;
    set_environment(args, &dir, &bound);
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
        welcome(&engine.sockets, &bound, &dir);
        run::wait(engine, signals);
    });
    drop(stop);
    let _ = thread.join();
    result
}

/// Runs the sandbox inbox alone.
///
/// # Errors
/// One line that names cause and cure.
pub fn sandbox(args: &SandboxArgs) -> Result<(), String> {
    let mut signals = run::signals()?;
    let config =
        SandboxConfig { smtp: args.smtp, web: args.web, max_messages: args.max, receiver: None };
    let (bound, stop, thread) = start_sandbox(config)?;
    eprintln!("sandbox smtp listener on {}", bound.smtp);
    eprintln!("sandbox inbox on http://{}/", bound.web);
    signals.forever().next();
    drop(stop);
    let _ = thread.join();
    Ok(())
}

type SandboxThread = JoinHandle<io::Result<io::Result<()>>>;

/// Starts the sandbox on a thread of its own. It stops when the sender is dropped.
fn start_sandbox(
    config: SandboxConfig,
) -> Result<(Bound, oneshot::Sender<()>, SandboxThread), String> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let thread = ring::run_shard("sandbox", None, move || async move {
        let stop = async {
            let _ = stopped.await;
        };
        let bound = move |bound: &Bound| {
            let _ = tell.send(*bound);
        };
        sandbox::run(config, bound, stop).await
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
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("ringmta-dev-{}", ring::user_id())));
    let cannot = |error: io::Error| format!("folder {}: {error}", dir.display());
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&dir).map_err(cannot)?;
    let owner = std::fs::metadata(&dir).map_err(cannot)?.uid();
    if owner != ring::user_id() {
        return Err(format!(
            "folder {} belongs to another user: name one with --dir",
            dir.display()
        ));
    }
    dir.canonicalize().map_err(cannot)
}

fn write_tree(dir: &Path) -> Result<PathBuf, String> {
    let tree = dir.join("policy-tree");
    for (name, text) in TREE {
        let path = tree.join(name);
        let parent = path.parent().unwrap_or(&tree);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(tree.join("init.lua"))
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

fn welcome(sockets: &[String], bound: &Bound, dir: &Path) {
    let port_of = |kind: &str| {
        let line = sockets.iter().find(|line| line.starts_with(kind));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or("?").to_string()
    };
    let (smtp, http) = (port_of("smtp"), port_of("http"));
    let user = variable("RINGMTA_SMTP_USER", "mailing");
    println!("\n  ringmta is running\n");
    println!("    submit mail     smtp://{smtp}   (AUTH {user})");
    println!("    HTTP API        http://{http}/metrics");
    println!("    inbox           http://{}/", bound.web);
    if let Some(receiver) = bound.receiver {
        println!("    webhook events  http://{receiver}/");
    }
    println!("    spool and logs  {}", dir.display());
    println!("\n  Send a first message, with swaks:\n");
    println!(
        "    swaks --server {smtp} --auth PLAIN --auth-user mailing --auth-password mailing \\\n\
         \x20         --from hello@example.com --to you@example.net --h-Subject 'It works' \\\n\
         \x20         --add-header 'Content-Type: text/html' --body '<h1>Hello</h1><p>from ringmta</p>'"
    );
    println!("\n  or with curl:\n");
    println!(
        "    curl http://{http}/api/inject/v1 -H 'Content-Type: application/json' -d '{{\n\
         \x20     \"envelope_sender\": \"hello@example.com\",\n\
         \x20     \"recipients\": [{{\"email\": \"you@example.net\"}}],\n\
         \x20     \"content\": {{\"from\": {{\"email\": \"hello@example.com\"}}, \"subject\": \"It works\",\n\
         \x20                 \"html_body\": \"<h1>Hello</h1><p>from ringmta</p>\"}}}}'"
    );
    println!("\n  Ctrl-C stops it; the next start goes on with what is queued.\n");
}
