//! What a service manager, a container engine and an operator in front of a new machine meet.

use crate::support::http::request;
use crate::support::{message, wait, wait_some, Engine, Sink, Site, Smtp};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn ringmta(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(args).env_remove("RINGMTA_POLICY").env_remove("KUMOD_LOG").output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// The service manager's end: what it is told, a message at a time.
fn heard(socket: &UnixDatagram) -> Option<String> {
    let mut room = [0; 256];
    let length = socket.recv(&mut room).ok()?;
    Some(String::from_utf8_lossy(&room[..length]).into())
}

#[test]
fn a_service_manager_hears_of_every_step() {
    let mut site = Site::new();
    let path = site.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    site.env.push(("NOTIFY_SOCKET".into(), path.display().to_string()));
    site.env.push(("WATCHDOG_USEC".into(), "600000".into()));
    let next = |wanted: &str| {
        wait_some(wanted, || heard(&socket).filter(|state| state.starts_with(wanted)))
    };
    let engine = site.start(2);
    next("READY=1");
    next("WATCHDOG=1");
    engine.signal("HUP");
    next("RELOADING=1\nMONOTONIC_USEC=");
    next("READY=1");
    engine.signal("TERM");
    next("STOPPING=1");
}

#[test]
fn a_shard_that_hangs_is_told_of_by_silence() {
    let mut site = Site::new();
    let path = site.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    site.env.push(("NOTIFY_SOCKET".into(), path.display().to_string()));
    site.env.push(("WATCHDOG_USEC".into(), "300000".into()));
    // A program is waited for on the shard's own thread.
    site.args.push("--no-confine".into());
    site.extra = "kumo.on('smtp_server_ehlo', function() os.execute 'sleep 2' end)".into();
    let engine = site.start(1);
    wait("a sign of life", || heard(&socket).is_some_and(|state| state == "WATCHDOG=1"));
    let mut client = TcpStream::connect(engine.smtp).unwrap();
    assert!(client.read(&mut [0; 256]).unwrap() > 0, "a banner");
    client.write_all(b"EHLO client.test\r\n").unwrap();
    engine.wait_says("watchdog: 1 shards do not answer");
    wait("a sign of life", || heard(&socket).is_some_and(|state| state == "WATCHDOG=1"));
}

#[test]
fn an_engine_whose_stderr_is_gone_goes_on_and_stops_cleanly() {
    let site = Site::new();
    site.write_policy();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.args(["run", "--shards", "1", "--policy"]).arg(site.policy_file());
    command.env("RINGMTA_ALLOW_ROOT", "1").env("TMPDIR", site.dir()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let is_up = lines.by_ref().any(|line| line.unwrap() == "initialization complete");
    assert!(is_up, "it did not come up");
    drop(lines);
    for signal in ["HUP", "TERM"] {
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
    let status = wait_some("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_healthcheck_tells_well_from_ill() {
    let site = Site::new();
    let engine = site.start(1);
    let url = engine.url("/api/check-liveness/v1");
    assert!(ringmta(&["healthcheck", "--url", &url]).status.success());
    let odd = engine.url("/nothing/here");
    let told = ringmta(&["healthcheck", "--url", &odd]);
    assert!(text(&told).contains("404"), "{}", text(&told));
    assert_eq!(told.status.code(), Some(1));
    assert!(ringmta(&["healthcheck", "--alive", "--url", &odd]).status.success());
    engine.terminate();
    let told = ringmta(&["healthcheck", "--url", &url]);
    assert!(text(&told).contains("does it run"), "{}", text(&told));
}

#[test]
fn events_are_readable_lines_when_asked_for() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.args.push("--show-events".into());
    let engine = site.start(1);
    let id = engine.accept("a@src.example", &["u@dst.example"], &message("hello")).remove(0);
    engine.wait_says(&format!("event: Reception {id} from <a@src.example> to <u@dst.example>, "));
    engine.wait_says(&format!("event: Delivery {id} from <a@src.example> to <u@dst.example>, by "));
    site.args.pop();
    engine.terminate();
    let engine = site.start(1);
    engine.accept("a@src.example", &["u@dst.example"], &message("hello"));
    engine.wait_empty();
    assert!(!engine.says("event: "), "nobody has asked");
}

#[test]
fn a_tree_to_start_from_is_run() {
    let site = Site::new();
    let tree = site.dir().join("tree");
    let folder = tree.display().to_string();
    let made =
        ringmta(&["init", &folder, "--domain", "src.example", "--smart-host", "127.0.0.1:9"]);
    assert!(made.status.success(), "{}", text(&made));
    assert!(text(&made).contains("ringmta._domainkey.src.example. IN TXT \"v=DKIM1; k=rsa; p="));
    assert!(ringmta(&["test", &folder]).status.success());
    let policy = tree.join("init.lua").display().to_string();
    let checked = ringmta(&["validate", "--strict", "--policy", &policy]);
    assert!(checked.status.success(), "{}", text(&checked));
    let again = ringmta(&["init", &folder]);
    assert!(text(&again).contains("is not empty"), "{}", text(&again));
}

/// `dev` with its folder in `site`, on these addresses.
fn dev(site: &Site, addresses: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
    command.arg("dev").arg("--dir").arg(site.dir().join("dev"));
    command.args(["--shards", "1"]);
    for (flag, address) in addresses {
        command.args([*flag, address]);
    }
    for name in ["RINGMTA_POLICY", "RINGMTA_SMTP_LISTEN", "RINGMTA_HTTP_LISTEN", "KUMOD_LOG"] {
        command.env_remove(name);
    }
    command.env("RINGMTA_ALLOW_ROOT", "1");
    command
}

#[test]
fn dev_names_every_port_that_is_taken() {
    let site = Site::new();
    let held: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let [smtp, web] = [0, 1].map(|at: usize| held[at].local_addr().unwrap().to_string());
    let free = "127.0.0.1:0".to_string();
    let addresses = [
        ("--smtp", smtp.clone()),
        ("--http", free.clone()),
        ("--sandbox-smtp", free.clone()),
        ("--sandbox-web", web.clone()),
        ("--receiver", free),
    ];
    let told = dev(&site, &addresses).output().unwrap();
    let said = format!("in use: {smtp} (--smtp), {web} (--sandbox-web); stop what listens there");
    assert!(text(&told).contains(&said), "{}", text(&told));
    assert_eq!(told.status.code(), Some(1));
}

/// What a killed engine's ports leave behind in the kernel (TIME_WAIT) is nobody who listens there.
#[test]
fn dev_starts_again_at_its_ports_right_after_a_kill() {
    let site = Site::new();
    let flags = ["--smtp", "--http", "--sandbox-smtp", "--sandbox-web", "--receiver"];
    let mut engine = Engine::spawn(dev(&site, &flags.map(|flag| (flag, "127.0.0.1:0".into()))));
    engine.wait_until_up();
    // The engine's end of this connection is closed first, so that it is the one that lingers.
    let mut client = engine.greeted();
    client.expect(221, "QUIT");
    client.expect_closed();
    let (smtp, http) = (engine.smtp.to_string(), engine.http.to_string());
    engine.kill();
    let again = flags.map(|flag| match flag {
        "--smtp" => (flag, smtp.clone()),
        "--http" => (flag, http.clone()),
        _ => (flag, "127.0.0.1:0".into()),
    });
    let mut engine = Engine::spawn(dev(&site, &again));
    engine.wait_until_up();
    assert_eq!((engine.smtp.to_string(), engine.http.to_string()), (smtp, http));
    engine.greeted();
}

/// A reader that has seen enough, as `head` is one, ends a program quietly.
#[test]
fn whoever_stops_reading_hears_of_no_fault() {
    let site = Site::new();
    site.write_policy();
    let policy = site.policy_file().display().to_string();
    let folder = site.dir().display().to_string();
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["--version"],
        &["validate", "--policy", &policy],
        &["validate", "--policy", "there/is/none.lua"],
        &["check", "--offline", "--spool", &folder],
        &["test", &folder],
        &["ctl", "--help"],
        &["print", "completions", "bash"],
    ];
    for args in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmta"));
        command.args(args).env("RINGMTA_ALLOW_ROOT", "1").stdin(Stdio::null());
        let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = text(&ended);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(ended.status.code().is_some_and(|code| code <= 2), "{args:?}: {}", ended.status);
    }
}

#[test]
fn dev_brings_a_first_message_into_its_inbox() {
    let site = Site::new();
    let flags = ["--smtp", "--http", "--sandbox-smtp", "--sandbox-web", "--receiver"];
    let addresses = flags.map(|flag| (flag, "127.0.0.1:0".to_string()));
    let said = site.dir().join("said");
    let mut command = dev(&site, &addresses);
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&said).unwrap());
    let mut engine = Engine::spawn(command);
    engine.wait_until_up();
    let inbox = wait_some("where the inbox is", || {
        let said = std::fs::read_to_string(&said).unwrap();
        let line = said.lines().find_map(|line| line.trim().strip_prefix("inbox"))?;
        Some(format!("{}api/v1/messages", line.trim()))
    });
    let body = serde_json::json!({
        "envelope_sender": "hello@example.com", "recipients": [{"email": "you@example.net"}],
        "content": {"from": {"email": "hello@example.com"}, "subject": "It works", "html_body": "<h1>Hello</h1>"},
    });
    engine.post("/api/inject/v1", &body).expect(200);
    let told = wait_some("the message", || {
        let told = request("GET", &inbox, &[], None).expect(200).json();
        (told["total"] == 1).then_some(told)
    });
    assert_eq!(told["messages"][0]["Subject"], "It works");
    assert!(engine.terminate().success());
}

#[test]
fn a_check_says_what_is_in_the_way() {
    let site = Site::new();
    let engine = site.start(1);
    let folder = site.dir().display().to_string();
    let told = ringmta(&["check", "--offline", "--spool", &folder]);
    let lines = text(&told);
    for line in ["ok    io_uring: ", "ok    kernel: ", "LOOK  network: not looked at", " fine, "] {
        assert!(lines.contains(line), "{line:?} in {lines}");
    }
    assert!(lines.contains("a durable write of 4096 bytes takes "), "{lines}");
    let taken = site.dir().join("taken.lua");
    let policy = site_policy(&taken, engine.smtp.port());
    let told = ringmta(&["check", "--offline", "--policy", &policy]);
    assert!(text(&told).contains("another program has it"), "{}", text(&told));
    assert_eq!(told.status.code(), Some(1));
}

/// A policy that listens where another program does.
fn site_policy(file: &Path, port: u16) -> String {
    let folder = file.parent().unwrap().display();
    let lua = format!(
        "local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = '{folder}/s/data' }}
  kumo.define_spool {{ name = 'meta', path = '{folder}/s/meta' }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:{port}' }}
end)"
    );
    std::fs::write(file, lua).unwrap();
    file.display().to_string()
}

/// An engine that is handed a socket as a service manager does it: the descriptor is 3, and the variables name the process.
fn start_with(site: &Site, held: &TcpListener) -> Engine {
    site.write_policy();
    let mut command = Command::new("sh");
    let run = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 0</dev/null";
    command.args(["-c", run, "sh", env!("CARGO_BIN_EXE_ringmta"), "run", "--shards", "2"]);
    command.arg("--policy").arg(site.policy_file()).env("RINGMTA_ALLOW_ROOT", "1");
    command.stdin(OwnedFd::from(held.try_clone().unwrap()));
    Engine::spawn(command)
}

#[test]
fn a_restart_refuses_no_connection_where_the_manager_holds_the_socket() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = held.local_addr().unwrap();
    let mut site = Site::new();
    site.init = format!("kumo.start_esmtp_listener {{ listen = '{addr}' }}");
    let mut engine = start_with(&site, &held);
    engine.wait_until_up();
    assert!(engine.says(&format!("smtp listener on {addr}")));
    assert_eq!(Smtp::connect(addr).reply().code, 220);
    assert!(engine.terminate().success());
    // Nobody answers yet, and nobody says no.
    let mut waiting = Smtp::connect(addr);
    let mut engine = start_with(&site, &held);
    assert_eq!(waiting.reply().code, 220);
    for _ in 0..20 {
        assert_eq!(Smtp::connect(addr).reply().code, 220);
    }
    engine.wait_until_up();
    assert!(engine.terminate().success());
}

#[test]
fn a_socket_without_a_listener_is_told() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new();
    let engine = start_with(&site, &held);
    let addr = held.local_addr().unwrap();
    engine.wait_says(&format!("holds a socket at {addr}, where the policy has no listener"));
}
