//! An inbox that listens on Unix sockets, as a process of its own.

use crate::sandbox_support::process::{ringmta, Ended};
use crate::sandbox_support::{hand_in, until, Client};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// A connection over a Unix socket; what is done with it is the same as with one of TCP.
fn connect(path: &Path) -> Client {
    Client::over(TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap())))
}

#[test]
fn mail_and_pages_over_unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let (smtp, web) = (dir.path().join("smtp.sock"), dir.path().join("web.sock"));
    let start = || {
        let mut command = ringmta();
        command.args(["sandbox", "--smtp", &format!("unix:{}:0660", smtp.display())]);
        command.env("MP_UI_BIND_ADDR", format!("unix:{}", web.display()));
        command.stderr(Stdio::piped());
        command
    };
    let ready = || {
        let listen = format!("unix:{}", web.display());
        let asked = ringmta().args(["readyz", "-l", &listen]).output().unwrap();
        asked.status.success().then_some(())
    };
    let mut first = Ended(start().spawn().unwrap());
    until("the inbox is ready", ready);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&smtp), mode(&web)), (0o660, 0o600));
    let id = hand_in(connect(&smtp), "a@b.test", &["c@d.test"], "Subject: over a file\r\n\r\nx");
    let message = connect(&web).request("GET", &format!("/api/v1/message/{id}"), "", b"").json();
    assert_eq!(message["Subject"], "over a file");
    let webui = connect(&web).request("GET", "/api/v1/webui", "", b"").json();
    assert_eq!(webui["SMTP"], format!("unix:{}", smtp.display()));
    // Somebody listens there: a second one says so, and takes nothing away.
    let second = start().output().unwrap();
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && error.contains("another path"), "{error}");
    assert_eq!(connect(&web).request("GET", "/livez", "", b"").status, 200);
    // What a killed one has left gives way; one that is stopped takes its files with it.
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert!(smtp.exists());
    let mut third = Ended(start().spawn().unwrap());
    until("the next one is ready", ready);
    let term = Command::new("kill").args(["-TERM", &third.0.id().to_string()]).status().unwrap();
    assert!(term.success() && third.0.wait().unwrap().success());
    assert!(!smtp.exists() && !web.exists());
    // A file that is none of a socket stays.
    std::fs::write(&smtp, "precious").unwrap();
    let refused = start().output().unwrap();
    assert!(!refused.status.success() && std::fs::read(&smtp).unwrap() == b"precious");
}
