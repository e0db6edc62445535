//! Requests that handlers of a running policy make: over the shard's own sockets, and by helper threads where those do not do.

use crate::support::http::Hit;
use crate::support::tls::Ca;
use crate::support::{message, Engine, Receiver, Site};

/// A site whose policy does what the Lua expression named by a message's subject says; the reply has what came of it.
fn site(expressions: &[(&str, String)]) -> Site {
    let mut site = Site::new();
    let cases = expressions
        .iter()
        .map(|(name, text)| format!("  ['{name}'] = function() return {text} end,\n"));
    site.extra = format!(
        "local client = kumo.http.build_client {{ timeout = '20s' }}
local unsafe = kumo.http.build_client {{ timeout = '20s', danger_accept_invalid_certs = true }}
local cases = {{\n{}}}
kumo.on('smtp_server_message_received', function(msg)
  local ok, what = pcall(cases[msg:get_first_named_header_value 'Subject'])
  kumo.reject(550, (ok and '' or 'error: ') .. tostring(what))
end)",
        cases.collect::<String>()
    );
    site
}

fn what_comes_of(engine: &Engine, name: &str) -> String {
    let reply = engine.submit("a@src.test", &["u@dst.test"], &message(name));
    assert_eq!(reply.code, 550, "{reply:?}");
    reply.text()
}

#[test]
fn a_connection_is_kept_and_redirects_are_followed() {
    let receiver = Receiver::start();
    receiver.answer_by(|hit: &Hit| {
        let moved = "307 Moved\r\nLocation: /there";
        hit.start.contains(" /moved").then(|| moved.to_string())
    });
    let url = format!("http://{}", receiver.addr);
    let site = site(&[
        (
            "post",
            format!(
                "client:post('{url}/a?b=c'):header('X-One', '1'):body('text'):send():status_code()"
            ),
        ),
        ("moved", format!("client:get('{url}/moved'):send():status_code()")),
        ("user", format!("client:get('http://user:word@{}/'):send():status_code()", receiver.addr)),
    ]);
    let engine = site.start(1);
    for _ in 0..3 {
        assert_eq!(what_comes_of(&engine, "post"), "200");
    }
    assert_eq!(receiver.connections(), 1);
    let hits = receiver.hits();
    assert_eq!(
        (hits[0].start.as_str(), hits[0].body.as_slice()),
        ("POST /a?b=c HTTP/1.1", &b"text"[..])
    );
    let of = |name: &str| hits[0].header(name).map(str::to_string);
    assert_eq!((of("x-one"), of("accept")), (Some("1".into()), Some("*/*".into())));
    assert_eq!(of("host"), Some(receiver.addr.to_string()));
    assert!(of("user-agent").is_some_and(|agent| agent.starts_with("ringmta/")));
    receiver.clear();
    assert_eq!(what_comes_of(&engine, "moved"), "200");
    assert_eq!(receiver.hits().last().unwrap().start, "GET /there HTTP/1.1");
    assert_eq!(what_comes_of(&engine, "user"), "200");
    assert_eq!(receiver.hits().last().unwrap().header("authorization"), Some("Basic dXNlcjp3b3Jk"));
}

#[test]
fn what_fails_is_told_without_secrets() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = silent.local_addr().unwrap();
    let site = site(&[
        ("closed", format!("client:get('http://{closed}/p?key=s3cret'):send()")),
        (
            "silent",
            format!("client:get('http://{silent_at}/p?key=s3cret'):timeout('100ms'):send()"),
        ),
        ("nowhere", "client:get('http://nowhere.invalid/'):send()".into()),
        ("scheme", "client:get('gopher://h/'):send()".into()),
    ]);
    let engine = site.start(1);
    let refused = what_comes_of(&engine, "closed");
    assert!(
        refused.contains(&format!("GET http://{closed}/p: io: Connection refused")),
        "{refused}"
    );
    let late = what_comes_of(&engine, "silent");
    assert!(late.contains(&format!("GET http://{silent_at}/p: timeout: global")), "{late}");
    for name in ["nowhere", "scheme"] {
        let text = what_comes_of(&engine, name);
        assert!(text.starts_with("error: "), "{text}");
    }
}

#[test]
fn a_certificate_is_believed_when_its_authority_is() {
    let ca = Ca::new();
    let mut serving = Site::new();
    let dir = serving.dir().display().to_string();
    ca.write_issued(serving.dir(), "web", "localhost");
    let authority = serving.dir().join("ca.pem");
    ca.write(&authority);
    serving.init = format!(
        "kumo.start_http_listener {{ listen = '127.0.0.1:0', use_tls = true,
          tls_certificate = '{dir}/web.pem', tls_private_key = '{dir}/web.key' }}"
    );
    let server = serving.start(1);
    let stderr = server.stderr();
    let mut lines = stderr.iter().filter(|line| line.starts_with("http listener on "));
    let port = lines.next_back().unwrap().rsplit(':').next().unwrap().to_string();
    let live = format!("https://localhost:{port}/api/check-liveness/v1");
    let mut site = site(&[
        ("checked", format!("client:get('{live}'):send():status_code()")),
        ("unchecked", format!("unsafe:get('{live}'):send():status_code()")),
    ]);
    let engine = site.start(1);
    let refused = what_comes_of(&engine, "checked");
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert_eq!(what_comes_of(&engine, "unchecked"), "200");
    assert!(engine.terminate().success());
    site.env.push(("SSL_CERT_FILE".into(), authority.display().to_string()));
    assert_eq!(what_comes_of(&site.start(1), "checked"), "200");
}
