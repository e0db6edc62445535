//! A platform of several tenants whose tree is files and helper modules; and a smart host.

use crate::sandbox_support::{get, sandbox};
use crate::support::{message, wait, Engine, Sink, Site, Web};
use base64::Engine as _;
use serde_json::Value;

const QUEUES: &str = "
tenant_header = 'X-Tenant'
remove_tenant_header = true
campaign_header = 'X-Campaign'
remove_campaign_header = true
default_tenant = 'acme'

[tenant.'acme']
egress_pool = 'bulk'
require_authz = ['acme-app']

[tenant.'beta']
egress_pool = 'bulk'
require_authz = ['beta-app']

[queue.default]
retry_interval = '5 minutes'
max_age = '1 day'

[queue.default.protocol.smtp]
mx_list = ['SINK']

[queue.'rare.example'.'acme']
max_age = '1 hour'
";

const SHAPING: &str = "
['default']
connection_limit = 2
enable_tls = 'Disabled'
prohibited_hosts = []
max_deliveries_per_connection = 5
";

const SOURCES: &str = "
[source.'ip-1']
source_address = '127.0.0.2'
ehlo_domain = 'mta1.platform.example'

[pool.'bulk'.'ip-1']
weight = 1
";

const DKIM: &str = "
[base]
selector = 's1'
headers = ['From', 'To', 'Subject']

[domain.'src.example']
algo = 'ed25519'
filename = 'DIR/dkim.key'
";

const LISTENER_DOMAINS: &str = "
['mine.example']
relay_to = true
";

const TREE: &str = r#"
local kumo = require 'kumo'
local dir = 'DIR'
local queues = require('policy-extras.queue'):setup { dir .. '/queues.toml' }
local shaping = require('policy-extras.shaping'):setup_with_automation {
  no_default_files = true,
  extra_files = { dir .. '/shaping.toml' },
}
local sign = require('policy-extras.dkim_sign'):setup { dir .. '/dkim_data.toml' }
require('policy-extras.sources'):setup { dir .. '/sources.toml' }
kumo.on('get_listener_domain', require('policy-extras.listener_domains'):setup { dir .. '/listener_domains.toml' })
kumo.on('get_egress_path_config', shaping.get_egress_path_config)

require('policy-extras.log_hooks'):new {
  name = 'manager',
  batch_size = 100,
  min_batch_size = 4,
  max_batch_latency = '1s',
  log_parameters = { meta = { 'tenant', 'campaign' } },
  constructor = function()
    local client = kumo.http.build_client {}
    local connection = {}
    function connection:send_batch(messages)
      local records = {}
      for _, message in ipairs(messages) do
        table.insert(records, message:get_data())
      end
      local response = client:post('http://WEB/events'):header('x-key', 'k')
        :body('[' .. table.concat(records, ',') .. ']'):send()
      if not response:status_is_success() then
        kumo.reject(451, 'the manager answered ' .. response:status_code())
      end
      return '200 ok'
    end
    return connection
  end,
}

kumo.on('smtp_server_auth_plain', function(authz, user, password)
  return password == 'password of ' .. user
end)
kumo.on('smtp_server_message_received', function(msg)
  queues:apply(msg)
  sign(msg)
end)
kumo.on('init', function()
  for _, name in ipairs { 'data', 'meta' } do
    kumo.define_spool { name = name, path = dir .. '/spool/' .. name, min_free_space = '1MB' }
  end
  kumo.configure_local_logs {
    log_dir = dir .. '/log', max_segment_duration = '1s', min_free_space = '1MB', meta = { 'tenant', 'campaign' },
  }
  kumo.start_esmtp_listener { listen = '127.0.0.1:0', relay_hosts = {} }
  kumo.start_http_listener { listen = '127.0.0.1:0' }
end)
"#;

fn platform(sink: &Sink, web: &Web) -> Site {
    let site = Site::new();
    let dir = site.dir().to_path_buf();
    let fill = |text: &str| {
        text.replace("DIR", &dir.display().to_string())
            .replace("SINK", &sink.addr.to_string())
            .replace("WEB", &web.addr.to_string())
    };
    for (name, text) in [
        ("queues.toml", QUEUES),
        ("shaping.toml", SHAPING),
        ("sources.toml", SOURCES),
        ("dkim_data.toml", DKIM),
        ("listener_domains.toml", LISTENER_DOMAINS),
    ] {
        std::fs::write(dir.join(name), fill(text)).unwrap();
    }
    std::fs::write(dir.join("dkim.key"), [7; 32]).unwrap();
    std::fs::write(site.policy_file(), fill(TREE)).unwrap();
    site
}

fn login(engine: &Engine, user: &str) -> crate::support::Smtp {
    let mut client = engine.greeted();
    let text = format!("\0{user}\0password of {user}");
    let text = base64::engine::general_purpose::STANDARD.encode(text);
    assert_eq!(client.command(format!("AUTH PLAIN {text}")).code, 235);
    client
}

fn mail(headers: &str) -> Vec<u8> {
    format!("From: a@src.example\r\nTo: u@dst.example\r\nSubject: hi\r\n{headers}\r\nhello\r\n")
        .into()
}

#[test]
fn tenants_campaigns_pools_and_keys_come_from_files() {
    let (sink, web) = (Sink::start(), Web::start(|_, _| (200, "{}".into())));
    let site = platform(&sink, &web);
    let engine = site.start_as_it_is(2);
    let send = |user: &str, to: &str, headers: &str| {
        login(&engine, user).transaction("a@src.example", &[to], &mail(headers))
    };
    // Who may speak for whom.
    assert_eq!(send("acme-app", "u@dst.example", "X-Tenant: nobody\r\n").code, 500);
    assert_eq!(send("acme-app", "u@dst.example", "X-Tenant: beta\r\n").code, 500);
    let mut stranger = engine.greeted();
    stranger.expect(250, "MAIL FROM:<a@elsewhere.example>");
    assert_eq!(stranger.command("RCPT TO:<u@dst.example>").code, 550);
    stranger.expect(250, "RCPT TO:<u@mine.example>");

    let labels = "X-Tenant: acme\r\nX-Campaign: spring\r\n";
    assert_eq!(send("acme-app", "u@dst.example", labels).code, 250);
    assert_eq!(send("beta-app", "u@dst.example", "X-Tenant: beta\r\n").code, 250);
    let got = sink.wait_messages(2);
    for one in &got {
        let text = String::from_utf8_lossy(&one.data);
        assert!(!text.contains("X-Tenant") && !text.contains("X-Campaign"), "{text}");
        assert!(text.contains("d=src.example; s=s1;"), "{text}");
    }
    let record = site.wait_record("Delivery", |r| r["queue"] == "spring:acme@dst.example");
    assert_eq!(record["egress_pool"], "bulk");
    assert_eq!(record["egress_source"], "ip-1");
    assert!(record["source_address"]["address"].as_str().unwrap().starts_with("127.0.0.2:"));
    assert_eq!(record["meta"]["campaign"], "spring");
    assert!(sink.commands().iter().any(|(_, line)| line == "EHLO mta1.platform.example"));

    // A queue of its own is configured by its section.
    sink.refuse("rare", "450 4.2.1 later");
    assert_eq!(send("acme-app", "rare@rare.example", "").code, 250);
    site.wait_record("TransientFailure", |r| r["queue"] == "acme@rare.example");
    let queue = engine.get("/api/admin/inspect-sched-q/v1?queue_name=acme@rare.example").json();
    assert_eq!(queue["queue_config"]["max_age"], 3600, "{queue}");

    // The manager hears of it all, in batches.
    wait("the events", || {
        let batches = web.to("/events");
        let records: Vec<Value> =
            batches.iter().flat_map(|b| serde_json::from_str::<Vec<Value>>(b).unwrap()).collect();
        let count = |kind: &str| records.iter().filter(|r| r["type"] == kind).count();
        count("Reception") == 3 && count("Delivery") == 2 && count("TransientFailure") == 1
    });
}

/// Mail through a smart host, with a path's options.
fn through(host: std::net::SocketAddr, options: &str) -> (Site, Engine) {
    let mut site = Site::to(host);
    site.path = format!(
        "smtp_auth_plain_username = 'shop', smtp_auth_plain_password = {{ key_data = 'secret' }}, {options}"
    );
    site.queue = "retry_interval = '1 hour', max_age = '1 day',".into();
    let engine = site.start(1);
    engine.accept("a@src.test", &["u@dst.test"], &message("through"));
    (site, engine)
}

#[test]
fn a_smart_host_gets_mail_under_tls_with_credentials() {
    let (_running, at) = sandbox(10);
    let any =
        "enable_tls = 'RequiredInsecure', allow_smtp_auth_plain_without_valid_certificate = true,";
    let (site, _engine) = through(at.smtp, any);
    let record = site.wait_record("Delivery", |_| true);
    assert!(record["tls_protocol_version"].as_str().unwrap().starts_with("TLS"), "{record}");
    let mail = get(at.web, "/api/v1/message/latest").json();
    assert_eq!(mail["Envelope"]["Session"]["AuthUser"], "shop");
    assert!(!mail["Envelope"]["Session"]["TLS"].is_null(), "{mail}");
}

#[test]
fn a_smart_host_that_cannot_be_trusted_gets_neither_mail_nor_credentials() {
    // Its certificate is its own.
    let (_running, at) = sandbox(10);
    let (site, _engine) = through(at.smtp, "enable_tls = 'Required',");
    let failed = |site: &Site| {
        let record = site.wait_record("TransientFailure", |_| true);
        record["response"]["content"].as_str().unwrap().to_string()
    };
    let why = failed(&site);
    assert!(why.contains("TLS handshake"), "{why}");
    // Any certificate would do for the mail, but not for the password.
    let (site, _engine) = through(at.smtp, "enable_tls = 'RequiredInsecure',");
    let why = failed(&site);
    assert!(why.contains("certificate was not validated"), "{why}");
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 0);
    // And one without TLS.
    let sink = Sink::start();
    let (site, _engine) = through(sink.addr, "enable_tls = 'Required',");
    let why = failed(&site);
    assert!(why.contains("tls policy is Required but STARTTLS is not advertised"), "{why}");
    assert_eq!(sink.count_commands("AUTH") + sink.count_commands("MAIL"), 0);
}
