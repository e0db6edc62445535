//! The programs beside the inbox in the forms that other programs use, flags and variables by their older names, and messages
//! released through the engine.

use crate::sandbox_support::process::{inbox, ringmta, start, Ended};
use crate::sandbox_support::{deliver, get, request, subjects, until, Client};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn run(command: &mut Command, input: &str) -> Output {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = streams.spawn().unwrap();
    // One that ends at once reads nothing.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sendmail_in_all_its_forms() {
    let at = inbox(&[]);
    let server = at.smtp.to_string();
    for (number, forms) in [
        &["-t", "-i", "-o"][..],
        &["-oi", "-oem", "-t"],
        &["-e", "m", "-ti"],
        &["-em", "-o", "to@d.test"],
        &["-B", "7bit", "--from-name", "Somebody", "to@d.test"],
        &["--from", "Ann <a@b.test>", "--smtp-addr", &server, "to@d.test"],
    ]
    .iter()
    .enumerate()
    {
        let mail = format!("To: to@d.test\nSubject: form {number}\n\nx\n");
        let mut command = ringmta();
        command.arg("sendmail").args(*forms).env("MP_SENDMAIL_SMTP_ADDR", &server);
        let output = run(&mut command, &mail);
        assert!(output.status.success() && output.stderr.is_empty(), "{forms:?}: {output:?}");
        let message = get(at.web, "/api/v1/message/latest").json();
        assert_eq!(message["Subject"], format!("form {number}"));
        assert_eq!(message["Envelope"]["To"], serde_json::json!(["to@d.test"]), "{forms:?}");
    }
    let message = get(at.web, "/api/v1/message/latest").json();
    assert_eq!(message["Envelope"]["From"], "a@b.test");
    // TLS where it is offered, as Mailpit's program does.
    assert!(message["Envelope"]["Session"]["TLS"].is_object(), "{message}");
    let output = run(
        ringmta().args(["sendmail", "-S", &server, "-v", "-f", "a@b.test", "to@d.test"]),
        "Subject: told\n\n",
    );
    let said = error(&output);
    assert!(
        output.status.success() && said.contains(&server) && said.contains("to@d.test"),
        "{said}"
    );
    for forms in [&["-b", "-s"][..], &["-s", "-b"], &["-bs"]] {
        let output =
            run(ringmta().args(["sendmail", "-S", &server]).args(forms), "EHLO x\r\nQUIT\r\n");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("221 "), "{forms:?}: {output:?}");
    }
    let output = run(ringmta().args(["sendmail", "-S", &server, "-s", "to@d.test"]), "");
    assert!(!output.status.success() && error(&output).contains("use -bs"), "{output:?}");
}

#[test]
fn mail_is_handed_in_by_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (smtp, web) = (dir.path().join("smtp.sock"), dir.path().join("web.sock"));
    let (smtp_at, web_at) = (format!("unix:{}", smtp.display()), format!("unix:{}", web.display()));
    let mut command = ringmta();
    command.args(["sandbox", "--smtp", &smtp_at, "--listen", &web_at]).stderr(Stdio::null());
    let _inbox = Ended(command.spawn().unwrap());
    until("the inbox is ready", || {
        let asked = ringmta().args(["readyz", "-l", &web_at]).output().unwrap();
        asked.status.success().then_some(())
    });
    let ask = |path: &str| {
        let socket = UnixStream::connect(&web).unwrap();
        Client::over(TcpStream::from(OwnedFd::from(socket))).request("GET", path, "", b"").json()
    };
    let mail = "To: Grüße <to@d.test>\nSubject: by a file\n\n.first\nGrüße\n";
    let output = run(ringmta().args(["sendmail", "-S", &smtp_at, "-f", "a@b.test", "-ti"]), mail);
    assert!(output.status.success(), "{output:?}");
    let message = ask("/api/v1/message/latest");
    assert_eq!(
        (&message["ReturnPath"], &message["Text"]),
        (&"a@b.test".into(), &".first\r\nGrüße\r\n".into())
    );
    let file = dir.path().join("one.eml");
    std::fs::write(&file, "From: a@b.test\r\nTo: c@d.test\r\nSubject: ingested\r\n\r\nx\r\n")
        .unwrap();
    let output = run(ringmta().args(["ingest", "-S", &smtp_at]).arg(&file), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 messages\n", "{output:?}");
    assert_eq!(ask("/api/v1/message/latest")["Subject"], "ingested");
    let dialogue = "EHLO x\r\nQUIT\r\n";
    let output = run(ringmta().args(["sendmail", "-S", &smtp_at, "-bs"]), dialogue);
    assert!(String::from_utf8_lossy(&output.stdout).contains("221 "), "{output:?}");
    let output = run(ringmta().args(["sendmail", "-S", &smtp_at, "not an address"]), mail);
    assert!(!output.status.success() && error(&output).contains("no address"), "{output:?}");
    let absent = format!("unix:{}", dir.path().join("absent").display());
    let output = run(ringmta().args(["sendmail", "-S", &absent, "to@d.test"]), mail);
    assert!(!output.status.success() && error(&output).contains("absent"), "{output:?}");
}

#[test]
fn what_is_ingested_and_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, days: u64| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let changed = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    };
    write("1.eml", "From: a@b.test\r\nSubject: old\r\n\r\n", 10);
    write("2.eml", "From: a@b.test\r\nSubject: new\r\n\r\n", 0);
    write("3", "From: a@b.test\r\nSubject: no ending\r\n\r\n", 0);
    write("notes.txt", "no message: at all\r\n", 0);
    let at = inbox(&[]);
    let server = at.smtp.to_string();
    let ingest = |more: &[&str]| {
        let mut command = ringmta();
        command.args(["ingest", "-S", &server]).args(more).arg(dir.path());
        run(&mut command, "")
    };
    let output = ingest(&["--recent", "3"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 messages\n", "{output:?}");
    assert_eq!(subjects(at.web), ["no ending", "new"]);
    let output = ingest(&["-r", "0"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 messages\n", "{output:?}");
    // What is refused is named, and keeps back nothing that is behind it.
    let strict = inbox(&["--smtp-strict-rfc-headers"]);
    write("0.eml", "From: a@b.test\r\r\nSubject: refused\r\r\n\r\n", 0);
    let mut command = ringmta();
    command.args(["ingest", "-S", &strict.smtp.to_string()]).arg(dir.path());
    let output = run(&mut command, "");
    assert!(!output.status.success() && error(&output).contains("0.eml"), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 messages\n", "{output:?}");
}

#[test]
fn readiness_is_waited_for_as_long_as_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = listener.local_addr().unwrap().to_string();
    drop(listener);
    for timeout in ["1ms", "0", "0s"] {
        let mut command = ringmta();
        command.args(["readyz", "--wait", "--timeout", timeout, "-l", &free]);
        let output = run(&mut command, "");
        assert!(
            !output.status.success() && error(&output).contains(&free),
            "{timeout}: {output:?}"
        );
    }
    let output = run(ringmta().args(["readyz", "--timeout", "soon"]), "");
    assert!(!output.status.success() && error(&output).contains("such as 30s"), "{output:?}");
    // A certificate in the environment means HTTPS, there as here.
    let mut command = ringmta();
    command.env("MP_UI_TLS_CERT", "sans:localhost");
    let secure = start(command, &[]);
    let address = secure.web.to_string();
    let ready = |certificate: bool| {
        let mut command = ringmta();
        if certificate {
            command.env("MP_UI_TLS_CERT", "sans:localhost");
        }
        run(command.args(["readyz", "-l", &address]), "").status.success()
    };
    assert_eq!((ready(true), ready(false)), (true, false));
}

/// What is said until the inbox is there, or until it ends.
fn said_at_start(command: &mut Command) -> String {
    command.args(["-s", "127.0.0.1:0", "-l", "127.0.0.1:0"]);
    let mut inbox = Ended(command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let mut said = String::new();
    for line in BufReader::new(inbox.0.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        said.push_str(&line);
        said.push('\n');
        if line.contains("inbox on") {
            break;
        }
    }
    said
}

#[test]
fn older_names_work_and_say_their_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("old.db");
    let mut command = ringmta();
    command.args(["sandbox", "--disable-html-check"]).arg(format!("--db-file={}", file.display()));
    command.env("MP_STRICT_RFC_HEADERS", "true").env("MP_DISABLE_HTML_CHECK", "true");
    command.env("MP_SENDMAIL_FROM", "a@b.test");
    let said = said_at_start(&mut command);
    for (older, newer) in [
        ("--db-file", "--database"),
        ("MP_STRICT_RFC_HEADERS", "MP_SMTP_STRICT_RFC_HEADERS"),
        ("--disable-html-check", "does nothing"),
        ("MP_DISABLE_HTML_CHECK", "does nothing"),
    ] {
        let told = said.lines().any(|line| line.contains(older) && line.contains(newer));
        assert!(told, "{older}: {said}");
    }
    assert!(said.contains("inbox on") && file.exists() && !said.contains("MP_SENDMAIL"), "{said}");
    let said = said_at_start(ringmta().args(["sandbox", "--smtp-tls-required"]));
    assert!(said.contains("--smtp-require-starttls") && said.contains("inbox on"), "{said}");
}

/// An engine with its inbox; gives the address of the inbox's SMTP and of its page.
fn dev(dir: &Path, relay: &[(&str, &str)]) -> (Ended, SocketAddr, SocketAddr) {
    let mut command = ringmta();
    command.args(["dev", "--shards", "1", "--dir"]).arg(dir);
    for name in ["smtp", "http", "sandbox-smtp", "sandbox-web", "receiver"] {
        command.arg(format!("--{name}=127.0.0.1:0"));
    }
    command.env("RINGMTA_ALLOW_ROOT", "1").envs(relay.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut engine = Ended(command.spawn().unwrap());
    let mut lines = BufReader::new(engine.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.trim_start().starts_with("inbox")).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let web: SocketAddr =
        line.rsplit("http://").next().unwrap().trim_end_matches('/').parse().unwrap();
    let smtp = get(web, "/api/v1/webui").json()["SMTP"].as_str().unwrap().parse().unwrap();
    (engine, smtp, web)
}

#[test]
fn messages_are_released_through_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let relay =
        [("MP_SMTP_RELAY_HOST", "engine"), ("MP_SMTP_RELAY_ALLOWED_RECIPIENTS", "@example\\.net$")];
    let (_engine, smtp, web) = dev(dir.path(), &relay);
    let shown = get(web, "/api/v1/webui").json()["MessageRelay"].clone();
    assert_eq!(shown["Enabled"], true);
    assert!(shown["SMTPServer"].as_str().unwrap().starts_with("the engine"), "{shown}");
    let source = "From: a@b.test\r\nSubject: once more\r\n\r\nx\r\n";
    let id = deliver(smtp, "a@b.test", &["c@d.test"], source);
    let release = |to: &str| {
        let path = format!("/api/v1/message/{id}/release");
        request(web, "POST", &path, &format!("{{\"To\":[\"{to}\"]}}"))
    };
    let refused = release("x@elsewhere.test");
    assert_eq!((refused.status, refused.text().contains("allowlist")), (400, true));
    let released = release("x@example.net");
    assert_eq!((released.status, released.text().as_str()), (200, "ok"), "{}", released.text());
    // The policy of development delivers to the inbox.
    let again = until("the message", || {
        let list = get(web, "/api/v1/messages").json();
        (list["total"] == 2).then(|| list["messages"][0].clone())
    });
    assert_eq!(again["Recipients"], serde_json::json!(["x@example.net"]));
    let headers = get(web, "/api/v1/message/latest/headers").json();
    assert_eq!(headers["Subject"], serde_json::json!(["once more"]));
    assert!(headers["Received"][0].is_string(), "it went through the engine: {headers}");
}

#[test]
fn no_engine_no_release_through_it_and_no_circle() {
    let host = ("MP_SMTP_RELAY_HOST", "engine");
    for (variables, said) in [
        (&[host][..], "`ringmta dev`"),
        (&[host, ("MP_SMTP_RELAY_ALL", "true")], "comes back to this inbox"),
        (&[("MP_SMTP_FORWARD_HOST", "engine"), ("MP_SMTP_FORWARD_TO", "a@b.test")], "comes back"),
    ] {
        let mut command = ringmta();
        command.envs(variables.iter().copied()).arg("sandbox");
        let told = said_at_start(&mut command);
        assert!(told.contains(said) && !told.contains("inbox on"), "{variables:?}: {told}");
    }
}

#[test]
fn by_the_name_of_mailpit_it_is_the_inbox() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("mailpit");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ringmta"), &link).unwrap();
    let mailpit = || {
        let mut command = ringmta();
        let plain = command.get_envs().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        command = Command::new(&link);
        plain.iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    };
    let version = run(mailpit().arg("version"), "");
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("ringmta "), "{version:?}");
    let file = dir.path().join("inbox.db");
    let said = said_at_start(mailpit().arg("--database").arg(&file));
    assert!(said.contains("inbox on"), "{said}");
    until("the database is free", || {
        let mut command = mailpit();
        command.args(["dump", "-v"]).arg(dir.path().join("out")).env("MP_DATABASE", &file);
        let output = run(&mut command, "");
        let is_done = String::from_utf8_lossy(&output.stdout) == "0 messages\n";
        assert!(is_done || error(&output).contains("in use"), "{output:?}");
        is_done.then_some(())
    });
    let output = run(mailpit().arg("dump").arg(dir.path().join("out")), "");
    assert!(!output.status.success() && error(&output).contains("--http URL"), "{output:?}");
}
