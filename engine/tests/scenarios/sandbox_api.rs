//! The sandbox's API on a real shard, field by field as Mailpit's clients read it.

use crate::sandbox_support::{deliver, get, request, sandbox, sandbox_of, Client};
use ringmta_sandbox::chaos::Triggers;
use ringmta_sandbox::Settings;
use serde_json::{json, Value};

const MAIL: &str = "From: Ann Larsen <ann@example.com>\r\n\
To: \"Bob, Jr\" <bob+shop@example.org>, eve@example.org\r\n\
Cc: Carl <carl@example.org>\r\n\
Reply-To: help@example.com\r\n\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
Message-ID: <one@example.com>\r\n\
Date: Sun, 22 Nov 2026 15:10:00 +0100\r\n\
X-Tags: orders, Shipping\r\n\
X-Folded: one\r\n\ttwo\r\n\
List-Unsubscribe: <https://example.com/u>, <mailto:u@example.com>\r\n\
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=m\r\n\
\r\n\
--m\r\n\
Content-Type: multipart/related; boundary=r\r\n\
\r\n\
--r\r\n\
Content-Type: text/html; charset=utf-8\r\n\
\r\n\
<p>Hello <b>Bob</b></p><img src=\"cid:dot\"><script>alert(1)</script>\r\n\
--r\r\n\
Content-Type: image/gif\r\n\
Content-ID: <dot>\r\n\
Content-Disposition: inline\r\n\
Content-Transfer-Encoding: base64\r\n\
\r\n\
R0lGODlhAQABAAAAACw=\r\n\
--r--\r\n\
--m\r\n\
Content-Type: text/csv; name=\"a.csv\"\r\n\
Content-Disposition: attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv\r\n\
\r\n\
hello\r\n\
--m--\r\n";

fn plain(subject: &str) -> String {
    format!("From: a@example.com\r\nTo: b@example.org\r\nSubject: {subject}\r\n\r\nBody of {subject}.\r\n")
}

fn subjects(list: &Value) -> Vec<&str> {
    list["messages"].as_array().unwrap().iter().map(|m| m["Subject"].as_str().unwrap()).collect()
}

#[test]
fn lists_and_messages_have_mailpits_fields() {
    let (_running, at) = sandbox(10);
    let empty = get(at.web, "/api/v1/messages").json();
    assert_eq!(
        empty,
        json!({"total": 0, "unread": 0, "count": 0, "messages_count": 0, "messages_unread": 0,
               "start": 0, "tags": [], "messages": []})
    );
    let to = ["bob+shop@example.org", "eve@example.org", "carl@example.org", "hidden@example.net"];
    let id = deliver(at.smtp, "bounce@example.com", &to, MAIL);
    let list = get(at.web, "/api/v1/messages").json();
    assert_eq!(list["tags"], json!(["Shipping", "orders", "shop"]));
    let mut summary = list["messages"][0].clone();
    let created = summary["Created"].take();
    let created = created.as_str().unwrap();
    assert!(created.len() == 24 && created.ends_with('Z') && created.contains('.'), "{created}");
    assert_eq!(
        summary,
        json!({
            "ID": id, "MessageID": "one@example.com", "Read": false, "Created": null,
            "From": {"Name": "Ann Larsen", "Address": "ann@example.com"},
            "To": [{"Name": "Bob, Jr", "Address": "bob+shop@example.org"},
                   {"Name": "", "Address": "eve@example.org"}],
            "Cc": [{"Name": "Carl", "Address": "carl@example.org"}],
            "Bcc": [{"Name": "", "Address": "hidden@example.net"}],
            "ReplyTo": [{"Name": "", "Address": "help@example.com"}],
            "Subject": "Grüße", "Username": "", "Tags": ["orders", "Shipping", "shop"],
            "Size": MAIL.len(), "Attachments": 1, "Snippet": "Hello Bob", "Recipients": to,
        })
    );

    let mail = get(at.web, &format!("/api/v1/message/{id}")).json();
    assert_eq!(mail["ReturnPath"], "bounce@example.com");
    assert_eq!(mail["Date"], "2026-11-22T15:10:00+01:00");
    assert_eq!(mail["Text"].as_str().unwrap().trim(), "Hello Bob");
    assert!(mail["HTML"].as_str().unwrap().contains("<script>"));
    assert_eq!(
        mail["ListUnsubscribe"],
        json!({"Header": "<https://example.com/u>, <mailto:u@example.com>",
               "Links": ["https://example.com/u", "mailto:u@example.com"], "Errors": "",
               "HeaderPost": "List-Unsubscribe=One-Click"})
    );
    assert_eq!(
        mail["Attachments"],
        json!([{"PartID": "2", "FileName": "größe.csv", "ContentType": "text/csv",
            "ContentID": "", "Size": 5, "Checksums": {
                "MD5": "5d41402abc4b2a76b9719d911017c592",
                "SHA1": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
                "SHA256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}])
    );
    assert_eq!(mail["Inline"][0]["PartID"], "1.2");
    assert_eq!(mail["Inline"][0]["ContentID"], "dot");
    assert_eq!(mail["Envelope"]["From"], "bounce@example.com");
    assert_eq!(mail["Envelope"]["To"], json!(to));
    let session = &mail["Envelope"]["Session"];
    assert_eq!(session["Helo"], "client.example");
    assert_eq!(session["TLS"], Value::Null);
    assert!(session["Client"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(get(at.web, "/api/v1/messages").json()["unread"], 0, "looking marks as read");
}

#[test]
fn source_headers_parts_and_views() {
    let (_running, at) = sandbox(10);
    let id = deliver(at.smtp, "a@example.com", &["b@example.org"], MAIL);
    let raw = get(at.web, "/api/v1/message/latest/raw");
    assert_eq!(raw.text(), MAIL);
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    let saved = get(at.web, &format!("/api/v1/message/{id}/raw?dl=1"));
    assert!(saved.header("content-disposition").unwrap().starts_with("attachment"));

    let headers = get(at.web, "/api/v1/message/latest/headers").json();
    assert_eq!(headers["Message-Id"], json!(["<one@example.com>"]));
    assert_eq!(headers["X-Folded"], json!(["one two"]));

    let part = get(at.web, &format!("/api/v1/message/{id}/part/2"));
    assert_eq!((part.status, part.text().as_str()), (200, "hello"));
    assert_eq!(part.header("content-type"), Some("text/csv"));
    let disposition = |part: &str| {
        let answer = get(at.web, &format!("/api/v1/message/{id}/part/{part}"));
        answer.header("content-disposition").unwrap().to_string()
    };
    let named = "filename=\"gr%C3%B6%C3%9Fe.csv\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.csv";
    assert_eq!(disposition("2"), format!("inline; {named}"), "as Mailpit has it");
    assert!(disposition("1.2").starts_with("inline; filename=\"dot\""), "{}", disposition("1.2"));
    let page = get(at.web, &format!("/api/v1/message/{id}/part/1.1"));
    assert_eq!(page.header("content-type"), Some("application/octet-stream"), "no page of ours");
    assert!(disposition("1.1").starts_with("attachment; "));
    assert_eq!(get(at.web, &format!("/api/v1/message/{id}/part/9")).status, 404);

    let html = get(at.web, "/view/latest.html");
    assert!(html.text().contains("src=\"data:image/gif;base64,R0lGODlhAQABAAAAACw=\""));
    let policy = html.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with(
            "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
        ),
        "{policy}"
    );
    assert!(!policy.contains("script") && !policy.contains("same-origin"), "{policy}");
    let text = get(at.web, &format!("/view/{id}.txt"));
    assert_eq!(text.text().trim(), "Hello Bob");
    assert!(text.header("content-type").unwrap().starts_with("text/plain"));
}

#[test]
fn paging_search_read_state_and_deletion() {
    let (_running, at) = sandbox(10);
    let ids: Vec<String> = ["one", "two", "three", "four"]
        .iter()
        .map(|subject| deliver(at.smtp, "a@example.com", &["b@example.org"], &plain(subject)))
        .collect();
    let list = |path: &str| get(at.web, path).json();
    let page = list("/api/v1/messages?start=1&limit=2");
    assert_eq!(subjects(&page), ["three", "two"]);
    assert_eq!((&page["count"], &page["total"], &page["start"]), (&json!(2), &json!(4), &json!(1)));
    assert_eq!(list("/api/v1/messages?limit=0")["count"], 4);
    assert_eq!(subjects(&list("/api/v1/search?query=subject%3At")), ["three", "two"]);

    let body = json!({"IDs": [ids[1], "unknown"], "Read": true}).to_string();
    assert_eq!(request(at.web, "PUT", "/api/v1/messages", &body).text(), "ok");
    assert_eq!(subjects(&list("/api/v1/search?query=is:read")), ["two"]);
    let found = list("/api/v1/search?query=subject:t");
    assert_eq!((&found["messages_count"], &found["messages_unread"]), (&json!(2), &json!(1)));
    assert_eq!((&found["total"], &found["unread"]), (&json!(4), &json!(3)));
    let both = json!({"IDs": [ids[1]], "Search": "x", "Read": true}).to_string();
    assert_eq!(request(at.web, "PUT", "/api/v1/messages", &both).status, 400);
    request(at.web, "PUT", "/api/v1/messages", r#"{"Read": true, "Search": "four"}"#);
    assert_eq!(list("/api/v1/messages")["unread"], 2);
    request(at.web, "PUT", "/api/v1/messages", r#"{"Read": true}"#);
    assert_eq!(list("/api/v1/messages")["unread"], 0);

    let body = json!({"IDs": [ids[0]]}).to_string();
    assert_eq!(request(at.web, "DELETE", "/api/v1/messages", &body).text(), "ok");
    assert_eq!(request(at.web, "DELETE", "/api/v1/search?query=three", "").text(), "ok");
    assert_eq!(subjects(&list("/api/v1/messages")), ["four", "two"]);
    assert_eq!(request(at.web, "DELETE", "/api/v1/messages", "").text(), "ok");
    assert_eq!(list("/api/v1/messages")["total"], 0);
}

#[test]
fn what_is_wrong_is_said() {
    let (_running, at) = sandbox(10);
    let status = |method: &str, path: &str, body: &str| request(at.web, method, path, body).status;
    assert_eq!(get(at.web, "/api/v1/message/latest").text().trim(), "404 page not found");
    assert_eq!(status("GET", "/api/v1/message/nope", ""), 404);
    assert_eq!(status("GET", "/view/nope.html", ""), 404);
    assert_eq!(status("GET", "/api/v1/nope", ""), 404);
    assert_eq!(status("GET", "/api/v1/messages?limit=x", ""), 400);
    assert_eq!(status("GET", "/api/v1/search", ""), 400);
    assert_eq!(status("GET", "/api/v1/search?query=after:soon", ""), 400);
    assert_eq!(status("DELETE", "/api/v1/search?query=to:", ""), 400);
    assert_eq!(status("DELETE", "/api/v1/messages", "{not json"), 400);
    assert_eq!(status("POST", "/api/v1/messages", ""), 405);
    assert_eq!(status("PUT", "/api/v1/chaos", "{}"), 400);
    assert_eq!(status("PUT", "/api/v1/messages", &" ".repeat(5 * 1024 * 1024 + 1)), 413);
    assert_eq!(status("GET", "/api/v1/message/latest/html-check", ""), 404);
    assert_eq!(status("GET", "/api/v1/messages?limit=1&before=soon", ""), 400);
    let foreign = "Origin: https://elsewhere.example\r\n";
    let told = Client::connect(at.web).request("POST", "/api/v1/send", foreign, b"{}");
    assert_eq!(told.status, 403);
}

#[test]
fn wait_answers_when_enough_has_come() {
    let (_running, at) = sandbox(10);
    let mut waiting = Client::connect(at.web);
    waiting.send("GET /api/v1/wait?query=subject:order&count=2&timeout=30 HTTP/1.1\r\n");
    waiting.send("Host: x\r\n\r\n");
    for subject in ["order 1", "other", "order 2"] {
        deliver(at.smtp, "a@example.com", &["b@example.org"], &plain(subject));
    }
    let found = waiting.reply(false).json();
    assert_eq!(subjects(&found), ["order 2", "order 1"]);
    let late = get(at.web, "/api/v1/wait?query=subject:order&count=3&timeout=0");
    assert_eq!(late.status, 408);
    assert!(late.text().contains("2 of 3"), "{}", late.text());
}

#[test]
fn send_makes_a_message() {
    let (_running, at) = sandbox(10);
    let body = json!({
        "From": {"Name": "Ännchen \"A\"", "Email": "ann@example.com"},
        "To": [{"Name": "Bob\r\nBcc: evil@example.com", "Email": "bob@example.org"}],
        "Bcc": ["hidden@example.net"], "Subject": "Grüße aus Köln, und zwar recht herzliche, an alle dort",
        "Text": "Hello\n", "HTML": "<p>Hello</p>", "Tags": ["t1"], "Headers": {"X-One": "1\r\nX-Two: 2"},
        "Attachments": [{"Filename": "a.txt", "ContentType": "text/plain", "Content": "aGVsbG8="}],
    });
    let sent = request(at.web, "POST", "/api/v1/send", &body.to_string());
    assert_eq!(sent.status, 200, "{}", sent.text());
    let id = sent.json()["ID"].as_str().unwrap().to_string();
    let mail = get(at.web, &format!("/api/v1/message/{id}")).json();
    assert_eq!(mail["From"], json!({"Name": "Ännchen \"A\"", "Address": "ann@example.com"}));
    assert_eq!(mail["To"][0]["Address"], "bob@example.org");
    assert_eq!(mail["Bcc"], json!([{"Name": "", "Address": "hidden@example.net"}]));
    assert_eq!(mail["Subject"], body["Subject"]);
    assert_eq!(mail["Text"], "Hello\n");
    assert_eq!(mail["HTML"], "<p>Hello</p>");
    assert_eq!(mail["Tags"], json!(["t1"]));
    assert_eq!(mail["Attachments"][0]["FileName"], "a.txt");
    let headers = get(at.web, &format!("/api/v1/message/{id}/headers")).json();
    assert_eq!(headers.get("X-Two"), None, "no value may start a header");
    assert_eq!(headers.get("Bcc"), None);
    for bad in ["{}", "[", r#"{"From": {"Email": "a b@c"}}"#] {
        let told = request(at.web, "POST", "/api/v1/send", bad);
        assert_eq!(told.status, 400);
        assert!(told.json()["Error"].is_string());
    }
}

#[test]
fn the_page_and_the_small_answers() {
    let (_running, at) = sandbox(10);
    let page = get(at.web, "/");
    assert!(page.text().contains("ringmta"));
    assert!(!page.text().contains("/*page."), "style and script are in the page");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(get(at.web, "/livez").text(), "ok");
    assert_eq!(get(at.web, "/readyz").text(), "ok");
    let info = get(at.web, "/api/v1/info").json();
    assert_eq!(
        (&info["Messages"], &info["Unread"], &info["Tags"]),
        (&json!(0), &json!(0), &json!({}))
    );
    assert!(info["RuntimeStats"]["Uptime"].is_u64());
    let webui = get(at.web, "/api/v1/webui").json();
    assert_eq!(webui["SMTP"], at.smtp.to_string());
    assert_eq!(webui["MessageRelay"]["Enabled"], false);
}

/// Whether a value is what a schema says, field by field, with none that it does not name.
fn conforms(value: &Value, schema: &Value, models: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return conforms(value, &models[name], models, at);
    }
    if value.is_null() {
        assert_eq!(schema["x-nullable"], true, "{at} is null");
        return;
    }
    if let Some(whole) = schema["allOf"].get(0) {
        return conforms(value, whole, models, at);
    }
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "object",
    };
    assert_eq!(schema["type"], kind, "{at}: {value}");
    for (number, one) in value.as_array().into_iter().flatten().enumerate() {
        conforms(one, &schema["items"], models, &format!("{at}[{number}]"));
    }
    for (name, one) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        let of_map = schema.get("additionalProperties");
        let inner = of_map.or_else(|| schema["properties"].get(name));
        conforms(one, inner.unwrap_or_else(|| panic!("{at} is not described")), models, &at);
    }
    for name in schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(value.get(name).is_some() || at.starts_with("/api/v1/chaos"), "{at} has no {name}");
    }
}

#[test]
fn the_description_is_of_what_is_taken_and_answered() {
    let (_running, at) = sandbox_of(|| Settings {
        chaos: Some(Triggers::default()),
        link_check: true,
        ..Settings::default()
    });
    let id = deliver(at.smtp, "a@example.com", &["b@example.org"], MAIL);
    let document = get(at.web, "/api/v1/swagger.json").json();
    let models = &document["definitions"];
    let mut answered = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let asked = path.replace("{ID}", &id).replace("{PartID}", "2").replace("{Tag}", "orders");
        let answer = &operations["get"]["responses"]["200"]["schema"];
        if answer.get("$ref").is_none() || path.ends_with("sa-check") || path == "/proxy" {
            continue;
        }
        let query = if path.ends_with("/search") { "?query=bob" } else { "" };
        let reply = get(at.web, &format!("{asked}{query}"));
        assert_eq!(reply.status, 200, "{asked}: {}", reply.text());
        conforms(&reply.json(), answer, models, path);
        answered += 1;
    }
    assert_eq!(answered, 11);
    let mut taken = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let Some(body) = parameters.iter().find(|one| one["in"] == "body") else { continue };
            let name = body["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let example = models[name]["example"].to_string();
            let asked = path.replace("{ID}", &id).replace("{Tag}", "orders");
            let reply = request(at.web, &method.to_uppercase(), &asked, &example);
            let is_understood = !reply.text().contains("expected here");
            assert!(reply.status < 500 && is_understood, "{asked}: {}", reply.text());
            taken += 1;
        }
    }
    assert_eq!(taken, 7);
    let page = get(at.web, "/api/v1/").text();
    assert!(page.contains("<code>{IDs[], Read, Search}</code>"), "{page}");
}
