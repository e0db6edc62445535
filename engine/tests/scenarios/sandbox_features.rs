//! What Mailpit's flags switch on, on a real shard: logins, other sites' pages, roots, metrics, webhooks, relays, chaos.

use crate::sandbox_support::{
    deliver, get, pop3_for, request, sandbox, sandbox_of, until, Client, Reply,
};
use base64::Engine;
use ringmta_sandbox::chaos::Triggers;
use ringmta_sandbox::passwords::Passwords;
use ringmta_sandbox::relay::Keys;
use ringmta_sandbox::settings::{Keeping, Prometheus, SendLogins, Settings, Smtp, Webhook};
use ringmta_sandbox::tags::expression;
use serde_json::{json, Value};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const MAIL: &str = "From: ann@example.com\r\nTo: bob@example.com\r\nSubject: hello\r\nBcc: x@y.test\r\n\r\nbody\r\n";

fn asked(to: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    Client::connect(to).request(method, path, headers, b"")
}

fn basic(name: &str, password: &str) -> String {
    let code = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {code}\r\n")
}

/// A dialogue; gives back the code of each answer.
fn codes(to: SocketAddr, lines: &[&str]) -> Vec<u16> {
    let mut smtp = Client::connect(to);
    let mut codes = Vec::new();
    let mut answer = |smtp: &mut Client| loop {
        let line = smtp.line();
        if line.is_empty() {
            return codes.push(0);
        }
        if line.as_bytes()[3] != b'-' {
            return codes.push(line[..3].parse().unwrap());
        }
    };
    answer(&mut smtp);
    for line in lines {
        smtp.try_send(format!("{line}\r\n"));
        answer(&mut smtp);
    }
    codes
}

#[test]
fn logins_of_page_and_api() {
    let (_running, at) = sandbox_of(|| Settings {
        web_logins: Some(Passwords::parse("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=").unwrap()),
        send_logins: SendLogins::File(Passwords::parse("robot:key").unwrap()),
        ..Settings::default()
    });
    for path in ["/", "/api/v1/messages", "/api/events", "/view/latest.html"] {
        let reply = get(at.web, path);
        assert_eq!(
            (reply.status, reply.header("www-authenticate").is_some()),
            (401, true),
            "{path}"
        );
    }
    let list = |login: &str| asked(at.web, "GET", "/api/v1/messages", login).status;
    assert_eq!(list(&basic("ann", "secret")), 200);
    assert_eq!(
        [basic("ann", "Secret"), basic("bob", "secret")].map(|login| list(&login)),
        [401, 401]
    );
    assert_eq!((get(at.web, "/livez").status, get(at.web, "/readyz").status), (200, 200));
    let send = |login: &str| {
        let body =
            json!({"From": {"Email": "a@b.test"}, "To": [{"Email": "c@d.test"}]}).to_string();
        Client::connect(at.web).request("POST", "/api/v1/send", login, body.as_bytes())
    };
    assert_eq!((send("").status, send(&basic("ann", "secret")).status), (401, 401));
    assert!(send("").json()["Error"].is_string());
    let sent = send(&basic("robot", "key"));
    let path = format!("/api/v1/message/{}", sent.json()["ID"].as_str().unwrap());
    let message = asked(at.web, "GET", &path, &basic("ann", "secret")).json();
    assert_eq!(message["Username"], "robot");
}

#[test]
fn pages_of_other_sites_where_they_are_allowed() {
    let (_running, at) = sandbox_of(|| Settings {
        cors: ringmta_sandbox::cors::sites("http://app.test:3000").unwrap(),
        ..Settings::default()
    });
    let origin = "Origin: http://app.test:3000\r\n";
    let reply = asked(at.web, "DELETE", "/api/v1/messages", origin);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://app.test:3000"));
    let preflight = format!("{origin}Access-Control-Request-Headers: content-type\r\n");
    let reply = asked(at.web, "OPTIONS", "/api/v1/messages", &preflight);
    assert_eq!(
        (reply.status, reply.header("access-control-allow-headers")),
        (200, Some("content-type"))
    );
    for other in ["Origin: http://app.test\r\n", "Origin: http://evil.test:3000\r\n"] {
        let reply = asked(at.web, "DELETE", "/api/v1/messages", other);
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (403, None),
            "{other}"
        );
    }
    let (_running, at) = sandbox(10);
    assert_eq!(asked(at.web, "DELETE", "/api/v1/messages", origin).status, 403);
    assert_eq!(asked(at.web, "OPTIONS", "/api/v1/messages", "").status, 200);
    assert_eq!(asked(at.web, "HEAD", "/api/v1/messages", "").status, 200);
}

#[test]
fn everything_lies_below_the_root() {
    let (_running, at) =
        sandbox_of(|| Settings { webroot: "/in/box/".into(), ..Settings::default() });
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], MAIL);
    for (path, to) in [("/", "/in/box/"), ("/in/box", "/in/box/"), ("/in/box/view/latest", "")] {
        let reply = get(at.web, path);
        let wanted = if to.is_empty() { format!("/in/box/view/{id}") } else { to.to_string() };
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, Some(wanted.as_str())),
            "{path}"
        );
    }
    assert_eq!(get(at.web, "/in/box/api/v1/messages").json()["total"], 1);
    assert_eq!(get(at.web, "/in/box/view/latest.txt").text(), "body\r\n");
    for path in ["/api/v1/messages", "/in/boxer/", "/in/boxapi/v1/messages"] {
        assert_eq!(get(at.web, path).status, 404, "{path}");
    }
    let page = get(at.web, "/in/box/api/v1/");
    assert!(page.text().contains("/in/box/api/v1/message/{ID}/release"), "{}", page.text());
    assert_eq!(get(at.web, "/in/box/api/v1/swagger.json").json()["basePath"], "/in/box");
}

#[test]
fn metrics_by_mailpits_names() {
    let (_running, at) =
        sandbox_of(|| Settings { prometheus: Prometheus::Here, ..Settings::default() });
    deliver(at.smtp, "a@b.test", &["c+red@d.test"], MAIL);
    request(at.web, "DELETE", "/api/v1/search?query=absent", "");
    let text = get(at.web, "/metrics").text();
    for line in [
        "mailpit_messages 1",
        "mailpit_messages_unread 1",
        "mailpit_smtp_accepted_total 1",
        "mailpit_smtp_rejected_total 0",
        "mailpit_tag_messages{tag=\"red\"} 1",
        "# TYPE mailpit_smtp_accepted_size_bytes_total counter",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
    }
    let own = || Settings {
        prometheus: Prometheus::At("127.0.0.1:0".parse().unwrap()),
        ..Settings::default()
    };
    let (_running, at) = sandbox_of(own);
    assert_eq!(get(at.web, "/metrics").status, 404);
    assert!(get(at.metrics.unwrap(), "/metrics").text().contains("mailpit_uptime_seconds"));
    assert_eq!(get(at.metrics.unwrap(), "/api/v1/messages").status, 404);
}

#[test]
fn a_webhook_hears_of_new_messages() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?x=1", receiver.local_addr().unwrap());
    let (_running, at) = sandbox_of(move || Settings {
        webhook: Some(Webhook { url, pause: Duration::from_secs(3600), delay: Duration::ZERO }),
        ..Settings::default()
    });
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], MAIL);
    // Beyond the limit: not told.
    deliver(at.smtp, "a@b.test", &["c@d.test"], "Subject: too soon\r\n\r\n");
    let (stream, _) = receiver.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_ascii_lowercase());
    }
    assert_eq!(head[0], "post /hook?x=1 http/1.1");
    assert!(head.contains(&"content-type: application/json".into()), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((told["ID"].as_str(), told["Subject"].as_str()), (Some(id.as_str()), Some("hello")));
}

#[test]
fn who_may_send() {
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp {
            logins: Some(Passwords::parse("ann:secret").unwrap()),
            insecure_logins: true,
            ..Smtp::default()
        },
        ..Settings::default()
    });
    // ann:wrong, then ann:secret.
    assert_eq!(
        codes(
            at.smtp,
            &[
                "EHLO x",
                "MAIL FROM:<a@b.test>",
                "AUTH PLAIN AGFubgB3cm9uZw==",
                "AUTH PLAIN AGFubgBzZWNyZXQ=",
                "MAIL FROM:<a@b.test>"
            ]
        ),
        [220, 250, 530, 535, 235, 250]
    );
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp { require_starttls: true, ..Smtp::default() },
        ..Settings::default()
    });
    assert_eq!(codes(at.smtp, &["EHLO x", "MAIL FROM:<a@b.test>"]), [220, 250, 530]);
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp {
            max_recipients: Some(2),
            allowed_recipients: Some(expression("@example\\.com$").unwrap()),
            strict_headers: true,
            ..Smtp::default()
        },
        ..Settings::default()
    });
    assert_eq!(
        codes(
            at.smtp,
            &[
                "EHLO x",
                "MAIL FROM:<a@b.test>",
                "RCPT TO:<a@example.com>",
                "RCPT TO:<a@other.test>",
                "RCPT TO:<b@example.com>",
                "RCPT TO:<c@example.com>",
                "DATA",
                "A: b\r\r\nC: d\r\n\r\n."
            ]
        ),
        [220, 250, 250, 250, 550, 250, 452, 354, 550]
    );
    let info = get(at.web, "/api/v1/info").json();
    assert_eq!(
        (info["RuntimeStats"]["SMTPRejected"].as_u64(), info["Messages"].as_u64()),
        (Some(2), Some(0))
    );
}

#[test]
fn recipients_that_are_dropped() {
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp {
            allowed_recipients: Some(expression("@example\\.com$").unwrap()),
            ignore_rejected: true,
            ..Smtp::default()
        },
        ..Settings::default()
    });
    let id = deliver(at.smtp, "a@b.test", &["a@example.com", "b@other.test"], MAIL);
    let message = get(at.web, &format!("/api/v1/message/{id}")).json();
    assert_eq!(message["Envelope"]["To"], json!(["a@example.com"]));
    deliver(at.smtp, "a@b.test", &["b@other.test"], MAIL);
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 1);
}

#[test]
fn messages_are_relayed_and_forwarded() {
    let (_behind, behind) = sandbox(10);
    let keys = move |yaml: &str| {
        Keys::parse(&format!("host: 127.0.0.1\nport: {}\n{yaml}", behind.smtp.port())).unwrap()
    };
    let (_running, at) = sandbox_of(move || Settings {
        relay: Some(ringmta_sandbox::relay::Relay {
            matching: Some(expression("@out\\.test$").unwrap()),
            ..keys("return-path: back@example.com\noverride-from: shop@example.com")
                .relay()
                .unwrap()
        }),
        forward: Some(keys("to: team@example.com, boss@example.com").forward().unwrap()),
        ..Settings::default()
    });
    deliver(at.smtp, "a@b.test", &["in@inside.test", "x@out.test"], MAIL);
    let find = |query: &str| {
        until(query, || {
            let list = get(behind.web, &format!("/api/v1/search?query={query}")).json();
            let id = list["messages"][0]["ID"].as_str()?.to_string();
            Some(get(behind.web, &format!("/api/v1/message/{id}")).json())
        })
    };
    let relayed = find("addressed:x@out.test");
    assert_eq!(relayed["Envelope"]["To"], json!(["x@out.test"]));
    assert_eq!(relayed["ReturnPath"], "back@example.com");
    assert_eq!(relayed["From"]["Address"], "shop@example.com");
    let forwarded = find("addressed:team@example.com");
    assert_eq!(forwarded["Envelope"]["To"], json!(["team@example.com", "boss@example.com"]));
    assert_eq!(forwarded["From"]["Address"], "ann@example.com");
    let hidden: Vec<&str> = forwarded["Bcc"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["Address"].as_str().unwrap())
        .collect();
    assert!(!hidden.contains(&"x@y.test"), "{hidden:?}");
    // A server that cannot be reached is the sender's to hear of, where that is asked for.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!(
        "host: 127.0.0.1\nport: {}\nforward-smtp-errors: true\nto: a@b.test",
        nobody.port()
    );
    let (_running, at) = sandbox_of(move || Settings {
        forward: Some(Keys::parse(&yaml).unwrap().forward().unwrap()),
        ..Settings::default()
    });
    let dialogue = [
        "EHLO x",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<a@example.com>",
        "DATA",
        "Subject: x\r\n\r\n.",
    ];
    assert_eq!(codes(at.smtp, &dialogue), [220, 250, 250, 250, 354, 451]);
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 0);
}

#[test]
fn chaos_at_every_step() {
    let (_running, at) =
        sandbox_of(|| Settings { chaos: Some(Triggers::default()), ..Settings::default() });
    let set = |triggers: Value| {
        let reply = request(at.web, "PUT", "/api/v1/chaos", &triggers.to_string());
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let always = |code: u16| json!({"ErrorCode": code, "Probability": 100});
    let dialogue = [
        "EHLO x",
        "MAIL FROM:<a@b.test>",
        "RCPT TO:<a@example.com>",
        "DATA",
        "Subject: x\r\n\r\n.",
        "QUIT",
    ];
    for (step, wanted) in [
        (json!({"Greeting": always(554)}), vec![554]),
        (json!({"Ehlo": always(451)}), vec![220, 451]),
        (json!({"Sender": always(452)}), vec![220, 250, 452]),
        (
            json!({"Recipient": {"ErrorCode": 550, "Probability": 100, "Domain": "example.com"}}),
            vec![220, 250, 250, 550],
        ),
        (
            json!({"Recipient": {"ErrorCode": 550, "Probability": 100, "Domain": "other.test"}}),
            vec![220, 250, 250, 250, 354, 250, 221],
        ),
        (json!({"Data": always(421)}), vec![220, 250, 250, 250, 421]),
        (json!({"Message": always(451)}), vec![220, 250, 250, 250, 354, 451]),
        (
            json!({"Message": {"ErrorCode": 0, "Probability": 100, "Drop": true}}),
            vec![220, 250, 250, 250, 354, 0],
        ),
        (
            json!({"Data": {"ErrorCode": 451, "Probability": 100, "DelayMs": 20, "Text": "4.7.0 Later"}}),
            vec![220, 250, 250, 250, 451],
        ),
    ] {
        set(step.clone());
        assert_eq!(codes(at.smtp, &dialogue[..wanted.len() - 1]), wanted, "{step}");
    }
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 1);
    assert!(get(at.web, "/api/v1/chaos").json()["Data"]["Text"] == "4.7.0 Later");
    set(json!({}));
    assert_eq!(get(at.web, "/api/v1/chaos").json()["Data"], Value::Null);
    let (_running, at) = sandbox(10);
    for method in ["GET", "PUT"] {
        let reply = request(at.web, method, "/api/v1/chaos", "");
        assert_eq!((reply.status, reply.text().contains("--enable-chaos")), (400, true));
    }
}

#[test]
fn what_is_not_switched_on_says_how_to() {
    let (_running, at) = sandbox(10);
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], "Content-Type: text/html\r\n\r\n<p>x</p>");
    for (method, path, flag) in [
        ("GET", "link-check", "--enable-link-check"),
        ("GET", "sa-check", "--enable-spamassassin"),
        ("POST", "release", "--smtp-relay-config"),
    ] {
        let reply = request(at.web, method, &format!("/api/v1/message/{id}/{path}"), "");
        assert_eq!((reply.status, reply.text().contains(flag)), (400, true), "{}", reply.text());
    }
    let webui = get(at.web, "/api/v1/webui").json();
    assert_eq!(
        (&webui["SpamAssassin"], &webui["LinkCheck"], &webui["ChaosEnabled"]),
        (&json!(false), &json!(false), &json!(false))
    );
}

#[test]
fn links_to_private_addresses_are_not_tried() {
    let (_running, at) = sandbox_of(|| Settings { link_check: true, ..Settings::default() });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    let html = format!("Content-Type: text/html\r\n\r\n<a href=http://127.0.0.1:{port}/>a</a><a href=http://localhost:{port}/>b</a>");
    let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &html);
    let checked = get(at.web, &format!("/api/v1/message/{id}/link-check")).json();
    assert_eq!(checked["Errors"], 2, "{checked}");
    for link in checked["Links"].as_array().unwrap() {
        assert_eq!(
            (link["StatusCode"].as_u64(), link["Status"].as_str().unwrap().contains("private")),
            (Some(0), true),
            "{link}"
        );
    }
    nobody.set_nonblocking(true).unwrap();
    assert!(nobody.accept().is_err(), "nothing has asked");
}

#[test]
fn tags_by_searches_and_logins() {
    let (_running, at) = sandbox_of(|| {
        let mut keeping = Keeping::default();
        let search = ringmta_sandbox::search::Search::parse("from:ann subject:hello").unwrap();
        keeping.tags.filters.push(("found".into(), search));
        keeping.tags.title_case = true;
        keeping.tags.no_plus_addresses = true;
        Settings { keeping, ..Settings::default() }
    });
    deliver(at.smtp, "a@b.test", &["c+plus@d.test"], &format!("X-Tags: new order\r\n{MAIL}"));
    assert_eq!(get(at.web, "/api/v1/tags").json(), json!(["New Order", "found"]));
    let rename = request(at.web, "PUT", "/api/v1/tags/New%20Order", "{\"Name\": \"done\"}");
    assert_eq!((rename.status, rename.text().as_str()), (200, "ok"));
    assert_eq!(request(at.web, "DELETE", "/api/v1/tags/found", "").status, 200);
    assert_eq!(get(at.web, "/api/v1/tags").json(), json!(["done"]));
    assert_eq!(request(at.web, "DELETE", "/api/v1/tags/found", "").status, 400);
}

#[test]
fn a_mailbox_of_pop3() {
    let (_running, at) =
        sandbox_of(|| Settings { pop3: pop3_for("ann:secret"), ..Settings::default() });
    let id = deliver(
        at.smtp,
        "a@b.test",
        &["c@d.test"],
        "Subject: one\r\n\r\nfirst\r\n..second\r\nthird\r\n",
    );
    deliver(at.smtp, "a@b.test", &["c@d.test"], "Subject: two\r\n\r\n");
    let mut pop = Client::connect(at.pop3.unwrap());
    let mut ask = |line: &str| {
        if !line.is_empty() {
            pop.send(format!("{line}\r\n"));
        }
        pop.line()
    };
    assert!(ask("").starts_with("+OK"));
    for refused in ["STAT", "RETR 1", "PASS secret"] {
        assert!(ask(refused).starts_with("-ERR"), "{refused}");
    }
    assert_eq!((ask("USER ann").as_str(), ask("PASS secret").as_str()), ("+OK", "+OK 2 messages"));
    assert_eq!((ask("STAT").as_str(), ask("LIST 2").as_str()), ("+OK 2 55", "+OK 2 16"));
    assert_eq!(ask("UIDL 1"), format!("+OK 1 {id}"));
    let mut lines = |asked: &str| {
        let mut all = vec![ask(asked)];
        while all.last().unwrap() != "." {
            all.push(ask(""));
        }
        all.join("|")
    };
    assert_eq!(lines("RETR 1"), "+OK|Subject: one||first|..second|third|.");
    assert_eq!(lines("TOP 1 1"), "+OK|Subject: one||first|.");
    assert_eq!(lines("LIST"), "+OK|1 39|2 16|.");
    assert_eq!((ask("DELE 1").as_str(), ask("LIST 1").as_str()), ("+OK", "-ERR no such message"));
    for wrong in ["RETR 0", "RETR 3", "RETR x", "TOP 2", "DELE 1", "WHAT"] {
        assert!(ask(wrong).starts_with("-ERR"), "{wrong}");
    }
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 2);
    assert_eq!(ask("QUIT"), "+OK");
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 1);
    let mut guesser = Client::connect(at.pop3.unwrap());
    guesser.send("USER ann\r\nPASS a\r\nPASS b\r\nPASS c\r\n");
    assert_eq!(String::from_utf8_lossy(&guesser.rest()).matches("-ERR [AUTH]").count(), 3);
}

#[test]
fn many_messages_are_relayed_and_none_is_lost() {
    let (_behind, behind) = sandbox(1000);
    let yaml = format!("host: 127.0.0.1\nport: {}", behind.smtp.port());
    let (_running, at) = sandbox_of(move || Settings {
        relay: Some(ringmta_sandbox::relay::Relay {
            all: true,
            ..Keys::parse(&yaml).unwrap().relay().unwrap()
        }),
        ..Settings::default()
    });
    let count = 150;
    for number in 0..count {
        deliver(at.smtp, "a@b.test", &["c@d.test"], &format!("Subject: {number}\r\n\r\n"));
    }
    until("all of them", || {
        (get(behind.web, "/api/v1/messages?limit=1").json()["total"] == count).then_some(())
    });
}
