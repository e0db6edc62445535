//! An engine as a process: started with a policy, watched, killed, started again.

use super::http::{self, Answer};
use super::smtp::Smtp;
use super::{wait, wait_some, PATIENCE};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;

/// A folder with a spool, logs and a policy: what stays when an engine is killed.
///
/// The policy is made of a frame and of the pieces below, each Lua.
pub struct Site {
    /// It goes when the last engine in it has gone.
    pub dir: Arc<TempDir>,
    /// Options of the ESMTP listener.
    pub listener: String,
    /// Options of the HTTP listener.
    pub http: String,
    /// Options of the queues.
    pub queue: String,
    /// Options of the egress paths.
    pub path: String,
    /// Options of the log files.
    pub logs: String,
    /// Further statements of `init`.
    pub init: String,
    /// Further handlers.
    pub extra: String,
    /// Next hops by domain, `ip:port`.
    pub routes: Vec<(String, SocketAddr)>,
    /// Next hop of all other domains.
    pub default_route: Option<SocketAddr>,
    /// Environment of the engine.
    pub env: Vec<(String, String)>,
    /// Further arguments of the engine.
    pub args: Vec<String>,
}

impl Site {
    /// A fresh one whose mail goes nowhere.
    pub fn new() -> Site {
        // Beside the build's output: a disk, where /tmp may be memory without O_DIRECT.
        Site::in_folder(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn in_folder(folder: &Path) -> Site {
        let dir = TempDir::with_prefix_in("site-", folder).unwrap();
        Site {
            dir: Arc::new(dir),
            listener: String::new(),
            http: String::new(),
            queue: String::new(),
            path: String::new(),
            logs: String::new(),
            init: String::new(),
            extra: String::new(),
            routes: Vec::new(),
            default_route: None,
            env: Vec::new(),
            args: vec!["--auth-in-clear".into()],
        }
    }

    /// A fresh one that any user of this machine may enter and write to.
    pub fn for_everyone() -> Site {
        use std::os::unix::fs::PermissionsExt;
        let site = Site::in_folder(&std::env::temp_dir());
        let everyone = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(site.dir(), everyone).unwrap();
        site
    }

    /// A fresh one whose mail goes to `next_hop`.
    pub fn to(next_hop: SocketAddr) -> Site {
        Site { default_route: Some(next_hop), ..Site::new() }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn policy_file(&self) -> PathBuf {
        self.dir().join("policy.lua")
    }

    pub fn write_policy(&self) {
        std::fs::write(self.policy_file(), self.policy_text()).unwrap();
    }

    fn policy_text(&self) -> String {
        let dir = self.dir().display();
        let mut routes = String::new();
        for (domain, addr) in &self.routes {
            writeln!(routes, "  ['{domain}'] = '{addr}',").unwrap();
        }
        let default = match self.default_route {
            Some(addr) => format!("'{addr}'"),
            None => "nil".into(),
        };
        let Site { listener, http, queue, path, logs, init, extra, .. } = self;
        format!(
            "local kumo = require 'kumo'
kumo.on('init', function()
  for _, name in ipairs {{ 'data', 'meta' }} do
    kumo.define_spool {{
      name = name, path = '{dir}/spool/' .. name,
      min_free_space = '1MB', min_free_inodes = '0%',
    }}
  end
  kumo.configure_local_logs {{
    log_dir = '{dir}/log', max_segment_duration = '1s', min_free_space = '1MB',
    meta = {{ 'tenant', 'campaign' }}, headers = {{ 'Subject', 'X-*' }},
    {logs}
  }}
  kumo.start_esmtp_listener {{
    listen = '127.0.0.1:0', hostname = 'mx.engine.test', banner = 'ready',
    {listener}
  }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0', {http} }}
  {init}
end)
local routes = {{
{routes}}}
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  local next_hop = routes[domain] or {default}
  return kumo.make_queue_config {{
    protocol = next_hop and {{ smtp = {{ mx_list = {{ next_hop }} }} }} or nil,
    {queue}
  }}
end)
kumo.on('get_egress_path_config', function(routing_domain, source, site)
  return kumo.make_egress_path {{
    enable_tls = 'Disabled', enable_mta_sts = false, prohibited_hosts = {{}},
    {path}
  }}
end)
{extra}
"
        )
    }

    /// Starts an engine of `shards` shards here and waits until it takes mail.
    pub fn start(&self, shards: usize) -> Engine {
        self.write_policy();
        self.start_as_it_is(shards)
    }

    /// The same, with the policy file as it lies there.
    pub fn start_as_it_is(&self, shards: usize) -> Engine {
        let mut engine = self.spawn(shards);
        engine.wait_until_up();
        engine
    }

    /// Starts an engine of which it is not known whether it will come up.
    pub fn spawn(&self, shards: usize) -> Engine {
        // Its temporary folder is its own: what a test calls elsewhere may lie below the system's.
        let temporary = self.dir().join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        std::fs::set_permissions(&temporary, PermissionsExt::from_mode(0o1777)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
        command
            .args(["run", "--policy"])
            .arg(self.policy_file())
            .args(["--shards", &shards.to_string()])
            .args(&self.args)
            .env("RINGMTA_ALLOW_ROOT", "1")
            .env_remove("KUMOD_LOG")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env("TMPDIR", &temporary)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut engine = Engine::spawn(command);
        engine.site = Some(self.dir.clone());
        engine
    }

    /// Every event in the log files, those of a segment that is still open too.
    pub fn records(&self) -> Vec<Value> {
        records_in(&self.dir().join("log"))
    }

    /// The events of one type.
    pub fn records_of(&self, kind: &str) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["type"] == kind).collect()
    }

    /// Waits for the first event of this type that `fits`.
    pub fn wait_record(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let look = || self.records_of(kind).into_iter().find(|record| fits(record));
        wait_some(&format!("a record of {kind}"), look)
    }
}

/// Every event in the segments of `folder`.
pub fn records_in(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    let mut records = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let mut text = Vec::new();
        // An open segment has no end yet: what is there is read.
        let _ = zstd::Decoder::new(std::fs::File::open(file).unwrap())
            .map(|mut decoder| decoder.read_to_end(&mut text));
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line).unwrap();
            records.push(serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
        }
    }
    records
}

/// A running engine. It is killed when this goes.
pub struct Engine {
    child: Child,
    stderr: Arc<Mutex<Vec<String>>>,
    /// Reads what it says.
    reader: std::thread::JoinHandle<()>,
    ended: Option<ExitStatus>,
    site: Option<Arc<TempDir>>,
    /// Its ESMTP listener.
    pub smtp: SocketAddr,
    /// Its HTTP listener.
    pub http: SocketAddr,
}

impl Engine {
    /// Runs `command` and collects what it says on stderr.
    pub fn spawn(mut command: Command) -> Engine {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let lines = stderr.clone();
        let pipe = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_string();
                lines.lock().unwrap().push(text);
                line.clear();
            }
        });
        let nowhere = "127.0.0.1:0".parse().unwrap();
        Engine { child, stderr, reader, ended: None, site: None, smtp: nowhere, http: nowhere }
    }

    /// Waits until it takes mail, and learns where.
    pub fn wait_until_up(&mut self) {
        let end = Instant::now() + PATIENCE;
        while !self.says("initialization complete") {
            let gone = self.exit_status();
            assert!(gone.is_none(), "the engine ended at start: {gone:?}");
            assert!(Instant::now() < end, "the engine did not come up");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let lines = self.stderr();
        let address = |kind: &str| {
            let line = lines.iter().find(|line| line.starts_with(kind));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        };
        self.smtp = address("smtp listener on ").expect("no line about the smtp listener");
        self.http = address("http listener on ").expect("no line about the http listener");
    }

    /// What it has said so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// Whether a line holds `text`.
    pub fn says(&self, text: &str) -> bool {
        self.stderr.lock().unwrap().iter().any(|line| line.contains(text))
    }

    pub fn wait_says(&self, text: &str) {
        wait(&format!("stderr with {text:?}"), || self.says(text));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let status = wait_some("the engine's end", || self.exit_status());
        // The last lines may still be on their way through the pipe.
        wait("the engine's last words", || self.reader.is_finished());
        status
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The end without a word: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ended = Some(ExitStatus::default());
    }

    /// The ordinary end: SIGTERM.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_exit()
    }

    /// A client that has read the banner.
    pub fn client(&self) -> Smtp {
        let mut client = Smtp::connect(self.smtp);
        assert_eq!(client.reply().code, 220);
        client
    }

    /// A client that has said EHLO.
    pub fn greeted(&self) -> Smtp {
        let mut client = self.client();
        client.expect(250, "EHLO client.test");
        client
    }

    /// Submits a message over a connection of its own and gives back the reply to its dot.
    pub fn submit(&self, from: &str, to: &[&str], data: &[u8]) -> super::smtp::Reply {
        let mut client = self.greeted();
        let reply = client.transaction(from, to, data);
        client.expect(221, "QUIT");
        reply
    }

    /// The same, and it must be accepted. The ids it got.
    pub fn accept(&self, from: &str, to: &[&str], data: &[u8]) -> Vec<String> {
        let reply = self.submit(from, to, data);
        assert_eq!(reply.code, 250, "{reply:?}");
        let ids = reply.text().split_once("ids=").expect("a reply with ids").1.to_string();
        ids.split(' ').map(String::from).collect()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub fn get(&self, path: &str) -> Answer {
        http::request("GET", &self.url(path), &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body.to_string().as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("content-type", "application/json")];
        http::request(method, &self.url(path), &headers, Some(body))
    }

    /// One value of `/metrics`; 0 when it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Waits until nothing waits in any queue.
    pub fn wait_empty(&self) {
        wait("empty queues", || self.metric("message_count") == 0.0);
    }

    /// Its resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- what the engine said ---");
            for line in self.stderr() {
                eprintln!("{line}");
            }
        }
    }
}
