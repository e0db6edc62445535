//! The sandbox's SMTP side, its websocket, its bounds and its webhook receiver, on a real shard.

use crate::sandbox_support::{
    deliver, get, loopback, request, sandbox, sandbox_of, start, until, Client, Running,
};
use ringmta_sandbox::settings::Smtp;
use ringmta_sandbox::tags::expression;
use ringmta_sandbox::{self as sandbox, SandboxConfig, Settings};
use serde_json::{json, Value};
use std::io::Read;
use std::net::SocketAddr;

fn smtp(at: SocketAddr) -> Client {
    let mut client = Client::connect(at);
    assert!(client.line().starts_with("220 "));
    client
}

fn say(client: &mut Client, command: &str) -> Vec<String> {
    client.send(format!("{command}\r\n"));
    let mut lines = Vec::new();
    loop {
        let line = client.line();
        let last = line.as_bytes().get(3) != Some(&b'-');
        lines.push(line);
        if last {
            return lines;
        }
    }
}

#[test]
fn any_sender_recipient_and_password_is_taken() {
    let (_running, at) = sandbox(10);
    let mut client = smtp(at.smtp);
    let offers = say(&mut client, "EHLO me.example").join("\n");
    for keyword in
        ["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH"]
    {
        assert!(offers.contains(keyword), "{keyword}: {offers}");
    }
    assert!(say(&mut client, "AUTH PLAIN AHNob3AAc2VjcmV0")[0].starts_with("235 "));
    client.send("MAIL FROM:<>\r\nRCPT TO:<x@[192.0.2.1]>\r\nRCPT TO:<y@example.org>\r\nDATA\r\n");
    for code in ["250", "250", "250", "354"] {
        assert!(client.line().starts_with(code));
    }
    client.send("..dot\r\nno colon here\r\n\r\nbare\nending\r\n.\r\nQUIT\r\n");
    assert!(client.line().starts_with("250 "));
    assert!(client.line().starts_with("221 "));
    assert_eq!(
        get(at.web, "/api/v1/message/latest/raw").text(),
        ".dot\r\nno colon here\r\n\r\nbare\nending\r\n"
    );
    let mail = get(at.web, "/api/v1/message/latest").json();
    assert_eq!(mail["Username"], "shop");
    assert_eq!(mail["Envelope"]["Session"]["AuthUser"], "shop");
    assert_eq!(mail["Envelope"]["From"], "");
    assert_eq!(mail["Envelope"]["To"], json!(["x@[192.0.2.1]", "y@example.org"]));
    assert!(!mail.to_string().contains("secret"));
}

#[test]
fn starttls_is_offered_and_recorded() {
    let (_running, at) = sandbox(10);
    let mut client = smtp(at.smtp);
    say(&mut client, "EHLO me.example");
    assert!(say(&mut client, "STARTTLS")[0].starts_with("220 "));
    let mut tcp = client.stream.into_inner();
    let config = ringmta_io::tls::client_config(None).unwrap();
    let name = "sandbox.example".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let script =
        "EHLO tls.example\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n\
                  Subject: under TLS\r\n\r\nx\r\n.\r\nQUIT\r\n";
    std::io::Write::write_all(&mut stream, script.as_bytes()).unwrap();
    let mut answers = String::new();
    let _ = stream.read_to_string(&mut answers);
    assert!(answers.contains("\r\n221 "), "{answers}");
    assert!(!answers.contains("STARTTLS"), "{answers}");
    let session = get(at.web, "/api/v1/message/latest").json()["Envelope"]["Session"].take();
    assert_eq!(session["Protocol"], "ESMTPS");
    assert_eq!(session["TLS"]["Version"], "TLSv1_3");
    assert_eq!(session["Helo"], "tls.example");
}

#[test]
fn garbage_is_kept_and_shown() {
    let (_running, at) = sandbox(100);
    let deep = (0..200)
        .map(|n| format!("--{}\r\nContent-Type: multipart/mixed; boundary={n}\r\n\r\n", n - 1));
    let deep: String = deep.collect();
    let nasty = [
        String::new(),
        "\0\u{1}\u{7f}".into(),
        ": no name\r\n\r\n".into(),
        "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n--\r\n".into(),
        format!("Content-Type: multipart/mixed; boundary=-1\r\n\r\n{deep}"),
        "Content-Type: message/rfc822\r\n\r\n".repeat(50),
        "Subject: =?utf-8?B?????=\r\nFrom: <<<>>>\r\nTo: ,,,;:\r\nDate: never\r\n\r\n".into(),
        "Content-Transfer-Encoding: base64\r\n\r\n%%%%".into(),
    ];
    for source in &nasty {
        let id = deliver(at.smtp, "a@example.com", &["b@example.org"], source);
        let mail = get(at.web, &format!("/api/v1/message/{id}"));
        assert_eq!(mail.status, 200, "{source:?}");
        assert_eq!(mail.json()["Bcc"].as_array().map(Vec::len), Some(1), "{source:?}");
        for path in ["raw", "headers", "part/1"] {
            get(at.web, &format!("/api/v1/message/{id}/{path}"));
        }
    }
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], nasty.len());
}

#[test]
fn old_messages_give_way() {
    let (_running, at) = sandbox(3);
    for n in 0..5 {
        let source = format!("Subject: {n}\r\n\r\nx\r\n");
        deliver(at.smtp, "a@example.com", &["b@example.org"], &source);
    }
    let list = get(at.web, "/api/v1/messages").json();
    assert_eq!(list["total"], 3);
    assert_eq!(list["messages"][2]["Subject"], "2");
    assert_eq!(get(at.web, "/api/v1/info").json()["RuntimeStats"]["MessagesEvicted"], 2);
}

/// Reads the next event of a type; others are skipped.
fn event(client: &mut Client, kind: &str) -> Value {
    loop {
        let mut head = [0; 2];
        client.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "a whole text frame, not masked");
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                client.stream.read_exact(&mut long).unwrap();
                usize::from(u16::from_be_bytes(long))
            }
            short => usize::from(short),
        };
        let mut text = vec![0; length];
        client.stream.read_exact(&mut text).unwrap();
        let event: Value = serde_json::from_slice(&text).unwrap();
        if event["Type"] == kind {
            return event["Data"].clone();
        }
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn a_websocket_tells_what_happens() {
    let (_running, at) = sandbox(10);
    let mut socket = Client::connect(at.web);
    let told = socket.request("GET", "/api/events", UPGRADE, b"");
    assert_eq!(told.status, 101);
    assert_eq!(told.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(event(&mut socket, "stats")["Total"], 0);

    let source = "Subject: Hello\r\n\r\nx\r\n";
    let id = deliver(at.smtp, "a@example.com", &["b@example.org"], source);
    let new = event(&mut socket, "new");
    assert_eq!(
        (&new["ID"], &new["Subject"], &new["Read"]),
        (&json!(id), &json!("Hello"), &json!(false))
    );
    assert_eq!(event(&mut socket, "stats")["Unread"], 1);
    get(at.web, &format!("/api/v1/message/{id}"));
    assert_eq!(event(&mut socket, "update"), json!({"ID": id, "Read": true}));
    request(at.web, "DELETE", "/api/v1/messages", &json!({"IDs": [id]}).to_string());
    assert_eq!(event(&mut socket, "delete"), json!({"ID": id}));
    request(at.web, "DELETE", "/api/v1/messages", "");
    assert_eq!(event(&mut socket, "truncate"), Value::Null);

    // A close of ours (masked, code 1000) is answered with a close, and then the end.
    socket.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    let rest = socket.rest();
    assert!(rest.ends_with(&[0x88, 0x02, 0x03, 0xe8]), "{rest:?}");
}

#[test]
fn a_websocket_tells_who_was_refused_what() {
    let (_running, at) = sandbox_of(|| Settings {
        smtp: Smtp {
            allowed_recipients: Some(expression("@example\\.com$").unwrap()),
            ..Smtp::default()
        },
        ..Settings::default()
    });
    let mut socket = Client::connect(at.web);
    assert_eq!(socket.request("GET", "/api/events", UPGRADE, b"").status, 101);
    assert_eq!(event(&mut socket, "stats")["Total"], 0);
    let mut client = smtp(at.smtp);
    say(&mut client, "MAIL FROM:<a@b.test>");
    let answer = say(&mut client, "RCPT TO:<a@other.test>").concat();
    assert!(answer.starts_with("550 "), "{answer}");
    assert_eq!(
        event(&mut socket, "error"),
        json!({"Level": "error", "Type": "smtpd", "IP": "127.0.0.1", "Message": &answer[4..]})
    );
}

#[test]
fn a_websocket_of_another_site_is_refused() {
    let (_running, at) = sandbox(10);
    let headers = format!("{UPGRADE}Origin: http://elsewhere.example\r\n");
    assert_eq!(Client::connect(at.web).request("GET", "/api/events", &headers, b"").status, 403);
    assert_eq!(get(at.web, "/api/events").status, 426);
}

#[test]
fn the_receiver_takes_records_with_the_key() {
    let (_running, at) = sandbox(10);
    let to = at.receiver.unwrap();
    let post = |headers: &str, body: Value| {
        Client::connect(to).request("POST", "/any/path", headers, body.to_string().as_bytes())
    };
    let key = "x-kumomta-key: the key\r\n";
    let missing = post("", json!({}));
    assert_eq!(missing.status, 401);
    assert!(missing.text().contains("x-kumomta-key"), "{}", missing.text());
    let wrong = post("x-kumomta-key: the keY\r\n", json!({}));
    assert_eq!(wrong.status, 401);
    assert!(!wrong.text().contains("the key\n"), "{}", wrong.text());

    assert_eq!(post(key, json!({"type": "Reception", "id": "1"})).json(), json!({"received": 1}));
    let batch = json!([{"type": "Delivery", "id": "1"}, {"type": "Bounce", "id": "2"}, {"id": 3}]);
    assert_eq!(post(key, batch).json(), json!({"received": 3}));
    for bad in [json!("text"), json!([1])] {
        assert_eq!(post(key, bad).status, 400);
    }
    assert_eq!(Client::connect(to).request("POST", "/", key, b"{no").status, 400);
    assert_eq!(request(to, "PUT", "/", "{}").status, 405);

    let all = get(to, "/events.json").json();
    assert_eq!(all["last"], 4);
    let newest = &all["events"][0];
    assert_eq!((&newest["seq"], &newest["record"]), (&json!(4), &json!({"id": 3})));
    assert_eq!((&newest["post"]["signature"], &newest["post"]["id"]), (&json!("none"), &json!("")));
    let one = get(to, "/events.json?type=Bounce").json();
    assert_eq!(one["events"].as_array().unwrap().len(), 1);
    assert_eq!(one["events"][0]["record"], json!({"type": "Bounce", "id": "2"}));
    assert_eq!(get(to, "/events.json?since=3").json()["events"].as_array().unwrap().len(), 1);
    let count = get(to, "/count").json();
    assert_eq!(
        (&count["total"], &count["posts"], &count["refused"]),
        (&json!(4), &json!(2), &json!(2))
    );
    assert_eq!(count["types"], json!({"(none)": 1, "Bounce": 1, "Delivery": 1, "Reception": 1}));
    let page = get(to, "/");
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'sha256-"));
    // Whoever guesses is not listened to any more, not even with the right key.
    let guess = |_| post("x-kumomta-key: a guess\r\n", json!({})).status;
    let statuses: Vec<u16> = (0..40).map(guess).collect();
    assert!(statuses.contains(&401) && statuses.last() == Some(&429), "{statuses:?}");
    assert_eq!(post(key, json!({"id": "1"})).status, 429);
}

#[test]
fn a_taken_port_is_named_with_the_cure() {
    let (_running, at) = sandbox(10);
    let (_second, error): (Running, String) = start(move |_stop, report| async move {
        let config = SandboxConfig {
            smtp: loopback().into(),
            web: at.web.into(),
            ..SandboxConfig::default()
        };
        let error = sandbox::run(config, |_| (), std::future::pending()).await.unwrap_err();
        report.send(error.to_string()).unwrap();
    });
    assert!(error.contains(&at.web.to_string()), "{error}");
    assert!(error.contains("another port") && !error.contains('\n'), "{error}");
}

#[test]
fn a_sandbox_can_start_again_where_one_ended() {
    // Below the ports the system hands out, so that no other test is given one of these meanwhile.
    let mut free = (20_000 + std::process::id() as u16 % 10_000..).filter_map(|port| {
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        std::net::TcpListener::bind(at).ok().map(|_| at)
    });
    let (smtp_at, web_at) = (free.next().unwrap(), free.next().unwrap());
    let config = move || SandboxConfig {
        smtp: smtp_at.into(),
        web: web_at.into(),
        ..SandboxConfig::default()
    };
    let begin = move || {
        start(move |stop, report| async move {
            let stop = async {
                let _ = stop.await;
            };
            sandbox::run(config(), |bound| report.send(*bound).unwrap(), stop).await.unwrap();
        })
    };
    let (first, at) = begin();
    let mut open = smtp(at.smtp);
    deliver(at.smtp, "a@example.com", &["b@example.org"], "Subject: x\r\n\r\n");
    drop(first);
    assert_eq!(open.rest(), b"");
    let (_second, again) = begin();
    assert_eq!(again.smtp, at.smtp);
    until("the new sandbox takes mail", || {
        let id = deliver(again.smtp, "a@example.com", &["b@example.org"], "Subject: y\r\n\r\n");
        (get(again.web, &format!("/api/v1/message/{id}")).status == 200).then_some(())
    });
}
