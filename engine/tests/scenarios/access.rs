//! Who may use the HTTP interface by rules of the policy's own, and the log of who was let in.

use crate::support::engine::records_in;
use crate::support::{http, Engine, Site, Smtp};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use serde_json::{json, Value};

const USERS: &str = "
local users = { ops = 'ops-secret', app = 'app-secret' }
kumo.on('http_server_validate_auth_basic', function(user, password)
  if users[user] ~= password then return false end
  return { identities = { { identity = user, context = 'HttpBasicAuth' } }, groups = { user .. 's' } }
end)
kumo.on('smtp_server_auth_plain', function(authz, authc, password) return users[authc] == password end)
";

const RULES: &str = "
local map = kumo.aaa.load_acl_map { key_data = [=[
[[acl.\"http_listener/*/api/inject\"]]
allow = true
privileges = [\"POST\"]
identity.Group = \"apps\"
[[acl.\"http_listener/*/api/admin\"]]
allow = true
privileges = [\"GET\"]
identity.Individual = \"ops\"
]=] }
kumo.on('get_acl_definition', function(resource) return map:get(resource) end)
";

fn ask(engine: &Engine, method: &str, path: &str, user: Option<&str>) -> http::Answer {
    let login =
        user.map(|user| format!("Basic {}", STANDARD.encode(format!("{user}:{user}-secret"))));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(login.as_deref().map(|login| ("authorization", login)));
    let body = (method == "POST").then_some("{}".as_bytes());
    http::request(method, &engine.url(path), &headers, body)
}

#[test]
fn the_policys_rules_decide_where_it_has_some() {
    let mut site = Site::new();
    site.extra = format!("{USERS}{RULES}");
    let engine = site.start(2);
    let status = |method: &str, path: &str, user| ask(&engine, method, path, user).status;
    // This address is trusted, and the policy does not care.
    let refused = ask(&engine, "POST", "/api/inject/v1", None);
    let url = engine.url("");
    let at = url.trim_start_matches("http://").trim_end_matches('/');
    let words = format!(
        "<Unauthenticated>@ ip=127.0.0.1 not permitted POST on http_listener/{at}/api/inject/v1\n"
    );
    assert_eq!((refused.status, refused.text()), (401, words));
    assert_eq!(status("POST", "/api/inject/v1", Some("ops")), 403);
    // Let in; the body is nothing to inject.
    assert_eq!(status("POST", "/api/inject/v1", Some("app")), 422);
    assert_eq!(status("GET", "/api/admin/suspend/v1", Some("ops")), 200);
    assert_eq!(status("POST", "/api/admin/suspend/v1", Some("ops")), 403);
    assert_eq!(status("GET", "/api/admin/suspend/v1", Some("app")), 403);
    // Where it has none, those that are built in hold.
    assert_eq!(status("GET", "/metrics", None), 200);
    assert_eq!(status("GET", "/api/check-liveness/v1", None), 200);
}

#[test]
fn rules_that_fail_let_nobody_in() {
    let mut site = Site::new();
    site.extra = "
kumo.on('get_acl_definition', function(resource) if resource:find 'admin' then error 'boom' end end)"
        .into();
    let engine = site.start(1);
    let answer = ask(&engine, "GET", "/api/admin/suspend/v1", None);
    assert_eq!((answer.status, answer.text().as_str()), (500, "try again later\n"));
    assert_eq!(ask(&engine, "GET", "/metrics", None).status, 200);
}

#[test]
fn without_the_rules_that_are_built_in_only_the_policys_hold() {
    let mut site = Site::new();
    site.extra = format!(
        "{USERS}{RULES} kumo.on('pre_init', function() kumo.aaa.set_fall_back_to_acl_map(false) end)"
    );
    let engine = site.start(1);
    assert_eq!(ask(&engine, "GET", "/metrics", None).status, 401);
    assert_eq!(ask(&engine, "GET", "/api/admin/suspend/v1", Some("ops")).status, 200);
}

#[test]
fn who_was_let_in_is_logged() {
    let mut site = Site::new();
    let folder = site.dir().join("acct");
    site.init = format!("kumo.aaa.configure_acct_log {{ log_dir = '{}', min_free_space = '1MB', min_free_inodes = '0%' }}", folder.display());
    site.extra = USERS.into();
    let engine = site.start(2);
    assert_eq!(ask(&engine, "GET", "/api/admin/suspend/v1", None).status, 200);
    assert_eq!(ask(&engine, "GET", "/api/admin/suspend/v1", Some("ops")).status, 200);
    let wrong = [("authorization", "Basic b3BzOm5vdCBpdA==")];
    assert_eq!(http::request("GET", &engine.url("/metrics"), &wrong, None).status, 401);
    let mut smtp: Smtp = engine.greeted();
    let login = STANDARD.encode("\0app\0app-secret");
    smtp.expect(235, &format!("AUTH PLAIN {login}"));
    assert!(engine.terminate().success());
    let records = records_in(&folder);
    let find = |fits: &dyn Fn(&Value) -> bool| {
        records.iter().find(|record| fits(record)).unwrap_or_else(|| panic!("{records:#?}")).clone()
    };
    let by_address =
        find(&|r| r["type"] == "Authorization" && r["auth_info"]["identities"] == json!([]));
    assert_eq!(by_address["access"], "Allow");
    assert_eq!(by_address["privilege"], "GET");
    assert_eq!(by_address["matching_resource"], "http_listener/*/api/admin");
    let rule = json!({"criteria": {"Identity": {"Group": "kumomta:http-listener-trusted-ip"}},
        "privilege": "GET", "access": "Allow"});
    assert_eq!(by_address["rule"], rule);
    let target = by_address["target_resource"].as_str().unwrap();
    assert!(target.ends_with("/api/admin/suspend/v1"), "{target}");
    assert_eq!(by_address["considered_resources"][0], target);
    let named = find(&|r| {
        r["type"] == "Authentication"
            && r["success"] == true
            && r["attempted_identity"]["identity"] == "ops"
    });
    assert_eq!(named["attempted_identity"]["context"], "HttpBasicAuth");
    assert_eq!(named["auth_info"]["groups"], json!(["opss"]));
    let failed = find(&|r| r["type"] == "Authentication" && r["success"] == false);
    assert_eq!(failed["attempted_identity"]["identity"], "ops");
    assert_eq!(failed["auth_info"]["peer_address"], "127.0.0.1");
    let smtp = find(&|r| r["attempted_identity"]["context"] == "SmtpAuthPlainAuthentication");
    assert_eq!(
        (&smtp["attempted_identity"]["identity"], &smtp["success"]),
        (&json!("app"), &json!(true))
    );
    let text = json!(records).to_string();
    assert!(!text.contains("secret") && !text.contains("not it"), "{text}");
    // Its segments have a name of their own, and are ended.
    for file in std::fs::read_dir(&folder).unwrap().flatten() {
        assert!(file.file_name().to_str().unwrap().starts_with("acct-"), "{file:?}");
        assert!(file.metadata().unwrap().permissions().readonly(), "{file:?}");
    }
}
