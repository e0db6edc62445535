//! Trees of the kinds operators run, end to end, with real servers of Debian beside them where there are any.

use crate::support::{program, wait, Sink, Site, Web};
use base64::Engine as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A server from a package on a free port, ended with the value.
struct Peer {
    child: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn peer(name: &str, args: impl Fn(String) -> Vec<String>) -> Option<Peer> {
    let Some(program) = program(name) else {
        eprintln!("skipped: {name} is not installed (ci/peers.sh installs it)");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(program);
    command.args(args(port.to_string())).stdout(Stdio::null()).stderr(Stdio::null());
    let peer = Peer { child: command.spawn().unwrap(), port };
    wait(name, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    Some(peer)
}

fn redis(dir: &Path) -> Option<Peer> {
    let dir = dir.display().to_string();
    peer("redis-server", |port| {
        ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir", &dir]
            .map(str::to_owned)
            .to_vec()
    })
}

/// Lines that come for a subject, from a plain connection to a NATS server.
fn subscribe(port: u16, subject: &str) -> Arc<Mutex<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let ask = format!("CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let kept = seen.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            kept.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    wait("the subscription", || seen.lock().unwrap().contains("PONG"));
    seen
}

/// An Ed25519 seed, as base64, and the text of its DNS record are all DKIM needs; the test only looks at the header.
const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

/// A policy that asks the service `web` for API keys and DKIM keys, and tells its events to NATS at the port `nats`.
fn keyed_policy(web: SocketAddr, nats: u16) -> String {
    format!(
        r#"
local client = kumo.http.build_client {{ timeout = '10s' }}
local base = 'http://{web}'
kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn)
  local r = client:post(base .. '/auth'):header('Content-Type', 'application/json')
    :body(kumo.serde.json_encode {{ user = authc, key = password }}):send()
  if not r:status_is_success() then return false end
  conn:set_meta('customer', kumo.serde.json_parse(r:text()).customer)
  return true
end)
local load_key = kumo.memoize(function(domain)
  local r = client:get(base .. '/dkim/' .. domain):send()
  return r:status_is_success() and kumo.encode.base64_decode(r:text()) or nil
end, {{ name = 'dkim_keys', ttl = '5 minutes', capacity = 100 }})
kumo.on('smtp_server_message_received', function(msg, conn)
  msg:set_meta('tenant', msg:get_meta 'customer')
  msg:remove_x_headers {{ 'X-Internal', 'X-Mailer' }}
  msg:append_text_html('<img src="https://t.example/o/' .. msg:id() .. '">')
  local r = client:post(base .. '/manager'):body(kumo.serde.json_encode {{ id = msg:id(), to = msg:recipient().email }}):send()
  if not r:status_is_success() then kumo.reject(451, '4.3.0 try again later') end
  local domain = msg:from_header().domain
  local key = load_key(domain)
  if key then
    msg:dkim_sign(kumo.dkim.ed25519_signer {{ domain = domain, selector = 's1', headers = {{ 'From', 'To', 'Subject' }}, key = {{ key_data = key }} }})
  end
end)
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new {{
  name = 'nats',
  constructor = function()
    local nats = kumo.nats.connect {{ servers = {{ '127.0.0.1:{port}' }}, name = 'events' }}
    local connection = {{}}
    function connection:send(message)
      nats:publish {{ subject = 'mail.' .. message:get_meta('log_record').type, payload = message:get_data() }}
      return '200 ok'
    end
    function connection:close() nats:close() end
    return connection
  end,
}}
"#,
        web = web,
        port = nats
    )
}

#[test]
fn api_keys_over_http_tracking_links_keys_over_http_and_events_to_nats() {
    let sink = Sink::start();
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().display().to_string();
    let Some(nats) = peer("nats-server", |port| {
        ["-a", "127.0.0.1", "-p", &port, "-sd", &store].map(str::to_owned).to_vec()
    }) else {
        return;
    };
    let events = subscribe(nats.port, "mail.>");
    let web = Web::start(|path, body| match path {
        "/auth" if body.contains("\"key-1\"") => (200, r#"{"customer":"acme"}"#.into()),
        "/auth" => (403, "{}".into()),
        "/manager" => (200, r#"{"ok":true}"#.into()),
        "/dkim/src.example" => (200, SEED.into()),
        _ => (404, String::new()),
    });
    let mut site = Site::to(sink.addr);
    site.listener = "relay_hosts = { '192.0.2.1' },".into();
    site.extra = keyed_policy(web.addr, nats.port);
    let engine = site.start(1);
    let mut client = engine.greeted();
    let login = |password: &str| {
        let text = format!("\0me\0{password}");
        format!("AUTH PLAIN {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    assert_eq!(client.command(login("wrong")).codes(), "535 5.7.8");
    assert_eq!(client.command("MAIL FROM:<a@src.example>").code, 250);
    assert_eq!(client.command("RCPT TO:<u@dst.example>").code, 550);
    client.expect(250, "RSET");
    assert_eq!(client.command(login("key-1")).codes(), "235 2.7.0");
    let mail = "From: a@src.example\r\nTo: u@dst.example\r\nSubject: hi\r\nX-Internal: secret\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body>hello</body></html>\r\n";
    let reply = client.transaction("a@src.example", &["u@dst.example"], mail.as_bytes());
    assert_eq!(reply.code, 250, "{}", reply.text());
    let got = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(got.contains("hello<img src=\"https://t.example/o/"), "{got}");
    assert!(!got.contains("X-Internal") && got.contains("d=src.example; s=s1;"), "{got}");
    assert_eq!(web.to("/dkim/").len(), 1);
    assert!(web.to("/manager")[0].contains("u@dst.example"));
    // What the hook delivers has records as well.
    let record = site.wait_record("Delivery", |record| record["reception_protocol"] != "LogRecord");
    assert_eq!(record["meta"]["tenant"], "acme");
    wait("the events", || {
        let seen = events.lock().unwrap();
        seen.contains("MSG mail.Reception") && seen.contains("MSG mail.Delivery")
    });
}

#[test]
fn throttles_are_shared_by_two_engines_through_redis() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = redis(dir.path()) else { return };
    let site = || {
        let mut site = Site::new();
        site.init = format!(
            "kumo.configure_redis_throttles {{ node = 'redis://127.0.0.1:{}/' }}",
            redis.port
        );
        site.extra = "
kumo.on('smtp_server_mail_from', function(sender)
  local both = kumo.make_throttle('both', '3/hour,max_burst=3')
  if both:throttle().throttled then kumo.reject(451, '4.7.1 too much') end
end)"
            .into();
        site
    };
    let (one, two) = (site(), site());
    let engines = [one.start(1), two.start(1)];
    let mut codes = Vec::new();
    for n in 0..6 {
        let mut client = engines[n % 2].greeted();
        codes.push(client.command("MAIL FROM:<a@src.example>").code);
    }
    assert_eq!(codes, [250, 250, 250, 451, 451, 451]);
    drop(redis);
    // With Redis gone the command fails, the session lives, and others are served.
    let mut client = engines[0].greeted();
    assert_eq!(client.command("MAIL FROM:<a@src.example>").codes(), "451 4.3.0");
    client.expect(250, "NOOP");
}

#[test]
fn an_open_mx_asks_who_exists_and_what_is_spam() {
    let sink = Sink::start();
    let web = Web::start(|path, body| match path {
        "/user/known" => (200, "{}".into()),
        "/checkv2" if body.contains("viagra") => {
            (200, r#"{"score":20.5,"action":"reject"}"#.into())
        }
        "/checkv2" => (200, r#"{"score":1.5,"action":"no action"}"#.into()),
        _ => (404, String::new()),
    });
    let mut site = Site::to(sink.addr);
    site.listener = "relay_hosts = { '192.0.2.1' },".into();
    site.extra = format!(
        r#"
local client = kumo.http.build_client {{ timeout = '10s' }}
kumo.on('get_listener_domain', function(domain)
  if domain == 'mine.example' then return kumo.make_listener_domain {{ relay_to = true }} end
end)
kumo.on('smtp_server_rcpt_to', function(rcpt)
  local r = client:get('http://{web}/user/' .. rcpt.user):send()
  if r:status_code() == 404 then kumo.reject(550, '5.1.1 no such user') end
end)
kumo.on('smtp_server_data', function(msg, conn)
  local r = client:post('http://{web}/checkv2'):header('IP', conn:get_meta 'received_from'):body(msg:get_data()):send()
  local found = kumo.serde.json_parse(r:text())
  if found.action == 'reject' then kumo.reject(554, '5.7.1 spam, score ' .. found.score) end
  msg:append_header('X-Spam-Score', tostring(found.score))
end)
"#,
        web = web.addr
    );
    let engine = site.start(1);
    let mut client = engine.greeted();
    client.expect(250, "MAIL FROM:<a@src.example>");
    assert_eq!(client.command("RCPT TO:<known@other.example>").code, 550);
    assert_eq!(client.command("RCPT TO:<nobody@mine.example>").codes(), "550 5.1.1");
    client.expect(250, "RSET");
    let mail =
        |text: &str| format!("From: a@src.example\r\nSubject: x\r\n\r\n{text}\r\n").into_bytes();
    let to = ["known@mine.example"];
    assert_eq!(client.transaction("a@src.example", &to, &mail("viagra")).codes(), "554 5.7.1");
    assert_eq!(client.transaction("a@src.example", &to, &mail("hello")).code, 250);
    let got = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(got.contains("X-Spam-Score: 1.5"), "{got}");
}

/// Runs the binary to its end: exit code, stdout, stderr.
fn ringmta(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_ringmta"))
        .args(args)
        .env("RINGMTA_ALLOW_ROOT", "1")
        .env_remove("KUMOD_LOG")
        .output()
        .unwrap();
    let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

#[test]
fn a_tree_is_tested_and_a_script_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let folder = dir.path().display().to_string();
    assert_eq!(ringmta(&["test", &folder]).0, 2);
    write("init.lua", "require('kumo').on('smtp_server_mail_from', function(s) require('kumo').reject(550, '5.7.1 no') end)");
    write(
        "good_test.lua",
        "test.case('refuses', function(t) t.rejected(t.session():mail_from 'a@b.test', 550) end)",
    );
    let (code, out, _) = ringmta(&["test", &folder, "--verbose"]);
    assert_eq!((code, out.contains("ok     good_test.lua: refuses")), (0, true), "{out}");
    write(
        "bad_test.lua",
        "test.case('accepts', function(t) t.accepted(t.session():mail_from 'a@b.test') end)",
    );
    let (code, out, _) = ringmta(&["test", &folder]);
    assert_eq!((code, out.contains("1 passed, 1 failed in 2 files")), (1, true), "{out}");
    let script = write("script.lua", "require('kumo').on('main', function(a, b) print(a, b) if b == 'x' then error 'boom' end end)");
    assert_eq!(
        ringmta(&["--script", &script, "--", "one", "two"]),
        (0, "one\ttwo\n".into(), String::new())
    );
    let (code, _, err) = ringmta(&["--script", "--policy", &script, "--", "one", "x"]);
    assert_eq!((code, err.contains("boom")), (1, true), "{err}");
    let none = write("none.lua", "");
    assert!(ringmta(&["--script", &none]).2.contains("no handler for the event main"));
}
