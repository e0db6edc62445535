//! The programs beside the inbox, as others call them, and its flags as they are given at start.

use crate::sandbox_support::process::{inbox, ringmta, start, Inbox};
use crate::sandbox_support::{deliver, get, request, subjects, until};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{channel, Receiver};

fn run(command: &mut Command, input: &str) -> Output {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = streams.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

fn newest(at: &Inbox) -> serde_json::Value {
    get(at.web, "/api/v1/message/latest").json()
}

#[test]
fn sendmail_as_programs_call_it() {
    let at = inbox(&[]);
    let server = at.smtp.to_string();
    // PHP's way, with the cluster of options it has in its settings.
    let mail = "To: ann@example.com\nBcc: hidden@example.com\nSubject: by php\n\nfirst\n.\nlast\n";
    let output =
        run(ringmta().args(["sendmail", "-S", &server, "-t", "-i", "-fshop@example.com"]), mail);
    assert!(output.status.success(), "{output:?}");
    let message = newest(&at);
    assert_eq!(
        (message["Subject"].as_str(), message["ReturnPath"].as_str()),
        (Some("by php"), Some("shop@example.com"))
    );
    assert_eq!(
        message["Envelope"]["To"],
        serde_json::json!(["ann@example.com", "hidden@example.com"])
    );
    assert_eq!(message["Text"], "first\r\n.\r\nlast\r\n");
    let source = get(at.web, "/api/v1/message/latest/raw").text();
    assert!(
        !source.contains("Bcc:")
            && source.contains("Message-ID: <")
            && source.contains("From: <shop@example.com>")
    );
    // cron's way.
    let arguments = [
        "sendmail",
        "-FCronDaemon",
        "-B8BITMIME",
        "-oem",
        "-r",
        "cron@example.com",
        "root@example.com",
    ];
    let output = run(
        ringmta().env("MP_SENDMAIL_SMTP_ADDR", &server).args(arguments),
        "Subject: cron\n\nx\n.\nnot sent\n",
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (newest(&at)["From"]["Name"].as_str(), newest(&at)["Text"].as_str()),
        (Some("CronDaemon"), Some("x\r\n"))
    );
    without_names(&server, &at);
    // By a link of that name, speaking SMTP.
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("sendmail");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ringmta"), &link).unwrap();
    let dialogue = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: bs\r\n\r\n.\r\nQUIT\r\n";
    let output = run(Command::new(&link).args(["-S", &server, "-bs"]), dialogue);
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("354 "),
        "{output:?}"
    );
    until("the message", || (newest(&at)["Subject"] == "bs").then_some(()));
    for (arguments, why) in [
        (&["sendmail", "-S", &server][..], "no recipients"),
        (&["sendmail", "-S", "127.0.0.1:1", "a@b.test"], "127.0.0.1"),
        (&["sendmail", "-bd", "a@b.test"], "-bd"),
    ] {
        let output = run(ringmta().args(arguments), "Subject: x\n\n");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !said.is_empty(), "{why}: {said}");
    }
}

/// Without -t and without names it is the header that says who.
fn without_names(server: &str, at: &Inbox) {
    let mail = "To: to@d.test\nBcc: blind@d.test\nSubject: unnamed\n\nx\n";
    let output = run(ringmta().args(["sendmail", "-S", server]), mail);
    assert!(output.status.success(), "{output:?}");
    until("the message", || (newest(at)["Subject"] == "unnamed").then_some(()));
    assert_eq!(newest(at)["To"][0]["Address"], "to@d.test");
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<Vec<u8>> = entries.map(|path| std::fs::read(path).unwrap()).collect();
    all.sort();
    all
}

#[test]
fn messages_are_dumped_and_ingested() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let at = inbox(&["--database", &path("inbox.db")]);
    let sources = [
        "From: a@b.test\r\nTo: c@d.test\r\nSubject: one\r\n\r\nx\r\n",
        "Subject: two\r\n\r\ny\r\n",
    ];
    for source in sources {
        deliver(at.smtp, "a@b.test", &["c@d.test"], source);
    }
    let url = format!("http://{}/", at.web);
    let output = run(ringmta().args(["dump", "--http", &url, &path("by-http")]), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 messages\n", "{output:?}");
    let output =
        run(ringmta().args(["dump", "--database", &path("inbox.db"), &path("refused")]), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use"), "{output:?}");
    drop(at);
    let output =
        run(ringmta().args(["dump", "--database", &path("inbox.db"), &path("by-file")]), "");
    assert!(output.status.success(), "{output:?}");
    let mut wanted: Vec<Vec<u8>> =
        sources.iter().map(|source| source.as_bytes().to_vec()).collect();
    wanted.sort();
    assert_eq!(files(&dir.path().join("by-http")), wanted);
    assert_eq!(files(&dir.path().join("by-file")), wanted);
    let at = inbox(&[]);
    std::fs::write(path("by-http/notes.txt"), "no message").unwrap();
    std::fs::create_dir_all(path("by-http/maildir/new")).unwrap();
    std::fs::write(path("by-http/maildir/new/1.host"), "Subject: three\r\n\r\n").unwrap();
    let output = run(ringmta().args(["ingest", "-S", &at.smtp.to_string(), &path("by-http")]), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 messages\n", "{output:?}");
    assert_eq!(get(at.web, "/api/v1/search?query=from:a@b.test").json()["messages_count"], 1);
    assert_eq!(get(at.web, "/api/v1/messages").json()["total"], 3);
}

#[test]
fn a_killed_inbox_has_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("inbox.db").display().to_string();
    let at = inbox(&["-d", &file, "-m", "3"]);
    for number in 0..5 {
        deliver(
            at.smtp,
            "a@b.test",
            &["c@d.test"],
            &format!("Subject: number {number}\r\n\r\nunique{number}\r\n"),
        );
    }
    drop(at);
    let at = inbox(&["-d", &file, "-m", "2"]);
    let list = get(at.web, "/api/v1/search?query=unique").json();
    assert_eq!(
        (list["total"].as_u64(), list["messages_count"].as_u64()),
        (Some(2), Some(2)),
        "{list}"
    );
    assert_eq!(list["messages"][0]["Subject"], "number 4");
}

#[test]
fn flags_that_are_wrong_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("text").display().to_string();
    std::fs::write(&file, "neither logins: nor a relay\n").unwrap();
    for (arguments, said) in [
        (&["--pop3-auth-file", "absent"][..], "--pop3-auth-file (MP_POP3_AUTH_FILE)"),
        (&["--log-file", "x"], "stderr"),
        (&["--smtp-relay-config", &file], "--smtp-relay-config (MP_SMTP_RELAY_CONFIG)"),
        (&["--ui-auth-file", &file], "--ui-auth-file (MP_UI_AUTH_FILE)"),
        (&["--ui-tls-cert", &file], "its key is missing"),
        (&["--smtp-allowed-recipients", "("], "regular expression"),
        (&["--smtp-relay-all"], "--smtp-relay-config"),
        (&["--chaos-triggers", "Sender:1:1"], "MP_CHAOS_TRIGGERS"),
        (&["--database", &file], "no database"),
        (&["--database", "http://127.0.0.1:4001"], "rqlite is not spoken here"),
        (&["--smtp-relay-host=x.test", "--smtp-relay-auth=cram-md5"], "a username and a secret"),
        (&["--enable-spamassassin", "postmark"], "MP_ENABLE_SPAMASSASSIN"),
    ] {
        let mut command = ringmta();
        command.args(["sandbox", "-s", "127.0.0.1:0", "-l", "127.0.0.1:0"]).args(arguments);
        let output = run(&mut command, "");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
    for (variable, value, said) in [
        ("MP_TENANT_ID", "a", "--database of its own"),
        ("MP_DATABASE", "https://user:password@rqlite.test:4001", "--database inbox.db"),
        ("MP_DATA_FILE", "http://rqlite.test:4001", "--database inbox.db"),
    ] {
        let refused = run(ringmta().args(["sandbox"]).env(variable, value), "");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains(said), "{variable}: {error}");
        assert!(!error.contains("password"), "{error}");
    }
}

/// A mail server that lets in who answers its challenge, the one of RFC 2195, as tim does there; gives back what it was told.
fn challenger() -> (SocketAddr, Receiver<Vec<String>>) {
    const CHALLENGE: &str = "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    const ANSWER: &str = "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (tell, told) = channel();
    // It ends with the process of the tests.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
            say("220 challenger");
            let (mut heard, mut in_data) = (Vec::new(), false);
            for line in lines.map_while(Result::ok) {
                let verb = line.split(' ').next().unwrap_or("").to_string();
                let is_answer = heard.last().is_some_and(|last| last == "AUTH CRAM-MD5");
                heard.push(line.clone());
                match verb.as_str() {
                    "." => {
                        in_data = false;
                        say("250 taken");
                    }
                    _ if in_data => {}
                    "EHLO" => say("250-challenger\r\n250-8BITMIME\r\n250 AUTH CRAM-MD5"),
                    "AUTH" => say(CHALLENGE),
                    _ if is_answer && line == ANSWER => say("235 welcome"),
                    _ if is_answer => say("535 5.7.8 that is not tim"),
                    "DATA" => {
                        in_data = true;
                        say("354 go on");
                    }
                    "QUIT" => say("221 bye"),
                    _ => say("250 yes"),
                }
            }
            tell.send(heard).unwrap();
        }
    });
    (at, told)
}

#[test]
fn messages_are_released_to_a_server_that_wants_cram_md5() {
    let (server, told) = challenger();
    for (secret, status, said) in
        [("tanstaaftanstaaf", 200, "ok"), ("wrong", 400, "that is not tim")]
    {
        let mut command = ringmta();
        for (name, value) in [
            ("HOST", "127.0.0.1"),
            ("PORT", &server.port().to_string()),
            ("AUTH", "cram-md5"),
            ("USERNAME", "tim"),
            ("SECRET", secret),
        ] {
            command.env(format!("MP_SMTP_RELAY_{name}"), value);
        }
        let at = start(command, &[]);
        let source = "From: a@b.test\r\nSubject: on\r\n\r\nx\r\n";
        let id = deliver(at.smtp, "a@b.test", &["c@d.test"], source);
        let path = format!("/api/v1/message/{id}/release");
        let reply = request(at.web, "POST", &path, "{\"To\":[\"x@out.test\"]}");
        assert_eq!((reply.status, reply.text().contains(said)), (status, true), "{}", reply.text());
        let heard = told.recv().unwrap();
        assert_eq!(heard.contains(&"Subject: on".to_string()), status == 200, "{heard:?}");
        assert!(heard.iter().all(|line| !line.contains(secret)), "{heard:?}");
    }
}

#[test]
fn older_names_empty_values_and_readiness() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = ringmta();
    command.args([
        "sandbox",
        "-s",
        "127.0.0.1:0",
        "-l",
        "127.0.0.1:0",
        "--ui-tls-cert",
        "sans:localhost",
    ]);
    command.env("MP_DATA_FILE", dir.path().join("old.db")).env("MP_LABEL", "").env("MP_QUITE", "1");
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut said = Vec::new();
    for line in lines {
        said.push(line);
        if said.last().unwrap().contains("inbox on") {
            break;
        }
    }
    assert!(said.iter().any(|line| line.contains("MP_QUITE")), "{said:?}");
    assert!(dir.path().join("old.db").exists());
    let address =
        said.last().unwrap().rsplit("https://").next().unwrap().trim_end_matches('/').to_string();
    let ready = run(ringmta().args(["readyz", "--https", "--wait", "-l", &address]), "");
    assert!(ready.status.success(), "{ready:?}");
    let _ = process.kill();
    let _ = process.wait();
    let ready = run(ringmta().args(["readyz"]).env("MP_UI_BIND_ADDR", &address), "");
    assert!(
        !ready.status.success() && String::from_utf8_lossy(&ready.stderr).contains(&address),
        "{ready:?}"
    );
}

#[test]
fn huge_messages_cost_no_more_than_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("inbox.db").display().to_string();
    for store in [&[][..], &["-d", &file]] {
        let at = inbox(&[&["--enable-link-check"], store].concat());
        let part = "--b\r\nContent-Type: image/png\r\nContent-ID: <c>\r\n\r\nx\r\n";
        let head = "Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        let id = deliver(
            at.smtp,
            "a@b.test",
            &["c@d.test"],
            &format!("{head}{}--b--\r\n", part.repeat(100_000)),
        );
        let message = get(at.web, &format!("/api/v1/message/{id}")).json();
        let parts = message["Inline"].as_array().unwrap().len()
            + message["Attachments"].as_array().unwrap().len();
        assert!((1..=1000).contains(&parts), "{parts}");
        assert_eq!(
            get(at.web, &format!("/api/v1/message/{id}/part/999/thumb")).header("content-type"),
            Some("image/jpeg")
        );
        let link = "<p style='display:grid'><a href=http://127.0.0.1:1/x>x</a></p>\r\n";
        let html: String =
            (0..200_000).map(|number| link.replace("/x>", &format!("/{number}>"))).collect();
        let source = format!("Subject: html\r\nContent-Type: text/html\r\n\r\n{html}");
        let id = deliver(at.smtp, "a@b.test", &["c@d.test"], &source);
        let check = get(at.web, &format!("/api/v1/message/{id}/html-check"));
        assert_eq!((check.status, check.text().contains("bytes")), (400, true), "{}", check.text());
        let links = get(at.web, &format!("/api/v1/message/{id}/link-check")).json();
        assert_eq!(links["Links"].as_array().unwrap().len(), 200);
        assert_eq!(get(at.web, &format!("/api/v1/message/{id}/raw")).body, source.as_bytes());
        let nested: String = (0..2000)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect();
        deliver(at.smtp, "a@b.test", &["c@d.test"], &format!("Subject: deep\r\n{nested}x\r\n"));
        let fields = format!("Subject: fields\r\n{}\r\n", "X-Field: y\r\n".repeat(100_000));
        deliver(at.smtp, "a@b.test", &["c@d.test"], &fields);
        assert_eq!(subjects(at.web), ["fields", "deep", "html", "parts"]);
    }
}
