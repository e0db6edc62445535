//! The console: who gets its page, who may log in, and what it is told.

use crate::support::http::{request, Answer};
use crate::support::{message, wait, wait_some, Engine, Sink, Site};
use base64::Engine as _;

const LOGINS: &str = "
kumo.on('http_server_validate_auth_basic', function(user, password)
  if password ~= 'right' then return false end
  return { identities = { user }, groups = { user } }
end)";

const NOW: &str = "/api/console/now/v1";
const SESSION: &str = "/api/console/session/v1";

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

/// An engine that lets nobody in without credentials.
fn closed() -> (Site, Engine) {
    let mut site = Site::new();
    site.extra = LOGINS.into();
    site.http = "trusted_hosts = {}, administration_groups = { 'operators' },".into();
    let engine = site.start(2);
    (site, engine)
}

/// What a script of the page would send.
fn by_page(engine: &Engine, method: &str, path: &str, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];
    headers.extend_from_slice(more);
    let body = (method == "POST").then_some(&b""[..]);
    request(method, &engine.url(path), &headers, body)
}

/// Logs in; the cookie.
fn log_in(engine: &Engine) -> String {
    let authorization = basic("operators", "right");
    let answer = by_page(engine, "POST", SESSION, &[("authorization", &authorization)]);
    let cookie = answer.expect(200).header("set-cookie").unwrap().to_string();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    cookie.split(';').next().unwrap().to_string()
}

#[test]
fn a_browser_gets_a_page_and_a_program_a_word() {
    let mut site = Site::new();
    let engine = site.start(1);
    let page = request("GET", &engine.url("/"), &[("accept", "text/html,*/*")], None);
    assert!(page.text().starts_with("<!doctype html>"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert_eq!(engine.get("/").text(), "ringmta\n");
    drop(engine);
    site.http = "serves = { 'Injection' },".into();
    let engine = site.start(1);
    let page = request("GET", &engine.url("/"), &[("accept", "text/html")], None);
    assert_eq!(page.text(), "ringmta\n", "where nothing can be administered there is no console");
}

#[test]
fn a_login_lets_a_browser_in_until_it_ends() {
    let (_site, engine) = closed();
    let refused = by_page(&engine, "GET", NOW, &[]).expect(401);
    assert_eq!(refused.header("www-authenticate"), None, "the page has a form of its own");
    let refused = request("GET", &engine.url(NOW), &[], None).expect(401);
    assert!(refused.header("www-authenticate").is_some());
    let wrong = basic("operators", "wrong");
    let refused = by_page(&engine, "POST", SESSION, &[("authorization", &wrong)]).expect(401);
    assert_eq!(refused.header("set-cookie"), None);
    let customer = basic("customers", "right");
    by_page(&engine, "POST", SESSION, &[("authorization", &customer)]).expect(403);
    by_page(&engine, "GET", NOW, &[("cookie", "ringmta_console=guess")]).expect(401);

    let cookie = log_in(&engine);
    let with = [("cookie", cookie.as_str())];
    let now = by_page(&engine, "GET", NOW, &with).expect(200).json();
    assert_eq!(now["user"], "operators");
    assert_eq!(now["shards"], 2);
    let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.test")];
    request("GET", &engine.url(NOW), &evil, None).expect(403);
    let cookie_of_another_port = cookie.replace("ringmta_console_", "ringmta_console_1");
    by_page(&engine, "GET", NOW, &[("cookie", &cookie_of_another_port)]).expect(401);

    by_page(&engine, "DELETE", SESSION, &with).expect(200);
    by_page(&engine, "GET", NOW, &with).expect(401);
}

#[test]
fn a_reload_ends_the_logins_that_the_old_policy_gave() {
    let (_site, engine) = closed();
    let cookie = log_in(&engine);
    let with = [("cookie", cookie.as_str())];
    by_page(&engine, "GET", NOW, &with).expect(200);
    engine.signal("HUP");
    wait("the end of the login", || by_page(&engine, "GET", NOW, &with).status == 401);
}

#[test]
fn a_session_is_for_credentials() {
    let engine = Site::new().start(1);
    by_page(&engine, "GET", NOW, &[]).expect(200);
    by_page(&engine, "POST", SESSION, &[]).expect(400);
}

#[test]
fn the_history_tells_what_became_of_mail() {
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.path = "provider_name = 'sink',".into();
    let engine = site.start(2);
    sink.refuse("no", "550 5.1.1 no mailbox 4711 here");
    engine.accept("a@src.test", &["yes@dst.test", "no@dst.test"], &message("one"));
    let history = "/api/console/history/v1?seconds=600&points=60&by=provider";
    let told = wait_some("the first step", || {
        let told = engine.get(history).json();
        (told["names"]["domain"][0]["failed"] == 1).then_some(told)
    });
    assert_eq!(told["names"]["domain"][0]["name"], "dst.test");
    for by in ["domain", "provider"] {
        assert_eq!(told["names"][by][0]["delivered"], 1, "{told}");
    }
    assert_eq!(told["names"]["provider"][0]["name"], "sink");
    let sum = |of: &str| -> f64 {
        told["rates"][of].as_array().unwrap().iter().filter_map(|rate| rate.as_f64()).sum()
    };
    assert!((sum("delivered") - 0.1).abs() < 1e-9 && (sum("failed") - 0.1).abs() < 1e-9, "{told}");
    let answers = engine.get("/api/console/answers/v1").json();
    assert_eq!(answers[0]["who"], "sink");
    assert_eq!((&answers[0]["code"], &answers[0]["count"]), (&550.into(), &1.into()));
    assert_eq!(answers[0]["text"], "no mailbox # here");
    engine.get("/api/console/history/v1?seconds=soon").expect(400);
    engine.get("/api/console/history/v1?by=colour").expect(400);
    engine.get("/api/console/history/v1?seconds=99999999999&points=0").expect(200);
}

#[test]
fn queues_are_found_by_a_part_of_their_name() {
    // Nobody listens there.
    let site = Site::to("127.0.0.1:1".parse().unwrap());
    let engine = site.start(2);
    for domain in ["alpha.test", "beta.test", "beta.test", "gamma.test"] {
        engine.accept("a@src.test", &[&format!("u@{domain}")], &message("one"));
    }
    let names = |search: &str| -> Vec<(String, u64)> {
        let path = format!("/api/console/queues/v1?search={search}");
        let answer = engine.get(&path).expect(200).json();
        let list = answer["scheduled"].as_array().unwrap().iter();
        list.map(|one| (one["name"].as_str().unwrap().into(), one["count"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(names("BETA"), [("beta.test".to_string(), 2)]);
    let all = names("");
    assert_eq!((all.len(), &*all[0].0), (3, "beta.test"), "most mail first");
    assert_eq!(names("nothing"), []);
    engine.get("/api/console/queues/v1?limit=many").expect(400);
    engine.get("/api/console/queues/v1?limit=").expect(400);
}
