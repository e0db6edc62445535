//! Secrets given to the engine at every door, and whether any of them is found in what it has written or answered.

use crate::support::{http, message, wait, Sink, Site};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One for each place a secret is given at: where one of them is found, its name says where it came in.
const SECRETS: [&str; 15] = [
    "s3cr3t-auth-plain-right",
    "s3cr3t-auth-plain-wrong",
    "s3cr3t-auth-plain-asked",
    "s3cr3t-auth-login-right",
    "s3cr3t-auth-login-wrong",
    "s3cr3t-auth-torn",
    "s3cr3t-http-basic-right",
    "s3cr3t-http-basic-wrong",
    "s3cr3t-http-bearer",
    "s3cr3t-hook-user-info",
    "s3cr3t-hook-query",
    "s3cr3t-hook-header",
    "s3cr3t-smtp-client",
    "s3cr3t-key-data",
    "s3cr3t-policy-url",
];

fn b64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A site whose policy holds, and is given, all of them.
fn site(sink: &Sink) -> Site {
    let mut site = Site::to(sink.addr);
    // Nobody listens there: the hook fails, and says so.
    let closed = crate::support::listen("127.0.0.1:0".parse().unwrap()).local_addr().unwrap();
    site.init = format!(
        "kumo.configure_http_log_hook {{
           name = 'planted', timeout = '1s', max_batch_latency = '0s',
           url = 'http://user:s3cr3t-hook-user-info@{closed}/in?key=s3cr3t-hook-query',
           request_headers = {{ ['x-key'] = 's3cr3t-hook-header' }},
         }}"
    );
    site.path = "smtp_auth_plain_username = 'user',
        smtp_auth_plain_password = { key_data = 's3cr3t-smtp-client' },
        allow_smtp_auth_plain_without_tls = true,"
        .into();
    site.extra = format!(
        "kumo.on('smtp_server_auth_plain', function(authz, authc, password)
           return password:find('right', 1, true) ~= nil or password:find('asked', 1, true) ~= nil
         end)
         kumo.on('http_server_validate_auth_basic', function(user, password)
           return password:find('right', 1, true) ~= nil
         end)
         kumo.on('smtp_server_message_received', function(msg)
           local ok, why = pcall(function()
             local signer = kumo.dkim.rsa_sha256_signer {{
               domain = 'src.test', selector = 's', headers = {{ 'From' }},
               key = {{ key_data = 'BEGIN s3cr3t-key-data END' }},
             }}
             msg:dkim_sign(signer)
           end)
           kumo.log_error('signer: ' .. tostring(why))
           local ok, why = pcall(function()
             local client = kumo.http.build_client {{}}
             client:get('http://u:s3cr3t-policy-url@{closed}/?k=s3cr3t-policy-url'):send()
           end)
           kumo.log_error('client: ' .. tostring(why))
           kumo.log_error('connect http://u:s3cr3t-policy-url@{closed}/')
         end)"
    );
    // All that can be said, of the engine's own and of its libraries.
    site.env.push(("KUMOD_LOG".into(), "trace".into()));
    site
}

/// Gives secrets in every way a client may, rightly and wrongly. What was answered.
fn log_in_over_smtp(engine: &crate::support::Engine) -> Vec<String> {
    let mut answers: Vec<String> = Vec::new();
    let mut smtp = |lines: &[String]| {
        let mut client = engine.greeted();
        for line in lines {
            let reply = client.command(line);
            answers.push(reply.text());
            if reply.code == 0 {
                return;
            }
        }
    };
    let plain = |secret: &str| b64(&format!("\0user\0{secret}"));
    let lines = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>();
    smtp(&[format!("AUTH PLAIN {}", plain(SECRETS[0]))]);
    smtp(&[format!("AUTH PLAIN {}", plain(SECRETS[1])), format!("AUTH PLAIN {}", SECRETS[1])]);
    smtp(&["AUTH PLAIN".to_string(), plain(SECRETS[2])]);
    smtp(&["AUTH LOGIN".to_string(), b64("user"), b64(SECRETS[3])]);
    smtp(&[format!("AUTH LOGIN {}", b64("user")), b64(SECRETS[4])]);
    for torn in ["AUTH=PLAIN", "AUTH PLAIN\u{1}", "XAUTH PLAIN", "AUTH CRAM-MD5"] {
        smtp(&[format!("{torn} {}", plain(SECRETS[5])), format!("AUTH PLAIN {}", SECRETS[5])]);
    }
    smtp(&lines(&["AUTH LOGIN", "s3cr3t-auth-torn", "s3cr3t-auth-torn"]));
    answers
}

#[test]
fn no_secret_is_in_what_is_written_or_answered() {
    let sink = Sink::start();
    sink.set(|behaviour| behaviour.offers.push("AUTH PLAIN"));
    let site = site(&sink);
    let engine = site.start(2);
    let mut answers = log_in_over_smtp(&engine);
    for login in [
        format!("Basic {}", b64("user:s3cr3t-http-basic-right")),
        format!("Basic {}", b64("user:s3cr3t-http-basic-wrong")),
        "Bearer s3cr3t-http-bearer".to_string(),
        "s3cr3t-http-bearer".to_string(),
    ] {
        let headers = [("authorization", login.as_str())];
        answers.push(http::request("GET", &engine.url("/metrics"), &headers, None).text());
    }
    let ids = engine.accept("a@src.test", &["u@dst.test"], &message("planted"));
    site.wait_record("TransientFailure", |_| true);
    site.wait_record("Rejection", |_| true);
    engine.wait_says("hook planted: ");
    engine.wait_says("client: ");
    for path in [
        "/metrics".to_string(),
        "/metrics.json".into(),
        "/api/admin/queues/v1".into(),
        "/api/admin/self-check/v1".into(),
        "/api/admin/inspect-sched-q/v1?queue_name=dst.test".into(),
        format!("/api/admin/inspect-message/v1?id={}&want_body=true", ids[0]),
    ] {
        answers.push(engine.get(&path).text());
    }
    // The queue's true name, whatever its site is called.
    let queues = engine.get("/api/admin/queues/v1").json();
    let mut shown = 0;
    for shard in queues.as_array().into_iter().flatten() {
        for name in shard["ready"].as_object().into_iter().flatten().map(|(name, _)| name) {
            let path = format!("/api/admin/inspect-ready-q/v1?queue_name={}", percent(name));
            let text = engine.get(&path).text();
            shown += usize::from(text.contains("smtp_auth_plain_password"));
            answers.push(text);
        }
    }
    assert!(shown > 0, "the options of a path were looked at: {queues}");
    let mut said = engine.stderr();
    assert!(engine.terminate().success());
    said.extend(answers);
    for text in &said {
        assert_clean("said or answered", text.as_bytes());
    }
    wait("records", || !site.records().is_empty());
    for record in site.records() {
        assert_clean("a record", record.to_string().as_bytes());
    }
    look_below(&site.dir().join("spool"));
    look_below(&site.dir().join("log"));
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Fails when one of the secrets is in `bytes`, as it is or in base64 at any offset.
fn assert_clean(what: &str, bytes: &[u8]) {
    for secret in SECRETS {
        let mut forms = vec![secret.to_string()];
        for before in ["", "x", "xx"] {
            // Without the groups that what stands around it has a part in.
            let text = STANDARD.encode(format!("{before}{secret}"));
            forms.push(text[4..secret.len() / 3 * 4 - 4].to_string());
        }
        for form in forms {
            let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
            assert!(!found, "{what} holds {secret}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

/// The files below `folder`: what they hold, and that strangers may not read them. The segments of the spool are large
/// and mostly empty: their beginnings are read.
fn look_below(folder: &Path) {
    use std::io::Read;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let mode = meta.permissions().mode() & 0o777;
        assert_eq!(mode & 0o027, 0, "{}: {mode:o}", path.display());
        if meta.is_dir() {
            look_below(&path);
            continue;
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path).unwrap().take(1 << 20).read_to_end(&mut bytes).unwrap();
        let text = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
        assert_clean(&path.display().to_string(), &text);
    }
}
