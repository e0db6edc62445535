//! Injection over HTTP: each recipient for itself, templates that end, valid mail.

use crate::support::{http, Sink, Site};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use serde_json::{json, Value};

fn injection(content: Value) -> Value {
    json!({
        "envelope_sender": "a@src.test",
        "recipients": [{"email": "u@dst.test", "name": "U"}],
        "content": content,
    })
}

/// Bodies may come compressed (RFC 9110 section 8.4); what they hold is counted as it is unpacked.
#[test]
fn compressed_bodies() {
    use flate2::{write::GzEncoder, write::ZlibEncoder, Compression};
    use std::io::Write;
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let post = |encoding: &str, body: &[u8]| {
        let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
        http::request("POST", &engine.url("/api/inject/v1"), &headers, Some(body))
    };
    let gzip = |plain: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(plain).unwrap();
        packed.finish().unwrap()
    };
    let body = injection(format!("Subject: packed\n\n{}", "all the same\n".repeat(1000)).into());
    let plain = body.to_string().into_bytes();
    let packed = gzip(&plain);
    assert!(packed.len() * 10 < plain.len());
    post("gzip", &packed).expect(200);
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&plain).unwrap();
    post("deflate", &deflated.finish().unwrap()).expect(200);
    for got in sink.wait_messages(2) {
        assert!(String::from_utf8_lossy(&got.data).contains("all the same\r\nall the same"));
    }
    post("gzip", &packed[..packed.len() - 12]).expect(400);
    post("gzip", &plain).expect(400);
    post("br", &packed).expect(415);
    // Small on its way, larger than a request may be once it is here.
    post("gzip", &gzip(&vec![b' '; 20_000_000])).expect(413);
    engine.wait_empty();
    assert_eq!(sink.count(), 2);
}

#[test]
fn a_template_that_fails_for_one_fails_for_that_one() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let to = |n: i32| json!({"email": format!("u{n}@dst.test"), "substitutions": {"n": n}});
    let mut body = injection("Subject: {{ 10 // n }}\n\ny".into());
    body["recipients"] = json!([to(1), to(0), to(2), {"email": "nobody"}]);
    let answer = engine.post("/api/inject/v1", &body).expect(200).json();
    assert_eq!((&answer["success_count"], &answer["fail_count"]), (&json!(2), &json!(2)));
    assert_eq!(answer["failed_recipients"], json!(["u0@dst.test", "nobody"]));
    let errors = answer["errors"].as_array().unwrap();
    assert!(errors[0].as_str().unwrap().starts_with("u0@dst.test: "), "{answer}");
    sink.wait_messages(2);
    engine.wait_empty();
    assert_eq!(sink.count(), 2);
    // What cannot be a template at all fails before anyone gets anything.
    body["content"] = "Subject: {% if %}\n\ny".into();
    let answer = engine.post("/api/inject/v1", &body).expect(422).text();
    assert!(answer.contains("failed parsing field 'content' as template"), "{answer}");
    engine.wait_empty();
    assert_eq!(sink.count(), 2);
}

#[test]
fn a_recipient_the_policy_refuses_is_told() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = "
kumo.on('http_message_generated', function(msg)
  if msg:recipient().user == 'bad' then kumo.reject(550, '5.7.1 not this one') end
end)"
        .into();
    let engine = site.start(1);
    let mut body = injection("Subject: x\n\ny".into());
    body["recipients"] = json!([{"email": "bad@dst.test"}, {"email": "good@dst.test"}]);
    let answer = engine.post("/api/inject/v1", &body).expect(200).json();
    assert_eq!(answer["failed_recipients"], json!(["bad@dst.test"]));
    assert!(answer["errors"][0].as_str().unwrap().contains("5.7.1 not this one"), "{answer}");
    assert_eq!(sink.wait_messages(1)[0].to, ["good@dst.test"]);
}

#[test]
fn one_write_serves_hundreds() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut body = injection("Subject: {{ email }}\n\ny".into());
    let to: Vec<Value> = (0..2000).map(|n| json!({"email": format!("u{n}@dst.test")})).collect();
    body["recipients"] = to.into();
    let before = engine.metric("spool_flush_total");
    let answer = engine.post("/api/inject/v1", &body).expect(200).json();
    assert_eq!(answer["success_count"], 2000);
    let flushes = engine.metric("spool_flush_total") - before;
    assert!(flushes <= 40.0, "{flushes} writes for 2,000 messages");
    sink.wait_messages(2000);
    engine.wait_empty();
    assert_eq!(sink.count(), 2000);
}

#[test]
fn a_caller_does_not_choose_where_its_mail_goes() {
    let (sink, other) = (Sink::start(), Sink::start());
    let mut site = Site::to(sink.addr);
    site.routes = vec![("elsewhere.test".into(), other.addr)];
    site.extra = "
kumo.on('http_message_generated', function(msg)
  local function is(name) return tostring(msg:get_meta(name)) end
  msg:append_header('X-Seen', is 'queue' .. ' ' .. is 'tenant' .. ' ' .. is 'authn_id' .. ' ' .. is 'reception_protocol')
  msg:append_header('X-Extra', msg:get_meta('extra').tenant)
end)"
        .into();
    let engine = site.start(1);
    let mut body = injection("Subject: x\n\ny".into());
    body["recipients"][0]["metadata"] = json!({
        "queue": format!("elsewhere.test"), "routing_domain": other.addr.to_string(),
        "tenant": "theirs", "campaign": "c", "authn_id": "root", "reception_protocol": "ESMTP",
    });
    engine.post("/api/inject/v1", &body).expect(200);
    let text = String::from_utf8(sink.wait_messages(1)[0].data.clone()).unwrap();
    assert!(text.contains("X-Seen: nil nil nil HTTP\r\n"), "{text}");
    assert!(text.contains("X-Extra: theirs\r\n"), "{text}");
    assert_eq!(other.count(), 0);
}

#[test]
fn no_template_harms_the_engine() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let bombs = [
        format!("{{{{ {}1 }}}}", "not ".repeat(7000)),
        format!("{{{{ 1{} }}}}", "~1".repeat(7000)),
        format!("{{{{ email{} }}}}", "|upper".repeat(7000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(7000)),
        format!("{{% set x = 'xxxxxxxx' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(40)),
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}".into(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".into(),
    ];
    for bomb in &bombs {
        for field in ["content", "subject", "text_body", "html_body"] {
            let content = match field {
                "content" => json!(format!("Subject: x\n\n{bomb}")),
                _ => json!({"from": {"email": "a@src.test"}, "text_body": "t", field: bomb}),
            };
            let answer = engine.post("/api/inject/v1", &injection(content));
            let nobody = answer.status == 200 && answer.json()["success_count"] == 0;
            assert!(answer.status == 422 || nobody, "{field}: {}", answer.text());
        }
    }
    engine.post("/api/inject/v1", &injection("Subject: x\n\ny".into())).expect(200);
    sink.wait_messages(1);
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_substitution_brings_no_header_field() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let evil = "x\r\nBcc: evil@dst.test\n\nanother body";
    let templates = [
        ("Jinja", "Subject: {{ what }}\nX-Other: {{ [what]|join }}\n\n{{ what }}"),
        ("Handlebars", "Subject: {{ what }}\nX-Other: {{{ what }}}\n\n{{{ what }}}"),
    ];
    for (at, (dialect, template)) in templates.into_iter().enumerate() {
        let mut body = injection(template.into());
        body["template_dialect"] = dialect.into();
        body["substitutions"] = json!({"what": evil});
        engine.post("/api/inject/v1", &body).expect(200);
        let data = sink.wait_messages(at + 1)[at].data.clone();
        let parsed = MessageParser::new().parse(&data).unwrap();
        assert!(parsed.bcc().is_none(), "{}", String::from_utf8_lossy(&data));
        assert!(parsed.subject().unwrap().contains("Bcc: evil"));
        assert!(parsed.header("X-Other").is_some());
    }
    for name in ["X-A\r\nBcc: evil@dst.test\r\nX-B", "X A", "", "X:A", "Xé"] {
        let mut body = injection("Subject: x\n\ny".into());
        body["trace_headers"] = json!({"header_name": name});
        engine.post("/api/inject/v1", &body).expect(422);
    }
    assert_eq!(sink.count(), 2);
}

/// A message of all parts, as it reached the next hop.
fn built(sink: &Sink, body: &Value, engine: &crate::support::Engine) -> Vec<u8> {
    let count = sink.count();
    let answer = engine.post("/api/inject/v1", body).expect(200).json();
    assert_eq!(answer["success_count"], 1, "{answer}");
    sink.wait_messages(count + 1)[count].data.clone()
}

/// A request for a message of every kind of part.
fn of_many_parts() -> Value {
    let inner = "Subject: inner\n\nhello\n";
    injection(json!({
        "from": {"email": "a@src.test", "name": "Shop \"Zoë\", Ltd"},
        "reply_to": {"email": "r@src.test"},
        "subject": "Größe {{ name }}",
        "text_body": "line one\nGröße\n",
        "html_body": "<p>Größe</p>",
        "amp_html_body": "<html amp4email>x</html>",
        "headers": {"From": "b@src.test", "X-Note": "größer", "Cc": "Jörg <j@dst.test>, k@dst.test"},
        "attachments": [
            {"data": STANDARD.encode("png"), "base64": true, "content_type": "image/png",
             "content_id": "cid1", "file_name": "logo.png"},
            {"data": inner, "content_type": "message/rfc822", "file_name": "Prüfbericht.eml"},
            {"data": "a,b\n", "content_type": "text/csv"},
        ],
    }))
}

#[test]
fn parts_make_valid_mail() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let body = of_many_parts();
    let data = built(&sink, &body, &engine);
    let text = String::from_utf8(data.clone()).unwrap();
    let header = text.split("\r\n\r\n").next().unwrap();
    assert!(header.is_ascii(), "{header}");
    for once in [
        "From:",
        "Subject:",
        "Message-ID:",
        "Date:",
        "MIME-Version:",
        "Content-Type:",
        "To:",
        "Reply-To:",
    ] {
        assert_eq!(
            header.lines().filter(|line| line.starts_with(once)).count(),
            1,
            "{once} {header}"
        );
    }
    assert!(!header.contains("@localhost>"), "{header}");
    assert!(text.lines().all(|line| line.len() <= 998));
    let parsed = MessageParser::new().parse(&data).unwrap();
    let from = parsed.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Shop \"Zoë\", Ltd"), Some("a@src.test")));
    assert_eq!(parsed.subject(), Some("Größe U"));
    assert!(header.contains("\r\nX-Note: =?UTF-8?Q?gr=C3=B6=C3=9Fer?=\r\n"), "{header}");
    let cc: Vec<_> = parsed.cc().unwrap().iter().map(|a| (a.name(), a.address())).collect();
    assert_eq!(cc, [(Some("Jörg"), Some("j@dst.test")), (None, Some("k@dst.test"))]);
    assert_eq!(parsed.body_text(0).unwrap(), "line one\r\nGröße\r\n");
    assert_eq!(parsed.body_html(0).unwrap().trim_end(), "<p>Größe</p>");
    let kinds: Vec<String> = parsed
        .parts
        .iter()
        .map(|part| {
            let kind = part.content_type().unwrap();
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "multipart/mixed",
            "multipart/related",
            "multipart/alternative",
            "text/plain",
            "text/x-amp-html",
            "text/html",
            "image/png",
            "message/rfc822",
            "text/csv",
        ]
    );
    let image = &parsed.parts[6];
    assert_eq!((image.content_id(), image.attachment_name()), (Some("cid1"), Some("logo.png")));
    let attached = &parsed.parts[7];
    assert_eq!(attached.attachment_name(), Some("Prüfbericht.eml"));
    assert!(matches!(&attached.body, PartType::Message(m) if m.subject() == Some("inner")));
    assert_eq!(parsed.parts[8].contents(), b"a,b\n");
}

#[test]
fn what_cannot_be_mail_is_refused() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let long = "x".repeat(1200);
    for content in [
        json!({"text_body": "no From"}),
        json!(format!("Subject: x\n\n{long}")),
        json!({"from": {"email": "a@src.test"}, "headers": {"X-A": long}}),
        json!({"from": {"email": "a@src.test"}, "attachments": [
            {"data": "x", "content_type": "nonsense"}]}),
    ] {
        let answer = engine.post("/api/inject/v1", &injection(content.clone())).expect(200).json();
        assert_eq!(answer["fail_count"], 1, "{content}");
    }
    // A long line of a text part is encoded.
    let data = built(
        &sink,
        &injection(json!({"from": {"email": "a@src.test"}, "text_body": long})),
        &engine,
    );
    let text = MessageParser::new().parse(&data).unwrap().body_text(0).unwrap().into_owned();
    assert_eq!(text.trim_end(), long);
}

#[test]
fn what_the_reference_takes_is_taken() {
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let mut body = injection("Subject: {{#if name}}{{name}}{{/if}}\n\ny".into());
    body["template_dialect"] = "Handlebars".into();
    body["deferred_spool"] = true.into();
    body["deferred_generation"] = true.into();
    let data = built(&sink, &body, &engine);
    assert!(String::from_utf8_lossy(&data).contains("Subject: U\r\n"));
    let headers = [("content-type", "application/json; charset=utf-8")];
    let url = engine.url("/api/inject/v1");
    let answer = http::request("POST", &url, &headers, Some(body.to_string().as_bytes()));
    answer.expect(200);
}
