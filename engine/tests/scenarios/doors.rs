//! The doors of HTTP listeners told apart: what each serves, to whom, by which credentials.

use crate::support::{http, Engine, Site};
use serde_json::json;

const LOGINS: &str = "
kumo.on('http_server_validate_auth_basic', function(user, password)
  if password ~= 'right' then return false end
  return { identities = { user }, groups = { user } }
end)";

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

/// The status of each door: (injection, administration, metrics).
fn doors(engine: &Engine, authorization: Option<&str>) -> [u16; 3] {
    let mail = json!({
        "envelope_sender": "a@src.test",
        "recipients": [{"email": "u@dst.test"}],
        "content": "Subject: x\n\nx",
    });
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.map(|value| ("authorization", value)));
    let ask = |method: &str, path: &str, body: Option<&[u8]>| {
        http::request(method, &engine.url(path), &headers, body).status
    };
    [
        ask("POST", "/api/inject/v1", Some(mail.to_string().as_bytes())),
        ask("GET", "/api/admin/queues/v1", None),
        ask("GET", "/metrics", None),
    ]
}

#[test]
fn a_listener_serves_what_it_is_for() {
    for (serves, wanted) in [
        ("'Injection'", [200, 404, 404]),
        ("'Administration'", [404, 200, 404]),
        ("'Metrics'", [404, 404, 200]),
        ("'Injection', 'Metrics'", [200, 404, 200]),
    ] {
        let mut site = Site::new();
        site.http = format!("serves = {{ {serves} }},");
        let engine = site.start(1);
        assert_eq!(doors(&engine, None), wanted, "{serves}");
        assert_eq!(engine.get("/api/check-liveness/v1").status, 200, "{serves}");
    }
}

#[test]
fn each_door_has_hosts_and_groups_of_its_own() {
    let mut site = Site::new();
    site.extra = LOGINS.into();
    site.http = "trusted_hosts = { '127.0.0.1' }, administration_hosts = { '192.0.2.1' },
        metrics_hosts = {}, administration_groups = { 'operators' }, metrics_groups = { 'monitors' },"
        .into();
    let engine = site.start(1);
    assert_eq!(doors(&engine, None), [200, 401, 401]);
    assert_eq!(doors(&engine, Some(&basic("operators", "right"))), [200, 200, 200]);
    assert_eq!(doors(&engine, Some(&basic("monitors", "right"))), [200, 403, 200]);
    assert_eq!(doors(&engine, Some(&basic("customers", "right"))), [200, 403, 403]);
    assert_eq!(doors(&engine, Some(&basic("operators", "wrong"))), [401, 401, 401]);
    // Guesses are counted over all doors, and then not even looked at.
    let mut last = [401; 3];
    for _ in 0..20 {
        last = doors(&engine, Some(&basic("operators", "guess")));
    }
    assert_eq!(last, [429, 429, 429]);
    assert_eq!(doors(&engine, Some(&basic("operators", "right"))), [429, 429, 429]);
}
