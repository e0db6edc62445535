//! Requests that are wrong in one way each: what is said names the field and the place, or the nearest that there is.

use crate::support::http::request;
use crate::support::{Engine, Site};
use base64::Engine as _;
use serde_json::Value;
use std::collections::BTreeSet;

fn ask(engine: &Engine, method: &str, path: &str, body: &str) -> (u16, String) {
    let headers = [("content-type", "application/json")];
    let answer =
        request(method, &engine.url(path), &headers, (method != "GET").then_some(body.as_bytes()));
    (answer.status, answer.text())
}

/// Method, path, body; status, and words of the answer.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

const WRONG: &[Case] = &[
    // Bodies: the field and the place.
    ("POST", "/api/admin/suspend/v1", "{", 400, "EOF while parsing an object at line 1 column 1"),
    (
        "POST",
        "/api/admin/suspend/v1",
        "{\n \"reason\": 5}",
        422,
        "reason: invalid type: integer `5`, expected a string at line 2 column 12",
    ),
    (
        "POST",
        "/api/inject/v1",
        "{\"envelope_sender\":\"a@src.test\",\"recipients\":[{\"email\":\"u@dst.test\"},{\"email\":7}],\"content\":\"x\"}",
        422,
        "recipients[1].email: invalid type: integer `7`, expected a string",
    ),
    (
        "POST",
        "/api/inject/v1",
        "{\"envelope_sender\":\"\",\"recipients\":[],\"content\":{\"from\":{\"emial\":\"a@src.test\"}}}",
        422,
        "content.from.emial: unknown field `emial`, expected `email` or `name`",
    ),
    (
        "POST",
        "/api/inject/v1",
        "{\"envelope_sender\":\"\",\"recipients\":[],\"content\":{\"from\":5}}",
        422,
        "content.from: invalid type: integer `5`, expected an object with `email` and perhaps `name`",
    ),
    (
        "POST",
        "/api/inject/v1",
        "{\"envelope_sender\":\"\",\"recipients\":[],\"content\":5}",
        422,
        "content: invalid type: integer `5`, expected the whole message as a string, or an object of its parts",
    ),
    (
        "POST",
        "/api/admin/suspend/v1",
        "{\"reson\":\"r\"}",
        422,
        "unknown field `reson`, expected one of `reason`",
    ),
    (
        "POST",
        "/api/admin/bounce/v1",
        "{\"domain\":\"d\"}",
        422,
        "missing field `reason` at line 1 column 14",
    ),
    (
        "POST",
        "/api/admin/suspend/v1",
        "{\"reason\":\"r\",\"duration\":-5}",
        422,
        "duration: -5 is not a duration",
    ),
    (
        "POST",
        "/api/admin/bounce/v1",
        "{\"reason\":\"r\",\"duration\":{},\"expires\":\"2099-01-01T00:00:00Z\"}",
        422,
        "duration: {} is not a duration",
    ),
    (
        "POST",
        "/api/admin/suspend/v1",
        "{\"reason\":\"r\",\"expires\":\"noon\"}",
        422,
        "expires: \"noon\" is not an RFC 3339 time",
    ),
    ("POST", "/api/admin/suspend-ready-q/v1", "{\"reason\":\"r\"}", 422, "missing field `name`"),
    (
        "POST",
        "/api/admin/hold/v1",
        "{\"reason\":\"r\",\"message\":\"x\"}",
        422,
        "message: \"x\" is no message id",
    ),
    (
        "POST",
        "/api/admin/delete/v1",
        "{\"id\":\"x\",\"queue_name\":\"y\",\"reason\":\"r\"}",
        422,
        "one of `id`, `queue_name`, `message_id`",
    ),
    (
        "POST",
        "/api/admin/hooks/replay/v1",
        "{\"name\":\"wh\"}",
        422,
        "unknown field `name`, expected `hook`",
    ),
    (
        "POST",
        "/api/admin/hooks/replay/v1",
        "{\"hook\":\"wh\"}",
        404,
        "no hook is called `wh`: the policy has none",
    ),
    // Queries.
    ("GET", "/api/admin/hooks/v1", "", 200, "[]"),
    ("GET", "/api/admin/hooks/dead-letters/v1", "", 400, "missing parameter `hook`"),
    ("GET", "/api/admin/find/v1?what=x&since=soon", "", 400, "since: \"soon\" is not a duration"),
    (
        "GET",
        "/api/admin/find/v1?what=x&limit=-1",
        "",
        400,
        "`limit` must be a whole number, not `-1`",
    ),
    ("GET", "/api/admin/inspect-sched-q/v1", "", 400, "missing parameter `queue_name`"),
    (
        "GET",
        "/api/admin/inspect-message/v1?id=x&want_body=perhaps",
        "",
        400,
        "want_body: `perhaps` is neither `true` nor `false`",
    ),
    (
        "GET",
        "/api/admin/why/v1?name=x&about=que",
        "",
        400,
        "about: unknown kind `que`, expected one of `message`",
    ),
    // Paths and methods.
    ("GET", "/api/admin/qeues/v1", "", 404, "did you mean /api/admin/queues/v1?"),
    ("GET", "/api/console/nwo/v1", "", 404, "did you mean /api/console/now/v1?"),
    ("POST", "/metrics", "{}", 405, "/metrics takes GET"),
    ("POST", "/api/console/session/v1", "{}", 400, "a session is for credentials; none are shown"),
    ("POST", "/api/xfer/inject/v1", "{}", 501, "xfer is not done by this engine"),
    ("GET", "/api/admin/tail/v1", "", 400, "'upgrade'"),
];

#[test]
fn requests_say_what_is_wrong() {
    let engine = Site::new().start(2);
    for &(method, path, body, status, words) in WRONG {
        let (is, text) = ask(&engine, method, path, body);
        assert!(is == status && text.contains(words), "{method} {path} {body}: {is} {text}");
    }
}

#[test]
fn no_time_is_too_far_away() {
    let engine = Site::new().start(2);
    let order = |duration: &str| {
        let body = format!("{{\"domain\":\"far.test\",\"reason\":\"r\",\"duration\":{duration}}}");
        ask(&engine, "POST", "/api/admin/suspend/v1", &body)
    };
    for duration in ["1e12", "\"99999999999 days\"", "\"200 years\"", "3155760001"] {
        let (status, text) = order(duration);
        assert!(
            status == 422 && text.starts_with("duration: an order holds for 100 years"),
            "{text}"
        );
    }
    let (status, text) = order("1e300");
    assert!(status == 422 && text.contains("is not a duration"), "{text}");
    assert_eq!(order("\"99 years\"").0, 200);
    let orders = engine.get("/api/admin/suspend/v1").expect(200).json();
    assert!(orders[0]["duration"].as_str().unwrap().starts_with("98years"), "{orders}");
    assert!(engine.get("/api/admin/self-check/v1").expect(200).json()["ok"].as_bool().unwrap());
}

#[test]
fn a_wrong_credential_does_not_say_which_part() {
    let mut site = Site::new();
    site.http = "administration_hosts = {}, administration_groups = { 'ops' },".into();
    site.extra = "kumo.on('http_server_validate_auth_basic', function(user, password)
      return user == 'ops' and password == 's3cret' and { identities = { user }, groups = { user } }
    end)"
        .into();
    let engine = site.start(1);
    let told = |authorization: Option<String>| {
        let header = authorization.map(|text| [("authorization", text)]);
        let headers: Vec<(&str, &str)> =
            header.iter().flatten().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = request("GET", &engine.url("/api/admin/queues/v1"), &headers, None);
        (answer.status, answer.text())
    };
    let basic = |pair: &str| {
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    };
    assert_eq!(told(basic("ops:s3cret")).0, 200);
    let refused = told(basic("ops:guess"));
    assert_eq!(refused.0, 401);
    for other in
        [basic("nobody:s3cret"), basic("no colon"), Some("Bearer x".into()), Some("Basic =".into())]
    {
        assert_eq!(told(other), refused);
    }
    assert_eq!(told(None).0, 401);
}

#[test]
fn every_document_names_every_path() {
    let engine = Site::new().start(1);
    let document = engine.get("/openapi.json").expect(200).json();
    assert_eq!(engine.get("/api-docs/openapi.json").expect(200).json(), document);
    let page = engine.get("/api-docs").expect(200).text();
    let paths: BTreeSet<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in ["/api/admin/tail/v1", "/api/console/now/v1", "/api/console/session/v1"] {
        assert!(paths.contains(&path.to_string()), "{path}");
    }
    for path in paths {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    let hold = &document["paths"]["/api/admin/hold/v1"]["post"]["requestBody"]["content"];
    let schema = &hold["application/json"]["schema"];
    assert_eq!(schema["required"], serde_json::json!(["message", "reason"]));
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
}
