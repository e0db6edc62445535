//! Requests that handlers of a running policy make: over the shard's own sockets, and by helper threads where those do not do.

use crate::support::http::Hit;
use crate::support::tls::Ca;
use crate::support::{message, wait, Engine, Receiver, Site};

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
fn a_connection_is_kept() {
    let receiver = Receiver::start();
    let url = format!("http://{}", receiver.addr);
    let post = format!("client:post('{url}/a?b=c'):header('X-One', '1'):body('text')");
    let user = format!("client:get('http://user:word@{}/')", receiver.addr);
    let site = site(&[
        ("post", format!("{post}:send():status_code()")),
        ("user", format!("{user}:send():status_code()")),
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
    assert_eq!(what_comes_of(&engine, "user"), "200");
    assert_eq!(receiver.hits().last().unwrap().header("authorization"), Some("Basic dXNlcjp3b3Jk"));
}

#[test]
fn a_redirect_is_followed_and_nothing_is_asked_for_twice() {
    let (receiver, other) = (Receiver::start(), Receiver::start());
    let elsewhere = format!("302 Found\r\nLocation: http://{}/there", other.addr);
    receiver.answer_by(move |hit: &Hit| {
        let path = hit.start.split(' ').nth(1).unwrap();
        let answer = match path {
            "/make" => "303 See Other\r\nLocation: /made",
            "/moved" => "307 Moved\r\nLocation: new/place",
            "/round" => "302 Found\r\nLocation: /round",
            "/elsewhere" => &elsewhere,
            "/nowhere" => "301 Moved\r\nLocation: http://[",
            "/kept" => "304 Not Modified\r\nLocation: /made",
            _ => return None,
        };
        Some(answer.to_string())
    });
    let url = format!("http://{}", receiver.addr);
    let post = |path: &str| {
        format!(
            "client:post('{url}{path}'):header('Content-Type', 'text/x'):bearer_auth('s3cret')
             :body('text'):send():status_code()"
        )
    };
    let paths = ["/make", "/moved", "/round", "/elsewhere", "/nowhere", "/kept"];
    let site = site(&paths.map(|path| (path, post(path))));
    let engine = site.start(1);
    let asked = |path: &str| {
        receiver.clear();
        let said = what_comes_of(&engine, path);
        let hits = receiver.hits();
        let lines: Vec<String> =
            hits.iter().map(|hit| hit.start.replace(" HTTP/1.1", "")).collect();
        (said, lines.join(", "), hits.last().cloned().unwrap())
    };
    let (said, lines, last) = asked("/make");
    assert_eq!((said.as_str(), lines.as_str()), ("200", "POST /make, GET /made"));
    assert!(last.body.is_empty() && last.header("content-type").is_none(), "{last:?}");
    assert_eq!(last.header("authorization"), Some("Bearer s3cret"));
    let (said, lines, last) = asked("/moved");
    assert_eq!((said.as_str(), lines.as_str()), ("200", "POST /moved, POST /new/place"));
    assert_eq!((last.body.as_slice(), last.header("content-type")), (&b"text"[..], Some("text/x")));
    let (said, lines, _) = asked("/round");
    assert!(said.contains("too many redirects"), "{said}");
    assert_eq!(lines.matches("/round").count(), 11);
    assert_eq!(asked("/elsewhere").0, "200");
    let there = other.hits().remove(0);
    assert_eq!(
        (there.start.as_str(), there.header("authorization")),
        ("GET /there HTTP/1.1", None)
    );
    assert_eq!(there.header("host"), Some(other.addr.to_string().as_str()));
    let (said, ..) = asked("/nowhere");
    assert!(said.contains("redirected to what is no URL"), "{said}");
    assert_eq!(asked("/kept").0, "304");
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
    let counted = |result: &str| {
        let labels = format!("{{side=\"http\",result=\"{result}\"}}");
        server.metric(&format!("tls_handshake_latency_count{labels}"))
    };
    wait("a handshake that was broken off and two that were not", || {
        (counted("failed"), counted("ok")) == (1.0, 2.0)
    });
}
