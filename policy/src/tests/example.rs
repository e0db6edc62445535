//! The shipped tree and the helper modules, fired through the interface.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::futures::executor::block_on;
use ringmta_mail::conn_meta::ConnMeta;
use ringmta_options::{EnableTls, Protocol, RecordsBody};
use serde_json::json;

use crate::testing::*;
use crate::{EnvelopeAddress, InitConfig, Mode, Policy, Shared};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("example/init.lua")
}

/// Loads the shipped tree with an environment of our own.
fn tree(env: &[(&str, &str)]) -> (World, InitConfig) {
    tree_behind("", env)
}

/// The same, behind Lua of our own.
fn tree_behind(own: &str, env: &[(&str, &str)]) -> (World, InitConfig) {
    let vars: String = env.iter().map(|(k, v)| format!("[{k:?}]={v:?},")).collect();
    let root = example().parent().unwrap().display().to_string();
    let code = format!(
        "local env = {{{vars}}} os.getenv = function(n) return env[n] end
         package.path = '{root}/?.lua;' .. package.path
         {own}
         assert(loadfile('{root}/init.lua'))()"
    );
    let w = world(&code);
    let init = block_on(w.policy.run_init()).unwrap();
    (w, init)
}

fn address(a: &str) -> EnvelopeAddress {
    EnvelopeAddress::parse(a).unwrap()
}

fn conn(peer: &str) -> ConnMeta {
    let c = ConnMeta::new();
    c.set("received_from", peer);
    c.set("hostname", "mta.example");
    c
}

#[test]
fn the_file_itself_loads() {
    let p = Policy::load(
        &example(),
        Shared::new(1),
        Rc::new(HostHandle(FakeHost::new())),
        Mode::Validate,
    )
    .unwrap();
    assert!(p.handles("init") && p.handles("get_queue_config"));
    block_on(p.run_init()).unwrap();
    assert!(block_on(p.run_validate()).unwrap());
}

#[test]
fn start_up_follows_the_environment() {
    let (w, init) = tree(&[]);
    assert_eq!(init.esmtp_listeners[0].listen, "0.0.0.0:25");
    assert_eq!(init.http_listeners[0].listen, "0.0.0.0:8000");
    let paths: Vec<_> = init.spools.iter().map(|s| s.path.display().to_string()).collect();
    assert_eq!(paths, ["/var/spool/kumomta/data", "/var/spool/kumomta/meta"]);
    assert_eq!(init.local_logs[0].log_dir, Path::new("/var/log/kumomta"));
    let hook = &init.http_log_hooks[0];
    assert_eq!((&*hook.name, hook.body, hook.batch_size), ("webhook", RecordsBody::Object, 1));
    assert!(w.shared.warnings().is_empty(), "{:?}", w.shared.warnings());
    let (_, init) = tree(&[
        ("RINGMTA_SMTP_LISTEN", "127.0.0.1:0"),
        ("KUMOMTA_WEBHOOK_URL", ""),
        ("RINGMTA_SPOOL", "/s"),
    ]);
    assert_eq!(init.esmtp_listeners[0].listen, "127.0.0.1:0");
    assert!(init.log_hooks.is_empty() && init.http_log_hooks.is_empty());
    let (_, init) = tree(&[("KUMOMTA_WEBHOOK_BATCH", "0")]);
    assert_eq!(init.http_log_hooks[0].batch_size, 1);
    let (_, init) = tree(&[("KUMOMTA_WEBHOOK_BATCH", "50"), ("X_KUMOMTA_KEY", "k")]);
    assert_eq!(
        (init.http_log_hooks[0].batch_size, init.http_log_hooks[0].url.0.as_str()),
        (50, "http://host.docker.internal:8021")
    );
    assert_eq!(init.http_log_hooks[0].body, RecordsBody::Array);
    assert_eq!(init.http_log_hooks[0].request_headers["x-kumomta-key"].0, "k");
}

#[test]
fn relaying_needs_a_login_or_a_known_network() {
    let (w, _) = tree(&[
        ("RINGMTA_SMTP_USER", "u"),
        ("RINGMTA_SMTP_PASSWORD", "p"),
        ("RINGMTA_RELAY_HOSTS", "10.0.0.0/8, ::1"),
    ]);
    let p = &w.policy;
    let (inside, outside) = (conn("10.1.1.1:5"), conn("192.0.2.1:5"));
    block_on(p.mail_from(&address("a@b.c"), &inside)).unwrap();
    let e = block_on(p.mail_from(&address("a@b.c"), &outside)).unwrap_err();
    assert_eq!(e.rejection().unwrap().to_string(), "550 5.7.1 relaying denied: log in first");
    assert!(!block_on(p.listener_domain("x", "l", &outside)).unwrap().unwrap().relay_to);
    assert_eq!(block_on(p.auth_plain("", "u", "wrong", &outside)).unwrap(), None);
    assert_eq!(block_on(p.auth_plain("", "u", "", &outside)).unwrap(), None);
    assert_eq!(block_on(p.auth_plain("other", "u", "p", &outside)).unwrap(), None);
    assert_eq!(block_on(p.auth_plain("", "u", "p", &outside)).unwrap().unwrap().identities, ["u"]);
    outside.set("authn_id", "u");
    block_on(p.mail_from(&address("a@b.c"), &outside)).unwrap();
    assert!(block_on(p.listener_domain("x", "l", &outside)).unwrap().unwrap().relay_to);
}

#[test]
fn production_has_no_default_login_and_development_has() {
    let c = conn("192.0.2.1:5");
    let (w, _) = tree(&[]);
    assert_eq!(block_on(w.policy.auth_plain("", "mailing", "mailing", &c)).unwrap(), None);
    let (w, _) = tree(&[("RINGMTA_MODE", "development")]);
    assert!(block_on(w.policy.auth_plain("", "mailing", "mailing", &c)).unwrap().is_some());
    assert!(block_on(w.policy.http_auth_basic("mailing", "mailing")).unwrap().is_some());
}

#[test]
fn greetings_and_recipients() {
    let (w, _) = tree(&[]);
    let (near, far) = (conn("127.0.0.1:5"), conn("192.0.2.1:5"));
    assert_eq!(block_on(w.policy.ehlo("client.example", &far, vec![])).unwrap(), None);
    assert_eq!(
        block_on(w.policy.ehlo("MTA.example", &far, vec![])).unwrap_err().rejection().unwrap().code,
        550
    );
    assert!(block_on(w.policy.ehlo("mta.example", &near, vec![])).is_ok());
    block_on(w.policy.rcpt_to(&address("a@b.example"), &near)).unwrap();
    for bad in ["a@localhost", "a@[10.0.0.1]"] {
        assert_eq!(
            block_on(w.policy.rcpt_to(&address(bad), &near)).unwrap_err().rejection().unwrap().code,
            550,
            "{bad}"
        );
    }
}

#[test]
fn labels_become_metadata() {
    let (w, _) = tree(&[]);
    let m = message(b"From: a@b.c\r\nX-Tenant: t@1\r\nX-Campaign: c1\r\n\r\n");
    block_on(w.policy.message_received(&m, &conn("127.0.0.1:5"))).unwrap();
    assert_eq!(m.queue_name().to_string(), "c1:t_1@ok.example");
    assert_eq!(&m.body().unwrap()[..], b"From: a@b.c\r\n\r\n");
}

#[test]
fn production_goes_to_the_mx_within_the_limits_of_the_provider() {
    let (w, _) = tree(&[]);
    let q = block_on(w.policy.queue_config("gmail.com", None, None, None)).unwrap().unwrap();
    assert_eq!(q.protocol, Protocol::default());
    let waits: Vec<u64> = (1..9).map(|n| q.delay_for_attempt(n).as_secs()).collect();
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let path = |site: &str| block_on(w.policy.egress_path("d", "s", site)).unwrap().unwrap();
    let google = path("(alt1|alt2)?.gmail-smtp-in.l.google.com.");
    assert_eq!(
        (google.provider_name.as_deref(), google.connection_limit.limit),
        (Some("gmail"), 20)
    );
    assert!(google.additional_message_rate_throttles.contains_key("provider-gmail"));
    assert_eq!(path("mx.notgoogle.example").provider_name, None);
    // A host with a certificate of its own making gets its mail.
    for site in ["mx.notgoogle.example", "(alt1|alt2)?.gmail-smtp-in.l.google.com."] {
        assert_eq!(path(site).enable_tls, EnableTls::OpportunisticInsecure, "{site}");
    }
    assert!(path("mx.example").prohibited_hosts.contains("127.0.0.1".parse().unwrap()));
}

#[test]
fn development_goes_to_the_sandbox() {
    let (w, _) = tree(&[("RINGMTA_MODE", "development"), ("RINGMTA_SANDBOX", "127.0.0.1:2601")]);
    let q = block_on(w.policy.queue_config("gmail.com", None, None, None)).unwrap().unwrap();
    let Protocol::Smtp { mx_list, .. } = &q.protocol else { panic!() };
    assert_eq!(
        (mx_list[0].addr, mx_list[0].port),
        (Some("127.0.0.1".parse().unwrap()), Some(2601))
    );
    assert_eq!(q.delay_for_attempt(5).as_secs(), 5);
    let path = block_on(w.policy.egress_path("gmail.com", "s", "x")).unwrap().unwrap();
    assert!(path.prohibited_hosts.is_empty());
    assert_eq!(path.enable_tls, EnableTls::Disabled);
}

#[test]
fn a_queue_of_records_posts_each_with_the_key() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let seen = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for status in ["200 OK", "503 Busy", "400 Bad"] {
            let (mut s, _) = server.accept().unwrap();
            let mut got = Vec::new();
            let mut buf = [0; 4096];
            while !got.ends_with(b"{\"type\":\"Delivery\"}") {
                let n = s.read(&mut buf).unwrap();
                got.extend_from_slice(&buf[..n]);
            }
            write!(s, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            requests.push(String::from_utf8(got).unwrap().to_lowercase());
        }
        requests
    });
    let own = format!(
        "require('policy-extras.log_hooks'):new_json {{
           name = 'webhook', url = {url:?}, headers = {{ ['x-kumomta-key'] = 'sesame' }},
           queue_config = {{ retry_interval = '10s' }} }}"
    );
    let (w, init) = tree_behind(&own, &[("KUMOMTA_WEBHOOK_URL", "")]);
    assert_eq!(init.log_hooks[0].constructor.as_deref(), Some("make.webhook.log_hook"));
    let record = message(b"{\"type\":\"Delivery\"}");
    assert_eq!(
        block_on(w.policy.should_enqueue_log_record(&record, "webhook")).unwrap(),
        Some(true)
    );
    let c =
        block_on(w.policy.open_connection("make.webhook.log_hook", "webhook.log_hook", None, None))
            .unwrap();
    assert_eq!(block_on(c.send(&record)).unwrap(), "200 OK");
    assert_eq!(
        block_on(c.send(&record)).unwrap_err().rejection().unwrap().code,
        400,
        "busy: try again"
    );
    assert_eq!(
        block_on(c.send(&record)).unwrap_err().rejection().unwrap().code,
        500,
        "refused: give up"
    );
    block_on(c.close());
    let requests = seen.join().unwrap();
    assert!(
        requests
            .iter()
            .all(|r| r.contains("x-kumomta-key: sesame")
                && r.contains("content-type: application/json")),
        "{requests:?}"
    );
    let q = block_on(w.policy.queue_config("webhook.log_hook", None, None, None)).unwrap().unwrap();
    assert!(matches!(q.protocol, Protocol::Lua { .. }));
    assert_eq!(q.retry_interval.as_secs(), 10);
    let path = w.policy.egress_path("webhook.log_hook", "unspecified", "webhook.log_hook");
    let path = block_on(path).unwrap().unwrap();
    assert_eq!((path.connection_limit.limit, path.max_message_rate), (224, None), "no mail");
}

#[test]
fn helper_modules() {
    let w = world(
        "local utils = require 'policy-extras.policy_utils'
         utils.assert_eq(utils.recursive_merge_into({a={b=1}}, {a={c=2}}), {a={b=1, c=2}})
         local ip, port = utils.split_ip_port('[::1]:25') utils.assert_eq({ip, port}, {'::1', '25'})
         local domains = require 'policy-extras.listener_domains'
         kumo.on('get_listener_domain', domains:setup{{
           ['example.com'] = {relay_to=true}, ['*.example.com'] = {relay_from_authz={'me'}},
           listener = {['1.2.3.4:25'] = {['example.com'] = {relay_to=false}}} }})
         require('policy-extras.sources'):setup{{ source={ip1={ehlo_domain='h'}}, pool={p={ip1={weight=2}}} }}
         local queue = require('policy-extras.queue'):setup{{ tenant_header='X-T', remove_tenant_header=true,
           tenant={t={egress_pool='p', overall_max_message_rate='1/min'}}, queue={default={max_age='1h'}, ['d.e']={max_age='2h', t={max_age='3h'}}} }}
         kumo.on('smtp_server_message_received', function(m) queue:apply(m) end)
         require 'policy-extras.dkim_sign'",
    );
    let c = ConnMeta::new();
    let d = |name: &str, listener: &str| {
        block_on(w.policy.listener_domain(name, listener, &c)).unwrap()
    };
    assert!(d("example.com", "5.6.7.8:25").unwrap().relay_to);
    assert!(!d("example.com", "1.2.3.4:25").unwrap().relay_to);
    assert!(d("a.example.com", "x").unwrap().relay_from.is_empty());
    assert!(d("other", "x").is_none());
    c.set("authn_id", "me");
    assert!(d("a.example.com", "x").unwrap().relay_from.contains("192.0.2.1".parse().unwrap()));
    assert_eq!(block_on(w.policy.egress_pool("p")).unwrap().unwrap().entries[0].weight, 2);
    assert_eq!(
        block_on(w.policy.egress_source("ip1")).unwrap().unwrap().ehlo_domain.as_deref(),
        Some("h")
    );
    let hours = |d: &str, t: Option<&str>| {
        let q = block_on(w.policy.queue_config(d, t, None, None)).unwrap().unwrap();
        (q.max_age.as_secs() / 3600, q.options.egress_pool)
    };
    assert_eq!(hours("x.y", None), (1, "unspecified".into()));
    assert_eq!(hours("d.e", None), (2, "unspecified".into()));
    assert_eq!(hours("d.e", Some("t")), (3, "p".into()));
    let m = message(b"X-T: t\r\n\r\n");
    block_on(w.policy.message_received(&m, &c)).unwrap();
    assert_eq!(m.get_meta("tenant"), Some(json!("t")));
    block_on(w.policy.throttle_insert_ready_queue(&m)).unwrap();
    assert_eq!(m.due(), None);
    block_on(w.policy.throttle_insert_ready_queue(&m)).unwrap();
    assert!(m.due().is_some());
    let m = message(b"X-T: unknown\r\n\r\n");
    assert_eq!(
        block_on(w.policy.message_received(&m, &c)).unwrap_err().rejection().unwrap().code,
        500
    );
}

/// What files of the reference's helpers may say besides: wildcards, sources of other handlers, tenants nobody defined.
#[test]
fn helper_modules_and_wildcards() {
    let w = world(
        "local queue = require('policy-extras.queue'):setup{{ tenant_header='X-T', default_tenant='none',
           tenant={t={}}, queue={['*.d.e']={max_age='4h'}, ['a.d.e']={max_age='5h'}} }}
         kumo.on('get_queue_config', function() return kumo.make_queue_config{max_age='9h'} end)
         kumo.on('smtp_server_message_received', function(m) queue:apply(m) end)
         local domains = require 'policy-extras.listener_domains'
         kumo.on('get_listener_domain', domains:setup{{ ['b.c'] = {relay_to=true},
           listener = {['*'] = {['any.c'] = {relay_to=true}}, ['1.2.3.4:25'] = {['x.c'] = {relay_to=true}}} }})
         require('policy-extras.sources'):setup{{ source={ip1={}}, pool={p={ip1={}, elsewhere={}}} }}
         kumo.on('get_egress_source', function(name) return kumo.make_egress_source{name=name} end)",
    );
    let hours = |d: &str| {
        let q = block_on(w.policy.queue_config(d, None, None, None)).unwrap().unwrap();
        q.max_age.as_secs() / 3600
    };
    assert_eq!((hours("b.d.e"), hours("A.d.e")), (4, 5));
    assert_eq!(hours("d.e"), 9, "of which no section says anything: the next handler is asked");
    let c = ConnMeta::new();
    for (text, wanted) in [("X-T: t", None), ("X-T: u", Some(500)), ("X-U: t", Some(500))] {
        let m = message(format!("{text}\r\n\r\n").as_bytes());
        let refused = block_on(w.policy.message_received(&m, &c)).err();
        let code = refused.map(|e| e.rejection().unwrap().code);
        assert_eq!(code, wanted, "{text}");
    }
    for (domain, listener) in
        [("b.c", "1.2.3.4:25"), ("any.c", "1.2.3.4:25"), ("x.c", "1.2.3.4:25")]
    {
        let found = block_on(w.policy.listener_domain(domain, listener, &c)).unwrap();
        assert!(found.is_some_and(|d| d.relay_to), "{domain} at {listener}");
    }
    assert_eq!(block_on(w.policy.egress_pool("p")).unwrap().unwrap().entries.len(), 2);
    assert!(block_on(w.policy.egress_source("ip1")).unwrap().is_some());
}

/// The tests shipped beside the example tree, run as `ringmta test` would.
#[test]
fn the_shipped_tests_pass() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
    let policy = crate::proving::policy_of(&folder).unwrap();
    let files = crate::proving::find(&folder).unwrap();
    assert_eq!(files.len(), 3);
    for file in files {
        let outcome = crate::proving::run(&policy, &file);
        assert_eq!(outcome.failures(), 0, "{outcome:?}");
    }
}
