//! Programs of other people talk to the engine. Each test says that it skips when its program is
//! not on this machine.

use crate::support::{is_root, program, wait, without_trace, Sink, Site};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ONE_USER: &str = "
kumo.on('smtp_server_auth_plain', function(authz, authc, password)
  return authc == 'mailing' and password == 'secret'
end)";

/// A child that is killed when this goes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn swaks(to: SocketAddr, arguments: &[&str]) {
    let output = Command::new("swaks")
        .args(["--server", &to.to_string(), "--from", "a@src.test", "--to", "u@dst.test"])
        .args(["--ehlo", "swaks.test", "--header", "Subject: from swaks", "--body", "hello"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "swaks {arguments:?}: {said}");
}

#[test]
fn swaks_with_login_and_tls() {
    if program("swaks").is_none() {
        return;
    }
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    site.extra = ONE_USER.into();
    site.listener = "relay_hosts = {},".into();
    let engine = site.start(2);
    let login = ["--auth-user", "mailing", "--auth-password", "secret"];
    let ways: [&[&str]; 4] = [
        &["--auth", "PLAIN"],
        &["--auth", "LOGIN"],
        &["--auth", "PLAIN", "--tls"],
        &["--auth", "LOGIN", "--tls", "--pipeline"],
    ];
    // swaks recommends, but does not depend on, what it needs for TLS.
    let tls = Command::new("perl").args(["-MNet::SSLeay", "-e", "1"]).output();
    let tls = tls.is_ok_and(|run| run.status.success());
    if !tls {
        eprintln!("skipped: swaks with TLS, for Perl has no Net::SSLeay");
    }
    let can = |way: &&&[&str]| tls || !way.contains(&"--tls");
    for (count, way) in ways.iter().filter(can).enumerate() {
        swaks(engine.smtp, &[way, &login[..]].concat());
        let received = sink.wait_messages(count + 1);
        let text = String::from_utf8_lossy(&received[count].data).into_owned();
        assert!(
            text.contains("Subject: from swaks\r\n") && text.contains("\r\nhello\r\n"),
            "{text}"
        );
        let tls = way.contains(&"--tls");
        assert!(text.contains(if tls { "with ESMTPSA" } else { "with ESMTPA" }), "{text}");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Postfix's sink, which keeps each message as a file in `folder`.
fn smtp_sink(smtp_sink: &Path, folder: &Path) -> (Killed, SocketAddr) {
    // Another program may take the port first: then the next one is tried.
    crate::support::wait_some("smtp-sink", || {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(smtp_sink);
        if is_root() {
            // It insists.
            command.args(["-u", "nobody"]);
        }
        let mut child = command
            .arg("-d")
            .arg(folder.join("%s."))
            .args([&addr.to_string(), "100"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut gone = false;
        wait("smtp-sink listening", || {
            gone = child.try_wait().unwrap().is_some();
            gone || TcpStream::connect(addr).is_ok()
        });
        (!gone).then_some((Killed(child), addr))
    })
}

#[test]
fn smtp_source_to_smtp_sink() {
    let (Some(source), Some(sink)) = (program("smtp-source"), program("smtp-sink")) else {
        return;
    };
    let mut site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let everyone = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder, everyone).unwrap();
    let (_sink, addr) = smtp_sink(&sink, folder);
    site.default_route = Some(addr);
    let engine = site.start(2);
    let count = || std::fs::read_dir(folder).unwrap().count();
    let mut expected = 0;
    // One message per connection, then many over each.
    for how in [&[][..], &["-d"][..]] {
        let status = Command::new(&source)
            .args(["-s", "5", "-m", "100", "-l", "5000", "-N"])
            .args(["-f", "a@src.test", "-t", "u@dst.test"])
            .args(how)
            .arg(format!("127.0.0.1:{}", engine.smtp.port()))
            .status()
            .unwrap();
        assert!(status.success());
        expected += 100;
        wait("every message in a file", || count() >= expected);
        engine.wait_empty();
        assert_eq!(count(), expected);
    }
    let delivered = engine.metric("total_messages_delivered{service=\"smtp_client\"}");
    assert_eq!(delivered, f64::from(expected as u32));
}

/// Verifies the message in the file named first with the key record in the second.
const VERIFY: &str = "
import sys, dkim
message = open(sys.argv[1], 'rb').read()
record = open(sys.argv[2], 'rb').read()
names = []
def dns(name, timeout=5):
    names.append(name)
    return record
good = dkim.verify(message, dnsfunc=dns)
print(good, names)
sys.exit(0 if good and names == [b's1._domainkey.src.test.'] else 1)
";

#[test]
fn dkimpy_verifies_what_the_engine_signs() {
    let Some(openssl) = program("openssl") else { return };
    // The module belongs to the system's own Python, which need not be the first one found.
    let imports = |python: &&str| {
        let tried = Command::new(python).args(["-c", "import dkim"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(imports) else {
        return println!("skipped: no python3 on this machine has the module `dkim`");
    };
    let sink = Sink::start();
    let mut site = Site::to(sink.addr);
    let key = site.dir().join("dkim.pem");
    let made = Command::new(&openssl)
        .args(["genrsa", "-traditional", "-out"])
        .arg(&key)
        .arg("2048")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let public = Command::new(&openssl)
        .args(["rsa", "-pubout", "-outform", "PEM", "-in"])
        .arg(&key)
        .output()
        .unwrap();
    let pem = String::from_utf8(public.stdout).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let record = site.dir().join("record");
    std::fs::write(&record, format!("v=DKIM1; k=rsa; p={base64}")).unwrap();
    site.extra = format!(
        "
kumo.on('smtp_server_message_received', function(msg)
  msg:dkim_sign(kumo.dkim.rsa_sha256_signer {{
    domain = 'src.test', selector = 's1', key = '{}',
    headers = {{ 'From', 'To', 'Subject', 'Message-ID' }},
  }})
end)",
        key.display()
    );
    let engine = site.start(1);
    let bodies: [&[u8]; 4] =
        [b"plain\r\n", b"", b".dot\r\n  blanks  \t \r\n\r\n\r\n", "Gr\u{fc}\u{df}e\r\n".as_bytes()];
    for (n, body) in bodies.iter().enumerate() {
        let head = format!(
            "From: <a@src.test>\r\nTo: <u@dst.test>\r\nSubject:  folded\r\n\t line {n}\r\n\
             Message-ID: <{n}@src.test>\r\n\r\n"
        );
        let data = [head.as_bytes(), body].concat();
        engine.accept("a@src.test", &["u@dst.test"], &data);
        let received = sink.wait_messages(n + 1).remove(n);
        let file = site.dir().join("signed");
        std::fs::write(&file, &received.data).unwrap();
        let output =
            Command::new(python).args(["-c", VERIFY]).args([&file, &record]).output().unwrap();
        assert!(output.status.success(), "body {n}: {output:?}");
        // And it can fail: one changed byte is found.
        let mut changed = received.data.clone();
        let at = changed.windows(8).position(|window| window == b"Subject:").unwrap();
        changed[at + 10] = b'X';
        std::fs::write(&file, &changed).unwrap();
        let output =
            Command::new(python).args(["-c", VERIFY]).args([&file, &record]).output().unwrap();
        assert!(!output.status.success(), "a changed message was verified: {output:?}");
    }
}

#[test]
fn curl_injects() {
    let Some(curl) = program("curl") else { return };
    let sink = Sink::start();
    let engine = Site::to(sink.addr).start(1);
    let body = r#"{"envelope_sender": "a@src.test", "recipients": [{"email": "u@dst.test"}],
        "content": "Subject: from curl\n\nhello\n"}"#;
    let output = Command::new(curl)
        .args(["-sS", "--fail-with-body", "-H", "Content-Type: application/json", "-d", body])
        .arg(engine.url("/api/inject/v1"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let received = &sink.wait_messages(1)[0];
    assert_eq!(without_trace(&received.data), b"Subject: from curl\r\n\r\nhello\r\n");
}
